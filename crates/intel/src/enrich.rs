//! Fills the enrichment columns of flow batches. One enricher belongs to one thread; clones share the databases and
//! lists and have caches of their own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder, RecordBatch, UInt32Array};
use arrow::datatypes::UInt32Type;
use foldhash::fast::FixedState;
use guardian_kit::metrics::{Counter, Metrics};
use guardian_model::{FLOW, FlowField, Ip};
use hashbrown::HashMap;

use crate::cache::{Cache, Known};
use crate::config::IntelConfig;
use crate::geo::decode;
use crate::indicators::Match;
use crate::labels::{LabelColumn, Labels, NULL};
use crate::prefix::{Reach, reach};
use crate::store::{Intel, IntelError, Notice, Snapshot};

/// Database records whose texts are remembered.
const RECORDS_MAX: usize = 1 << 17;

/// Texts of the column `direction`.
const INBOUND: &str = "inbound";
const OUTBOUND: &str = "outbound";
const INTERNAL: &str = "internal";
const EXTERNAL: &str = "external";

/// Adds to flow batches what is known about their addresses.
#[derive(Debug)]
pub struct Enricher {
    intel: Intel,
    snapshot: Arc<Snapshot>,
    labels: Labels,
    cache: Cache,
    records: Records,
    columns: Columns,
    matches: Vec<Match>,
    counts: Counts,
}

/// Label numbers of database records, by database and place in its file.
type Records = HashMap<(usize, usize), Known, FixedState>;

#[derive(Debug, Default)]
struct Columns {
    country: [LabelColumn; 2],
    city: [LabelColumn; 2],
    as_org: [LabelColumn; 2],
    direction: LabelColumn,
    indicator: LabelColumn,
    asn: [Vec<u32>; 2],
}

#[derive(Clone, Debug)]
struct Counts {
    flows: Counter,
    misses: Counter,
    hits: Counter,
    skipped: Counter,
}

impl Counts {
    fn new(metrics: &Metrics) -> Self {
        Self {
            flows: metrics.counter("guardian_intel_flows_total", "Flows enriched"),
            misses: metrics.counter("guardian_intel_lookups_total", "Addresses looked up because they were not cached"),
            hits: metrics.counter("guardian_intel_indicator_hits_total", "Flows with an address on an indicator list"),
            skipped: metrics
                .counter("guardian_intel_skipped_batches_total", "Batches that are not flows and passed as they were"),
        }
    }
}

impl Clone for Enricher {
    /// An enricher for another thread.
    fn clone(&self) -> Self {
        Self::new(self.intel.clone())
    }
}

impl Enricher {
    /// Opens what the configuration names; see [`Intel::open`].
    pub fn open(config: &IntelConfig, metrics: &Metrics) -> Result<(Self, Vec<Notice>), IntelError> {
        let (intel, notices) = Intel::open(config, metrics)?;
        Ok((Self::new(intel), notices))
    }

    /// An enricher over intelligence that is open.
    pub fn new(intel: Intel) -> Self {
        Self {
            snapshot: intel.snapshot(),
            counts: Counts::new(intel.metrics()),
            intel,
            labels: Labels::default(),
            cache: Cache::default(),
            records: Records::default(),
            columns: Columns::default(),
            matches: Vec::new(),
        }
    }

    /// The intelligence behind it, to reload it and to ask about single addresses.
    pub fn intel(&self) -> &Intel {
        &self.intel
    }

