//! `guardian audit`: the trail of who did what, and the proof that nobody changed it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use guardian_catalog::{AuditFilter, Checkpoint};
use reqwest::Method;
use serde_json::{Value, json};

use super::{EXIT_WANTING, Global};
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};
use crate::wiring::offline;

/// Read, verify and anchor the audit trail.
///
/// Without `--server` the catalog is read directly, so that the answer is not the running server's word.
#[derive(Args, Debug)]
pub(crate) struct Audit {
    #[command(subcommand)]
    action: Action,
    /// Short name of the tenant, without `--server`; with it, the tenant is the key's
    #[arg(long, global = true, default_value = "main", value_name = "NAME")]
    tenant: String,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List entries, newest first
    List {
        /// Only actions that begin with this, such as `session.` or `user.create`
        #[arg(long)]
        action: Option<String>,
        /// Only entries whose action, subject or actor contains this text
        #[arg(long)]
        search: Option<String>,
        /// How many entries
        #[arg(long, short = 'n', default_value_t = 50)]
        number: u64,
    },
    /// Prove that no entry was changed, removed or put in later; exit code 3 and the first broken entry if one was
    Verify {
        /// File with checkpoints that were kept elsewhere, one JSON object a line, as `guardian audit checkpoint` prints and
        /// anchors receive; what a syslog server writes before it does not matter
        #[arg(long, visible_alias = "anchor", value_name = "FILE")]
        anchors: Option<PathBuf>,
    },
    /// Sign what the head of the trail is now and print it; keep it on another machine
    Checkpoint,
}

const COLUMNS: [&str; 8] = ["seq", "time", "actor", "ip", "action", "subject", "subject_id", "details"];

impl Audit {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = if global.server.is_some() { Remote::find(global)? } else { None };
        match self.action {
            Action::List { action, search, number } => {
                let items = match remote {
                    Some(remote) => {
                        let query = [("action", action), ("search", search), ("limit", Some(number.to_string()))];
                        let query: Vec<_> = query.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
                        block_on(remote.json(remote.request(Method::GET, "/audit").query(&query)))?["items"].take()
                    }
                    None => {
                        let filter = AuditFilter { action, search, ..AuditFilter::default() };
                        offline::audit(&global.load()?, &self.tenant, &filter, number)?
                    }
                };
                list(items.as_array().map(Vec::as_slice).unwrap_or_default(), global.output)?;
            }
            Action::Verify { anchors } => {
                let answer = match remote {
                    Some(remote) => block_on(remote.json(remote.request(Method::GET, "/audit/verify")))?,
                    None => {
                        let anchors = anchors.map(|file| read(&file)).transpose()?.unwrap_or_default();
                        json!(offline::verify_audit(&global.load()?, &self.tenant, &anchors)?)
                    }
                };
                return verdict(&answer, global.output);
            }
            Action::Checkpoint => {
                let made = match remote {
                    Some(remote) => block_on(remote.json(remote.request(Method::POST, "/audit/checkpoints")))?,
                    None => json!(offline::checkpoint(&global.load()?, &self.tenant)?),
                };
                output::line(&made.to_string())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(items: &[Value], format: Format) -> Result<()> {
    let mut table = Table::new(COLUMNS);
    for item in items {
        let actor = match item["actor"]["name"].as_str() {
            Some(name) if !name.is_empty() => json!(name),
            _ => item["actor"]["kind"].clone(),
        };
        let row = COLUMNS.iter().map(|column| match *column {
            "actor" => actor.clone(),
            "details" => item["after"].clone(),
            column => item.get(column).cloned().unwrap_or(Value::Null),
        });
        table.push(row.collect());
    }
    Ok(output::print(&table, format)?)
}

fn verdict(answer: &Value, format: Format) -> Result<ExitCode> {
    let broken = answer["result"] == "broken";
    if format == Format::Table {
        output::line(&if broken {
            format!(
                "the trail is broken at entry {}: {}",
                answer["seq"],
                answer["problem"].as_str().unwrap_or_default()
            )
        } else {
            format!(
                "the trail is intact: {} entries, {} signed checkpoints, head {}",
                answer["entries"],
                answer["checkpoints"],
                answer["head"].as_str().unwrap_or_default()
            )
        })?;
    } else {
        output::line(&answer.to_string())?;
    }
    Ok(if broken { ExitCode::from(EXIT_WANTING) } else { ExitCode::SUCCESS })
}

fn read(file: &std::path::Path) -> Result<Vec<Checkpoint>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // A syslog server writes its own words before the message.
    let lines = text.lines().filter_map(|line| Some(&line[line.find('{')?..]));
    let parse = |line: &str| {
        let mut value: Value = serde_json::from_str(line)?;
        // The API writes times for people, the command line as microseconds; both are welcome.
        if let Some(time) = value["time"].as_str().and_then(guardian_model::Micros::parse) {
            value["time"] = json!(time);
        }
        Ok(serde_json::from_value(value)?)
    };
    let all: Result<Vec<Checkpoint>> = lines.map(parse).collect();
    let all = all.with_context(|| format!("{} holds something that is no checkpoint", file.display()))?;
    if all.is_empty() {
        bail!("{} holds no checkpoint: it proves nothing", file.display());
    }
    Ok(all)
}
