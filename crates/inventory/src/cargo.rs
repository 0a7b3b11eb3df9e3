//! Rust crates: `.crates2.json`, in which cargo keeps what it installed, `Cargo.lock` beside sources, and what
//! `cargo auditable` puts into programs.

use std::io::Read as _;

use serde_json::Value;

use crate::limits::AUDIT_BYTES_MAX;
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

/// The section of a program in which `cargo auditable` keeps what it was built from.
pub const AUDIT_SECTION: &str = ".dep-v0";

/// The crates that a program was built from by `cargo auditable` (its "PARSING.md"): JSON, compressed by zlib. Crates that
/// only built others are not in the program.
pub fn parse_auditable(program: &[u8]) -> Result<Found<Package>, Malformed> {
    let malformed = Malformed { format: "a program of cargo auditable", what: "it has no such section" };
    parse_audit_section(crate::elf::section(program, AUDIT_SECTION).ok_or(malformed)?)
}

/// The crates that the section names.
pub fn parse_audit_section(section: &[u8]) -> Result<Found<Package>, Malformed> {
    let malformed = |what| Malformed { format: "a program of cargo auditable", what };
    let mut json = Vec::new();
    let decoder = flate2::read::ZlibDecoder::new(section);
    decoder.take(AUDIT_BYTES_MAX).read_to_end(&mut json).map_err(|_| malformed("its section is damaged"))?;
    let value: Value = serde_json::from_slice(&json).map_err(|_| malformed("it is not JSON"))?;
    let packages = value.get("packages").and_then(Value::as_array).ok_or(malformed("it has no packages"))?;
    let mut found = Found::default();
    for (i, entry) in packages.iter().enumerate() {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("source") != "crates.io" || text("kind") == "build" {
            continue;
        }
        if text("name").is_empty() || text("version").is_empty() {
            found.issue(i + 1, "a crate without name or version");
            continue;
        }
        found.push(Package::new(Manager::Cargo, text("name"), text("version")));
    }
    Ok(found)
}
