//! What is stored and how it changes: rows in memory, Parquet files, the manifest, and the work in the background.
//!
//! Locks are taken in this order: `files` (long work on files), the log's queue, `state`, `manifest`. Queries take only
//! `state`, for as long as it takes to copy a list.

mod clear;
mod compact;
mod flush;
pub(crate) mod manifest;
mod open;
mod order;
pub(crate) mod origins;
pub(crate) mod parquet_file;
pub(crate) mod reader;
mod retain;
pub(crate) mod rollup;
mod scrub;
pub(crate) mod state;

pub use clear::Cleared;
pub(crate) use flush::row_numbers;
pub(crate) use open::decode_batch;
pub(crate) use state::keep_mask;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use guardian_kit::clock::Clock;
use guardian_model::{Batch, Class, Origin, TenantId};
use hashbrown::HashMap;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::counters::Counters;
use crate::wal::{Commit, HEADER_BYTES, Header, RecordKind, Wal};
use crate::{LakeConfig, LakeError, LakeKeys, codec};
use manifest::{Change, Manifest};
use state::{HotBatch, LiveFile, State};

/// Ids reserved at once; after a crash the next start continues behind the reservation, so that no id is given twice
/// even if the batch that had it was lost before it was durable.
const RESERVE: u64 = 1 << 20;
/// How often the background thread looks around when nobody wakes it.
const TICK: Duration = Duration::from_millis(250);

/// A deletion of replayed rows: those of `tenant` with ids below `id`.
#[derive(Clone, Debug)]
pub(crate) struct Tombstone {
    pub(crate) id: u64,
    pub(crate) tenant: TenantId,
    pub(crate) name: Option<String>,
}

/// The store behind [`crate::Lake`].
pub(crate) struct Store {
    pub(crate) dir: PathBuf,
    pub(crate) config: LakeConfig,
    pub(crate) keys: LakeKeys,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) state: RwLock<State>,
    pub(crate) tombstones: RwLock<Vec<Tombstone>>,
    /// The files' and the log's writing side; absent when opened read-only.
    pub(crate) writing: Option<Writing>,
    marks: Mutex<HashMap<u32, u64>>,
    pub(crate) origins: Mutex<origins::Origins>,
    /// Held from the look at a sender's mark until its batch is accepted.
    appending_once: Mutex<()>,
}

/// What only the one writing process has.
pub(crate) struct Writing {
    pub(crate) wal: Wal,
    pub(crate) manifest: Mutex<Manifest>,
    /// Held while files are written, merged, removed or cleared.
    files: Mutex<Pace>,
    hold: AtomicU64,
    reserved: AtomicU64,
    /// Wakes the background thread.
    work: Condvar,
    work_lock: Mutex<bool>,
    /// Wakes appends that wait for memory.
    space: Condvar,
    space_lock: Mutex<()>,
    /// The last flush failed.
    pub(crate) flush_failing: AtomicBool,
    /// Held for as long as the process lives.
    _lock: std::fs::File,
}

/// Pacing of the background work, on the monotonic clock.
#[derive(Debug, Default)]
struct Pace {
    compact_after: Duration,
    retain_after: Duration,
    scrub: scrub::Scrub,
}

/// No hold on the log was ever asked for.
const NO_HOLD: u64 = u64::MAX;

/// Something that the writing thread does in each round.
type Step = fn(&Store, &Writing) -> Result<(), LakeError>;

impl Store {
    pub(crate) fn writing(&self) -> Result<&Writing, LakeError> {
        self.writing.as_ref().ok_or(LakeError::OpenedReadOnly)
    }

    /// The keys to write new files with, if they are to be encrypted.
    fn sealing(&self) -> Option<&LakeKeys> {
        self.config.encryption.then_some(&self.keys)
    }

    /// Accepts a batch: it is visible to queries at once and durable when the log says so.
    pub(crate) fn append(&self, batch: &Batch, mark: Option<u64>) -> Result<(u64, Arc<Commit>), LakeError> {
        let writing = self.writing()?;
        let rows = batch.rows.num_rows();
        let result = self.try_append(writing, batch, mark, None);
        if let Err(LakeError::ReadOnly(_)) = result {
            self.counters.refused_batches.inc(1);
            self.counters.refused_rows.inc(rows as u64);
        }
        result
    }

    /// Accepts a batch once, however often its sender sends it. Answers the batch that was stored, and whether it was
    /// known before.
    pub(crate) fn append_once(&self, batch: &Batch, origin: &Origin) -> Result<(u64, Arc<Commit>, bool), LakeError> {
        let writing = self.writing()?;
        let _one_at_a_time = self.appending_once.lock();
        if let Some(id) = self.origins.lock().known(origin, batch.class.uid) {
            return Ok((id, Arc::clone(writing.wal.commit()), true));
        }
        let result = self.try_append(writing, batch, None, Some(origin));
        if let Err(LakeError::ReadOnly(_)) = result {
            self.counters.refused_batches.inc(1);
            self.counters.refused_rows.inc(batch.rows.num_rows() as u64);
        }
        let (id, commit) = result?;
        Ok((id, commit, false))
    }

