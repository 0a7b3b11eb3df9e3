//! AIDE's database (aide.conf(5), AIDE 0.16 to 0.19: `db_file.c`), read and written, and its report ([`report`]).
//!
//! A database is text: `@@begin_db`, `@@db_spec` with the names of the columns, a line a file, `@@end_db`; maybe compressed
//! by gzip.

mod report;
mod write;

pub use report::{Listed, Report, report};
pub use write::{Columns, write};

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;

use crate::limits::{ENTRIES_MAX, LIST_MAX, ROW_BYTES_MAX};
use crate::text::{byte_lines, lossy};
use crate::{Found, Malformed};

/// Bytes of a database after decompression.
const DATABASE_BYTES_MAX: u64 = 1 << 30;

/// A file as the database has it. What a column is missing for, or is empty, is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Path, absolute.
    pub path: Vec<u8>,
    /// Target of a symbolic link.
    pub target: Option<Vec<u8>>,
    /// Type and permissions.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// Last access, in seconds since the epoch.
    pub accessed_s: Option<i64>,
    /// Last change of the content.
    pub modified_s: Option<i64>,
    /// Last change of the properties.
    pub changed_s: Option<i64>,
    /// Number within the file system.
    pub inode: Option<u64>,
    /// Blocks on the disk.
    pub blocks: Option<u64>,
    /// Names that it has.
    pub links: Option<u64>,
    /// Digests by the names of their columns (`md5`, `sha256`, `whirlpool`, ...).
    pub digests: Vec<(String, Vec<u8>)>,
    /// Which of its columns count, by AIDE's own bits.
    pub counting: Option<u64>,
    /// Access list, in the text form.
    pub acl: Option<Vec<u8>>,
    /// Default access list of a folder, in the text form.
    pub acl_default: Option<Vec<u8>>,
    /// Extended attributes.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// SELinux context.
    pub context: Option<Vec<u8>>,
    /// Attributes of the ext file systems (chattr(1)).
    pub e2fs: Option<u64>,
    /// Capabilities, in the text form.
    pub capabilities: Option<Vec<u8>>,
}

const DIGESTS: &[&str] = &[
    "md5",
    "sha1",
    "rmd160",
    "tiger",
    "crc32",
    "crc32b",
    "haval",
    "gost",
    "sha256",
    "sha512",
    "whirlpool",
    "stribog256",
    "stribog512",
    "sha512_256",
    "sha3_256",
    "sha3_512",
];

/// The files of a database.
pub fn database(file: &[u8]) -> Result<Found<Entry>, Malformed> {
    let malformed = |what| Malformed { format: "an AIDE database", what };
    let mut text = Vec::new();
    let file = if file.starts_with(&[0x1f, 0x8b]) {
        let read = MultiGzDecoder::new(file).take(DATABASE_BYTES_MAX).read_to_end(&mut text);
        read.map_err(|_| malformed("its compression is damaged"))?;
        &text
    } else {
        file
    };
    let mut found = Found::default();
    let (mut columns, mut begun): (Vec<String>, bool) = (Vec::new(), false);
    for (number, line) in byte_lines(file) {
        match line {
            [] | [b'#', ..] => {}
            b"@@begin_db" => begun = true,
            b"@@end_db" => return Ok(found),
            [b'@', b'@', ..] => {
                if let Some(names) = line.strip_prefix(b"@@db_spec ") {
                    columns = lossy(names).split_whitespace().take(LIST_MAX).map(str::to_owned).collect();
                }
            }
            _ if !begun => return Err(malformed("it does not begin as one")),
            _ if columns.is_empty() => return Err(malformed("its columns have no names")),
            _ if line.len() > ROW_BYTES_MAX || found.full() => found.entries_more += 1,
            _ => match entry(&columns, line) {
                Ok(entry) => found.push(entry),
                Err(what) => found.issue(number, what),
            },
        }
    }
    if !begun {
        return Err(malformed("it does not begin as one"));
    }
    found.issue(0, "it is cut off");
    Ok(found)
}

