//! What languages keep: installed packages by their metadata, programs that say what they were built from, archives of
//! Java, and lock files. Which files those are, [`language::ALL`] says.

use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use guardian_inventory::{Found, Package, language};

use super::{FILES_MAX, Owners, Placed, Root, Scanned, component, read};

/// What one file named, until it is known whose the file is.
#[derive(Clone)]
pub(super) struct Named {
    /// The file, from the root.
    pub(super) place: String,
    /// What it named.
    pub(super) packages: Vec<Package>,
    /// A `go.mod` that names every module which is needed.
    pub(super) whole: bool,
}

impl Named {
    /// Reads a file whose kind is known by its name; complains of what cannot be read.
    pub(super) fn of(kind: &language::Kind, place: &str, bytes: &[u8], issue: &mut dyn FnMut(String)) -> Option<Self> {
        let name = place.rsplit('/').next().unwrap_or_default();
        match (kind.read)(name, bytes) {
            Ok(found) => {
                found.issues.iter().for_each(|found| issue(format!("{place}: {found}")));
                let whole = name == "go.mod" && language::go_mod_is_whole(bytes);
                Some(Self { place: place.to_owned(), packages: found.entries, whole })
            }
            Err(error) => {
                issue(format!("{place}: {error}"));
                None
            }
        }
    }

    /// Reads a program.
    pub(super) fn of_program(place: &str, bytes: &[u8]) -> Option<Self> {
        let Found { entries, .. } = language::of_program(bytes);
        (!entries.is_empty()).then(|| Self { place: place.to_owned(), packages: entries, whole: false })
    }
}

/// Takes what files named. What `go.sum` names beside a `go.mod` that names everything is not in use.
pub(super) fn take(named: Vec<Named>, owners: &Owners, scanned: &mut Scanned, layer: impl Fn(&str) -> Option<u32>) {
    let folder = |place: &str| place.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let whole: std::collections::BTreeSet<String> =
        named.iter().filter(|named| named.whole).map(|named| folder(&named.place)).collect();
    for named in named {
        if named.place.ends_with("/go.sum") && whole.contains(&folder(&named.place)) {
            continue;
        }
        for package in &named.packages {
            // What was built in somebody's folder has no version that an advisory could speak of.
            let versioned = |version: &str| !version.is_empty() && version != "(devel)";
            let Some(component) = component(package, None).filter(|c| versioned(&c.version)) else { continue };
            let owner = owners.of(&named.place).map(ToOwned::to_owned);
            let placed = Placed { owner, layer: layer(&named.place), ..Placed::new(package, component, &named.place) };
            scanned.packages.push(placed);
        }
    }
}

/// Folders of a root in which the kernel shows itself, or that are gone with the next start.
const PASSED: &[&str] = &["/proc", "/sys", "/dev", "/run"];

/// Walks all folders below the root, on its own file system and on those mounted in it that are real.
pub(super) fn walk(root: &Root, owners: &Owners, scanned: &mut Scanned) {
    let mut open: Vec<PathBuf> = vec![root.path.clone()];
    let mut named = Vec::new();
    'folders: while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let inside = folder.strip_prefix(&root.path).map(|path| format!("/{}", path.display())).unwrap_or_default();
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() {
                let name = path.strip_prefix(&root.path).map(|path| format!("/{}", path.display())).unwrap_or_default();
                // Only of a whole machine: a project may have a folder of this name.
                let kernel = scanned.os.is_some() && PASSED.contains(&name.as_str());
                if !kernel && entry.file_name() != ".git" {
                    open.push(path);
                }
            } else if kind.is_file() {
                scanned.files += 1;
                if scanned.files > FILES_MAX {
                    scanned.issue("there are too many files: the rest was left out".to_owned());
                    break 'folders;
                }
                named.extend(look(&inside, &path, owners, scanned));
            }
        }
    }
    take(named, owners, scanned, |_| None);
}

fn look(folder: &str, path: &Path, owners: &Owners, scanned: &mut Scanned) -> Option<Named> {
    let name = path.file_name().and_then(|name| name.to_str())?;
    let inside = format!("{}/{name}", folder.trim_end_matches('/'));
    match language::of(folder, name) {
        Some(kind) => Named::of(kind, &inside, &read(path)?, &mut |what| scanned.issue(what)),
        // A program that a package owns is judged as that package, and need not be read.
        None if owners.of(&inside).is_none() && is_program(path, name) => Named::of_program(&inside, &read(path)?),
        None => None,
    }
}

/// Whether it may be run and says what it was built from: programs are large, and most do not say, so that only the names
/// of a program's sections are read to find out (ELF specification, "Sections").
fn is_program(path: &Path, name: &str) -> bool {
    if name.contains(".so") {
        return false;
    }
    let Ok(metadata) = path.symlink_metadata() else { return false };
    if metadata.mode() & 0o111 == 0 || metadata.len() < SMALLEST_BYTES {
        return false;
    }
    std::fs::File::open(path).is_ok_and(|file| {
        section_names(&file).is_some_and(|names| {
            let says = |section: &&str| names.split(|byte| *byte == 0).any(|name| name == section.as_bytes());
            language::PROGRAM_SECTIONS.iter().any(says)
        })
    })
}

/// No program of Go or Rust with anything in it is smaller.
pub(super) const SMALLEST_BYTES: u64 = 1 << 18;
/// Bytes of the names of sections that are read.
const NAMES_BYTES_MAX: u64 = 1 << 20;

/// The names of a program's sections, as the table that holds them; for 64 and 32 bits, whatever the order of bytes.
fn section_names(file: &std::fs::File) -> Option<Vec<u8>> {
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).ok()?;
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    let (wide, little) = (header[4] == 2, header[5] == 1);
    let number = |bytes: &[u8]| {
        let digit = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if little { bytes.iter().rev().fold(0, digit) } else { bytes.iter().fold(0, digit) }
    };
    // Where the table of sections is, how long a row is, and which row is of the names.
    let (table, row, of_names) = if wide {
        (number(&header[40..48]), number(&header[58..60]), number(&header[62..64]))
    } else {
        (number(&header[32..36]), number(&header[46..48]), number(&header[50..52]))
    };
    let mut section = [0; 64];
    let length = if wide { 64 } else { 40 };
    file.read_exact_at(&mut section[..length], table.checked_add(row.checked_mul(of_names)?)?).ok()?;
    let (at, bytes) = if wide {
        (number(&section[24..32]), number(&section[32..40]))
    } else {
        (number(&section[16..20]), number(&section[20..24]))
    };
    let mut names = vec![0; bytes.min(NAMES_BYTES_MAX) as usize];
    file.read_exact_at(&mut names, at).ok()?;
    Some(names)
}
