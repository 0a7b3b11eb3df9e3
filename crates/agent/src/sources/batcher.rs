//! Collects the rows of one source until there are enough of them or the oldest has waited long enough.

use std::time::{Duration, Instant};

use guardian_protocol::classes::EventClass;
use guardian_protocol::{Cell, Events, Rows};

use crate::outbox::{OUTBOX, Outbox};

/// Rows that are handed over at once.
const ROWS_MAX: usize = 2_000;
/// Bytes that are handed over at once.
const BYTES_MAX: usize = 512 << 10;
/// How long a row may wait for others.
pub const WAIT_MAX: Duration = Duration::from_millis(200);

/// Rows of one class on their way to the outbox.
#[derive(Debug)]
pub struct Batcher {
    outbox: Outbox,
    class: &'static str,
    rows: Rows,
    since: Option<Instant>,
    /// Whoever fills it hands over by itself, see [`Self::take`].
    held: bool,
    /// Whether something was handed over that may not be on disk yet.
    unsynced: bool,
}

impl Batcher {
    /// No rows of this class yet.
    pub fn new(outbox: Outbox, class: &'static EventClass) -> Self {
        Self { outbox, class: class.name, rows: class.rows(), since: None, held: false, unsynced: false }
    }

    /// No rows of this class yet, and none is handed over but by [`Self::take`].
    pub fn held(outbox: Outbox, class: &'static EventClass) -> Self {
        let mut batcher = Self::new(outbox, class);
        batcher.held = true;
        batcher
    }

    /// Adds a row.
    pub fn push(&mut self, cells: &[Cell<'_>]) {
        self.rows.push(cells);
        self.since.get_or_insert_with(Instant::now);
        if !self.held && self.is_full() {
            self.flush();
        }
    }

    /// Whether there are as many rows as are handed over at once.
    pub const fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_MAX || self.rows.bytes() >= BYTES_MAX
    }

    /// Whether rows have waited long enough.
    pub fn is_due(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= WAIT_MAX)
    }

    /// The rows so far, for whoever hands them over; none where there are none.
    pub fn take(&mut self) -> Option<Events> {
        self.since = None;
        (!self.rows.is_empty()).then(|| self.rows.finish())
    }

    /// Hands over what has waited long enough. Call it at least every [`WAIT_MAX`].
    pub fn tick(&mut self) {
        self.outbox.beats().beat(self.class);
        if !self.held && self.is_due() {
            self.flush();
        }
    }

    /// Hands over what is there.
    pub fn flush(&mut self) {
        self.since = None;
        if !self.rows.is_empty() {
            self.unsynced = true;
            self.outbox.send(self.rows.finish());
        }
    }

    /// Hands over what is there and waits until it is on disk, and all that was handed over before; whether it is.
    pub fn flush_durably(&mut self) -> bool {
        self.since = None;
        if self.rows.is_empty() && !self.unsynced {
            return true;
        }
        // Without rows it says only when those before it are on disk.
        let synced = self.outbox.send_durably(self.rows.finish());
        self.unsynced = !synced;
        synced
    }

    /// Counts rows that were lost before they could be added.
    pub fn lose(&self, class: &'static EventClass, rows: u64) {
        if rows > 0 {
            self.outbox.lose(class.name, rows, OUTBOX);
        }
    }

    /// Counts what the kernel noted and had no room for.
    pub fn lose_in_ring(&self, class: &'static EventClass, records: u64) {
        if records > 0 {
            self.outbox.lose(class.name, records, "ring");
        }
    }

    /// Counts records of the kernel's audit that did not come.
    pub fn lose_in_audit(&self, class: &'static EventClass, records: u64) {
        if records > 0 {
            self.outbox.lose(class.name, records, "audit");
        }
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        if !self.held {
            self.flush();
        }
        self.outbox.beats().still(self.class);
    }
}

/// A text cell; null for an empty text.
pub const fn text(value: &str) -> Cell<'_> {
    if value.is_empty() { Cell::Null } else { Cell::Text(value) }
}

/// A text cell, or null.
pub fn some_text(value: Option<&str>) -> Cell<'_> {
    value.map_or(Cell::Null, text)
}

/// A number cell, or null.
pub fn number<N: Into<u64>>(value: Option<N>) -> Cell<'static> {
    value.map_or(Cell::Null, |n| Cell::Number(n.into()))
}

/// A truth value, or null.
pub fn truth(value: Option<bool>) -> Cell<'static> {
    value.map_or(Cell::Null, Cell::Bool)
}
