//! What naming the processes of flows costs beside decoding them: `cargo bench -p guardian-pipeline --bench owners`.
//!
//! A fleet of 10,000 hosts with 20 connections each; NetFlow v5, the cheapest to decode, so that the ratio is the worst.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, StringArray, TimestampMicrosecondArray, UInt8Array,
    UInt16Array, UInt32Array, new_null_array,
};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use divan::Bencher;
use divan::counter::ItemsCount;
use guardian_flow::{Decoder, FlowBuilder, Limits, Peer};
use guardian_model::{Batch, CONNECTION, ConnectionField as C, Ip, Micros, TenantId};
use guardian_pipeline::Owners;

const NOW: i64 = 1_767_225_600_000_000;
const FLOWS: u32 = 16_380;
const HOSTS: u32 = 10_000;
const EACH: u32 = 20;

fn main() {
    divan::main();
}

/// An address of the fleet, and the port and server of one of its connections.
fn connection(n: u32) -> ([u8; 4], u16, [u8; 4]) {
    let host = n % HOSTS;
    let [_, _, a, b] = host.to_be_bytes();
    let each = n / HOSTS % EACH;
    ([10, 1, a, b], 40_000 + each as u16, [198, 51, 100, (host % 200) as u8])
}

/// Datagrams of which so many flows in a hundred are of hosts with an agent.
fn datagrams(percent: u32) -> Vec<Vec<u8>> {
    let record = |n: u32| {
        let mixed = n.wrapping_mul(2_654_435_761);
        let (src, port, dst) = if n % 100 < percent {
            connection(mixed % (HOSTS * EACH))
        } else {
            let [a, b, c, d] = mixed.to_be_bytes();
            ([172, 16, a, b], u16::from_be_bytes([c, d]), [203, 0, 113, b])
        };
        let mut record = [src, dst, [0; 4]].concat();
        record.extend([0, 1, 0, 2]);
        record.extend(10_u32.to_be_bytes());
        record.extend(1_500_u32.to_be_bytes());
        record.extend(1_000_u32.to_be_bytes());
        record.extend(2_000_u32.to_be_bytes());
        record.extend(port.to_be_bytes());
        record.extend(443_u16.to_be_bytes());
        record.extend([0, 0x1b, 6, 0]);
        record.extend([0; 8]);
        record
    };
    (0..FLOWS / 30)
        .map(|packet| {
            let mut out = vec![0, 5, 0, 30];
            out.extend(3_000_u32.to_be_bytes());
            out.extend(((NOW / 1_000_000) as u32).to_be_bytes());
            out.extend([0; 4]);
            out.extend((packet * 30).to_be_bytes());
            out.extend([0; 4]);
            (0..30).for_each(|n| out.extend(record(packet * 30 + n)));
            out
        })
        .collect()
}

