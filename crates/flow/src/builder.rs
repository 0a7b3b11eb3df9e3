//! `FlowBuilder`: flow records in, one Arrow batch with exactly the columns of [`FLOW`] out.
//!
//! Two ways in: [`FlowBuilder::row`] for code that has one flow at a time, and blocks of many rows written field by
//! field (inside this crate, through [`Columns`]). It must never allocate per row, and never scale by sampling
//! before the end: what exporters said is kept beside what it means.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::record_batch::RecordBatch;
use guardian_model::{FLOW, FlowField, Ip, Micros};
use serde::{Deserialize, Serialize};

use crate::arrays::{Constants, Span, span};
use crate::columns::{ByteColumn, Column, Zeros};

/// Rows after which [`FlowBuilder::is_full`] asks for a [`FlowBuilder::finish`], unless said otherwise.
pub const ROWS_DEFAULT: usize = 8192;

/// Rows beyond which nothing is taken any more: a caller that never looks at [`FlowBuilder::is_full`] loses rows
/// (they are counted), not memory.
pub const ROWS_MAX: usize = 1 << 20;

/// Bytes of unmapped elements that one batch holds at most; further ones are left out and counted.
pub const EXTRA_BYTES_MAX: usize = 64 << 20;

/// How a flow reached Guardian: the values of the `source` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Source {
    /// NetFlow version 5.
    NetFlow5,
    /// NetFlow version 7.
    NetFlow7,
    /// NetFlow version 9 (RFC 3954).
    NetFlow9,
    /// IPFIX (RFC 7011).
    Ipfix,
    /// sFlow version 5.
    Sflow,
    /// Metered from packets.
    Capture,
}

impl Source {
    /// All sources, in the order of their dictionary keys.
    pub const ALL: [Self; 6] =
        [Self::NetFlow5, Self::NetFlow7, Self::NetFlow9, Self::Ipfix, Self::Sflow, Self::Capture];

    /// The value of the `source` column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NetFlow5 => "netflow5",
            Self::NetFlow7 => "netflow7",
            Self::NetFlow9 => "netflow9",
            Self::Ipfix => "ipfix",
            Self::Sflow => "sflow",
            Self::Capture => "capture",
        }
    }
}

/// What all records of a datagram (or of a capture) share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// When the datagram was received.
    pub received: Micros,
    /// How it came.
    pub source: Source,
    /// Who sent it.
    pub exporter: Ip,
    /// Observation domain, source id, engine or sub-agent.
    pub domain: u32,
}

/// The way back of a biflow, unscaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reverse {
    /// Octets from the responder.
    pub bytes: u64,
    /// Packets from the responder.
    pub packets: u64,
    /// Union of the responder's TCP flags.
    pub tcp_flags: u16,
}

/// One flow, for code that produces them one at a time. `None` becomes null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the column of the same name, documented in the field table")]
pub struct FlowRow {
    pub start: Micros,
    pub end: Micros,
    pub src_ip: Ip,
    pub dst_ip: Ip,
    pub src_port: u16,
    pub dst_port: u16,
    pub protocol: u8,
    pub tcp_flags: u16,
    pub raw_bytes: u64,
    pub raw_packets: u64,
    pub reverse: Option<Reverse>,
    /// Type and code.
    pub icmp: Option<(u8, u8)>,
    pub tos: Option<u8>,
    pub vlan: Option<u16>,
    pub src_mac: Option<[u8; 6]>,
    pub dst_mac: Option<[u8; 6]>,
    pub input_if: Option<u32>,
    pub output_if: Option<u32>,
    pub src_as: Option<u32>,
    pub dst_as: Option<u32>,
    pub src_mask: Option<u8>,
    pub dst_mask: Option<u8>,
    pub next_hop: Option<Ip>,
    pub flow_direction: Option<u8>,
    pub end_reason: Option<u8>,
    pub nat_src_ip: Option<Ip>,
    pub nat_dst_ip: Option<Ip>,
    pub nat_src_port: Option<u16>,
    pub nat_dst_port: Option<u16>,
}

