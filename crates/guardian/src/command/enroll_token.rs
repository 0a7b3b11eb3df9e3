//! `guardian enroll-token`: what lets hosts in.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};

/// Make, list and revoke enrolment tokens for the agent.
#[derive(Args, Debug)]
pub(crate) struct EnrollToken {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token, good for one host and a day unless said otherwise; it is shown once
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// How many hosts may come in by it; 0 for any number
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// Until when, RFC 3339 [default: a day from now]
        #[arg(long)]
        expires: Option<String>,
        /// Tag that its hosts get; may be repeated
        #[arg(long = "tag")]
        tags: Vec<String>,
        /// Group that its hosts get; may be repeated
        #[arg(long = "group")]
        groups: Vec<String>,
    },
    /// List tokens, without their secrets
    List,
    /// Revoke a token; hosts that came in by it stay
    Revoke {
        /// Id of the token
        id: String,
    },
}

const COLUMNS: [&str; 7] = ["id", "name", "status", "uses", "uses_max", "expires", "last_used"];

impl EnrollToken {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        match self.action {
            Action::Create { name, uses, expires, tags, groups } => {
                let body = json!({
                    "name": name, "uses_max": uses, "expires": expires, "tags": tags, "groups": groups,
                });
                let request = remote.request(Method::POST, "/enrollment-tokens").json(&body);
                let made = block_on(remote.json(request))?;
                if global.output == Format::Table {
                    output::line(made["secret"].as_str().unwrap_or_default())?;
                    output::note(
                        "shown once; `guardian agent install-command --enroll-token TOKEN` prints what to paste",
                    );
                } else {
                    output::line(&made.to_string())?;
                }
            }
            Action::List => {
                let answer = block_on(remote.json(remote.request(Method::GET, "/enrollment-tokens")))?;
                let mut table = Table::new(COLUMNS);
                for token in answer["items"].as_array().into_iter().flatten() {
                    table
                        .push(COLUMNS.iter().map(|column| token.get(column).cloned().unwrap_or(Value::Null)).collect());
                }
                output::print(&table, global.output)?;
            }
            Action::Revoke { id } => {
                let path = format!("/enrollment-tokens/{id}");
                let token = block_on(remote.json(remote.request(Method::DELETE, &path)))?;
                output::note(&format!(
                    "the token {} lets nobody in any more",
                    token["name"].as_str().unwrap_or_default()
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
