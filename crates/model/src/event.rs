//! A batch of telemetry on its way through the pipeline, and how one of its rows is named.

use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::{Class, Micros, TenantId};

/// Names one event for good: the batch it was stored with, and its row there. Events have no UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventRef {
    /// Number of the batch: its position in the write-ahead log, growing and never reused.
    pub batch: u64,
    /// Row within that batch, from 0.
    pub row: u32,
}

/// Rows of one class and one tenant, in the column order of the class.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose rows these are. For UDP it comes from the listener, never from the packet.
    pub tenant: TenantId,
    /// The field table that `rows` follows.
    pub class: &'static Class,
    /// When the last row was received; never earlier than any row's `received`.
    pub received: Micros,
    /// The columns; the schema is `class.schema()`.
    pub rows: RecordBatch,
}

/// Where a batch comes from whose sender counts what it sends and sends again what nobody acknowledged: it is applied
/// once, however often it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Who sends: the id of a host.
    pub sender: [u8; 16],
    /// Random number of the sender's store; what another counted says nothing about it.
    pub epoch: u64,
    /// One strictly ordered part of what it sends.
    pub lane: u32,
    /// The place in the lane, from 1.
    pub sequence: u64,
}
