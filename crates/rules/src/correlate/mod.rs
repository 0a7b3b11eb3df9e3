//! Correlations: sliding windows on event time, per tenant, rule and group.
//!
//! State is explicit, bounded, serialisable and mergeable. Rows are taken one by one in the order of the batch, and
//! nothing depends on where a batch ends; the one exception is [`CorrelatorLimits::groups`], which is enforced over
//! all correlations at the end of a step. This module must never read a clock: time is what the events say.

mod fired;
mod group;
mod key;
mod order;
mod table;
mod values;
mod window;

use std::collections::BTreeMap;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use guardian_model::{Batch, Micros, TenantId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use fired::Fired;
pub use group::{EVIDENCE_FIRST_MAX, EVIDENCE_LAST_MAX};
use key::{Cells, decode};
use table::{Firing, Source, Step, Table};
pub use window::BUCKETS;

use crate::ruleset::{CorrelationPlan, Matches, RuleSet, event_times};

/// Columns by which every correlation groups, whatever it says: private addresses overlap between sites, and replayed
/// rows must not complete what live ones began.
const REALM: [&str; 2] = ["site", "replay"];

/// Bounds of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrelatorLimits {
    /// Most groups of all correlations together; one correlation has at most half of them. Beyond, the least recently
    /// touched go.
    pub groups: usize,
    /// Distinct values that a group counts exactly; beyond, it estimates from a sample of that size.
    pub values_per_group: usize,
    /// Distinct values that all groups of a correlation keep together; beyond, the least recently touched groups go.
    pub values_per_rule: usize,
}

impl Default for CorrelatorLimits {
    fn default() -> Self {
        Self { groups: 200_000, values_per_group: 8192, values_per_rule: 1_000_000 }
    }
}

impl CorrelatorLimits {
    fn groups_per_rule(&self) -> usize {
        (self.groups / 2).max(16)
    }
}

/// Figures of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrelatorStats {
    /// Correlations with state.
    pub tables: usize,
    /// Groups.
    pub groups: usize,
    /// Distinct values that groups keep.
    pub values: usize,
    /// Rows taken.
    pub rows: u64,
    /// Rows that came more than three timespans after the newest of their group and were not counted.
    pub late_rows: u64,
    /// Groups dropped because there were too many.
    pub evicted_groups: u64,
    /// Memory, estimated.
    pub bytes: usize,
}

/// The state of all correlations. Serialising it is the snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Correlator {
    limits: CorrelatorLimits,
    #[serde(serialize_with = "tables_as_list", deserialize_with = "tables_of_list")]
    tables: Tables,
}

/// Tables by tenant and by the hash of everything that their state depends on.
type Tables = BTreeMap<(TenantId, [u8; 16]), Table>;

/// Not every format has maps whose keys are not text.
fn tables_as_list<S: Serializer>(tables: &Tables, s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(tables.iter().map(|((tenant, key), table)| (tenant, key, table)))
}

fn tables_of_list<'de, D: Deserializer<'de>>(d: D) -> Result<Tables, D::Error> {
    let list = Vec::<(TenantId, [u8; 16], Table)>::deserialize(d)?;
    Ok(list.into_iter().map(|(tenant, key, table)| ((tenant, key), table)).collect())
}

impl Correlator {
    /// Without any state.
    pub const fn new(limits: CorrelatorLimits) -> Self {
        Self { limits, tables: Tables::new() }
    }

    /// Takes a batch and what matched in it; tells where conditions held. `matches` must be of this rule set and
    /// batch. Rows without a grouping value do not correlate.
    pub fn step(&mut self, rules: &RuleSet, batch_id: u64, batch: &Batch, matches: &Matches) -> Vec<Fired> {
        let mut fired = Vec::new();
        let mut times: Option<Vec<i64>> = None;
        let realm =
            REALM.map(|name| batch.class.index_of(name).and_then(|i| batch.rows.columns().get(i)).map(Cells::new));
        // What correlations held after, for correlations that refer to them.
        let mut held: Vec<Option<BooleanBuffer>> = vec![None; rules.rules.len()];
        for (position, rule) in rules.rules.iter().enumerate() {
            let Some(plan) = rule.correlation() else { continue };
            let rows = |base: &usize| matches.rows(*base).or(held[*base].as_ref()).cloned();
            let seen: Vec<_> =
                plan.rules.iter().map(|base| rows(base).and_then(|rows| matches.seen(position, rows))).collect();
            let masks: Vec<_> = seen.iter().map(Option::as_ref).collect();
            if masks.iter().all(Option::is_none) {
                continue;
            }
            let times = times.get_or_insert_with(|| event_times(batch));
            let sources: Vec<_> =
                (0..masks.len()).map(|i| masks[i].and_then(|_| source(plan, i, batch, &realm))).collect();
            let spec = plan.spec(&self.limits);
            let step = Step { spec, limits: &self.limits, batch: batch_id, times };
            let table = self.tables.entry((batch.tenant, plan.state_key)).or_default();
            let firings = run(table, &step, &masks, &sources, matches.rows);
            if rule.referred {
                held[position] = bitmap(&firings, matches.rows);
            }
            if rule.alerts {
                fired.extend(firings.into_iter().map(|f| tell(position, plan, f)));
            }
        }
        self.enforce_groups();
        fired
    }