/// The columns that decoders write. Counters are unscaled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    pub(crate) start: Column<i64>,
    pub(crate) end: Column<i64>,
    pub(crate) src_ip: Column<[u8; 16]>,
    pub(crate) dst_ip: Column<[u8; 16]>,
    pub(crate) src_port: Column<u16>,
    pub(crate) dst_port: Column<u16>,
    pub(crate) protocol: Column<u8>,
    pub(crate) tcp_flags: Column<u16>,
    pub(crate) bytes: Column<u64>,
    pub(crate) packets: Column<u64>,
    pub(crate) rev_bytes: Column<u64>,
    pub(crate) rev_packets: Column<u64>,
    pub(crate) rev_tcp_flags: Column<u16>,
    pub(crate) icmp_type: Column<u8>,
    pub(crate) icmp_code: Column<u8>,
    pub(crate) tos: Column<u8>,
    pub(crate) vlan: Column<u16>,
    pub(crate) src_mac: Column<[u8; 6]>,
    pub(crate) dst_mac: Column<[u8; 6]>,
    pub(crate) input_if: Column<u32>,
    pub(crate) output_if: Column<u32>,
    pub(crate) src_as: Column<u32>,
    pub(crate) dst_as: Column<u32>,
    pub(crate) src_mask: Column<u8>,
    pub(crate) dst_mask: Column<u8>,
    pub(crate) next_hop: Column<[u8; 16]>,
    pub(crate) flow_direction: Column<u8>,
    pub(crate) end_reason: Column<u8>,
    pub(crate) event: Column<u8>,
    pub(crate) nat_src_ip: Column<[u8; 16]>,
    pub(crate) nat_dst_ip: Column<[u8; 16]>,
    pub(crate) nat_src_port: Column<u16>,
    pub(crate) nat_dst_port: Column<u16>,
    pub(crate) extra: ByteColumn,
}

/// Collects flows until there are enough for a batch.
///
/// ```
/// # use guardian_flow::{FlowBuilder, FlowRow, Origin, Source};
/// # use guardian_model::{FLOW, Ip, Micros};
/// let mut flows = FlowBuilder::new();
/// let origin = Origin { received: Micros(2), source: Source::Capture, exporter: Ip::v4([192, 0, 2, 1]), domain: 0 };
/// flows.row(&origin, 100, &FlowRow { raw_bytes: 60, raw_packets: 1, ..FlowRow::default() });
/// let batch = flows.finish(Micros(2));
/// assert_eq!(batch.schema(), FLOW.schema());
/// assert_eq!(batch.num_rows(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct FlowBuilder {
    capacity: usize,
    rows: usize,
    pub(crate) columns: Columns,
    pub(crate) origins: Vec<Span<Origin>>,
    pub(crate) rates: Vec<Span<u32>>,
    pub(crate) site: Option<Arc<StringArray>>,
    pub(crate) replay: Option<Arc<StringArray>>,
    pub(crate) sources: Arc<StringArray>,
    pub(crate) no_labels: Arc<StringArray>,
    pub(crate) zeros: Zeros,
    pub(crate) constants: Constants,
    refused: u64,
}

impl Default for FlowBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl FlowBuilder {
    /// A builder for batches of about [`ROWS_DEFAULT`] rows.
    pub fn new() -> Self {
        Self::with_capacity(ROWS_DEFAULT)
    }

    /// A builder that is full at `rows` rows (at most [`ROWS_MAX`] / 2). One datagram may go beyond that.
    pub fn with_capacity(rows: usize) -> Self {
        Self {
            capacity: rows.clamp(1, ROWS_MAX / 2),
            rows: 0,
            columns: Columns::default(),
            origins: Vec::new(),
            rates: Vec::new(),
            site: None,
            replay: None,
            sources: Arc::new(Source::ALL.map(|s| Some(s.as_str())).into_iter().collect()),
            no_labels: Arc::new(StringArray::new_null(0)),
            zeros: Zeros::default(),
            constants: Constants::default(),
            refused: 0,
        }
    }

    /// The site that all rows of the next batches belong to; `None` is the main site.
    pub fn set_site(&mut self, site: Option<&str>) {
        self.constants.forget(FlowField::Site);
        self.site = site.map(|name| Arc::new(StringArray::from(vec![name])));
    }

