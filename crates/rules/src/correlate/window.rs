//! Sliding windows of one group, on event time.
//!
//! Up to [`FEW_MAX`] rows are kept as they are, and windows over them are exact to the microsecond: rows belong
//! together when they are at most one timespan apart. A group with more rows counts in buckets of one sixteenth of
//! the timespan; its windows are sixteen buckets long and so cover between 15/16 and 16/16 of the timespan, never
//! more. For every window that a late row may still belong to, the measure is kept up to date, so that a row costs
//! sixteen additions whatever the window holds, and late rows count where they belong.

use serde::{Deserialize, Serialize};

use super::values::Values;
use crate::document::{CorrelationKind, CountCondition};

/// Buckets of a timespan: the resolution of large groups.
pub const BUCKETS: i64 = 16;
/// Windows that are kept: those that end up to 48 buckets before the newest row, and up to 15 after it.
pub(crate) const RING: i64 = 64;
/// A row that is this many buckets (three timespans) or more older than the newest of its group is dropped.
pub(crate) const LATE_BUCKETS: i64 = RING - BUCKETS;
/// Rows that a group keeps exactly.
pub(crate) const FEW_MAX: usize = 16;

/// What a correlation measures and asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) kind: CorrelationKind,
    pub(crate) timespan: i64,
    pub(crate) condition: CountCondition,
    /// Whether the condition has no upper bound.
    pub(crate) monotone: bool,
    /// Length of a bucket.
    pub(crate) width: i64,
    /// Number of rules referred to.
    pub(crate) rules: usize,
    /// Distinct values that a group counts exactly.
    pub(crate) values_max: usize,
}

impl Spec {
    /// Whether a row is too late, given the newest time of its group.
    pub(crate) const fn is_late(&self, head: i64, time: i64) -> bool {
        time < head && time.div_euclid(self.width) <= head.div_euclid(self.width) - LATE_BUCKETS
    }

    /// Whether no window over so few rows can satisfy the condition.
    fn needs_more_rows(&self, rows: usize) -> bool {
        matches!(self.kind, CorrelationKind::EventCount | CorrelationKind::ValueCount)
            && self.monotone
            && !self.condition.holds(rows as f64)
    }

    /// How long after its newest row a group still matters.
    pub(crate) const fn memory(&self) -> i64 {
        self.width * RING
    }
}

/// A measure for which the condition holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measure {
    pub(crate) value: f64,
    pub(crate) estimated: bool,
}

/// The rows of a group, few or many. Temporal correlations have their own, see [`super::order`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Window {
    Few(Vec<Row>),
    Many(Box<Many>),
}

/// A row as the measure sees it: a number to add up, or the identity of a value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    time: i64,
    value: u64,
}

/// Per window (slot = number of its last bucket, modulo [`RING`]): rows or distinct values, and sums.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Many {
    /// The newest bucket.
    head: i64,
    counts: Box<[u64]>,
    sums: Option<Box<[u64]>>,
    values: Option<Values>,
}

impl Window {
    pub(crate) const fn new() -> Self {
        Self::Few(Vec::new())
    }

    /// Takes a row that is not too late; `head` is the newest time of the group, this row's included.
    pub(crate) fn insert(&mut self, spec: &Spec, head: i64, time: i64, value: u64) {
        match self {
            Self::Few(rows) => {
                if rows.len() == FEW_MAX {
                    rows.retain(|r| r.time >= head - spec.memory());
                }
                if rows.len() < FEW_MAX {
                    rows.push(Row { time, value });
                    return;
                }
                let mut many = Box::new(Many::new(spec, head.div_euclid(spec.width)));
                for row in rows.iter() {
                    many.insert(spec, row.time.div_euclid(spec.width), row.value);
                }
                many.insert(spec, time.div_euclid(spec.width), value);
                *self = Self::Many(many);
            }
            Self::Many(many) => {
                let bucket = time.div_euclid(spec.width);
                if bucket >= many.head + RING {
                    // Everything else has left the ring.
                    *self = Self::Few(vec![Row { time, value }]);
                } else {
                    many.insert(spec, bucket, value);
                }
            }
        }
    }

    /// The highest measure for which the condition holds, over all windows that hold a row at `time`.
    pub(crate) fn held(&self, spec: &Spec, time: i64) -> Option<Measure> {
        match self {
            // Most groups are far below the threshold, which their number of rows tells already.
            Self::Few(rows) if spec.needs_more_rows(rows.len()) => None,
            Self::Few(rows) => rows
                .iter()
                .map(|r| r.time)
                .filter(|end| *end >= time && *end - time <= spec.timespan)
                .map(|end| few_measure(spec, rows, end))
                .filter(|m| spec.condition.holds(*m))
                .max_by(f64::total_cmp)
                .map(|value| Measure { value, estimated: false }),
            Self::Many(many) => many.held(spec, time.div_euclid(spec.width)),
        }
    }

    /// Number of values that it keeps.
    pub(crate) fn values(&self) -> usize {
        match self {
            Self::Many(many) => many.values.as_ref().map_or(0, Values::len),
            Self::Few(_) => 0,
        }
    }

