//! Other file integrity checkers: their databases compared with what is on the disk or put into a baseline, and a
//! baseline written as AIDE's. What comes from Tripwire has a signature that nobody here has verified.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use guardian_inventory::aide::{self, Columns, Entry};
use guardian_inventory::owned::{Account, Algorithm, Digest, KIND_MASK, LINK, Owned, REGULAR};
use guardian_inventory::tripwire;

use super::packages::Root;
use super::verify::{Differs, check};
use super::{Baseline, BaselineError, Folder, Kind, Policy, Record};
use guardian_baseline::{acl_of_mode, acl_text, capabilities_text, join};

/// The strongest digest of those that can be made here.
fn strongest(digests: &[(String, Vec<u8>)]) -> Option<Digest> {
    let known = |name: &str| match name {
        "md5" | "MD5" => Some(Algorithm::Md5),
        "sha1" | "SHA" => Some(Algorithm::Sha1),
        "sha256" => Some(Algorithm::Sha256),
        "sha512" => Some(Algorithm::Sha512),
        _ => None,
    };
    let known = digests.iter().filter_map(|(name, bytes)| {
        known(name).filter(|a| a.bytes() == bytes.len()).map(|algorithm| Digest { algorithm, bytes: bytes.clone() })
    });
    known.max_by_key(|digest| digest.algorithm)
}

fn owned(path: &[u8], mode: Option<u32>, uid: Option<u32>, gid: Option<u32>, size: Option<u64>) -> Owned {
    let kind = mode.map(|mode| mode & KIND_MASK);
    Owned {
        path: path.to_vec(),
        kind,
        mode: mode.filter(|_| kind != Some(LINK)).map(|mode| mode & !KIND_MASK),
        user: uid.map(Account::Number),
        group: gid.map(Account::Number),
        size: size.filter(|_| kind == Some(REGULAR)),
        ..Owned::default()
    }
}

/// A file of AIDE's database, to be compared by [`check`].
pub fn of_aide(entry: &Entry) -> Owned {
    Owned {
        modified_s: entry.modified_s,
        target: entry.target.clone(),
        digest: strongest(&entry.digests),
        capabilities: entry.capabilities.as_ref().map(|text| String::from_utf8_lossy(text).into_owned()),
        ..owned(&entry.path, entry.mode, entry.uid, entry.gid, entry.size)
    }
}

/// A file of Tripwire's database, to be compared by [`check`]. Its times are printed in a local time that nobody knows:
/// they are not compared.
pub fn of_tripwire(object: &tripwire::Object) -> Owned {
    Owned {
        digest: strongest(&object.digests),
        ..owned(&object.path, object.mode, object.uid, object.gid, object.size)
    }
}

/// Compares files of another checker's database with what is on the disk; returns those that deviate. Files that the
/// database does not have are not looked for.
pub fn compare_foreign(root: &Root, files: impl IntoIterator<Item = Owned>) -> Vec<(PathBuf, Vec<Differs>)> {
    let one = |owned: Owned| Some((path_of(&owned), check(root, &owned))).filter(|(_, differs)| !differs.is_empty());
    files.into_iter().filter_map(one).collect()
}

fn path_of(owned: &Owned) -> PathBuf {
    PathBuf::from(std::ffi::OsStr::from_bytes(&owned.path))
}

/// What another checker's database says of the files of one folder.
#[derive(Debug, Default)]
struct Said {
    /// Every name that it has.
    names: BTreeSet<Vec<u8>>,
    /// Files that are not as it says, and in what.
    others: Vec<(Owned, Vec<Differs>)>,
}

/// Another checker's database beside what is on the disk: with it, what a scan finds is put back to how it was.
#[derive(Debug, Default)]
pub struct Foreign {
    folders: BTreeMap<PathBuf, Said>,
    /// How many files the database has, and how many of them are not as it says.
    pub files: u64,
    /// See there.
    pub others: u64,
}

impl Foreign {
    /// Compares all files of a database with what is on the disk. Times of change are left out: they differ where nothing else
    /// does.
    pub fn compare(root: &Root, files: impl IntoIterator<Item = Owned>) -> Self {
        let mut foreign = Self::default();
        for owned in files {
            let path = path_of(&owned);
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
            let mut differs = check(root, &owned);
            differs.retain(|what| !matches!(what, Differs::Modified | Differs::Unreadable));
            let said = foreign.folders.entry(folder.to_owned()).or_default();
            said.names.insert(name.as_bytes().to_vec());
            foreign.files += 1;
            if !differs.is_empty() {
                foreign.others += 1;
                said.others.push((owned, differs));
            }
        }
        foreign
    }

    /// A folder of a scan as the database says: what differs is as it was, and what the database does not have in a folder
    /// that it knows was not there. A folder that it does not know stays as it is.
    pub fn put_back(&mut self, mut folder: Folder) -> Folder {
        let Some(said) = self.folders.remove(&folder.path) else { return folder };
        folder.entries.retain(|record| said.names.contains(&record.name));
        for (owned, differs) in &said.others {
            let name = path_of(owned).file_name().unwrap_or_default().as_bytes().to_vec();
            let was = record_of(name, owned);
            match folder.entries.binary_search_by(|record| record.name.cmp(&was.name)) {
                Ok(at) => turn_back(&mut folder.entries[at], was, owned, differs),
                Err(at) => folder.entries.insert(at, was),
            }
        }
        folder
    }

