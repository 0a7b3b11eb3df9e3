//! `Packages.db` of rpm's "new database" (the comment at the head of `lib/backend/ndb/rpmpkg.c` in rpm): little-endian;
//! pages of slots (magic, package, block, blocks), of which the first two places are the file's head, then the packages
//! in blocks of 16 bytes.

use crate::Malformed;
use crate::limits::ROW_BYTES_MAX;

/// How the file begins.
pub(super) const MAGIC: &[u8] = b"RpmP";

const PAGE_BYTES: usize = 4096;
const SLOT_BYTES: usize = 16;
const BLOCK_BYTES: usize = 16;

const fn malformed(what: &'static str) -> Malformed {
    Malformed { format: "an rpm ndb database", what }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// Calls `each` with the number and the header of every package, until it returns false.
pub(super) fn headers(file: &[u8], each: &mut dyn FnMut(u32, &[u8]) -> bool) -> Result<(), Malformed> {
    if word(file, 4) != Some(0) {
        return Err(malformed("its version is not known"));
    }
    let pages = word(file, 12).ok_or(malformed("it is too short"))? as usize;
    let slots = pages.checked_mul(PAGE_BYTES).and_then(|end| file.get(2 * SLOT_BYTES..end));
    let slots = slots.ok_or(malformed("its slots are cut off"))?;
    for slot in slots.chunks_exact(SLOT_BYTES) {
        if &slot[..4] != b"Slot" {
            return Err(malformed("a slot is none"));
        }
        let (Some(number), Some(block)) = (word(slot, 4), word(slot, 8)) else { continue };
        if block == 0 {
            continue;
        }
        let blob = file.get(block as usize * BLOCK_BYTES..).ok_or(malformed("a package is beyond the end"))?;
        if blob.get(..4) != Some(b"BlbS") || word(blob, 4) != Some(number) {
            return Err(malformed("a package is not where its slot says"));
        }
        let length = word(blob, 12).ok_or(malformed("a package is cut off"))? as usize;
        let header = blob.get(16..16 + length.min(ROW_BYTES_MAX)).ok_or(malformed("a package is cut off"))?;
        if !each(number, header) {
            break;
        }
    }
    Ok(())
}
