//! Moving rows from memory to Parquet files.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, UInt32Array, UInt64Array};
use arrow::record_batch::RecordBatch;
use guardian_model::{Class, TenantId};

use super::manifest::{Change, FileMeta, Flushed, RollupMeta};
use super::parquet_file::{FileWriter, Shape, properties, seal};
use super::rollup::Rollup;
use super::state::{HotBatch, Key, LiveFile, replay_names};
use super::{Store, Writing};
use crate::LakeError;
use crate::keys::LakeKeys;
use crate::wal::class_of;

/// Fewer rows than this wait [`SMALL_AFTER`] times longer before they become a file of their own.
const SMALL_ROWS: usize = 8_192;
const SMALL_AFTER: u32 = 10;
/// Names of replays that a file lists; a file with more is looked into when one is cleared.
pub(crate) const REPLAYS_MAX: usize = 16;
/// Stands for "more replays than are listed".
pub(crate) const MANY_REPLAYS: &str = "*";

impl Store {
    pub(super) fn place(&self) -> Place<'_> {
        Place { root: &self.dir, keys: self.sealing() }
    }

    /// Writes what is due, or everything.
    pub(super) fn flush_due(&self, writing: &Writing, all: bool) -> Result<(), LakeError> {
        let now = self.clock.monotonic();
        let mut due: Vec<(usize, Key)> = {
            let state = self.state.read();
            let crowded = state.hot_bytes > self.config.hot_max.as_usize() / 2;
            let partitions = state.hot.iter();
            let largest = state.hot.values().map(|p| p.bytes).max().unwrap_or(0);
            partitions
                .filter(|(_, p)| {
                    all || (crowded && p.bytes == largest)
                        || p.rows >= self.config.flush_rows
                        || self.is_old(p.rows, p.since, now)
                })
                .map(|(key, p)| (p.bytes, *key))
                .collect()
        };
        // The largest first: it frees most memory.
        due.sort_unstable_by(|a, b| b.cmp(a));
        due.into_iter().try_for_each(|(_, key)| self.flush_partition(writing, key, all))
    }

    fn is_old(&self, rows: usize, since: Option<Duration>, now: Duration) -> bool {
        let limit = self.config.flush_after.get();
        let limit = if rows < SMALL_ROWS { limit * SMALL_AFTER } else { limit };
        since.is_some_and(|since| now.saturating_sub(since) >= limit)
    }

    fn flush_partition(&self, writing: &Writing, key: Key, all: bool) -> Result<(), LakeError> {
        loop {
            let _files = writing.files.lock();
            let (batches, more) = self.next_to_flush(key);
            let (Some(last), Some(class)) = (batches.last(), class_of(key.1)) else { return Ok(()) };
            let upto = last.id;
            let mut metas = Vec::new();
            for day in batches.chunk_by(|a, b| a.received.day() == b.received.day()) {
                metas.extend(self.write_day(class, key.0, day)?);
            }
            let mark = batches.iter().filter_map(|b| b.mark).max();
            writing.manifest.lock().commit(Change {
                add: metas.clone(),
                flushed: vec![Flushed { tenant: key.0, class_uid: key.1, upto }],
                marks: mark.map(|m| (key.1, m)).into_iter().collect(),
                ..Change::default()
            })?;
            for meta in &metas {
                self.counters.flushes.inc(1);
                self.counters.flushed_rows.inc(meta.rows);
                self.counters.flushed_bytes.inc(meta.disk_bytes());
            }
            let files = metas.into_iter().map(|meta| LiveFile::new(meta, &self.dir)).collect();
            let mut state = self.state.write();
            state.flushed(key, upto, files, self.clock.monotonic());
            self.publish_hot(&state);
            drop(state);
            writing.freed_memory();
            if !more || !all && self.state.read().hot.get(&key).is_none_or(|p| p.rows < self.config.flush_rows) {
                return Ok(());
            }
        }
    }

    /// The oldest batches of a partition, at most as many as a file should hold, and whether there are more.
    fn next_to_flush(&self, key: Key) -> (Vec<Arc<HotBatch>>, bool) {
        let state = self.state.read();
        let Some(partition) = state.hot.get(&key) else { return (Vec::new(), false) };
        let mut rows = 0;
        let limit = self.config.compact_rows.max(self.config.flush_rows);
        let fits = partition.batches.iter().take_while(|b| {
            let first = rows == 0;
            rows += b.rows.num_rows();
            first || rows <= limit
        });
        let batches: Vec<_> = fits.cloned().collect();
        let more = batches.len() < partition.batches.len();
        (batches, more)
    }

    fn write_day(
        &self,
        class: &'static Class,
        tenant: TenantId,
        batches: &[Arc<HotBatch>],
    ) -> Result<Option<FileMeta>, LakeError> {
        let mut shape = Shape::new(class);
        let mut rows = 0;
        for batch in batches {
            shape.add(&batch.rows, rows);
            rows += batch.rows.num_rows();
        }
        let (Some(first), true) = (batches.first(), rows > 0) else { return Ok(None) };
        let mut output = Output::new(self.place(), class, tenant, &first.received.day(), ids_of(batches), shape)?;
        for batch in batches {
            output.write(&filled(batch)?)?;
        }
        output.finish(Vec::new()).map(Some)
    }
}

fn ids_of(batches: &[Arc<HotBatch>]) -> (u64, u64) {
    (batches.first().map_or(0, |b| b.id), batches.last().map_or(0, |b| b.id))
}

