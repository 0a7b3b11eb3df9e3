//! Nix's database of valid store paths, `/nix/var/nix/db/db.sqlite` (Nix manual, "Store path"), and the names in the paths.

use crate::sqlite::{Database, Value};
use crate::text::lossy;
use crate::{Found, Malformed, Manager, Package};

/// A path is named after its hash of 32 characters.
const HASH_CHARACTERS: usize = 32;

/// The store paths that have a version in their names, with what the `-wal` file has committed. Sources, patches and
/// derivations are paths too: those that Nix would not build from (`.drv`, archives, patches) are left out.
pub fn parse(file: &[u8], wal: Option<&[u8]>) -> Result<Found<Package>, Malformed> {
    let mut found = Found::default();
    Database::open(file, wal)?.rows("ValidPaths", |id, values| {
        let text = |i: usize| values.get(i).and_then(Value::bytes).map(lossy).unwrap_or_default();
        let path = text(1);
        if let Some((name, version)) = name(&path) {
            let mut package = Package::new(Manager::Nix, name, version);
            package.installed_s = values.get(3).and_then(Value::integer);
            package.size_bytes = values.get(5).and_then(Value::integer).and_then(|n| u64::try_from(n).ok());
            package.source = text(4);
            found.push(package);
        } else if path.is_empty() {
            found.issue(id.unsigned_abs() as usize, "a row without a path");
        }
        !found.full()
    })?;
    Ok(found)
}

/// Name and version of a store path: the version begins at the first hyphen that something other than a letter
/// follows, as in Nix's own
/// `parseDrvName`.
pub fn name(path: &str) -> Option<(&str, &str)> {
    let base = path.rsplit('/').next()?;
    let name = base.get(HASH_CHARACTERS..)?.strip_prefix('-')?;
    let left_out = [".drv", ".tar.gz", ".tar.xz", ".tar.bz2", ".tgz", ".zip", ".patch", ".diff", ".lock", ".sh"];
    if left_out.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    let at = name.match_indices('-').map(|(at, _)| at).find(|at| {
        let next = name.as_bytes().get(at + 1);
        next.is_some_and(|c| !c.is_ascii_alphabetic())
    })?;
    (at > 0).then(|| (&name[..at], &name[at + 1..]))
}
