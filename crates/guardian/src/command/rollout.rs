//! `guardian agent rollout`: have hosts get a release of the agent, in stages that must prove themselves.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use super::policy::{table, text};
use crate::output::{self, Format};
use crate::remote::{Remote, block_on};

/// How often it is looked how far hosts have come.
const LOOK: Duration = Duration::from_millis(500);

/// What is done about rollouts.
#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Start one; without stages every host gets it at once
    Start {
        /// The version
        version: String,
        /// A stage: `group=NAME,percent=N,wait=SECONDS` with one of them at least, or `filter=EXPRESSION`; may be given
        /// several times, in order
        #[arg(long = "stage", value_name = "STAGE")]
        stages: Vec<String>,
        /// How many in a hundred hosts of a stage must come back with it [default: 95]
        #[arg(long, value_name = "PERCENT")]
        success: Option<u8>,
        /// Within which time, in seconds [default: half an hour]
        #[arg(long, value_name = "SECONDS")]
        within: Option<u32>,
        /// How long the new program has on a host to reach the server, in seconds [default: 120]
        #[arg(long, value_name = "SECONDS")]
        prove_within: Option<u32>,
        /// KiB a second that a host fetches at most; 0 for no limit [default: 2048]
        #[arg(long, value_name = "KIB")]
        rate: Option<u64>,
        /// Hosts that may be at it at once [default: 50]
        #[arg(long, value_name = "HOSTS")]
        at_once: Option<u32>,
        /// Hosts that have it keep it where the rollout fails
        #[arg(long)]
        keep: bool,
        /// Try it too where it was rolled back before
        #[arg(long)]
        again: bool,
        /// Wait until it has come to its end, or stands still
        #[arg(long)]
        follow: bool,
    },
    /// List rollouts, the newest first
    List,
    /// Show one, and how far each host is
    Show {
        /// Its id, or `last`
        #[arg(default_value = "last")]
        rollout: String,
        /// Wait until it has come to its end, or stands still
        #[arg(long)]
        follow: bool,
    },
    /// Let no more hosts begin
    Pause(Decision),
    /// Go on with one that was paused, or has failed
    Resume(Decision),
    /// End one; hosts that have the release keep it
    Abort(Decision),
    /// End one, and have hosts that have the release go back
    RollBack(Decision),
}

/// About which rollout, and why.
#[derive(clap::Args, Debug)]
pub(crate) struct Decision {
    /// Its id, or `last`
    #[arg(default_value = "last")]
    rollout: String,
    /// Why, for the audit trail
    #[arg(long, default_value = "")]
    reason: String,
}

const COLUMNS: [&str; 8] = ["id", "release_version", "state", "stage", "hosts", "author", "created", "reason"];
const HOST_COLUMNS: [&str; 7] = ["host", "host_name", "stage", "state", "from_version", "fetched", "text"];