/// The rows with their `batch` and `row` columns.
fn filled(batch: &HotBatch) -> Result<RecordBatch, LakeError> {
    let count = batch.rows.num_rows();
    let mut columns = batch.rows.columns().to_vec();
    columns[0] = Arc::new(UInt64Array::from_value(batch.id, count));
    columns[1] = row_numbers(batch);
    RecordBatch::try_new(batch.class.schema(), columns).map_err(LakeError::data)
}

/// The `row` column of a batch in memory.
pub(crate) fn row_numbers(batch: &HotBatch) -> ArrayRef {
    match &batch.numbers {
        Some(numbers) => Arc::new(numbers.clone()),
        None => Arc::new(UInt32Array::from_iter_values(0..batch.rows.num_rows() as u32)),
    }
}

/// Where Parquet files go, and what encrypts them, if they are to be.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    root: &'a Path,
    keys: Option<&'a LakeKeys>,
}

/// A Parquet file in the making, with its roll-up and its description.
pub(super) struct Output<'a> {
    place: Place<'a>,
    class: &'static Class,
    shape: Shape,
    schema: arrow::datatypes::SchemaRef,
    meta: FileMeta,
    target: std::path::PathBuf,
    writer: Option<FileWriter>,
    rollup: Option<Rollup>,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        place: Place<'a>,
        class: &'static Class,
        tenant: TenantId,
        day: &str,
        ids: (u64, u64),
        shape: Shape,
    ) -> Result<Self, LakeError> {
        let root = place.root;
        let partition = format!("tenant={tenant}/class={}/day={day}", class.name);
        let name = |version: u32| match version {
            0 => format!("{:016}-{:016}.parquet", ids.0, ids.1),
            n => format!("{:016}-{:016}-v{n}.parquet", ids.0, ids.1),
        };
        let free = |n: &String| {
            !root.join(format!("tables/{partition}/{n}")).exists()
                && !root.join(format!("rollups/{partition}/{n}")).exists()
        };
        let name = (0..=u32::MAX).map(name).find(free).unwrap_or_default();
        let path = format!("tables/{partition}/{name}");
        let target = root.join(&path);
        let schema = shape.schema();
        let (key, sealing) = seal(place.keys, &path)?;
        let writer = FileWriter::create(&target, &schema, properties(class, sealing))?;
        let rollup = Rollup::of(class);
        let meta = FileMeta {
            path,
            tenant,
            class_uid: class.uid,
            day: day.to_owned(),
            rows: 0,
            bytes: 0,
            crc: 0,
            ids,
            times: Vec::new(),
            replays: Vec::new(),
            replaces: Vec::new(),
            key,
            rollup: rollup.as_ref().map(|_| RollupMeta {
                path: format!("rollups/{partition}/{name}"),
                rows: 0,
                bytes: 0,
                crc: 0,
                key: None,
            }),
        };
        Ok(Self { place, class, shape, schema, meta, target, writer: Some(writer), rollup })
    }

    /// Writes rows of the whole class, with `batch` and `row` filled.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), LakeError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.meta.rows += rows.num_rows() as u64;
        note_times(self.class, rows, &mut self.meta.times);
        for name in replay_names(self.class, rows) {
            note_replay(&mut self.meta.replays, name);
        }
        if let Some(rollup) = &mut self.rollup {
            rollup.add(rows)?;
        }
        let projected = self.shape.project(&self.schema, rows)?;
        self.writer.as_mut().ok_or(LakeError::Closed)?.write(&projected)
    }

    pub(super) fn rows(&self) -> u64 {
        self.meta.rows
    }

    /// Completes both files. `replaces` names those whose rows went in.
    pub(super) fn finish(mut self, replaces: Vec<String>) -> Result<FileMeta, LakeError> {
        let mut meta = self.meta.clone();
        meta.replaces = replaces;
        meta.rollup = match (self.rollup.take(), meta.rollup.take()) {
            (Some(rollup), Some(named)) => {
                let (key, sealing) = seal(self.place.keys, &named.path)?;
                let written = rollup.write(&self.place.root.join(&named.path), sealing)?;
                written.map(|w| RollupMeta { rows: w.rows, bytes: w.bytes, crc: w.crc, key, ..named })
            }
            _ => None,
        };
        let description = serde_json::to_string(&meta).map_err(LakeError::data)?;
        let writer = self.writer.take().ok_or(LakeError::Closed)?;
        let written = writer.finish(&self.target, Some(description))?;
        (meta.bytes, meta.crc) = (written.bytes, written.crc);
        Ok(meta)
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        // Not finished: the half-written file goes; should that fail, the next start removes it.
        if self.writer.take().is_some() {
            std::fs::remove_file(self.target.with_extension("tmp")).ok();
        }
    }
}

fn note_times(class: &Class, rows: &RecordBatch, times: &mut Vec<(String, i64, i64)>) {
    use arrow::array::AsArray;
    use arrow::compute::{max, min};
    use arrow::datatypes::TimestampMicrosecondType;
    for (field, column) in class.fields.iter().zip(rows.columns()) {
        let Some(column) = column.as_primitive_opt::<TimestampMicrosecondType>() else { continue };
        let (Some(low), Some(high)) = (min(column), max(column)) else { continue };
        match times.iter_mut().find(|(name, ..)| name == field.name) {
            Some(entry) => {
                entry.1 = entry.1.min(low);
                entry.2 = entry.2.max(high);
            }
            None => times.push((field.name.to_owned(), low, high)),
        }
    }
}

fn note_replay(names: &mut Vec<String>, name: String) {
    if names.contains(&name) || names.iter().any(|n| n == MANY_REPLAYS) {
        return;
    }
    names.push(if names.len() < REPLAYS_MAX { name } else { MANY_REPLAYS.to_owned() });
}
