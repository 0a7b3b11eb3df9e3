//! Grouping keys and measured values: read from the columns of a batch into compact bytes and numbers, without a
//! string a row, and back into JSON once a group when somebody is told.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int32Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use guardian_model::{Ip, Micros};
use serde_json::Value;

/// Longest text that a key keeps, in bytes; what is longer is cut at a character.
const TEXT_BYTES_MAX: usize = 256;

/// One column, ready to be read row by row.
#[derive(Debug)]
pub(crate) struct Cells<'a> {
    nulls: Option<NullBuffer>,
    data: Data<'a>,
}

#[derive(Debug)]
enum Data<'a> {
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    Time(&'a [i64]),
    Ip(&'a [[u8; 16]]),
    Fixed(&'a FixedSizeBinaryArray),
    Bool(&'a BooleanArray),
    Text(&'a StringArray),
    Label {
        keys: &'a [i32],
        values: &'a StringArray,
        hashes: Vec<u64>,
    },
    /// A column of a type that telemetry does not have: every cell counts as null.
    Unknown,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(column: &'a ArrayRef) -> Self {
        let data = match column.data_type() {
            DataType::UInt8 => Data::U8(column.as_primitive::<UInt8Type>().values()),
            DataType::UInt16 => Data::U16(column.as_primitive::<UInt16Type>().values()),
            DataType::UInt32 => Data::U32(column.as_primitive::<UInt32Type>().values()),
            DataType::UInt64 => Data::U64(column.as_primitive::<UInt64Type>().values()),
            DataType::Timestamp(..) => column
                .as_primitive_opt::<TimestampMicrosecondType>()
                .map_or(Data::Unknown, |times| Data::Time(times.values())),
            DataType::FixedSizeBinary(16) => {
                let array = column.as_fixed_size_binary();
                let (cells, _) = array.value_data().as_chunks::<16>();
                Data::Ip(&cells[array.offset().min(cells.len())..])
            }
            DataType::FixedSizeBinary(_) => Data::Fixed(column.as_fixed_size_binary()),
            DataType::Boolean => Data::Bool(column.as_boolean()),
            DataType::Utf8 => Data::Text(column.as_string()),
            DataType::Dictionary(_, _) => label(column),
            _ => Data::Unknown,
        };
        Self { nulls: column.logical_nulls().filter(|n| n.null_count() > 0), data }
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|n| n.is_null(row))
    }

    /// Appends the cell; `false` (and nothing appended) for null.
    #[inline]
    pub(crate) fn append(&self, row: usize, key: &mut Vec<u8>) -> bool {
        if self.is_null(row) {
            return false;
        }
        let number = |key: &mut Vec<u8>, n: u64| {
            key.push(b'u');
            key.extend_from_slice(&n.to_le_bytes());
        };
        match &self.data {
            Data::U8(v) => number(key, v[row].into()),
            Data::U16(v) => number(key, v[row].into()),
            Data::U32(v) => number(key, v[row].into()),
            Data::U64(v) => number(key, v[row]),
            Data::Time(v) => {
                key.push(b't');
                key.extend_from_slice(&v[row].to_le_bytes());
            }
            Data::Ip(v) => {
                key.push(b'i');
                key.extend_from_slice(&v[row]);
            }
            Data::Fixed(v) => bytes(key, b'x', v.value(row)),
            Data::Bool(v) => key.extend_from_slice(&[b'b', u8::from(v.value(row))]),
            Data::Text(v) => bytes(key, b's', cut(v.value(row)).as_bytes()),
            Data::Label { keys, values, .. } => match usize::try_from(keys[row]) {
                Ok(k) if k < values.len() => bytes(key, b's', cut(values.value(k)).as_bytes()),
                _ => return false,
            },
            Data::Unknown => return false,
        }
        true
    }

    /// A number that stands for the cell's value; equal values of any batch have the same.
    #[inline]
    pub(crate) fn identity(&self, row: usize) -> Option<u64> {
        if self.is_null(row) {
            return None;
        }
        Some(match &self.data {
            Data::U8(v) => mix(v[row].into()),
            Data::U16(v) => mix(v[row].into()),
            Data::U32(v) => mix(v[row].into()),
            Data::U64(v) => mix(v[row]),
            Data::Time(v) => mix(v[row] as u64),
            Data::Ip(v) => {
                let address = u128::from_be_bytes(v[row]);
                mix(mix(address as u64) ^ (address >> 64) as u64)
            }
            Data::Fixed(v) => hash(v.value(row)),
            Data::Bool(v) => mix(v.value(row).into()),
            Data::Text(v) => hash(v.value(row).as_bytes()),
            Data::Label { keys, hashes, .. } => *usize::try_from(keys[row]).ok().and_then(|k| hashes.get(k))?,
            Data::Unknown => return None,
        })
    }

    /// The cell's number, for sums.
    #[inline]
    pub(crate) fn number(&self, row: usize) -> Option<u64> {
        if self.is_null(row) {
            return None;
        }
        match &self.data {
            Data::U8(v) => Some(v[row].into()),
            Data::U16(v) => Some(v[row].into()),
            Data::U32(v) => Some(v[row].into()),
            Data::U64(v) => Some(v[row]),
            _ => None,
        }
    }
}

fn label(column: &ArrayRef) -> Data<'_> {
    let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else { return Data::Unknown };
    let Some(values) = dictionary.values().as_any().downcast_ref::<StringArray>() else { return Data::Unknown };
    let hashes = (0..values.len()).map(|i| hash(values.value(i).as_bytes())).collect();
    Data::Label { keys: dictionary.keys().values(), values, hashes }
}

fn bytes(key: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    key.push(tag);
    key.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    key.extend_from_slice(bytes);
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// Marks an absent value in a key.
pub(crate) fn append_null(key: &mut Vec<u8>) {
    key.push(b'0');
}

/// Takes the first cell off an encoded key.
fn take<'a>(key: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, rest) = key.split_first()?;
    let (length, rest) = match tag {
        b'0' => (0, rest),
        b'b' => (1, rest),
        b'u' | b't' => (8, rest),
        b'i' => (16, rest),
        _ => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
    };
    let (cell, rest) = rest.split_at_checked(length)?;
    *key = rest;
    Some((*tag, cell))
}

/// The cells of an encoded key as people read them.
pub(crate) fn decode(mut key: &[u8]) -> Vec<Value> {
    let mut values = Vec::new();
    while let Some((tag, cell)) = take(&mut key) {
        let number = || cell.try_into().map_or(0, u64::from_le_bytes);
        values.push(match tag {
            b'0' => Value::Null,
            b'b' => (cell == [1]).into(),
            b'u' => number().into(),
            b't' => Micros(number() as i64).to_string().into(),
            b'i' => cell.try_into().map_or(Value::Null, |ip| Ip(ip).to_string().into()),
            b's' => String::from_utf8_lossy(cell).into(),
            _ => cell.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":").into(),
        });
    }
    values
}

/// Spreads a number over all 64 bits, one to one (the finaliser of SplitMix64; Steele, Lea, Flood 2014).
#[inline]
const fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of bytes that stays the same over processes and versions, because snapshots keep it.
fn hash(bytes: &[u8]) -> u64 {
    let mut state = mix(bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state ^ u64::from_le_bytes(word));
    }
    state
}

