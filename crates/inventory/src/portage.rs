//! Portage's database of installed packages, `/var/db/pkg/CATEGORY/NAME-VERSION/`, one small file for each value
//! (Package Manager Specification, chapter "Installed package database" of Portage's own manual).

use crate::text::{clip, list, lossy};
use crate::{Malformed, Manager, Package};

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

/// Name and version of `NAME-VERSION`: the version begins at the last hyphen that a digit follows, or the one before it
/// if that is a revision (`-r1`).
fn split(folder: &str) -> Option<(&str, &str)> {
    let without = match folder.rsplit_once("-r") {
        Some((rest, revision)) if !revision.is_empty() && revision.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => folder,
    };
    let at = without.rmatch_indices('-').map(|(at, _)| at).next()?;
    let digit = without.as_bytes().get(at + 1)?.is_ascii_digit();
    (digit && at > 0).then(|| (&folder[..at], &folder[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for folder in ["", "-", "bash", "-1", "bash-", "bash-r1"] {
            assert_eq!(split(folder), None, "{folder}");
        }
    }
}
