//! What languages keep: installed packages by their metadata, programs that say what they were built from, archives of
//! Java, and lock files.

use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use guardian_inventory::{Found, Package, cargo, gem, go, jar, npm, python};

use super::{FILES_MAX, Owners, Placed, Root, Scanned, component, read};

/// Reads a file that [`Kind::of`] has recognised.
type Reader = fn(&Path, &[u8]) -> Result<Vec<Package>, String>;

/// A kind of file: whether a path is one, and how it is read.
struct Kind {
    is: fn(folder: &str, name: &str) -> bool,
    read: Reader,
}

/// Every kind, in the order in which they are tried. Programs are recognised by their mode and first bytes, behind all.
const ALL: &[Kind] = &[
    Kind { is: |_, name| matches!(name, "package-lock.json" | "npm-shrinkwrap.json"), read: of_npm_lock },
    Kind { is: |folder, name| name == "package.json" && in_node_modules(folder), read: of_npm },
    Kind { is: |_, name| name == "Cargo.lock", read: of_cargo_lock },
    Kind { is: |_, name| name == ".crates2.json", read: of_cargo_installed },
    Kind { is: |folder, name| name == "METADATA" && folder.ends_with(".dist-info"), read: of_python },
    Kind { is: |folder, name| name == "PKG-INFO" && folder.ends_with(".egg-info"), read: of_python },
    Kind { is: |folder, name| name.ends_with(".gemspec") && folder.ends_with("specifications"), read: of_gem },
    Kind { is: |_, name| [".jar", ".war", ".ear", ".hpi"].iter().any(|end| name.ends_with(end)), read: of_jar },
];

/// Whether the folder is that of one installed package: `…/node_modules/name`, or `…/node_modules/@scope/name`.
fn in_node_modules(folder: &str) -> bool {
    let mut parts = folder.rsplit('/').skip(1);
    match parts.next() {
        Some("node_modules") => true,
        Some(scope) if scope.starts_with('@') => parts.next() == Some("node_modules"),
        _ => false,
    }
}

fn entries(found: Result<Found<Package>, guardian_inventory::Malformed>) -> Result<Vec<Package>, String> {
    found.map(|found| found.entries).map_err(|error| error.to_string())
}

fn one(package: Result<Package, guardian_inventory::Malformed>) -> Result<Vec<Package>, String> {
    package.map(|package| vec![package]).map_err(|error| error.to_string())
}

fn of_npm_lock(_: &Path, bytes: &[u8]) -> Result<Vec<Package>, String> {
    entries(npm::parse_lock(bytes))
}

fn of_npm(_: &Path, bytes: &[u8]) -> Result<Vec<Package>, String> {
    one(npm::parse(bytes))
}

/// Crates of the workspace itself have no source and are nobody's.
fn of_cargo_lock(_: &Path, bytes: &[u8]) -> Result<Vec<Package>, String> {
    let mut packages = cargo::parse_lock(bytes).entries;
    packages.retain(|package| package.source.starts_with("registry+") || package.source.starts_with("sparse+"));
    Ok(packages)
}

fn of_cargo_installed(_: &Path, bytes: &[u8]) -> Result<Vec<Package>, String> {
    entries(cargo::parse_installed(bytes))
}

fn of_python(_: &Path, bytes: &[u8]) -> Result<Vec<Package>, String> {
    one(python::parse(bytes))
}

fn of_gem(_: &Path, bytes: &[u8]) -> Result<Vec<Package>, String> {
    one(gem::parse(bytes))
}

fn of_jar(path: &Path, bytes: &[u8]) -> Result<Vec<Package>, String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    entries(jar::parse(&name, bytes))
}

/// Folders of a root in which the kernel shows itself, or that are gone with the next start.
const PASSED: &[&str] = &["/proc", "/sys", "/dev", "/run"];

/// Walks all folders below the root, on its own file system and on those mounted in it that are real.
pub(super) fn walk(root: &Root, owners: &Owners, scanned: &mut Scanned) {
    let mut open: Vec<PathBuf> = vec![root.path.clone()];
    while let Some(folder) = open.pop() {
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
                    return scanned.issue("there are too many files: the rest was left out".to_owned());
                }
                look(&inside, &path, owners, scanned);
            }
        }
    }
}

fn look(folder: &str, path: &Path, owners: &Owners, scanned: &mut Scanned) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    let inside = format!("{}/{name}", folder.trim_end_matches('/'));
    let found = match ALL.iter().find(|kind| (kind.is)(folder, name)) {
        Some(kind) => {
            let Some(bytes) = read(path) else { return };
            (kind.read)(path, &bytes)
        }
        // A program that a package owns is judged as that package, and need not be read.
        None if owners.of(&inside).is_none() && is_program(path, name) => match read(path) {
            Some(bytes) => entries(go::parse(&bytes)).or_else(|_| Ok(Vec::new())),
            None => return,
        },
        None => return,
    };
    match found {
        Ok(packages) => {
            for package in packages {
                // What was built in somebody's folder has no version that an advisory could speak of.
                let versioned = |version: &str| !version.is_empty() && version != "(devel)";
                let Some(component) = component(&package, None).filter(|c| versioned(&c.version)) else { continue };
                let owner = owners.of(&inside).map(ToOwned::to_owned);
                scanned.packages.push(Placed { manager: package.manager, component, place: inside.clone(), owner });
            }
        }
        Err(error) => scanned.issue(format!("{inside}: {error}")),
    }
}

/// Whether it may be run and says what Go built it from: programs are large, and most are none of Go, so that only the
/// names of a program's sections are read to find out (ELF specification, "Sections").
fn is_program(path: &Path, name: &str) -> bool {
    if name.contains(".so") {
        return false;
    }
    let Ok(metadata) = path.symlink_metadata() else { return false };
    if metadata.mode() & 0o111 == 0 || metadata.len() < SMALLEST_BYTES {
        return false;
    }
    std::fs::File::open(path).is_ok_and(|file| {
        section_names(&file).is_some_and(|names| names.windows(GO_SECTION.len()).any(|window| window == GO_SECTION))
    })
}

/// No program of Go is smaller.
const SMALLEST_BYTES: u64 = 1 << 18;
/// The section in which Go keeps what a program was built from.
const GO_SECTION: &[u8] = b"\0.go.buildinfo\0";
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
