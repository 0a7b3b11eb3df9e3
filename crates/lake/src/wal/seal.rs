//! Encrypted segments: their head, and sealing and opening of records.
//!
//! A segment has a random data key of its own. A record's nonce is the offset at which it stands, which is written to
//! once: records that a failed sync makes the writer repeat go to new offsets, and after a restart a new segment with a
//! new key begins. Segment, position and header are authenticated with the body, so that no record can be changed or
//! moved. The head tells which segment comes before and where that ends, authenticated with every record, so that
//! nothing can be cut off or taken out but at the very end, where a crash does the same.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::record::{HEADER_BYTES, Header};
use crate::LakeError;
use crate::keys::{LakeKeys, TAG_BYTES, WRAPPED_BYTES_MAX, cipher};

/// Bytes of the head of an encrypted segment.
pub(crate) const SEALED_HEAD_BYTES: usize = 256;
/// What it starts with: a word and a version.
pub(crate) const SEALED_MAGIC: [u8; 16] = *b"GUARDIANWAL\0\x02\0\0\0";

const CRC_AT: usize = 16;
const FOLLOWS_AT: usize = 20;
const LENGTH_AT: usize = 36;
const WRAPPED_AT: usize = 38;
const NOTHING: u64 = u64::MAX;
/// The sort of file that its data key is for.
const SORT: &str = "wal";

const _: () = assert!(WRAPPED_AT + WRAPPED_BYTES_MAX <= SEALED_HEAD_BYTES, "the wrapped key fits into the head");

/// The segment before: its first id, and where its last record ends.
pub(crate) type Follows = Option<(u64, u64)>;

/// The head of an encrypted segment, as it was read.
#[derive(Debug)]
pub(crate) struct SealedHead {
    pub(crate) follows: Follows,
    wrapped: Vec<u8>,
}

impl SealedHead {
    /// A head, and what seals the records behind it.
    pub(crate) fn fresh(
        name: &str,
        follows: Follows,
        keys: &LakeKeys,
    ) -> Result<([u8; SEALED_HEAD_BYTES], SegmentCipher), LakeError> {
        let key = keys.fresh(SORT)?;
        let mut head = [0; SEALED_HEAD_BYTES];
        head[..CRC_AT].copy_from_slice(&SEALED_MAGIC);
        let (first, end) = follows.unwrap_or((NOTHING, 0));
        head[FOLLOWS_AT..FOLLOWS_AT + 8].copy_from_slice(&first.to_le_bytes());
        head[FOLLOWS_AT + 8..LENGTH_AT].copy_from_slice(&end.to_le_bytes());
        head[LENGTH_AT..WRAPPED_AT].copy_from_slice(&(key.wrapped.len() as u16).to_le_bytes());
        head[WRAPPED_AT..WRAPPED_AT + key.wrapped.len()].copy_from_slice(&key.wrapped);
        let crc = crc32fast::hash(&head[FOLLOWS_AT..]);
        head[CRC_AT..FOLLOWS_AT].copy_from_slice(&crc.to_le_bytes());
        Ok((head, SegmentCipher { key: cipher(&key.bytes)?, about: about(name, follows) }))
    }

    /// Reads a head that begins as one; `None` where it is damaged.
    pub(crate) fn decode(head: &[u8; SEALED_HEAD_BYTES]) -> Option<Self> {
        let number = |at: usize| head[at..at + 8].iter().rev().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
        if head[CRC_AT..FOLLOWS_AT] != crc32fast::hash(&head[FOLLOWS_AT..]).to_le_bytes() {
            return None;
        }
        let (first, end) = (number(FOLLOWS_AT), number(FOLLOWS_AT + 8));
        let length = usize::from(head[LENGTH_AT]) | usize::from(head[LENGTH_AT + 1]) << 8;
        let wrapped = head.get(WRAPPED_AT..WRAPPED_AT + length)?.to_vec();
        Some(Self { follows: (first != NOTHING).then_some((first, end)), wrapped })
    }

    /// What opens the records of the segment `name`.
    pub(crate) fn unlock(&self, name: &str, keys: &LakeKeys) -> Result<SegmentCipher, LakeError> {
        let key = keys.unwrap(&format!("wal/{name}"), SORT, &self.wrapped)?;
        Ok(SegmentCipher { key: cipher(&key)?, about: about(name, self.follows) })
    }
}

fn about(name: &str, follows: Follows) -> String {
    let (first, end) = follows.unwrap_or((NOTHING, 0));
    format!("wal/{name} {first} {end}")
}

