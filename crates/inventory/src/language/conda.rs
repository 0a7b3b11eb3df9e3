//! Packages that conda installed: `conda-meta/NAME-VERSION-BUILD.json` (conda documentation, "conda-meta").

use serde_json::Value;

use crate::text::{clip, list};
use crate::{Malformed, Manager, Package};

/// The package of the file.
pub(super) fn parse(json: &[u8]) -> Result<Package, Malformed> {
    let malformed = |what| Malformed { format: "a package of conda", what };
    let value: Value = serde_json::from_slice(json).map_err(|_| malformed("it is not JSON"))?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("name").is_empty() || text("version").is_empty() {
        return Err(malformed("it has no name or no version"));
    }
    let mut package = Package::new(Manager::Conda, text("name"), text("version"));
    package.arch = clip(text("subdir"));
    package.licences = list([text("license")]);
    package.vendor = clip(text("channel"));
    package.url = clip(text("url"));
    Ok(package)
}
