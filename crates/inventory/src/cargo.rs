//! Rust crates: `.crates2.json`, in which cargo keeps what it installed, and `Cargo.lock` beside sources.

use serde_json::Value;

use crate::text::{clip, lines, quoted};
use crate::{Found, Malformed, Manager, Package};

/// The programs that `cargo install` installed, from `$CARGO_HOME/.crates2.json`.
pub fn parse_installed(crates2_json: &[u8]) -> Result<Found<Package>, Malformed> {
    let malformed = |what| Malformed { format: "cargo's list of installed crates", what };
    let value: Value = serde_json::from_slice(crates2_json).map_err(|_| malformed("it is not JSON"))?;
    let installs = value.get("installs").and_then(Value::as_object).ok_or(malformed("it has no installs"))?;
    let mut found = Found::default();
    for (i, (key, entry)) in installs.iter().enumerate() {
        // `name version (source)`
        let mut words = key.splitn(3, ' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            found.issue(i + 1, "a crate without a version");
            continue;
        };
        let mut package = Package::new(Manager::Cargo, name, version);
        package.source = clip(words.next().unwrap_or_default().trim_matches(['(', ')']));
        package.arch = entry.get("target").and_then(Value::as_str).map(clip).unwrap_or_default();
        found.push(package);
    }
    Ok(found)
}

/// The crates of a `Cargo.lock`, as cargo writes it; those of the workspace itself have no source.
pub fn parse_lock(cargo_lock: &[u8]) -> Found<Package> {
    let mut found = Found::default();
    let mut open: Option<(usize, Package)> = None;
    let mut close = |open: &mut Option<(usize, Package)>, next| match std::mem::replace(open, next) {
        Some((line, package)) if package.name.is_empty() || package.version.is_empty() => {
            found.issue(line, "a crate without name or version");
        }
        Some((_, package)) => found.push(package),
        None => {}
    };
    for (number, line) in lines(cargo_lock) {
        if line == "[[package]]" {
            close(&mut open, Some((number, Package::new(Manager::Cargo, "", ""))));
        } else if line.starts_with('[') {
            close(&mut open, None);
        } else if let (Some((_, package)), Some((key, value))) = (&mut open, line.split_once(" = ")) {
            let value = quoted(value).first().copied().map(clip).unwrap_or_default();
            match key {
                "name" => package.name = value,
                "version" => package.version = value,
                "source" => package.source = value,
                _ => {}
            }
        }
    }
    close(&mut open, None);
    found
}
