//! What the engine counts, for people: per rule and in all. Values only.

use guardian_model::Micros;
use serde::Serialize;

pub use crate::register::RuleKind;

/// Counts of one rule or detector since the engine was made (or restored).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleStats {
    /// Sigma id or the detector's id.
    pub id: String,
    /// Content hash.
    pub hash: String,
    /// Title.
    pub title: String,
    /// What sort of rule it is.
    pub kind: RuleKind,
    /// Rows that matched; for a correlation, rows that it counts, of all rules that it builds on together.
    pub matched: u64,
    /// Rows after which the condition held.
    pub firings: u64,
    /// Event time of the last match or firing.
    pub last_match: Option<Micros>,
    /// Alerts open now.
    pub open_alerts: u64,
    /// Groups of state held; correlations share theirs, see [`Stats::correlation_groups`].
    pub groups: u64,
    /// Groups that had to go because a limit was reached.
    pub evicted: u64,
    /// Rows that came too late to count.
    pub late: u64,
    /// Estimate of the bytes of state held.
    pub state_bytes: u64,
}

/// Counts of the engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// One for each rule and detector in use.
    pub rules: Vec<RuleStats>,
    /// Rows seen.
    pub rows: u64,
    /// Batches that could not be looked at because their columns are not those of their class.
    pub odd_batches: u64,
    /// Alerts open now.
    pub open_alerts: u64,
    /// Alerts closed early because there were too many.
    pub evicted_alerts: u64,
    /// Rows counted but not copied as evidence, because its memory was used up.
    pub evidence_skipped: u64,
    /// Realms (tenant, site, replay) with detector state.
    pub realms: u64,
    /// Realms whose state had to go because there were too many.
    pub evicted_realms: u64,
    /// Groups that correlations hold.
    pub correlation_groups: u64,
    /// Groups of correlations that had to go because a limit was reached.
    pub correlation_evicted: u64,
    /// Rows that came too late for a correlation's window.
    pub correlation_late: u64,
    /// Estimate of the bytes of state held.
    pub state_bytes: u64,
}
