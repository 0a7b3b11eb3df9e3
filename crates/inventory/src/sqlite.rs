//! A reader of SQLite files, because rpm and Nix keep their packages in them (sqlite.org, "Database File Format" and
//! "WAL-mode File Format").
//!
//! It reads tables row by row, with what a write-ahead log beside the file has committed. It knows no index, no SQL and
//! no virtual table. A copy of a file that is being written to is read as of its last commit.

use std::collections::HashMap;

use crate::Malformed;
use crate::limits::{ROW_BYTES_MAX, ROWS_BYTES_MAX};

const fn malformed(what: &'static str) -> Malformed {
    Malformed { format: "an SQLite database", what }
}

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value. An `INTEGER PRIMARY KEY` is stored so: it is the row id.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// A text, as stored: UTF-8 unless somebody put something else there.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes of a text or of bytes.
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Text(bytes) | Self::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The whole number.
    pub const fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(n) => Some(*n),
            _ => None,
        }
    }
}

/// A database in memory.
#[derive(Debug)]
pub struct Database<'a> {
    file: &'a [u8],
    page_bytes: usize,
    usable_bytes: usize,
    /// Pages of the write-ahead log that take the place of those of the file.
    log: HashMap<u32, &'a [u8]>,
}

/// Why a walk ends.
enum Stop {
    Malformed(Malformed),
    Enough,
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// What a walk may still do.
struct Walk {
    pages: u32,
    bytes: usize,
}

/// B-trees of the largest databases are not deeper.
const DEPTH_MAX: usize = 20;
/// Columns of one row that are read.
const COLUMNS_MAX: usize = 256;

impl<'a> Database<'a> {
    /// A database file, and the `-wal` file beside it if there is one.
    pub fn open(file: &'a [u8], wal: Option<&'a [u8]>) -> Result<Self, Malformed> {
        let head: &[u8; 100] = file.first_chunk().ok_or(malformed("it is too short"))?;
        if &head[..16] != b"SQLite format 3\0" {
            return Err(malformed("it does not begin as one"));
        }
        let page_bytes = match u16::from_be_bytes([head[16], head[17]]) {
            1 => 65_536,
            n if n >= 512 && n.is_power_of_two() => usize::from(n),
            _ => return Err(malformed("its page size is none")),
        };
        let usable_bytes = page_bytes - usize::from(head[20]);
        if usable_bytes < 480 {
            return Err(malformed("its pages have no room"));
        }
        // A database that was only created has 0 here until something is stored.
        if !matches!(be32(head, 56), Some(0 | 1)) {
            return Err(malformed("its texts are not UTF-8"));
        }
        let mut database = Self { file, page_bytes, usable_bytes, log: HashMap::new() };
        if let Some(wal) = wal {
            database.apply(wal);
        }
        Ok(database)
    }

    /// Takes what the log has committed; a log of another life of the file, or a torn tail, is left alone.
    fn apply(&mut self, wal: &'a [u8]) {
        let Some(head) = wal.first_chunk::<32>() else { return };
        let big_endian = match be32(head, 0) {
            Some(0x377f_0682) => false,
            Some(0x377f_0683) => true,
            _ => return,
        };
        if be32(head, 8) != Some(self.page_bytes as u32) {
            return;
        }
        let mut sum = checksum((0, 0), &head[..24], big_endian);
        if (Some(sum.0), Some(sum.1)) != (be32(head, 24), be32(head, 28)) {
            return;
        }
        let mut open: Vec<(u32, &[u8])> = Vec::new();
        for frame in wal[32..].chunks_exact(24 + self.page_bytes) {
            let (frame_head, page) = frame.split_at(24);
            sum = checksum(checksum(sum, &frame_head[..8], big_endian), page, big_endian);
            let same_life = frame_head[8..16] == head[16..24];
            if !same_life || (Some(sum.0), Some(sum.1)) != (be32(frame_head, 16), be32(frame_head, 20)) {
                break;
            }
            let (Some(number), Some(size)) = (be32(frame_head, 0), be32(frame_head, 4)) else { break };
            open.push((number, page));
            if size != 0 {
                self.log.extend(open.drain(..));
            }
        }
    }