fn connections() -> Batch {
    let all: Vec<u32> = (0..HOSTS * EACH).collect();
    let rows = all.len();
    let ips = |of: &dyn Fn(u32) -> [u8; 4]| -> ArrayRef {
        Arc::new(FixedSizeBinaryArray::try_from_iter(all.iter().map(|n| Ip::v4(of(*n)).0)).expect("16 bytes each"))
    };
    let label = |of: &dyn Fn(u32) -> String| -> ArrayRef {
        let texts: Vec<String> = all.iter().map(|n| of(*n)).collect();
        Arc::new(texts.iter().map(|t| Some(t.as_str())).collect::<DictionaryArray<Int32Type>>())
    };
    let times =
        |at: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from_value(at, rows).with_timezone("+00:00")) };
    let columns = C::ALL.iter().map(|field| -> ArrayRef {
        match field {
            C::Batch => Arc::new(arrow::array::UInt64Array::from_value(0, rows)),
            C::Row => Arc::new(UInt32Array::from_value(0, rows)),
            C::Received => times(NOW),
            C::Time | C::Start => times(NOW - 60_000_000),
            C::Host => label(&|n| format!("host-{}", n % HOSTS)),
            C::HostId => label(&|n| format!("id-{}", n % HOSTS)),
            C::Activity => label(&|_| "open".into()),
            C::Image => label(&|n| format!("/usr/bin/program-{}", n / HOSTS)),
            C::Protocol => Arc::new(UInt8Array::from_value(6, rows)),
            C::SrcIp => ips(&|n| connection(n).0),
            C::DstIp => ips(&|n| connection(n).2),
            C::SrcPort => Arc::new(UInt16Array::from_iter_values(all.iter().map(|n| connection(*n).1))),
            C::DstPort => Arc::new(UInt16Array::from_value(443, rows)),
            C::Initiated => Arc::new(BooleanArray::from(vec![true; rows])),
            C::Pid => Arc::new(UInt32Array::from_iter_values(all.iter().map(|n| 1_000 + n / HOSTS))),
            C::User => Arc::new(StringArray::from_iter_values(all.iter().map(|_| "www-data"))),
            other => new_null_array(&CONNECTION.fields[other.index()].kind.data_type(), rows),
        }
    });
    let rows = RecordBatch::try_new(CONNECTION.schema(), columns.collect()).expect("every column is of its field");
    Batch { tenant: TenantId::DEFAULT, class: &CONNECTION, received: Micros(NOW), rows }
}

fn decoded(decoder: &mut Decoder, builder: &mut FlowBuilder, datagrams: &[Vec<u8>]) -> RecordBatch {
    let from = Peer { ip: Ip::v4([192, 0, 2, 1]), port: 2_055 };
    for datagram in datagrams {
        decoder.decode(from, Micros(NOW), datagram, builder);
    }
    builder.finish(Micros(NOW))
}

#[divan::bench]
fn decoding_alone(bencher: Bencher<'_, '_>) {
    let datagrams = datagrams(0);
    let (mut decoder, mut builder) = (Decoder::new(Limits::default()), FlowBuilder::new());
    bencher.counter(ItemsCount::new(FLOWS)).bench_local(|| decoded(&mut decoder, &mut builder, &datagrams));
}

#[divan::bench]
fn decoding_without_agents(bencher: Bencher<'_, '_>) {
    let (datagrams, owners) = (datagrams(0), Owners::default());
    let (mut decoder, mut builder) = (Decoder::new(Limits::default()), FlowBuilder::new());
    bencher
        .counter(ItemsCount::new(FLOWS))
        .bench_local(|| owners.fill(TenantId::DEFAULT, "", decoded(&mut decoder, &mut builder, &datagrams)));
}

#[divan::bench(args = [0, 10, 100])]
fn decoding_with_agents(bencher: Bencher<'_, '_>, percent: u32) {
    let (datagrams, owners) = (datagrams(percent), Owners::default());
    owners.learn(&connections());
    let (mut decoder, mut builder) = (Decoder::new(Limits::default()), FlowBuilder::new());
    let named = owners.fill(TenantId::DEFAULT, "", decoded(&mut decoder, &mut builder, &datagrams));
    let pids = named.column_by_name("src_pid").expect("a column of flows");
    let known = u32::try_from(pids.len() - pids.null_count()).unwrap_or(u32::MAX);
    assert!(known * 100 >= FLOWS * percent * 99 / 100 && (percent > 0 || known == 0), "{known} are named");
    bencher
        .counter(ItemsCount::new(FLOWS))
        .bench_local(|| owners.fill(TenantId::DEFAULT, "", decoded(&mut decoder, &mut builder, &datagrams)));
}

#[divan::bench]
fn learning(bencher: Bencher<'_, '_>) {
    let batch = connections();
    bencher
        .counter(ItemsCount::new(HOSTS * EACH))
        .with_inputs(Owners::default)
        .bench_refs(|owners| owners.learn(&batch));
}
