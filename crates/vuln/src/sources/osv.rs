//! The Open Source Vulnerability format (OSV schema 1.x): GitHub's, Go's, Python's and Rust's databases, those of
//! AlmaLinux, Rocky, Ubuntu, Chainguard and many more, and everything that osv.dev gathers. JSON, or YAML as PyPA keeps it.

use serde::Deserialize;

use super::download::Download;
use super::{Document, Sink, Source, seconds};
use crate::advisory::{Advisory, End, Of, Range, Statement, Status, clip, line};
use crate::cvss::Rating;
use crate::ecosystem::Ecosystem;
use crate::limits::{AFFECTED_MAX, LIST_MAX, VERSIONS_MAX};

#[derive(Debug, Deserialize)]
struct Record {
    id: String,
    #[serde(default)]
    modified: String,
    #[serde(default)]
    published: String,
    #[serde(default)]
    withdrawn: Option<String>,
    #[serde(default)]
    aliases: Option<Vec<String>>,
    #[serde(default)]
    upstream: Option<Vec<String>>,
    #[serde(default)]
    related: Option<Vec<String>>,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    details: String,
    #[serde(default)]
    severity: Option<Vec<Severity>>,
    #[serde(default)]
    affected: Option<Vec<Affected>>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
    #[serde(default)]
    database_specific: Option<Specific>,
}

#[derive(Debug, Deserialize)]
struct Severity {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    score: String,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(default)]
    url: String,
}

