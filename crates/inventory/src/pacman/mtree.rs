//! The `mtree` file of an installed package (mtree(5), libarchive's form): what each of its files should be.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use crate::limits::ARCHIVE_TEXT_BYTES_MAX;
use crate::owned::{Account, Algorithm, Digest, FOLDER, LINK, Owned, REGULAR};
use crate::text::{byte_lines, clip_bytes, lossy};
use crate::{Found, Malformed};

/// Bytes of a file after decompression: a package of half a million files.
const MTREE_BYTES_MAX: u64 = 64 * ARCHIVE_TEXT_BYTES_MAX;

/// The entries of a file, compressed by gzip or not. Those of the package itself (`.PKGINFO` and its like) are left out.
pub fn mtree(file: &[u8]) -> Result<Found<Owned>, Malformed> {
    let mut text = Vec::new();
    let text = if file.starts_with(&[0x1f, 0x8b]) {
        let malformed = |_| Malformed { format: "an mtree file", what: "its compression is damaged" };
        MultiGzDecoder::new(file).take(MTREE_BYTES_MAX).read_to_end(&mut text).map_err(malformed)?;
        &text
    } else {
        file
    };
    let mut found = Found::default();
    let mut set = Owned::default();
    for (number, line) in byte_lines(text) {
        let mut words = line.split(|b| *b == b' ').filter(|word| !word.is_empty());
        let Some(first) = words.next() else { continue };
        match first {
            [b'#', ..] => {}
            b"/set" => words.for_each(|word| keyword(&mut set, word)),
            b"/unset" => set = Owned::default(),
            // The root itself, and what describes the package.
            b"." => {}
            [b'.', b'/', b'.', rest @ ..] if !rest.contains(&b'/') => {}
            [b'.', path @ ..] => {
                let mut owned = Owned { path: clip_bytes(&unvis(path)), ..set.clone() };
                words.for_each(|word| keyword(&mut owned, word));
                if owned.kind != Some(REGULAR) {
                    (owned.size, owned.digest) = (None, None);
                }
                if owned.kind == Some(LINK) {
                    owned.mode = None;
                }
                found.push(owned);
            }
            _ => found.issue(number, "a path that does not begin at the root"),
        }
    }
    Ok(found)
}

fn keyword(owned: &mut Owned, word: &[u8]) {
    let Some(at) = word.iter().position(|b| *b == b'=') else { return };
    let (key, value) = (&word[..at], &word[at + 1..]);
    let text = str::from_utf8(value).unwrap_or_default();
    let number = || text.parse().ok().map(Account::Number);
    // The strongest digest is the one that counts.
    let digest = |owned: &mut Owned, algorithm| {
        let new = Digest::of_hex(algorithm, value);
        if new.is_some() && owned.digest.as_ref().is_none_or(|old| old.algorithm <= algorithm) {
            owned.digest = new;
        }
    };
    match key {
        b"type" => {
            owned.kind = match value {
                b"file" => Some(REGULAR),
                b"dir" => Some(FOLDER),
                b"link" => Some(LINK),
                b"fifo" => Some(0o010_000),
                b"socket" => Some(0o140_000),
                b"block" => Some(0o060_000),
                b"char" => Some(0o020_000),
                _ => None,
            }
        }
        b"mode" => owned.mode = u32::from_str_radix(text, 8).ok().map(|mode| mode & 0o7777),
        b"uid" => owned.user = number(),
        b"gid" => owned.group = number(),
        b"uname" if owned.user.is_none() => owned.user = Some(Account::Name(lossy(value))),
        b"gname" if owned.group.is_none() => owned.group = Some(Account::Name(lossy(value))),
        b"size" => owned.size = text.parse().ok(),
        b"time" => owned.modified_s = text.split('.').next().and_then(|seconds| seconds.parse().ok()),
        b"link" => owned.target = Some(clip_bytes(&unvis(value))),
        b"md5digest" | b"md5" => digest(owned, Algorithm::Md5),
        b"sha1digest" | b"sha1" => digest(owned, Algorithm::Sha1),
        b"sha256digest" | b"sha256" => digest(owned, Algorithm::Sha256),
        b"sha384digest" | b"sha384" => digest(owned, Algorithm::Sha384),
        b"sha512digest" | b"sha512" => digest(owned, Algorithm::Sha512),
        _ => {}
    }
}

/// Takes back the coding of vis(3): a backslash and three octal digits, or a letter.
fn unvis(coded: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(coded.len());
    let mut rest = coded;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (byte, used) = match *tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), 3)
            }
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b's', ..] => (b' ', 1),
            [other, ..] => (other, 1),
            [] => (b'\\', 0),
        };
        bytes.push(byte);
        rest = &rest[used..];
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_escapes_and_kinds() {
        let text = b"#mtree\n/set type=file uid=0 gid=0 mode=644\n./.PKGINFO size=3\n./usr type=dir mode=755 time=5.0\n./usr/a\\040b size=2 time=7.5 md5digest=d41d8cd98f00b204e9800998ecf8427e sha256digest=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n./usr/l type=link mode=777 link=a\\134b\nodd\n";
        let found = mtree(text).unwrap();
        assert_eq!(found.entries.len(), 3);
        assert_eq!(found.issues.len(), 1);
        let [folder, file, link] = &found.entries[..] else { panic!("three") };
        assert_eq!((folder.kind, folder.mode, folder.modified_s), (Some(FOLDER), Some(0o755), Some(5)));
        assert_eq!((&file.path[..], file.mode, file.size), (&b"/usr/a b"[..], Some(0o644), Some(2)));
        assert_eq!(file.digest.as_ref().unwrap().algorithm, Algorithm::Sha256);
        assert_eq!((link.target.as_deref(), link.mode), (Some(&b"a\\b"[..]), None));
        assert!(mtree(&[0x1f, 0x8b, 1, 2]).is_err());
    }
}