fn entry(columns: &[String], line: &[u8]) -> Result<Entry, String> {
    let mut values = line.split(|b| *b == b' ').filter(|value| !value.is_empty());
    let mut entry = Entry::default();
    for name in columns {
        let value = values.next().ok_or("it has fewer values than columns")?;
        let known = read(&mut entry, name, value);
        known.ok_or_else(|| format!("{name} cannot be read"))?;
    }
    if entry.path.is_empty() {
        return Err("it has no path".to_owned());
    }
    Ok(entry)
}

/// Reads one value; none where it is malformed. Columns that are not known are left out.
fn read(entry: &mut Entry, name: &str, value: &[u8]) -> Option<()> {
    let number = || str::from_utf8(value).ok()?.parse::<u64>().ok();
    let small = || number().and_then(|n| u32::try_from(n).ok());
    match name {
        "name" => entry.path = text(value)?,
        "lname" => entry.target = text(value).filter(|target| !target.is_empty()),
        "perm" => entry.mode = Some(u32::from_str_radix(str::from_utf8(value).ok()?, 8).ok()?),
        "uid" => entry.uid = Some(small()?),
        "gid" => entry.gid = Some(small()?),
        "size" => entry.size = Some(number()?),
        "atime" => entry.accessed_s = time(value)?,
        "ctime" => entry.changed_s = time(value)?,
        "mtime" => entry.modified_s = time(value)?,
        "inode" => entry.inode = Some(number()?),
        "bcount" => entry.blocks = Some(number()?),
        "lcount" => entry.links = Some(number()?),
        "attr" => entry.counting = Some(number()?),
        "acl" => {
            let mut parts = value.split(|b| *b == b',');
            if parts.next()? == b"POSIX" {
                (entry.acl, entry.acl_default) = (coded(parts.next()?)?, coded(parts.next()?)?);
            }
        }
        "xattrs" => entry.attributes = attributes(value)?,
        "selinux" => entry.context = coded(value)?,
        "e2fsattrs" => entry.e2fs = Some(number()?),
        "capabilities" => entry.capabilities = coded(value)?,
        digest if DIGESTS.contains(&digest) => {
            if let Some(bytes) = coded(value)? {
                entry.digests.push((digest.to_owned(), bytes));
            }
        }
        _ => {}
    }
    Some(())
}

/// A text: `0` is none, `0-` empty, a `0` in front of one that begins with it, and unsafe bytes as `%41`.
fn text(value: &[u8]) -> Option<Vec<u8>> {
    let value = match value {
        b"0" | b"0-" => return Some(Vec::new()),
        [b'0', rest @ ..] => rest,
        rest => rest,
    };
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        let decoded = match (first, tail) {
            (b'%', [high, low, ..]) => crate::owned::unhex(&[*high, *low]),
            _ => None,
        };
        rest = match decoded {
            Some(one) => {
                bytes.extend(one);
                &tail[2..]
            }
            None => {
                bytes.push(*first);
                tail
            }
        };
    }
    Some(bytes)
}

/// Base64, or `0` for none.
fn coded(value: &[u8]) -> Option<Option<Vec<u8>>> {
    if value == b"0" {
        return Some(None);
    }
    STANDARD.decode(value).ok().map(Some)
}

/// A time: `0`, or its decimal digits in base64.
fn time(value: &[u8]) -> Option<Option<i64>> {
    let Some(digits) = coded(value)? else { return Some(None) };
    Some(Some(str::from_utf8(&digits).ok()?.parse().ok()?))
}

/// `0`, or how many, and for each its name and its value in base64.
fn attributes(value: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    if value == b"0" {
        return Some(Vec::new());
    }
    let mut parts = value.split(|b| *b == b',');
    let count: usize = str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let mut all = Vec::new();
    for _ in 0..count.min(ENTRIES_MAX) {
        all.push((text(parts.next()?)?, coded(parts.next()?)?.unwrap_or_default()));
    }
    Some(all)
}
