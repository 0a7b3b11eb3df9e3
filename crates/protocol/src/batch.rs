//! The payload of a batch: rows of some classes, compressed once when the batch is closed, and kept so in the spool and
//! on the way.

use crate::columns::Events;
use crate::limits::{BATCH_RAW_BYTES_MAX, CLASSES_PER_BATCH_MAX};
use crate::message::Batch;
use crate::wire::{Blob, WireError};

/// The level that a processor with better things to do can afford; measured with the events of a busy host.
const LEVEL: i32 = 3;

/// Packs rows into a batch that has no lane and no sequence yet. What does not fit is refused: the sender splits it.
pub fn seal(events: &[Events]) -> Result<Batch, WireError> {
    if events.len() > CLASSES_PER_BATCH_MAX {
        return Err(WireError::Limit("the number of classes in a batch"));
    }
    let mut raw = Vec::new();
    for of_class in events {
        of_class.put(&mut raw);
    }
    if raw.len() > BATCH_RAW_BYTES_MAX {
        return Err(WireError::Limit("the length of a batch"));
    }
    let packed = zstd::bulk::compress(&raw, LEVEL).map_err(|_| WireError::Compression)?;
    Ok(Batch { raw_bytes: raw.len() as u32, events: Blob(packed), ..Batch::default() })
}

/// The rows of a batch, all or none.
pub fn open(batch: &Batch) -> Result<Vec<Events>, WireError> {
    let raw_bytes = batch.raw_bytes as usize;
    if raw_bytes > BATCH_RAW_BYTES_MAX {
        return Err(WireError::Limit("the length of a batch"));
    }
    let raw = zstd::bulk::decompress(&batch.events.0, raw_bytes).map_err(|_| WireError::Compression)?;
    if raw.len() != raw_bytes {
        return Err(WireError::Compression);
    }
    let (mut rest, mut events) = (raw.as_slice(), Vec::new());
    while !rest.is_empty() {
        if events.len() == CLASSES_PER_BATCH_MAX {
            return Err(WireError::Limit("the number of classes in a batch"));
        }
        events.push(Events::take(&mut rest)?);
    }
    Ok(events)
}
