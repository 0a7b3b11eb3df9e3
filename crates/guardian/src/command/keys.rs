//! `guardian keys`: the keys that the catalog's secrets and the lake's files are sealed with.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Global;
use crate::output::{self, Format, Table};
use crate::wiring::offline;

/// Show and replace the keys that secrets in the catalog and telemetry on the disk are sealed with.
///
/// The catalog is changed directly; a server may run meanwhile.
#[derive(Args, Debug)]
pub(crate) struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell which keys there are and what is sealed with them; no key is shown
    Status,
    /// Make new data keys, seal every secret and write new telemetry with them; with `--master`, wrap the data keys by a
    /// new master key
    Rotate {
        /// Replace the master key: by a new one if it is the file of the data directory, else by the one that is
        /// configured now, while the one before is `identity.keys.previous_master_key_file`
        #[arg(long)]
        master: bool,
    },
}

const COLUMNS: [&str; 6] = ["id", "purpose", "created", "retired", "wrapped_by", "secrets"];

impl Keys {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        let config = global.load()?;
        match self.action {
            Action::Status => {
                let status = json!(offline::key_status(&config)?);
                if global.output != Format::Table {
                    output::line(&status.to_string())?;
                    return Ok(ExitCode::SUCCESS);
                }
                output::line(&format!(
                    "master key {} from {}{}",
                    status["master"].as_str().unwrap_or_default(),
                    status["source"].as_str().unwrap_or_default(),
                    if status["settled"] == true {
                        ""
                    } else {
                        "; some keys are wrapped by another: `guardian keys rotate --master`"
                    },
                ))?;
                let mut table = Table::new(COLUMNS);
                for key in status["keys"].as_array().into_iter().flatten() {
                    let row = COLUMNS.iter().map(|column| match &key[*column] {
                        Value::Array(items) => {
                            json!(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
                        }
                        other => other.clone(),
                    });
                    table.push(row.collect());
                }
                output::print(&table, global.output)?;
            }
            Action::Rotate { master } => {
                let done = offline::rotate_keys(&config, master)?;
                if global.output == Format::Table {
                    output::line(&format!(
                        "{} secrets sealed anew, {} keys wrapped anew, {} old keys forgotten",
                        done.secrets, done.wrapped, done.forgotten
                    ))?;
                    if let Some(note) = done.note {
                        output::line(&note)?;
                    }
                } else {
                    output::line(&json!(done).to_string())?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
