//! What was found as a bill of materials with its vulnerabilities: CycloneDX 1.6, which serves as VEX too.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{About, Entry, Report, Suppressed};
use crate::scan::Scanned;
use crate::vex::State;

/// The document: the components of the scan, what is known of them, and what was left out with its analysis.
pub fn cyclonedx(scanned: &Scanned, report: &Report, about: &About<'_>) -> Value {
    let mut document = crate::sbom::cyclonedx_document(scanned, about);
    let mut by_name: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in &report.findings {
        by_name.entry(&entry.finding.vulnerability).or_default().push(entry);
    }
    let mut all: Vec<Value> = by_name.values().map(|entries| vulnerability(entries, None)).collect();
    all.extend(report.suppressed.iter().map(|suppressed| vulnerability(&[&suppressed.entry], Some(suppressed))));
    document["vulnerabilities"] = json!(all);
    document
}

fn vulnerability(entries: &[&Entry], suppressed: Option<&Suppressed>) -> Value {
    let Some(finding) = entries.first().map(|entry| &entry.finding) else { return Value::Null };
    let mut rating = json!({ "severity": finding.rating.name() });
    if let (Some(score), Some(vector)) = (finding.score, &finding.vector) {
        rating["score"] = json!(score);
        rating["vector"] = json!(vector);
        rating["method"] = json!(method(vector));
    }
    let affects: Vec<Value> = entries
        .iter()
        .map(|entry| json!({ "ref": entry.purl, "versions": [{ "version": entry.installed, "status": "affected" }] }))
        .collect();
    let mut value = json!({
        "id": finding.vulnerability,
        "references": finding.aliases.iter().map(|name| json!({ "id": name, "source": {} })).collect::<Vec<_>>(),
        "ratings": [rating],
        "description": finding.summary,
        "affects": affects,
    });
    let mut fixes: Vec<&str> = entries.iter().flat_map(|entry| &entry.finding.fixed_in).map(String::as_str).collect();
    fixes.sort_unstable();
    fixes.dedup();
    if !fixes.is_empty() {
        value["recommendation"] = json!(format!("Update to {}.", fixes.join(" or ")));
    }
    value["analysis"] = analysis(suppressed);
    value
}

fn analysis(suppressed: Option<&Suppressed>) -> Value {
    let Some(suppressed) = suppressed else { return json!({ "state": "exploitable" }) };
    let state = match suppressed.state {
        Some(State::NotAffected) => "not_affected",
        Some(State::Fixed) => "resolved",
        // What is put off is still there.
        _ => "exploitable",
    };
    let mut value = json!({ "state": state, "detail": suppressed.reason });
    if JUSTIFICATIONS.contains(&suppressed.justification.as_str()) && state == "not_affected" {
        value["justification"] = json!(suppressed.justification);
    }
    value
}

/// The words that CycloneDX has for why something is not affected.
const JUSTIFICATIONS: &[&str] = &[
    "code_not_present",
    "code_not_reachable",
    "requires_configuration",
    "requires_dependency",
    "requires_environment",
    "protected_by_compiler",
    "protected_at_runtime",
    "protected_at_perimeter",
    "protected_by_mitigating_control",
];

fn method(vector: &str) -> &'static str {
    match vector.get(..8) {
        Some("CVSS:4.0") => "CVSSv4",
        Some("CVSS:3.1") => "CVSSv31",
        Some("CVSS:3.0") => "CVSSv3",
        _ => "CVSSv2",
    }
}
