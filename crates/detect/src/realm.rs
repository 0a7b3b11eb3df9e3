//! Realms: a realm is one tenant's site, live or in one replay. Detectors keep their state per realm, so that private
//! addresses of two sites, or replayed and live traffic, never meet. Must never mix rows of two realms.

use arrow::array::{Array, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Int32Type;
use guardian_model::{Batch, Micros, TenantId};

use crate::config::DetectConfig;
use crate::detectors::{Context, Descriptor, Detector, Firing, Prevalence};
use crate::rows::FlowRows;

/// Which realm it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct RealmName {
    pub(crate) tenant: TenantId,
    pub(crate) site: Option<String>,
    pub(crate) replay: Option<String>,
}

impl RealmName {
    /// The start of the group keys of this realm: nothing for live traffic of the main site.
    pub(crate) fn prefix(&self) -> String {
        let mut prefix = String::new();
        for (name, value) in [("site", &self.site), ("replay", &self.replay)] {
            if let Some(value) = value {
                prefix.extend([name, "=", value, ", "]);
            }
        }
        prefix
    }
}

/// The realms of a batch's rows.
pub(crate) struct Partition {
    pub(crate) names: Vec<RealmName>,
    /// Position in `names` of each row; empty when all rows are of the first.
    of_row: Vec<u16>,
}

impl Partition {
    /// Finds the realms of a batch. It is of one realm in practice; of more than 65,536 the rest counts as
    /// the last.
    pub(crate) fn new(batch: &Batch) -> Self {
        let label = |name: &str| {
            let column = batch.rows.columns().get(batch.class.index_of(name)?)?.as_dictionary_opt::<Int32Type>()?;
            (column.null_count() < column.len()).then_some(column)
        };
        let (site, replay) = (label("site"), label("replay"));
        let name = |row: usize| {
            let text = |c: Option<&arrow::array::DictionaryArray<Int32Type>>| {
                let c = c?;
                let key = c.key(row)?;
                Some(c.values().as_string_opt::<i32>()?.value(key).to_owned()).filter(|t| !t.is_empty())
            };
            RealmName { tenant: batch.tenant, site: text(site), replay: text(replay) }
        };
        if site.is_none() && replay.is_none() || batch.rows.num_rows() == 0 {
            let name = RealmName { tenant: batch.tenant, site: None, replay: None };
            return Self { names: vec![name], of_row: Vec::new() };
        }
        let codes = |row: usize| (site.map(|c| c.key(row)), replay.map(|c| c.key(row)));
        let (mut seen, mut names, mut of_row) = (Vec::new(), Vec::<RealmName>::new(), Vec::new());
        for row in 0..batch.rows.num_rows() {
            let code = codes(row);
            let at = seen.iter().position(|(c, _)| *c == code).unwrap_or_else(|| {
                let name = name(row);
                let at = names.iter().position(|n| *n == name).unwrap_or_else(|| {
                    if names.len() < usize::from(u16::MAX) {
                        names.push(name);
                    }
                    names.len() - 1
                });
                seen.push((code, at));
                seen.len() - 1
            });
            of_row.push(seen[at].1 as u16);
        }
        if names.len() == 1 {
            of_row.clear();
        }
        Self { names, of_row }
    }

    /// Position in `names` of a row's realm.
    pub(crate) fn of(&self, row: usize) -> usize {
        self.of_row.get(row).map_or(0, |&at| usize::from(at))
    }
}

/// One detector of a realm.
pub(crate) struct Seat {
    pub(crate) descriptor: &'static Descriptor,
    /// Number in the register.
    pub(crate) rule: u32,
    pub(crate) detector: Box<dyn Detector>,
}

/// The state of one realm.
pub(crate) struct Realm {
    pub(crate) seats: Vec<Seat>,
    pub(crate) prevalence: Prevalence,
    pub(crate) watermark: i64,
    pub(crate) next_sweep: i64,
    /// Processing time of the last row.
    pub(crate) last_received: i64,
}

/// Event time between two sweeps of detector state.
const SWEEP_EVERY: i64 = 10 * Micros::MINUTE;

impl Realm {
    pub(crate) fn new(config: &DetectConfig, detectors: &[(&'static Descriptor, u32)]) -> Self {
        let seat = |&(descriptor, rule): &(&'static Descriptor, u32)| Seat {
            descriptor,
            rule,
            detector: (descriptor.build)(config),
        };
        Self {
            seats: detectors.iter().map(seat).collect(),
            prevalence: Prevalence::new(config.destinations_max),
            watermark: i64::MIN,
            next_sweep: i64::MIN,
            last_received: i64::MIN,
        }
    }

    /// Shows one row to every detector from which it is not hidden (`hidden` has a place for each seat); firings go to
    /// `fired` with the number of their rule.
    pub(crate) fn row(
        &mut self,
        rows: &FlowRows<'_>,
        row: usize,
        time: i64,
        hidden: &[Option<BooleanBuffer>],
        fired: &mut Vec<(u32, u32, Firing)>,
    ) {
        if time > self.watermark {
            self.watermark = time;
            if time >= self.next_sweep {
                self.sweep();
            }
        }
        self.last_received = self.last_received.max(rows.received[row]);
        self.prevalence.observe(rows, row, Micros(time));
        let context = Context { rows, row, time: Micros(time), prevalence: &self.prevalence };
        for (at, seat) in self.seats.iter_mut().enumerate() {
            if hidden.get(at).and_then(Option::as_ref).is_some_and(|rows| rows.value(row)) {
                continue;
            }
            if let Some(firing) = seat.detector.row(&context) {
                fired.push((seat.rule, row as u32, firing));
            }
        }
    }

    fn sweep(&mut self) {
        self.next_sweep = self.watermark.saturating_add(SWEEP_EVERY);
        self.prevalence.expire(Micros(self.watermark));
        for seat in &mut self.seats {
            seat.detector.expire(Micros(self.watermark));
        }
    }
}
