//! What any advisory says, in one form: which packages of which ecosystem, which versions of them, and what their keeper
//! has decided.

use serde::Serialize;

use crate::cvss::Rating;
use crate::ecosystem::Ecosystem;
use crate::limits::TEXT_BYTES_MAX;

/// What the keeper of a package says of one vulnerability in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Status {
    /// Versions in the ranges have it.
    #[default]
    Affected,
    /// The package, or the version, does not have it.
    NotAffected,
    /// It has it, and there will be no fix.
    WillNotFix,
    /// It has it; a fix is put off, or left to the next release.
    Deferred,
    /// Nobody knows yet.
    UnderInvestigation,
    /// It has it, and nobody looks after this release any more.
    EndOfLife,
}

impl Status {
    /// Every status, by its number.
    pub const ALL: [Self; 6] = [
        Self::Affected,
        Self::NotAffected,
        Self::WillNotFix,
        Self::Deferred,
        Self::UnderInvestigation,
        Self::EndOfLife,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Affected => "affected",
            Self::NotAffected => "not_affected",
            Self::WillNotFix => "will_not_fix",
            Self::Deferred => "deferred",
            Self::UnderInvestigation => "under_investigation",
            Self::EndOfLife => "end_of_life",
        }
    }
}

/// Whether the name of a package is that of what is built or of what is installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Of {
    /// A source package; every package built from it is meant.
    #[default]
    Source,
    /// A package as it is installed.
    Binary,
}

/// Where a range ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nowhere yet.
    Open,
    /// Before this version, which has the fix.
    Fixed(String),
    /// With this version; nobody says which is the first with the fix.
    LastAffected(String),
}

/// Versions that have the vulnerability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first; empty is from the beginning.
    pub from: String,
    /// The end.
    pub end: End,
}

/// What an advisory says of one package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Whose package.
    pub ecosystem: Ecosystem,
    /// Its name, as the ecosystem compares names.
    pub package: String,
    /// What the name is of.
    pub of: Of,
    /// The module or stream that it belongs to, such as `nodejs:18`; empty outside of one.
    pub module: String,
    /// What is said.
    pub status: Status,
    /// Why, in the words of whoever says it.
    pub reason: String,
    /// Versions that have it.
    pub ranges: Vec<Range>,
    /// Versions that have it, one by one.
    pub versions: Vec<String>,
}

impl Statement {
    /// A statement of a package, with no version yet.
    pub fn new(ecosystem: Ecosystem, package: &str, of: Of, status: Status) -> Self {
        Self {
            package: ecosystem.name_of(package),
            ecosystem,
            of,
            module: String::new(),
            status,
            reason: String::new(),
            ranges: Vec::new(),
            versions: Vec::new(),
        }
    }

    /// With a range from the beginning to the fix.
    pub fn fixed_in(mut self, version: &str) -> Self {
        self.ranges.push(Range { from: String::new(), end: End::Fixed(clip(version)) });
        self
    }

    /// With a range of all versions.
    pub fn all(mut self) -> Self {
        self.ranges.push(Range { from: String::new(), end: End::Open });
        self
    }
}

/// An advisory, in one form whoever wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advisory {
    /// Its name, such as `RHSA-2024:0811` or `GHSA-…`.
    pub id: String,
    /// The same vulnerability elsewhere, and those that it is about: above all CVE names.
    pub aliases: Vec<String>,
    /// One line.
    pub summary: String,
    /// Vectors, as they are written, the newest version of CVSS first.
    pub vectors: Vec<String>,
    /// How bad, in the words of whoever wrote it; unknown where only vectors say so.
    pub rating: Rating,
    /// When it came out and changed, in seconds since the epoch; 0 where it does not say.
    pub published_s: i64,
    /// When it changed.
    pub modified_s: i64,
    /// Taken back.
    pub withdrawn: bool,
    /// Where to read on.
    pub references: Vec<String>,
    /// What it says.
    pub statements: Vec<Statement>,
}

impl Advisory {
    /// An advisory that says nothing yet.
    pub fn new(id: &str) -> Self {
        Self { id: clip(id), ..Self::default() }
    }
}

/// How far somebody is with an exploit (SSVC, "Exploitation").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Exploitation {
    /// Nobody says.
    #[default]
    Unknown,
    /// No evidence.
    None,
    /// A proof of concept is public.
    Poc,
    /// It is used.
    Active,
}

/// What is known of a vulnerability wherever it is: how likely it is used, whether it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// EPSS: probability of use within 30 days, and the part of vulnerabilities that have less.
    Epss {
        /// Probability, 0 to 1.
        probability: f32,
        /// Percentile, 0 to 1.
        percentile: f32,
    },
    /// In a catalogue of those that are used.
    Known {
        /// Day since the epoch on which it came in.
        added_day: i32,
        /// Day since the epoch by which agencies must have it fixed; 0 where there is none.
        due_day: i32,
        /// Known to be used for ransom.
        ransomware: bool,
    },
    /// A coordinator's view (SSVC).
    Decision {
        /// How far an exploit is.
        exploitation: Exploitation,
        /// Whether an attack can be automated.
        automatable: Option<bool>,
        /// Whether the attacker gets all of the software.
        total_impact: Option<bool>,
    },
    /// How bad: a vector.
    Vector(String),
    /// Where an exploit that anybody can take is published.
    Exploit(String),
}

/// The text, cut off at a character where it is too long.
pub(crate) fn clip(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The first line of a text, cut off.
pub(crate) fn line(text: &str) -> String {
    clip(text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim())
}