    /// Forgets the state of correlations that are not in the rule set; the others keep theirs.
    pub fn retain(&mut self, rules: &RuleSet) {
        let keys: Vec<_> = rules.rules.iter().filter_map(|r| r.correlation().map(|p| p.state_key)).collect();
        self.tables.retain(|(_, key), _| keys.contains(key));
    }

    /// Takes the state of another shard. Groups that both have are added up: as long as no row was counted by both,
    /// the result is that of one who saw all rows.
    pub fn merge(&mut self, rules: &RuleSet, other: Self) {
        for ((tenant, key), theirs) in other.tables {
            let plan = rules.rules.iter().find_map(|r| r.correlation().filter(|p| p.state_key == key));
            let Some(plan) = plan else { continue };
            let spec = plan.spec(&self.limits);
            self.tables.entry((tenant, key)).or_default().merge(&spec, theirs, &self.limits);
        }
        self.enforce_groups();
    }

    /// Figures of the state.
    pub fn stats(&self) -> CorrelatorStats {
        let mut stats = CorrelatorStats { tables: self.tables.len(), ..CorrelatorStats::default() };
        for table in self.tables.values() {
            table.add_stats(&mut stats);
        }
        stats
    }

    fn enforce_groups(&mut self) {
        let total: usize = self.tables.values().map(Table::len).sum();
        let excess = total.saturating_sub(self.limits.groups);
        if excess > 0
            && let Some(largest) = self.tables.values_mut().max_by_key(|t| t.len())
        {
            largest.evict(excess);
        }
    }
}

fn source<'a>(
    plan: &CorrelationPlan,
    rule: usize,
    batch: &'a Batch,
    realm: &'a [Option<Cells<'a>>],
) -> Option<Source<'a>> {
    let cells = |column: usize| batch.rows.columns().get(column).map(Cells::new);
    let group = plan.group.iter().map(|(_, columns)| cells(columns[rule])).collect::<Option<Vec<_>>>()?;
    let value = match &plan.field {
        Some((_, columns)) => Some(cells(columns[rule])?),
        None => None,
    };
    Some(Source { realm, group, value })
}

/// Feeds the selected rows to a table, by row and then by rule.
fn run(
    table: &mut Table,
    step: &Step<'_>,
    masks: &[Option<&BooleanBuffer>],
    sources: &[Option<Source<'_>>],
    rows: usize,
) -> Vec<Firing> {
    let (mut firings, mut key) = (Vec::new(), Vec::with_capacity(64));
    table.begin();
    let active: Vec<_> = (0_u8..)
        .zip(masks.iter().zip(sources))
        .filter_map(|(i, (mask, source))| Some((i, (*mask)?, source.as_ref()?)))
        .collect();
    if let [(rule, mask, source)] = active.as_slice() {
        for row in mask.set_indices() {
            table.row(step, source, *rule, row, &mut key, &mut firings);
        }
    } else {
        let any = active.iter().fold(BooleanBuffer::new_unset(rows), |any, (_, mask, _)| &any | mask);
        for row in any.set_indices() {
            for (rule, mask, source) in &active {
                if mask.value(row) {
                    table.row(step, source, *rule, row, &mut key, &mut firings);
                    // An event counts once, however many of the rules it matches; only order asks for each.
                    if !step.spec.kind.is_temporal() {
                        break;
                    }
                }
            }
        }
    }
    table.finish(&mut firings);
    firings
}

fn bitmap(firings: &[Firing], rows: usize) -> Option<BooleanBuffer> {
    if firings.is_empty() {
        return None;
    }
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, false);
    for row in firings.iter().flat_map(|f| &f.rows) {
        bits.set_bit(*row as usize, true);
    }
    Some(bits.finish())
}

fn tell(rule: usize, plan: &CorrelationPlan, firing: Firing) -> Fired {
    let mut values = decode(&firing.key).into_iter();
    let mut realm = || values.next().and_then(|v| v.as_str().map(str::to_owned));
    let (site, replay) = (realm(), realm());
    Fired {
        rule,
        group: plan.group.iter().map(|(name, _)| name.clone()).zip(values).collect(),
        site,
        replay,
        rows: firing.rows,
        measure: firing.measure,
        measure_max: firing.measure_max,
        estimated: firing.estimated,
        first_seen: Micros(firing.first_seen),
        last_seen: Micros(firing.last_seen),
        evidence: firing.evidence,
    }
}
