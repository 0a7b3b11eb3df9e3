//! Testing rules: runs a rule set over given batches with an engine of its own and says what each rule matched. For
//! `guardian rules test`, the API's "test against history" and our own fixtures.

use std::collections::BTreeMap;
use std::sync::Arc;

use guardian_model::{AlertKey, AlertState, Batch, Finding};
use guardian_rules::{Issue, RuleSet, parse};
use serde::Serialize;

use crate::Output;
use crate::config::DetectConfig;
use crate::engine::Engine;
use crate::stats::RuleKind;

/// What one rule did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleOutcome {
    /// Id of the rule or detector.
    pub id: String,
    /// Title.
    pub title: String,
    /// What sort of rule it is.
    pub kind: RuleKind,
    /// Rows that matched; for a correlation, rows that it counts.
    pub matched: u64,
    /// Rows after which the condition held.
    pub firings: u64,
    /// Its alerts as they stood at the end, oldest window first.
    pub alerts: Vec<AlertState>,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Rows looked at.
    pub rows: u64,
    /// Every rule and detector, also those that did nothing.
    pub rules: Vec<RuleOutcome>,
    /// All findings in order.
    pub findings: Vec<Finding>,
}

impl Outcome {
    /// The alerts of one rule; empty when there is no such rule.
    pub fn alerts(&self, rule_id: &str) -> &[AlertState] {
        self.rules.iter().find(|r| r.id == rule_id).map_or(&[], |r| &r.alerts)
    }

    /// Ids of the rules that raised alerts, in order.
    pub fn fired(&self) -> Vec<&str> {
        self.rules.iter().filter(|r| !r.alerts.is_empty()).map(|r| r.id.as_str()).collect()
    }
}

/// Runs rules and detectors over batches with consecutive ids from 1.
pub fn run(config: DetectConfig, rules: Arc<RuleSet>, batches: impl IntoIterator<Item = Batch>) -> Outcome {
    run_with(&mut Engine::new(config, rules), batches.into_iter().zip(1..).map(|(b, id)| (id, b)))
}

/// Runs batches through an engine, which may already hold state, and tells everything that changed.
pub fn run_with(engine: &mut Engine, batches: impl IntoIterator<Item = (u64, Batch)>) -> Outcome {
    let mut alerts: BTreeMap<AlertKey, AlertState> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut take = |out: Output| {
        for state in out.findings.iter().map(|f| &f.alert).chain(&out.updates) {
            let known = alerts.get(&state.key).is_some_and(|a| a.count > state.count);
            if !known {
                alerts.insert(state.key, state.clone());
            }
        }
        findings.extend(out.findings);
    };
    for (id, batch) in batches {
        take(engine.process(id, &batch));
    }
    take(engine.flush());
    let stats = engine.stats();
    let mut rules: Vec<RuleOutcome> = stats
        .rules
        .into_iter()
        .map(|r| RuleOutcome {
            id: r.id,
            title: r.title,
            kind: r.kind,
            matched: r.matched,
            firings: r.firings,
            alerts: Vec::new(),
        })
        .collect();
    for alert in alerts.into_values() {
        if let Some(rule) = rules.iter_mut().find(|r| r.id == alert.rule.id) {
            rule.alerts.push(alert);
        }
    }
    for rule in &mut rules {
        rule.alerts.sort_by_key(|a| (a.window_start, a.key));
    }
    Outcome { rows: stats.rows, rules, findings }
}

/// Parses and compiles rule texts. Issues of parsing and compiling come together, with their document numbers counted
/// per text.
pub fn compile<'a>(texts: impl IntoIterator<Item = &'a str>) -> (RuleSet, Vec<Issue>) {
    let (mut documents, mut issues) = (Vec::new(), Vec::new());
    for text in texts {
        let parsed = parse(text);
        documents.extend(parsed.documents);
        issues.extend(parsed.issues);
    }
    let (rules, more) = RuleSet::compile(documents);
    issues.extend(more);
    (rules, issues)
}
