//! The tar stream and its manifest, which is the last file in it: a stream that was cut off has none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// Name of the manifest.
const MANIFEST: &str = "manifest.json";
/// Largest manifest, in bytes.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;
/// The form of the archive.
const FORMAT: u32 = 1;

/// What is in a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Form of the archive.
    pub(crate) format: u32,
    /// Version of the program that wrote it.
    pub(crate) version: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// The sort of database that the catalog is in.
    pub(crate) catalog: String,
    /// The files.
    pub(crate) files: Vec<Entry>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Where in the archive.
    pub(crate) path: PathBuf,
    /// How long.
    pub(crate) bytes: u64,
    /// BLAKE3 of its bytes.
    pub(crate) blake3: String,
}

/// Hashes what is read through it.
struct Hashing<R> {
    inner: R,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    fn entry(&self, path: &Path) -> Entry {
        Entry { path: path.to_owned(), bytes: self.bytes, blake3: self.hasher.finalize().to_string() }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Writes an archive.
pub(crate) struct Writer<'a> {
    tar: tar::Builder<Box<dyn Write + 'a>>,
    files: Vec<Entry>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: Box<dyn Write + 'a>) -> Self {
        Self { tar: tar::Builder::new(out), files: Vec::new() }
    }

    /// Adds the file at `from`, as long as it is now, under the name `path`.
    pub(crate) fn add(&mut self, path: &Path, from: &Path) -> Result<()> {
        let file = File::open(from)?;
        let length = file.metadata()?.len();
        let mut header = header(length);
        let mut reader = Hashing::new(file.take(length));
        self.tar
            .append_data(&mut header, path, &mut reader)
            .with_context(|| format!("cannot back {} up", from.display()))?;
        if reader.bytes != length {
            bail!("{} became shorter while it was copied", from.display());
        }
        self.files.push(reader.entry(path));
        Ok(())
    }

    /// Ends the archive with its manifest.
    pub(crate) fn finish(mut self, created: &str, catalog: &str) -> Result<Manifest> {
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created: created.to_owned(),
            catalog: catalog.to_owned(),
            files: self.files,
        };
        let text = serde_json::to_vec(&manifest)?;
        self.tar.append_data(&mut header(text.len() as u64), MANIFEST, text.as_slice())?;
        self.tar.into_inner()?.flush()?;
        Ok(manifest)
    }
}

fn header(length: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o600);
    header.set_entry_type(tar::EntryType::Regular);
    header
}

/// Reads an archive to its end, hands each file to `take`, and holds all against the manifest. `take` has to read its
/// file to the end.
pub(crate) fn read(input: impl Read, mut take: impl FnMut(&Path, &mut dyn Read) -> Result<()>) -> Result<Manifest> {
    let mut tar = tar::Archive::new(input);
    let mut found: BTreeMap<PathBuf, Entry> = BTreeMap::new();
    let mut manifest: Option<Manifest> = None;
    for entry in tar.entries().context("this is no backup")? {
        let entry = entry.context("the backup is cut off, damaged or encrypted with another key")?;
        let path = entry.path().context("this is no backup")?.into_owned();
        if manifest.is_some() || !entry.header().entry_type().is_file() {
            bail!("`{}` has no place in a backup", path.display());
        }
        if path == Path::new(MANIFEST) {
            let read: Manifest = serde_json::from_reader(entry.take(MANIFEST_BYTES_MAX)).context("the manifest")?;
            if read.format != FORMAT {
                bail!("this backup has form {}; this program reads {FORMAT}", read.format);
            }
            manifest = Some(read);
            continue;
        }
        let mut file = Hashing::new(entry);
        take(&path, &mut file).with_context(|| path.display().to_string())?;
        if found.insert(path.clone(), file.entry(&path)).is_some() {
            bail!("`{}` is there twice", path.display());
        }
    }
    let Some(manifest) = manifest else { bail!("the backup is cut off: its manifest is missing") };
    for wanted in &manifest.files {
        match found.remove(&wanted.path) {
            Some(entry) if entry == *wanted => {}
            Some(_) => bail!("`{}` is not what was backed up: it is damaged or was changed", wanted.path.display()),
            None => bail!("`{}` is missing", wanted.path.display()),
        }
    }
    match found.into_keys().next() {
        Some(path) => bail!("`{}` was put in later", path.display()),
        None => Ok(manifest),
    }
}