    /// Tells when a batch is durable.
    pub(crate) fn commit(&self) -> Result<Arc<Commit>, LakeError> {
        Ok(Arc::clone(self.writing()?.wal.commit()))
    }

    fn try_append(
        &self,
        writing: &Writing,
        batch: &Batch,
        mark: Option<u64>,
        origin: Option<&Origin>,
    ) -> Result<(u64, Arc<Commit>), LakeError> {
        let rows = batch.rows.num_rows();
        let mut record = Vec::with_capacity(HEADER_BYTES + rows * 96 + 1024);
        record.resize(HEADER_BYTES, 0);
        if let Some(origin) = origin {
            origins::put(origin, &mut record);
        }
        codec::encode(batch.class, &batch.rows, &mut record)?;
        let mut hot = HotBatch::new(0, batch, mark);
        self.wait_for_memory(writing)?;
        let header = Header {
            kind: RecordKind::Batch,
            sealed: false,
            origin: origin.is_some(),
            id: 0,
            tenant: batch.tenant,
            class_uid: batch.class.uid,
            received: batch.received,
            mark,
            rows: rows as u32,
            body_len: 0,
            body_crc: 0,
        };
        let accepted = writing.wal.append(header, record)?;
        let id = accepted.id;
        hot.id = id;
        let urgent = rows > 0 && {
            let now = self.clock.monotonic();
            let key = (batch.tenant, batch.class.uid);
            let mut state = self.state.write();
            state.push(hot, now);
            self.publish_hot(&state);
            state.hot.get(&key).is_some_and(|p| p.rows >= self.config.flush_rows)
                || state.hot_bytes > self.config.hot_max.as_usize() / 2
        };
        if let Some(mark) = mark {
            self.note_mark(batch.class.uid, mark);
        }
        if let Some(origin) = origin {
            self.origins.lock().note(origin, batch.class.uid, id);
        }
        drop(accepted);
        if id >= writing.reserved.load(Ordering::Acquire) {
            Self::reserve(writing, id)?;
        }
        if urgent {
            writing.wake();
        }
        self.counters.batches.inc(1);
        self.counters.rows.inc(rows as u64);
        Ok((id, Arc::clone(writing.wal.commit())))
    }

    fn publish_hot(&self, state: &State) {
        self.counters.gauges.hot_rows.set(state.hot_rows as i64);
        self.counters.gauges.hot_bytes.set(state.hot_bytes as i64);
    }

    /// Blocks while too much is in memory; fails when that cannot change because files cannot be written.
    fn wait_for_memory(&self, writing: &Writing) -> Result<(), LakeError> {
        let limit = self.config.hot_max.as_usize();
        let mut waited = false;
        while self.state.read().hot_bytes > limit {
            if !waited {
                self.counters.hot_waits.inc(1);
                waited = true;
            }
            if *writing.work_lock.lock() {
                return Err(LakeError::Closed);
            }
            if writing.flush_failing.load(Ordering::Acquire) {
                return Err(LakeError::ReadOnly("Parquet files cannot be written and memory is full".to_owned()));
            }
            writing.wake();
            let mut guard = writing.space_lock.lock();
            writing.space.wait_for(&mut guard, Duration::from_millis(50));
        }
        Ok(())
    }

    fn reserve(writing: &Writing, id: u64) -> Result<(), LakeError> {
        let mut manifest = writing.manifest.lock();
        if id + RESERVE / 2 >= writing.reserved.load(Ordering::Acquire) {
            let reserved = id + RESERVE;
            manifest.commit(Change { reserved: Some(reserved), ..Change::default() })?;
            writing.reserved.store(reserved, Ordering::Release);
        }
        Ok(())
    }

    fn note_mark(&self, class_uid: u32, mark: u64) {
        let mut marks = self.marks.lock();
        let entry = marks.entry(class_uid).or_default();
        *entry = mark.max(*entry);
    }

    /// Largest mark that was ever appended to the class.
    pub(crate) fn last_mark(&self, class: &Class) -> Option<u64> {
        self.marks.lock().get(&class.uid).copied()
    }

    /// Keeps the log from `id` on, whatever is in Parquet files.
    pub(crate) fn hold_wal_from(&self, id: u64) {
        if let Some(writing) = &self.writing {
            writing.hold.store(id, Ordering::Release);
        }
    }

