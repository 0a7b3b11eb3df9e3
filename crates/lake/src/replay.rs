//! Reading accepted batches back from the log, for detection after a restart.

use std::path::PathBuf;

use arrow::array::{ArrayRef, UInt32Array, UInt64Array};
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use guardian_model::Batch;

use crate::LakeError;
use crate::keys::LakeKeys;
use crate::store::{Tombstone, decode_batch, keep_mask};
use crate::wal::{Reader, RecordKind};

/// Iterates over the batches in the log, in the order of their ids. Damaged records are skipped; they were counted
/// when the lake was opened.
pub struct Replay {
    from: u64,
    /// Batches accepted after the replay began are not part of it.
    until: u64,
    segments: std::vec::IntoIter<PathBuf>,
    reader: Option<Reader>,
    tombstones: Vec<Tombstone>,
    keys: LakeKeys,
    last: u64,
}

impl Replay {
    pub(crate) fn new(
        from: u64,
        until: u64,
        segments: Vec<PathBuf>,
        tombstones: Vec<Tombstone>,
        keys: LakeKeys,
    ) -> Self {
        Self { from, until, segments: segments.into_iter(), reader: None, tombstones, keys, last: 0 }
    }

    fn step(&mut self) -> Result<Option<(u64, Batch)>, LakeError> {
        loop {
            let Some(reader) = &mut self.reader else {
                let Some(path) = self.segments.next() else { return Ok(None) };
                match Reader::open(&path) {
                    Ok(mut reader) => {
                        reader.unlock(&self.keys)?;
                        self.reader = Some(reader);
                    }
                    // Removed meanwhile: everything in it was no longer held.
                    Err(LakeError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                continue;
            };
            let Some((header, at)) = reader.next()? else {
                self.reader = None;
                continue;
            };
            if header.id >= self.until {
                return Ok(None);
            }
            if header.kind != RecordKind::Batch || header.id < self.from || header.id <= self.last {
                continue;
            }
            self.last = header.id;
            let mut body = Vec::new();
            if !reader.body(&header, at, &mut body)? {
                continue;
            }
            match decode_batch(&header, &body) {
                Ok(Some(batch)) => {
                    if let Some(batch) = self.without_cleared(header.id, batch)? {
                        return Ok(Some((header.id, batch)));
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, id = header.id, "a record is skipped"),
            }
        }
    }

    fn without_cleared(&self, id: u64, mut batch: Batch) -> Result<Option<Batch>, LakeError> {
        batch.rows = with_identity(id, &batch.rows)?;
        for tombstone in self.tombstones.iter().filter(|t| t.id > id && t.tenant == batch.tenant) {
            if let Some(keep) = keep_mask(batch.class, &batch.rows, tombstone.name.as_deref()) {
                batch.rows = filter_record_batch(&batch.rows, &keep).map_err(LakeError::data)?;
            }
        }
        Ok((batch.rows.num_rows() > 0).then_some(batch))
    }
}

/// Fills the `batch` and `row` columns.
fn with_identity(id: u64, rows: &RecordBatch) -> Result<RecordBatch, LakeError> {
    let count = rows.num_rows();
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns[0] = std::sync::Arc::new(UInt64Array::from_value(id, count));
    columns[1] = std::sync::Arc::new(UInt32Array::from_iter_values(0..count as u32));
    RecordBatch::try_new(rows.schema(), columns).map_err(LakeError::data)
}

impl Iterator for Replay {
    type Item = Result<(u64, Batch), LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
