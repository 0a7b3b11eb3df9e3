//! SARIF 2.1.0 (OASIS), which code hosts take, and the lines by which a job at GitHub marks what it found.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Entry, Report};
use crate::cvss::Rating;

/// The report as SARIF 2.1.0: a rule a vulnerability, a result a package and place.
pub fn sarif(report: &Report, version: &str) -> Value {
    let mut rules: BTreeMap<&str, Value> = BTreeMap::new();
    let mut results = Vec::new();
    for entry in &report.findings {
        let finding = &entry.finding;
        let level = match finding.rating {
            Rating::Critical | Rating::High => "error",
            Rating::Medium => "warning",
            _ => "note",
        };
        let help = finding.references.first().cloned().unwrap_or_default();
        rules.entry(&finding.vulnerability).or_insert_with(|| {
            let mut rule = json!({
                "id": finding.vulnerability,
                "shortDescription": { "text": non_empty(&finding.summary, &finding.vulnerability) },
                "defaultConfiguration": { "level": level },
                "properties": { "tags": ["security", "vulnerability"], "aliases": finding.aliases },
            });
            if help.starts_with("http") {
                rule["helpUri"] = json!(help);
            }
            if let Some(score) = finding.score {
                rule["properties"]["security-severity"] = json!(format!("{score:.1}"));
            }
            rule
        });
        for place in &entry.places {
            results.push(json!({
                "ruleId": finding.vulnerability,
                "level": level,
                "message": { "text": sentence(entry) },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(place) } } }],
                "partialFingerprints": { "guardian/v1": format!(
                    "{}|{}|{}|{place}", finding.vulnerability, entry.ecosystem, entry.package
                ) },
            }));
        }
    }
    // What was left out is told too, so that nobody has to wonder.
    for suppressed in &report.suppressed {
        let entry = &suppressed.entry;
        let name = &entry.finding.vulnerability;
        rules.entry(name).or_insert_with(|| json!({ "id": name, "shortDescription": { "text": name } }));
        results.push(json!({
            "ruleId": name,
            "level": "note",
            "message": { "text": sentence(entry) },
            "locations": [{ "physicalLocation": { "artifactLocation": {
                "uri": uri(entry.places.first().map_or("", String::as_str))
            } } }],
            "suppressions": [{ "kind": "external", "justification": suppressed.reason }],
        }));
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "guardian", "version": version, "rules": rules.into_values().collect::<Vec<_>>() } },
            "results": results,
        }],
    })
}

fn non_empty<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// A path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.trim_start_matches('/').bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'+' | b'@' => {
                uri.push(byte as char);
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// A line for every finding, as a job of GitHub Actions writes them ("Workflow commands").
pub fn github(report: &Report) -> String {
    let mut lines = String::new();
    for entry in &report.findings {
        let level = match entry.finding.rating {
            Rating::Critical | Rating::High => "error",
            Rating::Medium => "warning",
            _ => "notice",
        };
        let file = entry.places.first().map_or("", |place| place.trim_start_matches('/'));
        lines.push_str(&format!(
            "::{level} file={},title={}::{}\n",
            escaped(file, true),
            escaped(&entry.finding.vulnerability, true),
            escaped(&sentence(entry), false)
        ));
    }
    lines
}

/// Line breaks end a command; in a property commas and colons end a value.
fn escaped(text: &str, property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}

fn sentence(entry: &Entry) -> String {
    let name = &entry.finding.vulnerability;
    format!("{} {} ({}) has {name}. Fix: {}.", entry.package, entry.installed, entry.ecosystem, entry.remedy())
}
