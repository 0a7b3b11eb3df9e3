//! `guardian query SQL`.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};
use crate::wiring;

const EXAMPLES: &str = "\
Tables: flows, findings (`guardian query 'DESCRIBE flows'` lists the columns). Addresses are written as text.

  guardian query \"SELECT dst_ip, sum(bytes) FROM flows WHERE src_ip = '10.0.0.5' GROUP BY 1 ORDER BY 2 DESC LIMIT 10\"
  guardian query \"SELECT * FROM flows WHERE in_cidr(dst_ip, '203.0.113.0/24') AND start > now() - INTERVAL '1 hour'\"
  guardian query \"SELECT date_trunc('minute', received) AS minute, sum(bytes) FROM flows GROUP BY 1 ORDER BY 1\"";

/// Ask the telemetry store in SQL; with a server or, when none runs, straight from the data directory.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Query {
    /// One SELECT statement; `-` reads it from standard input
    sql: String,
    /// Most rows to print
    #[arg(long, short = 'n', default_value_t = 1_000)]
    limit: usize,
    /// Seconds after which the query is given up
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
}

impl Query {
    pub(crate) fn run(mut self, global: &Global) -> Result<ExitCode> {
        if self.sql == "-" {
            self.sql.clear();
            std::io::stdin().take(1 << 20).read_to_string(&mut self.sql).context("cannot read the query")?;
        }
        if self.sql.trim().is_empty() {
            bail!("the query is empty");
        }
        let answer = match Remote::find(global)? {
            Some(remote) => block_on(async {
                let body = json!({"sql": self.sql, "limit": self.limit, "timeout_seconds": self.timeout});
                remote.json(remote.request(Method::POST, "/query").json(&body)).await
            })?,
            None => wiring::offline::query(&global.load()?, &self.sql, self.limit, self.timeout)?,
        };
        let table = table(&answer);
        output::print(&table, global.output)?;
        if global.output == Format::Table {
            output::note(&footer(&answer, table.rows.len()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The answer's columns and rows.
fn table(answer: &Value) -> Table {
    let list = |key: &str| answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |c: &Value| c.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut table = Table::new(list("columns").iter().map(name));
    for row in list("rows") {
        if let Value::Array(cells) = row {
            table.push(cells);
        }
    }
    table
}

fn footer(answer: &Value, rows: usize) -> String {
    let stat = |key: &str| answer.pointer(&format!("/stats/{key}"));
    let took = stat("took_ms").and_then(Value::as_f64).unwrap_or_default();
    let more = if answer.get("truncated") == Some(&Value::Bool(true)) { ", more were cut off (--limit)" } else { "" };
    let rollup = if stat("used_rollup") == Some(&Value::Bool(true)) { ", from the minute roll-up" } else { "" };
    format!("{rows} row{} in {took:.0} ms{rollup}{more}", if rows == 1 { "" } else { "s" })
}
