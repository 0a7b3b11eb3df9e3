//! Growable typed columns that cost nothing until they are touched.
//!
//! A column may be shorter than the table: the missing rows are padded when it is next written, or at the end. It
//! must never know about protocols, and never look at a row it was not asked to write.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

/// Rows `start..end` hold a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    start: u32,
    end: u32,
}

/// Which rows hold a value, as sorted disjoint runs: a bulk append is one comparison.
#[derive(Clone, Debug, Default)]
struct Validity {
    runs: Vec<Run>,
}

impl Validity {
    fn mark(&mut self, start: usize, end: usize) {
        if start == end {
            return;
        }
        match self.runs.last_mut() {
            Some(last) if last.end as usize == start => last.end = end as u32,
            _ => self.runs.push(Run { start: start as u32, end: end as u32 }),
        }
    }

    fn truncate(&mut self, len: usize) {
        while let Some(last) = self.runs.last_mut() {
            if last.end as usize <= len {
                break;
            }
            if (last.start as usize) < len {
                last.end = len as u32;
                break;
            }
            self.runs.pop();
        }
    }

    /// The bitmap for `rows` rows; `None` when every row holds a value. Forgets the runs.
    fn take(&mut self, rows: usize) -> Option<NullBuffer> {
        let whole = matches!(self.runs[..], [run] if run.start == 0 && run.end as usize == rows);
        let nulls = (!whole).then(|| {
            let mut bits = BooleanBufferBuilder::new(rows);
            for run in &self.runs {
                bits.append_n(run.start as usize - bits.len(), false);
                bits.append_n((run.end - run.start) as usize, true);
            }
            bits.append_n(rows - bits.len(), false);
            NullBuffer::new(bits.finish())
        });
        self.runs.clear();
        nulls
    }
}

/// A column of fixed-size values. `base` is always the number of rows the table has committed, that is, the row in
/// which the next value lands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column<T> {
    values: Vec<T>,
    valid: Validity,
    /// Rows the last batch had, so that the next one is allocated once.
    hint: usize,
}

impl<T: Copy + Default> Column<T> {
    /// Pads with nulls up to `base`, or drops what an abandoned block left behind.
    fn align(&mut self, base: usize, more: usize) {
        if self.values.len() > base {
            self.values.truncate(base);
            self.valid.truncate(base);
        }
        if self.values.capacity() < base + more {
            self.values.reserve((self.hint.max(base + more) - self.values.len()).max(more));
        }
        if self.values.len() < base {
            self.values.resize(base, T::default());
        }
    }

    /// Appends the values of `n` rows of a block that starts at `base`.
    #[inline]
    pub(crate) fn extend(&mut self, base: usize, n: usize, values: impl Iterator<Item = T>) {
        self.align(base, n);
        self.values.extend(values);
        debug_assert_eq!(self.values.len(), base + n, "a block writes all its rows");
        self.valid.mark(base, self.values.len());
    }

    /// Appends one value `n` times.
    pub(crate) fn fill(&mut self, base: usize, n: usize, value: T) {
        self.align(base, n);
        self.values.resize(base + n, value);
        self.valid.mark(base, base + n);
    }

    /// Appends the value of row `base`.
    #[inline]
    pub(crate) fn push(&mut self, base: usize, value: T) {
        self.align(base, 1);
        self.values.push(value);
        self.valid.mark(base, base + 1);
    }

    /// Appends the value of row `base`, where there is one.
    #[inline]
    pub(crate) fn push_some(&mut self, base: usize, value: Option<T>) {
        if let Some(value) = value {
            self.push(base, value);
        }
    }

    /// The values written since `base`, to be corrected in place; empty when the block did not touch the column.
    pub(crate) fn block(&mut self, base: usize) -> &mut [T] {
        self.values.get_mut(base..).unwrap_or_default()
    }

    /// Whether no row holds a value.
    pub(crate) fn is_untouched(&self) -> bool {
        self.values.is_empty()
    }

    /// All values, padded to `rows`, and where they are null; the column is empty afterwards.
    pub(crate) fn take(&mut self, rows: usize) -> (Vec<T>, Option<NullBuffer>) {
        self.align(rows, 0);
        let mut values = std::mem::take(&mut self.values);
        self.hint = rows + rows / 8;
        if values.capacity() > 2 * values.len() + 64 {
            values.shrink_to_fit();
        }
        (values, self.valid.take(rows))
    }
}

