//! `pnpm-lock.yaml` of versions 5, 6 and 9: YAML of a fixed form, of which the keys of `packages` are all that is needed.

use crate::text::lines;
use crate::{Found, Malformed, Manager, Package};

/// The packages of the lock file.
pub(super) fn parse(pnpm_lock: &[u8]) -> Result<Found<Package>, Malformed> {
    let mut found = Found::default();
    let mut major = None;
    let mut inside = false;
    for (_, line) in lines(pnpm_lock) {
        if let Some(version) = line.strip_prefix("lockfileVersion:") {
            let version = version.trim().trim_matches(['\'', '"']);
            major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        } else if !line.starts_with(' ') && !line.trim().is_empty() {
            inside = line.trim_end() == "packages:";
        } else if let Some(key) = line.strip_prefix("  ").filter(|key| inside && !key.starts_with(' ')) {
            let key = key.trim_end().trim_end_matches("{}").trim_end();
            let key = key.strip_suffix(':').unwrap_or(key).trim_matches(['\'', '"']);
            if let Some((name, version)) = package(key, major.unwrap_or(0)) {
                found.push(Package::new(Manager::Npm, name, version));
            }
        }
    }
    match major {
        Some(_) => Ok(found),
        None => Err(Malformed { format: "a lock file of pnpm", what: "it does not say its version" }),
    }
}

/// `/name/1.0.0_peer@2` up to version 5, `/name@1.0.0(peer@2)` in 6, `name@1.0.0` in 9.
fn package(key: &str, major: u32) -> Option<(&str, &str)> {
    let key = key.strip_prefix('/').unwrap_or(key);
    let (name, version) = if major < 6 {
        // A scope has a slash of its own, and what is needed beside may have more.
        let slash = if key.starts_with('@') { key.find('/')? + 1 } else { 0 };
        let at = slash + key[slash..].find('/')?;
        let version = &key[at + 1..];
        (&key[..at], version.split('_').next().unwrap_or(version))
    } else {
        let key = key.split('(').next().unwrap_or(key);
        let at = key.rfind('@').filter(|at| *at > 0)?;
        (&key[..at], &key[at + 1..])
    };
    // What does not begin with a number is a folder, a repository or an address.
    version.starts_with(|c: char| c.is_ascii_digit()).then_some((name, version))
}
