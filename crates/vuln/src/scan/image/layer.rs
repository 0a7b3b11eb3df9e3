//! One layer of an image, read as it comes: what package managers keep in it, what it takes away from the layers below
//! (OCI image specification, "Whiteouts"), and nothing else.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use guardian_inventory::language;
use hashbrown::HashSet;

use super::super::FILE_BYTES_MAX;
use super::super::languages::{Named, SMALLEST_BYTES};
use super::tar::{Archive, Entry, Kind, clean};
use crate::limits::{IMAGE_BYTES_MAX, IMAGE_ENTRIES_MAX, IMAGE_HELD_BYTES_MAX, LOCK_BYTES_MAX};

/// What is kept of a file.
#[derive(Clone)]
pub(super) enum Content {
    /// Its bytes: it is of a distribution's database.
    Bytes(Rc<[u8]>),
    /// What it named: it is of a language.
    Named(Rc<Named>),
}

/// How much of an image may still be read and held.
pub(super) struct Budget {
    bytes: u64,
    held: u64,
    entries: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: IMAGE_BYTES_MAX, held: IMAGE_HELD_BYTES_MAX, entries: IMAGE_ENTRIES_MAX }
    }
}

/// What a layer has.
#[derive(Default)]
pub(super) struct Contents {
    /// Files that something is kept of, by their path.
    pub(super) files: BTreeMap<String, Content>,
    /// Paths that are gone with all below them.
    pub(super) gone: Vec<String>,
    /// Folders whose content in the layers below is gone.
    pub(super) opaque: Vec<String>,
    /// Hashes of the paths of everything that is no folder, which takes the place of what is below.
    touched: HashSet<u64, foldhash::fast::FixedState>,
    /// Symbolic links in the place of folders in which something is looked for.
    pub(super) issues: Vec<String>,
    /// Files in it.
    pub(super) count: usize,
}

impl Contents {
    /// Whether the layer has something of its own at the path.
    pub(super) fn touches(&self, path: &str) -> bool {
        self.touched.contains(&hash(path))
    }
}

fn hash(path: &str) -> u64 {
    foldhash::fast::FixedState::default().hash_one(path)
}

/// Reads a layer that is decompressed already.
pub(super) fn read(reader: impl BufRead, budget: &mut Budget) -> io::Result<Contents> {
    let mut archive = Archive::new(reader);
    let mut contents = Contents::default();
    let mut buffer = Vec::new();
    while let Some(entry) = archive.next()? {
        budget.entries = budget.entries.checked_sub(1).ok_or(io::Error::other("it has too many files"))?;
        let spent = budget.bytes.checked_sub(entry.bytes.saturating_add(512));
        budget.bytes = spent.ok_or(io::Error::other("it is too large"))?;
        if entry.path.is_empty() {
            continue;
        }
        let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        if let Some(gone) = name.strip_prefix(".wh.") {
            match gone {
                ".wh..opq" => contents.opaque.push(folder.to_owned()),
                gone => contents.gone.push(clean(&format!("{folder}/{gone}"))),
            }
            continue;
        }
        if entry.kind == Kind::Folder {
            continue;
        }
        contents.count += 1;
        contents.touched.insert(hash(&entry.path));
        let kept = match &entry.kind {
            Kind::File => keep(&entry, &mut archive, &mut buffer, budget, &mut contents.issues)?,
            Kind::Link(target) => contents.files.get(target).cloned(),
            _ => None,
        };
        if let Some(content) = kept {
            contents.files.insert(entry.path, content);
        }
    }
    Ok(contents)
}

/// Reads a file, where it is one of which something is kept.
fn keep(
    entry: &Entry,
    archive: &mut impl Read,
    buffer: &mut Vec<u8>,
    budget: &mut Budget,
    issues: &mut Vec<String>,
) -> io::Result<Option<Content>> {
    let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
    let place = format!("/{}", entry.path);
    let kind = language::of(&format!("/{folder}"), name);
    let database = is_database(&entry.path);
    let program = kind.is_none() && entry.mode & 0o111 != 0 && entry.bytes >= SMALLEST_BYTES && !name.contains(".so");
    if !database && kind.is_none() && !program {
        return Ok(None);
    }
    let limit = match kind {
        Some(kind) if kind.name != "Java" => LOCK_BYTES_MAX,
        _ => FILE_BYTES_MAX,
    };
    if entry.bytes > limit {
        issues.push(format!("{place}: it is too large"));
        return Ok(None);
    }
    buffer.clear();
    if program {
        // Most large files that can be run say nothing, and what is no program is not read.
        archive.take(4).read_to_end(buffer)?;
        if buffer != b"\x7fELF" {
            return Ok(None);
        }
    }
    archive.take(entry.bytes).read_to_end(buffer)?;
    if database {
        budget.held = budget.held.checked_sub(entry.bytes).ok_or(io::Error::other("its databases are too large"))?;
        return Ok(Some(Content::Bytes(buffer.as_slice().into())));
    }
    let named = match kind {
        Some(kind) => Named::of(kind, &place, buffer, &mut |what| issues.push(what)),
        None => Named::of_program(&place, buffer),
    };
    Ok(named.map(|named| Content::Named(Rc::new(named))))
}

/// Whether the file is one that is read of a distribution.
fn is_database(path: &str) -> bool {
    const WHOLE: &[&str] = &[
        "etc/os-release",
        "usr/lib/os-release",
        "var/lib/dpkg/status",
        "usr/lib/apk/db/installed",
        "lib/apk/db/installed",
        "nix/var/nix/db/db.sqlite",
        "nix/var/nix/db/db.sqlite-wal",
    ];
    let rpm = ["usr/lib/sysimage/rpm/", "var/lib/rpm/"].iter().find_map(|folder| path.strip_prefix(folder));
    let dpkg = path.strip_prefix("var/lib/dpkg/").unwrap_or_default();
    WHOLE.contains(&path)
        || rpm.is_some_and(|name| matches!(name, "rpmdb.sqlite" | "rpmdb.sqlite-wal" | "Packages.db" | "Packages"))
        || dpkg.starts_with("status.d/")
        || dpkg.starts_with("info/") && dpkg.ends_with(".list")
        || path.starts_with("var/lib/pacman/local/") && (path.ends_with("/desc") || path.ends_with("/files"))
        || path.starts_with("var/db/pkg/") && path.ends_with("/CONTENTS")
}
