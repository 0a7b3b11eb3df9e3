//! What languages keep: installed packages by their metadata, programs that say what they were built from, archives of
//! Java, and lock files. Which files those are, [`language::ALL`] says.

use std::fs::{DirEntry, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use guardian_inventory::{Found, Malformed, Package, language};

use super::{FILES_MAX, Owners, Placed, Root, Scanned, component, read, regular};

/// What one file named, until it is known whose the file is.
#[derive(Clone)]
pub(super) struct Named {
    /// The file, from the root.
    pub(super) place: String,
    /// What it named; their place is not filled in yet.
    pub(super) packages: Vec<Placed>,
    /// A `go.mod` that names every module which is needed.
    pub(super) whole: bool,
}

impl Named {
    fn new(place: &str, found: Found<Package>, whole: bool) -> Self {
        // What was built in somebody's folder has no version that an advisory could speak of.
        let versioned = |version: &str| !version.is_empty() && version != "(devel)";
        let packages = found.entries.into_iter().filter(|package| versioned(&package.version));
        let placed = packages.filter_map(|mut package| {
            let component = component(&package, None)?;
            let (arch, licences) = (std::mem::take(&mut package.arch), std::mem::take(&mut package.licences));
            Some(Placed { component, place: String::new(), owner: None, arch, licences, layer: None })
        });
        Self { place: place.to_owned(), packages: placed.collect(), whole }
    }

    fn of_found(
        place: &str,
        found: Result<Found<Package>, Malformed>,
        whole: bool,
        issue: &mut dyn FnMut(String),
    ) -> Option<Self> {
        match found {
            Ok(found) => {
                found.issues.iter().for_each(|found| issue(format!("{place}: {found}")));
                Some(Self::new(place, found, whole))
            }
            Err(error) => {
                issue(format!("{place}: {error}"));
                None
            }
        }
    }

    /// Reads a file whose kind is known by its name; complains of what cannot be read.
    pub(super) fn of(kind: &language::Kind, place: &str, bytes: &[u8], issue: &mut dyn FnMut(String)) -> Option<Self> {
        let name = place.rsplit('/').next().unwrap_or_default();
        let whole = name == "go.mod" && language::go_mod_is_whole(bytes);
        Self::of_found(place, (kind.read)(name, bytes), whole, issue)
    }

    /// Reads a program.
    pub(super) fn of_program(place: &str, bytes: &[u8]) -> Option<Self> {
        let found = language::of_program(bytes);
        (!found.entries.is_empty()).then(|| Self::new(place, found, false))
    }
}

/// Takes what files named. What `go.sum` names beside a `go.mod` that names everything is not in use.
pub(super) fn take(named: Vec<Named>, owners: &Owners, scanned: &mut Scanned, layer: impl Fn(&str) -> Option<u32>) {
    let folder = |place: &str| place.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let whole: std::collections::BTreeSet<String> =
        named.iter().filter(|named| named.whole).map(|named| folder(&named.place)).collect();
    scanned.packages.reserve(named.iter().map(|named| named.packages.len()).sum());
    for named in named {
        if named.place.ends_with("/go.sum") && whole.contains(&folder(&named.place)) {
            continue;
        }
        let (owner, layer) = (owners.of(&named.place).map(ToOwned::to_owned), layer(&named.place));
        scanned.packages.extend(named.packages.into_iter().map(|placed| Placed {
            place: named.place.clone(),
            owner: owner.clone(),
            layer,
            ..placed
        }));
    }
}

/// Folders of a root in which the kernel shows itself, or that are gone with the next start.
const PASSED: &[&str] = &["proc", "sys", "dev", "run"];

/// Threads that look at files at once.
const THREADS_MAX: usize = 4;

/// Walks all folders below the root, on its own file system and on those mounted in it that are real.
pub(super) fn walk(root: &Root, owners: &Owners, scanned: &mut Scanned) {
    let open = Open { folders: vec![root.path.clone()], busy: 0 };
    let walk = Walk {
        root,
        owners,
        machine: scanned.os.is_some(),
        open: Mutex::new(open),
        more: Condvar::new(),
        files: AtomicUsize::new(0),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| walk.work())).collect();
        let mut seen = vec![walk.work()];
        for other in others {
            seen.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        seen
    });
    let files = walk.files.into_inner();
    scanned.files += files.min(FILES_MAX);
    let mut named = Vec::new();
    let mut issues = Vec::new();
    for one in seen {
        named.extend(one.named);
        issues.extend(one.issues.issues);
        scanned.issues_more += one.issues.issues_more;
    }
    // Whichever thread came first, a folder's report is the same.
    issues.sort_unstable();
    issues.into_iter().for_each(|what| scanned.issue(what));
    if files > FILES_MAX {
        scanned.issue("there are too many files: the rest was left out".to_owned());
    }
    take(named, owners, scanned, |_| None);
}

/// Folders that nobody has looked into yet.
struct Open {
    folders: Vec<PathBuf>,
    /// Threads that look into one, and may find more.
    busy: usize,
}

/// What one thread has seen.
#[derive(Default)]
struct Seen {
    named: Vec<Named>,
    /// Complaints, and nothing else.
    issues: Scanned,
}

/// A walk that several threads share.
struct Walk<'a> {
    root: &'a Root,
    owners: &'a Owners,
    /// The root is that of a whole machine.
    machine: bool,
    open: Mutex<Open>,
    more: Condvar,
    files: AtomicUsize,
}

