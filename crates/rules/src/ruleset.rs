//! Compiled rules: predicates shared between all rules, one bitmap a rule and batch. A rule set is immutable; a new
//! one replaces it between two batches.

use std::sync::Arc;

use arrow::array::{Array, AsArray, TimestampMicrosecondArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::TimestampMicrosecondType;
use guardian_expr::{Graph, NodeId};
use guardian_model::{Batch, Class, Micros, RuleRef};

use crate::compile;
use crate::document::{Body, CorrelationKind, CountCondition, Document};
use crate::exception::CompiledException;
use crate::issue::Issue;

/// A document that compiled.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// What it was made of.
    pub document: Arc<Document>,
    /// What findings say about it.
    pub rule_ref: Arc<RuleRef>,
    /// The class of its events; for a correlation, that of the first rule it refers to.
    pub class: &'static Class,
    /// Whether its matches raise alerts. Rules that a correlation refers to do not, unless it says `generate`.
    pub alerts: bool,
    /// The column of `class` whose value is the entity that findings are about.
    pub entity: Option<usize>,
    /// How long an alert stays open and takes further matches, in microseconds.
    pub alert_window: i64,
    /// Whether a correlation refers to it.
    pub(crate) referred: bool,
    pub(crate) plan: Plan,
}

#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Detection { graph: usize, root: NodeId },
    Correlation(Box<CorrelationPlan>),
}

/// A correlation with everything resolved.
#[derive(Clone, Debug)]
pub(crate) struct CorrelationPlan {
    pub(crate) kind: CorrelationKind,
    pub(crate) timespan: i64,
    pub(crate) condition: CountCondition,
    /// The rules it refers to, as positions in the rule set.
    pub(crate) rules: Vec<usize>,
    /// Name of each grouping field, and its column in the class of each rule referred to.
    pub(crate) group: Vec<(String, Vec<usize>)>,
    /// The measured column, in the class of each rule referred to.
    pub(crate) field: Option<(String, Vec<usize>)>,
    /// Hash of everything that its state depends on: its own content and that of the rules it refers to.
    pub(crate) state_key: [u8; 16],
}

impl CompiledRule {
    /// Whether it is a correlation.
    pub const fn is_correlation(&self) -> bool {
        matches!(self.plan, Plan::Correlation(_))
    }

    pub(crate) fn correlation(&self) -> Option<&CorrelationPlan> {
        match &self.plan {
            Plan::Correlation(plan) => Some(plan),
            Plan::Detection { .. } => None,
        }
    }

    /// The sentence that says what happened: the rule's summary with the placeholders filled, or its title.
    pub fn summary(&self, lookup: impl FnMut(&str) -> Option<String>) -> String {
        match &self.document.extension.summary {
            Some((template, _)) => template.render(lookup),
            None => self.document.title.clone(),
        }
    }

    /// What a correlation measures, in words: `distinct dst_port within 5m`. Empty for plain rules.
    pub fn measure_name(&self) -> String {
        let Some(plan) = self.correlation() else { return String::new() };
        let field = plan.field.as_ref().map_or("", |(name, _)| name.as_str());
        let what = match plan.kind {
            CorrelationKind::EventCount => "events".to_owned(),
            CorrelationKind::ValueCount => format!("distinct {field}"),
            CorrelationKind::ValueSum => format!("sum of {field}"),
            CorrelationKind::ValueAvg => format!("average of {field}"),
            CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => "rules matched".to_owned(),
        };
        format!("{what} within {}", crate::duration_words(plan.timespan))
    }

    /// Length of a correlation's sliding window, in microseconds.
    pub fn timespan(&self) -> Option<i64> {
        self.correlation().map(|plan| plan.timespan)
    }

    /// Names of a correlation's grouping fields.
    pub fn group_fields(&self) -> impl Iterator<Item = &str> {
        self.correlation().into_iter().flat_map(|plan| plan.group.iter().map(|(name, _)| name.as_str()))
    }

    /// The rules that a correlation refers to, as positions in the rule set. Empty for plain rules.
    pub fn referred_rules(&self) -> impl Iterator<Item = usize> {
        self.correlation().into_iter().flat_map(|plan| plan.rules.iter().copied())
    }

    /// Hash of everything that a correlation's state depends on; `None` for plain rules.
    pub fn state_key(&self) -> Option<[u8; 16]> {
        self.correlation().map(|plan| plan.state_key)
    }
}

/// Compiled rules with their shared predicates.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) rules: Vec<CompiledRule>,
    pub(crate) graphs: Vec<Graph>,
    pub(crate) exceptions: Vec<CompiledException>,
}

