//! The writing thread of the log, and the queue before it.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;

use super::record::{ALIGN, HEADER_BYTES, Header};
use super::seal::{Follows, SegmentCipher};
use super::segment::{self, Segment};
use crate::LakeError;
use crate::counters::Counters;
use crate::error::is_disk_full;
use crate::keys::{LakeKeys, TAG_BYTES};

/// How long the writer waits before it tries a failing disk again.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Settings of the log.
#[derive(Clone, Debug)]
pub(crate) struct WalOptions {
    pub(crate) dir: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) commit_interval: Duration,
    /// Bytes that may wait to become durable before `append` blocks.
    pub(crate) queue_bytes: usize,
    /// What encrypts the segments, if they are to be.
    pub(crate) keys: Option<LakeKeys>,
}

/// Tells up to which id the log is durable.
#[derive(Debug)]
pub(crate) struct Commit {
    durable: watch::Sender<u64>,
    state: Mutex<CommitState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct CommitState {
    durable: u64,
    closed: bool,
}

impl Commit {
    fn new() -> Self {
        Self { durable: watch::Sender::new(0), state: Mutex::default(), changed: Condvar::new() }
    }

    fn advance(&self, id: u64) {
        self.state.lock().durable = id;
        self.changed.notify_all();
        self.durable.send_replace(id);
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
        // Wakes asynchronous waiters so that they see the end.
        self.durable.send_modify(|_| ());
    }

    pub(crate) fn upto(&self) -> u64 {
        self.state.lock().durable
    }

    pub(crate) fn wait(&self, id: u64) -> Result<(), LakeError> {
        let mut state = self.state.lock();
        while state.durable < id {
            if state.closed {
                return Err(LakeError::Closed);
            }
            self.changed.wait(&mut state);
        }
        Ok(())
    }

    pub(crate) async fn ready(&self, id: u64) -> Result<(), LakeError> {
        let mut watch = self.durable.subscribe();
        loop {
            if *watch.borrow_and_update() >= id {
                return Ok(());
            }
            if self.state.lock().closed {
                return Err(LakeError::Closed);
            }
            watch.changed().await.map_err(|_| LakeError::Closed)?;
        }
    }
}

/// A record that waits to be written.
struct Pending {
    id: u64,
    header: Header,
    bytes: Vec<u8>,
}

impl Pending {
    fn body(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..HEADER_BYTES + self.header.body_len as usize]
    }
}

struct Queue {
    pending: VecDeque<Pending>,
    /// Bytes accepted and not yet durable, those being written included.
    bytes: usize,
    next_id: u64,
    closed: bool,
    /// Why the writer cannot write.
    failing: Option<String>,
    /// Why nothing is to be accepted though the writer could write.
    refused: Option<String>,
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    space: Condvar,
    commit: Arc<Commit>,
    segments: Mutex<Vec<Segment>>,
    counters: Arc<Counters>,
    options: WalOptions,
}

/// The log, open for appending.
pub(crate) struct Wal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// An accepted record; while it is held no other is accepted, so that the order of ids and whatever the caller does
/// with it (making the rows visible) are one step.
pub(crate) struct Accepted<'a> {
    pub(crate) id: u64,
    _queue: MutexGuard<'a, Queue>,
}

