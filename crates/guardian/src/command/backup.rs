//! `guardian backup`: copies of everything, and the way back.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::Global;
use crate::backup::{self, Lock, Manifest};
use crate::output::Format;

/// Back the installation up, prove a backup, and put it back.
///
/// A backup is taken from the data directory and the catalog directly, while the server runs. Keys are not in it: keep
/// `secrets.key` (or your master key) elsewhere, or the catalog's secrets stay closed after a restore.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Args)]
struct Key {
    /// File whose first line is a passphrase to encrypt with
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,
    /// File with at least 32 random bytes to encrypt with
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Key {
    fn lock(&self) -> Result<Option<Lock>> {
        Ok(match (&self.passphrase_file, &self.key_file) {
            (Some(file), _) => Some(Lock::passphrase(file)?),
            (None, Some(file)) => Some(Lock::key_file(file)?),
            (None, None) => None,
        })
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write a backup
    Create {
        /// File to write, which must not exist; `-` is the standard output
        file: PathBuf,
        #[command(flatten)]
        key: Key,
    },
    /// Read a backup and hold every file against its hash
    Verify {
        /// The backup; `-` is the standard input
        file: PathBuf,
        #[command(flatten)]
        key: Key,
    },
    /// Put a backup into the data directory, which must be empty, and into an empty catalog
    Restore {
        /// The backup; `-` is the standard input
        file: PathBuf,
        #[command(flatten)]
        key: Key,
    },
}

impl Backup {
    pub(crate) fn run(self, global: &Global) -> Result<ExitCode> {
        match self.action {
            Action::Create { file, key } => create(global, &file, &key),
            Action::Verify { file, key } => {
                let manifest = backup::verify(input(&file)?, key.lock()?.as_ref())?;
                tell(&manifest, "is whole", global.output, &mut io::stdout())
            }
            Action::Restore { file, key } => {
                let manifest = backup::restore(&global.load()?, input(&file)?, key.lock()?.as_ref())?;
                tell(
                    &manifest,
                    "is restored; put the master key in its place and start",
                    global.output,
                    &mut io::stdout(),
                )
            }
        }
    }
}

fn create(global: &Global, file: &Path, key: &Key) -> Result<ExitCode> {
    let (config, lock) = (global.load()?, key.lock()?);
    if file == Path::new("-") {
        let manifest = backup::create(&config, io::stdout().lock(), lock.as_ref())?;
        return tell(&manifest, "is written", global.output, &mut io::stderr());
    }
    if file.exists() {
        bail!("{} is there already", file.display());
    }
    // Under its name only when it is whole.
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let written = private(&unfinished).and_then(|out| {
        let manifest = backup::create(&config, &out, lock.as_ref())?;
        out.sync_all()?;
        std::fs::rename(&unfinished, file)?;
        Ok(manifest)
    });
    if written.is_err() {
        std::fs::remove_file(&unfinished).ok();
    }
    tell(&written?, "is written", global.output, &mut io::stdout())
}

fn private(path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

fn input(file: &Path) -> Result<Box<dyn Read>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?))
}

fn tell(manifest: &Manifest, what: &str, format: Format, out: &mut dyn Write) -> Result<ExitCode> {
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let text = if format == Format::Table {
        let count = manifest.files.len();
        format!(
            "the backup of {} ({count} files, {bytes} bytes, catalog on {}) {what}",
            manifest.created, manifest.catalog
        )
    } else {
        json!({
            "created": manifest.created, "version": manifest.version, "catalog": manifest.catalog,
            "files": manifest.files.len(), "bytes": bytes,
        })
        .to_string()
    };
    writeln!(out, "{text}")?;
    Ok(ExitCode::SUCCESS)
}
