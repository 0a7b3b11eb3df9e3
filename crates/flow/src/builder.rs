//! `FlowBuilder`: flow records in, one Arrow batch with exactly the columns of [`FLOW`] out.
//!
//! Two ways in: [`FlowBuilder::row`] for code that has one flow at a time, and blocks of many rows written field by
//! field (inside this crate, through [`Columns`]). It must never allocate per row, and never scale by sampling
//! before the end: what exporters said is kept beside what it means.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, DictionaryArray, FixedSizeBinaryArray, PrimitiveArray, StringArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow::record_batch::RecordBatch;
use guardian_model::{FLOW, FlowField, Ip, Micros};
use serde::{Deserialize, Serialize};

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

/// A value that holds for all rows up to `end`.
#[derive(Clone, Copy, Debug)]
struct Span<T> {
    end: u32,
    value: T,
}

fn span<T: PartialEq>(spans: &mut Vec<Span<T>>, end: usize, value: T) {
    let end = end as u32;
    match spans.last_mut() {
        Some(last) if last.value == value => last.end = end,
        _ => spans.push(Span { end, value }),
    }
}

fn expand<S: Copy, T: Copy>(spans: &[Span<S>], rows: usize, value: impl Fn(S) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(rows);
    for span in spans {
        out.resize(span.end as usize, value(span.value));
    }
    out
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
    origins: Vec<Span<Origin>>,
    rates: Vec<Span<u32>>,
    site: Option<Arc<StringArray>>,
    replay: Option<Arc<StringArray>>,
    sources: Arc<StringArray>,
    no_labels: Arc<StringArray>,
    zeros: Zeros,
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
            refused: 0,
        }
    }

    /// The site that all rows of the next batches belong to; `None` is the main site.
    pub fn set_site(&mut self, site: Option<&str>) {
        self.site = site.map(|name| Arc::new(StringArray::from(vec![name])));
    }

    /// The replay that all rows of the next batches come from; `None` is live traffic.
    pub fn set_replay(&mut self, name: Option<&str>) {
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
        let mut scaled = Scaled::new(self, rows);
        let arrays = FlowField::ALL.iter().map(|field| self.array(*field, &mut scaled, rows)).collect();
        self.rows = 0;
        self.origins.clear();
        self.rates.clear();
        RecordBatch::try_new(FLOW.schema(), arrays).expect("one array of the declared type and length per column")
    }

    /// The array of one column. Called once for each column of a batch.
    fn array(&mut self, field: FlowField, scaled: &mut Scaled, n: usize) -> ArrayRef {
        use FlowField as F;
        let zeros = &mut self.zeros;
        let c = &mut self.columns;
        match field {
            F::Batch => absent::<UInt64Type>(zeros, n, false),
            F::Row => absent::<UInt32Type>(zeros, n, false),
            F::Received => times(expand(&self.origins, n, |o| o.received.0), None),
            F::Start => required_times(&mut c.start, n),
            F::End => required_times(&mut c.end, n),
            F::Site => label(zeros, self.site.as_ref(), &self.no_labels, n),
            F::Replay => label(zeros, self.replay.as_ref(), &self.no_labels, n),
            F::Source => {
                let keys = expand(&self.origins, n, |o| o.source as i32);
                dictionary(ScalarBuffer::from(keys), None, &self.sources)
            }
            F::Exporter => addresses(expand(&self.origins, n, |o| o.exporter.0), None),
            F::Domain => primitive::<UInt32Type>(expand(&self.origins, n, |o| o.domain), None),
            F::SrcIp => addresses(c.src_ip.take(n).0, None),
            F::DstIp => addresses(c.dst_ip.take(n).0, None),
            F::SrcPort => required::<UInt16Type>(&mut c.src_port, n),
            F::DstPort => required::<UInt16Type>(&mut c.dst_port, n),
            F::Protocol => required::<UInt8Type>(&mut c.protocol, n),
            F::TcpFlags => required::<UInt16Type>(&mut c.tcp_flags, n),
            F::Bytes => Arc::clone(&scaled.bytes),
            F::Packets => Arc::clone(&scaled.packets),
            F::RawBytes => Arc::clone(&scaled.raw_bytes),
            F::RawPackets => Arc::clone(&scaled.raw_packets),
            F::RevBytes => optional_scaled(zeros, &mut c.rev_bytes, &self.rates, n),
            F::RevPackets => optional_scaled(zeros, &mut c.rev_packets, &self.rates, n),
            F::RevTcpFlags => optional::<UInt16Type>(zeros, &mut c.rev_tcp_flags, n),
            F::SamplingRate => primitive::<UInt32Type>(expand(&self.rates, n, |rate| rate), None),
            F::IcmpType => optional::<UInt8Type>(zeros, &mut c.icmp_type, n),
            F::IcmpCode => optional::<UInt8Type>(zeros, &mut c.icmp_code, n),
            F::Tos => optional::<UInt8Type>(zeros, &mut c.tos, n),
            F::Vlan => optional::<UInt16Type>(zeros, &mut c.vlan, n),
            F::SrcMac => fixed(zeros, &mut c.src_mac, n),
            F::DstMac => fixed(zeros, &mut c.dst_mac, n),
            F::InputIf => optional::<UInt32Type>(zeros, &mut c.input_if, n),
            F::OutputIf => optional::<UInt32Type>(zeros, &mut c.output_if, n),
            F::SrcAs => optional::<UInt32Type>(zeros, &mut c.src_as, n),
            F::DstAs => optional::<UInt32Type>(zeros, &mut c.dst_as, n),
            F::SrcMask => optional::<UInt8Type>(zeros, &mut c.src_mask, n),
            F::DstMask => optional::<UInt8Type>(zeros, &mut c.dst_mask, n),
            F::NextHop => fixed(zeros, &mut c.next_hop, n),
            F::FlowDirection => optional::<UInt8Type>(zeros, &mut c.flow_direction, n),
            F::EndReason => optional::<UInt8Type>(zeros, &mut c.end_reason, n),
            F::Event => optional::<UInt8Type>(zeros, &mut c.event, n),
            F::NatSrcIp => fixed(zeros, &mut c.nat_src_ip, n),
            F::NatDstIp => fixed(zeros, &mut c.nat_dst_ip, n),
            F::NatSrcPort => optional::<UInt16Type>(zeros, &mut c.nat_src_port, n),
            F::NatDstPort => optional::<UInt16Type>(zeros, &mut c.nat_dst_port, n),
            F::Extra => extra(zeros, &mut c.extra, n),
            F::SrcCountry | F::DstCountry | F::SrcCity | F::DstCity => label(zeros, None, &self.no_labels, n),
            F::SrcAsOrg | F::DstAsOrg | F::Direction | F::Indicator => label(zeros, None, &self.no_labels, n),
            F::IndicatorIp => fixed(zeros, &mut Column::<[u8; 16]>::default(), n),
        }
    }
}

