//! `composer.lock`, and `installed.json` beside installed packages (Composer documentation).

use serde_json::Value;

use crate::text::{clip, list};
use crate::{Found, Malformed, Manager, Package};

/// The packages of either file.
pub(super) fn parse(json: &[u8]) -> Result<Found<Package>, Malformed> {
    let malformed = |what| Malformed { format: "a list of Composer", what };
    let value: Value = serde_json::from_slice(json).map_err(|_| malformed("it is not JSON"))?;
    // Old versions of `installed.json` are the list itself.
    let lists = [Some(&value), value.get("packages"), value.get("packages-dev")];
    let mut lists = lists.into_iter().flatten().filter_map(Value::as_array).peekable();
    lists.peek().ok_or(malformed("it has no packages"))?;
    let mut found = Found::default();
    for (i, entry) in lists.flatten().enumerate() {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let version = text("version");
        // A branch is no version.
        if version.starts_with("dev-") || version.ends_with("-dev") {
            continue;
        }
        if text("name").is_empty() || version.is_empty() {
            found.issue(i + 1, "a package without name or version");
            continue;
        }
        let mut package = Package::new(Manager::Composer, text("name"), version.trim_start_matches('v'));
        let licences = entry.get("license").and_then(Value::as_array).into_iter().flatten();
        package.licences = list(licences.filter_map(Value::as_str));
        package.url = clip(text("homepage"));
        found.push(package);
    }
    Ok(found)
}
