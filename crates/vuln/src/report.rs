//! What a scan found, put together for people and programs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cvss::Rating;
use crate::matching::{self, Component, Finding};
use crate::scan::{Os, Placed, Scanned};
use crate::store::Store;

/// A vulnerability in one package, with all places where that is.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Whose package.
    pub ecosystem: String,
    /// Its name.
    pub package: String,
    /// Its version.
    pub installed: String,
    /// The source package that is judged, where it has another name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Files that say that it is there.
    pub places: Vec<String>,
    /// What is known.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What a scan found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What the machine says it is.
    pub os: Option<Os>,
    /// Packages that were judged, each version once.
    pub packages: usize,
    /// Packages that belong to a distribution's package and were judged as that.
    pub owned: usize,
    /// Packages of which nothing can be said, because nobody knows whose they are.
    pub unknown: usize,
    /// Packages of ecosystems of which the store knows nothing.
    pub without_advisories: BTreeMap<String, usize>,
    /// When the store was built, in seconds since the epoch.
    pub store_built_s: i64,
    /// What was found, the most pressing first.
    pub findings: Vec<Entry>,
    /// What could not be read.
    pub issues: Vec<String>,
}

/// Judges everything that was found.
pub fn of(store: &Store, scanned: Scanned) -> Report {
    let ecosystems = store.ecosystems();
    let mut report = Report { unknown: scanned.unknown, store_built_s: store.built_s(), ..Report::default() };
    let mut places: BTreeMap<Component, Vec<String>> = BTreeMap::new();
    for Placed { component, place, owner, .. } in scanned.packages {
        if owner.is_some() {
            report.owned += 1;
        } else {
            places.entry(component).or_default().push(place);
        }
    }
    report.packages = places.len();
    for (component, places) in places {
        if !ecosystems.contains_key(component.ecosystem.as_str()) {
            *report.without_advisories.entry(component.ecosystem.to_string()).or_default() += 1;
        }
        for finding in matching::findings(store, &component) {
            report.findings.push(Entry {
                ecosystem: component.ecosystem.to_string(),
                package: component.name.clone(),
                installed: component.version.clone(),
                source: component.source.clone(),
                places: places.clone(),
                finding,
            });
        }
    }
    report.findings.sort_by(|a, b| pressing(b).partial_cmp(&pressing(a)).unwrap_or(std::cmp::Ordering::Equal));
    report.os = scanned.os;
    report.issues = scanned.issues;
    report
}

/// What comes first: what is used, then how bad it is, then how likely it is used, then what has a fix.
fn pressing(entry: &Entry) -> (bool, Rating, f64, f32, bool) {
    let finding = &entry.finding;
    let likely = finding.epss.map_or(0.0, |(probability, _)| probability);
    (
        finding.known_exploited_day.is_some(),
        finding.rating,
        finding.score.unwrap_or_default(),
        likely,
        !finding.fixed_in.is_empty(),
    )
}

/// What a scan is judged by: the command fails where anything is found that it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOn {
    /// A rating, and what is worse.
    Rating(Rating),
    /// Anything.
    Any,
    /// What is known to be used.
    Exploited,
    /// What has a fix.
    Fixable,
}

impl std::str::FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "any" => Self::Any,
            "exploited" => Self::Exploited,
            "fixable" => Self::Fixable,
            "low" => Self::Rating(Rating::Low),
            "medium" => Self::Rating(Rating::Medium),
            "high" => Self::Rating(Rating::High),
            "critical" => Self::Rating(Rating::Critical),
            _ => return Err("any, low, medium, high, critical, fixable or exploited".to_owned()),
        })
    }
}

impl FailOn {
    /// Whether the entry is such.
    pub fn is(self, entry: &Entry) -> bool {
        match self {
            Self::Any => true,
            Self::Rating(rating) => entry.finding.rating >= rating,
            Self::Exploited => entry.finding.known_exploited_day.is_some(),
            Self::Fixable => !entry.finding.fixed_in.is_empty(),
        }
    }
}

impl Entry {
    /// What would fix it, in words.
    pub fn remedy(&self) -> String {
        match self.finding.fixed_in.as_slice() {
            [] => self.finding.status.name().replace('_', " "),
            versions => versions.join(", "),
        }
    }
}

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
                "message": { "text": format!(
                    "{} {} ({}) has {}. Fix: {}.",
                    entry.package, entry.installed, entry.ecosystem, finding.vulnerability, entry.remedy()
                ) },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(place) } } }],
                "partialFingerprints": { "guardian/v1": format!(
                    "{}|{}|{}|{place}", finding.vulnerability, entry.ecosystem, entry.package
                ) },
            }));
        }
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