impl Wal {
    /// Starts a new segment at `next_id`. `segments` are those already there, oldest first.
    pub(crate) fn start(
        options: WalOptions,
        segments: Vec<Segment>,
        next_id: u64,
        counters: Arc<Counters>,
    ) -> Result<Self, LakeError> {
        let fresh = segment::create(
            &options.dir,
            next_id,
            options.segment_bytes,
            segments.last().map(|s| (s.first_id, s.bytes)),
            options.keys.as_ref(),
        )?;
        let mut all = segments;
        all.push(fresh.segment);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                pending: VecDeque::new(),
                bytes: 0,
                next_id,
                closed: false,
                failing: None,
                refused: None,
            }),
            work: Condvar::new(),
            space: Condvar::new(),
            commit: Arc::new(Commit::new()),
            segments: Mutex::new(all),
            counters,
            options,
        });
        shared.commit.advance(next_id.saturating_sub(1));
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            file: fresh.file,
            start: fresh.start,
            offset: fresh.start,
            cipher: fresh.cipher,
            sealed: Vec::new(),
            last_sync: Instant::now(),
            failing: false,
        };
        let thread = std::thread::Builder::new()
            .name("lake-wal".into())
            .spawn(move || writer.run())
            .map_err(LakeError::io("starting the log's thread"))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Accepts a record: gives it an id and queues it. Blocks while too much waits; fails while the disk does.
    /// `record` is the encoded body behind [`HEADER_BYTES`] free bytes; the header is filled in here.
    pub(crate) fn append(&self, mut header: Header, mut record: Vec<u8>) -> Result<Accepted<'_>, LakeError> {
        header.body_len = (record.len() - HEADER_BYTES) as u32;
        header.body_crc = crc32fast::hash(&record[HEADER_BYTES..]);
        record.resize(record.len().next_multiple_of(ALIGN as usize), 0);
        let mut queue = self.shared.queue.lock();
        loop {
            if queue.closed {
                return Err(LakeError::Closed);
            }
            if let Some(why) = queue.failing.as_ref().or(queue.refused.as_ref()) {
                return Err(LakeError::ReadOnly(why.clone()));
            }
            if queue.bytes == 0 || queue.bytes + record.len() <= self.shared.options.queue_bytes {
                break;
            }
            self.shared.counters.append_waits.inc(1);
            self.shared.space.wait(&mut queue);
        }
        let id = queue.next_id;
        queue.next_id += 1;
        header.id = id;
        record[..HEADER_BYTES].copy_from_slice(&header.encode());
        queue.bytes += record.len();
        queue.pending.push_back(Pending { id, header, bytes: record });
        self.shared.work.notify_one();
        Ok(Accepted { id, _queue: queue })
    }

    pub(crate) fn commit(&self) -> &Arc<Commit> {
        &self.shared.commit
    }

    /// The id that the next record gets.
    pub(crate) fn next_id(&self) -> u64 {
        self.shared.queue.lock().next_id
    }

    /// Bytes accepted and not yet durable.
    pub(crate) fn lag_bytes(&self) -> usize {
        self.shared.queue.lock().bytes
    }

    /// Why appending is refused now.
    pub(crate) fn failing(&self) -> Option<String> {
        let queue = self.shared.queue.lock();
        queue.failing.clone().or_else(|| queue.refused.clone())
    }

    /// Refuses appends for a reason found outside the log, or accepts them again.
    pub(crate) fn refuse(&self, why: Option<String>) {
        self.shared.queue.lock().refused = why;
        self.shared.space.notify_all();
    }

    /// The segments, oldest first; the last one is being written.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.shared.segments.lock().clone()
    }

    /// Removes the oldest segments as long as `expendable(last id in it)`; the one being written stays. Returns the
    /// bytes freed.
    pub(crate) fn remove_while(&self, expendable: impl Fn(u64) -> bool) -> u64 {
        let mut freed = 0;
        let mut segments = self.shared.segments.lock();
        while let [oldest, next, ..] = segments.as_slice() {
            if !expendable(next.first_id.saturating_sub(1)) {
                break;
            }
            if let Err(error) = std::fs::remove_file(&oldest.path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %oldest.path.display(), %error, "cannot remove a segment of the log");
                break;
            }
            freed += oldest.bytes;
            segments.remove(0);
        }
        freed
    }

    /// Writes and syncs what was accepted, then stops. While the disk fails it gives up after a short time.
    pub(crate) fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.work.notify_all();
        self.shared.space.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the log's thread panicked");
        }
        self.shared.commit.close();
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.close();
    }
}

struct Writer {
    shared: Arc<Shared>,
    file: File,
    /// Where the segment's first record stands.
    start: u64,
    offset: u64,
    cipher: Option<SegmentCipher>,
    /// The record that is being sealed.
    sealed: Vec<u8>,
    last_sync: Instant,
    failing: bool,
}

impl Writer {
    fn run(&mut self) {
        while let Some(mut batch) = self.take(None) {
            // Everything of one commit stays in memory until it is durable, so that a failed sync can be repeated
            // in a new segment: after a failed fsync the kernel may have dropped the pages.
            let mut written = 0;
            let deadline = self.last_sync + self.shared.options.commit_interval;
            loop {
                self.write_from(&mut batch, &mut written);
                if written < batch.len() {
                    return Self::give_up();
                }
                match self.take(Some(deadline)) {
                    Some(more) => batch.extend(more),
                    None => break,
                }
            }
            if !self.sync(&mut batch) {
                return Self::give_up();
            }
            self.publish(&batch);
        }
    }

    /// Waits for records. With a deadline, `None` means that it passed or the log was closed; without one, that the
    /// log was closed and nothing is left.
    fn take(&self, deadline: Option<Instant>) -> Option<Vec<Pending>> {
        let mut queue = self.shared.queue.lock();
        loop {
            if deadline.is_some_and(|d| Instant::now() >= d) {
                return None;
            }
            if !queue.pending.is_empty() {
                return Some(queue.pending.drain(..).collect());
            }
            if queue.closed {
                return None;
            }
            match deadline {
                None => self.shared.work.wait(&mut queue),
                Some(deadline) => {
                    self.shared.work.wait_until(&mut queue, deadline);
                }
            }
        }
    }

