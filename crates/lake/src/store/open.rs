//! Opening a lake: what is live is read from the manifest, what was not yet in Parquet files from the log, each row
//! exactly once, whatever instant the last process ended at.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use guardian_kit::clock::Clock;
use guardian_kit::metrics::Metrics;
use guardian_model::Batch;
use hashbrown::{HashMap, HashSet};
use parking_lot::{Condvar, Mutex, RwLock};

use super::manifest::{self, FileMeta, Manifest, Summary};
use super::origins::{self, ORIGIN_BYTES, Origins};
use super::state::{HotBatch, LiveFile, State};
use super::{NO_HOLD, Pace, RESERVE, Store, Tombstone, Writing, parquet_file, reader};
use crate::counters::Counters;
use crate::wal::{self, Follows, Header, Reader, RecordKind, Segment, Wal, WalOptions};
use crate::{LakeConfig, LakeError, LakeKeys, codec};

/// Files that a corrupt manifest or damaged Parquet file leaves behind go here.
const QUARANTINE: &str = "quarantine";

impl Store {
    pub(crate) fn open(
        config: LakeConfig,
        keys: &LakeKeys,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
        write: bool,
    ) -> Result<Arc<Self>, LakeError> {
        if write && config.encryption && keys.is_empty() {
            return Err(LakeError::Data("lake.encryption is on, and there is no key to encrypt with".to_owned()));
        }
        let dir = config.dir.clone();
        let counters = Arc::new(Counters::new(metrics));
        let wal_dir = dir.join("wal");
        let lock = if write { Some(prepare(&dir, &wal_dir)?) } else { None };
        let mut summary = load_manifest(&dir, keys, &counters, write)?;
        check_files(&dir, &mut summary, &counters, write)?;
        if write {
            remove_orphans(&dir, &summary, &counters)?;
        }
        let mut state = State::default();
        for meta in &summary.files {
            let key = (meta.tenant, meta.class_uid);
            state.files.entry(key).or_default().push(LiveFile::new(meta.clone(), &dir));
        }
        let mut marks: HashMap<u32, u64> = summary.marks.clone();
        let origins = Origins::load(&dir);
        let recovered = recover(&wal_dir, (&summary, origins), keys, &clock, &counters, write)?;
        let now = clock.monotonic();
        for batch in recovered.batches {
            state.push(batch, now);
        }
        for (class_uid, mark) in recovered.marks {
            let entry = marks.entry(class_uid).or_default();
            *entry = mark.max(*entry);
        }
        let writing = match lock {
            Some(lock) => {
                let next = next_id(&summary, &recovered.segments, recovered.last_id);
                let log = (recovered.segments, next);
                Some(start_writing(&config, keys, summary, log, lock, &counters)?)
            }
            None => None,
        };
        let store = Arc::new(Self {
            dir,
            config,
            keys: keys.clone(),
            clock,
            counters,
            state: RwLock::new(state),
            tombstones: RwLock::new(recovered.tombstones),
            writing,
            marks: Mutex::new(marks),
            origins: Mutex::new(recovered.origins),
            appending_once: Mutex::new(()),
        });
        store.publish_hot(&store.state.read());
        Ok(store)
    }
}

