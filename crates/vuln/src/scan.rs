//! What is installed below a folder: the packages of a distribution's root, what languages keep beside them, and the lock
//! files of a project.
//!
//! Only reads, never runs what it finds, and never leaves the folder by a link. Whatever cannot be read is complained of;
//! the rest counts.

mod distribution;
mod image;
mod languages;
mod target;

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::BuildHasher as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use guardian_inventory::{Manager, Package};
use hashbrown::HashMap;
use serde::Serialize;

pub use image::{Reference, Registry, pull};
pub use target::target;

use crate::ecosystem::Ecosystem;
use crate::kernel;
use crate::matching::Component;
use crate::vex::Said;

/// Bytes of one file that is read whole.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Files that are looked at.
const FILES_MAX: usize = 20_000_000;
/// Complaints that are kept.
const ISSUES_MAX: usize = 100;

/// Where the kernel that runs says its release (proc(5)).
const KERNEL: &str = "/proc/sys/kernel/osrelease";

/// What a machine says it is (os-release(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Os {
    /// `ID`.
    pub id: String,
    /// `ID_LIKE`.
    pub like: String,
    /// `VERSION_ID`.
    pub version: String,
    /// `PRETTY_NAME`.
    pub name: String,
}

impl Os {
    /// Of the content of an `os-release` file.
    pub fn new(os_release: &[u8]) -> Self {
        let text = String::from_utf8_lossy(os_release);
        let values: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .map(|(key, value)| (key, value.trim().trim_matches(['"', '\''])))
            .collect();
        let value = |key: &str| crate::advisory::clip(values.get(key).copied().unwrap_or_default());
        // Debian's next release has a code name and no number yet.
        let version = match (value("VERSION_ID"), value("VERSION_CODENAME").as_str()) {
            (version, "sid") if version.is_empty() => "sid".to_owned(),
            (version, _) => version,
        };
        Self { id: value("ID"), like: value("ID_LIKE"), version, name: value("PRETTY_NAME") }
    }

    /// Whose packages it has.
    pub fn ecosystem(&self) -> Option<Ecosystem> {
        Ecosystem::of_os_release(&self.id, &self.like, &self.version)
    }
}

/// A package with the place where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The package.
    pub component: Component,
    /// The file that says so, from the root of what was scanned.
    pub place: String,
    /// The distribution's package that the file belongs to, which is judged in its place.
    pub owner: Option<String>,
    /// Its architecture, in the manager's own form.
    pub arch: String,
    /// Its licences, as the package says.
    pub licences: Vec<String>,
    /// The number of the image's layer that brought it.
    pub layer: Option<u32>,
}

impl Placed {
    fn new(package: &Package, component: Component, place: &str) -> Self {
        Self {
            component,
            place: place.to_owned(),
            owner: None,
            arch: package.arch.clone(),
            licences: package.licences.clone(),
            layer: None,
        }
    }
}

/// A layer of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// The digest of what it holds, decompressed.
    pub digest: String,
    /// The step that made it, as the image says.
    pub made_by: String,
}

/// What an image says of itself beside its layers, and a bill of materials of the image that it is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageFacts {
    /// The digest of its manifest; empty where nobody says.
    pub digest: String,
    /// Its architecture, in Go's spelling.
    pub architecture: String,
    /// How many of its layers, the lowest first, were there before it was built, by what its history says; 0 where nobody
    /// knows.
    pub base_layers: u32,
    /// When a bill of materials says that it was made, in seconds since the epoch.
    pub made_s: Option<i64>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// What the machine says it is.
    pub os: Option<Os>,
    /// Packages, each once for every place.
    pub packages: Vec<Placed>,
    /// What was scanned, as it names itself: an image, or the subject of a bill of materials.
    pub subject: String,
    /// The kernel that runs, as it names itself; empty for what is not this machine.
    pub kernel: String,
    /// Layers of an image, the lowest first: digest, and what made it.
    pub layers: Vec<Layer>,
    /// What else an image says of itself.
    pub image: ImageFacts,
    /// What a bill of materials says itself of vulnerabilities.
    pub said: Vec<Said>,
    /// Packages of a distribution that nobody knows, or of no distribution: nothing can be said of them.
    pub unknown: usize,
    /// What could not be read.
    pub issues: Vec<String>,
    /// Complaints for which there was no room.
    pub issues_more: u64,
    /// Files that were looked at.
    pub files: usize,
}

impl Scanned {
    pub(crate) fn issue(&mut self, what: String) {
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(what);
        } else {
            self.issues_more += 1;
        }
    }

    /// In order, each package once for every place.
    pub(crate) fn sorted(mut self) -> Self {
        self.packages.sort_by(|a, b| (&a.component, &a.place).cmp(&(&b.component, &b.place)));
        self.packages.dedup_by(|a, b| a.component == b.component && a.place == b.place);
        self
    }
}

