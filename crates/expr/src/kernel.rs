//! Predicates over columns: each compiled once, then applied to whole batches or to selected rows of them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, StringArray, UInt8Array, UInt16Array,
    UInt32Array, UInt64Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, TimestampMicrosecondType};
use guardian_model::{Class, Kind};

use crate::cidr::IpRanges;
use crate::mask::Mask;
use crate::predicate::{Predicate, Relation, Test};
use crate::text::TextMatcher;

/// A predicate made ready.
#[derive(Debug)]
pub(crate) struct Kernel {
    column: usize,
    kind: Kind,
    op: Op,
}

#[derive(Debug)]
enum Op {
    Null,
    Bool(bool),
    Range(u64, u64),
    Few([u64; 4]),
    Bitmap(Box<[u64]>),
    Sorted(Box<[u64]>),
    Bits(u64),
    NoBits(u64),
    Time(i64, i64),
    Ip(IpRanges),
    Mac(Box<[Box<[u8]>]>),
    Text(TextMatcher),
    Column(Relation, usize, Kind),
}

impl Kernel {
    pub(crate) fn new(class: &Class, predicate: &Predicate) -> Result<Self, String> {
        let kind = class.fields[predicate.column].kind;
        let op = match &predicate.test {
            Test::Null => Op::Null,
            Test::Bool(b) => Op::Bool(*b),
            Test::Range(a, b) => Op::Range(*a, *b),
            Test::OneOf(numbers) => number_set(numbers, kind),
            Test::Bits(bits) => Op::Bits(*bits),
            Test::NoBits(bits) => Op::NoBits(*bits),
            Test::Time(a, b) => Op::Time(*a, *b),
            Test::Ip(prefixes) => Op::Ip(IpRanges::new(prefixes)),
            Test::Mac(prefixes) => Op::Mac(prefixes.clone()),
            Test::Text(patterns) => Op::Text(TextMatcher::new(patterns)?),
            Test::Column(relation, other) => Op::Column(*relation, *other, class.fields[*other].kind),
        };
        Ok(Self { column: predicate.column, kind, op })
    }

    /// The rows that pass, among all or the selected ones. `columns` are in the order of the class.
    pub(crate) fn evaluate(&self, columns: &[ArrayRef], rows: usize, within: &Mask) -> Mask {
        let Some(column) = columns.get(self.column) else { return Mask::None };
        let column = typed(column, self.kind);
        let nulls = column.logical_nulls();
        if matches!(self.op, Op::Null) {
            return nulls.map_or(Mask::None, |n| Mask::new(!n.inner())).and(within);
        }
        let within = match nulls.as_ref().map_or(0, NullBuffer::null_count) {
            0 => within.clone(),
            n if n == rows => return Mask::None,
            _ => nulls.map_or(Mask::All, |n| Mask::new(n.into_inner())).and(within),
        };
        if within.is_none() {
            return Mask::None;
        }
        match &self.op {
            Op::Column(relation, other, kind) => {
                let Some(other) = columns.get(*other) else { return Mask::None };
                compare(column.as_ref(), typed(other, *kind).as_ref(), *relation, rows, &within)
            }
            op => test_column(op, column.as_ref(), self.kind, rows, &within),
        }
    }
}

/// The column in the type that its class declares. Batches of the class always have it; results that come from
/// elsewhere (views, other dictionary keys) are cast, and a column that cannot be cast counts as null.
fn typed(column: &ArrayRef, kind: Kind) -> ArrayRef {
    let expected = kind.data_type();
    if *column.data_type() == expected {
        return Arc::clone(column);
    }
    arrow::compute::cast(column, &expected).unwrap_or_else(|_| arrow::array::new_null_array(&expected, column.len()))
}

fn number_set(numbers: &[u64], kind: Kind) -> Op {
    if (1..=4).contains(&numbers.len()) {
        let mut few = [numbers[0]; 4];
        few[..numbers.len()].copy_from_slice(numbers);
        return Op::Few(few);
    }
    if matches!(kind, Kind::U8 | Kind::U16) {
        let mut words = vec![0_u64; 1024].into_boxed_slice();
        for number in numbers.iter().filter(|n| u16::try_from(**n).is_ok()) {
            words[(number / 64) as usize] |= 1 << (number % 64);
        }
        return Op::Bitmap(words);
    }
    Op::Sorted(numbers.into())
}

