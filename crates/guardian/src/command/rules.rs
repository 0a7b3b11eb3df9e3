//! `guardian rules`: check rule files, test them against captures, list what runs; the rest is the server's business
//! (`rule_server`).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::rule_server::Served;
use super::{EXIT_WANTING, Global};
use crate::output::{self, Format, Table};
use crate::remote::{Remote, block_on};
use crate::wiring;

/// Check, test, list, exchange and tune detection rules.
#[derive(Args, Debug)]
pub(crate) struct Rules {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check rule files: syntax, fields, and whether each rule can fire at all
    Check {
        /// Sigma files or directories of them
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Run rule files over captures and show what they find; needs no server
    Test {
        /// Sigma files or directories of them; without any, the rules that ship
        #[arg(long, short, value_name = "PATH")]
        rules: Vec<PathBuf>,
        /// Captures (pcap, pcapng) of packets or of flow exports
        #[arg(required = true, value_name = "CAPTURE")]
        captures: Vec<PathBuf>,
    },
    /// List the rules of the running server with what each did; without a server, the rules that ship
    List,
    #[command(flatten)]
    Served(Served),
}

impl Rules {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        match self.action {
            Action::Check { paths } => check(&paths, global.output),
            Action::Test { rules, captures } => test(&rules, &captures, global),
            Action::List => list(global),
            Action::Served(served) => served.run(global),
        }
    }
}

/// All rule files below the paths, sorted, with their text.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, &mut files, 0)?;
    }
    if files.is_empty() {
        bail!("no .yml or .yaml file there");
    }
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok((file, text))
        })
        .collect()
}

/// Directories nest no deeper than this.
const DEPTH_MAX: usize = 16;

fn collect(path: &Path, files: &mut Vec<PathBuf>, depth: usize) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    if depth > DEPTH_MAX {
        bail!("{} is nested deeper than {DEPTH_MAX} directories", path.display());
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut entries: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    entries.sort();
    for entry in entries {
        let yaml = entry.extension().is_some_and(|e| e == "yml" || e == "yaml");
        // Fixtures lie beside the rules and are no rules.
        let fixtures = entry.file_name().is_some_and(|n| n == "fixtures");
        if (entry.is_dir() && !fixtures) || (entry.is_file() && yaml) {
            collect(&entry, files, depth + 1)?;
        }
    }
    Ok(())
}

fn check(paths: &[PathBuf], format: Format) -> Result<ExitCode> {
    let mut table = Table::new(["file", "line", "severity", "message", "help"]);
    let files = read(paths)?;
    let (mut rules, mut wanting) = (0, false);
    for (file, text) in &files {
        let checked = wiring::rules::check(text);
        rules += checked.rules;
        for issue in checked.issues {
            wanting |= issue.is_error;
            let severity = if issue.is_error { "error" } else { "warning" };
            table.push(vec![
                json!(file.display().to_string()),
                json!(issue.line),
                json!(severity),
                json!(issue.message),
                json!(issue.help),
            ]);
        }
    }
    if !table.rows.is_empty() || format != Format::Table {
        output::print(&table, format)?;
    }
    if format == Format::Table {
        output::note(&format!("{rules} rules in {} files, {} issues", files.len(), table.rows.len()));
    }
    Ok(if wanting { ExitCode::from(EXIT_WANTING) } else { ExitCode::SUCCESS })
}

fn test(rules: &[PathBuf], captures: &[PathBuf], global: &Global) -> Result<ExitCode> {
    let texts = if rules.is_empty() { None } else { Some(read(rules)?) };
    let mut table = Table::new(["capture", "rule", "severity", "entity", "count", "summary"]);
    for capture in captures {
        let alerts = wiring::rules::test(&global.load()?, texts.as_deref(), capture)
            .with_context(|| format!("test on {}", capture.display()))?;
        for alert in alerts {
            table.push(vec![
                json!(capture.display().to_string()),
                json!(alert.rule.title),
                json!(alert.rule.severity.as_str()),
                json!(alert.entity.value),
                json!(alert.count),
                json!(alert.summary),
            ]);
        }
    }
    output::print(&table, global.output)?;
    if global.output == Format::Table {
        output::note(&format!("{} alerts on {} captures", table.rows.len(), captures.len()));
    }
    Ok(if table.rows.is_empty() { ExitCode::from(EXIT_WANTING) } else { ExitCode::SUCCESS })
}

fn list(global: &Global) -> Result<ExitCode> {
    let answer = match Remote::find(global)? {
        Some(remote) => block_on(remote.json(remote.request(Method::GET, "/rules")))?,
        None => wiring::rules::shipped_list(),
    };
    let columns = ["title", "severity", "enabled", "origin", "matched", "fired", "issues", "id"];
    let mut table = Table::new(columns);
    for item in answer.get("items").and_then(Value::as_array).into_iter().flatten() {
        table.push(columns.iter().map(|c| item.get(c).cloned().unwrap_or(Value::Null)).collect());
    }
    output::print(&table, global.output)?;
    Ok(ExitCode::SUCCESS)
}
