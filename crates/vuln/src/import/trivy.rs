//! Trivy's reports in JSON (schema version 2).

use serde_json::Value;

use super::{Imported, Report, rating};
use crate::advisory::{clip, line};
use crate::vex::{list, text};

/// What is in a report.
pub(super) fn read(bytes: &[u8]) -> Result<Report, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut report = Report::default();
    for result in list(&value, "Results") {
        for found in list(result, "Vulnerabilities") {
            let path = text(found, "PkgPath");
            let vectors = found.get("CVSS").and_then(Value::as_object);
            let vector = vectors.into_iter().flatten().find_map(|(_, by)| {
                ["V40Vector", "V3Vector", "V2Vector"].iter().map(|key| text(by, key)).find(|vector| !vector.is_empty())
            });
            let aliases = list(found, "VendorIDs").filter_map(Value::as_str);
            report.push(Imported {
                scanner: "trivy".to_owned(),
                names: [text(found, "VulnerabilityID")].into_iter().chain(aliases).map(clip).collect(),
                purl: clip(found.pointer("/PkgIdentifier/PURL").and_then(Value::as_str).unwrap_or_default()),
                package: clip(text(found, "PkgName")),
                version: clip(text(found, "InstalledVersion")),
                place: clip(if path.is_empty() { text(result, "Target") } else { path }),
                summary: line(text(found, "Title")),
                rating: rating(text(found, "Severity")),
                vector: clip(vector.unwrap_or_default()),
                fixes: text(found, "FixedVersion").split(", ").filter(|fix| !fix.is_empty()).map(clip).collect(),
                ..Imported::default()
            });
        }
    }
    Ok(report)
}
