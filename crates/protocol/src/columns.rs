//! Events as columns, the form in which they travel: by the stable ids of the server's field table, each column as
//! validity and packed values. A row that lacks a value has the type's zero in its place.

use crate::limits::{CLASS_NAME_BYTES_MAX, COLUMNS_MAX, ROWS_MAX};
use crate::wire::{WireError, put_prefixed, put_varint, take_bytes, take_prefixed, take_varint, unzigzag, zigzag};

/// Rows of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Name of the class.
    pub class: String,
    /// Number of rows; every column has as many.
    pub rows: usize,
    /// The columns, each id at most once, ids rising.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its id in the field table of the class.
    pub id: u16,
    /// Which rows have a value; absent where all have one.
    pub valid: Option<Vec<bool>>,
    /// The values.
    pub values: Values,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// Truth values.
    Bool(Vec<bool>),
    /// Unsigned numbers of any width.
    Number(Vec<u64>),
    /// UTC microseconds.
    Time(Vec<i64>),
    /// Values of one length, such as addresses (16) and hashes (32).
    Fixed {
        /// The length.
        width: usize,
        /// The values, one behind the other.
        bytes: Vec<u8>,
    },
    /// Texts.
    Text(Vec<String>),
    /// Texts out of few: the distinct ones, and for each row which.
    Label {
        /// The distinct texts.
        names: Vec<String>,
        /// Position in `names`; 0 in rows without a value, even if there is no name.
        keys: Vec<u32>,
    },
    /// Bytes as they are.
    Bytes(Vec<Vec<u8>>),
}

impl Values {
    const fn code(&self) -> u8 {
        match self {
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Time(_) => 3,
            Self::Fixed { .. } => 4,
            Self::Text(_) => 5,
            Self::Label { .. } => 6,
            Self::Bytes(_) => 7,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(v) => v.len(),
            Self::Number(v) => v.len(),
            Self::Time(v) => v.len(),
            Self::Fixed { width, bytes } => bytes.len().checked_div(*width).unwrap_or(0),
            Self::Text(v) => v.len(),
            Self::Label { keys, .. } => keys.len(),
            Self::Bytes(v) => v.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(values) => put_bits(out, values),
            Self::Number(values) => values.iter().for_each(|v| put_varint(out, *v)),
            Self::Time(values) => {
                let mut last = 0i64;
                for value in values {
                    put_varint(out, zigzag(value.wrapping_sub(last)));
                    last = *value;
                }
            }
            Self::Fixed { width, bytes } => {
                put_varint(out, *width as u64);
                out.extend_from_slice(bytes);
            }
            Self::Text(values) => values.iter().for_each(|v| put_prefixed(out, v.as_bytes())),
            Self::Label { names, keys } => {
                put_varint(out, names.len() as u64);
                names.iter().for_each(|v| put_prefixed(out, v.as_bytes()));
                keys.iter().for_each(|v| put_varint(out, u64::from(*v)));
            }
            Self::Bytes(values) => values.iter().for_each(|v| put_prefixed(out, v)),
        }
    }

    fn take(code: u8, input: &mut &[u8], rows: usize) -> Result<Self, WireError> {
        // Every row takes at least a byte but in bit sets and fixed values, whose length is checked first.
        if !matches!(code, 1 | 4) && input.len() < rows {
            return Err(WireError::Truncated);
        }
        Ok(match code {
            1 => Self::Bool(take_bits(input, rows)?),
            2 => Self::Number((0..rows).map(|_| take_varint(input)).collect::<Result<_, _>>()?),
            3 => {
                let mut last = 0i64;
                let mut next = |_| {
                    last = last.wrapping_add(unzigzag(take_varint(input)?));
                    Ok(last)
                };
                Self::Time((0..rows).map(&mut next).collect::<Result<_, _>>()?)
            }
            4 => {
                let width = take_varint(input)?;
                if width == 0 || width > 64 {
                    return Err(WireError::Limit("the width of a column"));
                }
                let bytes = take_bytes(input, width * rows as u64)?.to_vec();
                Self::Fixed { width: width as usize, bytes }
            }
            5 => Self::Text((0..rows).map(|_| take_text(input)).collect::<Result<_, _>>()?),
            6 => take_labels(input, rows)?,
            7 => Self::Bytes((0..rows).map(|_| take_prefixed(input).map(<[u8]>::to_vec)).collect::<Result<_, _>>()?),
            _ => return Err(WireError::Malformed("the kind of a column")),
        })
    }
}

