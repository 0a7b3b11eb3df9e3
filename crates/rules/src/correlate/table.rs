//! The groups of one correlation of one tenant.

use guardian_model::{EventRef, Micros};
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::group::{Arrival, Group};
use super::key::{Cells, KeyHasher, append_null};
use super::window::{BUCKETS, RING, Spec};
use super::{CorrelatorLimits, CorrelatorStats};
use crate::ruleset::{CorrelationPlan, EVENT_TIME_AHEAD_MAX};

/// Share of the groups that goes when there are too many: one in so many, the least recently touched.
const EVICTED_SHARE: usize = 16;

/// Groups with their index.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Image")]
pub(crate) struct Table {
    groups: Vec<Group>,
    /// Rows taken so far.
    rows: u64,
    /// Event time up to which the table has come.
    watermark: i64,
    /// Event time of the next look for groups that have gone quiet.
    sweep_at: i64,
    /// Distinct values that all groups keep.
    values: usize,
    late_rows: u64,
    evicted_groups: u64,
    #[serde(skip)]
    index: HashTable<u32>,
    #[serde(skip)]
    hasher: KeyHasher,
    /// Number of the current step.
    #[serde(skip)]
    step: u64,
}

/// What a snapshot holds of a table.
#[derive(Deserialize)]
struct Image {
    groups: Vec<Group>,
    rows: u64,
    watermark: i64,
    sweep_at: i64,
    values: usize,
    late_rows: u64,
    evicted_groups: u64,
}

impl From<Image> for Table {
    fn from(image: Image) -> Self {
        let Image { groups, rows, watermark, sweep_at, values, late_rows, evicted_groups } = image;
        let mut table =
            Self { groups, rows, watermark, sweep_at, values, late_rows, evicted_groups, ..Self::default() };
        table.reindex();
        table
    }
}

impl CorrelationPlan {
    pub(crate) fn spec(&self, limits: &CorrelatorLimits) -> Spec {
        Spec {
            kind: self.kind,
            timespan: self.timespan,
            condition: self.condition,
            monotone: self.condition.is_monotone(),
            width: (self.timespan / BUCKETS).max(1),
            rules: self.rules.len(),
            values_max: limits.values_per_group.max(16),
        }
    }
}

/// Where the rows of one batch come from, for one of the rules that a correlation refers to.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The implicit grouping columns, whose absence is a value like any other.
    pub(crate) realm: &'a [Option<Cells<'a>>],
    /// The grouping columns; rows that lack one do not correlate.
    pub(crate) group: Vec<Cells<'a>>,
    /// The measured column.
    pub(crate) value: Option<Cells<'a>>,
}

impl Source<'_> {
    /// Writes the key of a row; `false` when it has none.
    #[inline]
    fn key(&self, row: usize, key: &mut Vec<u8>) -> bool {
        key.clear();
        for cells in self.realm {
            if !cells.as_ref().is_some_and(|c| c.append(row, key)) {
                append_null(key);
            }
        }
        self.group.iter().all(|cells| cells.append(row, key))
    }

    /// What the measure takes of a row; `None` when it takes nothing.
    #[inline]
    fn value(&self, row: usize, distinct: bool) -> Option<u64> {
        match &self.value {
            None => Some(0),
            Some(cells) if distinct => cells.identity(row),
            Some(cells) => cells.number(row),
        }
    }
}

/// A group whose condition held during the step.
#[derive(Clone, Debug)]
pub(crate) struct Firing {
    pub(crate) key: Box<[u8]>,
    pub(crate) rows: Vec<u32>,
    pub(crate) measure: f64,
    pub(crate) measure_max: f64,
    pub(crate) estimated: bool,
    pub(crate) first_seen: i64,
    pub(crate) last_seen: i64,
    pub(crate) evidence: Vec<EventRef>,
}

/// One step of a table: what does not change from row to row.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) spec: Spec,
    pub(crate) limits: &'a CorrelatorLimits,
    pub(crate) batch: u64,
    pub(crate) times: &'a [i64],
}

impl Table {
    /// Begins a step.
    pub(crate) fn begin(&mut self) {
        self.step += 1;
    }

    /// Takes a row that matched the rule with this position among those referred to.
    #[inline]
    pub(crate) fn row(
        &mut self,
        step: &Step<'_>,
        source: &Source<'_>,
        rule: u8,
        row: usize,
        key: &mut Vec<u8>,
        firings: &mut Vec<Firing>,
    ) {
        let spec = &step.spec;
        if !source.key(row, key) {
            return;
        }
        let distinct = spec.kind == crate::document::CorrelationKind::ValueCount;
        let Some(value) = source.value(row, distinct) else { return };
        let time = step.times[row];
        self.rows += 1;
        if time > self.watermark {
            self.watermark = time;
            self.sweep(spec);
        }
        let at = self.find_or_insert(step, key, time);
        let event = EventRef { batch: step.batch, row: row as u32 };
        let group = &mut self.groups[at];
        group.touched = self.rows;
        let before = group.values();
        if !group.insert(spec, &Arrival { time, value, rule, event }) {
            self.late_rows += 1;
            return;
        }
        self.values = self.values + group.values() - before;
        if let Some(measure) = group.held(spec, time) {
            let known = group.firing.filter(|(number, _)| *number == self.step).map(|(_, at)| at as usize);
            let at = known.unwrap_or_else(|| {
                group.firing = Some((self.step, firings.len() as u32));
                firings.push(Firing {
                    key: group.key.clone(),
                    rows: Vec::new(),
                    measure: 0.0,
                    measure_max: f64::MIN,
                    estimated: false,
                    first_seen: group.first_seen(spec, time),
                    last_seen: time,
                    evidence: group.evidence(),
                });
                firings.len() - 1
            });
            let firing = &mut firings[at];
            // Several rules may match one row; the condition held after it once.
            if firing.rows.last() != Some(&(row as u32)) {
                firing.rows.push(row as u32);
            }
            firing.measure = measure.value;
            firing.measure_max = firing.measure_max.max(measure.value);
            firing.estimated |= measure.estimated;
            firing.last_seen = firing.last_seen.max(time);
        }
        if self.values > step.limits.values_per_rule {
            self.evict_values(step.limits.values_per_rule);
        }
    }