/// Makes the directories and takes the lock.
fn prepare(dir: &Path, wal_dir: &Path) -> Result<File, LakeError> {
    for dir in [dir, wal_dir, &dir.join("tables")] {
        fs::create_dir_all(dir).map_err(LakeError::io(format!("creating {}", dir.display())))?;
    }
    let path = dir.join("lock");
    let what = || format!("locking {}", path.display());
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(LakeError::io(what()))?;
    match lock.try_lock() {
        Ok(()) => {
            // What queries had put down when the process was killed.
            fs::remove_dir_all(dir.join("tmp")).ok();
            Ok(lock)
        }
        Err(fs::TryLockError::WouldBlock) => Err(LakeError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(LakeError::io(what())(error)),
    }
}

fn start_writing(
    config: &LakeConfig,
    keys: &LakeKeys,
    mut summary: Summary,
    (segments, next): (Vec<Segment>, u64),
    lock: File,
    counters: &Arc<Counters>,
) -> Result<Writing, LakeError> {
    let dir = &config.dir;
    summary.reserved = next + RESERVE;
    let hold = summary.hold.unwrap_or(NO_HOLD);
    let manifest = Manifest::start(dir, summary)?;
    let options = WalOptions {
        dir: dir.join("wal"),
        segment_bytes: config.wal_segment.get().max(1 << 16),
        commit_interval: config.commit_interval.get(),
        queue_bytes: config.wal_queue.as_usize(),
        keys: config.encryption.then(|| keys.clone()),
    };
    Ok(Writing {
        wal: Wal::start(options, segments, next, Arc::clone(counters))?,
        manifest: Mutex::new(manifest),
        files: Mutex::new(Pace::default()),
        hold: AtomicU64::new(hold),
        reserved: AtomicU64::new(next + RESERVE),
        work: Condvar::new(),
        work_lock: Mutex::new(false),
        space: Condvar::new(),
        space_lock: Mutex::new(()),
        flush_failing: AtomicBool::new(false),
        _lock: lock,
    })
}

/// Behind everything that was ever given out.
fn next_id(summary: &Summary, segments: &[Segment], last_id: u64) -> u64 {
    let files = summary.files.iter().map(|f| f.ids.1);
    let flushed = summary.flushed.values().copied();
    let started = segments.iter().map(|s| s.first_id);
    let known = files.chain(flushed).chain(started).chain([last_id]).max().unwrap_or(0);
    summary.reserved.max(known + 1)
}

/// Reads the manifest; where it is missing or damaged, the files themselves tell.
fn load_manifest(dir: &Path, keys: &LakeKeys, counters: &Counters, write: bool) -> Result<Summary, LakeError> {
    let loaded = manifest::load(dir)?;
    counters.manifest_damage.inc(loaded.damaged_lines);
    if loaded.found && loaded.damaged_lines == 0 {
        return Ok(loaded.summary);
    }
    let mut found: Vec<FileMeta> = Vec::new();
    for path in parquet_files(&dir.join("tables")) {
        let Some(name) = path.strip_prefix(dir).ok().and_then(Path::to_str) else { continue };
        if let Some(meta) = reader::describe(dir, name, keys)? {
            found.push(meta);
        } else {
            tracing::warn!(path = name, "a file that does not describe itself is set aside");
            counters.quarantined.inc(1);
            if write {
                move_aside(dir, name)?;
            }
        }
    }
    if loaded.found || !found.is_empty() {
        tracing::error!(files = found.len(), "the manifest was damaged or missing and is rebuilt from the files");
    }
    let replaced: HashSet<String> = found.iter().flat_map(|f| f.replaces.iter().cloned()).collect();
    found.retain(|f| !replaced.contains(&f.path));
    let mut summary = loaded.summary;
    for meta in &found {
        let entry = summary.flushed.entry((meta.tenant, meta.class_uid)).or_default();
        *entry = meta.ids.1.max(*entry);
    }
    summary.files = found;
    Ok(summary)
}

/// Sets files aside that are visibly damaged, and forgets those that are gone.
fn check_files(dir: &Path, summary: &mut Summary, counters: &Counters, write: bool) -> Result<(), LakeError> {
    let mut bad = Vec::new();
    for meta in &mut summary.files {
        if let Err(why) = parquet_file::quick_check(&dir.join(&meta.path), meta.bytes) {
            tracing::error!(path = %meta.path, rows = meta.rows, why, "a damaged Parquet file is set aside");
            bad.push(meta.path.clone());
        } else if let Some(rollup) = &meta.rollup
            && parquet_file::quick_check(&dir.join(&rollup.path), rollup.bytes).is_err()
        {
            // Only the roll-up is damaged: the rows answer instead.
            meta.rollup = None;
        }
    }
    counters.quarantined.inc(bad.len() as u64);
    for path in &bad {
        if write {
            move_aside(dir, path)?;
        }
    }
    summary.files.retain(|f| !bad.contains(&f.path));
    Ok(())
}

/// Moves a file to the quarantine directory, under a name that tells where it was.
pub(super) fn move_aside(dir: &Path, path: &str) -> Result<(), LakeError> {
    let quarantine = dir.join(QUARANTINE);
    let what = || format!("setting {path} aside");
    fs::create_dir_all(&quarantine).map_err(LakeError::io(what()))?;
    match fs::rename(dir.join(path), quarantine.join(path.replace('/', "_"))) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LakeError::io(what())(error)),
        _ => Ok(()),
    }
}

