//! `guardian user`: people who may sign in.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use super::certificate::Certificate;
use crate::output::{self, Table};
use crate::remote::{Remote, block_on};
use crate::wiring;

/// Manage the people who may sign in.
#[derive(Args, Debug)]
pub(crate) struct User {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user; asks for the password, or reads it from standard input
    Add {
        /// Name to sign in with
        name: String,
        /// Role: admin, operator or viewer
        #[arg(long, default_value = "operator")]
        role: String,
    },
    /// Set a new password and end the user's sessions
    Reset {
        /// Name of the user
        name: String,
    },
    /// List the users
    List,
    /// Manage the client certificates that open accounts
    #[command(subcommand)]
    Certificate(Certificate),
}

impl User {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::find(global)?;
        match self.action {
            Action::Add { name, role } => {
                let password = ask_password(&name)?;
                match remote {
                    Some(remote) => {
                        let body = json!({"name": name, "role": role, "password": password});
                        block_on(remote.json(remote.request(Method::POST, "/users").json(&body)))?;
                    }
                    None => wiring::offline::add_user(&global.load()?, &name, &role, &password)?,
                }
                output::line(&format!("user {name} may sign in as {role}"))?;
            }
            Action::Reset { name } => {
                let password = ask_password(&name)?;
                match remote {
                    Some(remote) => {
                        let path = format!("/users/{name}/password");
                        let body = json!({"password": password});
                        block_on(remote.json(remote.request(Method::PUT, &path).json(&body)))?;
                    }
                    None => wiring::offline::reset_user(&global.load()?, &name, &password)?,
                }
                output::line(&format!("user {name} has a new password; open sessions were ended"))?;
            }
            Action::Certificate(command) => return command.run(global, remote),
            Action::List => {
                let items = match remote {
                    Some(remote) => block_on(remote.json(remote.request(Method::GET, "/users")))?,
                    None => wiring::offline::users(&global.load()?)?,
                };
                let columns = ["name", "role", "disabled", "created", "id"];
                let mut table = Table::new(columns);
                for item in items.get("items").and_then(Value::as_array).into_iter().flatten() {
                    table.push(columns.iter().map(|c| item.get(c).cloned().unwrap_or(Value::Null)).collect());
                }
                output::print(&table, global.output)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn ask_password(name: &str) -> Result<String> {
    if std::io::stdin().is_terminal() {
        return dialoguer::Password::new()
            .with_prompt(format!("Password for {name}"))
            .with_confirmation("Once more", "they differ")
            .interact()
            .context("no password was given");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("cannot read the password from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        bail!("no password on standard input");
    }
    Ok(password)
}
