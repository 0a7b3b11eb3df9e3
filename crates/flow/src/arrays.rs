//! The Arrow arrays of a finished batch, one for each column of the field table.
//!
//! Columns that no row touched share zeroed memory; constants are expanded from spans; nothing is copied that can be
//! handed over. A column added to the field table does not compile until it is made here.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, DictionaryArray, FixedSizeBinaryArray, PrimitiveArray,
    StringArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use guardian_model::FlowField;

use crate::Origin;
use crate::builder::FlowBuilder;
use crate::columns::{ByteColumn, Column, Zeros};

/// A value that holds for all rows up to `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<T> {
    end: u32,
    pub(crate) value: T,
}

/// Extends the last span to `end`, or begins one with another value.
pub(crate) fn span<T: PartialEq>(spans: &mut Vec<Span<T>>, end: usize, value: T) {
    let end = end as u32;
    match spans.last_mut() {
        Some(last) if last.value == value => last.end = end,
        _ => spans.push(Span { end, value }),
    }
}

/// Columns that are the same in every row: made once for as many rows as ever were asked for, and cut to size.
#[derive(Clone, Debug)]
pub(crate) struct Constants {
    /// By column: the value, as a number, and its array.
    cached: [Option<(u128, ArrayRef)>; FlowField::ALL.len()],
}

impl Default for Constants {
    fn default() -> Self {
        Self { cached: [const { None }; FlowField::ALL.len()] }
    }
}

impl Constants {
    /// `rows` rows of a value, which `make` can make any number of.
    fn get(&mut self, field: FlowField, value: u128, rows: usize, make: impl FnOnce(usize) -> ArrayRef) -> ArrayRef {
        let slot = &mut self.cached[field.index()];
        match slot {
            Some((of, array)) if *of == value && array.len() >= rows => array.slice(0, rows),
            _ => {
                let array = make(rows.next_power_of_two());
                let cut = array.slice(0, rows);
                *slot = Some((value, array));
                cut
            }
        }
    }

    /// Forgets a column, because its value means something else from now on.
    pub(crate) fn forget(&mut self, field: FlowField) {
        self.cached[field.index()] = None;
    }
}

/// The value that all rows have, where there is one.
fn only<S: Copy, T: PartialEq>(spans: &[Span<S>], value: impl Fn(S) -> T) -> Option<T> {
    let first = value(spans.first()?.value);
    spans.iter().all(|span| value(span.value) == first).then_some(first)
}

fn expand<S: Copy, T: Copy>(spans: &[Span<S>], rows: usize, value: impl Fn(S) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(rows);
    for span in spans {
        out.resize(span.end as usize, value(span.value));
    }
    out
}

impl FlowBuilder {
    /// All columns of the batch, in the order of the field table; the builder's columns are empty afterwards.
    pub(crate) fn arrays(&mut self, rows: usize) -> Vec<ArrayRef> {
        let scaled = Scaled::new(self, rows);
        FlowField::ALL.iter().map(|field| self.array(*field, &scaled, rows)).collect()
    }

    /// The array of one column. Called once for each column of a batch.
    fn array(&mut self, field: FlowField, scaled: &Scaled, n: usize) -> ArrayRef {
        use FlowField as F;
        let Self { columns: c, origins, rates, constants, zeros, no_labels, .. } = self;
        let mut label = |value: Option<&Arc<StringArray>>| {
            constants.get(field, 0, n, |rows| constant_label(value.unwrap_or(no_labels), rows))
        };
        match field {
            F::Batch => absent::<UInt64Type>(zeros, n, false),
            F::Row => absent::<UInt32Type>(zeros, n, false),
            F::Received => times(expand(origins, n, |o| o.received.0), None),
            F::Start => required_times(&mut c.start, n),
            F::End => required_times(&mut c.end, n),
            F::Site => label(self.site.as_ref()),
            F::Replay => label(self.replay.as_ref()),
            F::Source => sources(constants, origins, &self.sources, n),
            F::Exporter => exporters(constants, origins, n),
            F::Domain => numbers(constants, field, origins, n, |o| o.domain),
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
            F::RevBytes => optional_scaled(zeros, &mut c.rev_bytes, rates, n),
            F::RevPackets => optional_scaled(zeros, &mut c.rev_packets, rates, n),
            F::RevTcpFlags => optional::<UInt16Type>(zeros, &mut c.rev_tcp_flags, n),
            F::SamplingRate => numbers(constants, field, rates, n, |rate| rate),
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
            F::Extra => extra(&mut c.extra, n).unwrap_or_else(|| constants.get(field, 0, n, absent_bytes)),
            F::SrcCountry
            | F::DstCountry
            | F::SrcCity
            | F::DstCity
            | F::SrcAsOrg
            | F::DstAsOrg
            | F::Direction
            | F::Indicator
            | F::SrcHostname
            | F::SrcProcess
            | F::DstHostname
            | F::DstProcess => label(None),
            F::SrcPid | F::DstPid => absent::<UInt32Type>(zeros, n, true),
            F::SrcUser | F::DstUser => constants.get(field, 0, n, |rows| Arc::new(StringArray::new_null(rows))),
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

/// The same number in all rows, or as the spans have it.
fn numbers<S: Copy>(
    constants: &mut Constants,
    field: FlowField,
    spans: &[Span<S>],
    rows: usize,
    value: impl Fn(S) -> u32,
) -> ArrayRef {
    match only(spans, &value) {
        Some(of) => constants.get(field, of.into(), rows, |rows| primitive::<UInt32Type>(vec![of; rows], None)),
        None => primitive::<UInt32Type>(expand(spans, rows, value), None),
    }
}

/// Which protocol each row came by.
fn sources(constants: &mut Constants, origins: &[Span<Origin>], names: &Arc<StringArray>, rows: usize) -> ArrayRef {
    match only(origins, |o| o.source as i32) {
        Some(key) => constants.get(FlowField::Source, key as u128, rows, |rows| dictionary(vec![key; rows], names)),
        None => dictionary(expand(origins, rows, |o| o.source as i32), names),
    }
}

/// Who exported each row.
fn exporters(constants: &mut Constants, origins: &[Span<Origin>], rows: usize) -> ArrayRef {
    match only(origins, |o| o.exporter.0) {
        Some(ip) => {
            let key = u128::from_be_bytes(ip);
            constants.get(FlowField::Exporter, key, rows, |rows| addresses(vec![ip; rows], None))
        }
        None => addresses(expand(origins, rows, |o| o.exporter.0), None),
    }
}

/// The first of the values in every row; nulls where there is none.
fn constant_label(values: &Arc<StringArray>, rows: usize) -> ArrayRef {
    let nulls = values.is_empty().then(|| NullBuffer::new_null(rows));
    let keys = PrimitiveArray::<Int32Type>::new(ScalarBuffer::from(vec![0; rows]), nulls);
    Arc::new(DictionaryArray::new(keys, Arc::clone(values) as ArrayRef))
}

fn dictionary(keys: Vec<i32>, values: &Arc<StringArray>) -> ArrayRef {
    let keys = PrimitiveArray::<Int32Type>::new(ScalarBuffer::from(keys), None);
    Arc::new(DictionaryArray::new(keys, Arc::clone(values) as ArrayRef))
}

fn extra(column: &mut ByteColumn, rows: usize) -> Option<ArrayRef> {
    let (offsets, bytes, nulls) = column.take(rows)?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Some(Arc::new(BinaryArray::new(offsets, Buffer::from_vec(bytes), nulls)))
}

fn absent_bytes(rows: usize) -> ArrayRef {
    Arc::new(BinaryArray::new_null(rows))
}
