//! What languages keep: installed packages by their metadata, programs that say what they were built from, archives of
//! Java, and lock files.

use std::os::unix::fs::MetadataExt as _;
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
                let Some(component) = component(&package, None).filter(|c| !c.version.is_empty()) else { continue };
                let owner = owners.of(&inside).map(ToOwned::to_owned);
                scanned.packages.push(Placed { manager: package.manager, component, place: inside.clone(), owner });
            }
        }
        Err(error) => scanned.issue(format!("{inside}: {error}")),
    }
}

/// Whether it may be run and begins as a program does. Libraries are named so, and are no programs of Go.
fn is_program(path: &Path, name: &str) -> bool {
    if name.contains(".so") {
        return false;
    }
    let Ok(metadata) = path.symlink_metadata() else { return false };
    if metadata.mode() & 0o111 == 0 || metadata.len() < 1 << 18 {
        return false;
    }
    let mut magic = [0; 4];
    let file = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
    file.is_ok() && &magic == b"\x7fELF"
}
