//! What was not as its package brought it before anybody watched. Contents are compared while a scan reads them anyway, with
//! whatever digest the package's database has; the rest afterwards, without reading a content again but where it differed.
//!
//! Configuration is left out: its owner may change it. So are folders, and times.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use guardian_inventory::owned::{Algorithm, FOLDER, Owned};

use super::packages::{Installed, Root};
use super::verify::{Differs, check, check_about};
use super::{Policy, Record};

/// Deviations that one look returns; more are counted.
const FOUND_MAX: usize = 5_000;
/// What changed so lately may be half of an installation that goes on.
const LATELY_S: i64 = 3_600;
/// Processes that are looked at.
const PROCESSES_MAX: usize = 100_000;
/// Installations leave them out where they are told to (`path-exclude` of dpkg, `nodocs` of rpm).
const LEFT_OUT: &str = "/usr/share";
/// Programs that write packages, by their whole paths.
const WRITERS: &[&str] = &[
    "/usr/bin/dpkg",
    "/usr/bin/rpm",
    "/usr/bin/dnf5",
    "/usr/bin/zypper",
    "/usr/bin/pacman",
    "/usr/bin/apk",
    "/sbin/apk",
];

/// What the databases of packages say of contents, by part of the hash of the path: a machine has hundreds of thousands, and
/// they are held while a scan runs.
#[derive(Debug)]
pub struct Digests {
    root: PathBuf,
    entries: Vec<(u64, Algorithm, u32)>,
    bytes: Vec<u8>,
}

impl Digests {
    /// Of the packages of a root; none yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), entries: Vec::new(), bytes: Vec::new() }
    }

    /// Adds what is said of a file, if anything is that is to be compared.
    pub fn add(&mut self, owned: &Owned) {
        let Some(digest) = owned.digest.as_ref().filter(|_| compared(owned) && owned.target.is_none()) else { return };
        let Ok(place) = u32::try_from(self.bytes.len()) else { return };
        if digest.bytes.len() == digest.algorithm.bytes() {
            self.entries.push((super::explain::path_hash(&owned.path), digest.algorithm, place));
            self.bytes.extend_from_slice(&digest.bytes);
        }
    }

    /// Puts them in order. Before it nothing is found.
    pub fn seal(&mut self) {
        self.entries.sort_unstable();
        self.entries.shrink_to_fit();
    }

    /// What the content of a file must be one of; empty where no package says.
    pub(crate) fn of(&self, path: &Path) -> Vec<(Algorithm, &[u8])> {
        let Ok(inside) = path.strip_prefix(&self.root) else { return Vec::new() };
        let hash = super::explain::path_hash(&[b"/", inside.as_os_str().as_bytes()].concat());
        let from = self.entries.partition_point(|(of, ..)| *of < hash);
        let of = self.entries[from..].iter().take_while(|(of, ..)| *of == hash);
        let bytes =
            |algorithm: Algorithm, place: u32| self.bytes.get(place as usize..place as usize + algorithm.bytes());
        of.filter_map(|(_, algorithm, place)| Some((*algorithm, bytes(*algorithm, *place)?))).collect()
    }
}

fn compared(owned: &Owned) -> bool {
    !owned.config && !owned.ghost && owned.kind != Some(FOLDER)
}

/// A file that is not what its package brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The package.
    pub package: Installed,
    /// The file.
    pub path: PathBuf,
    /// In what it differs, sorted.
    pub differs: Vec<Differs>,
    /// The permissions that the package says, where it does.
    pub mode: Option<u32>,
}

impl Found {
    /// The same for the same deviation of the same version of the package.
    pub fn key(&self) -> u64 {
        let parts = (&self.package, self.path.as_os_str().as_bytes(), self.differs.iter().map(|one| *one as u8));
        let said = postcard::to_allocvec(&(parts.0, parts.1, parts.2.collect::<Vec<u8>>())).unwrap_or_default();
        super::explain::path_hash(&said)
    }