impl Rollout {
    pub(crate) fn run(self, remote: &Remote, global: &Global) -> Result<ExitCode> {
        match self {
            Self::Start { version, stages, success, within, prove_within, rate, at_once, keep, again, follow } => {
                let stages = stages.iter().map(|text| stage(text)).collect::<Result<Vec<_>>>()?;
                let stages = if stages.is_empty() { vec![json!({"percent": 100})] } else { stages };
                let body = json!({
                    "release_version": version, "stages": stages, "success_percent": success, "within_s": within,
                    "prove_within_s": prove_within, "bytes_per_s": rate.map(|kib| kib.saturating_mul(1 << 10)),
                    "at_once": at_once, "roll_back": !keep, "again": again,
                });
                let made = block_on(remote.json(remote.request(Method::POST, "/rollouts").json(&body)))?;
                show(remote, made, follow, global)
            }
            Self::List => {
                let answer = block_on(remote.json(remote.request(Method::GET, "/rollouts")))?;
                output::print(&table(&answer["items"], &COLUMNS), global.output)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Show { rollout, follow } => {
                let found = found(remote, &rollout)?;
                show(remote, found, follow, global)
            }
            Self::Pause(decision) => decide(remote, "pause", &decision, global),
            Self::Resume(decision) => decide(remote, "resume", &decision, global),
            Self::Abort(decision) => decide(remote, "abort", &decision, global),
            Self::RollBack(decision) => decide(remote, "roll_back", &decision, global),
        }
    }
}

/// A stage as it is written on the command line.
fn stage(text: &str) -> Result<Value> {
    if let Some(filter) = text.strip_prefix("filter=") {
        return Ok(json!({"filter": filter, "percent": 100}));
    }
    let mut stage = json!({"percent": 100});
    for part in text.split(',') {
        let (name, value) = part.split_once('=').with_context(|| format!("`{part}` is not NAME=VALUE"))?;
        let number = || value.parse::<u32>().with_context(|| format!("`{value}` is no number"));
        match name.trim() {
            "group" => stage["group"] = json!(value),
            "percent" => stage["percent"] = json!(number()?),
            "wait" => stage["wait_s"] = json!(number()?),
            other => bail!("`{other}` is not group, percent, wait or filter"),
        }
    }
    Ok(stage)
}

fn found(remote: &Remote, id: &str) -> Result<Value> {
    if id != "last" {
        return block_on(remote.json(remote.request(Method::GET, &format!("/rollouts/{id}"))));
    }
    let mut answer = block_on(remote.json(remote.request(Method::GET, "/rollouts")))?;
    let first = answer["items"].get_mut(0).map(Value::take);
    first.context("there was no rollout yet")
}

fn decide(remote: &Remote, action: &str, decision: &Decision, global: &Global) -> Result<ExitCode> {
    let id = text(&found(remote, &decision.rollout)?, "id").to_owned();
    let body = json!({"action": action, "reason": decision.reason});
    let request = remote.request(Method::POST, &format!("/rollouts/{id}/decide")).json(&body);
    let now = block_on(remote.json(request))?;
    if global.output == Format::Table {
        output::note(&line(&now));
    } else {
        output::line(&now.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How a rollout stands, in a line.
fn line(rollout: &Value) -> String {
    let stages = rollout["stages"].as_array().into_iter().flatten().enumerate().map(|(at, stage)| {
        let states = stage["states"].as_object().into_iter().flatten();
        let states: Vec<String> = states.map(|(state, hosts)| format!("{hosts} {state}")).collect();
        format!("stage {}: {}", at + 1, if states.is_empty() { "no host".to_owned() } else { states.join(", ") })
    });
    let (version, state, reason) = (text(rollout, "release_version"), text(rollout, "state"), text(rollout, "reason"));
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    format!("{version} is {state}{reason}; {}", stages.collect::<Vec<_>>().join("; "))
}

/// Whether hosts go back just now.
fn goes_back(rollout: &Value) -> bool {
    let stages = rollout["stages"].as_array().into_iter().flatten();
    stages.into_iter().any(|stage| !stage["states"]["going_back"].is_null())
}

/// Shows a rollout with its hosts. Exit code 3 where it failed.
fn show(remote: &Remote, mut rollout: Value, follow: bool, global: &Global) -> Result<ExitCode> {
    let path = format!("/rollouts/{}", text(&rollout, "id"));
    let mut last = String::new();
    while follow && (rollout["state"] == "running" || goes_back(&rollout)) {
        let now = line(&rollout);
        if global.output == Format::Table && now != last {
            output::note(&now);
        }
        last = now;
        std::thread::sleep(LOOK);
        rollout = block_on(remote.json(remote.request(Method::GET, &path)))?;
    }
    let mut hosts = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("limit", "500".to_owned())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let request = remote.request(Method::GET, &format!("{path}/hosts")).query(&query);
        let answer = block_on(remote.json(request))?;
        hosts.extend(answer["items"].as_array().cloned().unwrap_or_default());
        cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let failed = rollout["state"] == "failed";
    if global.output == Format::Table {
        output::print(&table(&json!(hosts), &HOST_COLUMNS), global.output)?;
        output::note(&line(&rollout));
    } else {
        rollout["host_list"] = json!(hosts);
        output::line(&rollout.to_string())?;
    }
    Ok(if failed { ExitCode::from(super::EXIT_WANTING) } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read() {
        assert_eq!(stage("percent=10").unwrap(), json!({"percent": 10}));
        assert_eq!(stage("group=canary,wait=60").unwrap(), json!({"percent": 100, "group": "canary", "wait_s": 60}));
        assert_eq!(stage("filter=tag = a, b").unwrap()["filter"], "tag = a, b");
        for wrong in ["canary", "percent=x", "size=1", ""] {
            assert!(stage(wrong).is_err(), "{wrong}");
        }
    }
}
