//! Behavioural detectors: what cannot be said as a rule over single rows. One file each, one line in [`ALL`].
//!
//! A detector sees the rows of one realm (tenant, site and replay) one by one, in order, and keeps bounded state.
//! It must never look at how rows were cut into batches.

mod beaconing;
mod dns_tunnel;
mod large_upload;
mod prevalence;

use guardian_model::{Ip, Micros, RuleRef, Severity};
use serde::{Deserialize, Serialize};

use crate::config::DetectConfig;
use crate::rows::FlowRows;

pub use beaconing::{BeaconingConfig, PortWeight};
pub use dns_tunnel::DnsTunnelConfig;
pub use large_upload::LargeUploadConfig;
pub(crate) use prevalence::Prevalence;

/// Every detector, in the order they see a row. The position is not part of any stored state; the id is.
pub const ALL: &[&Descriptor] = &[&beaconing::DESCRIPTOR, &large_upload::DESCRIPTOR, &dns_tunnel::DESCRIPTOR];

/// What a detector is, in the same terms as a rule.
#[derive(Debug)]
pub struct Descriptor {
    /// Fixed id.
    pub id: &'static str,
    /// Grows with every change of behaviour.
    pub version: u32,
    /// Title for people.
    pub title: &'static str,
    /// What it detects and how.
    pub description: &'static str,
    /// How bad it is.
    pub level: Severity,
    /// ATT&CK tags, as Sigma writes them.
    pub tags: &'static [&'static str],
    /// Public documents it follows.
    pub references: &'static [&'static str],
    /// Known harmless causes.
    pub falsepositives: &'static [&'static str],
    /// What to do next, one step a line.
    pub next_steps: &'static [&'static str],
    /// The sentence, with placeholders for the group's fields and the measures.
    pub summary: &'static str,
    /// An alert stays open until it was quiet for so long, in microseconds.
    pub alert_window: i64,
    /// Its parameters, as they are part of its hash.
    pub parameters: fn(&DetectConfig) -> serde_json::Value,
    /// A detector without state.
    pub build: fn(&DetectConfig) -> Box<dyn Detector>,
}

impl Descriptor {
    /// BLAKE3 over id, version and parameters, in hexadecimal: changes whenever the decision could.
    pub fn hash(&self, config: &DetectConfig) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("guardian detector v1");
        hasher.update(format!("{}\n{}\n{}", self.id, self.version, (self.parameters)(config)).as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    /// How findings name it.
    pub fn rule_ref(&self, config: &DetectConfig) -> RuleRef {
        RuleRef {
            id: self.id.to_owned(),
            hash: self.hash(config),
            title: self.title.to_owned(),
            attack: self.tags.iter().filter_map(|t| t.strip_prefix("attack.")).map(str::to_owned).collect(),
            severity: self.level,
            next_steps: self.next_steps.iter().map(|&s| s.to_owned()).collect(),
        }
    }
}

/// A measured value of a firing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Measure {
    /// A count.
    Count(u64),
    /// A number with a fraction.
    Number(f64),
    /// Text.
    Text(String),
}

impl Measure {
    /// As JSON; numbers are rounded to what a person reads.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Count(n) => (*n).into(),
            Self::Number(x) => ((x * 1000.0).round() / 1000.0).into(),
            Self::Text(t) => t.as_str().into(),
        }
    }

    /// As a number; text counts as 0.
    pub fn to_f64(&self) -> f64 {
        match self {
            Self::Count(n) => *n as f64,
            Self::Number(x) => *x,
            Self::Text(_) => 0.0,
        }
    }

    /// As it reads in a sentence.
    pub fn to_text(&self) -> String {
        match self {
            Self::Count(n) => n.to_string(),
            Self::Number(x) => ((x * 100.0).round() / 100.0).to_string(),
            Self::Text(t) => t.clone(),
        }
    }
}

/// A condition held after a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// First event that counts.
    pub first_seen: Micros,
    /// The group, as canonical name and value pairs.
    pub group: Vec<(&'static str, String)>,
    /// The address that findings are about.
    pub entity: Ip,
    /// The measured values, in the order they should be shown.
    pub measures: Vec<(&'static str, Measure)>,
}

/// A row as detectors see it.
pub struct Context<'a> {
    /// The batch.
    pub rows: &'a FlowRows<'a>,
    /// The row.
    pub row: usize,
    /// Its event time.
    pub time: Micros,
    /// Who talks to which external destination.
    pub prevalence: &'a Prevalence,
}

/// What a detector holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Groups held.
    pub groups: u64,
    /// Groups that had to go because a limit was reached.
    pub evicted: u64,
    /// Rows that were too old to count.
    pub late: u64,
    /// Estimate of the bytes held.
    pub bytes: u64,
}

impl Size {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            groups: self.groups + other.groups,
            evicted: self.evicted + other.evicted,
            late: self.late + other.late,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// A detector with its state.
pub trait Detector: Send {
    /// Takes a row; the firing is there when the condition holds after it.
    fn row(&mut self, context: &Context<'_>) -> Option<Firing>;
    /// Forgets what can no longer matter. `watermark` is the highest event time so far.
    fn expire(&mut self, watermark: Micros);
    /// The state as snapshot bytes.
    fn save(&self) -> Result<Vec<u8>, postcard::Error>;
    /// Takes over a state from snapshot bytes.
    fn load(&mut self, bytes: &[u8]) -> Result<(), postcard::Error>;
    /// What it holds.
    fn size(&self) -> Size;
}
