//! The lake as the rest of the program sees it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use guardian_kit::clock::Clock;
use guardian_kit::metrics::Metrics;
use guardian_model::{Batch, Class, Origin, Scope};
use parking_lot::Mutex;
use serde::Serialize;

use crate::sql::Engine;
use crate::store::{Cleared, Store};
use crate::wal::Commit;
use crate::{LakeConfig, LakeError, LakeKeys, Replay};

/// The telemetry store. Clones share it.
#[derive(Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Mutex<Option<Arc<Engine>>>,
    background: Mutex<Option<JoinHandle<()>>>,
}

/// A batch that was accepted: queries see it already.
#[derive(Debug)]
pub struct Appended {
    /// Number of the batch: its position in the log, growing and never reused.
    pub id: u64,
    /// Tells when it is durable.
    pub durable: Durable,
}

/// What became of a batch that is applied once.
#[derive(Debug)]
pub enum Once {
    /// It is new.
    Stored(Appended),
    /// It was stored before; this tells when that is durable.
    Known(Durable),
}

/// Tells when a batch is durable, that is, synced to disk.
#[derive(Clone, Debug)]
pub struct Durable {
    id: u64,
    commit: Arc<Commit>,
}

impl Durable {
    /// Number of the batch.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Blocks until it is durable. While the disk is full this waits until there is room; it fails only when the lake
    /// is closed before.
    pub fn wait(&self) -> Result<(), LakeError> {
        self.commit.wait(self.id)
    }

    /// Waits without blocking a thread; as [`Self::wait`] otherwise.
    pub async fn ready(&self) -> Result<(), LakeError> {
        self.commit.ready(self.id).await
    }

    /// Whether it is durable by now.
    pub fn is_durable(&self) -> bool {
        self.commit.upto() >= self.id
    }
}

/// How the lake is doing. Counters are since the process started.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LakeStats {
    /// Rows stored, in memory and in files.
    pub rows: u64,
    /// Parquet files.
    pub files: u64,
    /// Bytes of Parquet files.
    pub file_bytes: u64,
    /// Oldest row's time of receipt in files, in microseconds.
    pub oldest_received: Option<i64>,
    /// Rows that are not yet in Parquet files.
    pub hot_rows: u64,
    /// Memory that they take.
    pub hot_bytes: u64,
    /// Bytes of the write-ahead log on disk.
    pub wal_bytes: u64,
    /// Bytes accepted and not yet durable.
    pub wal_lag_bytes: u64,
    /// The id that the next batch gets.
    pub next_id: u64,
    /// Every batch before this id is durable.
    pub durable_before: u64,
    /// Why nothing is accepted now.
    pub read_only: Option<String>,
    /// Rows accepted.
    pub appended_rows: u64,
    /// Rows refused while the disk was full or failing.
    pub refused_rows: u64,
    /// Parquet files written from memory.
    pub flushes: u64,
    /// Merges of small files.
    pub compactions: u64,
    /// Rows rewritten by merging.
    pub compacted_rows: u64,
    /// Files removed because of their age.
    pub expired_files: u64,
    /// Files removed early to stay within the space allowed.
    pub evicted_files: u64,
    /// Damaged Parquet files set aside.
    pub quarantined_files: u64,
    /// Damaged records and holes skipped in the log.
    pub wal_damage: u64,
    /// Queries started.
    pub queries: u64,
    /// Queries answered from minute roll-ups.
    pub rollup_queries: u64,
}