    /// Takes what another shard has seen of the same group.
    pub(crate) fn merge(&mut self, spec: &Spec, other: Self, head: i64) {
        match (&mut *self, other) {
            (_, Self::Few(rows)) => {
                for row in rows.into_iter().filter(|r| !spec.is_late(head, r.time)) {
                    self.insert(spec, head, row.time, row.value);
                }
            }
            (Self::Few(_), mut other @ Self::Many(_)) => {
                std::mem::swap(self, &mut other);
                self.merge(spec, other, head);
            }
            (Self::Many(a), Self::Many(b)) => a.merge(spec, *b),
        }
    }
}

fn few_measure(spec: &Spec, rows: &[Row], end: i64) -> f64 {
    let inside = || rows.iter().filter(|r| r.time <= end && end - r.time <= spec.timespan);
    let sum = || inside().fold(0_u64, |s, r| s.saturating_add(r.value)) as f64;
    match spec.kind {
        CorrelationKind::ValueCount => {
            let first = |(i, r): (usize, &Row)| !inside().take(i).any(|p| p.value == r.value);
            inside().enumerate().filter(|(i, r)| first((*i, r))).count() as f64
        }
        CorrelationKind::ValueSum => sum(),
        CorrelationKind::ValueAvg => sum() / inside().count().max(1) as f64,
        _ => inside().count() as f64,
    }
}

impl Many {
    fn new(spec: &Spec, head: i64) -> Self {
        let zeros = || vec![0; RING as usize].into_boxed_slice();
        Self {
            head,
            counts: zeros(),
            sums: matches!(spec.kind, CorrelationKind::ValueSum | CorrelationKind::ValueAvg).then(zeros),
            values: (spec.kind == CorrelationKind::ValueCount).then(Values::default),
        }
    }

    /// Moves on to a newer bucket: the windows that come into sight are empty but for what reaches into them already.
    fn advance(&mut self, bucket: i64) {
        let first = (self.head + BUCKETS).max(bucket + BUCKETS - RING);
        for window in first..bucket + BUCKETS {
            let slot = slot(window);
            self.counts[slot] = 0;
            if let Some(sums) = &mut self.sums {
                sums[slot] = 0;
            }
        }
        self.head = bucket;
    }

    fn insert(&mut self, spec: &Spec, bucket: i64, value: u64) {
        if bucket > self.head {
            self.advance(bucket);
        } else if bucket <= self.head - LATE_BUCKETS {
            return;
        }
        if let Some(values) = &mut self.values {
            values.insert(value, bucket, self.head, spec.values_max, &mut self.counts);
            return;
        }
        add(&mut self.counts, bucket, bucket + BUCKETS - 1, 1);
        if let Some(sums) = &mut self.sums {
            add(sums, bucket, bucket + BUCKETS - 1, value);
        }
    }

    fn measure(&self, spec: &Spec, window: i64) -> f64 {
        let slot = slot(window);
        let count = self.counts[slot];
        match (&self.sums, &self.values) {
            (Some(sums), _) if spec.kind == CorrelationKind::ValueAvg => sums[slot] as f64 / count.max(1) as f64,
            (Some(sums), _) => sums[slot] as f64,
            (_, Some(values)) => (count << values.level()) as f64,
            _ => count as f64,
        }
    }

    fn held(&self, spec: &Spec, bucket: i64) -> Option<Measure> {
        let value = (bucket..=(bucket + BUCKETS - 1).min(self.head))
            .map(|window| self.measure(spec, window))
            .filter(|m| spec.condition.holds(*m))
            .max_by(f64::total_cmp)?;
        Some(Measure { value, estimated: self.values.as_ref().is_some_and(|v| v.level() > 0) })
    }

    fn merge(&mut self, spec: &Spec, mut other: Self) {
        let head = self.head.max(other.head);
        for side in [&mut *self, &mut other] {
            if side.head + RING <= head {
                *side = Self::new(spec, head);
            } else if side.head < head {
                side.advance(head);
            }
        }
        if let (Some(mine), Some(theirs)) = (&mut self.values, other.values) {
            mine.merge(theirs, head, spec.values_max, &mut self.counts);
            return;
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        if let (Some(mine), Some(theirs)) = (&mut self.sums, &other.sums) {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine = mine.saturating_add(*theirs);
            }
        }
    }
}

pub(crate) const fn slot(window: i64) -> usize {
    (window & (RING - 1)) as usize
}

/// Adds to the windows from the first to the last, both included; at most [`RING`] of them.
#[inline]
pub(crate) fn add(ring: &mut [u64], first: i64, last: i64, amount: u64) {
    if first > last {
        return;
    }
    let (from, length) = (slot(first), (last - first + 1) as usize);
    let wrap = (from + length).saturating_sub(RING as usize);
    let (head, tail) = ring.split_at_mut(from);
    for window in &mut tail[..length - wrap] {
        *window = window.saturating_add(amount);
    }
    for window in &mut head[..wrap] {
        *window = window.saturating_add(amount);
    }
}
