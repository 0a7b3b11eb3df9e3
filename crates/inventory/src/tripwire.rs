//! Open Source Tripwire's database, as `twprint -m d` prints it.
//!
//! The file itself (`.twd`) is compressed, and signed with a key that lies encrypted on the machine: nobody but Tripwire can
//! say whether the signature holds, and what is printed carries none. Whoever shows what came from here says so.

use crate::owned::{KIND_MASK, unhex};
use crate::text::{clip, clip_bytes, lines};
use crate::{Found, Malformed};

/// What was printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// When it was made, as it is printed.
    pub made: String,
    /// Whose files they are.
    pub host: String,
    /// The files.
    pub objects: Found<Object>,
}

impl Database {
    /// Whether somebody has verified its signature: never.
    pub const SIGNATURE_VERIFIED: bool = false;
}

/// A file. What the policy did not ask for is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// Path.
    pub path: Vec<u8>,
    /// Type and permissions.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// Number within the file system.
    pub inode: Option<u64>,
    /// Names that it has.
    pub links: Option<u64>,
    /// Last change of the content, as it is printed: local time.
    pub modified: String,
    /// Last change of the properties, as it is printed: local time.
    pub changed: String,
    /// Digests by the names that are printed (`CRC32`, `MD5`, `SHA`, `HAVAL`).
    pub digests: Vec<(String, Vec<u8>)>,
}

/// Reads what `twprint -m d` has printed.
pub fn database(printed: &[u8]) -> Result<Database, Malformed> {
    let mut database = Database::default();
    let mut open: Option<Object> = None;
    let mut known = false;
    for (number, line) in lines(printed) {
        known |= line.starts_with("Open Source Tripwire(R)") || line.starts_with("Tripwire(R)");
        if let Some(path) = line.strip_prefix("Object name:  ") {
            if let Some(object) = open.take() {
                database.objects.push(object);
            }
            open = Some(Object { path: path_of(path), ..Object::default() });
            continue;
        }
        for (key, value) in [("Database generated on:", &mut database.made), ("Host name:", &mut database.host)] {
            if let Some(rest) = line.strip_prefix(key) {
                *value = clip(rest.trim());
            }
        }
        let (Some(object), Some((name, value))) = (&mut open, line.split_at_checked(24)) else { continue };
        let (name, value) = (name.trim(), value.trim());
        if !name.is_empty() && !value.is_empty() && property(object, name, value).is_none() {
            database.objects.issue(number, format!("{name} cannot be read"));
        }
    }
    if let Some(object) = open {
        database.objects.push(object);
    }
    if !known {
        return Err(Malformed { format: "a printed Tripwire database", what: "it does not begin as one" });
    }
    Ok(database)
}

/// Reads one property; none where it is malformed. Those that are not known are left out.
fn property(object: &mut Object, name: &str, value: &str) -> Option<()> {
    match name {
        "Mode" => object.mode = Some(mode(value.as_bytes())?),
        "UID" => object.uid = Some(account(value)?),
        "GID" => object.gid = Some(account(value)?),
        "Size" => object.size = Some(value.parse().ok()?),
        "Inode Number" => object.inode = Some(value.parse().ok()?),
        "Num Links" => object.links = Some(value.parse().ok()?),
        "Modify Time" => object.modified = clip(value),
        "Change Time" => object.changed = clip(value),
        "CRC32" => object.digests.push((name.to_owned(), digest(value, 4)?)),
        "MD5" | "HAVAL" => object.digests.push((name.to_owned(), digest(value, 16)?)),
        "SHA" => object.digests.push((name.to_owned(), digest(value, 20)?)),
        _ => {}
    }
    Some(())
}

/// A path as it is printed: what the locale cannot print as `\xc3`, and a backslash as two.
fn path_of(printed: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(printed.len());
    let mut rest = printed.as_bytes();
    while let [first, tail @ ..] = rest {
        let (decoded, used) = match (first, tail) {
            (b'\\', [b'x', high, low, ..]) => (unhex(&[*high, *low]), 3),
            (b'\\', [b'\\', ..]) => (Some(vec![b'\\']), 1),
            _ => (None, 0),
        };
        rest = &tail[decoded.as_ref().map_or(0, |_| used)..];
        bytes.extend(decoded.unwrap_or_else(|| vec![*first]));
    }
    clip_bytes(&bytes)
}

/// `root (0)`.
fn account(value: &str) -> Option<u32> {
    value.rsplit_once('(').map_or(value, |(_, number)| number.trim_end_matches(')')).parse().ok()
}

/// As `ls -l` prints it.
fn mode(letters: &[u8]) -> Option<u32> {
    let (kind, letters) = letters.split_first()?;
    let kind = match kind {
        b'-' => 0o100_000,
        b'd' => 0o040_000,
        b'l' => 0o120_000,
        b'p' => 0o010_000,
        b's' => 0o140_000,
        b'b' => 0o060_000,
        b'c' => 0o020_000,
        _ => return None,
    };
    let mut mode = kind & KIND_MASK;
    for (i, letter) in letters.get(..9)?.iter().enumerate() {
        let bit = 0o400 >> i;
        // Set-user-id, set-group-id, sticky.
        let special = 0o4000 >> (i / 3);
        mode |= match letter {
            b'-' => 0,
            b'r' | b'w' | b'x' => bit,
            b's' | b't' => bit | special,
            b'S' | b'T' => special,
            _ => return None,
        };
    }
    Some(mode)
}

/// Tripwire's own base64: the number with zero bits in front until it comes out even, six bits a letter.
fn digest(value: &str, length: usize) -> Option<Vec<u8>> {
    let letters = clip_bytes(value.as_bytes());
    if letters.len() != (length * 8).div_ceil(6) {
        return None;
    }
    let mut bytes = Vec::with_capacity(length);
    let (mut bits, mut held) = (0u32, 0);
    let padding = letters.len() * 6 - length * 8;
    for (i, letter) in letters.iter().enumerate() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, held) = (bits << 6 | u32::from(six), held + 6);
        if i == 0 {
            held -= padding;
        }
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}
