//! Writing a database that AIDE reads.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Entry;

/// Bytes that AIDE writes as `%41`; so it does with all that cannot be printed.
const UNSAFE: &[u8] = b" <>\"#%{}|\\^~[]`@:\x1b'";

/// Which columns are written besides name, target, `attr`, permissions, owner, group, length, times of change and inode,
/// number of names, and SHA-256. AIDE complains of columns that it was not built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Access lists.
    pub acl: bool,
    /// Extended attributes.
    pub attributes: bool,
    /// Capabilities.
    pub capabilities: bool,
}

impl Columns {
    /// All of them, as Debian's AIDE was built.
    pub const ALL: Self = Self { acl: true, attributes: true, capabilities: true };
}

/// Places of the columns among AIDE's attributes (attributes.h of 0.17 and later).
mod bit {
    pub(super) const FILENAME: u64 = 1;
    pub(super) const LINKNAME: u64 = 1 << 1;
    pub(super) const PERM: u64 = 1 << 2;
    pub(super) const UID: u64 = 1 << 3;
    pub(super) const GID: u64 = 1 << 4;
    pub(super) const SIZE: u64 = 1 << 5;
    pub(super) const CTIME: u64 = 1 << 7;
    pub(super) const MTIME: u64 = 1 << 8;
    pub(super) const INODE: u64 = 1 << 9;
    pub(super) const LINKCOUNT: u64 = 1 << 11;
    pub(super) const ACL: u64 = 1 << 21;
    pub(super) const SHA256: u64 = 1 << 30;
    pub(super) const XATTRS: u64 = 1 << 33;
    pub(super) const FTYPE: u64 = 1 << 35;
    pub(super) const CAPABILITIES: u64 = 1 << 37;
}

/// Writes a database. The entries should be sorted by path.
pub fn write(out: &mut dyn Write, columns: Columns, entries: &mut dyn Iterator<Item = Entry>) -> io::Result<u64> {
    write!(out, "@@begin_db\n@@db_spec name lname perm uid gid size ctime mtime inode lcount attr")?;
    let more = [
        (columns.acl, " acl"),
        (true, " sha256"),
        (columns.attributes, " xattrs"),
        (columns.capabilities, " capabilities"),
    ];
    for (_, name) in more.iter().filter(|(wanted, _)| *wanted) {
        write!(out, "{name}")?;
    }
    writeln!(out, " ")?;
    let mut count = 0;
    for entry in entries {
        line(out, columns, &entry)?;
        count += 1;
    }
    writeln!(out, "@@end_db")?;
    Ok(count)
}

fn line(out: &mut dyn Write, columns: Columns, entry: &Entry) -> io::Result<()> {
    let time = |seconds: Option<i64>| match seconds {
        None | Some(0) => "0".to_owned(),
        Some(seconds) => STANDARD.encode(seconds.to_string()),
    };
    let coded = |bytes: Option<&[u8]>| bytes.map_or_else(|| "0".to_owned(), |bytes| STANDARD.encode(bytes));
    let sha256 = entry.digests.iter().find(|(name, _)| name == "sha256").map(|(_, bytes)| bytes.as_slice());
    write!(
        out,
        "{} {} {:o} {} {} {} {} {} {} {} {}",
        text(&entry.path),
        entry.target.as_deref().map_or_else(|| "0".to_owned(), text),
        entry.mode.unwrap_or(0),
        entry.uid.unwrap_or(0),
        entry.gid.unwrap_or(0),
        entry.size.unwrap_or(0),
        time(entry.changed_s),
        time(entry.modified_s),
        entry.inode.unwrap_or(0),
        entry.links.unwrap_or(0),
        entry.counting.unwrap_or_else(|| counting(columns, entry)),
    )?;
    if columns.acl {
        match (&entry.acl, &entry.acl_default) {
            (None, None) => write!(out, " 0")?,
            (access, default) => write!(out, " POSIX,{},{}", coded(access.as_deref()), coded(default.as_deref()))?,
        }
    }
    write!(out, " {}", coded(sha256))?;
    if columns.attributes {
        // AIDE leaves out those that have a column of their own, and those of the system.
        let told = |name: &[u8]| [&b"user."[..], b"security.", b"trusted."].iter().any(|start| name.starts_with(start));
        let told: Vec<_> = entry.attributes.iter().filter(|(name, _)| told(name)).collect();
        if told.is_empty() {
            write!(out, " 0")?;
        } else {
            write!(out, " {}", told.len())?;
            for (name, value) in told {
                write!(out, ",{},{}", text(name), coded(Some(value)))?;
            }
        }
    }
    if columns.capabilities {
        write!(out, " {}", coded(entry.capabilities.as_deref()))?;
    }
    writeln!(out)
}

/// The bits that say which columns count, as AIDE sets them for a file of this kind.
fn counting(columns: Columns, entry: &Entry) -> u64 {
    use bit::{
        ACL, CAPABILITIES, CTIME, FILENAME, FTYPE, GID, INODE, LINKCOUNT, LINKNAME, MTIME, PERM, SHA256, SIZE, UID,
        XATTRS,
    };
    let mut bits = FILENAME | PERM | UID | GID | SIZE | CTIME | MTIME | INODE | LINKCOUNT | FTYPE;
    let mut also = |wanted: bool, bit: u64| {
        if wanted {
            bits |= bit;
        }
    };
    also(entry.target.is_some(), LINKNAME);
    also(columns.acl && entry.acl.is_some(), ACL);
    also(columns.attributes && !entry.attributes.is_empty(), XATTRS);
    also(columns.capabilities && entry.capabilities.is_some(), CAPABILITIES);
    also(entry.digests.iter().any(|(name, _)| name == "sha256"), SHA256);
    bits
}

fn text(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "0-".to_owned();
    }
    let mut coded = String::with_capacity(bytes.len());
    if bytes[0] == b'0' {
        coded.push('0');
    }
    for byte in bytes {
        if UNSAFE.contains(byte) || !(b' '..=b'~').contains(byte) {
            coded.push_str(&format!("%{byte:02X}"));
        } else {
            coded.push(*byte as char);
        }
    }
    coded
}