/// Counters as exported and multiplied by the sampling rate; the same arrays where nothing was sampled.
struct Scaled {
    raw_bytes: ArrayRef,
    raw_packets: ArrayRef,
    bytes: ArrayRef,
    packets: ArrayRef,
}

impl Scaled {
    fn new(builder: &mut FlowBuilder, rows: usize) -> Self {
        let rates = &builder.rates;
        let pair = |column: &mut Column<u64>| {
            let values = column.take(rows).0;
            let scaled = sampled(rates).then(|| {
                let mut scaled = values.clone();
                scale(&mut scaled, rates);
                primitive::<UInt64Type>(scaled, None)
            });
            let raw = primitive::<UInt64Type>(values, None);
            (Arc::clone(&raw), scaled.unwrap_or(raw))
        };
        let (raw_bytes, bytes) = pair(&mut builder.columns.bytes);
        let (raw_packets, packets) = pair(&mut builder.columns.packets);
        Self { raw_bytes, raw_packets, bytes, packets }
    }
}

fn sampled(rates: &[Span<u32>]) -> bool {
    rates.iter().any(|span| span.value != 1)
}

fn scale(values: &mut [u64], rates: &[Span<u32>]) {
    let mut start = 0;
    for span in rates {
        let end = span.end as usize;
        if span.value != 1 {
            for value in &mut values[start..end] {
                *value = value.saturating_mul(u64::from(span.value));
            }
        }
        start = end;
    }
}

