//! Backups: one tar stream with everything that cannot be made again, and last a manifest with the BLAKE3 hash of each
//! file. Catalog and lake are copied while a server goes on writing them.
//!
//! What is copied first is oldest, and the order makes that harmless: detection's state, then the catalog, then the
//! lake. Detection then reads on from where its state was and stores alerts that are there already once more, which
//! changes nothing; and no alert is about telemetry that is not there.
//!
//! Keys are never in a backup: neither the master key, nor those that sign the audit trail or tokens, nor those of TLS.

mod archive;
mod cipher;

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use guardian_catalog::{Actor, Catalog, Subject};
use guardian_kit::clock::{Clock, SystemClock};
use guardian_model::TenantId;
use serde_json::json;

pub(crate) use archive::Manifest;
pub(crate) use cipher::Lock;

use crate::config::Config;

/// Directory of the archive with the copy of the catalog.
const CATALOG: &str = "catalog";
/// Directory with files of the data directory.
const DATA: &str = "data";
/// Directory with files of the lake.
const LAKE: &str = "lake";
/// What of the data directory is copied before the catalog.
const BEFORE: &[&str] = &["state"];
/// What of it is copied afterwards: bytes that the catalog speaks of, and the configuration.
const AFTER: &[&str] = &["evidence", "releases", "guardian.yaml"];
/// Deepest directory that is copied.
const DEPTH_MAX: usize = 8;

/// A directory that is removed when it is no longer needed.
struct Staging(PathBuf);

impl Staging {
    fn make(path: PathBuf) -> Result<Self> {
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.0.display(), "a directory of copies is left behind");
        }
    }
}

/// Writes a backup of the installation to `out`.
pub(crate) fn create<'a>(config: &Config, out: impl Write + 'a, lock: Option<&Lock>) -> Result<Manifest> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let name = format!("backup-{}.tmp", std::process::id());
    let (staging, lake) = (Staging::make(config.data.join(&name))?, Staging::make(config.lake.dir.join(&name))?);
    let out: Box<dyn Write + 'a> = match lock {
        Some(lock) => Box::new(cipher::Sealer::new(BufWriter::new(out), lock)?),
        None => Box::new(BufWriter::new(out)),
    };
    let mut archive = archive::Writer::new(out);
    for name in BEFORE {
        add_tree(&mut archive, &config.data, Path::new(name))?;
    }
    let (backend, files) = tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let catalog = Catalog::connect(&config.catalog, &config.data, Arc::clone(&clock)).await?;
        let mut tx = catalog.system().begin(TenantId::DEFAULT, Actor::local_operator("backup")).await?;
        tx.note("backup.create", Subject::Installation, "", json!({ "encrypted": lock.is_some() }));
        tx.commit().await?;
        let files = catalog.dump(&staging.0).await?;
        anyhow::Ok((catalog.backend(), files))
    })?;
    for file in files {
        archive.add(&Path::new(CATALOG).join(&file), &staging.0.join(&file))?;
    }
    for name in AFTER {
        add_tree(&mut archive, &config.data, Path::new(name))?;
    }
    for entry in fs::read_dir(config.data.join("audit")).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ext| ext == "pub") {
            archive.add(&Path::new(DATA).join("audit").join(entry.file_name()), &path)?;
        }
    }
    for file in guardian_lake::snapshot(&config.lake.dir, &lake.0)? {
        archive.add(&Path::new(LAKE).join(&file), &lake.0.join(&file))?;
    }
    archive.finish(&clock.now().to_string(), backend)
}

/// Adds a file or directory of the data directory; what is not there is left out.
fn add_tree(archive: &mut archive::Writer<'_>, data: &Path, relative: &Path) -> Result<()> {
    if relative.components().count() > DEPTH_MAX {
        bail!("{} is too deep for a backup", relative.display());
    }
    let path = data.join(relative);
    let Ok(kind) = path.symlink_metadata() else { return Ok(()) };
    if kind.is_file() {
        return match archive.add(&Path::new(DATA).join(relative), &path) {
            // Temporary files come and go.
            Err(error) if gone(&error) => Ok(()),
            other => other,
        };
    }
    if kind.is_dir() {
        let mut names: Vec<_> = fs::read_dir(&path)?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        names.sort();
        for name in names {
            add_tree(archive, data, &relative.join(name))?;
        }
    }
    Ok(())
}

fn gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Reads a whole backup and holds every file against its hash.
pub(crate) fn verify(input: impl Read, lock: Option<&Lock>) -> Result<Manifest> {
    archive::read(cipher::opened(BufReader::new(input), lock)?, |_, file| {
        io::copy(file, &mut io::sink())?;
        Ok(())
    })
}

/// Puts a backup into an empty data directory and an empty catalog. Nothing appears under its name before every file has
/// proved to be what was written.
pub(crate) fn restore(config: &Config, input: impl Read, lock: Option<&Lock>) -> Result<Manifest> {
    refuse_used(&config.data)?;
    refuse_used(&config.lake.dir)?;
    let data = std::path::absolute(&config.data)?;
    let mut beside = data.clone().into_os_string();
    beside.push(".restoring");
    let staging = Staging::make(PathBuf::from(beside))?;
    let manifest = archive::read(cipher::opened(BufReader::new(input), lock)?, |path, file| {
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            bail!("`{}` would lie outside: this is no backup of Guardian", path.display());
        }
        let target = staging.0.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut out = private(&target)?;
        io::copy(file, &mut out)?;
        Ok(out.sync_all()?)
    })?;
    fs::create_dir_all(&config.data)?;
    let catalog = staging.0.join(CATALOG);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(Catalog::restore(
        &config.catalog,
        &config.data,
        &catalog,
        Arc::new(SystemClock::new()),
    ))?;
    move_all(&staging.0.join(DATA), &config.data)?;
    move_all(&staging.0.join(LAKE), &config.lake.dir)?;
    Ok(manifest)
}

fn refuse_used(directory: &Path) -> Result<()> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", directory.display())),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => bail!("{} is not empty: restore into a new data directory", directory.display()),
        },
    }
}

fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Moves what is in `from` to `to`; across file systems it is copied.
fn move_all(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if fs::rename(entry.path(), &target).is_ok() {
            continue;
        }
        if entry.file_type()?.is_dir() {
            move_all(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}
