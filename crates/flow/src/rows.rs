//! The records of one set as rows: fixed stride, or offsets found beforehand where fields vary in length.

use crate::plan::{Place, VARIABLE};

/// Access to the fields of records, field-major. All iterators give one item a record.
pub(crate) trait Rows: Copy {
    /// Number of records.
    fn len(self) -> usize;

    /// The bytes of a field that is `W` wide.
    fn arrays<const W: usize>(self, place: Place) -> impl Iterator<Item = [u8; W]>;

    /// The bytes of one field of one record.
    fn bytes<'a>(self, place: Place, row: usize) -> &'a [u8]
    where
        Self: 'a;

    /// An unsigned integer of 1 to 8 bytes of one record.
    #[inline]
    fn uint(self, place: Place, row: usize) -> u64 {
        be_uint(self.bytes(place, row))
    }
}

/// A big-endian unsigned integer of any length; saturates beyond 64 bits.
#[inline]
pub(crate) fn be_uint(bytes: &[u8]) -> u64 {
    let (high, low) = bytes.split_at(bytes.len().saturating_sub(8));
    if high.iter().any(|b| *b != 0) {
        return u64::MAX;
    }
    low.iter().fold(0, |value, b| (value << 8) | u64::from(*b))
}

/// Records of one length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed<'a> {
    bytes: &'a [u8],
    stride: usize,
    /// Kept, because a division for every column would show.
    rows: usize,
}

impl<'a> Fixed<'a> {
    /// As many whole records of `stride` (at least 1) bytes as there are.
    pub(crate) fn new(bytes: &'a [u8], stride: usize, rows_max: usize) -> Self {
        let rows = (bytes.len() / stride).min(rows_max);
        Self { bytes: &bytes[..rows * stride], stride, rows }
    }
}

impl Rows for Fixed<'_> {
    #[inline]
    fn len(self) -> usize {
        self.rows
    }

    #[inline]
    fn arrays<const W: usize>(self, place: Place) -> impl Iterator<Item = [u8; W]> {
        let offset = place.offset as usize;
        self.bytes
            .chunks_exact(self.stride)
            .map(move |record| record.get(offset..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; W]))
    }

    #[inline]
    fn bytes<'a>(self, place: Place, row: usize) -> &'a [u8]
    where
        Self: 'a,
    {
        let start = row * self.stride + place.offset as usize;
        self.bytes.get(start..start + usize::from(place.width)).unwrap_or_default()
    }
}

/// Where a field of one record lies in its set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    start: u32,
    len: u16,
}

/// Records of varying length, after [`measure`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Varying<'a> {
    bytes: &'a [u8],
    extents: &'a [Extent],
    fields: usize,
}

impl<'a> Varying<'a> {
    /// The records of `bytes` that [`measure`] found.
    pub(crate) fn new(bytes: &'a [u8], extents: &'a [Extent], fields: usize) -> Self {
        Self { bytes, extents, fields }
    }
}

impl Rows for Varying<'_> {
    #[inline]
    fn len(self) -> usize {
        self.extents.len() / self.fields
    }

    #[inline]
    fn arrays<const W: usize>(self, place: Place) -> impl Iterator<Item = [u8; W]> {
        (0..self.len()).map(move |row| self.bytes(place, row).first_chunk().copied().unwrap_or([0; W]))
    }

    #[inline]
    fn bytes<'a>(self, place: Place, row: usize) -> &'a [u8]
    where
        Self: 'a,
    {
        let Some(extent) = self.extents.get(row * self.fields + usize::from(place.slot)) else { return &[] };
        let start = extent.start as usize;
        self.bytes.get(start..start + usize::from(extent.len)).unwrap_or_default()
    }
}

/// Finds the fields of all records in `bytes` and puts them into `extents`, record after record. `lens` are the
/// lengths of the template (at least one byte a record altogether), `least` what a record takes at least: fewer bytes
/// are padding (RFC 7011 section 3.3.1). Returns false when a record runs over the end; the records before it stand.
pub(crate) fn measure(bytes: &[u8], lens: &[u16], least: usize, rows_max: usize, extents: &mut Vec<Extent>) -> bool {
    extents.clear();
    let mut at = 0usize;
    let mut rows = 0usize;
    while bytes.len() - at >= least && rows < rows_max {
        for len in lens {
            let len = if *len == VARIABLE {
                let Some((len, head)) = variable_length(&bytes[at..]) else {
                    extents.truncate(rows * lens.len());
                    return false;
                };
                at += head;
                len
            } else {
                *len
            };
            if bytes.len() - at < usize::from(len) {
                extents.truncate(rows * lens.len());
                return false;
            }
            extents.push(Extent { start: at as u32, len });
            at += usize::from(len);
        }
        rows += 1;
    }
    true
}

/// Length of a variable field and of its own head: one byte, or 255 and two more.
fn variable_length(bytes: &[u8]) -> Option<(u16, usize)> {
    match bytes {
        [255, high, low, ..] => Some((u16::from_be_bytes([*high, *low]), 3)),
        [255, ..] | [] => None,
        [len, ..] => Some((u16::from(*len), 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fixed, Rows, Varying, be_uint, measure};
    use crate::plan::{Place, VARIABLE};

    #[test]
    fn integers_of_any_length() {
        assert_eq!(be_uint(&[]), 0);
        assert_eq!(be_uint(&[1, 2, 3]), 0x01_02_03);
        assert_eq!(be_uint(&[0, 0xff, 0, 0, 0, 0, 0, 0, 1]), 0xff00_0000_0000_0001);
        assert_eq!(be_uint(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), u64::MAX);
    }

    #[test]
    fn fixed_and_varying_read_alike() {
        let place = Place { offset: 1, slot: 1, width: 2 };
        let fixed = Fixed::new(&[9, 0, 1, 9, 0, 2, 9], 3, 100);
        let mut extents = Vec::new();
        let bytes = [2, b'a', b'b', 0, 1, 255, 0, 1, b'c', 0, 2, 0];
        assert!(measure(&bytes, &[VARIABLE, 2], 3, 100, &mut extents));
        let varying = Varying::new(&bytes, &extents, 2);
        for values in [
            fixed.arrays::<2>(place).map(u16::from_be_bytes).collect::<Vec<_>>(),
            varying.arrays::<2>(place).map(u16::from_be_bytes).collect(),
        ] {
            assert_eq!(values, [1, 2]);
        }
        assert_eq!(varying.bytes(Place { offset: 0, slot: 0, width: VARIABLE }, 1), b"c");
        assert_eq!(varying.uint(place, 1), 2);
    }

    #[test]
    fn a_record_that_runs_over_keeps_those_before() {
        let mut extents = Vec::new();
        for rest in [&[9u8, b'x', 0][..], &[255, 9, 9], &[255, 0, 200]] {
            let bytes = [&[1, b'a', 0, 1], rest].concat();
            assert!(!measure(&bytes, &[VARIABLE, 2], 3, 100, &mut extents));
            assert_eq!(extents.len(), 2);
        }
    }
}
