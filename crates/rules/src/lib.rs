//! Sigma: parser, compiler, vectorised many-rule matcher and correlations (Sigma rules and correlation rules
//! specifications, version 2).
//!
//! The way of a rule: [`parse`] turns a YAML stream into [`Document`]s and [`Issue`]s, [`RuleSet::compile`] checks the
//! documents against the telemetry classes and shares their predicates, [`RuleSet::evaluate`] turns a batch into one
//! bitmap a rule, and [`Correlator::step`] feeds those bitmaps to the sliding windows of the correlations.
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
mod exception;
mod field;
mod issue;
mod logsource;
mod parse;
mod read;
mod ruleset;
mod template;
mod yaml;

pub use compile::{NODES_MAX, RULES_MAX};
pub use correlate::{
    BUCKETS, Correlator, CorrelatorLimits, CorrelatorStats, EVIDENCE_FIRST_MAX, EVIDENCE_LAST_MAX, Fired,
};
pub use document::{
    ALERT_WINDOW_DEFAULT, Body, Condition, Correlation, CorrelationKind, CountCondition, Document, Extension, Item,
    LogSource, Rule, Scalar, Selection, Status,
};
pub use exception::Exception;
pub use issue::{Issue, IssueLevel, Place};
pub use parse::{Parsed, parse};
pub use ruleset::{CompiledRule, EVENT_TIME_AHEAD_MAX, Matches, RuleSet, event_times};
pub use template::Template;

/// What was probably meant, as a help text; empty where nothing is near.
fn suggest(word: &str, known: &[&str]) -> String {
    guardian_expr::suggest(word, known.iter().copied())
}

/// A duration as rules write it: `5m`, `90s`.
pub(crate) fn duration_words(micros: i64) -> String {
    let units = [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000)];
    match units.iter().find(|(_, size)| micros >= *size && micros % size == 0) {
        Some((unit, size)) => format!("{}{unit}", micros / size),
        None => format!("{micros}us"),
    }
}