#[derive(Debug, Default, Deserialize)]
struct Specific {
    #[serde(default)]
    severity: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Affected {
    package: Option<Package>,
    #[serde(default)]
    ranges: Option<Vec<Ranges>>,
    #[serde(default)]
    versions: Option<Vec<String>>,
    #[serde(default)]
    severity: Option<Vec<Severity>>,
    #[serde(default)]
    ecosystem_specific: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Package {
    ecosystem: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Ranges {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
    limit: Option<String>,
}

/// Where its publishers give it.
const DOWNLOADS: &[Download] = &[
    Download::at("AlmaLinux.zip", "https://osv-vulnerabilities.storage.googleapis.com/AlmaLinux/all.zip"),
    Download::at("Rocky-Linux.zip", "https://osv-vulnerabilities.storage.googleapis.com/Rocky%20Linux/all.zip"),
    Download::at("Ubuntu.zip", "https://osv-vulnerabilities.storage.googleapis.com/Ubuntu/all.zip"),
    Download::at("crates.io.zip", "https://osv-vulnerabilities.storage.googleapis.com/crates.io/all.zip"),
    Download::at("CRAN.zip", "https://osv-vulnerabilities.storage.googleapis.com/CRAN/all.zip"),
    Download::at("Go.zip", "https://osv-vulnerabilities.storage.googleapis.com/Go/all.zip"),
    Download::at("Hex.zip", "https://osv-vulnerabilities.storage.googleapis.com/Hex/all.zip"),
    Download::at("Maven.zip", "https://osv-vulnerabilities.storage.googleapis.com/Maven/all.zip"),
    Download::at("npm.zip", "https://osv-vulnerabilities.storage.googleapis.com/npm/all.zip"),
    Download::at("NuGet.zip", "https://osv-vulnerabilities.storage.googleapis.com/NuGet/all.zip"),
    Download::at("Packagist.zip", "https://osv-vulnerabilities.storage.googleapis.com/Packagist/all.zip"),
    Download::at("Pub.zip", "https://osv-vulnerabilities.storage.googleapis.com/Pub/all.zip"),
    Download::at("PyPI.zip", "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"),
    Download::at("RubyGems.zip", "https://osv-vulnerabilities.storage.googleapis.com/RubyGems/all.zip"),
    Download::at("SwiftURL.zip", "https://osv-vulnerabilities.storage.googleapis.com/SwiftURL/all.zip"),
];

/// The source.
pub(super) struct Osv;

impl Source for Osv {
    fn name(&self) -> &'static str {
        "osv"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        if document.is_yaml() {
            return document.bytes.starts_with(b"id:") || document.has("\nid:") && document.has("affected:");
        }
        document.is_json()
            && document.has("\"id\"")
            && (document.has("\"schema_version\"") || document.has("\"affected\"") || document.has("\"withdrawn\""))
            && document.has("\"modified\"")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        if document.is_yaml() {
            let text = std::str::from_utf8(document.bytes).map_err(|e| e.to_string())?;
            let record: Record = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
            sink.advisory(advisory(record));
            return Ok(());
        }
        // One record, or, in some exports, a list of them.
        if document.bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
            let records: Vec<serde_json::Value> = serde_json::from_slice(document.bytes).map_err(|e| e.to_string())?;
            for record in records {
                let id = record.get("id").and_then(|id| id.as_str()).unwrap_or_default().to_owned();
                match serde_json::from_value(record) {
                    Ok(record) => sink.advisory(advisory(record)),
                    Err(error) => sink.malformed(&id, &error.to_string()),
                }
            }
            return Ok(());
        }
        sink.advisory(advisory(serde_json::from_slice(document.bytes).map_err(|e| e.to_string())?));
        Ok(())
    }
}

fn advisory(record: Record) -> Advisory {
    let mut advisory = Advisory::new(&record.id);
    // What a distribution's record is about is upstream of it.
    let names = [record.aliases, record.upstream].into_iter().flatten().flatten();
    let mut names: Vec<String> = names.map(|name| clip(&name)).filter(|name| *name != record.id).collect();
    // Old records of distributions name what they are about only as related.
    if !names.iter().chain([&record.id]).any(|name| name.starts_with("CVE-")) {
        let related = record.related.iter().flatten().filter(|name| name.starts_with("CVE-"));
        names.extend(related.map(|name| clip(name)));
    }
    // Ubuntu and Debian put the CVE into their own name.
    if let Some(at) = record.id.find("-CVE-") {
        names.push(clip(&record.id[at + 1..]));
    }
    names.sort();
    names.dedup();
    names.truncate(LIST_MAX);
    advisory.aliases = names;
    advisory.summary = line(if record.summary.is_empty() { &record.details } else { &record.summary });
    advisory.published_s = seconds(&record.published);
    advisory.modified_s = seconds(&record.modified);
    advisory.withdrawn = record.withdrawn.is_some();
    let urls = record.references.into_iter().flatten().filter(|reference| !reference.url.is_empty());
    advisory.references = urls.take(LIST_MAX).map(|reference| clip(&reference.url)).collect();
    let affected = record.affected.unwrap_or_default();
    let severities = record.severity.iter().flatten().chain(affected.iter().flat_map(|a| a.severity.iter().flatten()));
    for severity in severities {
        match severity.kind.as_str() {
            kind if kind.starts_with("CVSS") => {
                if !advisory.vectors.contains(&severity.score) && advisory.vectors.len() < LIST_MAX {
                    advisory.vectors.push(clip(&severity.score));
                }
            }
            _ => advisory.rating = advisory.rating.max(rating(&severity.score)),
        }
    }
    if let Some(words) = record.database_specific.and_then(|specific| specific.severity) {
        advisory.rating = advisory.rating.max(rating(words.as_str().unwrap_or_default()));
    }
    advisory.statements = affected.into_iter().take(AFFECTED_MAX).flat_map(statements).collect();
    advisory
}

/// The words of those who rate in words.
pub(super) fn rating(words: &str) -> Rating {
    match words.to_ascii_lowercase().as_str() {
        "critical" => Rating::Critical,
        "high" | "important" => Rating::High,
        "medium" | "moderate" => Rating::Medium,
        "low" => Rating::Low,
        "negligible" | "unimportant" | "none" => Rating::None,
        _ => Rating::Unknown,
    }
}

fn statements(affected: Affected) -> Option<Statement> {
    let package = affected.package?;
    let ecosystem = Ecosystem::of_osv(&package.ecosystem)?;
    // Distributions on dpkg name sources; those on rpm, and Chainguard's, what is installed.
    let of = match ecosystem.family() {
        "debian" | "ubuntu" => Of::Source,
        "alpine" | "wolfi" | "chainguard" | "minimos" | "alpaquita" => Of::Source,
        _ => Of::Binary,
    };
    let mut statement = Statement::new(ecosystem, &package.name, of, Status::Affected);
    for ranges in affected.ranges.into_iter().flatten().filter(|ranges| ranges.kind != "GIT") {
        read_events(ranges.events, &mut statement.ranges);
        if statement.ranges.len() > VERSIONS_MAX {
            statement.ranges.truncate(VERSIONS_MAX);
            break;
        }
    }
    // Where there are ranges, they say what the list of versions says, and of new versions too.
    if statement.ranges.is_empty() {
        let versions = affected.versions.into_iter().flatten().take(VERSIONS_MAX);
        statement.versions = versions.map(|version| clip(&version)).collect();
    }
    let text = |key: &str| affected.ecosystem_specific.as_ref()?.get(key)?.as_str();
    if let Some(module) = text("rpmmod") {
        statement.module = clip(module);
    }
    if let Some(availability) = text("priority_reason").or_else(|| text("availability")) {
        statement.reason = line(availability);
    }
    (!statement.ranges.is_empty() || !statement.versions.is_empty()).then_some(statement)
}

/// Reads events in pairs (OSV schema, "Evaluation"); they are in order.
fn read_events(events: Vec<Event>, ranges: &mut Vec<Range>) {
    let mut open: Option<String> = None;
    let mut close = |open: &mut Option<String>, end: End| {
        if let Some(from) = open.take() {
            ranges.push(Range { from, end });
        }
    };
    for event in events {
        if let Some(introduced) = event.introduced {
            // A range that opens while another is open goes on with it.
            if open.is_none() {
                open = Some(if introduced == "0" { String::new() } else { clip(&introduced) });
            }
        } else if let Some(fixed) = event.fixed {
            close(&mut open, End::Fixed(clip(&fixed)));
        } else if let Some(last) = event.last_affected {
            close(&mut open, End::LastAffected(clip(&last)));
        } else if event.limit.is_some_and(|limit| limit != "*") {
            close(&mut open, End::Open);
        }
    }
    close(&mut open, End::Open);
}