impl Walk<'_> {
    /// Looks into folders until nobody finds any more.
    fn work(&self) -> Seen {
        let mut seen = Seen::default();
        while let Some(folder) = self.next() {
            let mut looking = Looking { walk: self, found: Vec::new() };
            self.look_into(&folder, &mut looking.found, &mut seen);
        }
        seen
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Whoever panicked left a list of paths, which is whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next folder, or what others find while they look.
    fn next(&self) -> Option<PathBuf> {
        let mut open = self.open();
        loop {
            if let Some(folder) = open.folders.pop() {
                open.busy += 1;
                return Some(folder);
            }
            if open.busy == 0 {
                return None;
            }
            open = self.more.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn look_into(&self, folder: &Path, found: &mut Vec<PathBuf>, seen: &mut Seen) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let inside = folder.strip_prefix(&self.root.path).map(|path| format!("/{}", path.display()));
        let inside = inside.unwrap_or_default();
        let mut files = 0;
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                let path = entry.path();
                let own = |path: &Path| {
                    path.strip_prefix(&self.root.path).is_ok_and(|path| PASSED.iter().any(|p| path == Path::new(p)))
                };
                // Only of a whole machine: a project may have a folder of this name.
                if !(self.machine && own(&path)) && entry.file_name() != ".git" {
                    found.push(path);
                }
            } else if kind.is_file() {
                files += 1;
                let named = look(&inside, &entry, self.owners, &mut seen.issues);
                seen.named.extend(named);
            }
        }
        let before = self.files.fetch_add(files, Ordering::Relaxed);
        if before + files > FILES_MAX {
            found.clear();
            self.open().folders.clear();
        }
    }
}

/// A thread that looks into a folder: what it found is everybody's when it is done, however it ends.
struct Looking<'a, 'b> {
    walk: &'a Walk<'b>,
    found: Vec<PathBuf>,
}

impl Drop for Looking<'_, '_> {
    fn drop(&mut self) {
        let mut open = self.walk.open();
        open.folders.append(&mut self.found);
        open.busy -= 1;
        self.walk.more.notify_all();
    }
}

fn look(folder: &str, entry: &DirEntry, owners: &Owners, issues: &mut Scanned) -> Option<Named> {
    let file_name = entry.file_name();
    let name = file_name.to_str()?;
    let kind = language::of(folder, name);
    if kind.is_none() && is_no_program(name) {
        return None;
    }
    let inside = format!("{}/{name}", folder.trim_end_matches('/'));
    let owned = owners.of(&inside).is_some();
    // What a package owns is judged as that package: nobody need hear what it does not say.
    let mut issue = |what| {
        if !owned {
            issues.issue(what);
        }
    };
    match kind {
        // An archive may be large, and little of it is read.
        Some(kind) if kind.name == language::JAVA => {
            let (file, _) = regular(&entry.path())?;
            let read = language::of_archive(name, std::io::BufReader::new(file));
            Named::of_found(&inside, read, false, &mut issue)
        }
        Some(kind) => Named::of(kind, &inside, &read(&entry.path())?, &mut issue),
        None if !owned => program(entry).map(|found| Named::new(&inside, found, false)),
        None => None,
    }
}

/// Whether the end of a name says that the file is something else than a program: of these there are many, and nothing of
/// them is asked of the disk.
fn is_no_program(name: &str) -> bool {
    const ENDS: &[&str] = &[
        "a", "c", "cc", "class", "cpp", "css", "csv", "d", "gif", "go", "gz", "h", "hpp", "html", "jpeg", "jpg", "js",
        "json", "lock", "log", "map", "md", "mjs", "mo", "o", "pc", "pdf", "php", "pl", "pm", "png", "py", "pyc",
        "pyi", "rb", "rlib", "rmeta", "rs", "rst", "sh", "svg", "toml", "ts", "tsx", "txt", "xml", "xz", "yaml", "yml",
        "zip",
    ];
    name.contains(".so") || name.rsplit_once('.').is_some_and(|(_, end)| ENDS.binary_search(&end).is_ok())
}

/// What a program says that it was built from. Programs are large, and most do not say, so that only the names of a
/// program's sections are read to find out, and of those only the one that says it (ELF specification, "Sections").
fn program(entry: &DirEntry) -> Option<Found<Package>> {
    let metadata = entry.metadata().ok()?;
    if metadata.mode() & 0o111 == 0 || metadata.len() < SMALLEST_BYTES {
        return None;
    }
    let file = File::open(entry.path()).ok()?;
    let sections = Sections::of(&file)?;
    language::PROGRAM_SECTIONS.iter().find_map(|name| {
        let content = sections.content(&file, name)?;
        Some(language::of_section(name, &content)).filter(|found| !found.entries.is_empty())
    })
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
    fn of(file: &File) -> Option<Self> {
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
    fn content(&self, file: &File, name: &str) -> Option<Vec<u8>> {
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

fn piece(file: &File, at: u64, bytes: u64, limit: u64) -> Option<Vec<u8>> {
    let mut piece = vec![0; usize::try_from(bytes.min(limit)).ok()?];
    file.read_exact_at(&mut piece, at).ok()?;
    Some(piece)
}

#[cfg(test)]
mod tests {
    use super::is_no_program;

    #[test]
    fn what_is_no_program_is_told_by_its_name() {
        for name in ["a.rs", "libx.so", "libx.so.6", "x.tar.gz", "a.o", "a.json", "a.zip", "a.a"] {
            assert!(is_no_program(name), "{name}");
        }
        for name in ["node", "python3.11", "kubectl", "app.bin", "x.exe", "run.AppImage", ".hidden", "rs"] {
            assert!(!is_no_program(name), "{name}");
        }
    }
}
