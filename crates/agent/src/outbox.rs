//! Where sources put the events they see. Behind it batches are closed, spooled and sent; a source knows nothing of that.
//!
//! A row carries what the source saw, by the column ids of its class in `model`. The columns `batch`, `row`, `received`,
//! `host_id` and `host` are filled by the server, which knows the agent by its certificate; what a source says in them is
//! ignored.
//!
//! A source that can read again what it has read says with its rows how far it came; that is kept with them.
//!
//! What does not fit is never waited for: it is counted by class, and the server is told.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guardian_protocol::Events;

use crate::spool::Mark;
use crate::watchdog::Beats;

/// Groups of rows that may wait for the spool.
const WAITING_MAX: usize = 256;

/// Where rows are lost that did not fit here.
pub const OUTBOX: &str = "outbox";

/// Rows by their class and where they were lost.
pub type Lost = BTreeMap<(String, &'static str), u64>;

/// The sources' end. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Outbox {
    queue: SyncSender<Outgoing>,
    lost: Arc<Mutex<Lost>>,
    beats: Arc<Beats>,
}

/// The spool's end.
#[derive(Debug)]
pub struct Inbox {
    queue: Receiver<Outgoing>,
    lost: Arc<Mutex<Lost>>,
    beats: Arc<Beats>,
}

/// Rows on their way to the spool.
#[derive(Debug)]
pub struct Outgoing {
    /// Rows, each of one class, which is named in them.
    pub rows: Vec<Events>,
    /// How far their source has read by them.
    pub mark: Option<Mark>,
    /// Told when the rows are on disk and synced.
    pub synced: Option<SyncSender<()>>,
}

impl Outbox {
    /// Both ends.
    pub fn new() -> (Self, Inbox) {
        let (send, receive) = sync_channel(WAITING_MAX);
        let (lost, beats) = (Arc::default(), Arc::default());
        let ours = Self { queue: send, lost: Arc::clone(&lost), beats: Arc::clone(&beats) };
        (ours, Inbox { queue: receive, lost, beats })
    }

    /// Hands rows over, made by [`guardian_protocol::Rows::finish`]. False where they did not fit: they are lost and
    /// counted.
    pub fn send(&self, rows: Events) -> bool {
        self.offer(Outgoing { rows: vec![rows], mark: None, synced: None })
    }

    /// Hands rows over with how far their source has read by them: they are written in one piece. False where they did not fit:
    /// they are lost and counted.
    pub fn send_marked(&self, rows: Vec<Events>, mark: Mark) -> bool {
        self.offer(Outgoing { rows, mark: Some(mark), synced: None })
    }

    /// As [`Self::send_marked`], and waits until all of it is on disk and synced.
    pub fn send_marked_durably(&self, rows: Vec<Events>, mark: Mark) -> bool {
        let (synced, wait) = sync_channel(1);
        self.offer(Outgoing { rows, mark: Some(mark), synced: Some(synced) }) && wait.recv().is_ok()
    }

    /// Hands rows over that cannot be read again (audit, a journal whose cursor moves on), and waits until they are on
    /// disk and synced. False where they are lost and counted.
    pub fn send_durably(&self, rows: Events) -> bool {
        let (synced, wait) = sync_channel(1);
        self.offer(Outgoing { rows: vec![rows], mark: None, synced: Some(synced) }) && wait.recv().is_ok()
    }

    /// The signs of life of all who hold it.
    pub(crate) fn beats(&self) -> &Arc<Beats> {
        &self.beats
    }

    /// Counts rows that a source lost before it could hand them over, and where.
    pub fn lose(&self, class: &str, rows: u64, place: &'static str) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        *lost.entry((class.to_owned(), place)).or_default() += rows;
    }

    fn offer(&self, outgoing: Outgoing) -> bool {
        match self.queue.try_send(outgoing) {
            Ok(()) => true,
            Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => {
                back.rows.iter().for_each(|rows| self.lose(&rows.class, rows.rows as u64, OUTBOX));
                false
            }
        }
    }
}

impl Inbox {
    /// The next rows; none within the time, or because all sources are gone.
    pub fn next(&self, wait: Duration) -> Result<Option<Outgoing>, SourcesGone> {
        self.beats.beat("spool");
        match self.queue.recv_timeout(wait) {
            Ok(rows) => Ok(Some(rows)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                self.beats.still("spool");
                Err(SourcesGone)
            }
        }
    }

    /// Rows lost since the last call, by class and place.
    pub fn take_lost(&self) -> Lost {
        std::mem::take(&mut self.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Nobody holds an [`Outbox`] any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no source is left")]
pub struct SourcesGone;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let (outbox, inbox) = Outbox::new();
        let rows = || Events { class: "health".to_owned(), rows: 3, columns: Vec::new() };
        for _ in 0..WAITING_MAX {
            assert!(outbox.send(rows()));
        }
        assert!(!outbox.send(rows()));
        outbox.lose("logs", 2, "ring");
        assert_eq!(
            inbox.take_lost(),
            BTreeMap::from([(("health".to_owned(), OUTBOX), 3), (("logs".to_owned(), "ring"), 2)])
        );
        assert!(inbox.take_lost().is_empty());
        drop(outbox);
        let mut waiting = 0;
        while let Ok(Some(_)) = inbox.next(Duration::ZERO) {
            waiting += 1;
        }
        assert_eq!((waiting, inbox.next(Duration::ZERO).err()), (WAITING_MAX, Some(SourcesGone)));
    }
}
