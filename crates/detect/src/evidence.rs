//! Evidence: rows copied into alerts, because retention deletes the originals. A row is kept in a compact binary form
//! (about 200 bytes) and turned into JSON only when an alert is told. Must never keep a whole batch alive.
//!
//! Form: unless it is a flow, [`CLASS`] and the number of its class (`u32`), because the rules of a correlation may look
//! at several classes; then for every non-null column its position (one byte) and its value; numbers little-endian at
//! their width, addresses and MACs as they are, text and bytes with a `u32` length.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, StringArray, TimestampMicrosecondArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use guardian_model::{ALL_CLASSES, Class, EventRef, FLOW, Field, Kind, cell_json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One copied row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copied {
    /// Which event it is.
    pub(crate) event: EventRef,
    /// The row in the compact form.
    pub(crate) row: Box<[u8]>,
}

/// No class has so many columns: stands where a position would, before the number of a class.
const CLASS: u8 = u8::MAX;

/// Copies one row.
pub(crate) fn copy(class: &Class, rows: &RecordBatch, row: usize) -> Box<[u8]> {
    let mut out = Vec::with_capacity(256);
    if class.uid != FLOW.uid {
        out.push(CLASS);
        out.extend(class.uid.to_le_bytes());
    }
    for (position, (field, column)) in class.fields.iter().zip(rows.columns()).enumerate() {
        if column.is_null(row) {
            continue;
        }
        let mark = out.len();
        out.push(position as u8);
        if put(&mut out, field, column, row).is_none() {
            out.truncate(mark);
        }
    }
    out.into_boxed_slice()
}

fn put(out: &mut Vec<u8>, field: &Field, column: &ArrayRef, row: usize) -> Option<()> {
    match field.kind {
        Kind::Bool => out.push(u8::from(column.as_boolean_opt()?.value(row))),
        Kind::U8 => out.push(column.as_primitive_opt::<UInt8Type>()?.value(row)),
        Kind::U16 => out.extend(column.as_primitive_opt::<UInt16Type>()?.value(row).to_le_bytes()),
        Kind::U32 => out.extend(column.as_primitive_opt::<UInt32Type>()?.value(row).to_le_bytes()),
        Kind::U64 => out.extend(column.as_primitive_opt::<UInt64Type>()?.value(row).to_le_bytes()),
        Kind::Time => out.extend(column.as_primitive_opt::<TimestampMicrosecondType>()?.value(row).to_le_bytes()),
        Kind::Ip | Kind::Mac => out.extend(column.as_fixed_size_binary_opt()?.value(row)),
        Kind::Label => {
            let column = column.as_dictionary_opt::<Int32Type>()?;
            put_bytes(out, column.values().as_string_opt::<i32>()?.value(column.key(row)?).as_bytes());
        }
        Kind::Text => put_bytes(out, column.as_string_opt::<i32>()?.value(row).as_bytes()),
        Kind::Bytes => put_bytes(out, column.as_binary_opt::<i32>()?.value(row)),
    }
    Some(())
}

/// Longest text or byte value that is copied; the rest of a longer one is cut.
const VALUE_BYTES_MAX: usize = 1024;

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(VALUE_BYTES_MAX)];
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The JSON object of a copied row: the same that [`guardian_model::row_json`] gives for the original.
pub(crate) fn to_json(copied: &[u8]) -> Value {
    let mut rest = copied;
    let mut class = &FLOW;
    if let Some((&CLASS, mut behind)) = copied.split_first() {
        let uid = take(&mut behind).map(u32::from_le_bytes);
        let Some(known) = ALL_CLASSES.iter().find(|c| Some(c.uid) == uid) else { return Value::Object(Map::new()) };
        (class, rest) = (known, behind);
    }
    let mut object = Map::new();
    while let Some((field, value)) = take_cell(class, &mut rest) {
        if let Some(value) = cell_json(value.as_ref(), 0) {
            object.insert(field.name.to_owned(), value);
        }
    }
    Value::Object(object)
}

fn take_cell<'a>(class: &'a Class, rest: &mut &[u8]) -> Option<(&'a Field, ArrayRef)> {
    let [position] = take::<1>(rest)?;
    let field = class.fields.get(position as usize)?;
    let array: ArrayRef = match field.kind {
        Kind::Bool => Arc::new(BooleanArray::from(vec![take::<1>(rest)? != [0]])),
        Kind::U8 => Arc::new(UInt8Array::from(vec![take::<1>(rest)?[0]])),
        Kind::U16 => Arc::new(UInt16Array::from(vec![u16::from_le_bytes(take(rest)?)])),
        Kind::U32 => Arc::new(UInt32Array::from(vec![u32::from_le_bytes(take(rest)?)])),
        Kind::U64 => Arc::new(UInt64Array::from(vec![u64::from_le_bytes(take(rest)?)])),
        Kind::Time => Arc::new(TimestampMicrosecondArray::from(vec![i64::from_le_bytes(take(rest)?)])),
        Kind::Ip => Arc::new(FixedSizeBinaryArray::try_from_iter([take::<16>(rest)?].iter()).ok()?),
        Kind::Mac => Arc::new(FixedSizeBinaryArray::try_from_iter([take::<6>(rest)?].iter()).ok()?),
        Kind::Label | Kind::Text => {
            Arc::new(StringArray::from(vec![String::from_utf8_lossy(take_bytes(rest)?).into_owned()]))
        }
        Kind::Bytes => Arc::new(BinaryArray::from(vec![take_bytes(rest)?])),
    };
    Some((field, array))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

/// The first rows of an alert and the newest ones: [`Self::FIRST`] kept for good, then the newest [`Self::NEWEST`]
/// rotating. Rows of the batch in work are noted by number and copied when the batch ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Evidence {
    first: Vec<Copied>,
    newest: std::collections::VecDeque<Copied>,
    #[serde(skip)]
    pending: std::collections::VecDeque<u32>,
}