fn take_text(input: &mut &[u8]) -> Result<String, WireError> {
    str::from_utf8(take_prefixed(input)?).map(str::to_owned).map_err(|_| WireError::Utf8)
}

fn take_labels(input: &mut &[u8], rows: usize) -> Result<Values, WireError> {
    let count = take_varint(input)?;
    if count > rows as u64 {
        return Err(WireError::Limit("the number of labels"));
    }
    let names: Vec<String> = (0..count).map(|_| take_text(input)).collect::<Result<_, _>>()?;
    let known = names.len().max(1) as u64;
    let mut key = |_| {
        let key = take_varint(input)?;
        if key < known { Ok(key as u32) } else { Err(WireError::Malformed("a label without a name")) }
    };
    let keys = (0..rows).map(&mut key).collect::<Result<_, _>>()?;
    Ok(Values::Label { names, keys })
}

fn put_bits(out: &mut Vec<u8>, bits: &[bool]) {
    out.extend(bits.chunks(8).map(|eight| eight.iter().rev().fold(0u8, |byte, bit| byte << 1 | u8::from(*bit))));
}

fn take_bits(input: &mut &[u8], count: usize) -> Result<Vec<bool>, WireError> {
    let bytes = take_bytes(input, count.div_ceil(8) as u64)?;
    Ok((0..count).map(|i| bytes[i / 8] >> (i % 8) & 1 == 1).collect())
}

impl Events {
    /// Appends the rows.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_prefixed(out, self.class.as_bytes());
        put_varint(out, self.rows as u64);
        put_varint(out, self.columns.len() as u64);
        for column in &self.columns {
            put_varint(out, u64::from(column.id));
            out.push(column.values.code());
            out.push(u8::from(column.valid.is_some()));
            let mut body = Vec::new();
            if let Some(valid) = &column.valid {
                put_bits(&mut body, valid);
            }
            column.values.put(&mut body);
            put_prefixed(out, &body);
        }
    }

    /// Takes rows from the front, whole or not at all.
    pub(crate) fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        let class = take_prefixed(input)?;
        if class.len() > CLASS_NAME_BYTES_MAX {
            return Err(WireError::Limit("the name of a class"));
        }
        let class = str::from_utf8(class).map_err(|_| WireError::Utf8)?.to_owned();
        let rows = usize::try_from(take_varint(input)?).map_err(|_| WireError::Number)?;
        let count = take_varint(input)?;
        if rows > ROWS_MAX {
            return Err(WireError::Limit("the number of rows"));
        }
        if count > COLUMNS_MAX as u64 {
            return Err(WireError::Limit("the number of columns"));
        }
        let mut columns: Vec<Column> = Vec::new();
        for _ in 0..count {
            let column = take_column(input, rows)?;
            if columns.last().is_some_and(|last| last.id >= column.id) {
                return Err(WireError::Malformed("the order of columns"));
            }
            columns.push(column);
        }
        Ok(Self { class, rows, columns })
    }

    /// The column with this id.
    pub fn column(&self, id: u16) -> Option<&Column> {
        self.columns.iter().find(|column| column.id == id)
    }
}

fn take_column(input: &mut &[u8], rows: usize) -> Result<Column, WireError> {
    let id = take_varint(input)?.try_into().map_err(|_| WireError::Number)?;
    let head = take_bytes(input, 2)?;
    let mut body = take_prefixed(input)?;
    let valid = match head[1] {
        0 => None,
        1 => Some(take_bits(&mut body, rows)?),
        _ => return Err(WireError::Malformed("the head of a column")),
    };
    let values = Values::take(head[0], &mut body, rows)?;
    if !body.is_empty() {
        return Err(WireError::Malformed("a column with bytes behind it"));
    }
    Ok(Column { id, valid, values })
}
