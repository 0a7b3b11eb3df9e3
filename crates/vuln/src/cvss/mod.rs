//! The Common Vulnerability Scoring System: vectors of versions 2, 3.0, 3.1 and 4.0, and their scores to the tenth, as the
//! specifications of FIRST compute them.
//!
//! A vector is kept as it is written and scored when it is asked for. Scores are whole tenths, so that equal scores are
//! equal. This module must never guess: a vector that leaves out what is mandatory, or says something twice, is none.

mod v2;
mod v3;
mod v4;

use std::fmt;

/// A version of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Version 2.0.
    V2,
    /// Version 3.0.
    V3_0,
    /// Version 3.1.
    V3_1,
    /// Version 4.0.
    V4_0,
}

impl Version {
    const fn metrics(self) -> &'static [Metric] {
        match self {
            Self::V2 => v2::METRICS,
            Self::V3_0 | Self::V3_1 => v3::METRICS,
            Self::V4_0 => v4::METRICS,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "",
            Self::V3_0 => "CVSS:3.0/",
            Self::V3_1 => "CVSS:3.1/",
            Self::V4_0 => "CVSS:4.0/",
        }
    }
}

/// What a metric says of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// The vulnerability itself. Mandatory.
    Base,
    /// What changes with time: exploits, fixes, confidence.
    Threat,
    /// One's own machines.
    Environmental,
    /// What has no weight.
    Supplemental,
}

/// A metric and its values, in the order in which vectors are written. What is not said is none of the values.
struct Metric {
    name: &'static str,
    values: &'static [&'static str],
    group: Group,
}

