//! `guardian demo`: replayed data, and how to be rid of it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::Global;
use crate::output;
use crate::remote::{Remote, block_on};

/// Manage replayed data.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Remove replayed flows, findings and alerts; live data stays
    Clear {
        /// Only this replay, by its name
        name: Option<String>,
    },
}

impl Demo {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let Action::Clear { name } = self.action;
        let remote = Remote::require(global)?;
        let mut request = remote.request(Method::DELETE, "/replays");
        if let Some(name) = &name {
            request = request.query(&[("name", name)]);
        }
        let answer = block_on(remote.json(request))?;
        let count = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
        output::line(&format!("removed {} rows of telemetry and {} alerts", count("rows"), count("alerts")))?;
        Ok(ExitCode::SUCCESS)
    }
}
