//! npm packages: `package.json` of an installed package, and `package-lock.json` (npm documentation, lock file versions 1
//! to 3).

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

/// The packages of a `package-lock.json`, or of the `.package-lock.json` that npm keeps in a `node_modules` folder.
pub fn parse_lock(package_lock: &[u8]) -> Result<Found<Package>, Malformed> {
    let map = object(package_lock)?;
    let mut found = Found::default();
    if let Some(packages) = map.get("packages").and_then(Value::as_object) {
        by_path(packages, &mut found);
    } else if let Some(dependencies) = map.get("dependencies").and_then(Value::as_object) {
        by_name(dependencies, &mut found);
    } else if !map.contains_key("lockfileVersion") {
        return Err(malformed("it is no lock file"));
    }
    Ok(found)
}

/// Versions 2 and 3: every place in `node_modules` with what is there.
fn by_path(packages: &Map<String, Value>, found: &mut Found<Package>) {
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
}

/// Version 1: packages in packages, as deep as JSON may be.
fn by_name(dependencies: &Map<String, Value>, found: &mut Found<Package>) {
    let mut open = vec![dependencies];
    while let Some(dependencies) = open.pop() {
        for (i, (name, entry)) in dependencies.iter().enumerate() {
            let Some(entry) = entry.as_object() else { continue };
            open.extend(entry.get("dependencies").and_then(Value::as_object));
            let version = entry.get("version").and_then(Value::as_str).unwrap_or_default();
            // Under another name: `npm:name@version`.
            let (name, version) =
                version.strip_prefix("npm:").and_then(|real| real.rsplit_once('@')).unwrap_or((name.as_str(), version));
            match version {
                "" => found.issue(i + 1, "a package without a version"),
                // A folder, a repository or an address.
                version if version.contains([':', '/']) => {}
                version => found.push(package(name, version, entry)),
            }
        }
    }
}