    /// The batch with its enrichment columns filled: country, city, AS number (only where the exporter gave none) and
    /// organisation of both ends, direction, indicator. Other columns are shared with the input. A batch that has not
    /// the schema of flows comes back as it is.
    pub fn enrich(&mut self, batch: &RecordBatch) -> RecordBatch {
        self.follow_changes();
        let source = batch.columns().get(FlowField::SrcIp.index()).and_then(addresses);
        let destination = batch.columns().get(FlowField::DstIp.index()).and_then(addresses);
        let (Some(source), Some(destination), true) = (source, destination, batch.schema() == FLOW.schema()) else {
            self.counts.skipped.inc(1);
            return batch.clone();
        };
        let (sources, destinations) = (values(source), values(destination));
        self.look_up_rows(batch.num_rows(), sources, destinations);

        let mut columns = batch.columns().to_vec();
        let Self { columns: built, labels, .. } = self;
        let ends = [
            (FlowField::SrcCountry, FlowField::SrcCity, FlowField::SrcAs, FlowField::SrcAsOrg),
            (FlowField::DstCountry, FlowField::DstCity, FlowField::DstAs, FlowField::DstAsOrg),
        ];
        for (end, (country, city, asn, as_org)) in ends.into_iter().enumerate() {
            put(&mut columns, country, built.country[end].finish(labels));
            put(&mut columns, city, built.city[end].finish(labels));
            let given = &columns[asn.index()];
            let (numbers, disagrees) = merge_numbers(given, &built.asn[end]);
            if disagrees {
                // The exporter's own number stays, and the organisation of another system would be wrong beside it.
                let number =
                    |row| numbers.as_ref().map_or_else(|| number_at(given, row), |array| number_at(array, row));
                built.as_org[end].keep_where(|row| number(row) == Some(built.asn[end][row]));
            }
            put(&mut columns, as_org, built.as_org[end].finish(labels));
            put(&mut columns, asn, numbers);
        }
        put(&mut columns, FlowField::Direction, built.direction.finish(labels));
        self.put_indicators(&mut columns, sources, destinations, batch.num_rows());
        self.counts.flows.inc(batch.num_rows() as u64);
        self.counts.misses.inc(std::mem::take(&mut self.cache.misses));
        // Only columns of the class were replaced, by columns of the same type and length.
        RecordBatch::try_new(batch.schema(), columns).unwrap_or_else(|e| {
            tracing::error!(error = %e, "an enriched batch does not fit its schema");
            batch.clone()
        })
    }

    /// Takes over reloaded databases, and begins anew when the label pool is full.
    fn follow_changes(&mut self) {
        let current = self.intel.snapshot();
        let changed = !Arc::ptr_eq(&current, &self.snapshot);
        if changed || self.labels.is_full() || self.records.len() > RECORDS_MAX {
            self.snapshot = current;
            self.cache.clear();
            self.labels = Labels::default();
            self.records.clear();
        }
    }

    fn look_up_rows(&mut self, rows: usize, sources: &[u8], destinations: &[u8]) {
        let Self { snapshot, labels, cache, records, columns, .. } = self;
        let directions = [[EXTERNAL, INBOUND], [OUTBOUND, INTERNAL]].map(|row| row.map(|text| labels.id(text)));
        let all = [&mut columns.country, &mut columns.city, &mut columns.as_org];
        all.into_iter().flatten().for_each(|column| column.begin(rows));
        columns.direction.begin(rows);
        columns.asn.iter_mut().for_each(Vec::clear);
        let has_home = !snapshot.home.is_empty();
        let mut find = |ip: &[u8; 16]| cache.get(Ip(*ip), |ip| look_up(snapshot, labels, records, ip));
        for (source, destination) in sources.as_chunks().0.iter().zip(destinations.as_chunks().0) {
            let ends = [find(source), find(destination)];
            for (end, known) in ends.iter().enumerate() {
                columns.country[end].push(known.country);
                columns.city[end].push(known.city);
                columns.as_org[end].push(known.as_org);
                columns.asn[end].push(known.asn);
            }
            // A group address belongs to whoever sends to it.
            let from_home = ends[0].home;
            let to_home = ends[1].home || (ends[1].group && from_home);
            let direction = directions[usize::from(from_home)][usize::from(to_home)];
            columns.direction.push(if has_home { direction } else { NULL });
        }
    }