impl Lake {
    /// Opens a lake for writing, creating it where there is none, and reads back what was not yet in Parquet files.
    /// `keys` open the files that are encrypted, and encrypt new ones where the configuration says so.
    pub fn open(
        config: LakeConfig,
        keys: &LakeKeys,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, LakeError> {
        let store = Store::open(config, keys, clock, metrics, true)?;
        let background = store.start_background()?;
        Ok(Self {
            inner: Arc::new(Inner { store, engine: Mutex::default(), background: Mutex::new(Some(background)) }),
        })
    }

    /// Opens a lake as it is now, for queries; nothing in its directory is changed. Works beside a server, whose later
    /// rows are not seen; should it merge or remove a file meanwhile, a query of that file fails and opening again
    /// helps.
    pub fn open_read_only(
        config: LakeConfig,
        keys: &LakeKeys,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, LakeError> {
        let store = Store::open(config, keys, clock, metrics, false)?;
        Ok(Self { inner: Arc::new(Inner { store, engine: Mutex::default(), background: Mutex::new(None) }) })
    }

    /// Accepts a batch. Its rows are visible to queries at once, and durable when [`Appended::durable`] says so, which
    /// is within the commit interval. Blocks while the disk or the flushing to files is behind, and fails with
    /// [`LakeError::ReadOnly`] while the disk is full. `mark` is kept with the batch: see [`Self::last_mark`].
    pub fn append(&self, batch: &Batch, mark: Option<u64>) -> Result<Appended, LakeError> {
        let (id, commit) = self.inner.store.append(batch, mark)?;
        Ok(Appended { id, durable: Durable { id, commit } })
    }

    /// Accepts a batch as [`Self::append`] does, once, however often its sender sends it: the mark of its origin stands in
    /// the same record of the log. Batches of one sender, epoch, lane and class come in the order of their sequences.
    pub fn append_once(&self, batch: &Batch, origin: &Origin) -> Result<Once, LakeError> {
        let (id, commit, known) = self.inner.store.append_once(batch, origin)?;
        let durable = Durable { id, commit };
        Ok(if known { Once::Known(durable) } else { Once::Stored(Appended { id, durable }) })
    }

    /// The last sequence of each lane of a sender's epoch, and what tells when all of them are durable. A sequence may
    /// have come with batches of several classes, of which not all need to be there.
    pub fn origin_marks(&self, sender: &[u8; 16], epoch: u64) -> Result<(Vec<(u32, u64)>, Durable), LakeError> {
        let (lanes, id) = self.inner.store.origins.lock().of(sender, epoch);
        Ok((lanes, Durable { id, commit: self.inner.store.commit()? }))
    }

    /// Forgets the marks of a sender that will not send any more.
    pub fn forget_origin(&self, sender: &[u8; 16]) {
        self.inner.store.origins.lock().forget(sender);
    }

    /// Tells when the batch with this number, and all before it, are durable.
    pub fn durable(&self, id: u64) -> Result<Durable, LakeError> {
        Ok(Durable { id, commit: self.inner.store.commit()? })
    }

    /// The batches in the log from `first` on, in order, as far as they were accepted by now and the log still has
    /// them ([`Self::hold_wal_from`]). Their `batch` and `row` columns are filled.
    pub fn replay_from(&self, first: u64) -> Result<Replay, LakeError> {
        let store = &self.inner.store;
        let (segments, until) = match &store.writing {
            Some(writing) => {
                let until = writing.wal.next_id();
                // What is accepted but not yet written would be missing.
                writing.wal.commit().wait(until.saturating_sub(1))?;
                (writing.wal.segments(), until)
            }
            None => (crate::wal::list(&store.dir.join("wal"))?, u64::MAX),
        };
        let begin = segments.partition_point(|s| s.first_id <= first).saturating_sub(1);
        let paths = segments[begin..].iter().map(|s| s.path.clone()).collect();
        Ok(Replay::new(first, until, paths, store.tombstones.read().clone(), store.keys.clone()))
    }

    /// Keeps the log from batch `id` on, so that [`Self::replay_from`] finds it after a restart. Before the first call
    /// of a lake's life nothing is kept beyond what is not yet in Parquet files.
    pub fn hold_wal_from(&self, id: u64) {
        self.inner.store.hold_wal_from(id);
    }

    /// Largest mark that was appended to a class, over restarts.
    pub fn last_mark(&self, class: &Class) -> Option<u64> {
        self.inner.store.last_mark(class)
    }

    /// Deletes the rows of one replay, or of every replay (`None`), of all classes, for the tenants in scope. Rows
    /// accepted later are not affected.
    pub fn clear_replay(&self, scope: &Scope, name: Option<&str>) -> Result<Cleared, LakeError> {
        self.inner.store.clear_replay(scope, name)
    }

    /// Moves everything in memory to Parquet files now.
    pub fn flush(&self) -> Result<(), LakeError> {
        let store = &self.inner.store;
        store.flush_all()
    }

    /// Stops accepting, makes what was accepted durable, and ends the background work. Rows in memory stay in the log,
    /// which the next start reads, so this is quick.
    pub fn shutdown(&self) -> Result<(), LakeError> {
        let result = self.inner.store.close();
        if let Some(thread) = self.inner.background.lock().take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the lake's background thread panicked");
        }
        result
    }

    /// How the lake is doing.
    pub fn stats(&self) -> LakeStats {
        self.inner.store.stats()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.store.close() {
            tracing::error!(%error, "closing the lake");
        }
        if let Some(thread) = self.background.lock().take()
            && thread.thread().id() != std::thread::current().id()
        {
            thread.join().ok();
        }
    }
}

impl Store {
    fn stats(&self) -> LakeStats {
        let counters = &self.counters;
        let mut stats = {
            let state = self.state.read();
            let files = || state.all_files();
            LakeStats {
                rows: state.hot_rows as u64 + files().map(|f| f.meta.rows).sum::<u64>(),
                files: files().count() as u64,
                file_bytes: files().map(|f| f.meta.disk_bytes()).sum(),
                oldest_received: files().filter_map(|f| f.meta.time("received")).map(|(low, _)| low).min(),
                hot_rows: state.hot_rows as u64,
                hot_bytes: state.hot_bytes as u64,
                ..LakeStats::default()
            }
        };
        if let Some(writing) = &self.writing {
            stats.wal_bytes = writing.wal.segments().iter().map(|s| s.bytes).sum();
            stats.wal_lag_bytes = writing.wal.lag_bytes() as u64;
            stats.next_id = writing.wal.next_id();
            stats.durable_before = writing.wal.commit().upto() + 1;
            stats.read_only = writing.wal.failing();
            if stats.read_only.is_none() && writing.flush_failing.load(Ordering::Acquire) {
                stats.read_only = Some("Parquet files cannot be written; accepting until memory is full".to_owned());
            }
        }
        stats.appended_rows = counters.rows.get();
        stats.refused_rows = counters.refused_rows.get();
        stats.flushes = counters.flushes.get();
        stats.compactions = counters.compactions.get();
        stats.compacted_rows = counters.compacted_rows.get();
        stats.expired_files = counters.expired_files.get();
        stats.evicted_files = counters.evicted_files.get();
        stats.quarantined_files = counters.quarantined.get();
        stats.wal_damage = counters.wal_damage.get();
        stats.queries = counters.queries.get();
        stats.rollup_queries = counters.rollup_queries.get();
        stats
    }
}
