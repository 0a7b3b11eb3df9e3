//! The fixed header of a write-ahead record. Both the header and the body carry a CRC-32, so that a damaged record is
//! told from a good one, and a good one is found again behind a damaged one.

use guardian_model::{ALL_CLASSES, Class, Micros, TenantId};
use uuid::Uuid;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 72;
/// Records start at multiples of this, so that a search for the next good one is quick.
pub(crate) const ALIGN: u64 = 8;
/// The first bytes of every record.
pub(crate) const MAGIC: [u8; 4] = *b"GWR1";
/// No body is longer; a header that claims more is damaged.
pub(crate) const BODY_MAX: u32 = 1 << 30;

const NO_MARK: u64 = u64::MAX;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// Rows of a class.
    Batch,
    /// Replayed rows before this record are deleted; the body is the replay's name, or empty for all.
    ClearReplay,
}

/// What stands before the body of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: RecordKind,
    /// The body is encrypted; length and checksum are those of what stands there.
    pub(crate) sealed: bool,
    /// Where the batch comes from stands before the body: its sender sends again what nobody acknowledged.
    pub(crate) origin: bool,
    pub(crate) id: u64,
    pub(crate) tenant: TenantId,
    /// Stable number of the class; 0 where the record concerns all classes.
    pub(crate) class_uid: u32,
    pub(crate) received: Micros,
    pub(crate) mark: Option<u64>,
    pub(crate) rows: u32,
    pub(crate) body_len: u32,
    pub(crate) body_crc: u32,
}

impl Header {
    /// Length of header, body and padding.
    pub(crate) fn record_bytes(&self) -> u64 {
        (HEADER_BYTES as u64 + u64::from(self.body_len)).next_multiple_of(ALIGN)
    }

    /// The class, unless it is of a newer version.
    pub(crate) fn class(&self) -> Option<&'static Class> {
        class_of(self.class_uid)
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..4].copy_from_slice(&MAGIC);
        out[8] = match self.kind {
            RecordKind::Batch => 1,
            RecordKind::ClearReplay => 2,
        };
        out[9] = u8::from(self.sealed);
        out[10] = u8::from(self.origin);
        out[12..16].copy_from_slice(&self.class_uid.to_le_bytes());
        out[16..20].copy_from_slice(&self.body_len.to_le_bytes());
        out[20..24].copy_from_slice(&self.body_crc.to_le_bytes());
        out[24..32].copy_from_slice(&self.id.to_le_bytes());
        out[32..48].copy_from_slice(self.tenant.0.as_bytes());
        out[48..56].copy_from_slice(&self.received.0.to_le_bytes());
        out[56..64].copy_from_slice(&self.mark.unwrap_or(NO_MARK).to_le_bytes());
        out[64..68].copy_from_slice(&self.rows.to_le_bytes());
        let crc = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header; `None` where the bytes are not one.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        if bytes[..4] != MAGIC || crc32fast::hash(&bytes[8..]) != u32_at(bytes, 4) {
            return None;
        }
        let mark = u64_at(bytes, 56);
        let header = Self {
            kind: match bytes[8] {
                1 => RecordKind::Batch,
                2 => RecordKind::ClearReplay,
                _ => return None,
            },
            sealed: match bytes[9] {
                0 => false,
                1 => true,
                _ => return None,
            },
            origin: match bytes[10] {
                0 => false,
                1 => true,
                _ => return None,
            },
            class_uid: u32_at(bytes, 12),
            body_len: u32_at(bytes, 16),
            body_crc: u32_at(bytes, 20),
            id: u64_at(bytes, 24),
            tenant: TenantId(Uuid::from_slice(&bytes[32..48]).ok()?),
            received: Micros(u64_at(bytes, 48) as i64),
            mark: (mark != NO_MARK).then_some(mark),
            rows: u32_at(bytes, 64),
        };
        (header.body_len <= BODY_MAX).then_some(header)
    }
}

/// The class with this number.
pub(crate) fn class_of(uid: u32) -> Option<&'static Class> {
    ALL_CLASSES.iter().copied().find(|class| class.uid == uid)
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    let mut array = [0; 4];
    array.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(array)
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut array = [0; 8];
    array.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(array)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_survive_and_damage_is_seen(id: u64, tenant: u128, received: i64, mark: Option<u64>, rows: u32, at in 0..HEADER_BYTES, bit in 0..8) {
            let header = Header {
                kind: RecordKind::Batch, sealed: rows % 2 == 1, origin: rows % 3 == 1, id, tenant: TenantId(Uuid::from_u128(tenant)), class_uid: 4001,
                received: Micros(received), mark: mark.filter(|m| *m != NO_MARK), rows, body_len: 99, body_crc: 5,
            };
            let mut bytes = header.encode();
            let read = Header::decode(&bytes).expect("a good header");
            prop_assert_eq!(format!("{read:?}"), format!("{header:?}"));
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(Header::decode(&bytes).is_none());
        }
    }
}