    fn put_indicators(&mut self, columns: &mut [ArrayRef], sources: &[u8], destinations: &[u8], rows: usize) {
        self.matches.clear();
        self.snapshot.set.match_columns(sources, destinations, &mut self.matches);
        if self.matches.is_empty() {
            return;
        }
        self.counts.hits.inc(self.matches.len() as u64);
        let names = &mut self.columns.indicator;
        names.begin(rows);
        let mut addresses = FixedSizeBinaryBuilder::with_capacity(rows, 16);
        for found in &self.matches {
            let row = found.row as usize;
            names.pad(row);
            names.push(self.labels.id(self.snapshot.name(found.list)));
            addresses.append_nulls(row - addresses_len(&addresses));
            let column = if found.destination { destinations } else { sources };
            // The width is that of the builder, so appending cannot fail.
            if addresses.append_value(&column[row * 16..row * 16 + 16]).is_err() {
                return;
            }
        }
        names.pad(rows);
        addresses.append_nulls(rows - addresses_len(&addresses));
        put(columns, FlowField::Indicator, names.finish(&self.labels));
        put(columns, FlowField::IndicatorIp, Some(Arc::new(addresses.finish())));
    }
}

fn addresses_len(builder: &FixedSizeBinaryBuilder) -> usize {
    arrow::array::ArrayBuilder::len(builder)
}

/// What databases and networks say about an address.
fn look_up(snapshot: &Snapshot, labels: &mut Labels, records: &mut Records, ip: Ip) -> Known {
    let reach = reach(ip);
    let mut known = Known { home: snapshot.is_home(ip), group: reach == Reach::Group, ..Known::default() };
    if reach != Reach::Global {
        return known;
    }
    for (i, database) in snapshot.databases.iter().enumerate() {
        let Some((offset, found)) = database.find(ip) else { continue };
        let record = *records.entry((i, offset)).or_insert_with(|| {
            let answer = decode(&found);
            let mut id = |text: Option<&str>| text.map_or(NULL, |text| labels.id(text));
            let (country, city, as_org) = (id(answer.country), id(answer.city), id(answer.as_org));
            Known { country, city, as_org, asn: answer.asn.unwrap_or(0), ..Known::default() }
        });
        let first = |mine: u32, other: u32| if mine == NULL { other } else { mine };
        known.country = first(known.country, record.country);
        known.city = first(known.city, record.city);
        if known.asn == 0 {
            (known.asn, known.as_org) = (record.asn, record.as_org);
        }
    }
    known
}

/// The column with the numbers that were found filled in where it has none (null, or 0, which means unknown), if that
/// changes anything; and whether some row has a number of its own that differs from what was found.
fn merge_numbers(given: &ArrayRef, found: &[u32]) -> (Option<ArrayRef>, bool) {
    let Some(array) = given.as_primitive_opt::<UInt32Type>() else { return (None, false) };
    if array.null_count() == array.len() {
        if found.iter().all(|n| *n == 0) {
            return (None, false);
        }
        let filled = UInt32Array::from_iter(found.iter().map(|n| (*n != 0).then_some(*n)));
        return (Some(Arc::new(filled)), false);
    }
    let (mut changes, mut disagrees) = (false, false);
    let merged = array.iter().zip(found).map(|(own, found)| match own {
        Some(own) if own != 0 => {
            disagrees |= own != *found && *found != 0;
            Some(own)
        }
        _ if *found != 0 => {
            changes = true;
            Some(*found)
        }
        other => other,
    });
    let merged = UInt32Array::from_iter(merged);
    (changes.then(|| Arc::new(merged) as ArrayRef), disagrees)
}

fn number_at(array: &ArrayRef, row: usize) -> Option<u32> {
    let array = array.as_primitive_opt::<UInt32Type>()?;
    array.is_valid(row).then(|| array.value(row))
}

fn addresses(column: &ArrayRef) -> Option<&FixedSizeBinaryArray> {
    column.as_fixed_size_binary_opt().filter(|array| array.value_length() == 16)
}

/// The bytes of all rows, 16 each.
fn values(array: &FixedSizeBinaryArray) -> &[u8] {
    &array.value_data()[..array.len() * 16]
}

fn put(columns: &mut [ArrayRef], field: FlowField, column: Option<ArrayRef>) {
    if let (Some(slot), Some(column)) = (columns.get_mut(field.index()), column) {
        *slot = column;
    }
}
