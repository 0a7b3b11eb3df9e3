//! From the columns that agents send to the columns that are stored. Whose rows they are, and when they came, is filled in
//! here: what an agent says in those columns counts for nothing.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, FixedSizeBinaryBuilder, Int32Array, StringArray,
    TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array, new_null_array,
};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use guardian_model::{ALL_CLASSES, Batch, CHANGE, Class, Field, Kind, Micros, TenantId};
use guardian_protocol::{Column, Events, Values};

/// Event times further ahead of their receipt than this are brought back to it.
const AHEAD_MAX: i64 = Micros::DAY;
/// Event times longer ago than this are brought forward.
const BEHIND_MAX: i64 = 400 * Micros::DAY;

/// Why rows are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    /// No agent may send this class.
    #[error("agents do not send `{0}`")]
    NotTheirs(String),
    /// This version does not know the class.
    #[error("there is no class `{0}`")]
    UnknownClass(String),
    /// A column holds something else than its field says.
    #[error("column {0} of `{1}` has the wrong kind")]
    WrongKind(u16, &'static str),
    /// The rows do not make a batch.
    #[error("the rows make no batch: {0}")]
    Arrow(String),
}

/// Whose rows they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose<'a> {
    pub(crate) host: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) received: Micros,
}

/// The class of events, if agents may send it: it has the columns that say which host they are of, and is not made by the
/// server.
fn class_of(name: &str) -> Result<&'static Class, RowsError> {
    let class = ALL_CLASSES.iter().find(|c| c.name == name).ok_or_else(|| RowsError::UnknownClass(name.to_owned()))?;
    let theirs = class.index_of("host").is_some() && class.index_of("host_id").is_some();
    let theirs = theirs && class.uid != CHANGE.uid;
    if theirs { Ok(class) } else { Err(RowsError::NotTheirs(name.to_owned())) }
}

/// The rows of one class as a batch of `tenant`, seen by the agent `agent` on `host`.
pub fn batch(
    events: &Events,
    tenant: TenantId,
    (host, agent): (&str, &str),
    received: Micros,
) -> Result<Batch, RowsError> {
    batch_of(class_of(&events.class)?, events, tenant, (host, agent), received)
}

/// As [`batch`], of a class that the server makes itself.
pub(crate) fn batch_of(
    class: &'static Class,
    events: &Events,
    tenant: TenantId,
    (host, agent): (&str, &str),
    received: Micros,
) -> Result<Batch, RowsError> {
    let whose = Whose { host, agent, received };
    let columns = class.fields.iter().map(|field| column(class, field, events, whose));
    let rows = RecordBatch::try_new(class.schema(), columns.collect::<Result<_, _>>()?);
    let rows = rows.map_err(|error| RowsError::Arrow(error.to_string()))?;
    Ok(Batch { tenant, class, received, rows })
}

/// Puts more rows of the same class behind those of `first`.
pub(crate) fn append(first: &mut Batch, more: &Batch) -> Result<(), RowsError> {
    let rows = arrow::compute::concat_batches(&first.class.schema(), [&first.rows, &more.rows]);
    first.rows = rows.map_err(|error| RowsError::Arrow(error.to_string()))?;
    first.received = first.received.max(more.received);
    Ok(())
}

fn column(class: &'static Class, field: &Field, events: &Events, whose: Whose<'_>) -> Result<ArrayRef, RowsError> {
    let rows = events.rows;
    match field.name {
        "batch" => return Ok(Arc::new(UInt64Array::from_value(0, rows))),
        "row" => return Ok(Arc::new(UInt32Array::from_value(0, rows))),
        "received" => return Ok(times(std::iter::repeat_n(Some(whose.received.0), rows))),
        "host" => return Ok(constant(field.kind, whose.host, rows)),
        "host_id" => return Ok(constant(field.kind, whose.agent, rows)),
        "site" | "replay" => return Ok(new_null_array(&field.kind.data_type(), rows)),
        _ => {}
    }
    let Some(given) = events.column(field.id).filter(|given| given.values.len() == rows) else {
        return Ok(if field.nullable {
            new_null_array(&field.kind.data_type(), rows)
        } else {
            zeros(field.kind, rows)
        });
    };
    let clamp = field.name == "time";
    filled(field, given, clamp.then_some(whose.received)).ok_or(RowsError::WrongKind(field.id, class.name))
}

fn times(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter(values).with_timezone("+00:00"))
}

fn constant(kind: Kind, text: &str, rows: usize) -> ArrayRef {
    if kind == Kind::Label {
        let keys = Int32Array::from_value(0, rows);
        // One value, and keys that all point at it.
        if let Ok(labels) = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(StringArray::from(vec![text]))) {
            return Arc::new(labels);
        }
    }
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
}

