//! The recorded captures: what we meter from packets is what softflowd exported of the same packets.

use std::collections::BTreeMap;
use std::fs::File as OsFile;
use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{UInt8Type, UInt16Type, UInt64Type};
use guardian_flow::{Decoder, FlowBuilder, Limits, Meter, MeterConfig, Peer};

use super::*;

/// Recordings, with the packets that softflowd missed by its own account (captures/README.md).
const RECORDINGS: &[(&str, u64)] = &[
    ("scan-vertical", 0),
    ("scan-horizontal", 0),
    ("scan-connect", 0),
    ("scan-udp", 0),
    ("ssh-brute-force", 0),
    ("beacon", 0),
    ("dns-tunnel", 4),
    ("upload", 0),
    ("syn-flood", 0),
    ("clear-text", 0),
    ("noise", 0),
];

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Packets and octets, both ways.
type Totals = (u64, u64);
/// Protocol and ends in order, so that both directions are the same conversation.
type Conversation = (u8, (Ip, u16), (Ip, u16));

#[derive(Default)]
struct Sums {
    all: Totals,
    /// TCP and UDP, which have ports that everybody agrees on.
    conversations: BTreeMap<Conversation, Totals>,
}

impl Sums {
    /// Adds the IPv4 rows of a batch.
    fn add(&mut self, batch: &RecordBatch) {
        let column = |name: &str| batch.column_by_name(name).expect("a column of the class");
        let ip = |name: &str, row| Ip(column(name).as_fixed_size_binary().value(row).try_into().expect("16 bytes"));
        let port = |name: &str, row| column(name).as_primitive::<UInt16Type>().value(row);
        let count = |name: &str, row| {
            let values = column(name).as_primitive::<UInt64Type>();
            if values.is_null(row) { 0 } else { values.value(row) }
        };
        for row in 0..batch.num_rows() {
            let (src, dst) = ((ip("src_ip", row), port("src_port", row)), (ip("dst_ip", row), port("dst_port", row)));
            if !src.0.is_v4() {
                continue;
            }
            let packets = count("packets", row) + count("rev_packets", row);
            let bytes = count("bytes", row) + count("rev_bytes", row);
            let protocol = column("protocol").as_primitive::<UInt8Type>().value(row);
            let conversation = (protocol, src.min(dst), src.max(dst));
            let mut sums = vec![&mut self.all];
            if let TCP | UDP = protocol {
                sums.push(self.conversations.entry(conversation).or_default());
            }
            for sum in sums {
                sum.0 += packets;
                sum.1 += bytes;
            }
        }
    }
}

fn capture(name: &str) -> CaptureReader<OsFile> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../captures").join(name);
    let file = OsFile::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    CaptureReader::new(file).expect("a capture file")
}

fn metered(name: &str) -> Sums {
    let (mut reader, mut sums) = (capture(name), Sums::default());
    let (mut meter, mut out) = (Meter::new(MeterConfig::default()), FlowBuilder::new());
    while let Some(packet) = reader.next_packet().expect("an undamaged file") {
        meter.packet(packet.time, packet.link, packet.data, packet.wire_len, &mut out);
        if out.is_full() {
            sums.add(&out.finish(Micros(0)));
        }
    }
    while !meter.flush(&mut out) {
        sums.add(&out.finish(Micros(0)));
    }
    sums.add(&out.finish(Micros(0)));
    assert_eq!((meter.stats().truncated, meter.stats().malformed, meter.stats().evicted), (0, 0, 0));
    sums
}

fn exported(name: &str) -> Sums {
    let (mut reader, mut sums) = (capture(name), Sums::default());
    let (mut decoder, mut out) = (Decoder::new(Limits::default()), FlowBuilder::new());
    while let Some(packet) = reader.next_packet().expect("an undamaged file") {
        let Some(datagram) = packet.udp_payload() else { continue };
        assert!(looks_like_export(datagram.payload));
        let peer = Peer { ip: datagram.src_ip, port: datagram.src_port };
        let report = decoder.decode(peer, packet.time, datagram.payload, &mut out);
        assert_eq!(report.error, None, "{name}");
        if out.is_full() {
            sums.add(&out.finish(Micros(0)));
        }
    }
    sums.add(&out.finish(Micros(0)));
    sums
}

#[test]
fn metered_packets_agree_with_the_exports_of_the_same_packets() {
    for (name, missed) in RECORDINGS {
        let ours = metered(&format!("{name}.pcap"));
        let theirs = exported(&format!("{name}.netflow5.pcap"));
        assert_eq!(ours.all.0, theirs.all.0 + missed, "packets of {name}");
        if *missed > 0 {
            continue;
        }
        assert_eq!(ours.all.1, theirs.all.1, "bytes of {name}");
        assert!(ours.all.0 > 100, "{name} has traffic");
        assert_eq!(ours.conversations, theirs.conversations, "{name}");
    }
}

#[test]
fn recordings_of_exports_are_recognised_and_recordings_of_traffic_are_not() {
    let survey = |name: String| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../captures").join(name);
        Survey::of(OsFile::open(path).expect("a recording"), &EXPORT_PORTS).expect("a capture file")
    };
    for (name, _) in RECORDINGS {
        for kind in ["netflow5", "netflow9", "ipfix", "sflow"] {
            assert!(survey(format!("{name}.{kind}.pcap")).is_flow_export(), "{name}.{kind}");
        }
        assert!(!survey(format!("{name}.pcap")).is_flow_export(), "{name}");
    }
}
