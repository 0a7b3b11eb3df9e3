//! The thread between sources and spool: it closes batches, writes them, and has them synced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use guardian_protocol::limits::CLASSES_PER_BATCH_MAX;
use guardian_protocol::{Events, WireError, seal};
use tokio::sync::Notify;

use crate::outbox::Inbox;
use crate::spool::Spool;

/// A batch is closed when its first rows have waited this long.
const BATCH_AGE: Duration = Duration::from_millis(200);
/// A batch is closed at this many rows.
const BATCH_ROWS: usize = 2_000;
/// How often the spool is synced.
const SYNC: Duration = Duration::from_secs(1);
/// Longest sleep, so that a stop is seen.
const LOOK: Duration = Duration::from_millis(100);

/// The spool with whoever waits for something in it.
pub(crate) struct Shared {
    spool: Mutex<Spool>,
    /// Something was written.
    pub(crate) written: Notify,
    /// Rows written since the start.
    pub(crate) rows: AtomicU64,
    /// The disk fails.
    pub(crate) failing: AtomicBool,
    pub(crate) stop: AtomicBool,
}

impl Shared {
    pub(crate) fn new(spool: Spool) -> Arc<Self> {
        Arc::new(Self {
            spool: Mutex::new(spool),
            written: Notify::new(),
            rows: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        })
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Spool) -> T) -> T {
        work(&mut self.spool.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Spooler {
    shared: Arc<Shared>,
    open: Vec<Events>,
    rows: usize,
    since: Instant,
    waiting: Vec<SyncSender<()>>,
    synced: Instant,
    /// The last batch could not be written.
    failed: bool,
}

/// Starts the thread; it ends when all sources are gone and everything is written and synced.
pub(crate) fn start(inbox: Inbox, shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let now = Instant::now();
    let spooler =
        Spooler { shared, open: Vec::new(), rows: 0, since: now, waiting: Vec::new(), synced: now, failed: false };
    std::thread::Builder::new().name("spool".into()).spawn(move || spooler.run(&inbox))
}

impl Spooler {
    fn run(mut self, inbox: &Inbox) {
        loop {
            let left =
                if self.open.is_empty() { LOOK } else { BATCH_AGE.saturating_sub(self.since.elapsed()).min(LOOK) };
            let came = inbox.next(left);
            for ((class, place), rows) in inbox.take_lost() {
                self.shared.with(|spool| spool.lose(&class, rows, place));
            }
            let ended = match came {
                Ok(Some(out)) => {
                    if self.open.is_empty() {
                        self.since = Instant::now();
                    }
                    self.rows += out.rows.rows;
                    // One without rows only asks when those before it are on disk.
                    if out.rows.rows > 0 {
                        self.open.push(out.rows);
                    }
                    self.waiting.extend(out.synced);
                    false
                }
                Ok(None) => false,
                Err(_) => true,
            };
            let full = self.rows >= BATCH_ROWS || self.open.len() >= CLASSES_PER_BATCH_MAX;
            if ended || full || !self.waiting.is_empty() || self.since.elapsed() >= BATCH_AGE {
                self.close();
            }
            if !self.waiting.is_empty() || self.synced.elapsed() >= SYNC {
                self.sync();
            }
            if ended {
                let closed = self.shared.with(Spool::close);
                self.shared.failing.store(closed.is_err(), Ordering::Release);
                return;
            }
        }
    }

    fn sync(&mut self) {
        self.synced = Instant::now();
        let done = self.shared.with(Spool::sync);
        self.shared.failing.store(self.failed || done.is_err(), Ordering::Release);
        for waiting in std::mem::take(&mut self.waiting) {
            // Without a word the source knows that its rows are not safe.
            if done.is_ok() {
                waiting.send(()).ok();
            }
        }
    }

    /// Writes what is open as one batch, or as several where it is too large for one.
    fn close(&mut self) {
        let events = std::mem::take(&mut self.open);
        self.rows = 0;
        if !events.is_empty() {
            self.write(&events);
            self.shared.written.notify_one();
        }
    }

    fn write(&mut self, events: &[Events]) {
        let rows: usize = events.iter().map(|e| e.rows).sum();
        let written = match seal(events) {
            Ok(batch) => {
                self.failed = self.shared.with(|spool| spool.append(batch, rows as u32)).is_err();
                !self.failed
            }
            Err(WireError::Limit(_)) if events.len() > 1 => {
                let (first, second) = events.split_at(events.len() / 2);
                self.write(first);
                return self.write(second);
            }
            Err(_) => false,
        };
        if written {
            self.shared.rows.fetch_add(rows as u64, Ordering::Relaxed);
        } else {
            for e in events {
                self.shared.with(|spool| spool.lose(&e.class, e.rows as u64, "disk"));
            }
        }
    }
}
