//! `guardian exporters`: who sends us flows, and what was lost on the way.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::Global;
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

/// List exporters with their state and loss counters; docs/loss.md says what each counter means.
#[derive(Args, Debug)]
pub(crate) struct Exporters {
    /// All counters instead of the ones people look at first
    #[arg(long)]
    all: bool,
}

const FIRST: &[&str] = &["exporter", "domain", "protocol", "state", "flows", "packets", "lost", "errors", "last_seen"];

impl Exporters {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        let answer = block_on(remote.json(remote.request(Method::GET, "/exporters")))?;
        let items = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut columns: Vec<String> = FIRST.iter().map(|c| (*c).to_owned()).collect();
        if self.all {
            let counters = items.iter().filter_map(|i| i.get("counters")?.as_object()).flat_map(|c| c.keys().cloned());
            for key in counters {
                if !columns.contains(&key) {
                    columns.push(key);
                }
            }
        }
        let mut table = Table::new(columns.clone());
        for item in &items {
            let cell = |c: &String| item.get(c).or_else(|| item.pointer(&format!("/counters/{c}")));
            table.push(columns.iter().map(|c| cell(c).cloned().unwrap_or(Value::Null)).collect());
        }
        output::print(&table, global.output)?;
        if items.is_empty() && global.output == Format::Table {
            output::note("no exporter has sent anything yet; docs/exporters.md shows how to point a router here");
        }
        Ok(ExitCode::SUCCESS)
    }
}
