//! `guardian hosts`: machines with an agent.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::commands::Selection;
use super::host_baselines::Baselines;
use super::host_comparison::Compare;
use super::host_evidence::{Carve, Evidence};
use super::{Global, inventory};
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

/// List hosts, shut them out, take them off the list; docs/agent.md shows how to add one.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Hosts {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Args, Debug, Default)]
struct Filter {
    /// Those that are online, offline, never (connected) or revoked
    #[arg(long)]
    status: Option<String>,
    /// Those with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Those in this group
    #[arg(long)]
    group: Option<String>,
    /// Those whose name, operating system, kernel or address contains this text
    #[arg(long)]
    search: Option<String>,
    /// Order: name, last_seen, enrolled, version or os; a leading `-` reverses
    #[arg(long, allow_hyphen_values = true)]
    sort: Option<String>,
    /// Most hosts to list
    #[arg(short = 'n', long, default_value_t = 500)]
    limit: usize,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show one host
    Show {
        /// Id of the host
        id: String,
    },
    /// Give hosts a tag
    Tag {
        /// The tag
        tag: String,
        #[command(flatten)]
        hosts: Selection,
    },
    /// Take a tag from hosts
    Untag {
        /// The tag
        tag: String,
        #[command(flatten)]
        hosts: Selection,
    },
    /// Put hosts into a group, or take them out of it
    Group {
        /// The group, by name
        name: String,
        /// Take them out
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        hosts: Selection,
    },
    /// Show what a host has: which lists there are, or one of them
    Inventory {
        /// Id of the host
        id: String,
        /// The list: packages, services, users and so on
        list: Option<String>,
        /// Only entries in which this text stands
        #[arg(long)]
        search: Option<String>,
    },
    /// Show what appeared, went or changed on a host
    Changes {
        /// Id of the host
        id: String,
        /// Of this list only
        list: Option<String>,
        /// Most changes to list
        #[arg(short = 'n', long, default_value_t = 100)]
        limit: usize,
    },
    /// Put hosts side by side: what is different in their lists
    Compare(Compare),
    /// Show what the files of a host were, as the server keeps and signs it
    Baselines(Baselines),
    /// Ask osquery on a host for files; they come as evidence
    Carve(Carve),
    /// List the evidence of a host, take it, or remove it
    Evidence(Evidence),
    /// Shut a host out, at once and for good
    Revoke {
        /// Id of the host
        id: String,
    },
    /// Take a host off the list; its events stay
    Delete {
        /// Id of the host
        id: String,
    },
}

const COLUMNS: [&str; 8] = ["id", "name", "status", "os", "agent_version", "address", "tags", "last_seen"];
/// Hosts asked for at once.
const PAGE: usize = 500;

impl Hosts {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        let one = |method: Method, path: String| block_on(remote.json(remote.request(method, &path)));
        match self.action {
            None => return list(&remote, &self.filter, global),
            Some(Action::Show { id }) => {
                let host = one(Method::GET, format!("/hosts/{id}"))?;
                output::line(&serde_json::to_string_pretty(&host)?)?;
            }
            Some(Action::Tag { tag, hosts }) => label(&remote, "add_tags", &tag, &hosts)?,
            Some(Action::Untag { tag, hosts }) => label(&remote, "remove_tags", &tag, &hosts)?,
            Some(Action::Group { name, remove, hosts }) => {
                label(&remote, if remove { "remove_groups" } else { "add_groups" }, &name, &hosts)?;
            }
            Some(Action::Inventory { id, list, search }) => {
                return inventory::show(&remote, &id, list.as_deref(), search.as_deref(), global);
            }
            Some(Action::Changes { id, list, limit }) => {
                return inventory::changes(&remote, &id, list.as_deref(), limit, global);
            }
            Some(Action::Compare(compare)) => return compare.run(&remote, global),
            Some(Action::Baselines(baselines)) => return baselines.run(&remote, global),
            Some(Action::Carve(carve)) => return carve.run(&remote),
            Some(Action::Evidence(evidence)) => return evidence.run(&remote, global),
            Some(Action::Revoke { id }) => {
                let host = one(Method::POST, format!("/hosts/{id}/revoke"))?;
                let name = host["name"].as_str().unwrap_or_default();
                output::note(&format!("{name} is shut out; enrol it again to let it in"));
            }
            Some(Action::Delete { id }) => {
                block_on(remote.send(remote.request(Method::DELETE, &format!("/hosts/{id}"))))?;
                output::note("the host is off the list");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn label(remote: &Remote, what: &str, word: &str, hosts: &Selection) -> Result<()> {
    let mut body = json!({"hosts": hosts.body()});
    body[what] = json!([word]);
    let done = block_on(remote.json(remote.request(Method::POST, "/hosts/labels").json(&body)))?;
    output::note(&format!("{} of {} hosts are changed", done["changed"], done["hosts"]));
    Ok(())
}

fn list(remote: &Remote, filter: &Filter, global: &Global) -> Result<ExitCode> {
    let mut items: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let limit = PAGE.min(filter.limit - items.len()).to_string();
        let mut query: Vec<(&str, &str)> = vec![("limit", &limit)];
        let fields =
            [("status", &filter.status), ("tag", &filter.tag), ("group", &filter.group), ("search", &filter.search)];
        match &cursor {
            Some(cursor) => query.push(("cursor", cursor)),
            None => {
                let given = fields.into_iter().chain([("sort", &filter.sort)]);
                query.extend(given.filter_map(|(name, value)| Some((name, value.as_deref()?))));
            }
        }
        let answer = block_on(remote.json(remote.request(Method::GET, "/hosts").query(&query)))?;
        items.extend(answer["items"].as_array().cloned().unwrap_or_default());
        cursor = answer["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || items.len() >= filter.limit {
            break;
        }
    }
    let mut table = Table::new(COLUMNS);
    for host in &items {
        let cell = |column: &&str| match &host[*column] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ").into(),
            other => other.clone(),
        };
        table.push(COLUMNS.iter().map(cell).collect());
    }
    output::print(&table, global.output)?;
    if items.is_empty() && global.output == Format::Table {
        output::note("no host; docs/agent.md shows how to install the agent on one");
    }
    Ok(ExitCode::SUCCESS)
}
