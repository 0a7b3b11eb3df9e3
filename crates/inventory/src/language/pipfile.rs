//! `Pipfile.lock` (Pipenv documentation).

use serde_json::Value;

use crate::{Found, Malformed, Manager, Package};

/// The packages of the lock file.
pub(super) fn parse(pipfile_lock: &[u8]) -> Result<Found<Package>, Malformed> {
    let malformed = |what| Malformed { format: "a lock file of Pipenv", what };
    let value: Value = serde_json::from_slice(pipfile_lock).map_err(|_| malformed("it is not JSON"))?;
    let groups = value.as_object().filter(|map| map.contains_key("_meta")).ok_or(malformed("it has no head"))?;
    let mut found = Found::default();
    for group in groups.iter().filter(|(name, _)| *name != "_meta").filter_map(|(_, group)| group.as_object()) {
        for (name, entry) in group {
            // What comes from a repository or a folder has no version.
            let version = entry.get("version").and_then(Value::as_str).and_then(|version| version.strip_prefix("=="));
            if let Some(version) = version {
                found.push(Package::new(Manager::Python, name, version.trim_start_matches('=')));
            }
        }
    }
    Ok(found)
}
