//! Small batches of flows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, TimestampMicrosecondArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array, new_null_array,
};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use guardian_model::{Batch, FLOW, FlowField, Ip, Micros, TenantId};

/// One flow with what the tests look at.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) src: &'static str,
    pub(crate) dst: String,
    pub(crate) sport: u16,
    pub(crate) dport: u16,
    pub(crate) protocol: u8,
    pub(crate) flags: u16,
    pub(crate) bytes: u64,
    pub(crate) rev_bytes: Option<u64>,
    pub(crate) country: Option<&'static str>,
    pub(crate) site: Option<&'static str>,
    pub(crate) replay: Option<&'static str>,
    /// Microseconds of its end.
    pub(crate) time: i64,
}

/// The time that tests count from.
pub(crate) const T0: i64 = 1_767_225_600_000_000;

impl Default for Flow {
    fn default() -> Self {
        Self {
            src: "10.0.0.1",
            dst: "192.0.2.1".to_owned(),
            sport: 40_000,
            dport: 443,
            protocol: 6,
            flags: 0x1b,
            bytes: 1000,
            rev_bytes: None,
            country: None,
            site: None,
            replay: None,
            time: T0,
        }
    }
}

fn labels(values: impl Iterator<Item = Option<&'static str>>) -> ArrayRef {
    Arc::new(values.collect::<DictionaryArray<Int32Type>>())
}

fn ips<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    let values: Vec<[u8; 16]> = values.map(|t| t.parse::<Ip>().unwrap().0).collect();
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter().map(Some), 16).unwrap())
}

/// A batch of flows, received one second after the last of them ended.
pub(crate) fn batch(flows: &[Flow]) -> Batch {
    let times = |f: fn(&Flow) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(flows.iter().map(f)).with_timezone("+00:00"))
    };
    let received = flows.iter().map(|f| f.time).max().unwrap_or(T0) + Micros::SECOND;
    let columns = FlowField::ALL.iter().map(|field| -> ArrayRef {
        match field {
            FlowField::Received => {
                Arc::new(TimestampMicrosecondArray::from(vec![received; flows.len()]).with_timezone("+00:00"))
            }
            FlowField::Start => times(|f| f.time - Micros::SECOND),
            FlowField::End => times(|f| f.time),
            FlowField::SrcIp | FlowField::Exporter => ips(flows.iter().map(|f| f.src)),
            FlowField::DstIp => ips(flows.iter().map(|f| f.dst.as_str())),
            FlowField::SrcPort => Arc::new(UInt16Array::from_iter_values(flows.iter().map(|f| f.sport))),
            FlowField::DstPort => Arc::new(UInt16Array::from_iter_values(flows.iter().map(|f| f.dport))),
            FlowField::Protocol => Arc::new(UInt8Array::from_iter_values(flows.iter().map(|f| f.protocol))),
            FlowField::TcpFlags => Arc::new(UInt16Array::from_iter_values(flows.iter().map(|f| f.flags))),
            FlowField::Bytes | FlowField::RawBytes => {
                Arc::new(UInt64Array::from_iter_values(flows.iter().map(|f| f.bytes)))
            }
            FlowField::RevBytes => Arc::new(flows.iter().map(|f| f.rev_bytes).collect::<UInt64Array>()),
            FlowField::DstCountry => labels(flows.iter().map(|f| f.country)),
            FlowField::Source => labels(flows.iter().map(|_| Some("ipfix"))),
            FlowField::Site => labels(flows.iter().map(|f| f.site)),
            FlowField::Replay => labels(flows.iter().map(|f| f.replay)),
            other => {
                let declared = &FLOW.fields[other.index()];
                if declared.nullable {
                    return new_null_array(&declared.kind.data_type(), flows.len());
                }
                match declared.kind {
                    guardian_model::Kind::U32 => Arc::new(UInt32Array::from(vec![0; flows.len()])),
                    _ => Arc::new(UInt64Array::from(vec![0; flows.len()])),
                }
            }
        }
    });
    Batch {
        tenant: TenantId::DEFAULT,
        class: &FLOW,
        received: Micros(received),
        rows: RecordBatch::try_new(FLOW.schema(), columns.collect()).unwrap(),
    }
}
