//! `guardian policy`: what agents do.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

/// Write policies for agents, and say for which groups of hosts they hold; docs/agent.md shows how.
#[derive(Args, Debug)]
pub(crate) struct Policy {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List policies
    List,
    /// Show a policy
    Show {
        /// Its id or name
        policy: String,
    },
    /// Show everything that a policy may say, with the defaults
    Defaults,
    /// Make a policy
    Create {
        /// Its name
        name: String,
        /// JSON file with what it says; `-` for the standard input
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Change what a policy says; hosts run it within seconds
    Update {
        /// Its id or name
        policy: String,
        /// JSON file with what it says from now on; `-` for the standard input
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        /// About this version
        #[arg(long)]
        comment: Option<String>,
    },
    /// Take a policy away that is assigned to nothing
    Delete {
        /// Its id or name
        policy: String,
    },
    /// List what a policy said
    Versions {
        /// Its id or name
        policy: String,
    },
    /// Show which policies hold for which groups, in order: what stands later replaces what was said before
    Order,
    /// Have a policy hold for a group, behind all others
    Assign {
        /// Its id or name
        policy: String,
        /// Id or name of the group [default: every host]
        #[arg(long)]
        group: Option<String>,
        /// At this place instead, from 1
        #[arg(long)]
        place: Option<usize>,
    },
    /// Have a policy hold for a group no longer
    Unassign {
        /// Its id or name
        policy: String,
        /// Id or name of the group [default: every host]
        #[arg(long)]
        group: Option<String>,
    },
    /// Show what holds for a host, and where each value comes from
    Host {
        /// Id of the host
        id: String,
    },
}

const COLUMNS: [&str; 6] = ["id", "name", "version", "description", "author", "updated"];

impl Policy {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        match self.action {
            Action::List => {
                let answer = block_on(remote.json(remote.request(Method::GET, "/policies")))?;
                output::print(&table(&answer["items"], &COLUMNS), global.output)?;
            }
            Action::Show { policy } => pretty(&found(&remote, "/policies", &policy)?)?,
            Action::Defaults => pretty(&block_on(remote.json(remote.request(Method::GET, "/policies/defaults")))?)?,
            Action::Create { name, file, description } => {
                let body = json!({"name": name, "description": description, "document": document(&file)?});
                let made = block_on(remote.json(remote.request(Method::POST, "/policies").json(&body)))?;
                told(&made, global, "made; it holds for nobody until it is assigned")?;
            }
            Action::Update { policy, file, comment } => {
                let before = found(&remote, "/policies", &policy)?;
                let body = json!({
                    "version": before["version"], "name": before["name"], "description": before["description"],
                    "document": document(&file)?, "comment": comment,
                });
                let path = format!("/policies/{}", text(&before, "id"));
                let now = block_on(remote.json(remote.request(Method::PUT, &path).json(&body)))?;
                told(&now, global, &format!("is at version {}", now["version"]))?;
            }
            Action::Delete { policy } => {
                let before = found(&remote, "/policies", &policy)?;
                let path = format!("/policies/{}", text(&before, "id"));
                block_on(remote.send(remote.request(Method::DELETE, &path)))?;
                output::note(&format!("{} is gone", text(&before, "name")));
            }
            Action::Versions { policy } => {
                let id = text(&found(&remote, "/policies", &policy)?, "id").to_owned();
                let path = format!("/policies/{id}/versions");
                let answer = block_on(remote.json(remote.request(Method::GET, &path)))?;
                output::print(&table(&answer["items"], &["version", "author", "created", "comment"]), global.output)?;
            }
            Action::Order => order(&remote, global)?,
            Action::Assign { policy, group, place } => {
                assign(&remote, &policy, group.as_deref(), Some(place))?;
                order(&remote, global)?;
            }
            Action::Unassign { policy, group } => {
                assign(&remote, &policy, group.as_deref(), None)?;
                order(&remote, global)?;
            }
            Action::Host { id } => host(&remote, &id, global)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn document(file: &Path) -> Result<Value> {
    let read =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    let text = read.with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn pretty(value: &Value) -> Result<()> {
    Ok(output::line(&serde_json::to_string_pretty(value)?)?)
}

pub(super) fn told(made: &Value, global: &Global, what: &str) -> Result<()> {
    if global.output == Format::Table {
        output::note(&format!("{} {what}", text(made, "name")));
    } else {
        output::line(&made.to_string())?;
    }
    Ok(())
}

pub(super) fn table(items: &Value, columns: &[&str]) -> Table {
    let mut table = Table::new(columns.iter().copied());
    for item in items.as_array().into_iter().flatten() {
        table.push(columns.iter().map(|column| item.get(column).cloned().unwrap_or(Value::Null)).collect());
    }
    table
}

/// The one of a list with this id or name.
pub(super) fn found(remote: &Remote, path: &str, wanted: &str) -> Result<Value> {
    let answer = block_on(remote.json(remote.request(Method::GET, path)))?;
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    let fits = |item: &Value| text(item, "id") == wanted || text(item, "name") == wanted;
    items.into_iter().find(fits).with_context(|| format!("there is no `{wanted}`"))
}

fn order(remote: &Remote, global: &Global) -> Result<()> {
    let get = |path: &str| block_on(remote.json(remote.request(Method::GET, path)));
    let (order, policies, groups) = (get("/policy-order")?, get("/policies")?, get("/host-groups")?);
    let name = |all: &Value, id: &Value| {
        let found = all["items"].as_array().into_iter().flatten().find(|one| one["id"] == *id);
        found.map_or_else(|| id.clone(), |one| one["name"].clone())
    };
    let mut table = Table::new(["place", "policy", "group"]);
    for (i, item) in order["items"].as_array().into_iter().flatten().enumerate() {
        let group = if item["group"].is_null() { json!("(every host)") } else { name(&groups, &item["group"]) };
        table.push(vec![json!(i + 1), name(&policies, &item["policy"]), group]);
    }
    Ok(output::print(&table, global.output)?)
}

/// Puts an assignment at a place (behind all others where none is named), or takes it away.
fn assign(remote: &Remote, policy: &str, group: Option<&str>, place: Option<Option<usize>>) -> Result<()> {
    let policy = found(remote, "/policies", policy)?["id"].clone();
    let group =
        group.map(|group| found(remote, "/host-groups", group)).transpose()?.map_or(Value::Null, |g| g["id"].clone());
    let order = block_on(remote.json(remote.request(Method::GET, "/policy-order")))?;
    let mut items = order["items"].as_array().cloned().unwrap_or_default();
    let before = items.len();
    items.retain(|item| item["policy"] != policy || item["group"] != group);
    match place {
        Some(place) => {
            let at = place.map_or(items.len(), |place| place.saturating_sub(1).min(items.len()));
            items.insert(at, json!({"policy": policy, "group": group}));
        }
        None if items.len() == before => bail!("this policy does not hold for that group"),
        None => {}
    }
    let body = json!({"version": order["version"], "items": items});
    block_on(remote.json(remote.request(Method::PUT, "/policy-order").json(&body)))?;
    Ok(())
}

fn host(remote: &Remote, id: &str, global: &Global) -> Result<()> {
    let answer = block_on(remote.json(remote.request(Method::GET, &format!("/hosts/{id}/policy"))))?;
    if global.output != Format::Table {
        return Ok(output::line(&answer.to_string())?);
    }
    let mut table = Table::new(["name", "value", "origin", "policy", "version", "group"]);
    for value in answer["values"].as_array().into_iter().flatten() {
        let shown = if value["value"].is_object() { json!(value["value"].to_string()) } else { value["value"].clone() };
        let cell = |name: &str| value[name].clone();
        table.push(vec![
            cell("name"),
            shown,
            cell("origin"),
            cell("policy_name"),
            cell("policy_version"),
            cell("group"),
        ]);
    }
    output::print(&table, global.output)?;
    let state = &answer["state"];
    output::note(&format!("policy {}: {}", state["version"], text(state, "state")));
    for complaint in state["complaints"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::note(complaint);
    }
    Ok(())
}
