//! `guardian version`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::Global;
use crate::output::{self, Format, Table};

/// Show the version of the program.
#[derive(Args, Debug)]
pub(crate) struct Version {}

impl Version {
    pub(crate) fn run(global: &Global) -> Result<ExitCode> {
        let version = env!("CARGO_PKG_VERSION");
        if global.output == Format::Table {
            output::line(&format!("guardian {version}"))?;
        } else {
            let mut table = Table::new(["name", "version"]);
            table.push(vec![json!("guardian"), json!(version)]);
            output::print(&table, global.output)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
