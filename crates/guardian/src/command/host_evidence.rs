//! `guardian hosts carve` and `guardian hosts evidence`: files of a host as evidence, and what there is of it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use reqwest::Method;
use serde_json::json;

use super::Global;
use super::commands::take;
use super::policy::{table, text};
use crate::output;
use crate::remote::{Remote, block_on};

const COLUMNS: [&str; 8] = ["id", "state", "carve", "bytes", "raw_bytes", "told", "hash", "text"];

#[derive(Args, Debug)]
pub(super) struct Carve {
    /// Id of the host; osquery speaks for it
    id: String,
    /// Path of the file; `%` stands for what is within one name, `%%` as the last part for everything below
    path: String,
    /// Why, for the audit trail
    #[arg(long, default_value = "")]
    reason: String,
    /// How long it waits for a host that is not there, in seconds
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u32>,
}

impl Carve {
    pub(super) fn run(&self, remote: &Remote) -> Result<ExitCode> {
        let how = if self.path.contains('%') { "LIKE" } else { "=" };
        let sql = format!("SELECT * FROM carves WHERE path {how} '{}' AND carve = 1", self.path.replace('\'', "''"));
        let body = json!({
            "sql": sql, "hosts": {"ids": [self.id]}, "reason": self.reason, "wait_s": self.wait,
        });
        let made = block_on(remote.json(remote.request(Method::POST, "/live-queries").json(&body)))?;
        output::line(text(&made, "id"))?;
        output::note(&format!(
            "asked; osquery begins within a minute or two: `guardian hosts evidence {}` shows what came",
            self.id
        ));
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args, Debug)]
pub(super) struct Evidence {
    /// Id of the host
    id: String,
    /// Id of one of its packs
    pack: Option<String>,
    /// Write it there; nothing may be there yet
    #[arg(long, value_name = "FILE", requires = "pack")]
    to: Option<PathBuf>,
    /// As it is kept, for `guardian-agent open-evidence`; else a tar archive under zstd
    #[arg(long, requires = "to")]
    sealed: bool,
    /// Remove it, for this reason; that it was there stays
    #[arg(long, value_name = "REASON", requires = "pack", conflicts_with = "to")]
    remove: Option<String>,
}

impl Evidence {
    pub(super) fn run(&self, remote: &Remote, global: &Global) -> Result<ExitCode> {
        let all = format!("/hosts/{}/evidence", self.id);
        match (&self.pack, &self.to, &self.remove) {
            (Some(pack), Some(to), _) => block_on(take(remote, &format!("{all}/{pack}"), self.sealed, to))?,
            (Some(pack), None, Some(reason)) => {
                let request = remote.request(Method::DELETE, &format!("{all}/{pack}")).query(&[("reason", reason)]);
                block_on(remote.send(request))?;
                output::note("the evidence is removed");
            }
            (pack, ..) => {
                let mut answer = block_on(remote.json(remote.request(Method::GET, &all)))?;
                if let (Some(pack), Some(items)) = (pack, answer["items"].as_array_mut()) {
                    items.retain(|item| item["id"] == pack.as_str());
                }
                output::print(&table(&answer["items"], &COLUMNS), global.output)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