    /// Writes records until all are, retrying while the disk is full; stops early only when the log is closed.
    fn write_from(&mut self, batch: &mut [Pending], written: &mut usize) {
        while let Some(record) = batch.get(*written) {
            match self.write(record) {
                Ok(()) => {
                    *written += 1;
                    self.recovered();
                }
                Err(error) => {
                    if !self.failed(&error) {
                        return;
                    }
                }
            }
        }
    }

    fn write(&mut self, record: &Pending) -> Result<(), LakeError> {
        let sealing = if self.cipher.is_some() { TAG_BYTES } else { 0 };
        let longest = (record.bytes.len() + sealing) as u64;
        if self.offset > self.start && self.offset + longest > self.shared.options.segment_bytes {
            self.rotate(record.id)?;
        }
        let bytes = match &self.cipher {
            None => &record.bytes,
            Some(cipher) => {
                cipher.seal(record.header, record.body(), self.offset, &mut self.sealed)?;
                self.sealed.resize(self.sealed.len().next_multiple_of(ALIGN as usize), 0);
                &self.sealed
            }
        };
        self.file.write_all_at(bytes, self.offset).map_err(LakeError::io("writing the log"))?;
        let length = bytes.len() as u64;
        self.offset += length;
        self.shared.counters.wal_bytes.inc(length);
        Ok(())
    }

    /// Seals the segment and starts the next. The sealed one is synced first: durability goes in the order of ids.
    fn rotate(&mut self, first_id: u64) -> Result<(), LakeError> {
        self.file.sync_data().map_err(LakeError::io("syncing the log"))?;
        let options = &self.shared.options;
        let follows: Follows = self.shared.segments.lock().last().map(|s| (s.first_id, self.offset));
        let next = segment::create(&options.dir, first_id, options.segment_bytes, follows, options.keys.as_ref())?;
        let mut segments = self.shared.segments.lock();
        if let Some(sealed) = segments.last_mut() {
            // Gives the reserved rest back; failing to is harmless.
            self.file.set_len(self.offset).ok();
            sealed.bytes = self.offset;
        }
        segments.push(next.segment);
        drop(segments);
        self.file = next.file;
        self.cipher = next.cipher;
        self.start = next.start;
        self.offset = next.start;
        Ok(())
    }

    fn sync(&mut self, batch: &mut [Pending]) -> bool {
        loop {
            match self.file.sync_data() {
                Ok(()) => {
                    self.last_sync = Instant::now();
                    self.shared.counters.wal_syncs.inc(1);
                    return true;
                }
                Err(error) => {
                    let error = LakeError::io("syncing the log")(error);
                    if !self.failed(&error) {
                        return false;
                    }
                    // Write it all again, after what may have been lost: readers skip records they have seen.
                    let mut written = 0;
                    self.write_from(batch, &mut written);
                    if written < batch.len() {
                        return false;
                    }
                }
            }
        }
    }

    fn publish(&self, batch: &[Pending]) {
        let Some(last) = batch.last() else { return };
        let bytes: usize = batch.iter().map(|p| p.bytes.len()).sum();
        self.shared.queue.lock().bytes -= bytes;
        self.shared.space.notify_all();
        self.shared.commit.advance(last.id);
    }

    /// Notes the failure and waits a little. False when the log was closed meanwhile.
    fn failed(&mut self, error: &LakeError) -> bool {
        let full = matches!(error, LakeError::Io { source, .. } if is_disk_full(source));
        let why = if full { "disk full".to_owned() } else { error.to_string() };
        let mut queue = self.shared.queue.lock();
        if queue.failing.is_none() {
            tracing::error!(%error, "the log cannot be written: the lake is read-only until it can");
            if full {
                self.shared.counters.disk_full.inc(1);
            }
        }
        queue.failing = Some(why);
        self.failing = true;
        self.shared.space.notify_all();
        if queue.closed {
            return false;
        }
        self.shared.work.wait_for(&mut queue, RETRY_EVERY);
        !queue.closed
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.failing) {
            self.shared.queue.lock().failing = None;
            tracing::info!("the log can be written again");
        }
    }

    /// The log was closed while the disk failed: what was not durable is lost and was never acknowledged.
    fn give_up() {
        tracing::error!("the log was closed before everything accepted was durable");
    }
}
