//! What a scan found, as a statement for others (OpenVEX 0.2).

use serde_json::{Value, json};

use super::State;
use crate::report::{About, Report};

/// The report as an OpenVEX document: what is there with what is to be done, and what was left out with the reason.
pub fn openvex(report: &Report, about: &About<'_>) -> Value {
    let time = about.time();
    let mut statements = Vec::new();
    for entry in &report.findings {
        let finding = &entry.finding;
        let action = match finding.fixed_in.as_slice() {
            [] => format!("There is no fix: {}.", finding.status.name().replace('_', " ")),
            versions => format!("Update to {}.", versions.join(" or ")),
        };
        statements.push(json!({
            "vulnerability": { "name": finding.vulnerability, "aliases": finding.aliases },
            "products": [product(&entry.purl)],
            "status": State::Affected.name(),
            "action_statement": action,
        }));
    }
    for suppressed in &report.suppressed {
        let finding = &suppressed.entry.finding;
        // Only what somebody says is not there may be said so here; what was put off is still there.
        let Some(state) = suppressed.state else { continue };
        let mut statement = json!({
            "vulnerability": { "name": finding.vulnerability, "aliases": finding.aliases },
            "products": [product(&suppressed.entry.purl)],
            "status": state.name(),
        });
        if state == State::NotAffected {
            match JUSTIFICATIONS.contains(&suppressed.justification.as_str()) {
                true => statement["justification"] = json!(suppressed.justification),
                false => statement["impact_statement"] = json!(suppressed.reason),
            }
        }
        statements.push(statement);
    }
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": format!("https://openvex.dev/docs/{}", about.uuid(&report.subject)),
        "author": about.author,
        "timestamp": time,
        "version": 1,
        "tooling": format!("guardian {}", about.version),
        "statements": statements,
    })
}

/// The words that OpenVEX has for why something is not affected.
const JUSTIFICATIONS: &[&str] = &[
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
];

fn product(purl: &str) -> Value {
    json!({ "@id": purl, "identifiers": { "purl": purl } })
}
