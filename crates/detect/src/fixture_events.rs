//! Events of hosts in fixtures: patterns that name a class, and their rows as batches of it. Columns go by their SQL or
//! Sigma names; what a pattern does not say is null, or what an ordinary event of the class has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryBuilder, StringArray, TimestampMicrosecondArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array, new_null_array,
};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use guardian_model::{ALL_CLASSES, Batch, Class, FINDING, FLOW, Field, Ip, Kind, Micros, TenantId};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::fixture::{BEGINNING, ROWS_MAX, addresses, instant};

/// Between an event and its receipt.
const ON_THE_WAY: i64 = Micros::SECOND / 5;
/// What an ordinary event has where a pattern says nothing.
const ORDINARY: &[(&str, &str, &str)] = &[
    ("", "host", "web-1"),
    ("processes", "activity", "exec"),
    ("processes", "source", "connector"),
    ("processes", "complete", "true"),
    ("files", "activity", "modify"),
    ("files", "type", "regular"),
    ("connections", "activity", "open"),
    ("connections", "protocol", "6"),
    ("logins", "activity", "login"),
    ("logins", "count", "1"),
    ("logs", "source", "journal"),
];

/// One value or several, which are walked round and round.
#[derive(Clone, Debug)]
pub(crate) struct Words(Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Words;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list of values")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Words, E> {
                Ok(Words(vec![v.to_owned()]))
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Words, E> {
                Ok(Words(vec![v.to_string()]))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Words, E> {
                Ok(Words(vec![v.to_string()]))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Words, E> {
                Ok(Words(vec![v.to_string()]))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Words, E> {
                Ok(Words(vec![v.to_string()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(Words(more)) = seq.next_element()? {
                    words.extend(more);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A pattern of events: `class`, when and how often, and columns.
pub(crate) type Pattern = BTreeMap<String, Words>;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) class: &'static Class,
    pub(crate) time: Micros,
    cells: Vec<Option<Cell>>,
}

#[derive(Clone, Debug)]
enum Cell {
    Bool(bool),
    Number(u64),
    Time(Micros),
    Ip(Ip),
    Text(String),
}

/// The events of a pattern, in order.
pub(crate) fn rows(pattern: &Pattern) -> Result<Vec<Row>, String> {
    let name = pattern.get("class").and_then(|w| w.0.first()).ok_or("`class` is missing")?;
    let events = |class: &&&'static Class| class.uid != FLOW.uid && class.uid != FINDING.uid;
    let class = *ALL_CLASSES
        .iter()
        .filter(events)
        .find(|class| class.name == name.as_str())
        .ok_or_else(|| format!("`{name}` is no class of events"))?;
    let (at, every, jitter) =
        (seconds(pattern, "at", 0.0)?, seconds(pattern, "every", 0.01)?, seconds(pattern, "jitter", 0.0)?);
    let mut columns: Vec<Vec<Cell>> = vec![Vec::new(); class.fields.len()];
    for (own, column, value) in ORDINARY {
        if let Some(at) = class.index_of(column).filter(|_| own.is_empty() || *own == class.name) {
            columns[at] = cells(&class.fields[at], &[(*value).to_owned()])?;
        }
    }
    for (name, words) in pattern {
        if matches!(name.as_str(), "class" | "at" | "every" | "jitter" | "repeat") {
            continue;
        }
        let at = class.sigma_index_of(name).ok_or_else(|| format!("{} have no column `{name}`", class.name))?;
        columns[at] = cells(&class.fields[at], &words.0)?;
    }
    let longest = columns.iter().map(Vec::len).max().unwrap_or(1).max(1);
    let repeat = match pattern.get("repeat").and_then(|w| w.0.first()) {
        Some(text) => text.parse().map_err(|_| format!("repeat: `{text}` is not a number"))?,
        None => longest,
    };
    if repeat > ROWS_MAX {
        return Err(format!("repeat: at most {ROWS_MAX}"));
    }
    let row = |i: usize| Row {
        class,
        time: instant(at, every, jitter, i),
        cells: columns.iter().map(|c| if c.is_empty() { None } else { Some(c[i % c.len()].clone()) }).collect(),
    };
    Ok((0..repeat).map(row).collect())
}

fn seconds(pattern: &Pattern, key: &str, otherwise: f64) -> Result<f64, String> {
    let Some(text) = pattern.get(key).and_then(|w| w.0.first()) else { return Ok(otherwise) };
    text.parse().map_err(|_| format!("{key}: `{text}` is not a number"))
}

/// The values of a column; ranges of addresses and numbers become their members.
fn cells(field: &Field, words: &[String]) -> Result<Vec<Cell>, String> {
    let mut cells = Vec::new();
    for word in words {
        let wrong = || format!("`{}`: `{word}` does not fit", field.name);
        match field.kind {
            Kind::Bool => cells.push(Cell::Bool(word.parse().map_err(|_| wrong())?)),
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => match word.split_once("..") {
                None => cells.push(Cell::Number(word.parse().map_err(|_| wrong())?)),
                Some((low, high)) => {
                    let (low, high): (u64, u64) =
                        (low.parse().map_err(|_| wrong())?, high.parse().map_err(|_| wrong())?);
                    if low > high || high - low >= ROWS_MAX as u64 {
                        return Err(wrong());
                    }
                    cells.extend((low..=high).map(Cell::Number));
                }
            },
            Kind::Ip => cells.extend(addresses(word)?.into_iter().map(Cell::Ip)),
            Kind::Time => {
                let seconds: f64 = word.parse().map_err(|_| wrong())?;
                cells.push(Cell::Time(BEGINNING + (seconds * Micros::SECOND as f64) as i64));
            }
            Kind::Label | Kind::Text => cells.push(Cell::Text(word.clone())),
            Kind::Mac | Kind::Bytes => return Err(format!("`{}` cannot be given in a fixture", field.name)),
        }
    }
    Ok(cells)
}

/// Batches of at most so many rows, one class each, in the order of the rows.
pub(crate) fn batches(rows: &[Row], tenant: TenantId, rows_max: usize) -> Vec<Batch> {
    let alike = rows.chunk_by(|a, b| a.class.uid == b.class.uid);
    alike.flat_map(|rows| rows.chunks(rows_max.max(1))).map(|rows| batch(rows, tenant)).collect()
}

fn batch(rows: &[Row], tenant: TenantId) -> Batch {
    let class = rows[0].class;
    let columns = class.fields.iter().enumerate().map(|(at, field)| column(field, rows, at)).collect();
    let received = rows.iter().map(|r| r.time).max().unwrap_or(BEGINNING) + ON_THE_WAY;
    let rows = RecordBatch::try_new(class.schema(), columns).expect("every column is made after its field");
    Batch { tenant, class, received, rows }
}

fn column(field: &Field, rows: &[Row], at: usize) -> ArrayRef {
    let numbers = || {
        rows.iter().map(move |r| match &r.cells[at] {
            Some(Cell::Number(n)) => Some(*n),
            _ => (!field.nullable).then_some(0),
        })
    };
    let texts = || {
        rows.iter().map(move |r| match &r.cells[at] {
            Some(Cell::Text(text)) => Some(text.as_str()),
            _ => (!field.nullable).then_some(""),
        })
    };
    match field.kind {
        Kind::Bool => Arc::new(BooleanArray::from_iter(rows.iter().map(|r| match r.cells[at] {
            Some(Cell::Bool(b)) => Some(b),
            _ => (!field.nullable).then_some(false),
        }))),
        Kind::U8 => Arc::new(UInt8Array::from_iter(numbers().map(|n| n.map(|n| n as u8)))),
        Kind::U16 => Arc::new(UInt16Array::from_iter(numbers().map(|n| n.map(|n| n as u16)))),
        Kind::U32 => Arc::new(UInt32Array::from_iter(numbers().map(|n| n.map(|n| n as u32)))),
        Kind::U64 => Arc::new(UInt64Array::from_iter(numbers())),
        Kind::Time => {
            let time = |r: &Row| match (field.name, &r.cells[at]) {
                (_, Some(Cell::Time(time))) => Some(time.0),
                ("time", _) => Some(r.time.0),
                ("received", _) => Some((r.time + ON_THE_WAY).0),
                _ => None,
            };
            Arc::new(TimestampMicrosecondArray::from_iter(rows.iter().map(time)).with_timezone("+00:00"))
        }
        Kind::Label => Arc::new(texts().collect::<DictionaryArray<Int32Type>>()),
        Kind::Text => Arc::new(StringArray::from_iter(texts())),
        Kind::Ip => {
            let mut builder = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
            for row in rows {
                match &row.cells[at] {
                    Some(Cell::Ip(ip)) => builder.append_value(ip.0).expect("an address has 16 bytes"),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        Kind::Mac | Kind::Bytes => new_null_array(&field.kind.data_type(), rows.len()),
    }
}

#[cfg(test)]
mod tests {
    use guardian_model::{TenantId, cell_text};

    use crate::fixture::{Shape, parse};

    #[test]
    fn patterns_make_events() {
        let text = "- {class: logins, service: sshd, user: [root, admin], success: false, src_ip: 203.0.113.1..3, repeat: 5, every: 2}\n\
                    - {class: processes, Image: /bin/sh, pid: 7, at: 3}";
        let batches = parse(text).unwrap().batches(TenantId::DEFAULT, Shape::OneWay, 100);
        let shape: Vec<_> = batches.iter().map(|b| (b.class.name, b.rows.num_rows())).collect();
        assert_eq!(shape, [("logins", 2), ("processes", 1), ("logins", 3)]);
        let cells = |batch: usize, name: &str| cell_text(batches[batch].rows.column_by_name(name).unwrap(), 1);
        assert_eq!([cells(0, "user"), cells(0, "src_ip"), cells(0, "success")], ["admin", "203.0.113.2", "false"]);
        assert_eq!(cell_text(batches[1].rows.column_by_name("image").unwrap(), 0), "/bin/sh");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("- {class: nothing}", "no class of events"),
            ("- {class: flows, src_ip: 10.0.0.1}", "no class of events"),
            ("- {class: processes, colour: red}", "no column `colour`"),
            ("- {class: processes, pid: many}", "`many` does not fit"),
            ("- {class: logins, src_ip: 10.0.0.300}", "not an address"),
            ("- {class: logins, repeat: 90000000}", "at most"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
