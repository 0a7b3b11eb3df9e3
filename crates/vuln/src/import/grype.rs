//! Grype's reports in JSON.

use serde_json::Value;

use super::{Imported, Report, rating};
use crate::advisory::{clip, line};
use crate::vex::{list, text};

/// What is in a report.
pub(super) fn read(bytes: &[u8]) -> Result<Report, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut report = Report::default();
    for found in list(&value, "matches") {
        let (Some(vulnerability), Some(artifact)) = (found.get("vulnerability"), found.get("artifact")) else {
            report.malformed += 1;
            continue;
        };
        let related: Vec<&Value> = list(found, "relatedVulnerabilities").collect();
        let names = [text(vulnerability, "id")].into_iter().chain(related.iter().map(|one| text(one, "id")));
        let vectors = [vulnerability].into_iter().chain(related.iter().copied()).flat_map(|one| list(one, "cvss"));
        let fixes = vulnerability.pointer("/fix/versions").and_then(Value::as_array).into_iter().flatten();
        let place = list(artifact, "locations").next().map_or("", |location| text(location, "path"));
        report.push(Imported {
            scanner: "grype".to_owned(),
            names: names.map(clip).collect(),
            purl: clip(text(artifact, "purl")),
            package: clip(text(artifact, "name")),
            version: clip(text(artifact, "version")),
            place: clip(place),
            summary: line(text(vulnerability, "description")),
            rating: rating(text(vulnerability, "severity")),
            vector: vectors.map(|one| clip(text(one, "vector"))).find(|vector| !vector.is_empty()).unwrap_or_default(),
            fixes: fixes.filter_map(Value::as_str).map(clip).collect(),
            ..Imported::default()
        });
    }
    Ok(report)
}
