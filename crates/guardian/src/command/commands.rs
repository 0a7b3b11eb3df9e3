//! `guardian commands`: have hosts do something, and see what came of it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use super::policy::{table, text};
use crate::output::{self, Format};
use crate::remote::{Remote, block_on};

/// How often it is looked how far hosts have come.
const LOOK: Duration = Duration::from_millis(500);

/// Have hosts do something, and see what came of it.
#[derive(Args, Debug)]
pub(crate) struct Commands {
    #[command(subcommand)]
    action: Action,
}

/// Which hosts.
#[derive(Args, Debug, Default)]
pub(crate) struct Selection {
    /// Id of a host; may be given several times
    #[arg(long = "host", value_name = "ID")]
    hosts: Vec<String>,
    /// Those that are online, offline or never (connected)
    #[arg(long)]
    status: Option<String>,
    /// Those with this tag
    #[arg(long = "with-tag", value_name = "TAG")]
    tag: Option<String>,
    /// Those in this group
    #[arg(long = "in-group", value_name = "GROUP")]
    group: Option<String>,
    /// Those whose name, operating system, kernel or address contains this text
    #[arg(long)]
    search: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl Selection {
    /// As the API wants it.
    pub(crate) fn body(&self) -> Value {
        json!({
            "ids": self.hosts, "all": self.all, "status": self.status, "tag": self.tag, "group": self.group,
            "search": self.search,
        })
    }
}

/// How hosts are to do it.
#[derive(Args, Debug)]
struct Giving {
    #[command(flatten)]
    hosts: Selection,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Why, for the audit trail
    #[arg(long, default_value = "")]
    reason: String,
    /// How long it waits for hosts that are not there, in seconds [default: an hour]
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u32>,
    /// How long it may take on a host, in seconds [default: by the action]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Wait until all hosts have said what came of it
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Have hosts do something
    Give {
        /// What: a name without arguments (`recheck`, `report`), or JSON such as `{"kind": "block", "address": "192.0.2.1"}`
        action: String,
        #[command(flatten)]
        giving: Giving,
    },
    /// Look through files of hosts with rules of YARA-X, where its scanner lies beside the agent
    Yara {
        /// Files and folders, with all that is below
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<String>,
        /// The rules
        #[arg(long, value_name = "FILE")]
        rules: PathBuf,
        /// Leave out files larger than so many MiB [default: 64; at most 512]
        #[arg(long, value_name = "MIB")]
        max_mib: Option<u64>,
        #[command(flatten)]
        giving: Giving,
    },
    /// List commands, newest first
    List {
        /// Those for this host
        #[arg(long)]
        host: Option<String>,
        /// Most commands to list
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: u32,
    },
    /// Show a command, and how far each host has come
    Show {
        /// Id of the command
        id: String,
        /// Of this host alone, with all that it said
        #[arg(long)]
        host: Option<String>,
    },
    /// Take the evidence that a host collected: `collect` makes it, and it comes here by itself
    Evidence {
        /// Id of the command
        id: String,
        /// Id of the host; what there is is listed where none is named
        #[arg(long, requires = "to")]
        host: Option<String>,
        /// As the host sealed it, for `guardian-agent open-evidence`; else a tar archive under zstd
        #[arg(long, requires = "to")]
        sealed: bool,
        /// Where to write it; it must not be there yet
        #[arg(long, value_name = "FILE", requires = "host")]
        to: Option<PathBuf>,
    },
    /// Call a command off
    Cancel {
        /// Id of the command
        id: String,
    },
}

const COLUMNS: [&str; 7] = ["id", "kind", "author", "created", "hosts", "states", "reason"];
const PACK_COLUMNS: [&str; 8] = ["host", "host_name", "state", "bytes", "entries", "left_out", "hash", "text"];
const RUN_COLUMNS: [&str; 5] = ["host", "host_name", "state", "ended", "text"];

impl Commands {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        let get = |path: &str| block_on(remote.json(remote.request(Method::GET, path)));
        match self.action {
            Action::Give { action, giving } => return give(&remote, &named_or_json(&action)?, &giving, global),
            Action::Yara { paths, rules, max_mib, giving } => {
                let text = std::fs::read_to_string(&rules);
                let text = text.with_context(|| format!("cannot read the rules {}", rules.display()))?;
                let bytes_max = max_mib.unwrap_or_default().saturating_mul(1 << 20);
                let action = json!({"kind": "yara", "paths": paths, "rules": text, "bytes_max": bytes_max});
                return give(&remote, &action, &giving, global);
            }
            Action::List { host, limit } => {
                let limit = limit.to_string();
                let query = host.iter().map(|host| ("host", host.as_str())).chain([("limit", limit.as_str())]);
                let request = remote.request(Method::GET, "/commands").query(&query.collect::<Vec<_>>());
                let mut answer = block_on(remote.json(request))?;
                if global.output == Format::Table {
                    for item in answer["items"].as_array_mut().into_iter().flatten() {
                        item["states"] = json!(states(item));
                    }
                }
                output::print(&table(&answer["items"], &COLUMNS), global.output)?;
            }
            Action::Show { id, host: Some(host) } => {
                let run = get(&format!("/commands/{id}/hosts/{host}"))?;
                output::line(&serde_json::to_string_pretty(&run)?)?;
            }
            Action::Show { id, host: None } => {
                let command = get(&format!("/commands/{id}"))?;
                return show(&remote, &command, global, true);
            }
            Action::Evidence { id, host: Some(host), sealed, to: Some(to) } => {
                block_on(take(&remote, &format!("/commands/{id}/hosts/{host}/evidence"), sealed, &to))?;
            }
            Action::Evidence { id, .. } => {
                let answer = get(&format!("/commands/{id}/evidence"))?;
                output::print(&table(&answer["items"], &PACK_COLUMNS), global.output)?;
            }
            Action::Cancel { id } => {
                let request = remote.request(Method::POST, &format!("/commands/{id}/cancel"));
                let command = block_on(remote.json(request))?;
                output::note(&format!("called off; {}", states(&command)));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn give(remote: &Remote, action: &Value, giving: &Giving, global: &Global) -> Result<ExitCode> {
    let body = json!({
        "action": action, "hosts": giving.hosts.body(), "dry_run": giving.dry_run, "reason": giving.reason,
        "wait_s": giving.wait, "timeout_s": giving.timeout,
    });
    let mut made = block_on(remote.json(remote.request(Method::POST, "/commands").json(&body)))?;
    let path = format!("/commands/{}", text(&made, "id"));
    while giving.follow && made["ended"] != true {
        std::thread::sleep(LOOK);
        made = block_on(remote.json(remote.request(Method::GET, &path)))?;
    }
    show(remote, &made, global, giving.follow)
}

fn named_or_json(action: &str) -> Result<Value> {
    if action.trim_start().starts_with('{') {
        return serde_json::from_str(action).context("the action is no JSON");
    }
    Ok(json!({"kind": action}))
}

/// Writes evidence to a file piece by piece, which is deleted again if it does not come whole.
pub(super) async fn take(remote: &Remote, path: &str, sealed: bool, to: &Path) -> Result<()> {
    let form = if sealed { "sealed" } else { "opened" };
    let mut answer = remote.send(remote.request(Method::GET, path).query(&[("form", form)])).await?;
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(to).with_context(|| format!("cannot write {}", to.display()))?;
    let mut bytes = 0;
    let whole = async {
        while let Some(piece) = answer.chunk().await.context("the evidence broke off")? {
            file.write_all(&piece)?;
            bytes += piece.len();
        }
        Ok::<_, anyhow::Error>(file.sync_all()?)
    };
    if let Err(error) = whole.await {
        std::fs::remove_file(to).ok();
        return Err(error);
    }
    output::note(&format!("{bytes} bytes written to {}", to.display()));
    Ok(())
}

fn states(command: &Value) -> String {
    let states = command["states"].as_object().into_iter().flatten();
    states.map(|(state, hosts)| format!("{hosts} {state}")).collect::<Vec<_>>().join(", ")
}

/// Shows a command with its hosts. Exit code 3 where one of them did not do it.
fn show(remote: &Remote, command: &Value, global: &Global, with_hosts: bool) -> Result<ExitCode> {
    let mut command = command.clone();
    let mut runs = Vec::new();
    let mut cursor: Option<String> = None;
    while with_hosts {
        let path = format!("/commands/{}/hosts", text(&command, "id"));
        let mut query = vec![("limit", "500".to_owned())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let answer = block_on(remote.json(remote.request(Method::GET, &path).query(&query)))?;
        runs.extend(answer["items"].as_array().cloned().unwrap_or_default());
        cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let fell_short = ["failed", "refused", "expired"].iter().any(|state| !command["states"][*state].is_null());
    if global.output == Format::Table {
        output::print(&table(&json!(runs), &RUN_COLUMNS), global.output)?;
        output::note(&format!("{}: {}; {}", text(&command, "id"), text(&command, "kind"), states(&command)));
    } else {
        command["runs"] = json!(runs);
        output::line(&command.to_string())?;
    }
    Ok(if fell_short { ExitCode::from(super::EXIT_WANTING) } else { ExitCode::SUCCESS })
}
