//! What a correlation tells when its condition holds.

use guardian_model::{EventRef, Micros};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A correlation held in one group during one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fired {
    /// Position of the correlation in [`crate::RuleSet::rules`].
    pub rule: usize,
    /// Grouping fields with their values as people read them, in the order of the rule. Empty when it has none.
    pub group: Vec<(String, Value)>,
    /// Site of the rows; rows of different sites never share a group. `None` is the main site.
    pub site: Option<String>,
    /// Replay of the rows; rows of replays never share a group with live ones.
    pub replay: Option<String>,
    /// The rows of this step's batch after which the condition held, in order. However rows are cut into batches,
    /// these are the same rows.
    pub rows: Vec<u32>,
    /// The measure after the last of these rows: a count, a number of distinct values, a sum or an average; for
    /// temporal correlations, the number of rules that matched.
    pub measure: f64,
    /// The highest measure of these rows.
    pub measure_max: f64,
    /// Whether the measure is an estimate, because the group holds more distinct values than are kept exactly.
    pub estimated: bool,
    /// Event time at which the group's current activity began, at most one timespan before the first of these rows.
    pub first_seen: Micros,
    /// Latest event time of these rows.
    pub last_seen: Micros,
    /// Rows behind it: the first and the last ones of the sliding window, at most
    /// [`crate::EVIDENCE_FIRST_MAX`] + [`crate::EVIDENCE_LAST_MAX`], in order of arrival.
    pub evidence: Vec<EventRef>,
}
