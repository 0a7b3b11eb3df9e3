//! Marks of senders that send again what nobody acknowledged: for each (sender, epoch, lane, class) the last sequence that
//! was applied. A mark stands in the record of its batch in the log, so that both are durable together or not at all;
//! before segments of the log go, all marks are written to a file.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use guardian_kit::capped::read_file_capped;
use guardian_model::Origin;
use hashbrown::HashMap;

use super::Store;
use crate::LakeError;

/// Bytes of an origin before the body of its record.
pub(crate) const ORIGIN_BYTES: usize = 36;
/// Marks that are kept; beyond it those go that were written to least lately.
const MARKS_MAX: usize = 1_000_000;
const MAGIC: [u8; 8] = *b"GORIGIN1";
const ENTRY_BYTES: usize = 48;
const FILE_BYTES_MAX: u64 = (MAGIC.len() + 4 + ENTRY_BYTES * MARKS_MAX) as u64;

/// One of a sender's streams: epoch, lane, class.
type Stream = (u64, u32, u32);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Applied {
    sequence: u64,
    /// The batch.
    id: u64,
}

/// The marks of all senders.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    of_senders: HashMap<[u8; 16], HashMap<Stream, Applied>>,
    changed: bool,
}

impl Origins {
    /// The batch that was stored under this origin or a later one of its stream.
    pub(crate) fn known(&self, origin: &Origin, class_uid: u32) -> Option<u64> {
        let applied = self.of_senders.get(&origin.sender)?.get(&(origin.epoch, origin.lane, class_uid))?;
        (origin.sequence <= applied.sequence).then_some(applied.id)
    }

    pub(crate) fn note(&mut self, origin: &Origin, class_uid: u32, id: u64) {
        let streams = self.of_senders.entry(origin.sender).or_default();
        let applied = streams.entry((origin.epoch, origin.lane, class_uid)).or_default();
        if origin.sequence > applied.sequence {
            *applied = Applied { sequence: origin.sequence, id };
            self.changed = true;
        }
    }

    /// The last sequence of each lane of a sender's epoch, and the newest batch of all.
    pub(crate) fn of(&self, sender: &[u8; 16], epoch: u64) -> (Vec<(u32, u64)>, u64) {
        let mut lanes: HashMap<u32, u64> = HashMap::new();
        let mut newest = 0;
        for ((_, lane, _), applied) in
            self.of_senders.get(sender).into_iter().flatten().filter(|((of, _, _), _)| *of == epoch)
        {
            let last = lanes.entry(*lane).or_default();
            *last = applied.sequence.max(*last);
            newest = applied.id.max(newest);
        }
        let mut lanes: Vec<_> = lanes.into_iter().collect();
        lanes.sort_unstable();
        (lanes, newest)
    }

    pub(crate) fn forget(&mut self, sender: &[u8; 16]) {
        self.changed |= self.of_senders.remove(sender).is_some();
    }

    fn trim(&mut self) {
        let count: usize = self.of_senders.values().map(HashMap::len).sum();
        if count <= MARKS_MAX {
            return;
        }
        let mut ids: Vec<u64> = self.of_senders.values().flat_map(|s| s.values().map(|a| a.id)).collect();
        let (_, oldest_kept, _) = ids.select_nth_unstable(count - MARKS_MAX);
        let oldest_kept = *oldest_kept;
        for streams in self.of_senders.values_mut() {
            streams.retain(|_, applied| applied.id >= oldest_kept);
        }
        self.of_senders.retain(|_, streams| !streams.is_empty());
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for (sender, streams) in &self.of_senders {
            for ((epoch, lane, class), applied) in streams {
                out.extend_from_slice(sender);
                out.extend_from_slice(&epoch.to_le_bytes());
                out.extend_from_slice(&lane.to_le_bytes());
                out.extend_from_slice(&class.to_le_bytes());
                out.extend_from_slice(&applied.sequence.to_le_bytes());
                out.extend_from_slice(&applied.id.to_le_bytes());
            }
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let entries = body.strip_prefix(&MAGIC)?;
        let mut origins = Self::default();
        for entry in entries.chunks_exact(ENTRY_BYTES) {
            let origin = Origin {
                sender: entry[..16].try_into().ok()?,
                epoch: u64::from_le_bytes(entry[16..24].try_into().ok()?),
                lane: u32::from_le_bytes(entry[24..28].try_into().ok()?),
                sequence: u64::from_le_bytes(entry[32..40].try_into().ok()?),
            };
            let class = u32::from_le_bytes(entry[28..32].try_into().ok()?);
            origins.note(&origin, class, u64::from_le_bytes(entry[40..48].try_into().ok()?));
        }
        origins.changed = false;
        Some(origins)
    }

    /// The marks of a directory; none where they were never written. Damaged ones are told and forgotten: what is sent
    /// again may then be stored twice.
    pub(crate) fn load(dir: &Path) -> Self {
        match read_file_capped(&path(dir), FILE_BYTES_MAX) {
            Ok(bytes) => Self::decode(&bytes).unwrap_or_else(|| {
                tracing::error!("the marks of senders are damaged; what they send again may be stored twice");
                Self::default()
            }),
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::error!(%error, "the marks of senders cannot be read");
                }
                Self::default()
            }
        }
    }
}

