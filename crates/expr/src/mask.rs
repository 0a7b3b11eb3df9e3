//! Which rows of a batch: none, all, or a bitmap. The two extremes are kept apart because most predicates of most
//! rules select nothing, and then nothing else needs to be computed.

use arrow::buffer::BooleanBuffer;

/// A selection of rows.
#[derive(Clone, Debug)]
pub enum Mask {
    /// No row.
    None,
    /// Every row.
    All,
    /// The rows whose bit is set, and how many they are; neither none nor all.
    Some(BooleanBuffer, usize),
}

impl Mask {
    /// From a bitmap.
    pub fn new(bits: BooleanBuffer) -> Self {
        match bits.count_set_bits() {
            0 => Self::None,
            n if n == bits.len() => Self::All,
            n => Self::Some(bits, n),
        }
    }

    /// Whether no row is selected.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Number of selected rows out of `rows`.
    pub const fn count(&self, rows: usize) -> usize {
        match self {
            Self::None => 0,
            Self::All => rows,
            Self::Some(_, n) => *n,
        }
    }

    /// The bitmap over `rows` rows.
    pub fn into_buffer(self, rows: usize) -> BooleanBuffer {
        match self {
            Self::None => BooleanBuffer::new_unset(rows),
            Self::All => BooleanBuffer::new_set(rows),
            Self::Some(bits, _) => bits,
        }
    }

    /// Rows in both.
    pub fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, m) | (m, Self::All) => m.clone(),
            (Self::Some(a, _), Self::Some(b, _)) => Self::new(a & b),
        }
    }

    /// Rows in either.
    pub fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, m) | (m, Self::None) => m.clone(),
            (Self::Some(a, _), Self::Some(b, _)) => Self::new(a | b),
        }
    }

    /// The other rows, out of `rows`.
    pub fn not(&self, rows: usize) -> Self {
        match self {
            Self::None => Self::All,
            Self::All => Self::None,
            Self::Some(bits, n) => Self::Some(!bits, rows - n),
        }
    }

    /// Keeps those of the selected rows that pass the test.
    pub(crate) fn retain(&self, rows: usize, mut test: impl FnMut(usize) -> bool) -> Self {
        match self {
            Self::None => Self::None,
            Self::All => Self::new(BooleanBuffer::collect_bool(rows, test)),
            Self::Some(bits, _) => {
                let mut words = vec![0_u64; rows.div_ceil(64)];
                for row in bits.set_indices() {
                    words[row / 64] |= u64::from(test(row)) << (row % 64);
                }
                Self::new(BooleanBuffer::new(words.into(), 0, rows))
            }
        }
    }
}
