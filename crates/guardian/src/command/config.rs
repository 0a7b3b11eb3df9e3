//! `guardian config`: check, show, make.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use super::{EXIT_WANTING, Global};
use crate::config::{Config, ConfigError};
use crate::output;

/// Check, show or make the configuration file.
#[derive(Args, Debug)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check the configuration and say everything that is wrong with it
    Check,
    /// Show the configuration as it holds, each key with where it was set; secrets are hidden
    Show,
    /// Write a commented configuration file; asks a few questions on a terminal
    Init {
        /// Where to write it [default: guardian.yaml in the data directory]
        file: Option<PathBuf>,
        /// Ask nothing, write the defaults
        #[arg(long, short)]
        yes: bool,
        /// Replace an existing file
        #[arg(long)]
        force: bool,
    },
}

impl ConfigCommand {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        match self.action {
            Action::Check => match crate::config::load(global) {
                Ok(loaded) => match loaded.value.identity.problem() {
                    None => {
                        output::line(&format!("the configuration is good; {} keys are set", loaded.sources.len()))?;
                        Ok(ExitCode::SUCCESS)
                    }
                    Some(problem) => {
                        output::note(&problem);
                        Ok(ExitCode::from(EXIT_WANTING))
                    }
                },
                Err(error) if error.is::<ConfigError>() => {
                    output::note(&format!("{error:#}"));
                    Ok(ExitCode::from(EXIT_WANTING))
                }
                Err(error) => Err(error),
            },
            Action::Show => {
                output::line(crate::config::load(global)?.show().trim_end())?;
                Ok(ExitCode::SUCCESS)
            }
            Action::Init { file, yes, force } => {
                let data = global.data.clone().unwrap_or_else(|| PathBuf::from("data"));
                let file = file.unwrap_or_else(|| data.join("guardian.yaml"));
                if file.exists() && !force {
                    bail!("{} exists; --force replaces it", file.display());
                }
                let answers = if yes { Vec::new() } else { ask()? };
                let answers: Vec<_> = answers.into_iter().map(|(key, answer)| (key, answer.into())).collect();
                let text = guardian_kit::config::sample::<Config>(&answers);
                if let Some(parent) = file.parent().filter(|p| !p.as_os_str().is_empty()) {
                    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
                }
                std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
                output::line(&format!("wrote {}; start with: guardian serve --config {0}", file.display()))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// The questions of the wizard: key, question, default.
const QUESTIONS: &[(&str, &str, &str)] = &[
    ("data", "Where should Guardian keep its data?", "data"),
    ("server.address", "Address and port of the web console and API", "[::]:8443"),
    ("lake.keep", "How long should telemetry be kept?", "90d"),
    ("lake.max_size", "How much disk may telemetry take?", "50 GiB"),
];

fn ask() -> Result<Vec<(&'static str, String)>> {
    use std::io::IsTerminal as _;
    if !std::io::stdin().is_terminal() {
        return Ok(Vec::new());
    }
    let ask = |(key, question, default): &(&'static str, &str, &'static str)| {
        let answer: String =
            dialoguer::Input::new().with_prompt(*question).default((*default).to_owned()).interact_text()?;
        Ok((*key, answer, *default))
    };
    let answers = QUESTIONS.iter().map(ask).collect::<Result<Vec<_>>>()?;
    Ok(answers.into_iter().filter(|(_, answer, default)| answer != default).map(|(k, a, _)| (k, a)).collect())
}
