//! The command line: one file a command, and the one list of them.

mod agent;
mod alerts;
mod audit;
mod backup;
mod certificate;
mod commands;
mod completions;
mod config;
mod demo;
mod docs;
mod enroll_token;
mod exporters;
mod groups;
mod host_baselines;
mod host_comparison;
mod host_evidence;
mod hosts;
mod images;
mod incidents;
mod inventory;
mod keys;
mod live_query;
mod notifications;
mod policy;
mod query;
mod registry;
mod replay;
mod rollout;
mod rule_server;
mod rules;
mod sbom;
mod scan;
mod serve;
mod software;
mod trust;
mod user;
mod version;
mod vulndb;
mod vulnerabilities;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::config::Config;
use crate::output::Format;
use crate::remote::RemoteError;

const AFTER_HELP: &str = "\
Exit codes: 0 success; 1 failure; 2 wrong usage or configuration; 3 checked and found wanting (rules check, rules test, \
config check, notifications test, groups try, commands, live-query, scan --fail-on); 4 the server cannot be reached; 5 not \
allowed.

First steps:
  guardian serve                                   start with defaults, data in ./data
  guardian replay captures/scan-vertical.pcap      feed recorded traffic
  guardian alerts --follow                         watch what it finds
  guardian query 'SELECT src_ip, sum(bytes) FROM flows GROUP BY 1 ORDER BY 2 DESC LIMIT 10'";

/// Self-hosted security platform: collects network flows, detects attacks, and tells you what happened.
#[derive(Debug, Parser)]
#[command(name = "guardian", version, about, after_help = AFTER_HELP, max_term_width = 120, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Configuration file in YAML or JSON [default: guardian.yaml in the data directory, if there is one]
    #[arg(long, short, global = true, env = "GUARDIAN_CONFIG", value_name = "FILE", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// Directory that holds everything Guardian keeps [default: data]
    #[arg(long, short, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) data: Option<PathBuf>,
    /// Set one configuration value, such as `--set lake.keep=30d`; may be repeated
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", help_heading = "Global options")]
    pub(crate) overrides: Vec<String>,
    /// Server to talk to [default: the one running on this machine from the same data directory]
    #[arg(long, global = true, env = "GUARDIAN_SERVER", value_name = "URL", help_heading = "Global options")]
    pub(crate) server: Option<String>,
    /// API key for `--server`
    #[arg(
        long,
        global = true,
        env = "GUARDIAN_TOKEN",
        hide_env_values = true,
        value_name = "KEY",
        help_heading = "Global options"
    )]
    pub(crate) token: Option<String>,
    /// PEM file of the authority that signed the server's certificate
    #[arg(long, global = true, env = "GUARDIAN_CA", value_name = "FILE", help_heading = "Global options")]
    pub(crate) ca: Option<PathBuf>,
    /// Form of the output
    #[arg(long, short, global = true, value_enum, default_value_t, help_heading = "Global options")]
    pub(crate) output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Replay(replay::Replay),
    Query(query::Query),
    Alerts(alerts::Alerts),
    Incidents(incidents::Incidents),
    Notifications(notifications::Notifications),
    Exporters(exporters::Exporters),
    Hosts(hosts::Hosts),
    Groups(groups::Groups),
    Policy(policy::Policy),
    Commands(commands::Commands),
    LiveQuery(live_query::LiveQueryCommand),
    Software(software::Software),
    Vulnerabilities(vulnerabilities::Vulnerabilities),
    Images(images::Images),
    EnrollToken(enroll_token::EnrollToken),
    Agent(agent::Agent),
    Rules(rules::Rules),
    Scan(scan::Scan),
    Sbom(sbom::Sbom),
    Vulndb(vulndb::Vulndb),
    User(user::User),
    Audit(audit::Audit),
    Keys(keys::Keys),
    Backup(backup::Backup),
    Demo(demo::Demo),
    Trust(trust::Trust),
    Config(config::ConfigCommand),
    Completions(completions::Completions),
    Docs(docs::Docs),
    Version(version::Version),
}

impl Cli {
    /// Reads the command line.
    pub(crate) fn read() -> Self {
        let mut cli = Self::parse();
        cli.global.overrides = settings(std::env::args());
        cli
    }

    /// Runs the command.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let global = &self.global;
        match self.command {
            Command::Serve(c) => c.run(global),
            Command::Replay(c) => c.run(global),
            Command::Query(c) => c.run(global),
            Command::Alerts(c) => c.run(global),
            Command::Incidents(c) => c.run(global),
            Command::Notifications(c) => c.run(global),
            Command::Exporters(c) => c.run(global),
            Command::Hosts(c) => c.run(global),
            Command::Groups(c) => c.run(global),
            Command::Policy(c) => c.run(global),
            Command::Commands(c) => c.run(global),
            Command::LiveQuery(c) => c.run(global),
            Command::Software(c) => c.run(global),
            Command::Vulnerabilities(c) => c.run(global),
            Command::Images(c) => c.run(global),
            Command::EnrollToken(c) => c.run(global),
            Command::Agent(c) => c.run(global),
            Command::Rules(c) => c.run(global),
            Command::Scan(c) => c.run(global),
            Command::Sbom(c) => c.run(),
            Command::Vulndb(c) => c.run(global),
            Command::User(c) => c.run(global),
            Command::Audit(c) => c.run(global),
            Command::Keys(c) => c.run(global),
            Command::Backup(c) => c.run(global),
            Command::Demo(c) => c.run(global),
            Command::Trust(c) => c.run(global),
            Command::Config(c) => c.run(global),
            Command::Completions(c) => c.run(),
            Command::Docs(c) => c.run(),
            Command::Version(_) => version::Version::run(global),
        }
    }
}

/// Every value of `--set`, before and after the subcommand: clap keeps only those of one place.
fn settings(arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut rest = arguments.into_iter().take_while(|argument| argument != "--");
    let mut found = Vec::new();
    while let Some(argument) = rest.next() {
        if argument == "--set" {
            found.extend(rest.next());
        } else if let Some(value) = argument.strip_prefix("--set=") {
            found.push(value.to_owned());
        }
    }
    found
}

impl Global {
    /// Reads the configuration: defaults, file, environment, flags, in this order.
    pub(crate) fn load(&self) -> Result<Config> {
        crate::config::load(self).map(|loaded| loaded.value)
    }
}

/// The documented exit code of an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<crate::config::ConfigError>() {
        return ExitCode::from(2);
    }
    match error.downcast_ref::<RemoteError>() {
        Some(RemoteError::Unreachable { .. }) => ExitCode::from(4),
        Some(RemoteError::NotAllowed(_)) => ExitCode::from(5),
        _ => ExitCode::FAILURE,
    }
}

/// Exit code of checks that ran and found something wanting.
pub(crate) const EXIT_WANTING: u8 = 3;

#[cfg(test)]
mod tests {
    use super::settings;

    #[test]
    fn settings_count_wherever_they_stand() {
        let line = "guardian --set a=1 serve --set=b=2 --capture lo --set c=3 -- --set d=4";
        assert_eq!(settings(line.split(' ').map(str::to_owned)), ["a=1", "b=2", "c=3"]);
    }
}
