//! What is known of a file at one time.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// With content.
    Regular,
    /// With entries.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A block device.
    Block,
    /// A character device.
    Character,
}

impl Kind {
    /// From the type bits of a mode.
    pub const fn of_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o100_000 => Self::Regular,
            0o040_000 => Self::Folder,
            0o120_000 => Self::Link,
            0o010_000 => Self::Pipe,
            0o140_000 => Self::Socket,
            0o060_000 => Self::Block,
            0o020_000 => Self::Character,
            _ => return None,
        })
    }
}

/// A file as a scan found it. Names are bytes: they need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Name within its folder.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions, with the bits for set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Number within its file system.
    pub inode: u64,
    /// Names that it has.
    pub links: u64,
    /// Last change of the content, in nanoseconds since the epoch.
    pub modified_ns: i64,
    /// Last change of the properties, in nanoseconds since the epoch.
    pub changed_ns: i64,
    /// Number of the device, for devices.
    pub device: u64,
    /// Target of a symbolic link.
    pub target: Vec<u8>,
    /// BLAKE3 of the content.
    pub blake3: Option<[u8; 32]>,
    /// SHA-256 of the content.
    pub sha256: Option<[u8; 32]>,
    /// Extended attributes by name, sorted; access lists and capabilities are among them.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Why the content could not be read.
    pub error: Option<String>,
}

impl Record {
    /// A record with this name and kind and nothing else.
    pub const fn new(name: Vec<u8>, kind: Kind) -> Self {
        Self {
            name,
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            inode: 0,
            links: 0,
            modified_ns: 0,
            changed_ns: 0,
            device: 0,
            target: Vec::new(),
            blake3: None,
            sha256: None,
            attributes: Vec::new(),
            error: None,
        }
    }

    /// What should be at a path and is not there: nothing is known of it but its name.
    pub fn missing(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default();
        Self::new(name.as_bytes().to_vec(), Kind::Regular)
    }

    /// The value of an extended attribute.
    pub fn attribute(&self, name: &str) -> Option<&[u8]> {
        self.attributes.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// The access list (acl(5)), as the kernel keeps it.
    pub fn acl(&self) -> Option<&[u8]> {
        self.attribute("system.posix_acl_access")
    }

    /// The capabilities that a program gets when it is started (capabilities(7)), as the kernel keeps them.
    pub fn capabilities(&self) -> Option<&[u8]> {
        self.attribute("security.capability")
    }
}

/// A folder and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its path, absolute.
    pub path: PathBuf,
    /// What is in it and is looked at, sorted by name.
    pub entries: Vec<Record>,
    /// Why it could not be read; then nothing is known of what is in it.
    pub error: Option<String>,
}

impl Folder {
    /// The path of one of its entries.
    pub fn path_of(&self, record: &Record) -> PathBuf {
        join(&self.path, &record.name)
    }
}

/// The path of an entry of a folder.
pub fn join(folder: &Path, name: &[u8]) -> PathBuf {
    folder.join(std::ffi::OsStr::from_bytes(name))
}

/// As [`join`], of bytes.
pub(crate) fn join_bytes(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let between: &[u8] = if folder.ends_with(b"/") { b"" } else { b"/" };
    [folder, between, name].concat()
}
