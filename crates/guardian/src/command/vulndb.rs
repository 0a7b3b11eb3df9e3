//! `guardian vulndb`: the advisory store, built from what is fetched from publishers, or from files that were carried here.

mod update;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use guardian_kit::clock::{Clock as _, SystemClock};
use guardian_vuln::store::{Store, folder};
use serde_json::json;

use super::Global;
use crate::output::{self, Table};
use crate::updates::{self, Keep};

const EXAMPLES: &str = "\
Files, folders and archives (zip, tar, gzip, zstd, xz, bzip2, Brotli) in any mixture; what each is, is seen from its content. Sources: OSV \
(also GitHub, Go, Python, Rust, AlmaLinux, Rocky, Ubuntu, Chainguard), Debian's tracker, CSAF and VEX (Red Hat, SUSE), \
OpenVEX, Alpine's and Wolfi's secdb, Arch, Nixpkgs, Gentoo, OVAL, RustSec, lists of updates, CVE 5 with CISA's \
decisions, NVD, EPSS, KEV.

  guardian vulndb update                             fetch what changed at the publishers, and build
  guardian vulndb update --mirror https://m.example  the same from a mirror
  guardian vulndb build downloads/                   everything in a folder
  guardian vulndb build all.zip epss.csv.gz          what was named
  guardian vulndb export advisories.gvdb             to carry it over an air gap; import takes it there
  guardian vulndb status                             what the store knows, and since when
  guardian vulndb status --as-of 2030-01-31          what was known on that day";

/// Build the store of advisories that `guardian scan` judges by.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Vulndb {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Update(update::Update),
    /// Show what `update` fetches, and from where
    Sources,
    /// Build a new store from files; the one before is kept beside it
    Build {
        /// Files, folders and archives of advisories
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Folder of the store [default: advisories in the data directory]
        #[arg(long, value_name = "DIR")]
        store: Option<PathBuf>,
        /// Stores to keep, so that what was known then can be asked again
        #[arg(long, default_value_t = 7, value_name = "COUNT")]
        keep: usize,
    },
    /// Write the newest store to a file, to carry it where there is no network
    Export {
        /// The file
        file: PathBuf,
        /// Folder of the store [default: advisories in the data directory]
        #[arg(long, value_name = "DIR")]
        store: Option<PathBuf>,
    },
    /// Take a store that `export` wrote elsewhere; one that is not whole is refused
    Import {
        /// The file
        file: PathBuf,
        /// Folder of the store [default: advisories in the data directory]
        #[arg(long, value_name = "DIR")]
        store: Option<PathBuf>,
        /// Stores to keep, so that what was known then can be asked again
        #[arg(long, default_value_t = 7, value_name = "COUNT")]
        keep: usize,
    },
    /// Show what the store knows, and what could not be read into it
    Status {
        /// Folder of the store [default: advisories in the data directory]
        #[arg(long, value_name = "DIR")]
        store: Option<PathBuf>,
        /// Read all of it and compare its checksum
        #[arg(long)]
        verify: bool,
        /// The store that was in force at the end of that day (UTC), or at that time; of those that are kept
        #[arg(long, value_name = "DATE", value_parser = as_of)]
        as_of: Option<i64>,
    },
}

/// The folder of the store.
pub(super) fn folder_of(global: &Global, named: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = named {
        return Ok(folder.to_path_buf());
    }
    let config = global.load()?;
    let set = config.vulnerabilities.store;
    Ok(if set.as_os_str().is_empty() { config.data.join("advisories") } else { set })
}

/// The last second of a day, or the second of a time, since the epoch.
pub(super) fn as_of(text: &str) -> Result<i64, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_second());
    }
    let day = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10);
    let end = day.and_then(|day| day.at(23, 59, 59, 0).to_zoned(jiff::tz::TimeZone::UTC).ok());
    end.map(|end| end.timestamp().as_second()).ok_or_else(|| "give a day such as 2030-01-31, or a time".to_owned())
}

/// Opens the store that was in force at the time; the newest where none is named.
pub(super) fn open(stores: &Path, at_s: Option<i64>) -> Result<Store> {
    match folder::open(stores, at_s) {
        Err(_) if at_s.is_some() && folder::open(stores, None).is_ok() => {
            let oldest = folder::list(stores)?.first().map_or(0, |(built_s, _)| *built_s);
            bail!("no store of that time is kept; the oldest was built {}", shown(oldest));
        }
        opened => Ok(opened?),
    }
}

fn shown(time_s: i64) -> String {
    jiff::Timestamp::from_second(time_s).map(|time| time.to_string()).unwrap_or_default()
}

fn now_s() -> i64 {
    SystemClock::new().now().0.div_euclid(1_000_000)
}

impl Vulndb {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        match self.action {
            Action::Update(update) => update.run(global),
            Action::Sources => update::list(global),
            Action::Build { paths, store, keep } => {
                let folder = folder_of(global, store.as_deref())?;
                updates::load(&paths, &folder, Keep::Count(keep), now_s())?;
                status(&folder::open(&folder, None)?, global)
            }
            Action::Export { file, store } => {
                let bytes = folder::export(&folder_of(global, store.as_deref())?, &file)?;
                output::note(&format!("{}: {} KiB", file.display(), bytes / 1024));
                Ok(ExitCode::SUCCESS)
            }
            Action::Import { file, store, keep } => {
                let folder = folder_of(global, store.as_deref())?;
                let imported = folder::import(&folder, &file, keep)?;
                if folder::open(&folder, None)?.built_s() > imported.built_s() {
                    output::note("a newer store is there, and stays in force");
                }
                status(&imported, global)
            }
            Action::Status { store: named, verify, as_of } => {
                let folder = folder_of(global, named.as_deref())?;
                let store = open(&folder, as_of)?;
                if verify && !store.is_whole() {
                    bail!("the store is damaged: build it anew");
                }
                status(&store, global)?;
                if verify {
                    output::note("all of the store was read, and is as it was written");
                }
                let kept: Vec<String> = folder::list(&folder)?.iter().map(|(built_s, _)| shown(*built_s)).collect();
                output::note(&format!("kept stores: {}", kept.join(", ")));
                // What lies beside a folder that was named is not known.
                if named.is_none() {
                    update::remarks(&update::downloads_of(global, None)?);
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn status(store: &Store, global: &Global) -> Result<ExitCode> {
    let mut table = Table::new(["source", "documents", "advisories", "signals", "malformed", "empty"]);
    for given in store.given() {
        table.push(vec![
            json!(given.source),
            json!(given.documents),
            json!(given.advisories),
            json!(given.signals),
            json!(given.malformed),
            json!(given.empty),
        ]);
    }
    output::print(&table, global.output)?;
    let [advisories, statements, packages, cves] = store.counts();
    let built = shown(store.built_s());
    output::note(&format!(
        "built {built}: {advisories} advisories, {statements} statements of {packages} packages, signals of {cves} \
         vulnerabilities, {} KiB",
        store.bytes() / 1024
    ));
    for (ecosystem, packages) in store.ecosystems() {
        output::note(&format!("  {ecosystem}: {packages} packages"));
    }
    Ok(ExitCode::SUCCESS)
}
