//! Packages of languages, as they lie on the disk: Python, npm, Ruby, Rust, Go and Java, found by walking where software is.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guardian_inventory::{Package, cargo, gem, go, jar, npm, python};
use guardian_protocol::lists::List;

use super::packages::put;
use crate::files::{Root, Sort};

/// Where software is.
pub(crate) const ROOTS: [&str; 7] = ["/usr/lib", "/usr/local", "/usr/share", "/opt", "/srv", "/home", "/root"];
/// Folders that are entered.
const FOLDERS_MAX: usize = 200_000;
/// How deep.
const DEPTH_MAX: usize = 16;
/// Largest program and archive that is read.
const FILE_BYTES_MAX: u64 = 128 << 20;
/// Bytes of programs and archives that are read in one walk.
const READ_BYTES_MAX: u64 = 4 << 30;
/// Bytes a second of programs and archives that are read: nobody is in a hurry.
const BYTES_PER_SECOND: u64 = 32 << 20;
/// How a program begins.
pub(crate) const ELF: [u8; 4] = *b"\x7fELF";
/// Folders without anything of this sort.
const NOT: [&str; 9] = ["modules", "firmware", ".git", "doc", "locale", "man", "icons", "fonts", ".cache"];

pub(super) fn libraries(root: &mut Root, list: &mut List) {
    let mut walk = Walk { root, list, seen: HashSet::new(), folders: 0, bytes: 0 };
    for place in ROOTS {
        walk.folder(Path::new(place), 0);
    }
}

struct Walk<'a> {
    root: &'a mut Root,
    list: &'a mut List,
    seen: HashSet<PathBuf>,
    folders: usize,
    bytes: u64,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) {
        if self.folders >= FOLDERS_MAX || depth > DEPTH_MAX || !self.seen.insert(folder.to_owned()) {
            return;
        }
        self.folders += 1;
        for (name, sort) in folder.to_str().map(|path| self.root.entries(path)).unwrap_or_default() {
            let path = folder.join(&name);
            // Links lead to what is found elsewhere, or nowhere good.
            match sort {
                Sort::Folder if !NOT.contains(&name.as_str()) => {
                    self.special(&path, &name);
                    self.folder(&path, depth + 1);
                }
                Sort::File => self.file(&path, &name, folder),
                _ => {}
            }
        }
    }

    fn text(&mut self, path: &Path) -> Option<Vec<u8>> {
        self.root.read(path.to_str()?)
    }

    fn special(&mut self, path: &Path, name: &str) {
        let metadata = if name.ends_with(".dist-info") {
            path.join("METADATA")
        } else if name.ends_with(".egg-info") {
            path.join("PKG-INFO")
        } else {
            return;
        };
        let found = self.text(&metadata).and_then(|bytes| python::parse(&bytes).ok());
        self.add(found.into_iter().collect(), path);
    }

    fn file(&mut self, path: &Path, name: &str, folder: &Path) {
        let inside = |part: &str| folder.components().any(|c| c.as_os_str() == part);
        let found: Vec<Package> = match name {
            "package.json" if in_modules(folder) => {
                self.text(path).and_then(|b| npm::parse(&b).ok()).into_iter().collect()
            }
            ".crates2.json" => {
                self.text(path).and_then(|b| cargo::parse_installed(&b).ok()).map(|f| f.entries).unwrap_or_default()
            }
            _ if name.ends_with(".gemspec") && inside("specifications") => {
                self.text(path).and_then(|b| gem::parse(&b).ok()).into_iter().collect()
            }
            _ if name.ends_with(".egg-info") => {
                self.text(path).and_then(|b| python::parse(&b).ok()).into_iter().collect()
            }
            _ if [".jar", ".war", ".ear"].iter().any(|end| name.ends_with(end)) => {
                self.whole(path).and_then(|b| jar::parse(name, &b).ok()).map(|f| f.entries).unwrap_or_default()
            }
            _ if inside("bin") || inside("sbin") || folder.starts_with("/opt") => {
                if !self.is_program(path) {
                    return;
                }
                self.whole(path).and_then(|b| go::parse(&b).ok()).map(|f| f.entries).unwrap_or_default()
            }
            _ => return,
        };
        self.add(found, path);
    }

    fn is_program(&self, path: &Path) -> bool {
        let mut start = [0; 4];
        let open = path.to_str().and_then(|path| self.root.open(path).ok());
        open.is_some_and(|(mut file, _)| file.read_exact(&mut start).is_ok()) && start == ELF
    }

    /// A file that may be long, within what one walk may read.
    fn whole(&mut self, path: &Path) -> Option<Vec<u8>> {
        let (_, length) = self.root.open(path.to_str()?).ok()?;
        if length > FILE_BYTES_MAX || self.bytes + length > READ_BYTES_MAX {
            return None;
        }
        self.bytes += length;
        let begun = Instant::now();
        let whole = self.text(path);
        let pace = Duration::from_micros(length * 1_000_000 / BYTES_PER_SECOND);
        std::thread::sleep(pace.saturating_sub(begun.elapsed()));
        whole
    }

    fn add(&mut self, packages: Vec<Package>, path: &Path) {
        if let (false, Some(path)) = (packages.is_empty(), path.to_str()) {
            put(self.list, packages, Some(path));
        }
    }
}

/// `node_modules/name` or `node_modules/@scope/name`.
fn in_modules(folder: &Path) -> bool {
    let mut above = folder.ancestors().skip(1).filter_map(Path::file_name);
    match (above.next(), above.next()) {
        (Some(parent), _) if parent == "node_modules" => true,
        (Some(scope), Some(parent)) => parent == "node_modules" && scope.to_string_lossy().starts_with('@'),
        _ => false,
    }
}