/// Seals and opens the records of one segment.
#[derive(Debug)]
pub(crate) struct SegmentCipher {
    key: LessSafeKey,
    /// The segment's name and what it follows.
    about: String,
}

impl SegmentCipher {
    /// Puts into `out` the record with this header and body as it stands at `offset`, without padding.
    pub(crate) fn seal(
        &self,
        mut header: Header,
        body: &[u8],
        offset: u64,
        out: &mut Vec<u8>,
    ) -> Result<Header, LakeError> {
        header.sealed = true;
        header.body_len += TAG_BYTES as u32;
        header.body_crc = 0;
        out.clear();
        out.resize(HEADER_BYTES, 0);
        out.extend_from_slice(body);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(offset), self.bound(header, offset), &mut out[HEADER_BYTES..])
            .map_err(|_| LakeError::Data("a record could not be sealed".into()))?;
        out.extend_from_slice(tag.as_ref());
        header.body_crc = crc32fast::hash(&out[HEADER_BYTES..]);
        out[..HEADER_BYTES].copy_from_slice(&header.encode());
        Ok(header)
    }

    /// Opens the body of the record at `offset` in its place; false where it is not what was written there.
    pub(crate) fn open(&self, mut header: Header, offset: u64, body: &mut Vec<u8>) -> bool {
        header.body_crc = 0;
        let opened = self.key.open_in_place(nonce(offset), self.bound(header, offset), body).map(|body| body.len());
        opened.map(|length| body.truncate(length)).is_ok()
    }

    fn bound(&self, header: Header, offset: u64) -> Aad<Vec<u8>> {
        Aad::from([self.about.as_bytes(), &offset.to_le_bytes(), &header.encode()].concat())
    }
}

fn nonce(offset: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use guardian_model::{Micros, TenantId};
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::super::record::RecordKind;
    use super::*;

    fn keys() -> LakeKeys {
        LakeKeys::new(&[("one".to_owned(), Zeroizing::new([7; 32]))]).unwrap()
    }

    fn header(id: u64, length: usize) -> Header {
        Header {
            kind: RecordKind::Batch,
            sealed: false,
            origin: false,
            id,
            tenant: TenantId::DEFAULT,
            class_uid: 4001,
            received: Micros(5),
            mark: Some(3),
            rows: 7,
            body_len: length as u32,
            body_crc: 0,
        }
    }

    #[test]
    fn records_open_in_their_segment_alone() {
        let (head, cipher) = SealedHead::fresh("a.wal", Some((3, 900)), &keys()).unwrap();
        let mut out = Vec::new();
        let sealed = cipher.seal(header(5, 4), b"body", 256, &mut out).unwrap();
        let read = SealedHead::decode(&head).unwrap();
        assert_eq!(read.follows, Some((3, 900)));
        let opens = |head: &SealedHead, name: &str| {
            head.unlock(name, &keys()).unwrap().open(sealed, 256, &mut out[HEADER_BYTES..].to_vec())
        };
        assert!(opens(&read, "a.wal"));
        assert!(!opens(&read, "b.wal"), "under another name");
        let forged = SealedHead { follows: Some((3, 800)), ..read };
        assert!(!opens(&forged, "a.wal"), "what comes before is authenticated");
        for at in 16..SEALED_HEAD_BYTES {
            let mut changed = head;
            changed[at] ^= 1;
            assert!(SealedHead::decode(&changed).is_none(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn records_open_where_they_were_written(body: Vec<u8>, id in 1..1_000_u64, offset in 0..1_000_u64) {
            let (_, cipher) = SealedHead::fresh("a.wal", None, &keys()).unwrap();
            let (mut out, offset) = (Vec::new(), offset * 8);
            let sealed = cipher.seal(header(id, body.len()), &body, offset, &mut out).unwrap();
            let open = |header: Header, offset: u64, bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                cipher.open(header, offset, &mut bytes).then_some(bytes)
            };
            let bytes = &out[HEADER_BYTES..];
            prop_assert_eq!(open(sealed, offset, bytes), Some(body));
            prop_assert_eq!(open(sealed, offset + 8, bytes), None);
            prop_assert_eq!(open(Header { id: id + 1, ..sealed }, offset, bytes), None);
            let mut changed = bytes.to_vec();
            changed[offset as usize % bytes.len()] ^= 1;
            prop_assert_eq!(open(sealed, offset, &changed), None);
        }
    }
}
