//! `guardian groups`: groups of hosts.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use super::policy::{found, table, text, told};
use crate::output::{self, Format};
use crate::remote::{Remote, block_on};

/// Make groups of hosts, by name or by an expression over what is known of a host.
#[derive(Args, Debug)]
pub(crate) struct Groups {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List groups
    List,
    /// Make a group; without an expression it has the hosts that name it (`guardian hosts group NAME`)
    Create {
        /// Its name
        name: String,
        /// Which hosts are in it: `tag = web and os like debian*`
        #[arg(long)]
        filter: Option<String>,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Change the expression of a group
    Update {
        /// Its id or name
        group: String,
        /// Which hosts are in it
        #[arg(long)]
        filter: Option<String>,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Take a group away that no policy is assigned to
    Delete {
        /// Its id or name
        group: String,
    },
    /// Show which hosts an expression fits, and what it may ask
    Try {
        /// The expression
        filter: String,
    },
}

const COLUMNS: [&str; 6] = ["id", "name", "filter", "hosts", "description", "issue"];

impl Groups {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        match self.action {
            Action::List => {
                let answer = block_on(remote.json(remote.request(Method::GET, "/host-groups")))?;
                output::print(&table(&answer["items"], &COLUMNS), global.output)?;
            }
            Action::Create { name, filter, description } => {
                let body = json!({"name": name, "filter": filter, "description": description});
                let made = block_on(remote.json(remote.request(Method::POST, "/host-groups").json(&body)))?;
                told(&made, global, &format!("has {} hosts now", made["hosts"]))?;
            }
            Action::Update { group, filter, description } => {
                let before = found(&remote, "/host-groups", &group)?;
                let body = json!({
                    "version": before["version"],
                    "filter": filter.map_or_else(|| before["filter"].clone(), Value::from),
                    "description": description.map_or_else(|| before["description"].clone(), Value::from),
                });
                let path = format!("/host-groups/{}", text(&before, "id"));
                let now = block_on(remote.json(remote.request(Method::PUT, &path).json(&body)))?;
                told(&now, global, "is changed")?;
            }
            Action::Delete { group } => {
                let before = found(&remote, "/host-groups", &group)?;
                let path = format!("/host-groups/{}", text(&before, "id"));
                block_on(remote.send(remote.request(Method::DELETE, &path)))?;
                output::note(&format!("{} is gone", text(&before, "name")));
            }
            Action::Try { filter } => return tried(&remote, &filter, global),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn tried(remote: &Remote, filter: &str, global: &Global) -> Result<ExitCode> {
    let request = remote.request(Method::POST, "/host-groups/try").json(&json!({"filter": filter}));
    let answer = block_on(remote.json(request))?;
    if global.output != Format::Table {
        output::line(&answer.to_string())?;
    } else if let Some(issue) = answer["issue"].as_str() {
        output::note(issue);
        let fields = answer["fields"].as_array().into_iter().flatten().map(|field| text(field, "name"));
        output::note(&format!("fields: {}", fields.collect::<Vec<_>>().join(", ")));
    } else {
        let names = answer["examples"].as_array().into_iter().flatten().filter_map(Value::as_str);
        output::line(&format!("{} hosts: {}", answer["hosts"], names.collect::<Vec<_>>().join(", ")))?;
    }
    let wanting = !answer["issue"].is_null();
    Ok(if wanting { ExitCode::from(super::EXIT_WANTING) } else { ExitCode::SUCCESS })
}
