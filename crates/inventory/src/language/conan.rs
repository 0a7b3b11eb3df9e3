//! `conan.lock` of Conan, a manager of C and C++: a graph until version 1 (`graph_lock`), lists since version 2
//! (Conan documentation, "Lockfiles").
//!
//! What has a user and a channel was built by somebody else than ConanCenter, so that nothing that is said of ConanCenter's
//! packages holds for it.

use serde_json::Value;

use crate::{Found, Malformed, Manager, Package};

/// What a project needs, what it is built with, and what recipes are written with.
const LISTS: &[&str] = &["requires", "build_requires", "python_requires", "config_requires"];

/// The packages of the lock file.
pub(super) fn parse(conan_lock: &[u8]) -> Result<Found<Package>, Malformed> {
    let malformed = |what| Malformed { format: "a lock file of Conan", what };
    let value: Value = serde_json::from_slice(conan_lock).map_err(|_| malformed("it is not JSON"))?;
    let nodes = value.pointer("/graph_lock/nodes").and_then(Value::as_object);
    let lists = || LISTS.iter().filter_map(|key| value.get(key)?.as_array());
    if nodes.is_none() && lists().next().is_none() {
        return Err(malformed("it has neither a graph nor a list"));
    }
    let mut references: Vec<&str> = nodes
        .into_iter()
        .flat_map(|nodes| nodes.values())
        // The project itself has a path, and no reference or one of its own.
        .filter(|node| node.get("path").is_none())
        .filter_map(|node| node.get("ref").and_then(Value::as_str))
        .chain(lists().flatten().filter_map(Value::as_str))
        .collect();
    references.sort_unstable();
    references.dedup();
    let mut found = Found::default();
    for (name, version) in references.into_iter().filter_map(package) {
        found.push(Package::new(Manager::Conan, name, version));
    }
    Ok(found)
}

/// Name and version of `name/version@user/channel#revision:package%time`.
fn package(reference: &str) -> Option<(&str, &str)> {
    let reference = reference.split(['#', '%']).next()?;
    let (package, user) = reference.split_once('@').unwrap_or((reference, ""));
    let (name, version) = package.split_once('/')?;
    // A range names no version.
    let ours = matches!(user, "" | "_/_") && !version.is_empty() && !version.starts_with('[');
    (ours && !name.is_empty()).then_some((name, version))
}