/// What stands in a column that must have values and has none.
fn zeros(kind: Kind, rows: usize) -> ArrayRef {
    match kind {
        Kind::Bool => Arc::new(BooleanArray::from(vec![false; rows])),
        Kind::U8 => Arc::new(UInt8Array::from_value(0, rows)),
        Kind::U16 => Arc::new(UInt16Array::from_value(0, rows)),
        Kind::U32 => Arc::new(UInt32Array::from_value(0, rows)),
        Kind::U64 => Arc::new(UInt64Array::from_value(0, rows)),
        Kind::Time => times(std::iter::repeat_n(Some(0), rows)),
        Kind::Ip => fixed(16, std::iter::repeat_n(Some([0_u8; 16].as_slice()), rows)),
        Kind::Mac => fixed(6, std::iter::repeat_n(Some([0_u8; 6].as_slice()), rows)),
        Kind::Label | Kind::Text => constant(kind, "", rows),
        Kind::Bytes => Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n(b"", rows))),
    }
}

fn fixed<'a>(width: i32, values: impl ExactSizeIterator<Item = Option<&'a [u8]>>) -> ArrayRef {
    let mut array = FixedSizeBinaryBuilder::with_capacity(values.len(), width);
    for value in values {
        // Every value has the width, which the callers know.
        if value.is_none_or(|bytes| array.append_value(bytes).is_err()) {
            array.append_null();
        }
    }
    Arc::new(array.finish())
}

/// The values of a column, null where the agent has none and the field may; none where the kinds differ.
fn filled(field: &Field, given: &Column, clamp: Option<Micros>) -> Option<ArrayRef> {
    // A field that must have a value takes the type's zero, which stands there.
    let has = |i: usize| !field.nullable || given.valid.as_ref().is_none_or(|valid| valid[i]);
    macro_rules! number {
        ($array:ty, $native:ty, $values:expr) => {
            Arc::new(<$array>::from_iter(
                $values
                    .iter()
                    .enumerate()
                    .map(|(i, v)| has(i).then(|| <$native>::try_from(*v).unwrap_or(<$native>::MAX))),
            ))
        };
    }
    Some(match (field.kind, &given.values) {
        (Kind::Bool, Values::Bool(values)) => {
            Arc::new(BooleanArray::from_iter(values.iter().enumerate().map(|(i, v)| has(i).then_some(*v))))
        }
        (Kind::U8, Values::Number(values)) => number!(UInt8Array, u8, values),
        (Kind::U16, Values::Number(values)) => number!(UInt16Array, u16, values),
        (Kind::U32, Values::Number(values)) => number!(UInt32Array, u32, values),
        (Kind::U64, Values::Number(values)) => number!(UInt64Array, u64, values),
        (Kind::Time, Values::Time(values)) => {
            let within = |time: i64| match clamp {
                Some(Micros(now)) => time.clamp(now.saturating_sub(BEHIND_MAX), now.saturating_add(AHEAD_MAX)),
                None => time,
            };
            times(values.iter().enumerate().map(|(i, v)| has(i).then(|| within(*v))))
        }
        (Kind::Ip, Values::Fixed { width: 16, bytes }) => fixed(16, some_of(bytes, 16, &has)),
        (Kind::Mac, Values::Fixed { width: 6, bytes }) => fixed(6, some_of(bytes, 6, &has)),
        (Kind::Label, Values::Label { names, keys }) => labels(names, keys, &has)?,
        (Kind::Label, Values::Text(values)) => Arc::new(DictionaryArray::<Int32Type>::from_iter(
            values.iter().enumerate().map(|(i, v)| has(i).then_some(v.as_str())),
        )),
        (Kind::Text, Values::Text(values)) => {
            Arc::new(StringArray::from_iter(values.iter().enumerate().map(|(i, v)| has(i).then_some(v.as_str()))))
        }
        (Kind::Text, Values::Label { names, keys }) => {
            let name = |key: &u32| names.get(*key as usize).map_or("", String::as_str);
            Arc::new(StringArray::from_iter(keys.iter().enumerate().map(|(i, key)| has(i).then(|| name(key)))))
        }
        (Kind::Bytes, Values::Bytes(values)) => {
            Arc::new(BinaryArray::from_iter(values.iter().enumerate().map(|(i, v)| has(i).then_some(v.as_slice()))))
        }
        _ => return None,
    })
}

fn some_of<'a>(
    bytes: &'a [u8],
    width: usize,
    has: &'a impl Fn(usize) -> bool,
) -> impl ExactSizeIterator<Item = Option<&'a [u8]>> {
    bytes.chunks_exact(width).enumerate().map(move |(i, value)| has(i).then_some(value))
}

fn labels(names: &[String], keys: &[u32], has: &impl Fn(usize) -> bool) -> Option<ArrayRef> {
    let keys = Int32Array::from_iter(
        keys.iter().enumerate().map(|(i, key)| has(i).then_some(*key as i32).filter(|_| !names.is_empty())),
    );
    let names: ArrayRef = if names.is_empty() {
        Arc::new(StringArray::from(vec![""]))
    } else {
        Arc::new(StringArray::from_iter_values(names))
    };
    DictionaryArray::<Int32Type>::try_new(keys, names).ok().map(|labels| Arc::new(labels) as ArrayRef)
}

