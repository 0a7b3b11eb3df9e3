//! `Package.resolved` of the Swift package manager, versions 1 to 3. A package is named by where it lies, as advisories
//! name it.

use serde_json::Value;

use crate::{Found, Malformed, Manager, Package};

/// The packages of the lock file.
pub(super) fn parse(json: &[u8]) -> Result<Found<Package>, Malformed> {
    let malformed = |what| Malformed { format: "a lock file of Swift", what };
    let value: Value = serde_json::from_slice(json).map_err(|_| malformed("it is not JSON"))?;
    let pins = value.get("pins").or_else(|| value.pointer("/object/pins")).and_then(Value::as_array);
    let mut found = Found::default();
    for pin in pins.ok_or(malformed("it has no pins"))? {
        let place = pin.get("location").or_else(|| pin.get("repositoryURL")).and_then(Value::as_str);
        // What is pinned to a branch or a commit has no version.
        let version = pin.pointer("/state/version").and_then(Value::as_str);
        if let (Some(place), Some(version)) = (place, version) {
            found.push(Package::new(Manager::Swift, name(place), version));
        }
    }
    Ok(found)
}

/// `github.com/apple/swift-nio` of `https://github.com/apple/swift-nio.git` or `git@github.com:apple/swift-nio.git`.
pub(super) fn name(place: &str) -> &str {
    let place = place.split_once("://").map_or(place, |(_, rest)| rest);
    let place = place.split_once('@').map_or(place, |(_, rest)| rest);
    place.trim_end_matches('/').strip_suffix(".git").unwrap_or(place.trim_end_matches('/'))
}
