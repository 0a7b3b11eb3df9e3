//! `bun.lock` (Bun's documentation, "Lockfile"): JSON with commas behind the last entries, of which `packages` is read. The
//! older `bun.lockb` is a program's memory and is not.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{Found, Malformed, Manager, Package};

#[derive(Deserialize)]
struct Lock {
    packages: BTreeMap<String, Value>,
}

/// The packages of the lock file.
pub(super) fn parse(bun_lock: &[u8]) -> Result<Found<Package>, Malformed> {
    let lock: Lock = serde_json::from_slice(&without_last_commas(bun_lock))
        .map_err(|_| Malformed { format: "a lock file of Bun", what: "it is not JSON with packages" })?;
    let mut found = Found::default();
    for entry in lock.packages.values() {
        // `["name@1.0.0", "registry", {…}, "checksum"]`; what does not begin with a number is a folder or an address.
        let named = entry.get(0).and_then(Value::as_str).unwrap_or_default();
        let Some(at) = named.rfind('@').filter(|at| *at > 0) else { continue };
        let (name, version) = (&named[..at], &named[at + 1..]);
        if version.starts_with(|c: char| c.is_ascii_digit()) {
            found.push(Package::new(Manager::Npm, name, version));
        }
    }
    Ok(found)
}

/// Takes away commas that nothing follows but the end of a list or an object.
fn without_last_commas(json: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for byte in json {
        if quoted {
            (quoted, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
        } else if *byte == b'"' {
            quoted = true;
        } else if matches!(byte, b'}' | b']') && out.last() == Some(&b',') {
            out.pop();
        } else if byte.is_ascii_whitespace() {
            continue;
        }
        out.push(*byte);
    }
    out
}
