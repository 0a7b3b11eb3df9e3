//! One group of a correlation: its window, and which rows were behind it.

use std::collections::VecDeque;

use guardian_model::EventRef;
use serde::{Deserialize, Serialize};

use super::order::Order;
use super::window::{Measure, Spec, Window};

/// Evidence rows kept from the start of a group's window.
pub const EVIDENCE_FIRST_MAX: usize = 10;
/// Evidence rows kept from the end of a group's window.
pub const EVIDENCE_LAST_MAX: usize = 10;

/// The state of one group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    /// The encoded grouping values.
    pub(crate) key: Box<[u8]>,
    /// Number of the table's last row that touched it: the least recent ones go first when there are too many.
    pub(crate) touched: u64,
    /// The newest event time.
    pub(crate) head: i64,
    /// Where its current activity began: nothing longer than a timespan lay between any two rows since.
    since: i64,
    state: State,
    evidence: Evidence,
    /// Position in the firings of the current step, where it has one, and the step's number.
    #[serde(skip)]
    pub(crate) firing: Option<(u64, u32)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    Window(Window),
    Order(Order),
}

/// A row on its way into a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) time: i64,
    pub(crate) value: u64,
    /// Position of the rule that matched, among those that the correlation refers to.
    pub(crate) rule: u8,
    pub(crate) event: EventRef,
}

impl Group {
    pub(crate) fn new(spec: &Spec, key: &[u8], first: i64) -> Self {
        let state = if spec.kind.is_temporal() { State::Order(Order::default()) } else { State::Window(Window::new()) };
        Self {
            key: key.into(),
            touched: 0,
            head: first,
            since: first,
            state,
            evidence: Evidence::default(),
            firing: None,
        }
    }

    /// Takes a row; tells whether it came in time.
    #[inline]
    pub(crate) fn insert(&mut self, spec: &Spec, row: &Arrival) -> bool {
        let time = row.time;
        if spec.is_late(self.head, time) {
            return false;
        }
        if time > self.head {
            if time - self.head > spec.timespan {
                self.since = time;
                self.evidence.clear();
            } else if time.div_euclid(spec.width) != self.head.div_euclid(spec.width) {
                self.evidence.forget_before(time - spec.timespan);
            }
            self.head = time;
        } else if time < self.since && self.since - time <= spec.timespan {
            self.since = time;
        }
        match &mut self.state {
            State::Window(window) => window.insert(spec, self.head, time, row.value),
            State::Order(order) => order.insert(spec, self.head, time, row.rule),
        }
        self.evidence.push(row, spec.rules);
        true
    }

    /// The measure of the windows around a row that was just taken, if the condition holds.
    #[inline]
    pub(crate) fn held(&self, spec: &Spec, time: i64) -> Option<Measure> {
        match &self.state {
            State::Window(window) => window.held(spec, time),
            State::Order(order) => order.held(spec, time),
        }
    }

    pub(crate) fn first_seen(&self, spec: &Spec, time: i64) -> i64 {
        self.since.max(time - spec.timespan).min(time)
    }

    pub(crate) fn evidence(&self) -> Vec<EventRef> {
        self.evidence.rows()
    }

    /// Number of distinct values that it keeps.
    pub(crate) fn values(&self) -> usize {
        match &self.state {
            State::Window(window) => window.values(),
            State::Order(_) => 0,
        }
    }

    /// Takes what another shard has seen of the same group.
    pub(crate) fn merge(&mut self, spec: &Spec, other: Self) {
        self.head = self.head.max(other.head);
        self.since = self.since.min(other.since);
        match (&mut self.state, other.state) {
            (State::Window(mine), State::Window(theirs)) => mine.merge(spec, theirs, self.head),
            (State::Order(mine), State::Order(theirs)) => mine.merge(spec, theirs, self.head),
            // Groups of one correlation are all of one kind.
            _ => {}
        }
        self.evidence.merge(other.evidence, spec.rules);
    }
}

/// The first rows of the window and the last ones, with their event times and rules.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Evidence {
    first: Vec<Kept>,
    last: VecDeque<Kept>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    time: i64,
    batch: u64,
    row: u32,
    rule: u8,
}

impl Kept {
    const fn event(&self) -> EventRef {
        EventRef { batch: self.batch, row: self.row }
    }
}

impl Evidence {
    fn clear(&mut self) {
        self.first.clear();
        self.last.clear();
    }

    fn forget_before(&mut self, time: i64) {
        self.first.retain(|k| k.time >= time);
    }

    /// Keeps a row. Each of several rules has its share, so that a flood of one does not hide the other.
    #[inline]
    fn push(&mut self, row: &Arrival, rules: usize) {
        let EventRef { batch, row: number } = row.event;
        self.keep(Kept { time: row.time, batch, row: number, rule: row.rule }, rules);
    }

    fn keep(&mut self, kept: Kept, rules: usize) {
        let share = |max: usize| (max / rules.max(1)).max(1);
        let of_rule = |k: &&Kept| k.rule == kept.rule;
        if self.first.len() < EVIDENCE_FIRST_MAX
            && (rules == 1 || self.first.iter().filter(of_rule).count() < share(EVIDENCE_FIRST_MAX))
        {
            if self.first.capacity() == 0 {
                self.first.reserve_exact(1);
            }
            self.first.push(kept);
            return;
        }
        if rules > 1 && self.last.iter().filter(of_rule).count() >= share(EVIDENCE_LAST_MAX) {
            if let Some(oldest) = self.last.iter().position(|k| k.rule == kept.rule) {
                self.last.remove(oldest);
            }
        } else if self.last.len() == EVIDENCE_LAST_MAX {
            self.last.pop_front();
        }
        self.last.push_back(kept);
    }

    fn rows(&self) -> Vec<EventRef> {
        let mut rows: Vec<_> = self.first.iter().chain(&self.last).map(Kept::event).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn merge(&mut self, other: Self, rules: usize) {
        let mut all: Vec<Kept> = [&self.first, &other.first].into_iter().flatten().copied().collect();
        all.extend(self.last.iter().chain(&other.last));
        all.sort_by_key(Kept::event);
        all.dedup();
        self.clear();
        for kept in all {
            self.keep(kept, rules);
        }
    }
}
