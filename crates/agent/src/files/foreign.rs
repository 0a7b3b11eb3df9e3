//! Other file integrity checkers: their databases compared with what is on the disk or turned into a baseline, and a
//! baseline written as AIDE's. What comes from Tripwire has a signature that nobody here has verified.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use guardian_inventory::aide::{self, Columns, Entry};
use guardian_inventory::owned::{Account, Algorithm, Digest, KIND_MASK, LINK, Owned, REGULAR};
use guardian_inventory::tripwire;

use super::attributes::{acl_of_mode, acl_text, capabilities_text};
use super::packages::Root;
use super::verify::{Differs, check};
use super::{Baseline, BaselineError, Folder, Kind, Record};

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
    let path = |owned: &Owned| PathBuf::from(std::ffi::OsStr::from_bytes(&owned.path));
    let one = |owned: Owned| Some((path(&owned), check(root, &owned))).filter(|(_, differs)| !differs.is_empty());
    files.into_iter().filter_map(one).collect()
}

/// The files of AIDE's database as folders, to be written as a baseline ([`super::Writer`]). Contents are known by SHA-256,
/// where the database has it; without it their lengths are compared.
pub fn aide_folders(entries: Vec<Entry>) -> Vec<Folder> {
    let mut folders: BTreeMap<PathBuf, Vec<Record>> = BTreeMap::new();
    for entry in entries {
        let path = Path::new(std::ffi::OsStr::from_bytes(&entry.path));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
        let Some(kind) = entry.mode.and_then(Kind::of_mode) else { continue };
        let nanoseconds = |s: Option<i64>| s.unwrap_or(0).saturating_mul(1_000_000_000);
        let mut record = Record::new(name.as_bytes().to_vec(), kind);
        record.mode = entry.mode.unwrap_or(0) & 0o7777;
        record.uid = entry.uid.unwrap_or(0);
        record.gid = entry.gid.unwrap_or(0);
        record.size = entry.size.unwrap_or(0);
        record.inode = entry.inode.unwrap_or(0);
        record.links = entry.links.unwrap_or(0);
        (record.modified_ns, record.changed_ns) = (nanoseconds(entry.modified_s), nanoseconds(entry.changed_s));
        record.target = entry.target.unwrap_or_default();
        let sha256 = entry.digests.iter().find(|(name, _)| name == "sha256");
        record.sha256 = sha256.and_then(|(_, bytes)| bytes.as_slice().try_into().ok());
        record.attributes = entry.attributes;
        record.attributes.sort_unstable();
        folders.entry(parent.to_owned()).or_default().push(record);
    }
    let folder = |(path, mut entries): (PathBuf, Vec<Record>)| {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.dedup_by(|a, b| a.name == b.name);
        Folder { path, entries, error: None }
    };
    folders.into_iter().map(folder).collect()
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
        path: super::record::join(folder, &record.name).as_os_str().as_bytes().to_vec(),
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
