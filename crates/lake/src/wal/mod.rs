//! The write-ahead log: what was acknowledged survives a killed process and a lost power supply.
//!
//! One thread writes, in the order of ids, and calls fdatasync at most once per commit interval for everything that
//! arrived meanwhile. A record is acknowledged only after that. It must never acknowledge earlier, and never lose
//! what it accepted while the disk is full: it keeps it, refuses more, and goes on when there is room.

mod record;
mod seal;
mod segment;
mod writer;

pub(crate) use record::{HEADER_BYTES, Header, RecordKind, class_of};
pub(crate) use seal::Follows;
pub(crate) use segment::{Reader, Segment, list};
pub(crate) use writer::{Commit, Wal, WalOptions};
