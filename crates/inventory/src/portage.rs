//! Portage's database of installed packages, `/var/db/pkg/CATEGORY/NAME-VERSION/`, one small file for each value
//! (Package Manager Specification, chapter "Installed package database" of Portage's own manual).

use crate::owned::{Algorithm, Digest, FOLDER, LINK, Owned, REGULAR};
use crate::text::{byte_lines, clip, clip_bytes, list, lossy};
use crate::{Found, Malformed, Manager, Package};

/// What Portage takes for configuration unless it is told otherwise (`CONFIG_PROTECT`, make.conf(5)).
const PROTECTED: &[u8] = b"/etc/";

/// What the files of a package's folder hold; empty where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// Name of the folder above: the category.
    pub category: &'a str,
    /// Name of the folder: name and version.
    pub folder: &'a str,
    /// `LICENSE`.
    pub licence: &'a [u8],
    /// `CHOST`; what it was built for.
    pub chost: &'a [u8],
    /// `repository`.
    pub repository: &'a [u8],
    /// `SIZE`.
    pub size: &'a [u8],
    /// `BUILD_TIME`.
    pub build_time: &'a [u8],
    /// `HOMEPAGE`.
    pub homepage: &'a [u8],
}

/// The package of one folder.
pub fn parse(entry: &Entry<'_>) -> Result<Package, Malformed> {
    let (name, version) = split(entry.folder)
        .ok_or(Malformed { format: "a Portage package", what: "its folder has no version in its name" })?;
    let mut package = Package::new(Manager::Portage, &format!("{}/{name}", entry.category), version);
    let words = |bytes: &[u8]| lossy(bytes).trim().to_owned();
    // `|| ( A B )` is a choice, `use? ( A )` a condition: names are what remains without the marks.
    let licence = words(entry.licence);
    package.licences =
        list(licence.split_whitespace().filter(|w| !matches!(*w, "||" | "(" | ")") && !w.ends_with('?')));
    package.arch = clip(words(entry.chost).split('-').next().unwrap_or_default());
    package.vendor = words(entry.repository);
    package.size_bytes = words(entry.size).parse().ok();
    package.installed_s = words(entry.build_time).parse().ok();
    package.url = clip(words(entry.homepage).split_whitespace().next().unwrap_or_default());
    Ok(package)
}

/// The files of one package, from its `CONTENTS` (portage(5)): `dir PATH`, `obj PATH MD5 SECONDS`, `sym PATH -> TARGET SECONDS`,
/// `fif PATH`, `dev PATH`.
pub fn contents(contents: &[u8]) -> Found<Owned> {
    let mut found = Found::default();
    for (number, line) in byte_lines(contents).filter(|(_, line)| !line.is_empty()) {
        match entry(line).filter(|owned| owned.path.first() == Some(&b'/')) {
            Some(owned) => found.push(owned),
            None => found.issue(number, "a line in no form of its own"),
        }
    }
    found
}

fn entry(line: &[u8]) -> Option<Owned> {
    let (kind, rest) = line.split_at_checked(3)?;
    let rest = rest.strip_prefix(b" ")?;
    let owned = |kind, path: &[u8]| Owned { path: clip_bytes(path), kind, ..Owned::default() };
    // Paths may hold blanks: what follows them is known from the end.
    let last = |text: &'_ [u8]| -> Option<(usize, usize)> {
        let at = text.iter().rposition(|byte| *byte == b' ')?;
        Some((at, at + 1))
    };
    match kind {
        b"dir" => Some(owned(Some(FOLDER), rest)),
        b"fif" | b"dev" => Some(owned(None, rest)),
        b"obj" => {
            let (end, at) = last(rest)?;
            let (digest_end, digest_at) = last(&rest[..end])?;
            let config = rest.starts_with(PROTECTED);
            let digest = Some(Digest::of_hex(Algorithm::Md5, &rest[digest_at..end])?);
            let modified_s = Some(seconds(&rest[at..])?);
            Some(Owned { digest, modified_s, config, ..owned(Some(REGULAR), &rest[..digest_end]) })
        }
        b"sym" => {
            let (end, at) = last(rest)?;
            seconds(&rest[at..])?;
            let arrow = rest[..end].windows(4).position(|part| part == b" -> ")?;
            let target = Some(clip_bytes(&rest[arrow + 4..end]));
            Some(Owned { target, ..owned(Some(LINK), &rest[..arrow]) })
        }
        _ => None,
    }
}

fn seconds(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Name and version of `NAME-VERSION`: the version begins at the last hyphen that a digit follows, or the one before it
/// if that is a revision (`-r1`).
fn split(folder: &str) -> Option<(&str, &str)> {
    let without = match folder.rsplit_once("-r") {
        Some((rest, revision)) if !revision.is_empty() && revision.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => folder,
    };
    let at = without.rmatch_indices('-').map(|(at, _)| at).next()?;
    let digit = without.as_bytes().get(at + 1)?.is_ascii_digit();
    // What is being put there begins with a hyphen (`-MERGING-`), as no name does.
    (digit && at > 0 && !folder.starts_with('-')).then(|| (&folder[..at], &folder[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_also_with_blanks_in_their_names() {
        let text = b"dir /usr/bin\nobj /usr/bin/a 900150983cd24fb0d6963f7d28e17f72 1700000000\n\
                     obj /usr/share/read me 900150983cd24fb0d6963f7d28e17f72 7\nsym /usr/bin/b -> ../a b 7\n\
                     obj /etc/a.conf 900150983cd24fb0d6963f7d28e17f72 7\nfif /run/pipe\n";
        let found = contents(text);
        assert!(found.issues.is_empty(), "{:?}", found.issues);
        let paths: Vec<_> = found.entries.iter().map(|owned| String::from_utf8_lossy(&owned.path)).collect();
        assert_eq!(paths, ["/usr/bin", "/usr/bin/a", "/usr/share/read me", "/usr/bin/b", "/etc/a.conf", "/run/pipe"]);
        assert_eq!((found.entries[1].modified_s, found.entries[1].kind), (Some(1_700_000_000), Some(REGULAR)));
        assert_eq!(found.entries[1].digest.as_ref().map(|d| d.bytes[0]), Some(0x90));
        assert_eq!(found.entries[3].target.as_deref(), Some(&b"../a b"[..]));
        assert!(found.entries[4].config && !found.entries[1].config);
        let odd =
            b"obj /a 12 7\nobj\nsym /a -> b\ndir relative\nxyz /a\nobj /a 900150983cd24fb0d6963f7d28e17f72 x\n\xff";
        let found = contents(odd);
        assert_eq!((found.entries.len(), found.issues.len()), (0, 7));
    }

    #[test]
    fn versions_begin_at_the_right_hyphen() {
        for (folder, name, version) in [
            ("bash-5.2_p26-r3", "bash", "5.2_p26-r3"),
            ("gtk+-3.24.41", "gtk+", "3.24.41"),
            ("font-misc-misc-1.1.3", "font-misc-misc", "1.1.3"),
            ("libX11-1.8.9-r0", "libX11", "1.8.9-r0"),
            ("pkg-r-2", "pkg-r", "2"),
        ] {
            assert_eq!(split(folder), Some((name, version)));
        }
        for folder in ["", "-", "bash", "-1", "bash-", "bash-r1", "-MERGING-bash-5.2"] {
            assert_eq!(split(folder), None, "{folder}");
        }
    }
}