    /// Folders that are not there any more, as far as a policy looks at them.
    pub fn gone(self, policy: &Policy) -> Vec<Folder> {
        let mut all = Vec::new();
        for (path, said) in self.folders {
            let looked_at =
                policy.roots.iter().any(|root| path.starts_with(root)) && policy.properties(&path).is_some();
            let missing = said.others.iter().filter(|(_, differs)| differs.contains(&Differs::Missing));
            let record = |(owned, _): &(Owned, Vec<Differs>)| {
                record_of(path_of(owned).file_name().unwrap_or_default().as_bytes().to_vec(), owned)
            };
            let mut entries: Vec<Record> = missing.map(record).collect();
            if looked_at && !entries.is_empty() {
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                entries.dedup_by(|a, b| a.name == b.name);
                all.push(Folder { path, entries, error: None });
            }
        }
        all
    }
}

/// What a database says of a file, and nothing else.
fn record_of(name: Vec<u8>, owned: &Owned) -> Record {
    let number = |account: &Option<Account>| match account {
        Some(Account::Number(number)) => *number,
        _ => 0,
    };
    let mut record = Record::new(name, owned.kind.and_then(Kind::of_mode).unwrap_or(Kind::Regular));
    record.mode = owned.mode.unwrap_or(0);
    (record.uid, record.gid) = (number(&owned.user), number(&owned.group));
    record.size = owned.size.unwrap_or(0);
    record.target = owned.target.clone().unwrap_or_default();
    record.modified_ns = owned.modified_s.unwrap_or(0).saturating_mul(1_000_000_000);
    content(&mut record, owned);
    record
}

/// The content is known by SHA-256, or only as one that is none of today's.
fn content(record: &mut Record, owned: &Owned) {
    let Some(digest) = &owned.digest else { return };
    let sha256 = digest.bytes.as_slice().try_into().ok().filter(|_| digest.algorithm == Algorithm::Sha256);
    record.sha256 = sha256;
    record.blake3 = sha256.is_none().then_some([0; 32]);
}

fn turn_back(record: &mut Record, was: Record, owned: &Owned, differs: &[Differs]) {
    if differs.contains(&Differs::Kind) {
        *record = was;
        return;
    }
    for what in differs {
        match what {
            Differs::Mode => record.mode = was.mode,
            Differs::User => record.uid = was.uid,
            Differs::Group => record.gid = was.gid,
            Differs::Target => record.target.clone_from(&was.target),
            Differs::Size => {
                record.size = was.size;
                (record.blake3, record.sha256) = (Some([0; 32]), None);
            }
            Differs::Capabilities => {
                record.attributes.retain(|(name, _)| name != b"security.capability");
                // Only their text is known.
                let text = owned.capabilities.clone().filter(|text| !text.is_empty());
                let value = text.map(|text| (b"security.capability".to_vec(), text.into_bytes()));
                record.attributes.extend(value);
                record.attributes.sort_unstable();
            }
            _ => {}
        }
    }
    if differs.contains(&Differs::Digest) {
        content(record, owned);
    }
}

/// Why a baseline could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The baseline cannot be read.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// What is written to says no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a baseline as AIDE's database; returns how many files. `name` gives the names of users (false) and groups (true),
/// which AIDE's access lists have.
pub fn export_aide(
    baseline: &Baseline,
    columns: Columns,
    name: &dyn Fn(bool, u32) -> Option<String>,
    out: &mut dyn Write,
) -> Result<u64, ExportError> {
    let mut failed = None;
    let mut entries =
        baseline.folders().map_while(|folder| folder.map_err(|e| failed = Some(e)).ok()).flat_map(|folder| {
            let path = folder.path.clone();
            folder.entries.into_iter().map(move |record| entry(&path, &record, name))
        });
    let count = aide::write(out, columns, &mut entries)?;
    drop(entries);
    match failed {
        Some(e) => Err(e.into()),
        None => Ok(count),
    }
}

fn entry(folder: &Path, record: &Record, name: &dyn Fn(bool, u32) -> Option<String>) -> Entry {
    let text = |attribute: &str| {
        record.attribute(attribute).and_then(|value| acl_text(value, name)).filter(|text| !text.is_empty())
    };
    let kind = match record.kind {
        Kind::Regular => REGULAR,
        Kind::Folder => 0o040_000,
        Kind::Link => LINK,
        Kind::Pipe => 0o010_000,
        Kind::Socket => 0o140_000,
        Kind::Block => 0o060_000,
        Kind::Character => 0o020_000,
    };
    let links = record.kind == Kind::Link;
    // AIDE writes down what the permissions amount to where there is no list.
    let acl = (!links).then(|| text("system.posix_acl_access").unwrap_or_else(|| acl_of_mode(record.mode)));
    Entry {
        path: join(folder, &record.name).as_os_str().as_bytes().to_vec(),
        target: links.then(|| record.target.clone()),
        mode: Some(kind | record.mode | if links { 0o777 } else { 0 }),
        uid: Some(record.uid),
        gid: Some(record.gid),
        size: Some(record.size),
        modified_s: Some(record.modified_ns.div_euclid(1_000_000_000)),
        changed_s: Some(record.changed_ns.div_euclid(1_000_000_000)),
        inode: Some(record.inode),
        links: Some(record.links),
        digests: record.sha256.iter().map(|bytes| ("sha256".to_owned(), bytes.to_vec())).collect(),
        acl: acl.map(String::into_bytes),
        acl_default: text("system.posix_acl_default").map(String::into_bytes),
        attributes: record.attributes.clone(),
        capabilities: record.capabilities().and_then(capabilities_text).map(String::into_bytes),
        ..Entry::default()
    }
}
