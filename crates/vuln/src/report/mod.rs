//! What a scan found, put together for people and programs.

use std::collections::BTreeMap;

use serde::Serialize;

mod cyclonedx;
mod gitlab;
mod ignore;
mod imported;
mod junit;
mod kernel;
mod sarif;

pub use cyclonedx::cyclonedx;
pub use gitlab::gitlab;
pub use ignore::Ignored;
pub use junit::junit;
pub use sarif::{github, sarif};

use crate::cvss::Rating;
use crate::import::{Imported, Service};
use crate::matching::{self, Component, Finding};
use crate::risk::{self, Asset, Risk};
use crate::scan::{Layer, Os, Placed, Scanned};
use crate::store::Store;
use crate::vex::{Said, State};
use crate::{advisory, purl};

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
    /// Its package URL.
    pub purl: String,
    /// The layer of the image that brought it, and what made that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// What somebody says of it beside the advisories.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remark: String,
    /// Who found it: this program, and other scanners.
    pub sources: Vec<String>,
    /// How pressing it is there, and why.
    pub risk: Risk,
    /// What is known.
    #[serde(flatten)]
    pub finding: Finding,
}

/// A finding that was left out, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Suppressed {
    /// What was left out.
    pub entry: Entry,
    /// What somebody says of it; none where it is only put off.
    pub state: Option<State>,
    /// The word that the form has for why.
    pub justification: String,
    /// Why, in words.
    pub reason: String,
    /// Who says so.
    pub by: String,
    /// The day until which it counts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expires: String,
}

/// What is known beside the store and the scan.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// What VEX documents say.
    pub said: Vec<Said>,
    /// What is put off.
    pub ignored: Vec<Ignored>,
    /// What is known of what was scanned.
    pub asset: Asset,
    /// What other scanners found.
    pub imported: Vec<Imported>,
    /// Services that other scanners found.
    pub services: Vec<Service>,
    /// The day, since the epoch.
    pub day: i32,
}

/// What a document says of itself.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The version of this program.
    pub version: &'a str,
    /// Who says so.
    pub author: &'a str,
    /// When, in seconds since the epoch.
    pub time_s: i64,
}

impl About<'_> {
    /// The time, as RFC 3339 writes it.
    pub fn time(&self) -> String {
        jiff::Timestamp::from_second(self.time_s).map(|time| time.to_string()).unwrap_or_default()
    }

    /// A name for a document on the subject at that time (RFC 9562, version 8: of a hash).
    pub fn uuid(&self, subject: &str) -> String {
        let hash = |seed: u64| {
            let bytes = subject.bytes().chain(self.time_s.to_le_bytes()).chain(self.version.bytes());
            bytes.fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
        };
        let (high, low) = (hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15));
        let (high, low) = (high & !0xf000 | 0x8000, low >> 2 | 1 << 63);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

/// What a scan found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What was scanned, as it names itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
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
    /// What was left out, and why.
    pub suppressed: Vec<Suppressed>,
    /// Services that other scanners found, each once: what answers, and where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// What could not be read.
    pub issues: Vec<String>,
}

/// Judges everything that was found.
pub fn of(store: &Store, scanned: Scanned, words: &Words) -> Report {
    let ecosystems = store.ecosystems();
    let mut report = Report {
        unknown: scanned.unknown,
        store_built_s: store.built_s(),
        subject: scanned.subject,
        os: scanned.os,
        issues: scanned.issues,
        ..Report::default()
    };
    let mut packages = scanned.packages;
    let all = packages.len();
    packages.retain(|placed| placed.owner.is_none());
    report.owned = all - packages.len();
    packages.sort_by(|a, b| a.component.cmp(&b.component));
    let kernels = packages.iter().filter_map(kernel::of).collect();
    let said: Vec<&Said> = words.said.iter().chain(&scanned.said).collect();
    let mut used = vec![false; words.ignored.len()];
    for placed in packages.chunk_by(|a, b| a.component == b.component) {
        let component = &placed[0].component;
        report.packages += 1;
        if !ecosystems.contains_key(component.ecosystem.as_str()) {
            *report.without_advisories.entry(component.ecosystem.to_string()).or_default() += 1;
        }
        for finding in matching::findings(store, component) {
            let mut entry = entry(component, placed, &scanned.layers, finding);
            entry.risk = risk::of(&entry.finding, &words.asset);
            match judge(entry, component, &said, words, &mut used) {
                Ok(entry) => report.findings.push(entry),
                Err(suppressed) => report.suppressed.push(*suppressed),
            }
        }
    }
    for (ignored, used) in words.ignored.iter().zip(used) {
        report.issues.extend(ignored.remark(used, words.day));
    }
    imported::take(&mut report, store, &words.imported, &words.asset);
    report.services.clone_from(&words.services);
    report.services.sort();
    report.services.dedup();
    kernel::remark(&mut report, &kernels, &scanned.kernel);
    report.findings.sort_by(|a, b| pressing(b).partial_cmp(&pressing(a)).unwrap_or(std::cmp::Ordering::Equal));
    report
}

