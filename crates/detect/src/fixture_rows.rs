//! The flows of fixtures as record batches of the flow class. Everything that a fixture does not say is null or what an
//! ordinary exporter would send.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, DictionaryArray, FixedSizeBinaryBuilder, TimestampMicrosecondArray, UInt8Array, UInt16Array,
    UInt32Array, UInt64Array, new_null_array,
};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use guardian_model::{FLOW, FlowField, Ip, Micros};

use crate::fixture::direction;

/// One flow.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) start: Micros,
    pub(crate) end: Micros,
    pub(crate) src: Ip,
    pub(crate) dst: Ip,
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) protocol: u8,
    pub(crate) flags: u16,
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    /// Bytes, packets and flags of the way back.
    pub(crate) reverse: Option<(u64, u64, u16)>,
    pub(crate) icmp: Option<(u8, u8)>,
    pub(crate) direction: String,
    pub(crate) indicator: Option<String>,
    pub(crate) indicator_ip: Option<Ip>,
    pub(crate) site: Option<String>,
    pub(crate) replay: Option<String>,
    pub(crate) source: String,
}

impl Row {
    /// When it was received: an exporter's idle timeout after its end.
    pub(crate) fn received(&self) -> Micros {
        self.end + 5 * Micros::SECOND
    }

    /// The row as exporters without biflows send it: one for each direction in which packets went.
    pub(crate) fn halves(&self) -> Vec<Self> {
        let source = if self.source == "capture" { "netflow9".to_owned() } else { self.source.clone() };
        let forward = Self { reverse: None, source, ..self.clone() };
        let Some((bytes, packets, flags)) = self.reverse.filter(|r| r.1 > 0) else { return vec![forward] };
        let back = Self {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            flags,
            bytes,
            packets,
            direction: direction(self.dst, self.src).to_owned(),
            ..forward.clone()
        };
        vec![forward, back]
    }
}

/// Lays rows out as a batch of the flow class.
pub(crate) fn record_batch(rows: &[Row]) -> RecordBatch {
    let columns = FlowField::ALL.iter().map(|&field| column(field, rows)).collect();
    RecordBatch::try_new(FLOW.schema(), columns).expect("every column is made after its field")
}

fn column(field: FlowField, rows: &[Row]) -> ArrayRef {
    use FlowField as F;
    match field {
        F::Batch => long(rows, |_| 0),
        F::Row | F::Domain => Arc::new(UInt32Array::from(vec![0; rows.len()])),
        F::Received => time(rows, Row::received),
        F::Start => time(rows, |r| r.start),
        F::End => time(rows, |r| r.end),
        F::Source => label(rows, |r| Some(&r.source)),
        F::Exporter => addresses(rows, |_| Some(Ip::v4([192, 0, 2, 1]))),
        F::SrcIp => addresses(rows, |r| Some(r.src)),
        F::DstIp => addresses(rows, |r| Some(r.dst)),
        F::SrcPort => Arc::new(UInt16Array::from_iter_values(rows.iter().map(|r| r.src_port))),
        F::DstPort => Arc::new(UInt16Array::from_iter_values(rows.iter().map(|r| r.dst_port))),
        F::Protocol => Arc::new(UInt8Array::from_iter_values(rows.iter().map(|r| r.protocol))),
        F::TcpFlags => Arc::new(UInt16Array::from_iter_values(rows.iter().map(|r| r.flags))),
        F::Bytes | F::RawBytes => long(rows, |r| r.bytes),
        F::Packets | F::RawPackets => long(rows, |r| r.packets),
        F::SamplingRate => Arc::new(UInt32Array::from(vec![1; rows.len()])),
        F::RevBytes => Arc::new(UInt64Array::from_iter(rows.iter().map(|r| r.reverse.map(|v| v.0)))),
        F::RevPackets => Arc::new(UInt64Array::from_iter(rows.iter().map(|r| r.reverse.map(|v| v.1)))),
        F::RevTcpFlags => Arc::new(UInt16Array::from_iter(rows.iter().map(|r| r.reverse.map(|v| v.2)))),
        F::IcmpType => Arc::new(UInt8Array::from_iter(rows.iter().map(|r| r.icmp.map(|v| v.0)))),
        F::IcmpCode => Arc::new(UInt8Array::from_iter(rows.iter().map(|r| r.icmp.map(|v| v.1)))),
        F::Extra => Arc::new(BinaryArray::from_iter(rows.iter().map(|_| None::<&[u8]>))),
        F::Site => label(rows, |r| r.site.as_ref()),
        F::Direction => label(rows, |r| Some(&r.direction)),
        F::Indicator => label(rows, |r| r.indicator.as_ref()),
        F::IndicatorIp => addresses(rows, |r| r.indicator_ip),
        F::Replay => label(rows, |r| r.replay.as_ref()),
        other => new_null_array(&FLOW.fields[other.index()].kind.data_type(), rows.len()),
    }
}

fn long(rows: &[Row], value: fn(&Row) -> u64) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(rows.iter().map(value)))
}

fn time(rows: &[Row], value: fn(&Row) -> Micros) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| value(r).0)).with_timezone("+00:00"))
}

fn label(rows: &[Row], value: fn(&Row) -> Option<&String>) -> ArrayRef {
    Arc::new(rows.iter().map(|r| value(r).map(String::as_str)).collect::<DictionaryArray<Int32Type>>())
}

fn addresses(rows: &[Row], value: fn(&Row) -> Option<Ip>) -> ArrayRef {
    let mut builder = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
    for row in rows {
        match value(row) {
            Some(ip) => builder.append_value(ip.0).expect("an address has 16 bytes"),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}
