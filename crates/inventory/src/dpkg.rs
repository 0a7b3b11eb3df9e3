//! dpkg's `status` (deb-control(5), dpkg(1)): which packages are installed, and in which state.
//!
//! dpkg has no licence field: it is in `/usr/share/doc/PACKAGE/copyright`, in the machine-readable form (DEP 5) for most
//! packages, and [`licences`] reads it there.

mod files;

pub use files::{Conffile, Diversion, Override, conffiles, diversions, list, listed, md5sum, md5sums, overrides};

use crate::text::{clip, list as texts, stanzas};
use crate::{Found, Manager, Package};

/// What dpkg says of a package that other managers do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The package.
    pub package: Package,
    /// What is wanted, whether it went well, and how far it is: `install ok installed`.
    pub status: String,
    /// Section of the archive.
    pub section: String,
    /// How much the system needs it.
    pub priority: String,
}

/// The installed packages of `/var/lib/dpkg/status`, or of a file of `/var/lib/dpkg/status.d`, where images without
/// dpkg keep them. What is not installed now (only configuration left, half installed) is left out, as in
/// `dpkg-query -f '${db:Status-Status}'` other than `installed`; packages whose triggers wait are installed.
pub fn parse(status: &[u8]) -> Found<Package> {
    let Found { entries, issues, issues_more, entries_more } = details(status);
    Found { entries: entries.into_iter().map(|detail| detail.package).collect(), issues, issues_more, entries_more }
}

/// The same with all that dpkg says of them.
pub fn details(status: &[u8]) -> Found<Detail> {
    let mut found = Found::default();
    for stanza in stanzas(status) {
        for line in &stanza.odd {
            found.issue(*line, "a line without a colon");
        }
        let state = stanza.get("Status").split_whitespace().nth(2).unwrap_or("installed");
        if !matches!(state, "installed" | "triggers-awaited" | "triggers-pending") {
            continue;
        }
        let (name, version) = (stanza.get("Package"), stanza.get("Version"));
        if name.is_empty() || version.is_empty() {
            found.issue(stanza.line, "a package without name or version");
            continue;
        }
        let mut package = Package::new(Manager::Dpkg, name, version);
        package.arch = clip(stanza.get("Architecture"));
        package.vendor = clip(stanza.get("Maintainer"));
        package.url = clip(stanza.get("Homepage"));
        package.size_bytes = stanza.get("Installed-Size").parse::<u64>().ok().map(|kib| kib.saturating_mul(1024));
        let source = stanza.get("Source");
        let (source, in_brackets) = source.split_once(" (").unwrap_or((source, ""));
        package.source = clip(source);
        package.source_version = clip(in_brackets.trim_end_matches(')'));
        found.push(Detail {
            package,
            status: clip(stanza.get("Status")),
            section: clip(stanza.get("Section")),
            priority: clip(stanza.get("Priority")),
        });
    }
    found
}

/// The licences that a machine-readable `copyright` file names (DEP 5), each once, in order; none for a file in another
/// form.
pub fn licences(copyright: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut stanzas = stanzas(copyright);
    if !stanzas.next().is_some_and(|first| first.get("Format").contains("copyright-format")) {
        return names;
    }
    for stanza in stanzas {
        let short = stanza.get("License").lines().next().unwrap_or_default().trim();
        if !stanza.get("Files").is_empty() && !names.iter().any(|n| n == short) {
            names.extend(texts([short]));
        }
    }
    names.truncate(crate::limits::LIST_MAX);
    names
}
