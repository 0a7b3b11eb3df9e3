//! Sigma: parser, compiler, vectorised many-rule matcher and correlations (Sigma rules and correlation rules
//! specifications, version 2).
//!
//! The way of a rule: [`parse`] turns a YAML stream into [`Document`]s and [`Issue`]s, [`RuleSet::compile`] checks the
//! documents against the telemetry classes and shares their predicates, [`RuleSet::evaluate`] turns a batch into one
//! bitmap a rule, and [`Correlator::step`] feeds those bitmaps to the sliding windows of the correlations.
//!
//! ```text
//! parse(yaml: &str) -> Parsed { documents: Vec<Arc<Document>>, issues: Vec<Issue> }
//!
//! RuleSet::compile(documents: Vec<Arc<Document>>) -> (RuleSet, Vec<Issue>)
//! RuleSet::rules(&self) -> &[CompiledRule]          // one for each document that compiled, referred ones first
//! CompiledRule { document: Arc<Document>, rule_ref: Arc<RuleRef>, class: &'static Class, alerts: bool,
//!                entity: Option<usize> /* column of the class */, alert_window: i64 /* us */, .. }
//! CompiledRule::is_correlation(), summary(lookup), measure_name()
//! RuleSet::evaluate(&self, batch: &Batch) -> Matches
//! Matches::rows(rule: usize) -> Option<&BooleanBuffer>    // None: no row matched
//! Matches::alerting(&RuleSet) -> iterator of (rule, &BooleanBuffer) over plain rules that raise alerts themselves
//!
//! Correlator::new(CorrelatorLimits) -> Correlator   // Serialize + Deserialize: the snapshot
//! Correlator::step(&mut self, &RuleSet, batch_id: u64, &Batch, &Matches) -> Vec<Fired>
//! Correlator::retain(&mut self, &RuleSet)           // after a swap: forgets rules that left; others keep their state
//! Correlator::merge(&mut self, other: Correlator)   // partials of shards
//! Correlator::stats() -> CorrelatorStats { groups, values, late_rows, evicted_groups, .. }
//!
//! window_start(open: Option<Micros>, time, alert_window) -> Micros  // the one rule for alert windows, live and back
//! event_times(&Batch) -> Vec<i64>                   // event time of each row (flows: end, clamped by received)
//! ```
//!
//! This crate is pure. It must never read a clock, do I/O or hold global state, and its answers must not depend on
//! how rows were cut into batches.

mod compile;
mod condition;
mod correlate;
mod correlation;
mod detection;
mod document;
mod encode;
mod field;
mod issue;
mod logsource;
mod parse;
mod read;
mod ruleset;
mod template;
mod yaml;

pub use compile::{NODES_MAX, RULES_MAX};
pub use correlate::{EVIDENCE_FIRST_MAX, EVIDENCE_LAST_MAX, Fired};
pub use document::{
    ALERT_WINDOW_DEFAULT, Body, Condition, Correlation, CorrelationKind, CountCondition, Document, Extension, Item,
    LogSource, Rule, Scalar, Selection, Status,
};
pub use issue::{Issue, IssueLevel, Place};
pub use parse::{Parsed, parse};
pub use ruleset::{CompiledRule, EVENT_TIME_AHEAD_MAX, Matches, RuleSet, event_times, window_start};
pub use template::Template;

/// What was probably meant, as a help text; empty where nothing is near.
fn suggest(word: &str, known: &[&str]) -> String {
    let lower = word.to_lowercase();
    let best = known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), *k))
        .min_by_key(|(distance, k)| (*distance, *k));
    match best {
        Some((distance, k)) if distance <= 1 + word.chars().count() / 4 => format!("did you mean `{k}`?"),
        _ => String::new(),
    }
}

/// A duration as rules write it: `5m`, `90s`.
pub(crate) fn duration_words(micros: i64) -> String {
    let units = [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000)];
    match units.iter().find(|(_, size)| micros >= *size && micros % size == 0) {
        Some((unit, size)) => format!("{}{unit}", micros / size),
        None => format!("{micros}us"),
    }
}
