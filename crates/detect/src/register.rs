//! The register of rules and detectors: small numbers that stay the same while a rule's content does, so that state
//! keyed by number survives a swap of the rule set. Knows names and counters, never rows.

use std::sync::Arc;

use guardian_model::Micros;
use guardian_rules::{RuleSet, Template};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::config::DetectConfig;
use crate::detectors::Descriptor;
use crate::grouping::RuleInfo;

/// What is counted for each rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) matched: u64,
    pub(crate) firings: u64,
    pub(crate) last_match: Option<Micros>,
}

/// What sort of rule a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// A Sigma rule over single rows.
    Rule,
    /// A Sigma correlation.
    Correlation,
    /// A behavioural detector.
    Detector,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: RuleKind,
    pub(crate) live: bool,
    pub(crate) counters: Counters,
}

/// The register. `infos` and `entries` have the same positions.
#[derive(Debug, Default)]
pub(crate) struct Register {
    pub(crate) infos: Vec<RuleInfo>,
    pub(crate) entries: Vec<Entry>,
    numbers: HashMap<(String, String), u32>,
}

impl Register {
    /// The number of a rule by id and hash.
    pub(crate) fn number(&self, id: &str, hash: &str) -> Option<u32> {
        self.numbers.get(&(id.to_owned(), hash.to_owned())).copied()
    }

    fn enter(&mut self, info: RuleInfo, kind: RuleKind) -> u32 {
        let key = (info.reference.id.clone(), info.reference.hash.clone());
        if let Some(&number) = self.numbers.get(&key) {
            self.entries[number as usize].live = true;
            self.infos[number as usize] = info;
            return number;
        }
        let entry = Entry { kind, live: true, counters: Counters::default() };
        let gone = self.entries.iter().position(|e| !e.live);
        let number = gone.unwrap_or(self.entries.len());
        if gone.is_some() {
            self.numbers.retain(|_, n| *n as usize != number);
            (self.entries[number], self.infos[number]) = (entry, info);
        } else {
            self.entries.push(entry);
            self.infos.push(info);
        }
        self.numbers.insert(key, number as u32);
        number as u32
    }

    /// Strikes every Sigma rule off; their numbers may be given to others from the next [`Self::enter_rules`] but one
    /// on, and at once to themselves.
    pub(crate) fn enter_rules(&mut self, rules: &RuleSet) -> Vec<u32> {
        let known: Vec<_> = rules.rules().iter().map(|r| self.number(&r.rule_ref.id, &r.rule_ref.hash)).collect();
        for (number, entry) in self.entries.iter_mut().enumerate() {
            entry.live = entry.kind == RuleKind::Detector || known.contains(&Some(number as u32));
        }
        let enter = |r: &guardian_rules::CompiledRule| {
            let info = RuleInfo {
                reference: Arc::clone(&r.rule_ref),
                alert_window: r.alert_window,
                summary: r.document.extension.summary.as_ref().map(|(t, _)| t.clone()),
            };
            let kind = if r.is_correlation() { RuleKind::Correlation } else { RuleKind::Rule };
            self.enter(info, kind)
        };
        rules.rules().iter().map(enter).collect()
    }

    /// Enters a detector.
    pub(crate) fn enter_detector(&mut self, descriptor: &Descriptor, config: &DetectConfig) -> u32 {
        let info = RuleInfo {
            reference: Arc::new(descriptor.rule_ref(config)),
            alert_window: descriptor.alert_window,
            summary: Template::parse(descriptor.summary).ok(),
        };
        self.enter(info, RuleKind::Detector)
    }

    /// Counts matching rows of a rule.
    pub(crate) fn matched(&mut self, number: u32, rows: usize, last: i64) {
        let counters = &mut self.entries[number as usize].counters;
        counters.matched += rows as u64;
        counters.last_match = counters.last_match.max(Some(Micros(last)));
    }

    /// Counts rows after which a rule's condition held.
    pub(crate) fn fired(&mut self, number: u32, rows: usize) {
        self.entries[number as usize].counters.firings += rows as u64;
    }
}
