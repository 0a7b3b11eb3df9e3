//! `meta/snap.yaml` of a snap (Snapcraft documentation, "Snap format"): the top-level scalars, which is all that is asked.

use crate::text::{clip, lines, list};
use crate::{Malformed, Manager, Package};

/// The package of one `snap.yaml`.
pub fn parse(snap_yaml: &[u8]) -> Result<Package, Malformed> {
    let mut package = Package::new(Manager::Snap, "", "");
    let mut arches: Vec<String> = Vec::new();
    let mut in_arches = false;
    for (_, line) in lines(snap_yaml) {
        let item = line.trim_start().strip_prefix("- ");
        if in_arches && let Some(item) = item {
            arches.extend(list([scalar(item)]));
            continue;
        }
        if line.starts_with([' ', '\t', '#', '-']) {
            continue;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = scalar(value);
        in_arches = key == "architectures" && value.is_empty();
        match key {
            "name" => package.name = clip(value),
            "version" => package.version = clip(value),
            "license" => package.licences = list([value]),
            "website" => package.url = clip(value),
            "architectures" => arches = list(value.trim_matches(['[', ']']).split(',').map(scalar)),
            _ => {}
        }
    }
    arches.truncate(crate::limits::LIST_MAX);
    package.arch = arches.join(",");
    if package.name.is_empty() || package.version.is_empty() {
        return Err(Malformed { format: "a snap's description", what: "it has no name or no version" });
    }
    Ok(package)
}

/// A plain or quoted scalar on one line.
fn scalar(text: &str) -> &str {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            return inside.split(quote).next().unwrap_or_default();
        }
    }
    text.split(" #").next().unwrap_or_default().trim()
}
