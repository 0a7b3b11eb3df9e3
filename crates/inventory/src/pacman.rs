//! pacman's local database, `/var/lib/pacman/local/NAME-VERSION/desc` (libalpm): `%KEY%` lines, values below, a blank line
//! after each.

mod mtree;

pub use mtree::mtree;

use crate::owned::{Algorithm, Digest};
use crate::text::{byte_lines, clip, clip_bytes, lines, list};
use crate::{Found, Malformed, Manager, Package};

/// The package of one `desc` file.
pub fn parse(desc: &[u8]) -> Result<Package, Malformed> {
    let mut package = Package::new(Manager::Pacman, "", "");
    let mut key = String::new();
    let mut licences: Vec<String> = Vec::new();
    for (_, line) in lines(desc) {
        if line.is_empty() {
            key.clear();
        } else if key.is_empty() {
            line.strip_prefix('%').and_then(|k| k.strip_suffix('%')).unwrap_or_default().clone_into(&mut key);
        } else {
            match key.as_str() {
                "NAME" => package.name = clip(&line),
                "VERSION" => package.version = clip(&line),
                "BASE" => package.source = clip(&line),
                "ARCH" => package.arch = clip(&line),
                "PACKAGER" => package.vendor = clip(&line),
                "URL" => package.url = clip(&line),
                "INSTALLDATE" => package.installed_s = line.parse().ok(),
                "SIZE" => package.size_bytes = line.parse().ok(),
                "LICENSE" if licences.len() < crate::limits::LIST_MAX => licences.extend(list([line.as_ref()])),
                _ => {}
            }
        }
    }
    package.licences = licences;
    if package.name.is_empty() || package.version.is_empty() {
        return Err(Malformed { format: "a pacman description", what: "it has no name or no version" });
    }
    Ok(package)
}

/// The paths of one `files` file, as far as there is room, each from the root without a slash in front.
pub fn files(files: &[u8]) -> Found<String> {
    let mut found = Found::default();
    let mut inside = false;
    for (_, line) in lines(files) {
        match line.as_ref() {
            "%FILES%" => inside = true,
            "" => inside = false,
            path if inside => found.push(clip(path)),
            _ => {}
        }
    }
    found
}

/// The configuration files of one `files` file (`%BACKUP%`), each path with a slash in front, with the MD5 of what the
/// package brought.
pub fn backup(files: &[u8]) -> Found<(Vec<u8>, Digest)> {
    let mut found = Found::default();
    let mut inside = false;
    for (number, line) in byte_lines(files) {
        match line {
            b"%BACKUP%" => inside = true,
            b"" => inside = false,
            line if inside => {
                let (path, hex) = line.split_at(line.iter().rposition(|b| *b == b'\t').unwrap_or(line.len()));
                match Digest::of_hex(Algorithm::Md5, hex.get(1..).unwrap_or_default()) {
                    Some(digest) => found.push((clip_bytes(&[b"/", path].concat()), digest)),
                    None => found.issue(number, "a configuration file without a digest"),
                }
            }
            _ => {}
        }
    }
    found
}
