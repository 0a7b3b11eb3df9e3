//! The body of a write-ahead record: the columns of one batch, only those that hold something, narrowed to the bytes
//! their values need (frame of reference), which is several times smaller than Arrow IPC and costs less than a
//! general compressor.
//!
//! It must never depend on anything but the class's field table, and never fail on or be misled by damaged bytes:
//! every length is checked before it is used.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray, PrimitiveArray,
    StringArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, Int32Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use guardian_model::{Class, Field, Ip, Kind};

use crate::LakeError;

/// More rows than this in one batch are refused, so that damaged lengths cannot ask for absurd memory.
pub(crate) const ROWS_MAX: usize = 16 * 1024 * 1024;

/// Columns that the lake fills itself and therefore never stores in the log.
const FILLED: [&str; 2] = ["batch", "row"];

const HAS_NULLS: u8 = 1;
const MODE_CONSTANT: u8 = 0;
const MODE_V4: u8 = 1;
const MODE_FULL: u8 = 2;

/// Appends the encoded columns of `rows` to `out`.
pub(crate) fn encode(class: &Class, rows: &RecordBatch, out: &mut Vec<u8>) -> Result<(), LakeError> {
    if rows.num_columns() != class.fields.len() {
        let (have, want) = (rows.num_columns(), class.fields.len());
        return Err(LakeError::Data(format!("a batch of {} has {have} columns instead of {want}", class.name)));
    }
    if rows.num_rows() > ROWS_MAX {
        return Err(LakeError::Data(format!("a batch has more than {ROWS_MAX} rows")));
    }
    put_u32(out, rows.num_rows() as u32);
    for (field, column) in class.fields.iter().zip(rows.columns()) {
        if column.data_type() != &field.kind.data_type() {
            return Err(LakeError::Data(format!("{}.{} is {}", class.name, field.name, column.data_type())));
        }
        if column.null_count() == column.len() || FILLED.contains(&field.name) {
            if !field.nullable && !column.is_empty() && !FILLED.contains(&field.name) {
                return Err(LakeError::Data(format!("{}.{} is null", class.name, field.name)));
            }
            continue;
        }
        out.extend_from_slice(&field.id.to_le_bytes());
        let length_at = out.len();
        put_u32(out, 0);
        encode_column(field, column, out)?;
        let length = (out.len() - length_at - 4) as u32;
        out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
    Ok(())
}

/// Reads a batch back. Columns that were not stored are null, or 0 for `batch` and `row`.
pub(crate) fn decode(class: &'static Class, body: &[u8]) -> Result<RecordBatch, LakeError> {
    let mut input = Input(body);
    let rows = input.u32()? as usize;
    if rows > ROWS_MAX {
        return Err(LakeError::Data(format!("a record claims {rows} rows")));
    }
    let mut columns: Vec<Option<ArrayRef>> = vec![None; class.fields.len()];
    while !input.0.is_empty() {
        let id = u16::from_le_bytes(input.array()?);
        let length = input.u32()? as usize;
        let mut column = Input(input.take(length)?);
        // A column of a newer version is skipped by its length.
        if let Some(at) = class.fields.iter().position(|f| f.id == id) {
            columns[at] = Some(decode_column(class.fields[at].kind, rows, &mut column)?);
        }
    }
    let columns = columns.into_iter().zip(class.fields).map(|(column, field)| match column {
        Some(column) => Ok(column),
        None if field.nullable => Ok(new_null_array(&field.kind.data_type(), rows)),
        None if FILLED.contains(&field.name) => Ok(zeros(field.kind, rows)),
        None => Err(LakeError::Data(format!("a record lacks {}.{}", class.name, field.name))),
    });
    RecordBatch::try_new(class.schema(), columns.collect::<Result<_, _>>()?).map_err(LakeError::data)
}

fn zeros(kind: Kind, rows: usize) -> ArrayRef {
    if kind == Kind::U64 {
        Arc::new(PrimitiveArray::<UInt64Type>::from_value(0, rows))
    } else {
        Arc::new(PrimitiveArray::<UInt32Type>::from_value(0, rows))
    }
}

fn encode_column(field: &Field, column: &ArrayRef, out: &mut Vec<u8>) -> Result<(), LakeError> {
    let nulls = column.nulls().filter(|n| n.null_count() > 0);
    out.push(if nulls.is_some() { HAS_NULLS } else { 0 });
    if let Some(nulls) = nulls {
        put_bits(nulls.inner(), out);
    }
    match field.kind {
        Kind::Bool => put_bits(column.as_boolean().values(), out),
        Kind::U8 => put_ints::<UInt8Type>(column, out),
        Kind::U16 => put_ints::<UInt16Type>(column, out),
        Kind::U32 => put_ints::<UInt32Type>(column, out),
        Kind::U64 => put_ints::<UInt64Type>(column, out),
        Kind::Time => put_ints::<TimestampMicrosecondType>(column, out),
        Kind::Ip => put_fixed::<16>(column.as_fixed_size_binary(), out),
        Kind::Mac => put_fixed::<6>(column.as_fixed_size_binary(), out),
        Kind::Label => put_labels(column.as_dictionary::<Int32Type>(), out)?,
        Kind::Text => {
            let text = column.as_string::<i32>();
            put_varying(text.offsets(), text.values(), out);
        }
        Kind::Bytes => {
            let bytes = column.as_binary::<i32>();
            put_varying(bytes.offsets(), bytes.values(), out);
        }
    }
    Ok(())
}

fn decode_column(kind: Kind, rows: usize, input: &mut Input<'_>) -> Result<ArrayRef, LakeError> {
    let flags = input.u8()?;
    let nulls = if flags & HAS_NULLS == 0 { None } else { Some(NullBuffer::new(input.bits(rows)?)) };
    Ok(match kind {
        Kind::Bool => Arc::new(BooleanArray::new(input.bits(rows)?, nulls)),
        Kind::U8 => ints::<UInt8Type>(input, rows, nulls)?,
        Kind::U16 => ints::<UInt16Type>(input, rows, nulls)?,
        Kind::U32 => ints::<UInt32Type>(input, rows, nulls)?,
        Kind::U64 => ints::<UInt64Type>(input, rows, nulls)?,
        Kind::Time => {
            let values = input.ints::<TimestampMicrosecondType>(rows)?;
            let times = PrimitiveArray::<TimestampMicrosecondType>::new(values.into(), nulls);
            Arc::new(times.with_timezone("+00:00"))
        }
        Kind::Ip => Arc::new(fixed::<16>(input, rows, nulls)?),
        Kind::Mac => Arc::new(fixed::<6>(input, rows, nulls)?),
        Kind::Label => labels(input, rows, nulls)?,
        Kind::Text => {
            let (offsets, values) = varying(input, rows)?;
            Arc::new(StringArray::try_new(offsets, values, nulls).map_err(LakeError::data)?)
        }
        Kind::Bytes => {
            let (offsets, values) = varying(input, rows)?;
            Arc::new(BinaryArray::try_new(offsets, values, nulls).map_err(LakeError::data)?)
        }
    })
}

/// An integer that can be written as its distance from a base.
trait Int: Copy + Ord {
    fn distance(self, base: Self) -> u64;
    fn from_distance(base: u64, distance: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! int {
    ($($t:ty),*) => {$(
        impl Int for $t {
            #[inline]
            fn distance(self, base: Self) -> u64 { (self as u64).wrapping_sub(base as u64) }
            #[inline]
            fn from_distance(base: u64, distance: u64) -> Self { base.wrapping_add(distance) as Self }
            #[inline]
            fn bits(self) -> u64 { self as u64 }
        }
    )*};
}
int!(u8, u16, u32, u64, i32, i64);

fn put_ints<T: ArrowPrimitiveType<Native: Int>>(column: &ArrayRef, out: &mut Vec<u8>) {
    put_narrow(column.as_primitive::<T>().values(), out);
}

/// Writes the base, the width in bytes (0 for a constant) and the distances.
fn put_narrow<T: Int>(values: &[T], out: &mut Vec<u8>) {
    let Some(&first) = values.first() else {
        put_u64(out, 0);
        return out.push(0);
    };
    let (mut low, mut high) = (first, first);
    for &value in values {
        low = low.min(value);
        high = high.max(value);
    }
    put_u64(out, low.bits());
    match high.distance(low) {
        0 => out.push(0),
        1..=0xff => {
            out.push(1);
            out.extend(values.iter().map(|v| v.distance(low) as u8));
        }
        0x100..=0xffff => {
            out.push(2);
            put_array(values.iter().map(|v| (v.distance(low) as u16).to_le_bytes()), out);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(4);
            put_array(values.iter().map(|v| (v.distance(low) as u32).to_le_bytes()), out);
        }
        _ => {
            out.push(8);
            put_array(values.iter().map(|v| v.distance(low).to_le_bytes()), out);
        }
    }
}

fn put_array<const N: usize>(items: impl ExactSizeIterator<Item = [u8; N]>, out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + items.len() * N, 0);
    for (to, item) in out[at..].as_chunks_mut::<N>().0.iter_mut().zip(items) {
        *to = item;
    }
}

fn put_fixed<const N: usize>(column: &FixedSizeBinaryArray, out: &mut Vec<u8>) {
    let (items, _) = column.value_data().as_chunks::<N>();
    let items = &items[..column.len()];
    let Some(first) = items.first() else { return out.push(MODE_FULL) };
    if items.iter().all(|item| item == first) {
        out.push(MODE_CONSTANT);
        out.extend_from_slice(first);
    } else if N == 16 && items.iter().all(|item| item[..12] == Ip::V4_PREFIX) {
        out.push(MODE_V4);
        put_array(items.iter().map(|item| [item[12], item[13], item[14], item[15]]), out);
    } else {
        out.push(MODE_FULL);
        out.extend_from_slice(items.as_flattened());
    }
}

/// Writes the labels in use, then the keys. Dictionaries may be shared by many batches and far larger than one of
/// them, so only values that occur are kept.
fn put_labels(column: &DictionaryArray<Int32Type>, out: &mut Vec<u8>) -> Result<(), LakeError> {
    const UNUSED: i32 = -1;
    let values = column.values().as_string_opt::<i32>().ok_or_else(|| LakeError::Data("labels are not text".into()))?;
    let mut renumbered = vec![UNUSED; values.len()];
    let mut used: Vec<usize> = Vec::new();
    let mut keys: Vec<i32> = Vec::with_capacity(column.len());
    let nulls = column.nulls();
    for (row, &key) in column.keys().values().iter().enumerate() {
        if nulls.is_some_and(|n| n.is_null(row)) {
            keys.push(0);
            continue;
        }
        let slot =
            renumbered.get_mut(key as usize).ok_or_else(|| LakeError::Data("a label key is out of range".into()))?;
        if *slot == UNUSED {
            *slot = used.len() as i32;
            used.push(key as usize);
        }
        keys.push(*slot);
    }
    put_u32(out, used.len() as u32);
    for &index in &used {
        let text = values.value(index);
        put_u32(out, text.len() as u32);
        out.extend_from_slice(text.as_bytes());
    }
    put_narrow(&keys, out);
    Ok(())
}

fn put_varying(offsets: &OffsetBuffer<i32>, values: &Buffer, out: &mut Vec<u8>) {
    let lengths: Vec<u32> = offsets.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect();
    put_narrow(&lengths, out);
    let (from, to) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
    out.extend_from_slice(&values.as_slice()[from..to]);
}

fn put_bits(bits: &BooleanBuffer, out: &mut Vec<u8>) {
    out.extend_from_slice(&bits.sliced().as_slice()[..bits.len().div_ceil(8)]);
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn ints<T: ArrowPrimitiveType<Native: Int>>(
    input: &mut Input<'_>,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, LakeError> {
    Ok(Arc::new(PrimitiveArray::<T>::new(input.ints::<T>(rows)?.into(), nulls)))
}

fn fixed<const N: usize>(
    input: &mut Input<'_>,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<FixedSizeBinaryArray, LakeError> {
    let mut bytes = Vec::with_capacity(rows * N);
    match input.u8()? {
        MODE_CONSTANT => {
            let item: [u8; N] = input.array()?;
            for _ in 0..rows {
                bytes.extend_from_slice(&item);
            }
        }
        MODE_V4 if N == 16 => {
            for item in input.take(rows * 4)?.as_chunks::<4>().0 {
                bytes.extend_from_slice(&Ip::v4(*item).0);
            }
        }
        MODE_FULL => bytes.extend_from_slice(input.take(rows * N)?),
        other => return Err(LakeError::Data(format!("unknown address mode {other}"))),
    }
    FixedSizeBinaryArray::try_new(N as i32, bytes.into(), nulls).map_err(LakeError::data)
}

fn labels(input: &mut Input<'_>, rows: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef, LakeError> {
    let count = input.u32()? as usize;
    let mut values = Vec::with_capacity(count.min(rows));
    for _ in 0..count {
        let length = input.u32()? as usize;
        values.push(std::str::from_utf8(input.take(length)?).map_err(LakeError::data)?);
    }
    let keys = PrimitiveArray::<Int32Type>::new(input.narrow::<i32>(rows)?.into(), nulls);
    let values = Arc::new(StringArray::from_iter_values(values));
    Ok(Arc::new(DictionaryArray::try_new(keys, values).map_err(LakeError::data)?))
}

fn varying(input: &mut Input<'_>, rows: usize) -> Result<(OffsetBuffer<i32>, Buffer), LakeError> {
    let mut offsets = Vec::with_capacity(rows + 1);
    let mut end = 0_i32;
    offsets.push(end);
    for length in input.narrow::<u32>(rows)? {
        end = i32::try_from(length)
            .ok()
            .and_then(|length| end.checked_add(length))
            .ok_or_else(|| LakeError::Data("the texts of a record are longer than 2 GiB".into()))?;
        offsets.push(end);
    }
    let values = Buffer::from(input.take(end as usize)?.to_vec());
    Ok((OffsetBuffer::new(ScalarBuffer::from(offsets)), values))
}

/// Bytes still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], LakeError> {
        let (head, rest) =
            self.0.split_at_checked(length).ok_or_else(|| LakeError::Data("a record ends too early".into()))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LakeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, LakeError> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, LakeError> {
        self.array().map(u32::from_le_bytes)
    }

    fn bits(&mut self, rows: usize) -> Result<BooleanBuffer, LakeError> {
        Ok(BooleanBuffer::new(Buffer::from(self.take(rows.div_ceil(8))?.to_vec()), 0, rows))
    }

    fn ints<T: ArrowPrimitiveType<Native: Int>>(&mut self, rows: usize) -> Result<Vec<T::Native>, LakeError> {
        self.narrow(rows)
    }

    fn narrow<T: Int>(&mut self, rows: usize) -> Result<Vec<T>, LakeError> {
        let base = self.array().map(u64::from_le_bytes)?;
        Ok(match self.u8()? {
            0 => vec![T::from_distance(base, 0); rows],
            1 => self.take(rows)?.iter().map(|b| T::from_distance(base, u64::from(*b))).collect(),
            2 => self.narrow_by::<T, 2>(base, rows, |b| u16::from_le_bytes(b).into())?,
            4 => self.narrow_by::<T, 4>(base, rows, |b| u32::from_le_bytes(b).into())?,
            8 => self.narrow_by::<T, 8>(base, rows, u64::from_le_bytes)?,
            other => return Err(LakeError::Data(format!("unknown integer width {other}"))),
        })
    }

    fn narrow_by<T: Int, const N: usize>(
        &mut self,
        base: u64,
        rows: usize,
        read: impl Fn([u8; N]) -> u64,
    ) -> Result<Vec<T>, LakeError> {
        let items = self.take(rows * N)?.as_chunks::<N>().0;
        Ok(items.iter().map(|item| T::from_distance(base, read(*item))).collect())
    }
}
