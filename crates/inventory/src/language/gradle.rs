//! `gradle.lockfile` (Gradle User Manual, "Locking Versions"): `group:artifact:version=configurations`.

use crate::text::lines;
use crate::{Found, Manager, Package};

/// The libraries of the lock file.
pub(super) fn parse(lockfile: &[u8]) -> Found<Package> {
    let mut found = Found::default();
    for (number, line) in lines(lockfile) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with("empty=") {
            continue;
        }
        let coordinates = line.split('=').next().unwrap_or_default();
        match coordinates.rsplit_once(':') {
            Some((name, version)) if name.contains(':') => found.push(Package::new(Manager::Java, name, version)),
            _ => found.issue(number, "it is not a group, an artifact and a version"),
        }
    }
    found
}
