//! The commands about live queries: ask this machine, list the tables, and be the process that answers.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail, ensure};
use clap::Args;
use guardian_agent::queries::{ALL, worker};
use guardian_agent::run::say;
use guardian_protocol::answer;
use guardian_protocol::limits::{ANSWER_BYTES_MAX, ANSWER_ROWS_MAX, QUERY_MS_MAX};
use guardian_protocol::message::Query;
use serde_json::{Map, Value};

use crate::print;

/// Characters of a value that a table shows.
const SHOWN_MAX: usize = 120;

#[derive(Args, Debug)]
pub(crate) struct Ask {
    /// One SELECT over the tables [default: list the tables]
    sql: Option<String>,
    /// Print the rows as JSON, one a line
    #[arg(long)]
    json: bool,
    /// How long it may take, in seconds
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    timeout: u32,
    /// Most rows
    #[arg(long, default_value_t = 100_000, value_name = "ROWS")]
    rows: u32,
}

/// Answers a question of the machine's root.
pub(crate) fn ask(wanted: &Ask) -> Result<ExitCode> {
    let Some(sql) = &wanted.sql else {
        let columns = |table: &guardian_agent::queries::Table| {
            table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
        };
        let lines: Vec<String> = ALL.iter().map(|table| format!("{}({})", table.name, columns(table))).collect();
        print(&lines.join("\n"));
        return Ok(ExitCode::SUCCESS);
    };
    // The tables show what the agent may see, not what whoever asks may.
    ensure!(nix::unistd::geteuid().is_root(), "only root may ask");
    let query = Query {
        id: rand::random(),
        sql: sql.clone(),
        timeout_ms: wanted.timeout.saturating_mul(1_000).clamp(1, QUERY_MS_MAX),
        rows_max: wanted.rows.clamp(1, ANSWER_ROWS_MAX),
        bytes_max: ANSWER_BYTES_MAX,
    };
    let (mut columns, mut rows, mut wrong, mut end) = (Vec::new(), Vec::new(), None, None);
    worker::ask(&query, &AtomicBool::new(false), &mut |part| {
        if part.part == 0 {
            columns.clone_from(&part.columns);
        }
        match answer::check(&part, columns.len()) {
            Ok(found) if wanted.json => found.into_iter().for_each(|row| print(&object(&columns, row).to_string())),
            Ok(found) => rows.extend(found),
            Err(error) => wrong = Some(error),
        }
        if part.last {
            end = Some((part.error, part.more));
        }
        true
    });
    if !wanted.json && !columns.is_empty() {
        print(&table(&columns, &rows));
    }
    match (wrong, end) {
        (Some(error), _) => bail!("the answer cannot be read: {error}"),
        (None, Some((Some(error), _))) => bail!(error),
        (None, Some((None, more))) => {
            if more {
                say("there are more rows than were wanted");
            }
            Ok(ExitCode::SUCCESS)
        }
        (None, None) => bail!("there is no answer"),
    }
}

/// A row with the names of its columns; of several with one name the last is shown.
fn object(columns: &[String], row: Vec<Value>) -> Value {
    Value::Object(columns.iter().cloned().zip(row).collect::<Map<_, _>>())
}

/// Rows under their columns.
fn table(columns: &[String], rows: &[Vec<Value>]) -> String {
    let shown = |value: &Value| {
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // What would move the cursor or break the line is shown as what it is.
        let text: String =
            text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
        if text.chars().count() > SHOWN_MAX { text.chars().take(SHOWN_MAX - 1).chain(['…']).collect() } else { text }
    };
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let mut widths: BTreeMap<usize, usize> = columns.iter().map(|name| name.chars().count()).enumerate().collect();
    for row in &cells {
        for (at, cell) in row.iter().enumerate() {
            let width = widths.entry(at).or_default();
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded = cells.iter().enumerate().map(|(at, cell)| {
            let missing = widths.get(&at).copied().unwrap_or(0).saturating_sub(cell.chars().count());
            format!("{cell}{}", " ".repeat(missing))
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(columns)];
    lines.extend(cells.iter().map(|row| line(row)));
    lines.join("\n")
}

/// Is the process in which a statement runs.
pub(crate) fn serve() -> Result<ExitCode> {
    worker::serve()?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_as_wide_as_they_must_be_and_controls_are_shown() {
        let columns = ["pid".to_owned(), "name".to_owned()];
        let rows = [vec![Value::from(1), Value::from("init")], vec![Value::from(4_711), Value::from("a\u{1b}[2J\n")]];
        let shown = table(&columns, &rows);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines, ["pid   name", "1     init", "4711  a\\u{1b}[2J\\n"]);
    }
}