/// Looks for packages below the folder.
pub fn folder(path: &Path) -> Result<Scanned, std::io::Error> {
    let root = Root { path: path.canonicalize()? };
    let mut scanned = Scanned { os: os(&root), subject: root.path.display().to_string(), ..Scanned::default() };
    if root.path == Path::new("/") {
        let release = root.read(KERNEL).unwrap_or_default();
        scanned.kernel = String::from_utf8_lossy(&release).trim().to_owned();
    }
    let owned = distribution::read(&root, &mut scanned);
    languages::walk(&root, &owned, &mut scanned);
    Ok(scanned.sorted())
}

/// Looks for packages in an image that is read as it comes, as `docker save` writes it.
pub fn archive(reader: impl std::io::Read, architecture: &str) -> Result<Scanned, std::io::Error> {
    image::archive(reader, architecture)
}

/// What the root says it is.
fn os(root: &dyn Files) -> Option<Os> {
    let release = ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| root.read(path));
    release.map(|content| Os::new(&content))
}

/// Where files of a root are: on the disk, or in the layers of an image.
trait Files {
    /// The content of a file.
    fn read(&self, path: &str) -> Option<Vec<u8>>;
    /// Names in a folder, in order.
    fn names(&self, path: &str) -> Vec<String>;
}

/// The folder that is scanned.
struct Root {
    path: PathBuf,
}

impl Root {
    /// The path on this machine of one in the root; none where a link leads out of it.
    fn inside(&self, path: &str) -> Option<PathBuf> {
        let path = self.path.join(path.trim_start_matches('/')).canonicalize().ok()?;
        path.starts_with(&self.path).then_some(path)
    }
}

impl Files for Root {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        read(&self.inside(path)?)
    }

    fn names(&self, path: &str) -> Vec<String> {
        let entries = self.inside(path).and_then(|path| std::fs::read_dir(path).ok());
        let names = entries.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// A regular file that is not too large, and its length.
fn regular(path: &Path) -> Option<(File, u64)> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    (metadata.is_file() && metadata.len() <= FILE_BYTES_MAX).then_some((file, metadata.len()))
}

/// The content of a regular file that is not too large.
fn read(path: &Path) -> Option<Vec<u8>> {
    let (file, length) = regular(path)?;
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Whose a file is, by the hash of its path: names of a few hundred thousand files are not held.
#[derive(Default)]
struct Owners {
    owners: HashMap<u64, u32, foldhash::fast::FixedState>,
    names: Vec<String>,
    hasher: foldhash::fast::FixedState,
}

impl Owners {
    /// With `/usr` merged or not, a file has one name.
    fn hash(&self, path: &[u8]) -> u64 {
        self.hasher.hash_one(path.strip_prefix(b"/usr").unwrap_or(path))
    }

    /// The number of a package, for [`Owners::add`].
    fn package(&mut self, name: &str) -> u32 {
        self.names.push(name.to_owned());
        (self.names.len() - 1) as u32
    }

    fn add(&mut self, package: u32, path: &[u8]) {
        let hash = self.hash(path);
        self.owners.insert(hash, package);
    }

    fn of(&self, path: &str) -> Option<&str> {
        let number = self.owners.get(&self.hash(path.as_bytes()))?;
        self.names.get(*number as usize).map(String::as_str)
    }
}

/// A package as one that can be matched. Languages have one registry each; a distribution is what the root says it is.
pub fn component(package: &Package, os: Option<&Ecosystem>) -> Option<Component> {
    let ecosystem = match package.manager {
        Manager::Dpkg | Manager::Rpm | Manager::Apk | Manager::Pacman | Manager::Portage | Manager::Nix => {
            os.filter(|os| os.scheme() == package.manager.scheme())?.clone()
        }
        Manager::Snap | Manager::Flatpak => return None,
        other => Ecosystem::of_purl_type(other.purl_type())?,
    };
    let mut component = Component::new(ecosystem, &package.name, &package.version);
    if component.ecosystem.is_distribution() {
        component.source = package.source.clone();
        component.source_version = package.source_version.clone();
        if package.manager == Manager::Dpkg
            && let Some(source) = kernel::signed_source(&package.source)
        {
            // The signed package has the version of what was signed; its source counts on its own.
            (component.source, component.source_version) = (source, String::new());
        }
        // Packages that Oracle patches while they run have a line of versions of their own.
        if component.ecosystem.family() == "oracle" {
            let mark = ["ksplice", "fips"].into_iter().find(|mark| component.version.contains(mark));
            component.module = mark.unwrap_or_default().to_owned();
        }
    }
    Some(component)
}
