//! Files against what the packages that own them say, as `rpm -V`, `dpkg --verify` and `pacman -Qkk` do.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use guardian_inventory::Owned;
use guardian_inventory::owned::{Algorithm, Digest, FOLDER, KIND_MASK, LINK, REGULAR};
use guardian_sys::inspect;
use md5::Digest as _;
use ring::digest;

use super::packages::{Installed, Root};
use guardian_baseline::capabilities_text;

/// Threads that compare files.
const THREADS: usize = 8;
/// Files that are held to be compared.
const FILES_AT_ONCE: usize = 4_096;
/// What is read at once.
const READ_BYTES: usize = 128 << 10;

/// A property in which a file is not what its package says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Differs {
    /// It is not there.
    Missing,
    /// It is something else.
    Kind,
    /// Length.
    Size,
    /// Permissions.
    Mode,
    /// Content.
    Digest,
    /// Number of the device.
    Device,
    /// Target of the link.
    Target,
    /// Owner.
    User,
    /// Group.
    Group,
    /// Time of the last change.
    Modified,
    /// Capabilities.
    Capabilities,
    /// It could not be read.
    Unreadable,
}

/// A file that is not what its package says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The package.
    pub package: Installed,
    /// The path, inside of the root.
    pub path: PathBuf,
    /// In what, sorted.
    pub differs: Vec<Differs>,
    /// Whether it is configuration.
    pub config: bool,
}

/// In the letters of `rpm -V`.
impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = if self.config { 'c' } else { ' ' };
        if self.differs.contains(&Differs::Missing) {
            return write!(f, "missing   {config} {}", self.path.display());
        }
        let letters = [
            ('S', Differs::Size),
            ('M', Differs::Mode),
            ('5', Differs::Digest),
            ('D', Differs::Device),
            ('L', Differs::Target),
            ('U', Differs::User),
            ('G', Differs::Group),
            ('T', Differs::Modified),
            ('P', Differs::Capabilities),
        ];
        for (letter, what) in letters {
            // What is something else has another mode, for rpm.
            let kind = what == Differs::Mode && self.differs.contains(&Differs::Kind);
            let unread = what == Differs::Digest && self.differs.contains(&Differs::Unreadable);
            let shown = match self.differs.contains(&what) || kind {
                true => letter,
                false if unread => '?',
                false => '.',
            };
            write!(f, "{shown}")?;
        }
        write!(f, "  {config} {}", self.path.display())
    }
}

/// Compares every file of every package with what its package says; returns how many were compared.
pub fn verify(root: &mut Root, told: &mut dyn FnMut(Deviation)) -> u64 {
    // The files of one package at a time: reading the databases and looking at files both need the root.
    let mut waiting: Vec<(Installed, Owned)> = Vec::new();
    let mut count = 0;
    let accounts = Root::new(root.path());
    let mut flush = |waiting: &mut Vec<(Installed, Owned)>| {
        count += waiting.len() as u64;
        for deviation in check_all(&accounts, waiting) {
            told(deviation);
        }
        waiting.clear();
    };
    root.owned(&mut |package, owned| {
        if let Some(owned) = owned {
            waiting.push((package.clone(), owned));
        }
        if waiting.len() >= FILES_AT_ONCE {
            flush(&mut waiting);
        }
    });
    flush(&mut waiting);
    count
}

/// Compares files by several threads, most of which wait for the disk; what deviates comes in the order of the files.
fn check_all(root: &Root, files: &[(Installed, Owned)]) -> Vec<Deviation> {
    let one = |(package, owned): &(Installed, Owned)| {
        let differs = check(root, owned);
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(&owned.path));
        let package = package.clone();
        (!differs.is_empty()).then_some(Deviation { package, path, differs, config: owned.config })
    };
    std::thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(THREADS).max(1));
        let running: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().filter_map(one).collect::<Vec<_>>())).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

/// In what a file is not what its package says; its path is where it really is.
pub fn check(root: &Root, owned: &Owned) -> Vec<Differs> {
    compare(root, owned, true)
}

/// As [`check`], without reading the content of files.
pub(crate) fn check_about(root: &Root, owned: &Owned) -> Vec<Differs> {
    compare(root, owned, false)
}