fn primitive<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls))
}

fn required<T: ArrowPrimitiveType>(column: &mut Column<T::Native>, rows: usize) -> ArrayRef
where
    T::Native: Default,
{
    primitive::<T>(column.take(rows).0, None)
}

fn optional<T: ArrowPrimitiveType>(zeros: &mut Zeros, column: &mut Column<T::Native>, rows: usize) -> ArrayRef
where
    T::Native: Default,
{
    if column.is_untouched() {
        return absent::<T>(zeros, rows, true);
    }
    let (values, nulls) = column.take(rows);
    primitive::<T>(values, nulls)
}

fn optional_scaled(zeros: &mut Zeros, column: &mut Column<u64>, rates: &[Span<u32>], rows: usize) -> ArrayRef {
    if column.is_untouched() {
        return absent::<UInt64Type>(zeros, rows, true);
    }
    let (mut values, nulls) = column.take(rows);
    scale(&mut values, rates);
    primitive::<UInt64Type>(values, nulls)
}

fn absent<T: ArrowPrimitiveType>(zeros: &mut Zeros, rows: usize, null: bool) -> ArrayRef {
    let values = ScalarBuffer::new(zeros.bytes(rows * size_of::<T::Native>()), 0, rows);
    Arc::new(PrimitiveArray::<T>::new(values, null.then(|| zeros.nulls(rows))))
}

fn times(values: Vec<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
    let array = PrimitiveArray::<TimestampMicrosecondType>::new(ScalarBuffer::from(values), nulls);
    Arc::new(array.with_timezone("+00:00"))
}

fn required_times(column: &mut Column<i64>, rows: usize) -> ArrayRef {
    times(column.take(rows).0, None)
}

fn addresses(values: Vec<[u8; 16]>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(values.into_flattened()), nulls))
}

fn fixed<const N: usize>(zeros: &mut Zeros, column: &mut Column<[u8; N]>, rows: usize) -> ArrayRef
where
    [u8; N]: Default,
{
    let (buffer, nulls) = if column.is_untouched() {
        (zeros.bytes(rows * N), Some(zeros.nulls(rows)))
    } else {
        let (values, nulls) = column.take(rows);
        (Buffer::from_vec(values.into_flattened()), nulls)
    };
    Arc::new(FixedSizeBinaryArray::new(N as i32, buffer, nulls))
}

fn label(zeros: &mut Zeros, value: Option<&Arc<StringArray>>, none: &Arc<StringArray>, rows: usize) -> ArrayRef {
    let keys = ScalarBuffer::new(zeros.bytes(rows * size_of::<i32>()), 0, rows);
    match value {
        Some(value) => dictionary(keys, None, value),
        None => dictionary(keys, Some(zeros.nulls(rows)), none),
    }
}

fn dictionary(keys: ScalarBuffer<i32>, nulls: Option<NullBuffer>, values: &Arc<StringArray>) -> ArrayRef {
    let keys = PrimitiveArray::<Int32Type>::new(keys, nulls);
    Arc::new(DictionaryArray::new(keys, Arc::clone(values) as ArrayRef))
}

fn extra(zeros: &mut Zeros, column: &mut ByteColumn, rows: usize) -> ArrayRef {
    match column.take(rows) {
        Some((offsets, bytes, nulls)) => {
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            Arc::new(BinaryArray::new(offsets, Buffer::from_vec(bytes), nulls))
        }
        None => {
            let offsets = OffsetBuffer::new(ScalarBuffer::new(zeros.bytes((rows + 1) * size_of::<i32>()), 0, rows + 1));
            Arc::new(BinaryArray::new(offsets, Buffer::from_vec(Vec::<u8>::new()), Some(zeros.nulls(rows))))
        }
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
    fn rows_beyond_the_maximum_are_counted() {
        let mut flows = FlowBuilder::new();
        let base = flows.block(ROWS_MAX).expect("there is room");
        flows.columns.src_port.fill(base, ROWS_MAX, 1);
        flows.commit(&origin(0), ROWS_MAX, 1);
        flows.row(&origin(0), 1, &FlowRow::default());
        assert_eq!((flows.len(), flows.refused()), (ROWS_MAX, 1));
    }
}