    /// The replay that all rows of the next batches come from; `None` is live traffic.
    pub fn set_replay(&mut self, name: Option<&str>) {
        self.constants.forget(FlowField::Replay);
        self.replay = name.map(|name| Arc::new(StringArray::from(vec![name])));
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether the batch is large enough to be finished. Look after every datagram.
    pub fn is_full(&self) -> bool {
        self.rows >= self.capacity || self.columns.extra.byte_len() >= EXTRA_BYTES_MAX / 2
    }

    /// Rows that were not taken because [`ROWS_MAX`] was reached, since the builder was made.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Adds one flow. `sampling_rate` is 1 for unsampled ones; counters are scaled by it.
    pub fn row(&mut self, origin: &Origin, sampling_rate: u32, row: &FlowRow) {
        let Some(base) = self.block(1) else { return };
        let c = &mut self.columns;
        c.start.push(base, row.start.0);
        c.end.push(base, row.end.0);
        c.src_ip.push(base, row.src_ip.0);
        c.dst_ip.push(base, row.dst_ip.0);
        c.src_port.push(base, row.src_port);
        c.dst_port.push(base, row.dst_port);
        c.protocol.push(base, row.protocol);
        c.tcp_flags.push(base, row.tcp_flags);
        c.bytes.push(base, row.raw_bytes);
        c.packets.push(base, row.raw_packets);
        if let Some(reverse) = row.reverse {
            c.rev_bytes.push(base, reverse.bytes);
            c.rev_packets.push(base, reverse.packets);
            c.rev_tcp_flags.push(base, reverse.tcp_flags);
        }
        if let Some((kind, code)) = row.icmp {
            c.icmp_type.push(base, kind);
            c.icmp_code.push(base, code);
        }
        c.tos.push_some(base, row.tos);
        c.vlan.push_some(base, row.vlan);
        c.src_mac.push_some(base, row.src_mac);
        c.dst_mac.push_some(base, row.dst_mac);
        c.input_if.push_some(base, row.input_if);
        c.output_if.push_some(base, row.output_if);
        c.src_as.push_some(base, row.src_as);
        c.dst_as.push_some(base, row.dst_as);
        c.src_mask.push_some(base, row.src_mask);
        c.dst_mask.push_some(base, row.dst_mask);
        c.next_hop.push_some(base, row.next_hop.map(|ip| ip.0));
        c.flow_direction.push_some(base, row.flow_direction);
        c.end_reason.push_some(base, row.end_reason);
        c.nat_src_ip.push_some(base, row.nat_src_ip.map(|ip| ip.0));
        c.nat_dst_ip.push_some(base, row.nat_dst_ip.map(|ip| ip.0));
        c.nat_src_port.push_some(base, row.nat_src_port);
        c.nat_dst_port.push_some(base, row.nat_dst_port);
        self.commit(origin, 1, sampling_rate);
    }

    /// Starts a block of `n` rows: the row of its first one, or `None` (counted) where there is no room. Columns that
    /// the block writes get exactly `n` values; nothing counts until [`Self::commit`].
    pub(crate) fn block(&mut self, n: usize) -> Option<usize> {
        if self.rows + n > ROWS_MAX {
            self.refused += n as u64;
            return None;
        }
        Some(self.rows)
    }

    /// Makes the `n` rows written since the last commit count.
    pub(crate) fn commit(&mut self, origin: &Origin, n: usize, sampling_rate: u32) {
        if n > 0 {
            span(&mut self.rates, self.rows + n, sampling_rate.max(1));
            self.commit_origin(origin, n);
        }
    }

    /// As [`Self::commit`], with a sampling rate for each row.
    pub(crate) fn commit_rates(&mut self, origin: &Origin, rates: impl ExactSizeIterator<Item = u32>) {
        let n = rates.len();
        for (i, rate) in rates.enumerate() {
            span(&mut self.rates, self.rows + i + 1, rate.max(1));
        }
        self.commit_origin(origin, n);
    }

    fn commit_origin(&mut self, origin: &Origin, n: usize) {
        if n > 0 {
            self.rows += n;
            span(&mut self.origins, self.rows, *origin);
        }
    }

    /// The rows so far as a batch with exactly the schema of [`FLOW`], and an empty builder for the next one.
    /// `received` is the time of the batch: no row claims to have been received later.
    pub fn finish(&mut self, received: Micros) -> RecordBatch {
        let rows = self.rows;
        for span in &mut self.origins {
            span.value.received = span.value.received.min(received);
        }
        let arrays = self.arrays(rows);
        self.rows = 0;
        self.origins.clear();
        self.rates.clear();
        RecordBatch::try_new(FLOW.schema(), arrays).expect("one array of the declared type and length per column")
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{UInt32Type, UInt64Type};
    use guardian_model::{FLOW, FlowField, Ip, Micros, row_json};

    use super::{FlowBuilder, FlowRow, Origin, ROWS_MAX, Reverse, Source};

    fn origin(received: i64) -> Origin {
        Origin { received: Micros(received), source: Source::Sflow, exporter: Ip::v4([192, 0, 2, 9]), domain: 3 }
    }

    #[test]
    fn an_empty_batch_has_the_schema() {
        let batch = FlowBuilder::new().finish(Micros(0));
        assert_eq!((batch.schema(), batch.num_rows()), (FLOW.schema(), 0));
    }

    #[test]
    fn rows_scale_by_sampling_and_keep_the_raw_values() {
        let mut flows = FlowBuilder::with_capacity(3);
        flows.set_replay(Some("demo"));
        let row = FlowRow {
            raw_bytes: 60,
            raw_packets: 2,
            reverse: Some(Reverse { bytes: u64::MAX / 2, packets: 1, tcp_flags: 0x12 }),
            icmp: Some((8, 0)),
            src_mac: Some([1, 2, 3, 4, 5, 6]),
            ..FlowRow::default()
        };
        flows.row(&origin(5), 100, &row);
        flows.row(&origin(6), 1, &FlowRow { raw_bytes: 1, ..FlowRow::default() });
        assert!(!flows.is_full());
        flows.row(&origin(7), 100, &FlowRow::default());
        assert!(flows.is_full());
        let batch = flows.finish(Micros(6));
        let column = |field: FlowField| batch.column(field.index()).clone();
        assert_eq!(column(FlowField::Bytes).as_primitive::<UInt64Type>().values(), &[6000, 1, 0]);
        assert_eq!(column(FlowField::RawBytes).as_primitive::<UInt64Type>().values(), &[60, 1, 0]);
        assert_eq!(column(FlowField::SamplingRate).as_primitive::<UInt32Type>().values(), &[100, 1, 100]);
        let first = row_json(&batch, 0);
        assert_eq!(first["rev_bytes"], u64::MAX);
        assert_eq!(first["src_mac"], "01:02:03:04:05:06");
        assert_eq!((&first["source"], &first["replay"]), (&"sflow".into(), &"demo".into()));
        assert_eq!(row_json(&batch, 1).get("rev_bytes"), None);
        assert_eq!(row_json(&batch, 2)["received"], Micros(6).to_string());
        assert!(flows.is_empty());
    }

    #[test]
    fn constants_follow_what_changes_between_batches() {
        let mut flows = FlowBuilder::new();
        let mut batch = |site: Option<&str>, rows: &[(u8, u32)]| {
            flows.set_site(site);
            for (host, rate) in rows {
                let origin = Origin { exporter: Ip::v4([192, 0, 2, *host]), domain: *rate, ..origin(0) };
                flows.row(&origin, *rate, &FlowRow::default());
            }
            let batch = flows.finish(Micros(0));
            let cell = |row, name: &str| row_json(&batch, row).get(name).map(ToString::to_string).unwrap_or_default();
            (0..batch.num_rows())
                .map(|row| ["site", "exporter", "domain", "sampling_rate"].map(|name| cell(row, name)).join(" "))
                .collect::<Vec<_>>()
        };
        let expected = |site: &str, host: u8, rate: u32| format!(r#"{site} "192.0.2.{host}" {rate} {rate}"#);
        assert_eq!(batch(None, &[(1, 5); 3]), [(); 3].map(|()| expected("", 1, 5)));
        assert_eq!(batch(Some("a"), &[(1, 5)]), [expected("\"a\"", 1, 5)]);
        assert_eq!(batch(Some("b"), &[(2, 6); 5]), [(); 5].map(|()| expected("\"b\"", 2, 6)));
        assert_eq!(batch(None, &[(1, 5), (2, 6)]), [expected("", 1, 5), expected("", 2, 6)]);
    }

    #[test]
    fn rows_beyond_the_maximum_are_counted() {
        let mut flows = FlowBuilder::new();
        let base = flows.block(ROWS_MAX).expect("there is room");
        flows.columns.src_port.fill(base, ROWS_MAX, 1);
        flows.commit(&origin(0), ROWS_MAX, 1);
        flows.row(&origin(0), 1, &FlowRow::default());
        assert_eq!((flows.len(), flows.refused()), (ROWS_MAX, 1));
    }
}
