//! `guardian software`: what is installed on the fleet, and where.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::Global;
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

/// Rows asked for at once.
const PAGE: usize = 1_000;

/// List the software of all hosts, or the hosts that have one.
#[derive(Args, Debug)]
pub(crate) struct Software {
    /// Show the hosts that have the software of this name
    name: Option<String>,
    /// Only this version of it
    #[arg(long, requires = "name")]
    version_is: Option<String>,
    /// What manages it: dpkg, rpm, apk, npm, python and so on
    #[arg(long)]
    kind: Option<String>,
    /// Software whose name or source package contains this text
    #[arg(long, conflicts_with = "name")]
    search: Option<String>,
    /// Order: name, or hosts for what most hosts have first
    #[arg(long, conflicts_with = "name")]
    sort: Option<String>,
    /// Most rows to list
    #[arg(short = 'n', long, default_value_t = 500)]
    limit: usize,
}

impl Software {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        match &self.name {
            Some(name) => self.hosts(&remote, name, global),
            None => self.list(&remote, global),
        }
    }

    fn hosts(&self, remote: &Remote, name: &str, global: &Global) -> Result<ExitCode> {
        let mut query = vec![("name", name)];
        query.extend(self.kind.as_deref().map(|kind| ("kind", kind)));
        query.extend(self.version_is.as_deref().map(|version| ("version", version)));
        let answer = block_on(remote.json(remote.request(Method::GET, "/software/hosts").query(&query)))?;
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        let columns = ["host_id", "host", "status", "kind", "version", "architecture"];
        let mut table = Table::new(columns);
        for item in items.iter().take(self.limit) {
            table.push(columns.iter().map(|column| item[*column].clone()).collect());
        }
        output::print(&table, global.output)?;
        if items.is_empty() && global.output == Format::Table {
            output::note(&format!("no host has `{name}`; --search finds names that contain a text"));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self, remote: &Remote, global: &Global) -> Result<ExitCode> {
        let (mut items, mut cursor): (Vec<Value>, Option<String>) = (Vec::new(), None);
        loop {
            let limit = PAGE.min(self.limit - items.len()).to_string();
            let mut query = vec![("limit", limit.as_str())];
            match &cursor {
                Some(cursor) => query.push(("cursor", cursor)),
                None => {
                    let given = [("search", &self.search), ("kind", &self.kind), ("sort", &self.sort)];
                    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
                }
            }
            let answer = block_on(remote.json(remote.request(Method::GET, "/software").query(&query)))?;
            items.extend(answer["items"].as_array().cloned().unwrap_or_default());
            cursor = answer["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() || items.len() >= self.limit {
                break;
            }
        }
        let mut table = Table::new(["kind", "name", "hosts", "versions", "licences"]);
        for item in &items {
            let versions = item["versions"].as_array().into_iter().flatten();
            let shown = |v: &Value| format!("{} ({})", v["version"].as_str().unwrap_or_default(), v["hosts"]);
            let versions = match global.output {
                Format::Table => versions.map(shown).collect::<Vec<_>>().join(", ").into(),
                _ => item["versions"].clone(),
            };
            let cells = ["kind", "name", "hosts"].map(|column| item[column].clone()).into_iter();
            table.push(cells.chain([versions, item["licences"].clone()]).collect());
        }
        output::print(&table, global.output)?;
        Ok(ExitCode::SUCCESS)
    }
}
