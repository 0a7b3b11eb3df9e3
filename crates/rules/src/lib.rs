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

mod correlate;
mod document;
mod issue;
mod template;

pub use correlate::{EVIDENCE_FIRST_MAX, EVIDENCE_LAST_MAX, Fired};
pub use document::{
    ALERT_WINDOW_DEFAULT, Body, Condition, Correlation, CorrelationKind, CountCondition, Document, Extension, Item,
    LogSource, Rule, Scalar, Selection, Status,
};
pub use issue::{Issue, IssueLevel, Place};
pub use template::Template;