/// Removes files that were being written when the process ended, and files that were about to be removed.
fn remove_orphans(dir: &Path, summary: &Summary, counters: &Counters) -> Result<(), LakeError> {
    let mut live: HashSet<PathBuf> = HashSet::new();
    for meta in &summary.files {
        live.insert(dir.join(&meta.path));
        live.extend(meta.rollup.iter().map(|r| dir.join(&r.path)));
    }
    for tree in ["tables", "rollups"] {
        for path in files_below(&dir.join(tree)) {
            let ours = path.extension().is_some_and(|e| e == "parquet" || e == "tmp");
            if ours && !live.contains(&path) {
                fs::remove_file(&path).map_err(LakeError::io(format!("removing {}", path.display())))?;
                counters.orphans.inc(1);
            }
        }
    }
    Ok(())
}

fn parquet_files(dir: &Path) -> Vec<PathBuf> {
    files_below(dir).into_iter().filter(|p| p.extension().is_some_and(|e| e == "parquet")).collect()
}

/// All files below a directory; what cannot be listed is not there.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}

/// What the log holds beyond the Parquet files.
#[derive(Default)]
struct Recovered {
    segments: Vec<Segment>,
    batches: Vec<HotBatch>,
    tombstones: Vec<Tombstone>,
    marks: HashMap<u32, u64>,
    origins: Origins,
    last_id: u64,
}

fn recover(
    wal_dir: &Path,
    (summary, origins): (&Summary, Origins),
    keys: &LakeKeys,
    clock: &Arc<dyn Clock>,
    counters: &Counters,
    write: bool,
) -> Result<Recovered, LakeError> {
    let mut recovered = Recovered { origins, ..Recovered::default() };
    if !write && !wal_dir.exists() {
        return Ok(recovered);
    }
    let started = clock.monotonic();
    let mut before = None;
    for mut segment in wal::list(wal_dir)? {
        let mut reader = Reader::open(&segment.path)?;
        let follows = reader.follows();
        // Without its key a segment is refused, unless nothing is in it.
        let mut unlocked = Some(reader.unlock(keys));
        let mut records = 0_u64;
        while let Some((header, at)) = reader.next()? {
            unlocked.take().transpose()?;
            records += 1;
            // A record may be there twice, when a failed sync made the writer repeat it.
            if header.id > recovered.last_id {
                recovered.last_id = header.id;
                recovered.take(&header, at, &mut reader, summary)?;
            }
        }
        counters.wal_damage.inc(reader.damage.holes + reader.damage.bodies);
        counters.wal_damage.inc(u64::from(is_missing(follows, before, &segment.path)));
        before = if records > 0 { Some((segment.first_id, reader.good_end)) } else { before };
        counters.wal_torn.inc(u64::from(reader.damage.tail_bytes > 0));
        if !write {
            continue;
        }
        if records == 0 {
            fs::remove_file(&segment.path).map_err(LakeError::io(format!("removing {}", segment.path.display())))?;
            continue;
        }
        if reader.good_end < segment.bytes {
            seal(&segment.path, reader.good_end)?;
            segment.bytes = reader.good_end;
        }
        recovered.segments.push(segment);
    }
    recovered.bury();
    let rows: u64 = recovered.batches.iter().map(|b| b.rows.num_rows() as u64).sum();
    counters.recovered_rows.inc(rows);
    let took = clock.monotonic().saturating_sub(started);
    tracing::info!(rows, took_ms = took.as_millis() as u64, "read the write-ahead log");
    Ok(recovered)
}

