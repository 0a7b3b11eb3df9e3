//! What is live at one moment: the rows in memory and the Parquet files, by tenant and class, under one lock, so that
//! a query's snapshot never sees a row twice or not at all while a flush moves rows from memory to a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute;
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use guardian_model::{Class, Kind, Micros, TenantId};
use hashbrown::HashMap;

use super::manifest::FileMeta;
use crate::keys::LakeKeys;

/// A tenant's rows of one class.
pub(crate) type Key = (TenantId, u32);

/// A batch in memory. `batch` and `row` are not filled in its columns; readers do that.
#[derive(Debug)]
pub(crate) struct HotBatch {
    pub(crate) id: u64,
    pub(crate) tenant: TenantId,
    pub(crate) class: &'static Class,
    pub(crate) received: Micros,
    pub(crate) rows: RecordBatch,
    /// Original row numbers, where rows were deleted.
    pub(crate) numbers: Option<UInt32Array>,
    /// Smallest and largest value of every time column.
    pub(crate) times: Vec<(&'static str, i64, i64)>,
    pub(crate) bytes: usize,
    pub(crate) mark: Option<u64>,
}

impl HotBatch {
    pub(crate) fn new(id: u64, batch: &guardian_model::Batch, mark: Option<u64>) -> Self {
        let numbers = None;
        let (tenant, class, received) = (batch.tenant, batch.class, batch.received);
        Self::assemble(id, tenant, class, received, batch.rows.clone(), numbers, mark)
    }

    fn assemble(
        id: u64,
        tenant: TenantId,
        class: &'static Class,
        received: Micros,
        rows: RecordBatch,
        numbers: Option<UInt32Array>,
        mark: Option<u64>,
    ) -> Self {
        let times = class.fields.iter().zip(rows.columns()).filter(|(f, _)| f.kind == Kind::Time);
        let times = times.filter_map(|(field, column)| {
            let column = column.as_primitive::<TimestampMicrosecondType>();
            Some((field.name, compute::min(column)?, compute::max(column)?))
        });
        let times = times.collect();
        let bytes = memory_of(&rows);
        Self { id, tenant, class, received, rows, numbers, times, bytes, mark }
    }

    /// The same batch without its replayed rows, and how many those were; `None` where it has none.
    pub(crate) fn without_replay(&self, name: Option<&str>) -> Option<(Self, usize)> {
        let keep = keep_mask(self.class, &self.rows, name)?;
        let rows = compute::filter_record_batch(&self.rows, &keep).ok()?;
        let all = UInt32Array::from_iter_values(0..self.rows.num_rows() as u32);
        let numbers = compute::filter(self.numbers.as_ref().unwrap_or(&all), &keep).ok()?;
        let numbers = numbers.as_primitive().clone();
        let removed = self.rows.num_rows() - rows.num_rows();
        let kept = Self::assemble(self.id, self.tenant, self.class, self.received, rows, Some(numbers), self.mark);
        Some((kept, removed))
    }
}

/// Which rows stay when a replay (or, for `None`, every replay) is deleted; `None` where all stay.
pub(crate) fn keep_mask(class: &Class, rows: &RecordBatch, name: Option<&str>) -> Option<arrow::array::BooleanArray> {
    let column = rows.column(class.index_of("replay")?);
    if column.null_count() == column.len() {
        return None;
    }
    let gone: Vec<bool> = if let Some(labels) = column.as_dictionary_opt::<Int32Type>() {
        let values = labels.values().as_string::<i32>();
        (0..labels.len()).map(|i| labels.key(i).is_some_and(|k| name.is_none_or(|n| n == values.value(k)))).collect()
    } else {
        let values = column.as_string_opt::<i32>()?;
        values.iter().map(|v| v.is_some_and(|v| name.is_none_or(|n| n == v))).collect()
    };
    gone.contains(&true).then(|| gone.into_iter().map(|gone| Some(!gone)).collect())
}

/// Names of the replays in the rows.
pub(crate) fn replay_names(class: &Class, rows: &RecordBatch) -> Vec<String> {
    let Some(column) = class.index_of("replay").map(|i| rows.column(i)) else { return Vec::new() };
    if column.null_count() == column.len() {
        return Vec::new();
    }
    let mut names: Vec<String> = if let Some(labels) = column.as_dictionary_opt::<Int32Type>() {
        let values = labels.values().as_string::<i32>();
        let mut used = vec![false; values.len()];
        (0..labels.len()).filter_map(|i| labels.key(i)).for_each(|key| used[key] = true);
        used.iter().enumerate().filter(|(_, used)| **used).map(|(key, _)| values.value(key).to_owned()).collect()
    } else {
        column.as_string_opt::<i32>().into_iter().flatten().flatten().map(str::to_owned).collect()
    };
    names.sort_unstable();
    names.dedup();
    names
}

/// Memory that the columns in use take; null columns share one buffer, and labels their dictionary.
fn memory_of(rows: &RecordBatch) -> usize {
    let columns = rows.columns().iter().filter(|c| c.null_count() < c.len());
    columns.map(|c| c.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

/// A Parquet file that is removed when it is neither live nor read by anybody.
#[derive(Debug)]
pub(crate) struct LiveFile {
    pub(crate) meta: FileMeta,
    root: PathBuf,
    doomed: AtomicBool,
    /// Its key was found not to open it: merging leaves it out.
    locked: AtomicBool,
}

impl LiveFile {
    pub(crate) fn new(meta: FileMeta, root: &Path) -> Arc<Self> {
        Arc::new(Self { meta, root: root.to_owned(), doomed: AtomicBool::new(false), locked: AtomicBool::new(false) })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.join(&self.meta.path)
    }

    pub(crate) fn rollup_path(&self) -> Option<PathBuf> {
        self.meta.rollup.as_ref().map(|r| self.root.join(&r.path))
    }

    pub(crate) fn key(&self) -> Key {
        (self.meta.tenant, self.meta.class_uid)
    }

    /// Notes that its key does not open it.
    pub(crate) fn lock(&self) {
        self.locked.store(true, Ordering::Release);
    }

    /// Whether it can be read with these keys, as far as is known.
    pub(crate) fn is_readable(&self, keys: &LakeKeys) -> bool {
        !self.locked.load(Ordering::Acquire) && self.meta.check_keys(keys).is_ok()
    }

    /// The file is no longer live: it goes as soon as the last reader is done.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }
}

impl Drop for LiveFile {
    fn drop(&mut self) {
        if !self.doomed.load(Ordering::Acquire) {
            return;
        }
        for path in std::iter::once(self.path()).chain(self.rollup_path()) {
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove a Parquet file; the next start will");
            }
        }
    }
}

/// Rows of one tenant and class in memory, in the order of ids.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) batches: Vec<Arc<HotBatch>>,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    /// When the oldest row came in, on the monotonic clock of the flusher.
    pub(crate) since: Option<std::time::Duration>,
}

/// Everything live.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) hot: HashMap<Key, Partition>,
    pub(crate) hot_rows: usize,
    pub(crate) hot_bytes: usize,
    pub(crate) files: HashMap<Key, Vec<Arc<LiveFile>>>,
}