fn entry(component: &Component, placed: &[Placed], layers: &[Layer], finding: Finding) -> Entry {
    let first = placed.iter().filter_map(|placed| placed.layer).min();
    Entry {
        ecosystem: component.ecosystem.to_string(),
        package: component.name.clone(),
        installed: component.version.clone(),
        source: component.source.clone(),
        places: placed.iter().map(|placed| placed.place.clone()).collect(),
        purl: purl::of(component, placed.first().map_or("", |placed| &placed.arch)),
        layer: first.and_then(|number| layers.get(number as usize)).cloned(),
        remark: String::new(),
        sources: vec!["guardian".to_owned()],
        risk: Risk::default(),
        finding,
    }
}

/// What is said of an entry beside the advisories: it stays, with a remark, or is left out with the reason.
fn judge(
    mut entry: Entry,
    component: &Component,
    said: &[&Said],
    words: &Words,
    used: &mut [bool],
) -> Result<Entry, Box<Suppressed>> {
    let finding = &entry.finding;
    let names: Vec<&str> = finding.aliases.iter().chain([&finding.vulnerability]).map(String::as_str).collect();
    for said in said.iter().filter(|said| said.is_of(&names, component)) {
        let (by, reason) = (said.by.clone(), said.reason());
        match said.state {
            State::NotAffected | State::Fixed => {
                let (state, justification) = (Some(said.state), said.justification.clone());
                let expires = String::new();
                return Err(Box::new(Suppressed { entry, state, justification, reason, by, expires }));
            }
            State::Affected | State::UnderInvestigation => {
                let by = if by.is_empty() { "VEX" } else { &by };
                entry.remark = advisory::clip(&format!("{by}: {} {reason}", said.state.name().replace('_', " ")));
            }
        }
    }
    let ignored = words.ignored.iter().position(|ignored| ignored.is_of(&names, &entry, words.day));
    match ignored.and_then(|at| Some((words.ignored.get(at)?, used.get_mut(at)?))) {
        Some((ignored, used)) => {
            *used = true;
            Err(Box::new(Suppressed {
                entry,
                state: None,
                justification: String::new(),
                reason: ignored.reason.clone(),
                by: ignored.by.clone(),
                expires: ignored.expires.to_string(),
            }))
        }
        None => Ok(entry),
    }
}

/// What comes first: what has most risk, then what is rated worse, then what has a fix.
fn pressing(entry: &Entry) -> (f64, Rating, f64, bool) {
    let finding = &entry.finding;
    (entry.risk.score, finding.rating, finding.score.unwrap_or_default(), !finding.fixed_in.is_empty())
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
    /// A risk of so many, and more.
    Risk(u8),
}

impl std::str::FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "any" => Self::Any,
            "exploited" | "kev" => Self::Exploited,
            "fixable" => Self::Fixable,
            text if text.starts_with("risk:") => {
                let number = text["risk:".len()..].parse().ok().filter(|number| *number <= 100);
                Self::Risk(number.ok_or("a risk is a number from 0 to 100, such as risk:10")?)
            }
            "low" => Self::Rating(Rating::Low),
            "medium" => Self::Rating(Rating::Medium),
            "high" => Self::Rating(Rating::High),
            "critical" => Self::Rating(Rating::Critical),
            _ => return Err("any, low, medium, high, critical, fixable, kev or risk:NUMBER".to_owned()),
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
            Self::Risk(number) => entry.risk.score >= f64::from(number),
        }
    }
}

impl Entry {
    /// What would fix it, in words.
    pub fn remedy(&self) -> String {
        match self.finding.fixed_in.as_slice() {
            // That it has it is said already.
            [] if self.finding.status == advisory::Status::Affected => "none".to_owned(),
            [] => self.finding.status.name().replace('_', " "),
            versions => versions.join(", "),
        }
    }
}