/// Where the marks are.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("origins")
}

/// An origin as it stands before the body of its record.
pub(crate) fn put(origin: &Origin, out: &mut Vec<u8>) {
    out.extend_from_slice(&origin.sender);
    out.extend_from_slice(&origin.epoch.to_le_bytes());
    out.extend_from_slice(&origin.lane.to_le_bytes());
    out.extend_from_slice(&origin.sequence.to_le_bytes());
}

/// Reads what [`put`] wrote.
pub(crate) fn take(body: &[u8]) -> Option<Origin> {
    Some(Origin {
        sender: body.get(..16)?.try_into().ok()?,
        epoch: u64::from_le_bytes(body.get(16..24)?.try_into().ok()?),
        lane: u32::from_le_bytes(body.get(24..28)?.try_into().ok()?),
        sequence: u64::from_le_bytes(body.get(28..ORIGIN_BYTES)?.try_into().ok()?),
    })
}

impl Store {
    /// Writes the marks to their file, if they changed since they were. Called before segments of the log go.
    pub(super) fn save_origins(&self) -> Result<(), LakeError> {
        let bytes = {
            let mut origins = self.origins.lock();
            if !origins.changed {
                return Ok(());
            }
            origins.trim();
            origins.changed = false;
            origins.encode()
        };
        let target = path(&self.dir);
        let fresh = target.with_extension("tmp");
        let written = File::create(&fresh)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&fresh, &target))
            .and_then(|()| File::open(&self.dir)?.sync_all());
        if written.is_err() {
            self.origins.lock().changed = true;
        }
        written.map_err(LakeError::io(format!("writing {}", target.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(sender: u8, epoch: u64, lane: u32, sequence: u64) -> Origin {
        Origin { sender: [sender; 16], epoch, lane, sequence }
    }

    #[test]
    fn marks_are_kept_apart_and_survive() {
        let mut origins = Origins::default();
        for (at, id) in [(origin(1, 7, 0, 5), 100), (origin(1, 7, 1, 9), 101), (origin(1, 8, 0, 2), 102)] {
            origins.note(&at, 60_002, id);
        }
        origins.note(&origin(1, 7, 0, 4), 60_001, 99);
        origins.note(&origin(1, 7, 0, 3), 60_002, 103);
        let read = Origins::decode(&origins.encode()).unwrap();
        for origins in [&origins, &read] {
            assert_eq!(origins.known(&origin(1, 7, 0, 5), 60_002), Some(100));
            assert_eq!(origins.known(&origin(1, 7, 0, 6), 60_002), None);
            assert_eq!(origins.known(&origin(1, 7, 0, 5), 60_001), None, "another class of the same batch");
            assert_eq!(origins.known(&origin(2, 7, 0, 1), 60_002), None);
            assert_eq!(origins.of(&[1; 16], 7), (vec![(0, 5), (1, 9)], 101));
            assert_eq!(origins.of(&[1; 16], 9), (vec![], 0));
        }
        let mut bytes = origins.encode();
        bytes[20] ^= 1;
        assert!(Origins::decode(&bytes).is_none());
        let mut body = Vec::new();
        put(&origin(3, 1, 2, 4), &mut body);
        assert_eq!((body.len(), take(&body), take(&body[1..])), (ORIGIN_BYTES, Some(origin(3, 1, 2, 4)), None));
    }
}
