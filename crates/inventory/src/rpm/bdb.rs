//! `Packages` of old rpm: a Berkeley DB hash table (Berkeley DB's `dbinc/db_page.h`), keys the number of the package,
//! values its header; in the byte order of the machine that wrote it.

use crate::Malformed;
use crate::limits::{ROW_BYTES_MAX, ROWS_BYTES_MAX};

const HASH_MAGIC: u32 = 0x0006_1561;
const HEAD_BYTES: usize = 26;
const PAGE_OVERFLOW: u8 = 7;
const PAGE_HASH_UNSORTED: u8 = 2;
const PAGE_HASH: u8 = 13;
const ITEM_HERE: u8 = 1;
const ITEM_ELSEWHERE: u8 = 3;

const fn malformed(what: &'static str) -> Malformed {
    Malformed { format: "an rpm database", what }
}

struct Reader<'a> {
    file: &'a [u8],
    big_endian: bool,
    page_bytes: usize,
}

impl<'a> Reader<'a> {
    fn open(file: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Self { file, big_endian: false, page_bytes: 0 };
        if reader.word(file, 12) != Some(HASH_MAGIC) {
            reader.big_endian = true;
            if reader.word(file, 12) != Some(HASH_MAGIC) {
                return Err(malformed("it is in none of the three forms"));
            }
        }
        reader.page_bytes = reader.word(file, 20).unwrap_or(0) as usize;
        if !(512..=65_536).contains(&reader.page_bytes) || !reader.page_bytes.is_power_of_two() {
            return Err(malformed("its page size is none"));
        }
        if file.get(24).is_some_and(|algorithm| *algorithm != 0) {
            return Err(malformed("it is encrypted"));
        }
        Ok(reader)
    }

    fn word(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let four = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }

    fn half(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let two = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(usize::from(if self.big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) }))
    }

    fn page(&self, number: u32) -> Option<&'a [u8]> {
        let start = (number as usize).checked_mul(self.page_bytes)?;
        self.file.get(start..start.checked_add(self.page_bytes)?)
    }

    /// The bytes of item `i` of a page: they end where the one before begins, the first at the end of the page.
    fn item(&self, page: &'a [u8], i: usize) -> Option<&'a [u8]> {
        let end = if i == 0 { page.len() } else { self.half(page, HEAD_BYTES + 2 * (i - 1))? };
        page.get(self.half(page, HEAD_BYTES + 2 * i)?..end)
    }

    /// A value that is on pages of its own.
    fn elsewhere(&self, item: &[u8], left: &mut usize) -> Result<Vec<u8>, Malformed> {
        let cut_off = malformed("a package is cut off");
        let mut next = self.word(item, 4).ok_or(cut_off.clone())?;
        let length = self.word(item, 8).ok_or(cut_off.clone())? as usize;
        if length > ROW_BYTES_MAX {
            return Err(malformed("a package is too long"));
        }
        *left = left.checked_sub(length).ok_or(malformed("its packages are too long"))?;
        let mut value = Vec::new();
        // Every page adds something, so that a chain that goes in circles ends with the length.
        while value.len() < length {
            let page = self.page(next).ok_or(cut_off.clone())?;
            let here = self.half(page, 22).unwrap_or(0);
            if page.get(25) != Some(&PAGE_OVERFLOW) || here == 0 {
                return Err(cut_off);
            }
            let data = page.get(HEAD_BYTES..HEAD_BYTES + here.min(length - value.len())).ok_or(cut_off.clone())?;
            value.extend_from_slice(data);
            next = self.word(page, 16).ok_or(cut_off.clone())?;
        }
        Ok(value)
    }
}

/// Calls `each` with the number and the header of every package, until it returns false.
pub(super) fn headers(file: &[u8], each: &mut dyn FnMut(u32, &[u8]) -> bool) -> Result<(), Malformed> {
    let reader = Reader::open(file)?;
    let mut left = ROWS_BYTES_MAX;
    for number in 1..(file.len() / reader.page_bytes) as u32 {
        let Some(page) = reader.page(number) else { break };
        if !matches!(page[25], PAGE_HASH | PAGE_HASH_UNSORTED) {
            continue;
        }
        let entries = reader.half(page, 20).unwrap_or(0);
        for i in (0..entries.saturating_sub(1)).step_by(2) {
            let (Some(key), Some(value)) = (reader.item(page, i), reader.item(page, i + 1)) else {
                return Err(malformed("an item is beyond its page"));
            };
            let package = match key {
                [ITEM_HERE, key @ ..] => reader.word(key, 0).unwrap_or(0),
                _ => 0,
            };
            // Package 0 is where rpm counts.
            let goes_on = match value {
                _ if package == 0 => true,
                [ITEM_HERE, header @ ..] => each(package, header),
                [ITEM_ELSEWHERE, ..] => each(package, &reader.elsewhere(value, &mut left)?),
                _ => true,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }
    Ok(())
}
