//! Rule documents as read: plain data, before they meet a class. Everything here is a value with public parts, so
//! that editors, tests and the catalog can look at rules without compiling them.

use guardian_model::Severity;
use serde::{Deserialize, Serialize};

use crate::issue::Place;
use crate::template::Template;

/// One YAML document of a rule stream: a Sigma rule or a Sigma correlation rule.
#[derive(Clone, Debug)]
pub struct Document {
    /// Sigma `id`; where the document has none, one derived from its content hash.
    pub id: String,
    /// Sigma `name`, by which correlations refer to it.
    pub name: Option<String>,
    /// Title for people.
    pub title: String,
    /// What it detects.
    pub description: String,
    /// Sigma `status`.
    pub status: Status,
    /// Sigma `level`; informational where absent.
    pub level: Severity,
    /// Tags as written, in lower case.
    pub tags: Vec<String>,
    /// Who wrote it.
    pub author: String,
    /// Links.
    pub references: Vec<String>,
    /// Known harmless causes.
    pub falsepositives: Vec<String>,
    /// Hex of the BLAKE3 hash of the document's canonical form: key order, comments, layout and quoting do not count.
    pub hash: String,
    /// The `guardian:` map.
    pub extension: Extension,
    /// Where it starts.
    pub place: Place,
    /// The text of this document, as read.
    pub source: String,
    /// What it is.
    pub body: Body,
}

impl Document {
    /// ATT&CK techniques and tactics: tags with the prefix `attack.`, without it.
    pub fn attack(&self) -> Vec<String> {
        self.tags.iter().filter_map(|t| t.strip_prefix("attack.")).map(str::to_owned).collect()
    }

    /// The correlation, if this is one.
    pub fn correlation(&self) -> Option<&Correlation> {
        match &self.body {
            Body::Correlation(c) => Some(c),
            Body::Rule(_) => None,
        }
    }
}

/// How far a rule has come (Sigma `status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use for long.
    Stable,
    /// In use, few false positives expected.
    Test,
    /// New.
    #[default]
    Experimental,
    /// Replaced by another; not compiled.
    Deprecated,
    /// Cannot work as it is; not compiled.
    Unsupported,
}

/// A rule's body: what it looks for.
#[derive(Clone, Debug)]
pub enum Body {
    /// A detection over single events.
    Rule(Rule),
    /// A correlation over matches of other documents.
    Correlation(Correlation),
}

/// Sigma `logsource`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSource {
    /// For example `network_connection` or `firewall`.
    pub category: Option<String>,
    /// For example `guardian` or `windows`.
    pub product: Option<String>,
    /// For example `flow`.
    pub service: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// A detection over single events.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What kind of events it is about.
    pub logsource: LogSource,
    /// The named selections, in the order of the document.
    pub selections: Vec<(String, Selection)>,
    /// The condition; several conditions are alternatives.
    pub condition: Condition,
    /// Names of the fields that help an analyst (Sigma `fields`).
    pub fields: Vec<String>,
}

/// One named search of a detection.
#[derive(Clone, Debug)]
pub enum Selection {
    /// All items must match.
    All(Vec<Item>),
    /// One of these must match (a list of maps or keywords).
    Any(Vec<Selection>),
}

/// One `field|modifiers: values` line, or a keyword (no field).
#[derive(Clone, Debug)]
pub struct Item {
    /// The field; `None` for keywords.
    pub field: Option<String>,
    /// Modifiers in order, in lower case.
    pub modifiers: Vec<String>,
    /// The values: alternatives, unless the modifier `all` is there.
    pub values: Vec<Scalar>,
    /// Where it stands.
    pub place: Place,
}

/// A value as YAML has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Scalar {
    /// `null` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
}

/// A condition tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A selection by its position.
    Selection(usize),
    /// All must hold.
    And(Vec<Self>),
    /// One must hold.
    Or(Vec<Self>),
    /// At least so many must hold.
    AtLeast(usize, Vec<Self>),
    /// Must not hold.
    Not(Box<Self>),
}