fn test_column(op: &Op, column: &dyn Array, kind: Kind, rows: usize, within: &Mask) -> Mask {
    match kind {
        Kind::U8 => column.as_any().downcast_ref::<UInt8Array>().map(|a| test_numbers(op, a, rows, within)),
        Kind::U16 => column.as_any().downcast_ref::<UInt16Array>().map(|a| test_numbers(op, a, rows, within)),
        Kind::U32 => column.as_any().downcast_ref::<UInt32Array>().map(|a| test_numbers(op, a, rows, within)),
        Kind::U64 => column.as_any().downcast_ref::<UInt64Array>().map(|a| test_numbers(op, a, rows, within)),
        Kind::Time => column.as_primitive_opt::<TimestampMicrosecondType>().map(|a| match op {
            Op::Time(from, to) => {
                let values = a.values();
                select(rows, within, |row| values[row] >= *from && values[row] <= *to)
            }
            _ => Mask::None,
        }),
        Kind::Bool => column.as_any().downcast_ref::<BooleanArray>().map(|a| match op {
            Op::Bool(true) => Mask::new(a.values().clone()).and(within),
            Op::Bool(false) => Mask::new(!a.values()).and(within),
            _ => Mask::None,
        }),
        Kind::Ip | Kind::Mac => column.as_any().downcast_ref::<FixedSizeBinaryArray>().map(|a| match op {
            Op::Ip(ranges) => {
                let addresses = addresses(a);
                select(rows, within, |row| ranges.contains(u128::from_be_bytes(addresses[row])))
            }
            Op::Mac(prefixes) => select(rows, within, |row| prefixes.iter().any(|p| a.value(row).starts_with(p))),
            _ => Mask::None,
        }),
        Kind::Label => match op {
            Op::Text(matcher) => Some(test_labels(matcher, column, rows, within)),
            _ => None,
        },
        Kind::Text => match op {
            Op::Text(matcher) => column
                .as_any()
                .downcast_ref::<StringArray>()
                .map(|a| select(rows, within, |row| matcher.matches(a.value(row)))),
            _ => None,
        },
        Kind::Bytes => None,
    }
    .unwrap_or(Mask::None)
}

/// The 16-byte cells of an address column.
pub(crate) fn addresses(array: &FixedSizeBinaryArray) -> &[[u8; 16]] {
    let (cells, _) = array.value_data().as_chunks::<16>();
    &cells[array.offset().min(cells.len())..]
}

/// Rows of `within` that pass; over dense selections every row is tested without branches.
#[inline]
fn select(rows: usize, within: &Mask, test: impl Fn(usize) -> bool) -> Mask {
    match within {
        Mask::None => Mask::None,
        Mask::Some(_, n) if *n * 8 < rows => within.retain(rows, test),
        _ => Mask::new(BooleanBuffer::collect_bool(rows, test)).and(within),
    }
}

#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler compares many rows at once")]
fn test_numbers<T>(op: &Op, array: &PrimitiveArray<T>, rows: usize, within: &Mask) -> Mask
where
    T: ArrowPrimitiveType,
    T::Native: Into<u64> + TryFrom<u64> + Ord + Copy,
{
    let values: &[T::Native] = array.values();
    let max: u64 =
        T::Native::try_from(u64::MAX).map_or((1_u64 << (8 * size_of::<T::Native>() as u32 % 64)) - 1, Into::into);
    let narrow = |n: u64| T::Native::try_from(n).ok();
    match op {
        Op::Range(from, to) => {
            let (Some(from), Some(to)) = (narrow(*from), narrow((*to).min(max))) else { return Mask::None };
            if from == to {
                return select(rows, within, |row| values[row] == from);
            }
            select(rows, within, |row| values[row] >= from && values[row] <= to)
        }
        Op::Few(few) => {
            // Numbers that the column cannot hold are replaced by one that it can; without any, nothing matches.
            let Some(any) = few.iter().find_map(|n| narrow(*n)) else { return Mask::None };
            let few = few.map(|n| narrow(n).unwrap_or(any));
            select(rows, within, |row| few.iter().fold(false, |hit, n| hit | (values[row] == *n)))
        }
        Op::Bitmap(words) => select(rows, within, |row| {
            let v: u64 = values[row].into();
            words.get((v / 64) as usize).is_some_and(|w| w >> (v % 64) & 1 == 1)
        }),
        Op::Sorted(sorted) => select(rows, within, |row| sorted.binary_search(&values[row].into()).is_ok()),
        Op::Bits(bits) => select(rows, within, |row| values[row].into() & bits == *bits),
        Op::NoBits(bits) => select(rows, within, |row| values[row].into() & bits == 0),
        _ => Mask::None,
    }
}

