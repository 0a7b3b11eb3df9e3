//! Recorded export traffic of real exporters (`captures/`): every datagram is understood, nothing is taken for lost,
//! and the formats agree on what they saw.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use guardian_flow::{Decoder, FlowBuilder, LinkType, Peer, packet};
use guardian_model::{FlowField, Micros};

/// UDP payloads of a classic pcap file of Ethernet frames, with time and sender.
fn datagrams(path: &Path) -> Vec<(Micros, Peer, Vec<u8>)> {
    let file = fs::read(path).unwrap();
    let u32_at = |i: usize| u32::from_le_bytes(file[i..i + 4].try_into().unwrap());
    assert_eq!((u32_at(0), u32_at(20)), (0xa1b2_c3d4, 1), "{}: little-endian, microseconds, Ethernet", path.display());
    let (mut at, mut out) = (24, Vec::new());
    while at < file.len() {
        let (secs, micros, len, wire) = (u32_at(at), u32_at(at + 4), u32_at(at + 8) as usize, u32_at(at + 12));
        let frame = &file[at + 16..at + 16 + len];
        at += 16 + len;
        let parsed = packet::parse(LinkType::Ethernet, frame, wire).unwrap();
        let payload = packet::udp_payload(&parsed, frame).unwrap();
        let time = Micros::from_secs(i64::from(secs)) + i64::from(micros);
        out.push((time, Peer { ip: parsed.src_ip, port: parsed.src_port }, payload.to_vec()));
    }
    out
}

#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
struct Seen {
    datagrams: usize,
    flows: u64,
    packets: u64,
    bytes: u64,
    rev_packets: u64,
    options: u64,
}

fn decode(path: &Path) -> Seen {
    let (mut decoder, mut out, mut seen) = (Decoder::default(), FlowBuilder::new(), Seen::default());
    let mut last = Micros(0);
    for (time, peer, payload) in datagrams(path) {
        let report = decoder.decode(peer, time, &payload, &mut out);
        assert_eq!((report.error, report.held_sets), (None, 0), "{} at {time}", path.display());
        (seen.datagrams, seen.flows, last) = (seen.datagrams + 1, seen.flows + u64::from(report.flows), time);
    }
    let batch = out.finish(last);
    let sum = |field: FlowField| {
        let column = batch.column(field.index()).as_primitive::<UInt64Type>();
        column.iter().flatten().sum::<u64>()
    };
    (seen.packets, seen.bytes) = (sum(FlowField::Packets), sum(FlowField::Bytes));
    seen.rev_packets = sum(FlowField::RevPackets);
    for stats in decoder.exporters() {
        let counters = &stats.counters;
        let name = path.display();
        assert_eq!((counters.sequence.lost + stats.missing, counters.sequence.reordered), (0, 0), "{name}: sequence");
        let clocks = [counters.clamped_times, counters.estimated_times, counters.skewed_clocks];
        assert_eq!(clocks, [0; 3], "{name}: times");
        assert_eq!(counters.other_records, 0, "{name}: every data record is a flow");
        seen.options += counters.options_records;
    }
    seen
}

#[test]
fn every_recording_is_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures");
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let parts: Vec<_> = name.split('.').collect();
        if let [scenario, kind, "pcap"] = parts[..] {
            all.insert((scenario.to_owned(), kind.to_owned()), decode(&path));
        }
    }
    for ((scenario, kind), seen) in &all {
        if kind == "netflow9" {
            // Each format was exported by a process of its own, and the last packets of a recording may be in one only.
            let ipfix = &all[&(scenario.clone(), "ipfix".to_owned())];
            let near = |a: u64, b: u64| a.abs_diff(b) * 100 <= a.max(b);
            let agree = near(seen.packets, ipfix.packets) && near(seen.bytes, ipfix.bytes);
            assert!(agree, "{scenario}: v9 saw {seen:?}, IPFIX {ipfix:?}");
        }
    }
    let table: BTreeMap<_, _> =
        all.iter().map(|((scenario, kind), seen)| (format!("{scenario}.{kind}"), seen)).collect();
    insta::assert_json_snapshot!(table);
}
