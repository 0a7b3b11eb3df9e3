//! `guardian live-query`: ask hosts by SQL what they are and have right now.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use super::commands::Selection;
use super::policy::{table, text};
use crate::output::{self, Format};
use crate::remote::{Remote, block_on};

/// How often it is looked for rows.
const LOOK: Duration = Duration::from_millis(500);

/// Ask hosts by SQL what they are and have right now.
#[derive(Args, Debug)]
pub(crate) struct LiveQueryCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask hosts
    Run {
        /// One SELECT over the tables of hosts (`guardian live-query tables`)
        sql: String,
        #[command(flatten)]
        hosts: Selection,
        /// Why, for the audit trail
        #[arg(long, default_value = "")]
        reason: String,
        /// How long it waits for hosts that are not there, in seconds [default: 300]
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u32>,
        /// How long it may take on a host, in seconds [default: 30]
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u32>,
        /// Most rows of a host [default: 10000]
        #[arg(long, value_name = "ROWS")]
        rows: Option<u32>,
        /// Print rows as they come, until all hosts have answered
        #[arg(long)]
        follow: bool,
    },
    /// List live queries, newest first
    List {
        /// Most queries to list
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: u32,
    },
    /// Show the rows that have come, and how far each host is
    Show {
        /// Id of the query
        id: String,
        /// Rows of this host alone
        #[arg(long, value_name = "ID")]
        host: Option<String>,
        /// How far hosts are, without rows
        #[arg(long, conflicts_with = "host")]
        hosts: bool,
    },
    /// Call a live query off
    Cancel {
        /// Id of the query
        id: String,
    },
    /// List the tables of hosts, or the columns of one
    Tables {
        /// The table
        table: Option<String>,
    },
}

const COLUMNS: [&str; 7] = ["id", "author", "created", "hosts", "rows", "states", "sql"];
const HOST_COLUMNS: [&str; 6] = ["host", "host_name", "state", "rows", "took_ms", "text"];

impl LiveQueryCommand {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        let get = |path: &str| block_on(remote.json(remote.request(Method::GET, path)));
        match self.action {
            Action::Run { sql, hosts, reason, wait, timeout, rows, follow } => {
                let body = json!({
                    "sql": sql, "hosts": hosts.body(), "reason": reason, "wait_s": wait, "timeout_s": timeout,
                    "rows_max": rows,
                });
                let made = block_on(remote.json(remote.request(Method::POST, "/live-queries").json(&body)))?;
                if follow {
                    return show(&remote, text(&made, "id"), None, true, global.output);
                }
                output::print(&table(&json!([flat(&made)]), &COLUMNS), global.output)?;
            }
            Action::List { limit } => {
                let query = [("limit", limit.to_string())];
                let mut answer = block_on(remote.json(remote.request(Method::GET, "/live-queries").query(&query)))?;
                if global.output == Format::Table {
                    for item in answer["items"].as_array_mut().into_iter().flatten() {
                        *item = flat(item);
                    }
                }
                output::print(&table(&answer["items"], &COLUMNS), global.output)?;
            }
            Action::Show { id, hosts: true, .. } => {
                output::print(&table(&json!(runs(&remote, &id)?), &HOST_COLUMNS), global.output)?;
            }
            Action::Show { id, host, .. } => return show(&remote, &id, host.as_deref(), false, global.output),
            Action::Cancel { id } => {
                let request = remote.request(Method::POST, &format!("/live-queries/{id}/cancel"));
                let query = block_on(remote.json(request))?;
                output::note(&format!("called off; {}", states(&query)));
            }
            Action::Tables { table: None } => {
                let answer = get("/live-queries/tables")?;
                output::print(&table(&answer["items"], &["name", "about"]), global.output)?;
            }
            Action::Tables { table: Some(name) } => {
                let answer = get("/live-queries/tables")?;
                let tables = answer["items"].as_array().into_iter().flatten();
                let found = tables.into_iter().find(|table| table["name"] == name.as_str());
                let Some(found) = found else { anyhow::bail!("hosts have no table {name}") };
                output::print(&table(&found["columns"], &["name", "kind", "helps", "about"]), global.output)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn states(query: &Value) -> String {
    let states = query["states"].as_object().into_iter().flatten();
    states.map(|(state, hosts)| format!("{hosts} {state}")).collect::<Vec<_>>().join(", ")
}

/// A query with its states in a line.
fn flat(query: &Value) -> Value {
    let mut query = query.clone();
    query["states"] = json!(states(&query));
    query
}

fn runs(remote: &Remote, id: &str) -> Result<Vec<Value>> {
    let (mut runs, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut query = vec![("limit", "500".to_owned())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let request = remote.request(Method::GET, &format!("/live-queries/{id}/hosts")).query(&query);
        let answer = block_on(remote.json(request))?;
        runs.extend(answer["items"].as_array().cloned().unwrap_or_default());
        cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(runs);
        }
    }
}

/// Shows rows as they come; with `follow` until all hosts have answered. Exit code 3 where one of them could not.
fn show(remote: &Remote, id: &str, host: Option<&str>, follow: bool, format: Format) -> Result<ExitCode> {
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("limit", "10000".to_owned())];
        query.extend(host.map(|host| ("host", host.to_owned())));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let request = remote.request(Method::GET, &format!("/live-queries/{id}/rows")).query(&query);
        let answer = block_on(remote.json(request))?;
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        print_rows(items, format)?;
        cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || (!follow && items.is_empty()) {
            break;
        }
        if items.is_empty() {
            std::thread::sleep(LOOK);
        }
    }
    let query = block_on(remote.json(remote.request(Method::GET, &format!("/live-queries/{id}"))))?;
    output::note(&format!("{id}: {} rows; {}", query["rows"], states(&query)));
    let fell_short = ["failed", "refused", "expired"].iter().any(|state| !query["states"][*state].is_null());
    if fell_short {
        for run in runs(remote, id)?.iter().filter(|run| !text(run, "text").is_empty()) {
            output::note(&format!("{}: {}: {}", text(run, "host_name"), text(run, "state"), text(run, "text")));
        }
    }
    Ok(if fell_short { ExitCode::from(super::EXIT_WANTING) } else { ExitCode::SUCCESS })
}

/// Prints rows under their columns with the host before them. Hosts of another version may have other columns: they come as
/// a table of their own.
fn print_rows(items: &[Value], format: Format) -> Result<()> {
    for some in items.chunk_by(|a, b| a["columns"] == b["columns"]) {
        let names = some[0]["columns"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let columns: Vec<&str> = std::iter::once("host_name").chain(names).collect();
        let row = |item: &Value| {
            let mut row = serde_json::Map::new();
            let values = item["values"].as_array().into_iter().flatten().cloned();
            row.insert("host_name".into(), item["host_name"].clone());
            row.extend(columns.iter().skip(1).map(|name| (*name).to_owned()).zip(values));
            Value::Object(row)
        };
        let rows: Vec<Value> = some.iter().map(row).collect();
        if format == Format::Table {
            output::print(&table(&json!(rows), &columns), format)?;
        } else {
            rows.iter().try_for_each(|row| output::line(&row.to_string()))?;
        }
    }
    Ok(())
}