/// Labels are tested once a dictionary value, never a row.
fn test_labels(matcher: &TextMatcher, column: &dyn Array, rows: usize, within: &Mask) -> Mask {
    let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else { return Mask::None };
    let Some(values) = dictionary.values().as_any().downcast_ref::<StringArray>() else { return Mask::None };
    let hits: Vec<bool> = (0..values.len()).map(|i| values.is_valid(i) && matcher.matches(values.value(i))).collect();
    if !hits.contains(&true) {
        return Mask::None;
    }
    let keys = dictionary.keys().values();
    select(rows, within, |row| usize::try_from(keys[row]).ok().and_then(|k| hits.get(k)) == Some(&true))
}

/// The text of a label or text cell; `None` for null.
fn text_at(column: &dyn Array, row: usize) -> Option<&str> {
    if column.is_null(row) {
        return None;
    }
    if let Some(strings) = column.as_any().downcast_ref::<StringArray>() {
        return Some(strings.value(row));
    }
    let dictionary = column.as_dictionary_opt::<Int32Type>()?;
    let values = dictionary.values().as_any().downcast_ref::<StringArray>()?;
    dictionary.key(row).filter(|k| values.is_valid(*k)).map(|k| values.value(k))
}

/// The cells of an integer column, widened.
fn numbers(column: &dyn Array) -> Option<Vec<u64>> {
    let any = column.as_any();
    any.downcast_ref::<UInt8Array>()
        .map(|a| a.values().iter().map(|v| u64::from(*v)).collect())
        .or_else(|| any.downcast_ref::<UInt16Array>().map(|a| a.values().iter().map(|v| u64::from(*v)).collect()))
        .or_else(|| any.downcast_ref::<UInt32Array>().map(|a| a.values().iter().map(|v| u64::from(*v)).collect()))
        .or_else(|| any.downcast_ref::<UInt64Array>().map(|a| a.values().to_vec()))
}

fn compare(left: &dyn Array, right: &dyn Array, relation: Relation, rows: usize, within: &Mask) -> Mask {
    let within = match right.logical_nulls() {
        Some(nulls) => Mask::new(nulls.into_inner()).and(within),
        None => within.clone(),
    };
    let fixed = |a: &dyn Array| a.as_any().downcast_ref::<FixedSizeBinaryArray>().cloned();
    if let (Some(a), Some(b)) = (fixed(left), fixed(right)) {
        return select(rows, &within, |row| relation.holds(a.value(row).cmp(b.value(row))));
    }
    let time = |a: &dyn Array| a.as_primitive_opt::<TimestampMicrosecondType>().cloned();
    if let (Some(a), Some(b)) = (time(left), time(right)) {
        return select(rows, &within, |row| relation.holds(a.value(row).cmp(&b.value(row))));
    }
    let bools = |a: &dyn Array| a.as_any().downcast_ref::<BooleanArray>().cloned();
    if let (Some(a), Some(b)) = (bools(left), bools(right)) {
        return select(rows, &within, |row| relation.holds(a.value(row).cmp(&b.value(row))));
    }
    if let (Some(a), Some(b)) = (numbers(left), numbers(right)) {
        return select(rows, &within, |row| relation.holds(a[row].cmp(&b[row])));
    }
    within.retain(rows, |row| match (text_at(left, row), text_at(right, row)) {
        (Some(a), Some(b)) => {
            let order = if a.eq_ignore_ascii_case(b) { std::cmp::Ordering::Equal } else { a.cmp(b) };
            relation.holds(order)
        }
        _ => false,
    })
}
