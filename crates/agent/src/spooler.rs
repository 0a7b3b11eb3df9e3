//! The thread between sources and spool: it closes batches, writes them, and has them synced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use guardian_protocol::limits::CLASSES_PER_BATCH_MAX;
use guardian_protocol::{Events, WireError, seal};
use tokio::sync::Notify;

use crate::outbox::{Inbox, Outgoing};
use crate::spool::{Mark, Spool};

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
    /// How far sources have read by what is open.
    mark: Option<Mark>,
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
    let spooler = Spooler {
        shared,
        open: Vec::new(),
        mark: None,
        rows: 0,
        since: now,
        waiting: Vec::new(),
        synced: now,
        failed: false,
    };
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
                    self.take(out);
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

    fn take(&mut self, out: Outgoing) {
        // A batch is written with one mark, and what does not fit beside what is open would be cut off from its own.
        let another = out.mark.as_ref().zip(self.mark.as_ref()).is_some_and(|(new, old)| new.source != old.source);
        if another || self.open.len() + out.rows.len() > CLASSES_PER_BATCH_MAX {
            self.close();
        }
        if self.open.is_empty() {
            self.since = Instant::now();
        }
        // One without rows only asks when those before it are on disk, or says how far it has read.
        let rows = out.rows.into_iter().filter(|rows| rows.rows > 0);
        for rows in rows {
            self.rows += rows.rows;
            self.open.push(rows);
        }
        self.mark = out.mark.or(self.mark.take());
        self.waiting.extend(out.synced);
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
        let (events, mark) = (std::mem::take(&mut self.open), self.mark.take());
        self.rows = 0;
        if !events.is_empty() {
            self.write(&events, mark);
            self.shared.written.notify_one();
        } else if let Some(mark) = mark {
            self.failed = self.shared.with(|spool| spool.keep_mark(mark)).is_err();
        }
    }

    fn write(&mut self, events: &[Events], mark: Option<Mark>) {
        let rows: usize = events.iter().map(|e| e.rows).sum();
        let written = match seal(events) {
            Ok(batch) => {
                self.failed = self.shared.with(|spool| spool.append_marked(batch, rows as u32, mark)).is_err();
                !self.failed
            }
            Err(WireError::Limit(_)) if events.len() > 1 => {
                let (first, second) = events.split_at(events.len() / 2);
                self.write(first, None);
                // What comes last is what says how far it goes.
                return self.write(second, mark);
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