#[cfg(test)]
mod tests {
    use guardian_protocol::{Cell, Coding, Rows, classes};
    use proptest::prelude::*;

    use super::*;

    const NOW: Micros = Micros(1_767_225_600_000_000);

    fn health() -> Events {
        let columns = [
            (3, Coding::Time),
            (4, Coding::Time),
            (6, Coding::Label),
            (10, Coding::Label),
            (11, Coding::Label),
            (12, Coding::Number),
            (999, Coding::Bool),
        ];
        let mut rows = Rows::new("health", &columns);
        let row = |time: i64, object| {
            [
                Cell::Time(1),
                Cell::Time(time),
                Cell::Text("somebody else"),
                Cell::Text("cpu_busy"),
                object,
                Cell::Number(7),
            ]
        };
        rows.push(&row(NOW.0 - 5, Cell::Null));
        rows.push(&row(i64::MAX, Cell::Text("sda")));
        rows.finish()
    }

    #[test]
    fn whose_rows_they_are_is_not_the_senders_to_say() {
        let made = batch(&health(), TenantId::DEFAULT, ("web-1", "id-1"), NOW).unwrap();
        assert_eq!((made.rows.num_rows(), made.received), (2, NOW));
        let shown = |row, name| {
            let at = made.class.index_of(name).unwrap();
            guardian_model::cell_text(made.rows.column(at), row)
        };
        assert_eq!((shown(0, "host").as_str(), shown(1, "host_id").as_str()), ("web-1", "id-1"));
        let time = made.rows.column(made.class.index_of("time").unwrap());
        let time = time.as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap();
        assert_eq!((time.value(0), time.value(1)), (NOW.0 - 5, NOW.0 + AHEAD_MAX), "a clock cannot be years ahead");
    }

    /// Values of any kind, `rows` of them.
    fn values(rows: usize) -> impl Strategy<Value = Values> {
        prop_oneof![
            prop::collection::vec(any::<bool>(), rows).prop_map(Values::Bool),
            prop::collection::vec(any::<u64>(), rows).prop_map(Values::Number),
            prop::collection::vec(any::<i64>(), rows).prop_map(Values::Time),
            prop::collection::vec(any::<u8>(), rows * 16).prop_map(|bytes| Values::Fixed { width: 16, bytes }),
            prop::collection::vec("\\PC{0,9}", rows).prop_map(Values::Text),
            (prop::collection::vec("\\PC{0,9}", 1..4), prop::collection::vec(any::<u32>(), rows)).prop_map(
                |(names, keys)| {
                    let known = names.len() as u32;
                    Values::Label { names, keys: keys.into_iter().map(|k| k % known).collect() }
                }
            ),
        ]
    }

    proptest! {
        /// Whatever an agent sends, it becomes a whole batch of its own host, or is refused.
        #[test]
        fn rows_of_any_kind_are_taken_or_refused(
            class in 0..classes::ALL.len(),
            columns in (0_usize..20).prop_flat_map(|rows| {
                let column = (any::<bool>(), prop::collection::vec(any::<bool>(), rows), values(rows));
                (Just(rows), prop::collection::btree_map(1_u16..48, column, 0..12))
            }),
        ) {
            let (rows, columns) = columns;
            let columns = columns.into_iter().map(|(id, (all, valid, values))| {
                Column { id, valid: (!all).then_some(valid), values }
            });
            let events = Events { class: classes::ALL[class].name.into(), rows, columns: columns.collect() };
            match batch(&events, TenantId::DEFAULT, ("h", "a"), NOW) {
                Ok(mut made) => {
                    prop_assert_eq!(made.rows.num_rows(), rows);
                    let twice = made.clone();
                    append(&mut made, &twice).unwrap();
                    prop_assert_eq!(made.rows.num_rows(), 2 * rows);
                }
                Err(error) => prop_assert!(matches!(error, RowsError::WrongKind(..)), "{error}"),
            }
        }
    }

    #[test]
    fn what_is_not_theirs_is_refused() {
        let named = |class: &str| Events { class: class.into(), ..health() };
        let of = |events: &Events| batch(events, TenantId::DEFAULT, ("h", "a"), NOW).unwrap_err();
        assert_eq!(of(&named("flows")), RowsError::NotTheirs("flows".into()));
        assert_eq!(of(&named("findings")), RowsError::NotTheirs("findings".into()));
        assert_eq!(of(&named("changes")), RowsError::NotTheirs("changes".into()));
        assert_eq!(of(&named("newer")), RowsError::UnknownClass("newer".into()));
        let mut wrong = health();
        wrong.columns.retain(|c| c.id != 12);
        wrong.columns.push(Column { id: 12, valid: None, values: Values::Bool(vec![true; 2]) });
        assert_eq!(of(&wrong), RowsError::WrongKind(12, "health"));
        let mut empty = health();
        empty.columns.clear();
        assert!(batch(&empty, TenantId::DEFAULT, ("h", "a"), NOW).is_ok(), "what is missing is the type's zero");
    }
}