/// Whether something is missing between a segment and the one `before` it, by what it says itself. Before the oldest
/// others were that are no longer needed.
fn is_missing(follows: Follows, before: Follows, path: &Path) -> bool {
    let missing = match (follows, before) {
        (Some((first, end)), Some((there, good_end))) => first != there || good_end < end,
        _ => false,
    };
    if missing {
        tracing::error!(path = %path.display(), "a part of the log before this one was cut off or taken out");
    }
    missing
}

/// Cuts everything behind the last good record off, and makes what stands durable before it is served.
fn seal(path: &Path, end: u64) -> Result<(), LakeError> {
    let what = || format!("sealing {}", path.display());
    let file = File::options().write(true).open(path).map_err(LakeError::io(what()))?;
    file.set_len(end).and_then(|()| file.sync_all()).map_err(LakeError::io(what()))
}

impl Recovered {
    fn take(&mut self, header: &Header, at: u64, reader: &mut Reader, summary: &Summary) -> Result<(), LakeError> {
        if let Some(mark) = header.mark {
            let entry = self.marks.entry(header.class_uid).or_default();
            *entry = mark.max(*entry);
        }
        let flushed = summary.flushed.get(&(header.tenant, header.class_uid)).copied().unwrap_or(0);
        let stored = header.kind == RecordKind::Batch && (header.id <= flushed || header.rows == 0);
        if stored && !header.origin {
            return Ok(());
        }
        let mut body = Vec::new();
        if !reader.body(header, at, &mut body)? {
            return Ok(());
        }
        if let Some(origin) = origins::take(&body).filter(|_| header.origin) {
            self.origins.note(&origin, header.class_uid, header.id);
        }
        if stored {
            return Ok(());
        }
        match header.kind {
            RecordKind::ClearReplay => self.tombstones.push(tombstone(header, &body)),
            RecordKind::Batch => match decode_batch(header, &body) {
                Ok(Some(batch)) => self.batches.push(HotBatch::new(header.id, &batch, header.mark)),
                Ok(None) => tracing::warn!(class = header.class_uid, "a record of an unknown class is skipped"),
                Err(error) => {
                    tracing::warn!(%error, id = header.id, "a record is skipped");
                    reader.damage.bodies += 1;
                }
            },
        }
        Ok(())
    }

    /// Deletes what was deleted before.
    fn bury(&mut self) {
        for tombstone in &self.tombstones {
            let before = |b: &&mut HotBatch| b.id < tombstone.id && b.tenant == tombstone.tenant;
            for batch in self.batches.iter_mut().filter(before) {
                if let Some((kept, _)) = batch.without_replay(tombstone.name.as_deref()) {
                    *batch = kept;
                }
            }
        }
        self.batches.retain(|b| b.rows.num_rows() > 0);
    }
}

fn tombstone(header: &Header, body: &[u8]) -> Tombstone {
    let name = String::from_utf8_lossy(body).into_owned();
    Tombstone { id: header.id, tenant: header.tenant, name: (!name.is_empty()).then_some(name) }
}

/// The batch of a record; `None` where the class is of a newer version.
pub(crate) fn decode_batch(header: &Header, body: &[u8]) -> Result<Option<Batch>, LakeError> {
    let Some(class) = header.class() else { return Ok(None) };
    let rows = if header.origin { body.get(ORIGIN_BYTES..).unwrap_or_default() } else { body };
    let rows = codec::decode(class, rows)?;
    Ok(Some(Batch { tenant: header.tenant, class, received: header.received, rows }))
}