fn compare(root: &Root, owned: &Owned, contents: bool) -> Vec<Differs> {
    let path = root.outside(Path::new(std::ffi::OsStr::from_bytes(&owned.path)));
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return if owned.may_miss { Vec::new() } else { vec![Differs::Missing] };
        }
        Err(_) => return vec![Differs::Unreadable],
    };
    let mut differs = properties(root, owned, &metadata);
    let kind = metadata.mode() & KIND_MASK;
    let content = match (&owned.digest, kind) {
        (Some(_), REGULAR) if !contents => Ok(false),
        (Some(wanted), REGULAR) if !differs.contains(&Differs::Kind) => {
            hash_file(&path, &[wanted.algorithm]).map(|(digests, _)| digests.first() != Some(wanted))
        }
        // apk digests the target of a link.
        (Some(wanted), LINK) if owned.target.is_none() && owned.kind.is_none() => path.read_link().map(|target| {
            let mut hash = Hash::new(wanted.algorithm);
            hash.update(target.as_os_str().as_bytes());
            hash.finish() != wanted.bytes
        }),
        (Some(_), FOLDER) => Ok(true),
        _ => Ok(false),
    };
    match content {
        Ok(true) => differs.push(Differs::Digest),
        Ok(false) => {}
        Err(_) => differs.push(Differs::Unreadable),
    }
    if let (Some(wanted), LINK) = (&owned.target, kind) {
        match path.read_link() {
            Ok(target) if target.as_os_str().as_bytes() == wanted => {}
            Ok(_) => differs.push(Differs::Target),
            Err(_) => differs.push(Differs::Unreadable),
        }
    }
    if let (Some(wanted), REGULAR) = (&owned.capabilities, kind)
        && !capabilities(&path).is_ok_and(|text| same_capabilities(&text, wanted))
    {
        differs.push(Differs::Capabilities);
    }
    differs.sort_unstable();
    differs
}

fn properties(root: &Root, owned: &Owned, metadata: &Metadata) -> Vec<Differs> {
    let kind = metadata.mode() & KIND_MASK;
    let regular = kind == REGULAR;
    let mut differs = Vec::new();
    let mut unless = |same: bool, what: Differs| {
        if !same {
            differs.push(what);
        }
    };
    unless(owned.kind.is_none_or(|wanted| wanted == kind), Differs::Kind);
    // Links have no permissions of their own.
    unless(kind == LINK || owned.mode.is_none_or(|wanted| wanted == metadata.mode() & !KIND_MASK), Differs::Mode);
    unless(owned.user.as_ref().is_none_or(|user| root.user(user) == Some(metadata.uid())), Differs::User);
    unless(owned.group.as_ref().is_none_or(|group| root.group(group) == Some(metadata.gid())), Differs::Group);
    unless(!regular || owned.size.is_none_or(|wanted| wanted == metadata.len()), Differs::Size);
    unless(!regular || owned.modified_s.is_none_or(|wanted| wanted == metadata.mtime()), Differs::Modified);
    unless(owned.device.is_none_or(|wanted| wanted == metadata.rdev()), Differs::Device);
    differs
}

/// The text of a file's capabilities; empty where it has none.
fn capabilities(path: &Path) -> io::Result<String> {
    let file = open(path)?;
    let attributes = inspect::attributes(&file)?;
    let value = attributes.iter().find(|(name, _)| name == b"security.capability").map(|(_, value)| value);
    Ok(value.map(|value| capabilities_text(value).unwrap_or_else(|| "?".to_owned())).unwrap_or_default())
}

/// Texts differ in the order of their clauses, and older ones begin with `=`.
pub(crate) fn same_capabilities(one: &str, other: &str) -> bool {
    let clauses = |text: &str| {
        let mut all: Vec<(String, String)> = Vec::new();
        for clause in text.split_whitespace() {
            let Some(at) = clause.find(['=', '+']) else { continue };
            let mut flags: Vec<char> = clause[at + 1..].chars().collect();
            flags.sort_unstable();
            let flags: String = flags.into_iter().collect();
            all.extend(
                clause[..at].split(',').filter(|name| !name.is_empty()).map(|name| (name.to_owned(), flags.clone())),
            );
        }
        all.sort_unstable();
        all
    };
    clauses(one) == clauses(other)
}

fn open(path: &Path) -> io::Result<File> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    inspect::open_file(inspect::open_path(parent)?, name)
}

/// One of the algorithms, at work.
pub(crate) enum Hash {
    Md5(Box<md5::Md5>),
    Sha(Box<digest::Context>),
}

impl Hash {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let sha = |algorithm| Self::Sha(Box::new(digest::Context::new(algorithm)));
        match algorithm {
            Algorithm::Md5 => Self::Md5(Box::default()),
            Algorithm::Sha1 => sha(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::Sha256 => sha(&digest::SHA256),
            Algorithm::Sha384 => sha(&digest::SHA384),
            Algorithm::Sha512 => sha(&digest::SHA512),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hash) => hash.update(bytes),
            Self::Sha(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Md5(hash) => hash.finalize().to_vec(),
            Self::Sha(hash) => hash.finish().as_ref().to_vec(),
        }
    }
}

/// Reads a file once, without leaving traces; its digests in the order asked for, and BLAKE3 of the same bytes.
pub fn hash_file(path: &Path, algorithms: &[Algorithm]) -> io::Result<(Vec<Digest>, [u8; 32])> {
    let mut file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let drops = !inspect::is_cached(&file);
    let mut hashes: Vec<Hash> = algorithms.iter().map(|algorithm| Hash::new(*algorithm)).collect();
    let mut blake3 = blake3::Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let length = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        blake3.update(&buffer[..length]);
        hashes.iter_mut().for_each(|hash| hash.update(&buffer[..length]));
    }
    if drops {
        inspect::drop_cached(&file);
    }
    let digests = algorithms.iter().zip(hashes).map(|(a, hash)| Digest { algorithm: *a, bytes: hash.finish() });
    Ok((digests.collect(), *blake3.finalize().as_bytes()))
}
