//! `guardian hosts baselines`: what the files of a host were, as the server keeps it.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use super::policy::table;
use crate::output::{self, Table};
use crate::remote::{Remote, block_on};

const COLUMNS: [&str; 8] = ["number", "made", "root", "folders", "folders_changed", "replaced", "kept", "bytes"];
const FILES: [&str; 8] = ["mode", "uid", "gid", "size", "modified", "path", "target", "sha256"];
/// What is not as the server signed it is told by.
const BROKEN: u8 = 3;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  guardian hosts baselines ID                        which there are, the newest first\n  guardian hosts baselines ID 4 --path /etc/ssh      the files there as they were\n  guardian hosts baselines ID 4 --changes --since 1  what differs between two\n  guardian hosts baselines ID 4 --verify             the signature, and every block against it"
)]
pub(super) struct Baselines {
    /// Id of the host
    id: String,
    /// Number of one of its baselines
    number: Option<u64>,
    /// The files in this folder, or this file, as they were; with --changes only what differs there
    #[arg(long, requires = "number", value_name = "PATH")]
    path: Option<String>,
    /// What differs from the baseline before, or from that of --since
    #[arg(long, requires = "number")]
    changes: bool,
    /// Number of the older baseline
    #[arg(long, requires = "changes", value_name = "NUMBER")]
    since: Option<u64>,
    /// Check the signature, and everything that is kept against it; exit code 3 if something is not as it was signed
    #[arg(long, requires = "number", conflicts_with_all = ["path", "changes"])]
    verify: bool,
}

impl Baselines {
    pub(super) fn run(&self, remote: &Remote, global: &Global) -> Result<ExitCode> {
        let all = format!("/hosts/{}/baselines", self.id);
        let get = |path: &str, query: &[(&str, String)]| {
            block_on(remote.json(remote.request(Method::GET, path).query(query)))
        };
        let Some(number) = self.number else {
            let answer = get(&all, &[])?;
            output::print(&table(&answer["items"], &COLUMNS), global.output)?;
            return Ok(ExitCode::SUCCESS);
        };
        let one = format!("{all}/{number}");
        if self.verify {
            let proof = get(&format!("{one}/proof"), &[])?;
            output::line(&serde_json::to_string_pretty(&proof)?)?;
            let sound = ["signature_valid", "content_valid", "follows"].iter().all(|name| proof[*name] != false);
            return Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) });
        }
        let path = self.path.iter().map(|path| ("path", path.clone()));
        if self.changes {
            let since = self.since.iter().map(|since| ("since", since.to_string()));
            let query: Vec<_> = path.chain(since).collect();
            let answer = get(&format!("{one}/changes"), &query)?;
            let mut table = Table::new(["change", "path", "differs", "before", "now"]);
            for item in answer["items"].as_array().into_iter().flatten() {
                table.push(row(item));
            }
            output::print(&table, global.output)?;
            told_if_more(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        if self.path.is_some() {
            let answer = get(&format!("{one}/files"), &path.collect::<Vec<_>>())?;
            output::print(&table(&answer["items"], &FILES), global.output)?;
            told_if_more(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let answer = get(&all, &[("below", (number + 1).to_string()), ("limit", "1".to_owned())])?;
        match answer["items"][0]["number"].as_u64() {
            Some(found) if found == number => output::line(&serde_json::to_string_pretty(&answer["items"][0])?)?,
            _ => bail!("this host has no baseline {number}: `guardian hosts baselines {}` lists those it has", self.id),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn told_if_more(answer: &Value) {
    if answer["more"] == true {
        output::note("there are more: name a path below this one");
    }
}

/// A difference in one line: of content its hashes, of other things their values.
fn row(item: &Value) -> Vec<Value> {
    let properties: Vec<&str> = item["properties"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let side = |side: &Value| {
        let word = |property: &&str| match *property {
            "content" => side["sha256"]
                .as_str()
                .or(side["blake3"].as_str())
                .map(|hash| hash.get(..16).unwrap_or(hash).to_owned()),
            "owner" => Some(format!("{}:{}", side["uid"], side["gid"])),
            "attributes" => {
                Some(side["attributes"].as_array()?.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
            }
            other => side[other].as_str().map(str::to_owned).or_else(|| Some(side[other].to_string())),
        };
        if side.is_null() {
            Value::Null
        } else {
            json!(properties.iter().filter_map(word).collect::<Vec<_>>().join(", "))
        }
    };
    vec![
        item["change"].clone(),
        item["path"].clone(),
        json!(properties.join(",")),
        side(&item["before"]),
        side(&item["now"]),
    ]
}
