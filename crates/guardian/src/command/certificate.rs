//! `guardian user certificate`: client certificates of people, and the way back in when a role asks for one that nobody
//! has.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use crate::output::{self, Table};
use crate::remote::{Remote, block_on};
use crate::wiring::offline;

#[derive(Debug, Subcommand)]
pub(crate) enum Certificate {
    /// Let a certificate open a user's account
    Add {
        /// Name of the user
        name: String,
        /// The certificate in PEM form
        file: PathBuf,
        /// What to call it
        #[arg(long, default_value = "")]
        label: String,
    },
    /// List the certificates that open a user's account
    List {
        /// Name of the user
        name: String,
    },
    /// Take a certificate away from a user's account and end its sessions
    Remove {
        /// Name of the user
        name: String,
        /// Id or SHA-256 of the certificate, as `list` shows them
        certificate: String,
    },
    /// Ask certificates of no role any more, for when nobody who may has one
    Waive,
}

const COLUMNS: [&str; 6] = ["id", "name", "fingerprint", "subject", "not_after", "last_used"];

impl Certificate {
    pub(crate) fn run(self, global: &Global, remote: Option<Remote>) -> Result<ExitCode> {
        match self {
            Self::Add { name, file, label } => {
                let pem = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
                match remote {
                    Some(remote) => {
                        let body = json!({"name": label, "pem": pem});
                        let path = format!("/users/{name}/certificates");
                        block_on(remote.json(remote.request(Method::POST, &path).json(&body)))?;
                    }
                    None => offline::add_certificate(&global.load()?, &name, &label, &pem)?,
                }
                output::line(&format!("the certificate opens the account of {name}"))?;
            }
            Self::List { name } => {
                let mut table = Table::new(COLUMNS);
                for item in held(remote.as_ref(), global, &name)? {
                    table.push(COLUMNS.iter().map(|c| item.get(c).cloned().unwrap_or(Value::Null)).collect());
                }
                output::print(&table, global.output)?;
            }
            Self::Remove { name, certificate } => {
                let digits = |text: &str| text.replace(':', "").to_lowercase();
                let named = |item: &Value| {
                    ["id", "fingerprint"]
                        .iter()
                        .any(|key| item[*key].as_str().map(digits) == Some(digits(&certificate)))
                };
                let all = held(remote.as_ref(), global, &name)?;
                let Some(id) = all.iter().find(|item| named(item)).and_then(|item| item["id"].as_str()) else {
                    bail!("{name} has no certificate `{certificate}`");
                };
                match remote {
                    Some(remote) => {
                        let path = format!("/users/{name}/certificates/{id}");
                        block_on(remote.json(remote.request(Method::DELETE, &path)))?;
                    }
                    None => offline::remove_certificate(&global.load()?, &name, id)?,
                }
                output::line(&format!("the certificate opens nothing any more; open sessions of {name} were ended"))?;
            }
            Self::Waive => {
                let waived = match remote {
                    Some(remote) => block_on(waive(&remote))?,
                    None => offline::waive_certificates(&global.load()?)?,
                };
                match waived.as_slice() {
                    [] => output::line("no role asked for a certificate")?,
                    some => output::line(&format!("no certificate is asked of {} any more", some.join(", ")))?,
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn held(remote: Option<&Remote>, global: &Global, name: &str) -> Result<Vec<Value>> {
    let mut answer = match remote {
        Some(remote) => block_on(remote.json(remote.request(Method::GET, &format!("/users/{name}/certificates"))))?,
        None => offline::certificates(&global.load()?, name)?,
    };
    Ok(answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

async fn waive(remote: &Remote) -> Result<Vec<String>> {
    let mut policy = remote.json(remote.request(Method::GET, "/settings/security")).await?;
    let mut waived: Vec<String> = serde_json::from_value(policy["certificate_roles"].take()).unwrap_or_default();
    if !waived.is_empty() {
        policy["certificate_roles"] = json!([]);
        remote.json(remote.request(Method::PUT, "/settings/security").json(&policy)).await?;
    }
    let roles = remote.json(remote.request(Method::GET, "/roles")).await?;
    for role in roles["items"].as_array().into_iter().flatten().filter(|role| role["certificate_required"] == true) {
        let name = role["name"].as_str().unwrap_or_default();
        let body = json!({"version": role["version"], "certificate_required": false});
        remote.json(remote.request(Method::PATCH, &format!("/roles/{name}")).json(&body)).await?;
        waived.push(name.to_owned());
    }
    waived.sort();
    waived.dedup();
    Ok(waived)
}