    /// The file as its package says, as far as that says anything about it.
    pub fn before(&self, now: &Record) -> Record {
        Record { mode: self.mode.unwrap_or(now.mode), ..now.clone() }
    }
}

/// Compares all files of packages that a policy looks at with what the databases say; `suspects` are those whose content a
/// scan found to be another. Answers what deviates, and how much more does.
pub fn found(root: &mut Root, policy: &Policy, suspects: &HashSet<PathBuf>, now_s: i64) -> (Vec<Found>, u64) {
    let accounts = Root::new(root.path());
    let writes = is_writing();
    let (mut all, mut more): (HashMap<PathBuf, Found>, u64) = (HashMap::new(), 0);
    root.owned(&mut |installed, owned| {
        let Some(owned) = owned.filter(compared) else { return };
        let inside = PathBuf::from(std::ffi::OsStr::from_bytes(&owned.path));
        let path = accounts.outside(&inside);
        let looked_at = policy.roots.iter().any(|root| path.starts_with(root)) && policy.properties(&path).is_some();
        if !looked_at {
            return;
        }
        let mut differs =
            if suspects.contains(&path) { check(&accounts, &owned) } else { check_about(&accounts, &owned) };
        differs.retain(|what| tells(*what, &owned));
        if differs.is_empty() || is_folder(&path) || (writes && lately(&path, now_s)) {
            return;
        }
        if all.len() >= FOUND_MAX {
            more += 1;
            return;
        }
        let found = Found { package: installed.clone(), path: path.clone(), differs, mode: owned.mode };
        all.entry(path).or_insert(found);
    });
    let mut all: Vec<Found> = all.into_values().collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    (all, more)
}

fn tells(what: Differs, owned: &Owned) -> bool {
    match what {
        Differs::Modified | Differs::Unreadable => false,
        // A list of names alone has folders among them, and not all that is listed is put on every machine.
        Differs::Missing => {
            let named = owned.digest.is_some() || owned.kind.is_some();
            named && !Path::new(std::ffi::OsStr::from_bytes(&owned.path)).starts_with(LEFT_OUT)
        }
        _ => true,
    }
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|about| about.is_dir())
}

/// By the time that only the kernel sets.
fn lately(path: &Path, now_s: i64) -> bool {
    path.symlink_metadata().is_ok_and(|about| about.ctime() > now_s - LATELY_S)
}

/// Whether packages are being written.
fn is_writing() -> bool {
    let program = |entry: fs::DirEntry| fs::read_link(entry.path().join("exe")).ok();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().take(PROCESSES_MAX);
    processes.filter_map(program).any(|program| WRITERS.iter().any(|writer| program == Path::new(writer)))
}

#[cfg(test)]
mod tests {
    use guardian_inventory::owned::Digest;

    use super::*;

    #[test]
    fn digests_are_found_by_path() {
        let owned = |path: &str, algorithm: Algorithm, byte: u8| Owned {
            path: path.as_bytes().to_vec(),
            digest: Some(Digest { algorithm, bytes: vec![byte; algorithm.bytes()] }),
            ..Owned::default()
        };
        let mut digests = Digests::new(Path::new("/"));
        digests.add(&owned("/usr/bin/a", Algorithm::Md5, 1));
        digests.add(&owned("/usr/bin/b", Algorithm::Sha256, 2));
        digests.add(&owned("/usr/bin/a", Algorithm::Sha1, 3));
        digests.add(&Owned { config: true, ..owned("/etc/c", Algorithm::Md5, 4) });
        digests.seal();
        let of = |path: &str| digests.of(Path::new(path));
        assert_eq!(of("/usr/bin/a"), [(Algorithm::Md5, &[1; 16][..]), (Algorithm::Sha1, &[3; 20][..])]);
        assert_eq!(of("/usr/bin/b"), [(Algorithm::Sha256, &[2; 32][..])]);
        assert_eq!((of("/etc/c"), of("/usr/bin/z")), (Vec::new(), Vec::new()));
    }
}