impl RuleSet {
    /// Compiles documents. What cannot work is told in the issues and left out: unknown fields, unmapped logsources,
    /// values that a field cannot hold, references to rules that are not there, duplicate ids.
    pub fn compile(documents: Vec<Arc<Document>>) -> (Self, Vec<Issue>) {
        compile::compile(documents)
    }

    /// A set without rules.
    pub const fn empty() -> Self {
        Self { rules: Vec::new(), graphs: Vec::new(), exceptions: Vec::new() }
    }

    /// The rules: plain ones first, each correlation after the rules it refers to.
    pub fn rules(&self) -> &[CompiledRule] {
        &self.rules
    }

    /// Number of distinct predicates, over all classes.
    pub fn predicates(&self) -> usize {
        self.graphs.iter().map(Graph::predicates).sum()
    }

    /// Tests every plain rule of the batch's class, and takes excepted rows away.
    pub fn evaluate(&self, batch: &Batch) -> Matches {
        let rows = batch.rows.num_rows();
        let mut matches = Matches { rows, masks: vec![None; self.rules.len()], ..Matches::default() };
        if rows == 0 {
            return matches;
        }
        let mut evaluators: Vec<_> = self
            .graphs
            .iter()
            .map(|g| (g.class().name == batch.class.name).then(|| g.evaluator(&batch.rows)))
            .collect();
        for (mask, rule) in matches.masks.iter_mut().zip(&self.rules) {
            if let Plan::Detection { graph, root } = rule.plan
                && let Some(evaluator) = &mut evaluators[graph]
            {
                let selected = evaluator.evaluate(root);
                *mask = (!selected.is_none()).then(|| selected.into_buffer(rows));
            }
        }
        self.except(batch, &mut evaluators, &mut matches);
        matches
    }
}

/// Which rows of a batch matched which plain rule, without those that exceptions took away.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    pub(crate) rows: usize,
    pub(crate) masks: Vec<Option<BooleanBuffer>>,
    /// Rows that a correlation must not see, by its position; empty without exceptions.
    pub(crate) hidden: Vec<Option<BooleanBuffer>>,
    /// Rows of exceptions to rules outside the set, by the exception's position.
    pub(crate) outside: Vec<(usize, BooleanBuffer)>,
    /// Rows that each exception took away; empty without exceptions.
    pub(crate) excepted: Vec<u64>,
}

impl Matches {
    /// The rows that matched a rule; `None` when there are none.
    pub fn rows(&self, rule: usize) -> Option<&BooleanBuffer> {
        self.masks.get(rule)?.as_ref()
    }

    /// The plain rules that raise alerts and matched, with their rows.
    pub fn alerting<'a>(&'a self, rules: &'a RuleSet) -> impl Iterator<Item = (usize, &'a BooleanBuffer)> {
        self.masks.iter().enumerate().filter_map(|(i, mask)| {
            let rule = rules.rules.get(i)?;
            mask.as_ref().filter(|_| rule.alerts && matches!(rule.document.body, Body::Rule(_))).map(|m| (i, m))
        })
    }

    /// Number of rows of the batch.
    pub const fn batch_rows(&self) -> usize {
        self.rows
    }
}

/// How far an event time may lie after the time of receipt: clocks differ, but a forged time must not push the
/// windows of honest events into the past.
pub const EVENT_TIME_AHEAD_MAX: i64 = 5 * Micros::MINUTE;

/// The event time of each row, in microseconds: its `time`. That of a flow is its end, because exporters report in about
/// that order, while starts lie back by as much as the exporter's active timeout. Times more
/// than [`EVENT_TIME_AHEAD_MAX`] after receipt are taken as received.
pub fn event_times(batch: &Batch) -> Vec<i64> {
    let column = |name: &str| -> Option<&TimestampMicrosecondArray> {
        batch
            .class
            .index_of(name)
            .and_then(|i| batch.rows.columns().get(i)?.as_primitive_opt::<TimestampMicrosecondType>())
    };
    let time = column("time").or_else(|| column("end")).or_else(|| column("received"));
    let received = column("received");
    (0..batch.rows.num_rows())
        .map(|row| {
            let received = received.filter(|r| r.is_valid(row)).map_or(batch.received.0, |r| r.value(row));
            let time = time.filter(|t| t.is_valid(row)).map_or(received, |t| t.value(row));
            if time > received.saturating_add(EVENT_TIME_AHEAD_MAX) { received } else { time }
        })
        .collect()
}
