//! Debian's Security Tracker: `data/json`, one object of source packages, each with its vulnerabilities and what each
//! release has of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};

use super::download::Download;
use super::{Document, Sink, Source};
use crate::advisory::{Advisory, Of, Statement, Status, line};
use crate::cvss::Rating;
use crate::ecosystem::Ecosystem;

#[derive(Debug, Deserialize)]
struct Vulnerability {
    #[serde(default)]
    description: String,
    #[serde(default)]
    releases: BTreeMap<String, Release>,
}

#[derive(Debug, Deserialize)]
struct Release {
    #[serde(default)]
    status: String,
    fixed_version: Option<String>,
    #[serde(default)]
    urgency: String,
    nodsa: Option<String>,
    nodsa_reason: Option<String>,
}

/// Code names of releases with their numbers.
const RELEASES: &[(&str, &str)] = &[
    ("wheezy", "7"),
    ("jessie", "8"),
    ("stretch", "9"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
    ("sid", "sid"),
];

/// Where its publishers give it.
const DOWNLOADS: &[Download] = &[Download::at("tracker.json", "https://security-tracker.debian.org/tracker/data/json")];

/// The source.
pub(super) struct Debian;

impl Source for Debian {
    fn name(&self) -> &'static str {
        "debian"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.is_json()
            && document.has("\"releases\"")
            && (document.has("\"repositories\"") || document.has("\"urgency\""))
            && RELEASES.iter().any(|(name, _)| document.has(name))
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let mut json = serde_json::Deserializer::from_slice(document.bytes);
        json.deserialize_map(Packages(sink)).map_err(|e| e.to_string())
    }
}

/// Reads one package after the other, so that no more than one is held.
struct Packages<'a>(&'a mut dyn Sink);

impl<'de> Visitor<'de> for Packages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of source packages")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(package) = map.next_key::<String>()? {
            let vulnerabilities: BTreeMap<String, serde_json::Value> = match map.next_value()? {
                serde_json::Value::Object(all) => all.into_iter().collect(),
                _ => {
                    self.0.malformed(&package, "not an object of vulnerabilities");
                    continue;
                }
            };
            for (name, value) in vulnerabilities {
                match Vulnerability::deserialize(value) {
                    Ok(vulnerability) => self.0.advisory(advisory(&package, &name, vulnerability)),
                    Err(error) => self.0.malformed(&format!("{package} {name}"), &error.to_string()),
                }
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// One advisory a package and vulnerability; the tracker has no names of its own for them.
fn advisory(package: &str, name: &str, vulnerability: Vulnerability) -> Advisory {
    let mut advisory = Advisory::new(name);
    advisory.summary = line(&vulnerability.description);
    advisory.references = vec![format!("https://security-tracker.debian.org/tracker/{name}")];
    for (code_name, release) in vulnerability.releases {
        let Some((_, number)) = RELEASES.iter().find(|(known, _)| *known == code_name) else { continue };
        let Some(ecosystem) = Ecosystem::new("debian", number) else { continue };
        advisory.rating = advisory.rating.max(rating(&release.urgency));
        let status = status(&release);
        let mut statement = Statement::new(ecosystem, package, Of::Source, status);
        statement.reason = line(release.nodsa.as_deref().unwrap_or_default());
        advisory.statements.push(match release.fixed_version.as_deref() {
            // Fixed in nothing is never broken.
            Some("0") => Statement { status: Status::NotAffected, ..statement },
            Some(version) if release.status == "resolved" => statement.fixed_in(version),
            _ => statement.all(),
        });
    }
    advisory
}

fn status(release: &Release) -> Status {
    match (release.status.as_str(), release.nodsa_reason.as_deref()) {
        ("undetermined", _) => Status::UnderInvestigation,
        ("open", Some("ignored")) => Status::WillNotFix,
        ("open", Some("postponed" | "")) => Status::Deferred,
        ("open", _) if release.urgency == "end-of-life" => Status::EndOfLife,
        ("open", _) if release.urgency == "unimportant" => Status::WillNotFix,
        _ => Status::Affected,
    }
}

/// Debian's urgency; stars say that it was taken from elsewhere.
fn rating(urgency: &str) -> Rating {
    match urgency.trim_end_matches('*') {
        "high" => Rating::High,
        "medium" => Rating::Medium,
        "low" => Rating::Low,
        "unimportant" => Rating::None,
        _ => Rating::Unknown,
    }
}
