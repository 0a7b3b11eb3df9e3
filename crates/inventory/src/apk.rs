//! apk-tools' `/lib/apk/db/installed` (apk-tools v2, "Installed Database V2"): lines of one letter, a colon and a value;
//! a blank line ends a package. Behind a package come its folders (`F`, with `M` for owner and permissions) and in each its
//! files (`R`, with `a` and a digest `Z`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::owned::{Account, Algorithm, Digest, FOLDER, Owned};
use crate::text::{byte_lines, clip, clip_bytes, lines, list};
use crate::{Found, Manager, Package};

/// The installed packages.
pub fn parse(installed: &[u8]) -> Found<Package> {
    let mut found = Found::default();
    let mut open = Package::new(Manager::Apk, "", "");
    let mut begun = 0;
    for (number, line) in lines(installed) {
        if line.is_empty() {
            close(&mut found, &mut open, &mut begun);
            continue;
        }
        let Some((letter, value)) = line.split_once(':') else {
            found.issue(number, "a line without a colon");
            continue;
        };
        if begun == 0 {
            begun = number;
        }
        match letter {
            "P" => open.name = clip(value),
            "V" => open.version = clip(value),
            "A" => open.arch = clip(value),
            "L" => open.licences = list(value.split(" AND ").flat_map(|part| part.split_whitespace())),
            "m" => open.vendor = clip(value),
            "o" => open.source = clip(value),
            "U" => open.url = clip(value),
            "I" => open.size_bytes = value.parse().ok(),
            _ => {}
        }
    }
    close(&mut found, &mut open, &mut begun);
    found
}

fn close(found: &mut Found<Package>, open: &mut Package, begun: &mut usize) {
    let package = std::mem::replace(open, Package::new(Manager::Apk, "", ""));
    let line = std::mem::take(begun);
    if line == 0 {
        return;
    }
    if package.name.is_empty() || package.version.is_empty() {
        found.issue(line, "a package without name or version");
    } else {
        found.push(package);
    }
}

/// The files of every package, each with the number of its package in the order of [`parse`], which a package without
/// name or version has none in.
pub fn files(installed: &[u8]) -> Found<(usize, Owned)> {
    let mut found = Found::default();
    let (mut number, mut named, mut versioned) = (0, false, false);
    let mut folder: Vec<u8> = Vec::new();
    // Files of one package, until it is known to be one.
    let mut waiting: Vec<Owned> = Vec::new();
    for (at, line) in byte_lines(installed).chain([(0, &b""[..])]) {
        let (letter, value) = match line {
            [] => {
                if named && versioned {
                    for owned in waiting.drain(..) {
                        found.push((number, owned));
                    }
                    number += 1;
                }
                (named, versioned) = (false, false);
                folder.clear();
                waiting.clear();
                continue;
            }
            [letter, b':', value @ ..] => (*letter, value),
            _ => continue,
        };
        if waiting.len() >= crate::limits::ENTRIES_MAX {
            continue;
        }
        match letter {
            b'P' => named = !value.is_empty(),
            b'V' => versioned = !value.is_empty(),
            b'F' => {
                folder = if value.is_empty() { Vec::new() } else { [b"/", value].concat() };
                if !value.is_empty() {
                    waiting.push(default(clip_bytes(&folder), FOLDER, 0o755));
                }
            }
            b'R' => waiting
                .push(Owned { kind: None, ..default(clip_bytes(&[&folder[..], b"/", value].concat()), 0, 0o644) }),
            b'M' | b'a' => match (waiting.last_mut(), access(value)) {
                (Some(owned), Some((user, group, mode))) => {
                    (owned.user, owned.group, owned.mode) =
                        (Some(Account::Number(user)), Some(Account::Number(group)), Some(mode));
                }
                _ => found.issue(at, "owner and permissions that cannot be read"),
            },
            b'Z' => match (waiting.last_mut(), checksum(value)) {
                (Some(owned), Some(digest)) => owned.digest = Some(digest),
                _ => found.issue(at, "a digest that cannot be read"),
            },
            _ => {}
        }
    }
    found
}

fn default(path: Vec<u8>, kind: u32, mode: u32) -> Owned {
    let root = Some(Account::Number(0));
    let config = path.starts_with(b"/etc/");
    Owned { path, kind: Some(kind), mode: Some(mode), user: root.clone(), group: root, config, ..Owned::default() }
}

/// `UID:GID:MODE`, and a digest of the extended attributes behind, which is not looked at.
fn access(value: &[u8]) -> Option<(u32, u32, u32)> {
    let mut parts = str::from_utf8(value).ok()?.split(':');
    let (user, group, mode) = (parts.next()?, parts.next()?, parts.next()?);
    Some((user.parse().ok()?, group.parse().ok()?, u32::from_str_radix(mode, 8).ok()? & 0o7777))
}

/// `Q1` and SHA-1, or `Q2` and SHA-256, in base64; older databases have hex digits of MD5. What is digested of a symbolic
/// link is its target.
fn checksum(value: &[u8]) -> Option<Digest> {
    let (algorithm, coded) = match value {
        [b'Q', b'1', coded @ ..] => (Algorithm::Sha1, coded),
        [b'Q', b'2', coded @ ..] => (Algorithm::Sha256, coded),
        hex => return Digest::of_hex(Algorithm::Md5, hex),
    };
    let bytes = STANDARD.decode(coded).ok().filter(|bytes| bytes.len() == algorithm.bytes())?;
    Some(Digest { algorithm, bytes })
}
