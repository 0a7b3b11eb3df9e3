//! What the thread that reads lists and the conversation share.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

type Read = BTreeMap<&'static str, ([u8; 32], i64)>;

/// Lists that were read, and who waits for them.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Hash and time of what lies on the disk, by name.
    read: Mutex<Read>,
    /// Somebody wrote a list.
    pub(crate) written: Notify,
}

impl Told {
    /// A list was read.
    pub(crate) fn note(&self, name: &'static str, hash: [u8; 32], time: i64) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(name, (hash, time));
        self.written.notify_one();
    }

    /// All lists that were read.
    pub(crate) fn all(&self) -> Read {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
