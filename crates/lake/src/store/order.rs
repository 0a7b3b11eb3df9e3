//! The order of rows within a row group of flows. Whoever looks for an address wants few rows, and reads every page that
//! may have one of them: so rows of one inside host stand together, first as the source and then as the destination.
//! Between hosts outside, and between hosts inside, the source counts.

use std::sync::Arc;

use arrow::array::{AsArray, FixedSizeBinaryArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use guardian_model::{Class, FLOW, FlowField, Ip};
use hashbrown::HashMap;

use super::parquet_file::{GROUP_ROWS, PAGE_ROWS};
use crate::LakeError;

/// Rows on their way into a file, a row group at a time.
#[derive(Debug)]
pub(crate) struct Groups {
    schema: SchemaRef,
    /// Where the two addresses are, in files that are put in order.
    ends: Option<(usize, usize)>,
    waiting: Vec<RecordBatch>,
    rows: usize,
}

impl Groups {
    /// For files of a class with these columns.
    pub(crate) fn new(class: &Class, schema: &SchemaRef) -> Self {
        let at = |field: FlowField| schema.index_of(FLOW.fields[field.index()].name).ok();
        let ends = if class.name == FLOW.name { at(FlowField::SrcIp).zip(at(FlowField::DstIp)) } else { None };
        Self { schema: Arc::clone(schema), ends, waiting: Vec::new(), rows: 0 }
    }

    /// Takes rows, and hands what is ready to be written to `write`.
    pub(crate) fn add(
        &mut self,
        mut rows: RecordBatch,
        mut write: impl FnMut(&RecordBatch) -> Result<(), LakeError>,
    ) -> Result<(), LakeError> {
        if self.ends.is_none() {
            return write(&rows);
        }
        while self.rows + rows.num_rows() >= GROUP_ROWS {
            let fits = GROUP_ROWS - self.rows;
            self.waiting.push(rows.slice(0, fits));
            rows = rows.slice(fits, rows.num_rows() - fits);
            self.rest()?.as_ref().map_or(Ok(()), &mut write)?;
        }
        if rows.num_rows() > 0 {
            self.rows += rows.num_rows();
            self.waiting.push(rows);
        }
        Ok(())
    }

    /// What waits, in order.
    pub(crate) fn rest(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        self.rows = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let (Some((src, dst)), false) = (self.ends, waiting.is_empty()) else { return Ok(None) };
        let rows = concat_batches(&self.schema, &waiting).map_err(LakeError::data)?;
        drop(waiting);
        let (src, dst) = (rows.column(src), rows.column(dst));
        let (Some(src), Some(dst)) = (src.as_fixed_size_binary_opt(), dst.as_fixed_size_binary_opt()) else {
            return Err(LakeError::Data("addresses of flows are not addresses".into()));
        };
        take_record_batch(&rows, &order(src, dst)).map(Some).map_err(LakeError::data)
    }
}

/// The rows page by page. Within a page they stay as they came: that costs no search anything, and times compress better.
fn order(src: &FixedSizeBinaryArray, dst: &FixedSizeBinaryArray) -> UInt32Array {
    let ends = src.value_data().as_chunks::<16>().0.iter().zip(dst.value_data().as_chunks::<16>().0);
    let mut known: HashMap<Place, usize, foldhash::fast::FixedState> = HashMap::default();
    let mut places: Vec<(Place, usize)> = Vec::new();
    let mut count = |(src, dst): (&[u8; 16], &[u8; 16])| {
        let place = place(Ip(*src), Ip(*dst));
        let number = *known.entry(place).or_insert_with(|| {
            places.push((place, 0));
            places.len() - 1
        });
        places[number].1 += 1;
        number
    };
    let numbers: Vec<usize> = ends.map(&mut count).collect();
    let mut by_place: Vec<usize> = (0..places.len()).collect();
    by_place.sort_unstable_by_key(|&number| places[number].0);
    // Where the next row of each place would stand if places followed each other; and where the next row of each page does.
    let mut next = vec![0; places.len()];
    by_place.into_iter().fold(0, |at, number| {
        next[number] = at;
        at + places[number].1
    });
    let mut next_of_page: Vec<usize> = (0..numbers.len()).step_by(PAGE_ROWS).collect();
    let mut rows = vec![0; numbers.len()];
    for (row, number) in (0..).zip(numbers) {
        let at = &mut next_of_page[next[number] / PAGE_ROWS];
        rows[*at] = row;
        *at += 1;
        next[number] += 1;
    }
    rows.into()
}

/// Where a flow stands: by its destination or not, and by which address.
type Place = (bool, Ip);

fn place(src: Ip, dst: Ip) -> Place {
    let by_destination = dst.is_private() && !src.is_private();
    (by_destination, if by_destination { dst } else { src })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Inside hosts 10.0.0.x and fd00::x, others outside; both directions.
    fn ends(n: u64) -> [Ip; 2] {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let inside = match mixed % 3 {
            0 => Ip([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (mixed >> 4) as u8]),
            _ => Ip::v4([10, 0, 0, (mixed >> 4) as u8]),
        };
        let outside = Ip::v4([198, 51, (mixed >> 2) as u8, (mixed >> 9) as u8]);
        if mixed & 0x800 == 0 { [inside, outside] } else { [outside, inside] }
    }

    fn column(ips: impl Iterator<Item = Ip>) -> FixedSizeBinaryArray {
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(ips.map(|ip| Some(ip.0)), 16).unwrap()
    }

    #[test]
    fn pages_follow_each_other_by_host_and_rows_within_them_by_arrival() {
        for count in [0, 1, PAGE_ROWS as u64, 3 * PAGE_ROWS as u64 + 17] {
            let rows = order(&column((0..count).map(|n| ends(n)[0])), &column((0..count).map(|n| ends(n)[1])));
            let mut all = rows.values().to_vec();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count as u32), "{count}: every row is there once");
            let mut before = None;
            for page in rows.values().chunks(PAGE_ROWS) {
                assert!(page.is_sorted(), "{count}: rows of a page stand as they came");
                let places = page.iter().map(|row| ends(u64::from(*row))).map(|[src, dst]| place(src, dst));
                let (least, most) = (places.clone().min(), places.max());
                assert!(before <= least, "{count}: a page begins where the one before ends");
                before = most;
            }
        }
    }

    #[test]
    fn the_inside_host_counts() {
        let (inside, other, outside) = (Ip::v4([10, 0, 0, 1]), Ip::v4([192, 168, 3, 4]), Ip::v4([198, 51, 100, 7]));
        assert_eq!(place(inside, outside), (false, inside));
        assert_eq!(place(outside, inside), (true, inside));
        assert_eq!(place(inside, other), (false, inside));
        assert_eq!(place(outside, Ip::v4([198, 51, 100, 8])), (false, outside));
    }
}
