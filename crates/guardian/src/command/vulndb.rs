//! `guardian vulndb`: the advisory store, built from files that were downloaded or carried here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use guardian_kit::clock::{Clock as _, SystemClock};
use guardian_vuln::load::Loader;
use guardian_vuln::store::{Store, folder};
use serde_json::json;

use super::Global;
use crate::output::{self, Table};

const EXAMPLES: &str = "\
Files, folders and archives (zip, tar, gzip, zstd) in any mixture; what each is, is seen from its content. Sources: OSV \
(also GitHub, Go, Python, Rust, AlmaLinux, Rocky, Ubuntu, Chainguard), Debian's tracker, CSAF and VEX (Red Hat, SUSE), \
OpenVEX, Alpine's and Wolfi's secdb, Arch, Nixpkgs, Gentoo, OVAL, RustSec, lists of updates, CVE 5 with CISA's \
decisions, NVD, EPSS, KEV.

  guardian vulndb build downloads/                   everything in a folder
  guardian vulndb build all.zip epss.csv.gz          what was named
  guardian vulndb export advisories.gvdb             to carry it over an air gap; import takes it there
  guardian vulndb status                             what the store knows, and since when";

/// Build the store of advisories that `guardian scan` judges by.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Vulndb {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
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
    },
}

/// The folder of the store.
pub(super) fn folder_of(global: &Global, named: Option<&Path>) -> Result<PathBuf> {
    match named {
        Some(folder) => Ok(folder.to_path_buf()),
        None => Ok(global.load()?.data.join("advisories")),
    }
}

impl Vulndb {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        match self.action {
            Action::Build { paths, store, keep } => {
                let folder = folder_of(global, store.as_deref())?;
                build(&paths, &folder, keep)?;
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
            Action::Status { store, verify } => {
                let folder = folder_of(global, store.as_deref())?;
                let store = folder::open(&folder, None)?;
                if verify && !store.is_whole() {
                    bail!("the store is damaged: build it anew");
                }
                status(&store, global)
            }
        }
    }
}

fn build(paths: &[PathBuf], folder: &Path, keep: usize) -> Result<()> {
    let mut loader = Loader::default();
    for path in paths {
        loader.path(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    for issue in &loader.issues {
        let record = if issue.record.is_empty() { String::new() } else { format!(" {}", issue.record) };
        output::note(&format!("{}{record}: {}", issue.document, issue.what));
    }
    if loader.issues_more > 0 {
        output::note(&format!("and {} complaints more", loader.issues_more));
    }
    if loader.unknown > 0 {
        output::note(&format!("{} documents are of no source that is known", loader.unknown));
    }
    // A store of nothing would say that nothing is vulnerable.
    if loader.documents == 0 {
        bail!("there is no advisory in what was named");
    }
    let now_s = SystemClock::new().now().0 / 1_000_000;
    folder::publish(folder, loader.finish(), now_s, keep)?;
    Ok(())
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
    let built = jiff::Timestamp::from_second(store.built_s()).map(|time| time.to_string()).unwrap_or_default();
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
