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
    let owned = owners.of(&inside).is_some();
    match language::of(folder, name) {
        // What a package owns is judged as that package: nobody need hear what it does not say.
        Some(kind) => Named::of(kind, &inside, &read(path)?, &mut |what| {
            if !owned {
                scanned.issue(what);
            }
        }),
        None if !owned => program(path, name).map(|packages| Named { place: inside, packages, whole: false }),
        None => None,
    }
}

/// What a program says that it was built from. Programs are large, and most do not say, so that only the names of a
/// program's sections are read to find out, and of those only the one that says it (ELF specification, "Sections").
fn program(path: &Path, name: &str) -> Option<Vec<Package>> {
    let metadata = path.symlink_metadata().ok()?;
    if name.contains(".so") || metadata.mode() & 0o111 == 0 || metadata.len() < SMALLEST_BYTES {
        return None;
    }
    let file = std::fs::File::open(path).ok()?;
    let sections = Sections::of(&file)?;
    let found = language::PROGRAM_SECTIONS.iter().find_map(|name| {
        let content = sections.content(&file, name)?;
        Some(language::of_section(name, &content).entries).filter(|packages| !packages.is_empty())
    });
    found
}

/// No program of Go or Rust with anything in it is smaller.
pub(super) const SMALLEST_BYTES: u64 = 1 << 18;
/// Bytes of the names of sections, of the table of sections, and of a section that are read.
const NAMES_BYTES_MAX: u64 = 1 << 20;
const TABLE_BYTES_MAX: u64 = 1 << 20;
const SECTION_BYTES_MAX: u64 = 64 << 20;

/// The table of a program's sections and their names, read from the file; for 64 and 32 bits, whatever the order of bytes.
struct Sections {
    table: Vec<u8>,
    names: Vec<u8>,
    row: usize,
    wide: bool,
    little: bool,
}

impl Sections {
    fn of(file: &std::fs::File) -> Option<Self> {
        let mut header = [0; 64];
        file.read_exact_at(&mut header, 0).ok()?;
        if !header.starts_with(b"\x7fELF") {
            return None;
        }
        let (wide, little) = (header[4] == 2, header[5] == 1);
        let number = |bytes: &[u8]| number(bytes, little);
        // Where the table of sections is, how long a row is, how many there are, and which row is of the names.
        let (at, row, count, of_names) = if wide {
            (number(&header[40..48]), number(&header[58..60]), number(&header[60..62]), number(&header[62..64]))
        } else {
            (number(&header[32..36]), number(&header[46..48]), number(&header[48..50]), number(&header[50..52]))
        };
        if row < if wide { 64 } else { 40 } {
            return None;
        }
        let table = piece(file, at, row.checked_mul(count)?, TABLE_BYTES_MAX)?;
        let mut sections = Self { table, names: Vec::new(), row: row as usize, wide, little };
        let (at, bytes) = sections.place(of_names as usize)?;
        sections.names = piece(file, at, bytes, NAMES_BYTES_MAX)?;
        Some(sections)
    }

    /// Offset and length of a section.
    fn place(&self, section: usize) -> Option<(u64, u64)> {
        let row = self.table.chunks_exact(self.row).nth(section)?;
        let number = |bytes: &[u8]| number(bytes, self.little);
        Some(if self.wide {
            (number(&row[24..32]), number(&row[32..40]))
        } else {
            (number(&row[16..20]), number(&row[20..24]))
        })
    }

    /// The content of the section of that name.
    fn content(&self, file: &std::fs::File, name: &str) -> Option<Vec<u8>> {
        let named = |row: &[u8]| {
            let rest = self.names.get(number(&row[..4], self.little) as usize..)?;
            Some(rest.strip_prefix(name.as_bytes())?.first() == Some(&0))
        };
        let section = self.table.chunks_exact(self.row).position(|row| named(row) == Some(true))?;
        let (at, bytes) = self.place(section)?;
        piece(file, at, bytes, SECTION_BYTES_MAX)
    }
}

fn number(bytes: &[u8], little: bool) -> u64 {
    let digit = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    if little { bytes.iter().rev().fold(0, digit) } else { bytes.iter().fold(0, digit) }
}

fn piece(file: &std::fs::File, at: u64, bytes: u64, limit: u64) -> Option<Vec<u8>> {
    let mut piece = vec![0; usize::try_from(bytes.min(limit)).ok()?];
    file.read_exact_at(&mut piece, at).ok()?;
    Some(piece)
}