/// The `extra` column: values of any length.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByteColumn {
    bytes: Vec<u8>,
    /// End of each row's bytes.
    ends: Vec<i32>,
    valid: Validity,
    /// Whether a row is open.
    open: bool,
    /// Rows and bytes the last batch had, so that the next one is allocated once.
    hint: (usize, usize),
}

impl ByteColumn {
    /// Bytes held.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    fn align(&mut self, base: usize) {
        if self.ends.len() > base {
            self.ends.truncate(base);
            self.valid.truncate(base);
        }
        let end = self.ends.last().copied().unwrap_or(0);
        self.bytes.truncate(end as usize);
        self.ends.resize(base, end);
    }

    /// Starts row `base`; the bytes pushed until [`Self::close`] are its value.
    pub(crate) fn open(&mut self, base: usize) -> &mut Vec<u8> {
        if self.ends.is_empty() {
            self.ends.reserve(self.hint.0);
            self.bytes.reserve(self.hint.1);
        }
        self.align(base);
        self.open = true;
        &mut self.bytes
    }

    /// Ends the row that was opened.
    pub(crate) fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            let row = self.ends.len();
            self.ends.push(self.bytes.len() as i32);
            self.valid.mark(row, row + 1);
        }
    }

    /// Offsets (rows + 1), bytes and nulls; the column is empty afterwards. `None` when no row holds a value.
    pub(crate) fn take(&mut self, rows: usize) -> Option<(Vec<i32>, Vec<u8>, Option<NullBuffer>)> {
        self.align(rows);
        if self.valid.runs.is_empty() {
            self.ends.clear();
            self.bytes.clear();
            return None;
        }
        self.hint = (rows + rows / 8, self.bytes.len() + self.bytes.len() / 8);
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        offsets.append(&mut self.ends);
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() > 2 * bytes.len() + 64 {
            bytes.shrink_to_fit();
        }
        Some((offsets, bytes, self.valid.take(rows)))
    }
}

/// Zero bytes that every absent column of every batch shares.
#[derive(Clone, Debug)]
pub(crate) struct Zeros(Buffer);

impl Default for Zeros {
    fn default() -> Self {
        Self(Buffer::from_vec(Vec::<u64>::new()))
    }
}

impl Zeros {
    /// At least this many zero bytes, aligned for 64-bit values.
    pub(crate) fn bytes(&mut self, len: usize) -> Buffer {
        if self.0.len() < len {
            self.0 = Buffer::from_vec(vec![0u64; len.div_ceil(8).next_power_of_two()]);
        }
        self.0.slice_with_length(0, len)
    }

    /// A bitmap of `rows` nulls.
    pub(crate) fn nulls(&mut self, rows: usize) -> NullBuffer {
        NullBuffer::new(BooleanBuffer::new(self.bytes(rows.div_ceil(8)), 0, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::{ByteColumn, Column};

    #[test]
    fn gaps_are_null_and_whole_columns_have_no_bitmap() {
        let mut column = Column::<u16>::default();
        column.extend(2, 3, [7, 8, 9].into_iter());
        column.push(6, 1);
        let (values, nulls) = column.take(8);
        assert_eq!(values, [0, 0, 7, 8, 9, 0, 1, 0]);
        let nulls: Vec<bool> = nulls.expect("there are nulls").iter().collect();
        assert_eq!(nulls, [false, false, true, true, true, false, true, false]);
        column.fill(0, 4, 5);
        let (values, nulls) = column.take(4);
        assert_eq!((values, nulls), (vec![5; 4], None));
    }

    #[test]
    fn an_abandoned_block_leaves_nothing() {
        let mut column = Column::<u16>::default();
        column.fill(0, 2, 1);
        column.fill(2, 5, 2);
        column.push(3, 3);
        let (values, nulls) = column.take(4);
        assert_eq!(values, [1, 1, 2, 3]);
        assert!(nulls.is_none());

        let mut extra = ByteColumn::default();
        extra.open(0).extend_from_slice(b"lost");
        extra.open(1).extend_from_slice(b"kept");
        extra.close();
        let (offsets, bytes, nulls) = extra.take(3).expect("one row has bytes");
        assert_eq!((offsets, bytes), (vec![0, 0, 4, 4], b"kept".to_vec()));
        assert_eq!(nulls.expect("two nulls").null_count(), 2);
    }
}