/// Hashes numbers that are spread already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes);
    }

    fn write_u64(&mut self, n: u64) {
        // The table's control bytes take the top bits and its buckets the bottom ones, of which sampling fixes some.
        self.0 = n.rotate_left(20);
    }
}

/// Builds [`Spread`].
pub(crate) type BuildSpread = BuildHasherDefault<Spread>;

/// Seeds differ from process to process, so that nobody can prepare keys that collide; the order of the table is
/// never visible in results.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyHasher(foldhash::fast::RandomState);

impl KeyHasher {
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        self.0.hash_one(key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, StringArray, TimestampMicrosecondArray,
        UInt8Array, UInt64Array,
    };
    use arrow::datatypes::Int32Type;

    use super::{Cells, decode};

    #[test]
    fn keys_are_read_back_as_people_write_them() {
        let ip = guardian_model::Ip::v4([10, 0, 0, 1]).0;
        let columns: Vec<(ArrayRef, &str)> = vec![
            (Arc::new(UInt8Array::from(vec![6])), "6"),
            (Arc::new(UInt64Array::from(vec![u64::MAX])), "18446744073709551615"),
            (Arc::new(FixedSizeBinaryArray::try_from_iter([ip].iter()).expect("16 bytes")), "\"10.0.0.1\""),
            (
                Arc::new(FixedSizeBinaryArray::try_from_iter([[0_u8, 1, 2, 3, 4, 255]].iter()).expect("6 bytes")),
                "\"00:01:02:03:04:ff\"",
            ),
            (Arc::new(TimestampMicrosecondArray::from(vec![0])), "\"1970-01-01T00:00:00Z\""),
            (Arc::new(BooleanArray::from(vec![true])), "true"),
            (Arc::new(StringArray::from(vec!["é, =x"])), "\"é, =x\""),
            (Arc::new(["NZ"].into_iter().collect::<DictionaryArray<Int32Type>>()), "\"NZ\""),
        ];
        let mut key = Vec::new();
        for (column, _) in &columns {
            let cells = Cells::new(column);
            assert!(cells.append(0, &mut key));
            assert!(cells.identity(0).is_some());
        }
        let texts: Vec<_> = decode(&key).iter().map(ToString::to_string).collect();
        assert_eq!(texts, columns.iter().map(|(_, text)| *text).collect::<Vec<_>>());
    }

    #[test]
    fn long_text_is_cut_and_null_is_told() {
        let long: ArrayRef = Arc::new(StringArray::from(vec![Some("é".repeat(500)), None]));
        let cells = Cells::new(&long);
        let mut key = Vec::new();
        assert!(cells.append(0, &mut key));
        assert!(key.len() <= 3 + super::TEXT_BYTES_MAX);
        assert!(!cells.append(1, &mut key));
        assert_eq!(cells.identity(1), None);
    }
}