    fn page(&self, number: u32) -> Result<&'a [u8], Malformed> {
        if let Some(page) = self.log.get(&number) {
            return Ok(page);
        }
        let index = number.checked_sub(1).ok_or(malformed("a page has the number 0"))? as usize;
        let start = index.checked_mul(self.page_bytes).ok_or(malformed("a page is beyond the end"))?;
        self.file.get(start..start.saturating_add(self.page_bytes)).ok_or(malformed("a page is beyond the end"))
    }

    /// Calls `row` with the row id and values of each row of a table, until it returns false. A value of the row lives
    /// as long as the call.
    pub fn rows(&self, table: &str, mut row: impl FnMut(i64, &[Value<'_>]) -> bool) -> Result<(), Malformed> {
        let mut root = None;
        self.walk_from(1, &mut |_, values| {
            if let [kind, name, _, page, ..] = values
                && kind.bytes() == Some(b"table")
                && name.bytes() == Some(table.as_bytes())
            {
                root = page.integer().and_then(|page| u32::try_from(page).ok());
            }
            root.is_none()
        })?;
        self.walk_from(root.ok_or(malformed("it has no such table"))?, &mut row)
    }

    fn walk_from(&self, root: u32, row: &mut dyn FnMut(i64, &[Value<'_>]) -> bool) -> Result<(), Malformed> {
        // Every page is in one tree at one place, so that a walk that sees more pages than there are goes in circles.
        // What the file and the log hold counts, not what they say.
        let pages = (self.file.len() / self.page_bytes + self.log.len()) as u32;
        match self.walk(root, DEPTH_MAX, &mut Walk { pages, bytes: ROWS_BYTES_MAX }, row) {
            Err(Stop::Malformed(malformed)) => Err(malformed),
            Ok(()) | Err(Stop::Enough) => Ok(()),
        }
    }

    fn walk(
        &self,
        number: u32,
        depth: usize,
        walk: &mut Walk,
        row: &mut dyn FnMut(i64, &[Value<'_>]) -> bool,
    ) -> Result<(), Stop> {
        let depth = depth.checked_sub(1).ok_or(malformed("its tree is too deep"))?;
        walk.pages = walk.pages.checked_sub(1).ok_or(malformed("its tree goes in circles"))?;
        let page = self.page(number)?;
        let start = if number == 1 { 100 } else { 0 };
        let head = page.get(start..start + 12).ok_or(malformed("a page is too short"))?;
        let cells = usize::from(u16::from_be_bytes([head[3], head[4]]));
        let (inner, pointers) = match head[0] {
            0x05 => (true, start + 12),
            0x0d => (false, start + 8),
            _ => return Err(malformed("a page is not of a table").into()),
        };
        for i in 0..cells {
            let at = pointers + 2 * i;
            let pointer = page.get(at..at + 2).ok_or(malformed("a page has more cells than room"))?;
            let cell = page.get(usize::from(u16::from_be_bytes([pointer[0], pointer[1]]))..).unwrap_or_default();
            if inner {
                self.walk(be32(cell, 0).ok_or(malformed("a cell is beyond its page"))?, depth, walk, row)?;
            } else {
                self.cell(cell, walk, row)?;
            }
        }
        if inner {
            self.walk(be32(head, 8).ok_or(malformed("a page is too short"))?, depth, walk, row)?;
        }
        Ok(())
    }

    fn cell(
        &self,
        mut cell: &[u8],
        walk: &mut Walk,
        row: &mut dyn FnMut(i64, &[Value<'_>]) -> bool,
    ) -> Result<(), Stop> {
        let length = usize::try_from(varint(&mut cell)?).unwrap_or(usize::MAX);
        let id = varint(&mut cell)?;
        if length > ROW_BYTES_MAX {
            return Err(malformed("a row is too long").into());
        }
        walk.bytes = walk.bytes.checked_sub(length).ok_or(malformed("its rows are too long"))?;
        let local = self.local_bytes(length);
        let head = cell.get(..local).ok_or(malformed("a cell is beyond its page"))?;
        let assembled;
        let payload = if local == length {
            head
        } else {
            let next = be32(cell, local).ok_or(malformed("a cell is beyond its page"))?;
            assembled = self.overflow(head, next, length)?;
            &assembled
        };
        if row(id, &values(payload)?) { Ok(()) } else { Err(Stop::Enough) }
    }

    /// How much of a payload is in the cell itself.
    const fn local_bytes(&self, length: usize) -> usize {
        let most = self.usable_bytes - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable_bytes - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (self.usable_bytes - 4);
        if fitting <= most { fitting } else { least }
    }

    fn overflow(&self, head: &[u8], mut next: u32, length: usize) -> Result<Vec<u8>, Malformed> {
        // Grows with what is there: a length that is claimed takes no memory.
        let mut payload = head.to_vec();
        while payload.len() < length {
            let page = self.page(next)?;
            next = be32(page, 0).ok_or(malformed("a page is too short"))?;
            let wanted = (length - payload.len()).min(self.usable_bytes - 4);
            payload.extend_from_slice(&page[4..4 + wanted]);
        }
        Ok(payload)
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

fn checksum(sum: (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let word = |b: &[u8]| {
        let b = [b[0], b[1], b[2], b[3]];
        if big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
    };
    bytes.chunks_exact(8).fold(sum, |(a, b), eight| {
        let a = a.wrapping_add(word(&eight[..4])).wrapping_add(b);
        (a, b.wrapping_add(word(&eight[4..])).wrapping_add(a))
    })
}

/// SQLite's varint: big-endian, seven bits a byte, eight in the ninth.
fn varint(input: &mut &[u8]) -> Result<i64, Malformed> {
    let mut n = 0u64;
    for i in 0..9 {
        let (&byte, rest) = input.split_first().ok_or(malformed("a number ends too early"))?;
        *input = rest;
        if i == 8 {
            return Ok((n << 8 | u64::from(byte)).cast_signed());
        }
        n = n << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            break;
        }
    }
    Ok(n.cast_signed())
}

fn values(payload: &[u8]) -> Result<Vec<Value<'_>>, Malformed> {
    let mut head = payload;
    let head_bytes = usize::try_from(varint(&mut head)?).unwrap_or(usize::MAX);
    let used = payload.len() - head.len();
    let mut types = payload.get(used..head_bytes).ok_or(malformed("the head of a row is longer than the row"))?;
    let mut body = &payload[head_bytes..];
    let mut values = Vec::new();
    while !types.is_empty() && values.len() < COLUMNS_MAX {
        let code = varint(&mut types)?;
        let mut take = |bytes: usize| {
            let (value, rest) = body.split_at_checked(bytes).ok_or(malformed("a value is beyond its row"))?;
            body = rest;
            Ok(value)
        };
        values.push(match code {
            0 => Value::Null,
            1..=6 => {
                let bytes = take([1, 2, 3, 4, 6, 8][code as usize - 1])?;
                let first = i64::from(bytes[0].cast_signed());
                Value::Integer(bytes[1..].iter().fold(first, |n, b| n << 8 | i64::from(*b)))
            }
            7 => Value::Real(f64::from_be_bytes(take(8)?.try_into().map_err(|_| malformed("a number is short"))?)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            n if n >= 12 => {
                let bytes = take(usize::try_from((n - 12) / 2).unwrap_or(usize::MAX))?;
                if n % 2 == 0 { Value::Blob(bytes) } else { Value::Text(bytes) }
            }
            _ => return Err(malformed("a value has no known type")),
        });
    }
    Ok(values)
}