    /// One round of the background thread. Returns false when it is to stop.
    fn tick(&self, writing: &Writing) -> bool {
        {
            let mut stop = writing.work_lock.lock();
            if !*stop {
                writing.work.wait_for(&mut stop, TICK);
            }
            if *stop {
                return false;
            }
        }
        let flushed = self.flush_due(writing, false);
        writing.flush_failing.store(flushed.is_err(), Ordering::Release);
        if let Err(error) = flushed {
            self.counters.flush_errors.inc(1);
            tracing::error!(%error, "cannot write Parquet files; rows stay in memory and in the log");
        }
        let steps: [(&str, Step); 4] = [
            ("trim the log", |s, w| s.trim_wal(w)),
            ("apply retention", |s, w| s.retain(w)),
            ("merge files", |s, w| s.compact_step(w)),
            ("check files", |s, w| s.scrub_step(w)),
        ];
        for (what, step) in steps {
            if let Err(error) = step(self, writing) {
                tracing::error!(%error, "cannot {what}");
            }
        }
        let next = writing.wal.next_id();
        if let Err(error) = Self::reserve(writing, next) {
            tracing::error!(%error, "cannot reserve ids");
        }
        true
    }

    /// Starts the background thread. It holds the store weakly, so that a lake that is dropped ends.
    pub(crate) fn start_background(self: &Arc<Self>) -> Result<std::thread::JoinHandle<()>, LakeError> {
        let store = Arc::downgrade(self);
        std::thread::Builder::new()
            .name("lake-files".into())
            .spawn(move || {
                while let Some(store) = store.upgrade() {
                    let Some(writing) = &store.writing else { break };
                    if !store.tick(writing) {
                        break;
                    }
                }
            })
            .map_err(LakeError::io("starting the lake's background thread"))
    }

    /// Removes log files that nothing needs: every record is in Parquet files, and detection has moved on.
    fn trim_wal(&self, writing: &Writing) -> Result<(), LakeError> {
        let next = writing.wal.next_id();
        let unflushed = {
            let state = self.state.read();
            state.hot.values().filter_map(|p| p.batches.first()).map(|b| b.id).min().unwrap_or(next)
        };
        let hold = writing.hold.load(Ordering::Acquire);
        let segments = writing.wal.segments();
        let removable = |limit: u64| segments.get(1).is_some_and(|s| s.first_id <= limit);
        if removable(unflushed.min(hold)) {
            self.save_origins()?;
            let mut manifest = writing.manifest.lock();
            if hold != NO_HOLD && manifest.summary().hold != Some(hold) {
                manifest.commit(Change { hold: Some(hold), ..Change::default() })?;
            }
            drop(manifest);
            writing.wal.remove_while(|last| last < unflushed.min(hold));
        }
        let mut total: u64 = writing.wal.segments().iter().map(|s| s.bytes).sum();
        while total > self.config.wal_max.get() {
            self.save_origins()?;
            let done = std::cell::Cell::new(false);
            let freed = writing.wal.remove_while(|last| last < unflushed && !done.replace(true));
            if freed == 0 {
                break;
            }
            self.counters.wal_hold_overruns.inc(1);
            total -= freed;
        }
        let oldest = writing.wal.segments().first().map_or(0, |s| s.first_id);
        self.tombstones.write().retain(|t| t.id >= oldest);
        self.counters.gauges.wal_bytes.set(total as i64);
        Ok(())
    }

    /// Takes files out of service.
    fn remove_files(&self, writing: &Writing, files: &[Arc<LiveFile>]) -> Result<(), LakeError> {
        let remove = files.iter().map(|f| f.meta.path.clone()).collect();
        writing.manifest.lock().commit(Change { remove, ..Change::default() })?;
        let mut state = self.state.write();
        for file in files {
            state.replaced(file.key(), std::slice::from_ref(file), Vec::new());
        }
        Ok(())
    }

    /// Moves a damaged file aside, so that everything else works.
    pub(crate) fn quarantine(&self, file: &Arc<LiveFile>, why: &str) -> Result<(), LakeError> {
        let Ok(writing) = self.writing() else { return Ok(()) };
        tracing::error!(path = %file.meta.path, rows = file.meta.rows, why, "a damaged Parquet file is set aside");
        open::move_aside(&self.dir, &file.meta.path)?;
        self.remove_files(writing, std::slice::from_ref(file))?;
        self.counters.quarantined.inc(1);
        Ok(())
    }

    /// Moves everything in memory to Parquet files.
    pub(crate) fn flush_all(&self) -> Result<(), LakeError> {
        self.flush_due(self.writing()?, true)
    }

    /// Stops the background work and closes the log.
    pub(crate) fn close(&self) -> Result<(), LakeError> {
        let Some(writing) = &self.writing else { return Ok(()) };
        *writing.work_lock.lock() = true;
        writing.work.notify_all();
        writing.wal.close();
        if writing.wal.lag_bytes() == 0 { Ok(()) } else { Err(LakeError::ReadOnly("not everything is durable".into())) }
    }
}

impl Writing {
    fn wake(&self) {
        self.work.notify_one();
    }

    fn freed_memory(&self) {
        let _guard = self.space_lock.lock();
        self.space.notify_all();
    }
}