impl Evidence {
    /// How many of the first rows stay.
    pub(crate) const FIRST: usize = 50;
    /// How many of the newest rows rotate behind them.
    pub(crate) const NEWEST: usize = 50;

    /// Notes a row of the batch in work.
    pub(crate) fn note(&mut self, row: u32) {
        if self.pending.back() == Some(&row) {
            return;
        }
        if self.first.len() + self.pending.len() >= Self::FIRST + Self::NEWEST {
            // Of the noted rows, those that fill up `first` stay; the oldest of the others goes.
            let stay = Self::FIRST - self.first.len();
            if stay < self.pending.len() {
                self.pending.remove(stay);
            }
        }
        self.pending.push_back(row);
    }

    /// Adds an already copied row.
    pub(crate) fn push(&mut self, copied: Copied) {
        if self.first.len() < Self::FIRST {
            self.first.push(copied);
        } else {
            if self.newest.len() == Self::NEWEST {
                self.newest.pop_front();
            }
            self.newest.push_back(copied);
        }
    }

    /// Whether no noted row waits to be copied.
    pub(crate) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// Copies the rows noted so far; returns by how many bytes it grew.
    pub(crate) fn settle(&mut self, batch: u64, class: &Class, rows: &RecordBatch) -> usize {
        let before = self.bytes();
        for row in std::mem::take(&mut self.pending) {
            self.push(Copied { event: EventRef { batch, row }, row: copy(class, rows, row as usize) });
        }
        self.bytes().saturating_sub(before)
    }

    /// All copied rows, oldest first, as an alert carries them.
    pub(crate) fn to_json(&self) -> Vec<(EventRef, Value)> {
        self.first.iter().chain(&self.newest).map(|c| (c.event, to_json(&c.row))).collect()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.first.iter().chain(&self.newest).map(|c| c.row.len() + size_of::<Copied>()).sum()
    }
}

/// The last rows that matched a rule which a correlation counts, so that an alert can show what led to it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Recent {
    rows: std::collections::VecDeque<Copied>,
}

impl Recent {
    /// How many rows are kept for a rule.
    pub(crate) const ROWS: usize = 1024;
    /// How many rows of one batch are kept at most: the last ones.
    pub(crate) const ROWS_OF_BATCH: usize = 256;

    /// Copies the last matches of a batch. `matches` are row numbers in order.
    pub(crate) fn extend(&mut self, batch: u64, class: &Class, rows: &RecordBatch, matches: &[u32]) {
        let matches = &matches[matches.len().saturating_sub(Self::ROWS_OF_BATCH)..];
        while self.rows.len() + matches.len() > Self::ROWS {
            self.rows.pop_front();
        }
        let copies =
            matches.iter().map(|&row| Copied { event: EventRef { batch, row }, row: copy(class, rows, row as usize) });
        self.rows.extend(copies);
    }

    /// The copy of an event, if it is still there.
    pub(crate) fn get(&self, event: EventRef) -> Option<&Copied> {
        let at = self.rows.binary_search_by_key(&event, |c| c.event).ok()?;
        self.rows.get(at)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.iter().map(|c| c.row.len()).sum::<usize>() + self.rows.capacity() * size_of::<Copied>()
    }
}

#[cfg(test)]
mod tests {
    use guardian_model::{FLOW, row_json};
    use serde_json::Value;

    use super::{Evidence, copy, to_json};
    use crate::fixture;

    #[test]
    fn a_copied_row_reads_like_the_original() {
        let batch = fixture::parse(
            "- {src: 10.0.0.1, dst: 203.0.113.9, proto: tcp, dport: 443, flags: SAPF, bytes: 900, packets: 9, \
             rev_bytes: 5000, rev_packets: 8, rev_flags: SAPF, site: north, direction: outbound, indicator: list}\n\
             - {src: 'fd00::1', dst: '2001:db8::9', proto: icmp6, icmp: 128/0}\n",
        )
        .unwrap()
        .batch(guardian_model::TenantId::DEFAULT);
        for row in 0..2 {
            let original = Value::Object(row_json(&batch.rows, row));
            assert_eq!(to_json(&copy(&FLOW, &batch.rows, row)), original);
        }
    }

    #[test]
    fn the_first_rows_stay_and_the_newest_rotate() {
        let text = "- {src: 10.0.0.1, dst: 10.0.0.2, dport: 1..400, proto: tcp, flags: S}\n";
        let batch = fixture::parse(text).unwrap().batch(guardian_model::TenantId::DEFAULT);
        // However the 400 rows are cut, the same 100 are kept.
        for step in [1, 7, 60, 130, 400] {
            let mut evidence = Evidence::default();
            for row in 0..400 {
                evidence.note(row);
                if row % step == step - 1 {
                    evidence.settle(1, &FLOW, &batch.rows);
                }
            }
            evidence.settle(1, &FLOW, &batch.rows);
            let rows: Vec<u32> = evidence.to_json().iter().map(|(e, _)| e.row).collect();
            assert!(rows.iter().copied().eq((0..50).chain(350..400)), "step {step}: {rows:?}");
        }
    }
}
