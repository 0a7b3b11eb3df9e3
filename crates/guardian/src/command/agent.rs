//! `guardian agent`: programs of the agent, how they come to hosts, and the command that installs one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::Global;
use super::policy::{table, text};
use super::rollout::Rollout;
use crate::output::{self, Format};
use crate::remote::{Remote, block_on};

/// Release versions of the agent, roll them out, and install the agent; docs/agent.md shows how.
#[derive(Args, Debug)]
pub(crate) struct Agent {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Bring, list and withdraw releases
    Release {
        #[command(subcommand)]
        action: Release,
    },
    /// Have hosts get a release, in stages
    Rollout {
        #[command(subcommand)]
        action: Rollout,
    },
    /// Print the one command that installs the agent on a machine
    InstallCommand {
        /// Address of this server as the machine reaches it [default: the one it is asked at]
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// The enrolment token [default: a place for it]
        #[arg(long, env = "GUARDIAN_ENROLL_TOKEN", hide_env_values = true)]
        enroll_token: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Release {
    /// List releases, the newest first
    List,
    /// Bring a release
    Add {
        /// The program
        program: PathBuf,
        /// What `guardian-agent sign-release` wrote about it
        #[arg(long, value_name = "FILE")]
        signed: PathBuf,
    },
    /// Withdraw a release; hosts that run it go on doing so
    Withdraw {
        /// Its id or version
        release: String,
    },
}

const COLUMNS: [&str; 8] = ["id", "version", "platform", "architecture", "size", "author", "added", "withdrawn"];

impl Agent {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let remote = Remote::require(global)?;
        match self.action {
            Action::Release { action } => release(&remote, action, global)?,
            Action::Rollout { action } => return action.run(&remote, global),
            Action::InstallCommand { url, enroll_token } => {
                let kit = block_on(remote.json(remote.request(Method::GET, "/agents/install-kit")))?;
                let server = url.unwrap_or_else(|| remote.url().to_owned());
                let token = enroll_token.unwrap_or_else(|| "gde_TOKEN".to_owned());
                let command = text(&kit, "command").replace("{server}", &server).replace("{token}", &token);
                if global.output == Format::Table {
                    output::line(&command)?;
                } else {
                    let mut kit = kit;
                    kit["command"] = json!(command);
                    output::line(&kit.to_string())?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn release(remote: &Remote, action: Release, global: &Global) -> Result<()> {
    let list = || block_on(remote.json(remote.request(Method::GET, "/agent-releases")));
    match action {
        Release::List => output::print(&table(&list()?["items"], &COLUMNS), global.output)?,
        Release::Add { program, signed } => {
            let bytes = std::fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
            let said = std::fs::read(&signed).with_context(|| format!("cannot read {}", signed.display()))?;
            let said: Value =
                serde_json::from_slice(&said).with_context(|| format!("{} is no JSON", signed.display()))?;
            let query = [("signed", URL_SAFE_NO_PAD.encode(said.to_string()))];
            let request = remote.request(Method::POST, "/agent-releases").query(&query).body(bytes);
            let made = block_on(remote.json(request))?;
            if global.output == Format::Table {
                let (version, for_what) = (text(&made, "version"), text(&made, "architecture"));
                output::note(&format!("{version} for {for_what} is here; `guardian agent rollout start {version}`"));
            } else {
                output::line(&made.to_string())?;
            }
        }
        Release::Withdraw { release } => {
            let all = list()?;
            let stands = |item: &&Value| item["withdrawn"].is_null();
            let found: Vec<&Value> = all["items"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(stands)
                .filter(|item| item["id"] == release.as_str() || item["version"] == release.as_str())
                .collect();
            anyhow::ensure!(!found.is_empty(), "there is no release {release}");
            for item in found {
                let path = format!("/agent-releases/{}", text(item, "id"));
                let gone = block_on(remote.json(remote.request(Method::DELETE, &path)))?;
                output::note(&format!("{} for {} is withdrawn", text(&gone, "version"), text(&gone, "architecture")));
            }
        }
    }
    Ok(())
}
