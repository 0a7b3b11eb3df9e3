//! Builds columns from rows, on the agent, where events happen one at a time.

use std::collections::HashMap;

use crate::columns::{Column, Events, Values};
use crate::limits::ROWS_MAX;

/// How a column is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As truth values.
    Bool,
    /// As unsigned numbers.
    Number,
    /// As times.
    Time,
    /// As values of this many bytes.
    Fixed(usize),
    /// As texts.
    Text,
    /// As texts out of few.
    Label,
    /// As bytes.
    Bytes,
}

/// One cell of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(u64),
    /// UTC microseconds.
    Time(i64),
    /// A value of fixed length, or bytes.
    Bytes(&'a [u8]),
    /// A text or a label.
    Text(&'a str),
}

/// Rows of one class that are being collected.
#[derive(Debug)]
pub struct Rows {
    class: String,
    columns: Vec<(u16, Coding)>,
    building: Vec<Building>,
    rows: usize,
    /// Roughly what the rows take before compression.
    bytes: usize,
}

#[derive(Debug)]
struct Building {
    valid: Vec<bool>,
    values: Values,
    /// Of a label: where each name is.
    known: HashMap<String, u32>,
}

impl Building {
    fn new(coding: Coding) -> Self {
        let values = match coding {
            Coding::Bool => Values::Bool(Vec::new()),
            Coding::Number => Values::Number(Vec::new()),
            Coding::Time => Values::Time(Vec::new()),
            Coding::Fixed(width) => Values::Fixed { width, bytes: Vec::new() },
            Coding::Text => Values::Text(Vec::new()),
            Coding::Label => Values::Label { names: Vec::new(), keys: Vec::new() },
            Coding::Bytes => Values::Bytes(Vec::new()),
        };
        Self { valid: Vec::new(), values, known: HashMap::new() }
    }

    /// Appends a cell; one of the wrong kind counts as none. Returns roughly its bytes.
    fn push(&mut self, cell: Cell<'_>) -> usize {
        let (fits, bytes) = match (&mut self.values, cell) {
            (Values::Bool(values), Cell::Bool(v)) => (push(values, v), 1),
            (Values::Number(values), Cell::Number(v)) => (push(values, v), 1 + (64 - v.leading_zeros() as usize) / 7),
            (Values::Time(values), Cell::Time(v)) => (push(values, v), 4),
            (Values::Fixed { width, bytes }, Cell::Bytes(v)) if v.len() == *width => {
                bytes.extend_from_slice(v);
                (true, v.len())
            }
            (Values::Text(values), Cell::Text(v)) => (push(values, v.to_owned()), v.len() + 2),
            (Values::Label { names, keys }, Cell::Text(v)) => {
                let next = names.len() as u32;
                let key = self.known.get(v).copied().unwrap_or(next);
                if key == next {
                    names.push(v.to_owned());
                    self.known.insert(v.to_owned(), next);
                }
                (push(keys, key), if key == next { v.len() + 4 } else { 2 })
            }
            (Values::Bytes(values), Cell::Bytes(v)) => (push(values, v.to_vec()), v.len() + 2),
            (values, _) => {
                push_zero(values);
                (false, 1)
            }
        };
        self.valid.push(fits);
        bytes
    }
}

fn push<T>(values: &mut Vec<T>, value: T) -> bool {
    values.push(value);
    true
}

fn push_zero(values: &mut Values) {
    match values {
        Values::Bool(values) => values.push(false),
        Values::Number(values) => values.push(0),
        Values::Time(values) => {
            let last = values.last().copied().unwrap_or(0);
            values.push(last);
        }
        Values::Fixed { width, bytes } => bytes.resize(bytes.len() + *width, 0),
        Values::Text(values) => values.push(String::new()),
        Values::Label { keys, .. } => keys.push(0),
        Values::Bytes(values) => values.push(Vec::new()),
    }
}

impl Rows {
    /// No rows of the class with these columns; ids must rise.
    pub fn new(class: &str, columns: &[(u16, Coding)]) -> Self {
        debug_assert!(columns.windows(2).all(|two| two[0].0 < two[1].0), "ids rise");
        let building = columns.iter().map(|(_, coding)| Building::new(*coding)).collect();
        Self { class: class.to_owned(), columns: columns.to_vec(), building, rows: 0, bytes: 0 }
    }

    /// Appends a row, its cells in the order of the columns; missing ones are null. Returns whether it was taken: a full
    /// builder takes none, and the caller finishes it first.
    pub fn push(&mut self, cells: &[Cell<'_>]) -> bool {
        if self.rows == ROWS_MAX {
            return false;
        }
        for (i, building) in self.building.iter_mut().enumerate() {
            self.bytes += building.push(cells.get(i).copied().unwrap_or(Cell::Null));
        }
        self.rows += 1;
        true
    }

    /// Number of rows.
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Roughly what the rows take before compression.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows so far; the builder is empty afterwards. Columns without any value are left out.
    pub fn finish(&mut self) -> Events {
        let empty = self.columns.iter().map(|(_, coding)| Building::new(*coding)).collect();
        let built = std::mem::replace(&mut self.building, empty);
        let columns = self.columns.iter().zip(built).filter(|(_, b)| b.valid.contains(&true)).map(|((id, _), b)| {
            let valid = b.valid.contains(&false).then_some(b.valid);
            Column { id: *id, valid, values: b.values }
        });
        let events = Events { class: self.class.clone(), rows: self.rows, columns: columns.collect() };
        (self.rows, self.bytes) = (0, 0);
        events
    }
}
