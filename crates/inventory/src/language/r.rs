//! Packages of R: `DESCRIPTION` of an installed package ("Writing R Extensions", section 1.1.1), and `renv.lock`.

use serde_json::Value;

use crate::text::{clip, list, stanzas};
use crate::{Found, Malformed, Manager, Package};

/// The package of a `DESCRIPTION`, where R has installed it. Sources have the same file, and other things one of that name.
pub(super) fn parse(description: &[u8]) -> Result<Found<Package>, Malformed> {
    let mut found = Found::default();
    let Some(head) = stanzas(description).next() else { return Ok(found) };
    let (name, version) = (head.get("Package"), head.get("Version"));
    if head.get("Built").is_empty() || name.is_empty() || version.is_empty() {
        return Ok(found);
    }
    let mut package = Package::new(Manager::Cran, name, version);
    package.licences = list([head.get("License")]);
    package.vendor = clip(head.get("Maintainer"));
    package.source = clip(head.get("Repository"));
    found.push(package);
    Ok(found)
}

/// The packages of an `renv.lock`.
pub(super) fn parse_lock(json: &[u8]) -> Result<Found<Package>, Malformed> {
    let malformed = |what| Malformed { format: "a lock file of renv", what };
    let value: Value = serde_json::from_slice(json).map_err(|_| malformed("it is not JSON"))?;
    let packages = value.get("Packages").and_then(Value::as_object).ok_or(malformed("it has no packages"))?;
    let mut found = Found::default();
    for (name, entry) in packages {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        match (text("Source"), text("Version")) {
            ("Repository", version) if !version.is_empty() => {
                let mut package = Package::new(Manager::Cran, name, version);
                package.source = clip(text("Repository"));
                found.push(package);
            }
            _ => {}
        }
    }
    Ok(found)
}
