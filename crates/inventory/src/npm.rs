//! npm packages: `package.json` of an installed package, and `package-lock.json` (npm documentation, lock file versions 2
//! and 3).

use serde_json::{Map, Value};

use crate::text::{clip, list};
use crate::{Found, Malformed, Manager, Package};

const fn malformed(what: &'static str) -> Malformed {
    Malformed { format: "a description of npm packages", what }
}

fn object(json: &[u8]) -> Result<Map<String, Value>, Malformed> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(malformed("it is not a JSON object")),
    }
}

/// The package of one `package.json` in a `node_modules` folder.
pub fn parse(package_json: &[u8]) -> Result<Package, Malformed> {
    let map = object(package_json)?;
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("name").is_empty() || text("version").is_empty() {
        return Err(malformed("it has no name or no version"));
    }
    Ok(package(text("name"), text("version"), &map))
}

fn package(name: &str, version: &str, map: &Map<String, Value>) -> Package {
    let mut package = Package::new(Manager::Npm, name, version);
    let words = |value: &Value| match value {
        Value::String(text) => Some(clip(text)),
        Value::Object(map) => ["type", "name"].iter().find_map(|k| map.get(*k)?.as_str()).map(clip),
        _ => None,
    };
    // A text, an object with a type, or, in old packages, a list of them.
    package.licences = match map.get("license").or_else(|| map.get("licenses")) {
        Some(Value::Array(all)) => all.iter().take(crate::limits::LIST_MAX).filter_map(words).collect(),
        Some(one) => list(words(one).as_deref()),
        None => Vec::new(),
    };
    package.vendor = map.get("author").and_then(words).unwrap_or_default();
    package.url = map.get("homepage").and_then(Value::as_str).map(clip).unwrap_or_default();
    package.source = map.get("resolved").and_then(Value::as_str).map(clip).unwrap_or_default();
    package
}

/// The packages of a `package-lock.json` of version 2 or 3, or of the `.package-lock.json` that npm keeps in a
/// `node_modules` folder.
pub fn parse_lock(package_lock: &[u8]) -> Result<Found<Package>, Malformed> {
    let map = object(package_lock)?;
    let packages = map.get("packages").and_then(Value::as_object).ok_or(malformed("its version is not 2 or 3"))?;
    let mut found = Found::default();
    for (i, (path, entry)) in packages.iter().enumerate() {
        let (Some((_, by_path)), Some(entry)) = (path.rsplit_once("node_modules/"), entry.as_object()) else {
            continue;
        };
        let name = entry.get("name").and_then(Value::as_str).unwrap_or(by_path);
        match entry.get("version").and_then(Value::as_str) {
            Some(version) => found.push(package(name, version, entry)),
            None if entry.contains_key("link") => {}
            None => found.issue(i + 1, "a package without a version"),
        }
    }
    Ok(found)
}
