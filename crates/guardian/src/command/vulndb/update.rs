//! `guardian vulndb update`: fetches what the sources name, and builds the store of it.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use guardian_kit::clock::SystemClock;
use guardian_vuln::sources::{self, Source};
use guardian_vuln::store::folder;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use serde_json::json;

use super::{Global, folder_of, now_s, shown, status};
use crate::command::EXIT_WANTING;
use crate::output::{self, Table};
use crate::remote;
use crate::updates::{self, Built, Had, Keep, Last, Outcome, Patience, Updates, Watcher};

/// Fetch what changed at the publishers, and build a new store of all that is there
#[derive(Args, Debug)]
pub(super) struct Update {
    /// Only this source; may be repeated [default: all]
    #[arg(long = "source", value_name = "NAME", value_parser = PossibleValuesParser::new(fetched().map(|s| s.name())))]
    sources: Vec<String>,
    /// Take everything from URL/SOURCE/FILE in place of the publishers
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Folder that keeps what was fetched [default: downloads in the data directory]
    #[arg(long, value_name = "DIR")]
    downloads: Option<PathBuf>,
    /// Fetch only, such as for a mirror; no store is built
    #[arg(long)]
    fetch_only: bool,
    /// Folder of the store [default: advisories in the data directory]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Stores to keep, so that what was known then can be asked again
    #[arg(long, default_value_t = 7, value_name = "COUNT")]
    keep: usize,
    /// Keep the last store of each day for so many days, in place of a number of stores
    #[arg(long, value_name = "DAYS", conflicts_with = "keep")]
    keep_days: Option<u32>,
    /// Key for NVD, which then lets itself be asked more often
    #[arg(long, env = "GUARDIAN_NVD_KEY", hide_env_values = true, value_name = "KEY")]
    nvd_key: Option<String>,
}

/// The sources that can be fetched.
fn fetched() -> impl Iterator<Item = &'static dyn Source> {
    sources::ALL.iter().copied().filter(|source| !source.downloads().is_empty())
}

/// The folder of downloads.
pub(super) fn downloads_of(global: &Global, named: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = named {
        return Ok(folder.to_path_buf());
    }
    let config = global.load()?;
    let set = config.vulnerabilities.downloads;
    Ok(if set.as_os_str().is_empty() { config.data.join("downloads") } else { set })
}

/// What is fetched, and from where.
pub(super) fn list(global: &Global) -> Result<ExitCode> {
    let mut table = Table::new(["source", "file", "from", "optional"]);
    for source in sources::ALL {
        for download in source.downloads() {
            let optional = if download.may_be_absent { json!("yes") } else { serde_json::Value::Null };
            table.push(vec![json!(source.name()), json!(download.file), json!(download.origin.address()), optional]);
        }
    }
    output::print(&table, global.output)?;
    let without = sources::ALL.iter().filter(|source| source.downloads().is_empty()).map(|source| source.name());
    output::note(&format!("only from files: {}", without.collect::<Vec<_>>().join(", ")));
    Ok(ExitCode::SUCCESS)
}

impl Update {
    pub(super) fn run(self, global: &Global) -> Result<ExitCode> {
        let downloads = downloads_of(global, self.downloads.as_deref())?;
        let wanted: Vec<&'static dyn Source> = fetched()
            .filter(|source| self.sources.is_empty() || self.sources.iter().any(|n| n == source.name()))
            .collect();
        let updates = Updates {
            folder: downloads.clone(),
            mirror: self.mirror.clone(),
            nvd_key: self.nvd_key.clone(),
            patience: Patience::default(),
            clock: Arc::new(SystemClock::new()),
            watcher: Arc::new(Bars::default()),
        };
        let had = remote::block_on(updates.fetch(&wanted))?;
        let failed = had.iter().any(|had| matches!(had.outcome, Outcome::Failed(_)));
        summary(&had);
        if failed && had.iter().all(|had| had.kept_s == 0) {
            bail!("nothing could be fetched");
        }
        let code = if failed { ExitCode::from(EXIT_WANTING) } else { ExitCode::SUCCESS };
        if self.fetch_only {
            return Ok(code);
        }
        let stores = folder_of(global, self.store.as_deref())?;
        let keep = self.keep_days.map_or(Keep::Count(self.keep), Keep::Days);
        if updates::build(&downloads, &stores, keep, now_s())? == Built::Same {
            output::note("nothing changed: the store stays as it is");
        }
        status(&folder::open(&stores, None)?, global)?;
        Ok(code)
    }
}

fn summary(had: &[Had]) {
    let count = |is: fn(&Outcome) -> bool| had.iter().filter(|had| is(&had.outcome)).count();
    let sent: u64 = had.iter().map(|had| if let Outcome::Fetched(bytes) = had.outcome { bytes } else { 0 }).sum();
    output::note(&format!(
        "{} files: {} fetched ({} KiB), {} as they were, {} not there, {} failed",
        had.len(),
        count(|outcome| matches!(outcome, Outcome::Fetched(_))),
        sent / 1024,
        count(|outcome| *outcome == Outcome::Unchanged),
        count(|outcome| *outcome == Outcome::Absent),
        count(|outcome| matches!(outcome, Outcome::Failed(_))),
    ));
}

/// What is to be said of the downloads, if there are any.
pub(super) fn remarks(downloads: &Path) {
    let Some(last) = Last::read(downloads) else { return };
    output::note(&format!("fetched last {}", shown(last.ended_s)));
    for (had, why) in last.failed() {
        output::note(&failure(had, why));
    }
}

fn failure(had: &Had, why: &str) -> String {
    let kept = match had.kept_s {
        0 => "there is none".to_owned(),
        kept_s => format!("the one of {} is taken", shown(kept_s)),
    };
    format!("{}/{} could not be had, and {kept}: {why}", had.source, had.file)
}

/// How far it is: bars on a terminal; what failed, always.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    open: Mutex<HashMap<String, ProgressBar>>,
}

impl Watcher for Bars {
    fn at(&self, file: &str, bytes: u64, of: Option<u64>) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let mut open = self.open.lock();
        let bar = open.entry(file.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template("{prefix:32} {bar:30} {bytes:>10} of {total_bytes:10} {eta}");
            let bar = ProgressBar::new(0).with_prefix(file.to_owned());
            self.all.add(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
        });
        bar.set_length(of.unwrap_or(bytes));
        bar.set_position(bytes);
    }

    fn done(&self, had: &Had) {
        if let Some(bar) = self.open.lock().remove(&format!("{}/{}", had.source, had.file)) {
            bar.finish_and_clear();
        }
        if let Outcome::Failed(why) = &had.outcome {
            self.all.suspend(|| output::note(&failure(had, why)));
        }
    }
}