/// A correlation over matches of other documents (Sigma correlation rules specification 2).
#[derive(Clone, Debug)]
pub struct Correlation {
    /// What is measured.
    pub kind: CorrelationKind,
    /// Names or ids of the documents it refers to, with their places.
    pub rules: Vec<(String, Place)>,
    /// The grouping fields, with their places.
    pub group_by: Vec<(String, Place)>,
    /// Length of the sliding window, in microseconds.
    pub timespan: i64,
    /// When it fires.
    pub condition: CountCondition,
    /// Field whose values are counted, summed or averaged.
    pub field: Option<(String, Place)>,
    /// Names that stand for different fields in different rules: alias, then (rule, field) pairs.
    pub aliases: Vec<(String, Vec<(String, String)>)>,
    /// Whether the rules it refers to raise alerts of their own.
    pub generate: bool,
}

/// What a correlation measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrelationKind {
    /// Number of matches.
    EventCount,
    /// Number of distinct values of a field.
    ValueCount,
    /// Sum of a field.
    ValueSum,
    /// Average of a field.
    ValueAvg,
    /// All rules matched, in any order.
    Temporal,
    /// All rules matched, in the order of the list.
    TemporalOrdered,
}

impl CorrelationKind {
    /// All kinds.
    pub const ALL: &'static [Self] =
        &[Self::EventCount, Self::ValueCount, Self::ValueSum, Self::ValueAvg, Self::Temporal, Self::TemporalOrdered];

    /// The name in rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventCount => "event_count",
            Self::ValueCount => "value_count",
            Self::ValueSum => "value_sum",
            Self::ValueAvg => "value_avg",
            Self::Temporal => "temporal",
            Self::TemporalOrdered => "temporal_ordered",
        }
    }

    /// Whether it measures a field.
    pub const fn needs_field(self) -> bool {
        matches!(self, Self::ValueCount | Self::ValueSum | Self::ValueAvg)
    }

    /// Whether it asks for matches of several rules.
    pub const fn is_temporal(self) -> bool {
        matches!(self, Self::Temporal | Self::TemporalOrdered)
    }
}

/// Bounds on a measure; several bounds must all hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CountCondition {
    /// Greater than.
    pub gt: Option<f64>,
    /// Greater than or equal.
    pub gte: Option<f64>,
    /// Less than.
    pub lt: Option<f64>,
    /// Less than or equal.
    pub lte: Option<f64>,
    /// Equal.
    pub eq: Option<f64>,
    /// Not equal.
    pub neq: Option<f64>,
}

impl CountCondition {
    /// Whether the measure satisfies every bound.
    #[inline]
    pub fn holds(&self, measure: f64) -> bool {
        #[expect(clippy::float_cmp, reason = "eq and neq of counts and sums are meant exactly")]
        let exact = self.eq.is_none_or(|b| measure == b) && self.neq.is_none_or(|b| measure != b);
        exact
            && self.gt.is_none_or(|b| measure > b)
            && self.gte.is_none_or(|b| measure >= b)
            && self.lt.is_none_or(|b| measure < b)
            && self.lte.is_none_or(|b| measure <= b)
    }

    /// Whether only growth can make it hold: no upper bound.
    pub fn is_monotone(&self) -> bool {
        self.lt.is_none() && self.lte.is_none() && self.eq.is_none() && self.neq.is_none()
    }
}

/// The `guardian:` map of a document: what Sigma has no place for.
#[derive(Clone, Debug, Default)]
pub struct Extension {
    /// What to do next, one step a line.
    pub next_steps: Vec<String>,
    /// The field whose value is the entity that findings are about.
    pub entity: Option<(String, Place)>,
    /// What happened, in one sentence, with `{field}`, `{count}` and `{timespan}` placeholders.
    pub summary: Option<(Template, Place)>,
    /// How long an alert stays open and takes further matches, in microseconds.
    pub alert_window: Option<i64>,
}

/// How long an alert stays open where the rule does not say: one hour, in microseconds.
pub const ALERT_WINDOW_DEFAULT: i64 = 3_600_000_000;