    /// Ends a step: the evidence of what fired, as it stands now.
    pub(crate) fn finish(&self, firings: &mut [Firing]) {
        for firing in firings {
            let hash = self.hasher.hash(&firing.key);
            if let Some(at) = self.index.find(hash, |at| self.groups[*at as usize].key == firing.key) {
                firing.evidence = self.groups[*at as usize].evidence();
            }
        }
    }

    fn find_or_insert(&mut self, step: &Step<'_>, key: &[u8], time: i64) -> usize {
        let hash = self.hasher.hash(key);
        if let Some(at) = self.index.find(hash, |at| *self.groups[*at as usize].key == *key) {
            return *at as usize;
        }
        if self.groups.len() >= step.limits.groups_per_rule() {
            self.evict(self.groups.len() / EVICTED_SHARE + 1);
        }
        let at = self.groups.len();
        self.groups.push(Group::new(&step.spec, key, time));
        let (groups, hasher) = (&self.groups, &self.hasher);
        self.index.insert_unique(hash, at as u32, |at| hasher.hash(&groups[*at as usize].key));
        at
    }

    /// Forgets groups that no row in time can reach any more. The moments of looking depend on event time alone, so
    /// that they are the same however rows are cut into batches. Forged times may run ahead of honest ones by
    /// [`EVENT_TIME_AHEAD_MAX`]; groups outlive that.
    fn sweep(&mut self, spec: &Spec) {
        if self.watermark < self.sweep_at {
            return;
        }
        self.sweep_at = self.watermark.saturating_add((spec.timespan / 4).max(Micros::SECOND));
        let horizon = self.watermark.saturating_sub(spec.width * RING + 2 * EVENT_TIME_AHEAD_MAX);
        let before = self.groups.len();
        self.groups.retain(|g| g.head >= horizon);
        if self.groups.len() < before {
            self.reindex();
        }
    }

    /// Drops that many groups, the least recently touched first.
    pub(crate) fn evict(&mut self, excess: usize) {
        let excess = excess.min(self.groups.len());
        if excess == 0 {
            return;
        }
        let mut touched: Vec<u64> = self.groups.iter().map(|g| g.touched).collect();
        let (_, limit, _) = touched.select_nth_unstable(excess - 1);
        let limit = *limit;
        let before = self.groups.len();
        self.groups.retain(|g| g.touched > limit);
        self.evicted_groups += (before - self.groups.len()) as u64;
        self.reindex();
    }

    fn evict_values(&mut self, limit: usize) {
        let mut groups: Vec<(u64, usize)> = self.groups.iter().map(|g| (g.touched, g.values())).collect();
        groups.sort_unstable();
        let (mut values, mut excess) = (self.values, 0);
        for (_, kept) in groups.iter().take(groups.len().saturating_sub(1)) {
            if values <= limit - limit / EVICTED_SHARE {
                break;
            }
            values -= kept;
            excess += 1;
        }
        self.evict(excess);
    }

    fn reindex(&mut self) {
        let (groups, hasher) = (&self.groups, &self.hasher);
        self.index.clear();
        self.index.reserve(groups.len(), |at| hasher.hash(&groups[*at as usize].key));
        for (at, group) in groups.iter().enumerate() {
            let rehash = |at: &u32| hasher.hash(&groups[*at as usize].key);
            self.index.insert_unique(hasher.hash(&group.key), at as u32, rehash);
        }
        self.values = groups.iter().map(Group::values).sum();
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn add_stats(&self, stats: &mut CorrelatorStats) {
        stats.groups += self.groups.len();
        stats.values += self.values;
        stats.rows += self.rows;
        stats.late_rows += self.late_rows;
        stats.evicted_groups += self.evicted_groups;
        // A group holds its key, up to 20 evidence rows and, when it is large, its rings; a value takes 25 bytes and
        // the free space of its table.
        stats.bytes += self.groups.len() * (size_of::<Group>() + 160) + self.values * 40;
    }

    /// Takes what another shard has seen.
    pub(crate) fn merge(&mut self, spec: &Spec, other: Self, limits: &CorrelatorLimits) {
        self.watermark = self.watermark.max(other.watermark);
        self.late_rows += other.late_rows;
        self.evicted_groups += other.evicted_groups;
        self.rows += other.rows;
        for mut group in other.groups {
            // The other's steps are not ours.
            group.firing = None;
            let hash = self.hasher.hash(&group.key);
            if let Some(at) = self.index.find(hash, |at| self.groups[*at as usize].key == group.key) {
                let at = *at as usize;
                self.groups[at].merge(spec, group);
            } else {
                let at = self.groups.len() as u32;
                self.groups.push(group);
                let (groups, hasher) = (&self.groups, &self.hasher);
                self.index.insert_unique(hash, at, |at| hasher.hash(&groups[*at as usize].key));
            }
        }
        self.values = self.groups.iter().map(Group::values).sum();
        let excess = self.groups.len().saturating_sub(limits.groups_per_rule());
        self.evict(excess);
    }
}
