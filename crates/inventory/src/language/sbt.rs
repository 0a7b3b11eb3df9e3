//! `build.sbt.lock` of the plug-in `sbt-dependency-lock` (its documentation, "Lockfile format"): libraries of Scala and Java
//! with the configurations that need them.

use serde::Deserialize;

use crate::{Found, Malformed, Manager, Package};

#[derive(Deserialize)]
struct Lock {
    dependencies: Vec<Library>,
}

#[derive(Deserialize)]
struct Library {
    org: String,
    name: String,
    version: String,
    #[serde(default)]
    configurations: Vec<String>,
}

/// The libraries of the lock file, without those that only its tests need.
pub(super) fn parse(lock: &[u8]) -> Result<Found<Package>, Malformed> {
    let lock: Lock = serde_json::from_slice(lock)
        .map_err(|_| Malformed { format: "a lock file of sbt", what: "it is not JSON with dependencies" })?;
    let mut found = Found::default();
    for library in lock.dependencies {
        let only_tests =
            !library.configurations.is_empty() && library.configurations.iter().all(|used| used.contains("test"));
        if !only_tests {
            found.push(Package::new(Manager::Java, &format!("{}:{}", library.org, library.name), &library.version));
        }
    }
    Ok(found)
}