impl State {
    pub(crate) fn push(&mut self, batch: HotBatch, now: std::time::Duration) {
        let (rows, bytes) = (batch.rows.num_rows(), batch.bytes);
        let partition = self.hot.entry((batch.tenant, batch.class.uid)).or_default();
        partition.rows += rows;
        partition.bytes += bytes;
        partition.since.get_or_insert(now);
        partition.batches.push(Arc::new(batch));
        self.hot_rows += rows;
        self.hot_bytes += bytes;
    }

    /// Replaces the rows up to `upto` by files; nobody sees a state between.
    pub(crate) fn flushed(&mut self, key: Key, upto: u64, files: Vec<Arc<LiveFile>>, now: std::time::Duration) {
        if let Some(partition) = self.hot.get_mut(&key) {
            let count = partition.batches.partition_point(|b| b.id <= upto);
            for batch in partition.batches.drain(..count) {
                partition.rows -= batch.rows.num_rows();
                partition.bytes -= batch.bytes;
                self.hot_rows -= batch.rows.num_rows();
                self.hot_bytes -= batch.bytes;
            }
            partition.since = (!partition.batches.is_empty()).then_some(now);
            if partition.batches.is_empty() {
                self.hot.remove(&key);
            }
        }
        self.files.entry(key).or_default().extend(files);
    }

    /// Swaps files for others with the same rows, or fewer.
    pub(crate) fn replaced(&mut self, key: Key, old: &[Arc<LiveFile>], new: Vec<Arc<LiveFile>>) {
        let files = self.files.entry(key).or_default();
        files.retain(|f| !old.iter().any(|o| Arc::ptr_eq(o, f)));
        files.extend(new);
        files.sort_by_key(|f| f.meta.ids.0);
        if files.is_empty() {
            self.files.remove(&key);
        }
        for file in old {
            file.doom();
        }
    }

    /// Swaps batches in memory for others, after rows were deleted.
    pub(crate) fn rewrite_hot(&mut self, key: Key, mut rewrite: impl FnMut(&HotBatch) -> Option<HotBatch>) {
        let Some(partition) = self.hot.get_mut(&key) else { return };
        for slot in &mut partition.batches {
            if let Some(new) = rewrite(slot) {
                partition.rows = partition.rows - slot.rows.num_rows() + new.rows.num_rows();
                partition.bytes = partition.bytes - slot.bytes + new.bytes;
                self.hot_rows = self.hot_rows - slot.rows.num_rows() + new.rows.num_rows();
                self.hot_bytes = self.hot_bytes - slot.bytes + new.bytes;
                *slot = Arc::new(new);
            }
        }
    }

    pub(crate) fn all_files(&self) -> impl Iterator<Item = &Arc<LiveFile>> {
        self.files.values().flatten()
    }
}