const fn metric(group: Group, name: &'static str, values: &'static [&'static str]) -> Metric {
    Metric { name, values, group }
}

/// The most metrics of any version.
const METRICS_MAX: usize = 32;
/// Stands for a metric that is not said, or said to be not defined.
const NOT_DEFINED: u8 = u8::MAX;

/// A score in tenths, 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(pub u8);

impl Score {
    /// As the number that is shown.
    pub fn value(self) -> f64 {
        f64::from(self.0) / 10.0
    }

    fn of_tenths(tenths: f64) -> Self {
        Self(tenths.clamp(0.0, 100.0) as u8)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

/// How bad, in the words of the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rating {
    /// Nobody has said.
    #[default]
    Unknown,
    /// No impact, or none that matters.
    None,
    /// 0.1 to 3.9.
    Low,
    /// 4.0 to 6.9.
    Medium,
    /// 7.0 to 8.9; to 10 in version 2.
    High,
    /// 9.0 to 10.
    Critical,
}

impl Rating {
    /// Its name, in small letters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Why a text is no vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Its prefix names no version that there is.
    #[error("no version of CVSS is named `{0}`")]
    Version(String),
    /// A part is not a metric with a value of it.
    #[error("`{0}` is no metric with one of its values")]
    Part(String),
    /// A metric is said twice.
    #[error("`{0}` is said twice")]
    Twice(&'static str),
    /// A metric of the base is not said.
    #[error("`{0}` is missing")]
    Missing(&'static str),
}

/// A vector.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vector {
    version: Version,
    values: [u8; METRICS_MAX],
}

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vector({self})")
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version.prefix())?;
        let said = self.version.metrics().iter().zip(self.values).filter(|(_, value)| *value != NOT_DEFINED);
        for (i, (metric, value)) in said.enumerate() {
            let slash = if i == 0 { "" } else { "/" };
            write!(f, "{slash}{}:{}", metric.name, metric.values[usize::from(value)])?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Vector {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        // Old vectors of version 2 stand in brackets.
        let text = text.trim();
        let text = text.strip_prefix('(').and_then(|inside| inside.strip_suffix(')')).unwrap_or(text);
        let (version, rest) = match text.strip_prefix("CVSS:") {
            None => (Version::V2, text),
            Some(after) => {
                let (number, rest) = after.split_once('/').unwrap_or((after, ""));
                let version = match number {
                    "2.0" => Version::V2,
                    "3.0" => Version::V3_0,
                    "3.1" => Version::V3_1,
                    "4.0" => Version::V4_0,
                    _ => return Err(Malformed::Version(clip(number))),
                };
                (version, rest)
            }
        };
        Self::of_parts(version, rest)
    }
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

impl Vector {
    fn of_parts(version: Version, parts: &str) -> Result<Self, Malformed> {
        let metrics = version.metrics();
        let mut vector = Self { version, values: [NOT_DEFINED; METRICS_MAX] };
        let mut said = [false; METRICS_MAX];
        for part in parts.split('/') {
            let wrong = || Malformed::Part(clip(part));
            let (name, value) = part.split_once(':').ok_or_else(wrong)?;
            let at = metrics.iter().position(|metric| metric.name == name).ok_or_else(wrong)?;
            let metric = &metrics[at];
            if std::mem::replace(&mut said[at], true) {
                return Err(Malformed::Twice(metric.name));
            }
            if metric.group != Group::Base && value == not_defined(version) {
                continue;
            }
            let value = metric.values.iter().position(|known| *known == value).ok_or_else(wrong)?;
            vector.values[at] = value as u8;
        }
        let missing = metrics.iter().zip(vector.values).find(|(m, v)| m.group == Group::Base && *v == NOT_DEFINED);
        match missing {
            Some((metric, _)) => Err(Malformed::Missing(metric.name)),
            None => Ok(vector),
        }
    }

    /// Its version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The same vector with one metric said differently, such as a requirement of one's own machines. None where there is
    /// no such metric or value.
    pub fn with(mut self, name: &str, value: &str) -> Option<Self> {
        let at = self.version.metrics().iter().position(|metric| metric.name == name)?;
        let known = self.version.metrics()[at].values.iter().position(|known| *known == value)?;
        self.values[at] = known as u8;
        Some(self)
    }

    /// The value of a metric, where it is said.
    pub fn get(&self, name: &str) -> Option<&'static str> {
        let at = self.version.metrics().iter().position(|metric| metric.name == name)?;
        let value = self.values[at];
        (value != NOT_DEFINED).then(|| self.version.metrics()[at].values[usize::from(value)])
    }

    /// The score of the vulnerability itself.
    pub fn base(&self) -> Score {
        match self.version {
            Version::V2 => v2::base(self),
            Version::V3_0 | Version::V3_1 => v3::base(self),
            Version::V4_0 => v4::score(&self.only(&[Group::Base])),
        }
    }

    /// The score with what is known of exploits and fixes (temporal; with threat, CVSS-BT, in version 4).
    pub fn threat(&self) -> Score {
        match self.version {
            Version::V2 => v2::temporal(self),
            Version::V3_0 | Version::V3_1 => v3::temporal(self),
            Version::V4_0 => v4::score(&self.only(&[Group::Base, Group::Threat])),
        }
    }

    /// The score with that and with one's own machines (environmental; CVSS-BTE in version 4).
    pub fn environmental(&self) -> Score {
        match self.version {
            Version::V2 => v2::environmental(self),
            Version::V3_0 | Version::V3_1 => v3::environmental(self),
            Version::V4_0 => v4::score(self),
        }
    }

    /// Whether it says anything of the group.
    fn says(&self, group: Group) -> bool {
        let mut metrics = self.version.metrics().iter().zip(self.values);
        metrics.any(|(metric, value)| metric.group == group && value != NOT_DEFINED)
    }

    /// The vector without what other groups say.
    fn only(&self, groups: &[Group]) -> Self {
        let mut only = *self;
        for (metric, value) in self.version.metrics().iter().zip(&mut only.values) {
            if !groups.contains(&metric.group) {
                *value = NOT_DEFINED;
            }
        }
        only
    }

    /// The word for a score of its version.
    pub const fn rating(&self, score: Score) -> Rating {
        match (self.version, score.0) {
            (Version::V2, 0..=39) => Rating::Low,
            (_, 0) => Rating::None,
            (_, 1..=39) => Rating::Low,
            (_, 40..=69) => Rating::Medium,
            (Version::V2, _) | (_, 70..=89) => Rating::High,
            _ => Rating::Critical,
        }
    }
}

const fn not_defined(version: Version) -> &'static str {
    match version {
        Version::V2 => "ND",
        _ => "X",
    }
}
