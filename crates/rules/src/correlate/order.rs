//! Temporal correlations of one group: which rules matched within one timespan, and in which order.
//!
//! Of each rule only the first and the last match of each bucket (one sixteenth of the timespan) are kept, with their
//! exact times: that decides every window, and keeps a flood of one rule's matches small.

use serde::{Deserialize, Serialize};

use super::window::{Measure, Spec};
use crate::document::CorrelationKind;

/// The matches of a group, by time and then rule.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    matches: Vec<(i64, u8)>,
}

/// Matches after which those that left all windows are dropped.
const PRUNE: usize = 64;

impl Order {
    /// Takes a match that is not too late; `head` is the newest time of the group, this one included.
    pub(crate) fn insert(&mut self, spec: &Spec, head: i64, time: i64, rule: u8) {
        if self.matches.len() >= PRUNE {
            let from = self.matches.partition_point(|(t, _)| *t < head - spec.memory());
            self.matches.drain(..from);
        }
        let start = time.div_euclid(spec.width) * spec.width;
        let from = self.matches.partition_point(|(t, _)| *t < start);
        let until = from + self.matches[from..].partition_point(|(t, _)| *t < start + spec.width);
        let mut same = (from..until).filter(|i| self.matches[*i].1 == rule);
        if let (Some(first), Some(last)) = (same.next(), same.next_back()) {
            let (earliest, latest) = (self.matches[first].0, self.matches[last].0);
            if (earliest..=latest).contains(&time) {
                return;
            }
            self.matches.remove(if time < earliest { first } else { last });
        }
        let at = self.matches.partition_point(|m| *m < (time, rule));
        self.matches.insert(at, (time, rule));
    }

    /// The number of rules that matched in a window around `time`, if the condition holds.
    pub(crate) fn held(&self, spec: &Spec, time: i64) -> Option<Measure> {
        let from = self.matches.partition_point(|(t, _)| *t < time - spec.timespan);
        let until = self.matches.partition_point(|(t, _)| *t <= time + spec.timespan);
        let near = &self.matches[from..until];
        let rules = if spec.kind == CorrelationKind::TemporalOrdered {
            longest_chain(spec, near, time)
        } else {
            most_rules(spec, near, time)
        };
        let value = rules as f64;
        spec.condition.holds(value).then_some(Measure { value, estimated: false })
    }

    pub(crate) fn merge(&mut self, spec: &Spec, other: Self, head: i64) {
        for (time, rule) in other.matches.into_iter().filter(|(t, _)| !spec.is_late(head, *t)) {
            self.insert(spec, head, time, rule);
        }
    }
}

/// The most distinct rules in one window that holds `time`.
fn most_rules(spec: &Spec, near: &[(i64, u8)], time: i64) -> usize {
    let mut most = 0;
    for (i, (end, _)) in near.iter().enumerate().rev().take_while(|(_, (t, _))| *t >= time) {
        let mut rules = 0_u32;
        for (_, rule) in near[..=i].iter().rev().take_while(|(t, _)| end - t <= spec.timespan) {
            rules |= 1 << rule;
            if rules.count_ones() as usize == spec.rules {
                return spec.rules;
            }
        }
        most = most.max(rules.count_ones() as usize);
    }
    most
}

/// The longest beginning of the list of rules that matched in order, within one window that holds `time`.
fn longest_chain(spec: &Spec, near: &[(i64, u8)], time: i64) -> usize {
    // For each length, the latest start of a chain of that length so far: a later start reaches further.
    let mut starts: [Option<i64>; 32] = [None; 32];
    let mut longest = 0;
    for &(t, rule) in near {
        let rule = usize::from(rule);
        let start = if rule == 0 { Some(t) } else { starts[rule - 1] };
        let Some(start) = start.filter(|s| t - s <= spec.timespan) else { continue };
        starts[rule] = starts[rule].max(Some(start));
        if t.max(time) - start.min(time) <= spec.timespan {
            longest = longest.max(rule + 1);
        }
    }
    longest
}
