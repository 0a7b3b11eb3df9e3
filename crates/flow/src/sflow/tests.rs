//! sFlow datagrams built word by word, through the decoder as a user of the crate drives it.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use guardian_model::Micros;
use proptest::prelude::*;

use super::*;
use crate::builder::Source;
use crate::decoder::Decoder;
use crate::report::{ExporterStats, Peer, Report};

const NOW: Micros = Micros::from_secs(1_700_000_000);
const AGENT: [u8; 4] = [192, 0, 2, 9];

/// Writes XDR.
#[derive(Clone, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn words(mut self, words: &[u32]) -> Self {
        for word in words {
            self.0.extend_from_slice(&word.to_be_bytes());
        }
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A structure with its format and length.
    fn structure(self, format: u32, body: &Self) -> Self {
        self.words(&[format, body.0.len() as u32]).bytes(&body.0)
    }
}

fn words(words: &[u32]) -> Writer {
    Writer::default().words(words)
}

fn datagram(sequence: u32, samples: &[(u32, Writer)]) -> Vec<u8> {
    let head = words(&[5, 1]).bytes(&AGENT).words(&[3, sequence, 60_000 + sequence, samples.len() as u32]);
    samples.iter().fold(head, |writer, (format, body)| writer.structure(*format, body)).0
}

/// A compact flow sample: 1 in 512, seen at interface 7 on its way from 7 to 8.
fn flow_sample(drops: u32, records: &[(u32, Writer)]) -> (u32, Writer) {
    let head = words(&[1, 7, 512, 99_999, drops, 7, 8, records.len() as u32]);
    (1, records.iter().fold(head, |writer, (format, body)| writer.structure(*format, body)))
}

/// The first 58 bytes of a TCP segment with a VLAN tag, in a frame of 1522.
fn header_record() -> (u32, Writer) {
    let mut frame = vec![2, 0, 0, 0, 0, 0xbb, 2, 0, 0, 0, 0, 0xaa, 0x81, 0, 0, 100, 8, 0];
    frame.extend([0x45, 0xb8, 0x05, 0xdc, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x9c, 0x40, 1, 187, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0, 0, 0, 0, 0, 0]);
    (1, words(&[1, 1522, 4, frame.len() as u32]).bytes(&frame))
}

struct Bench {
    decoder: Decoder,
    out: FlowBuilder,
}

impl Bench {
    fn new() -> Self {
        Self { decoder: Decoder::new(Limits::default()), out: FlowBuilder::new() }
    }

    fn decode(&mut self, datagram: &[u8]) -> Report {
        let peer = Peer { ip: Ip::v4([198, 51, 100, 1]), port: 40_000 };
        self.decoder.decode(peer, NOW, datagram, &mut self.out)
    }

    fn stats(&self) -> ExporterStats {
        self.decoder.exporters().next().expect("one exporter")
    }

    fn batch(&mut self) -> RecordBatch {
        self.out.finish(NOW)
    }
}

/// A cell as text, for tables of expectations.
fn cell(batch: &RecordBatch, name: &str, row: usize) -> String {
    let column = Arc::clone(batch.column_by_name(name).expect("a column of the class"));
    if column.is_null(row) {
        return "-".into();
    }
    if let Some(values) = column.as_fixed_size_binary_opt() {
        let bytes = values.value(row);
        return match <[u8; 16]>::try_from(bytes) {
            Ok(ip) => Ip(ip).to_string(),
            Err(_) => bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
        };
    }
    if let Some(values) = column.as_primitive_opt::<UInt8Type>() {
        return values.value(row).to_string();
    }
    if let Some(values) = column.as_primitive_opt::<UInt16Type>() {
        return values.value(row).to_string();
    }
    if let Some(values) = column.as_primitive_opt::<UInt32Type>() {
        return values.value(row).to_string();
    }
    column.as_primitive::<UInt64Type>().value(row).to_string()
}

fn expect(batch: &RecordBatch, row: usize, cells: &[(&str, &str)]) {
    for (name, value) in cells {
        assert_eq!(cell(batch, name, row), *value, "{name} of row {row}");
    }
}

#[test]
fn a_sampled_header_becomes_a_row_scaled_by_its_rate() {
    let mut bench = Bench::new();
    let switch = (1001, words(&[100, 0, 200, 0]));
    let router = (1002, words(&[1]).bytes(&[203, 0, 113, 1]).words(&[24, 16]));
    let gateway = (
        1003,
        words(&[1])
            .bytes(&[203, 0, 113, 2])
            .words(&[64_500, 64_501, 64_502, 2, 2, 2, 64_503, 64_504, 1, 1, 64_505])
            .words(&[0, 100]),
    );
    let nat = (1007, words(&[1]).bytes(&[198, 51, 100, 7]).words(&[1]).bytes(&[10, 0, 0, 2]));
    let vendor = ((9 << 12) | 1, words(&[1, 2, 3]));
    let sample = flow_sample(0, &[vendor, header_record(), switch, router, gateway, nat]);
    let report = bench.decode(&datagram(1, &[sample]));
    assert_eq!((report.source, report.flows, report.error), (Some(Source::Sflow), 1, None));
    let batch = bench.batch();
    expect(
        &batch,
        0,
        &[
            ("exporter", "198.51.100.1"),
            ("domain", "3"),
            ("src_ip", "10.0.0.1"),
            ("dst_ip", "10.0.0.2"),
            ("src_port", "40000"),
            ("dst_port", "443"),
            ("protocol", "6"),
            ("tcp_flags", "24"),
            ("tos", "184"),
            ("raw_bytes", "1522"),
            ("raw_packets", "1"),
            ("sampling_rate", "512"),
            ("bytes", "779264"),
            ("packets", "512"),
            ("rev_bytes", "-"),
            ("vlan", "100"),
            ("src_mac", "0200000000aa"),
            ("dst_mac", "0200000000bb"),
            ("input_if", "7"),
            ("output_if", "8"),
            ("flow_direction", "0"),
            ("next_hop", "203.0.113.2"),
            ("src_mask", "24"),
            ("dst_mask", "16"),
            ("src_as", "64501"),
            ("dst_as", "64505"),
            ("nat_src_ip", "198.51.100.7"),
            ("nat_dst_ip", "10.0.0.2"),
        ],
    );
    let stats = bench.stats();
    assert_eq!((stats.domain, stats.sampling_rate, stats.counters.flows), (3, Some(512), 1));
    assert_eq!(stats.counters.unknown_samples, 1, "the vendor's record was skipped");
}

#[test]
fn expanded_samples_and_taken_apart_packets() {
    let mut bench = Bench::new();
    let v4 = (3, words(&[60, 17]).bytes(&[10, 1, 1, 1]).bytes(&[10, 1, 1, 2]).words(&[53, 5353, 0, 8]));
    let v6 = (4, words(&[80, 6]).bytes(&[0x20; 16]).bytes(&[0x30; 16]).words(&[1, 2, 0x12, 3]));
    let ethernet = (2, words(&[64]).bytes(&[2, 0, 0, 0, 0, 1, 0, 0]).bytes(&[2, 0, 0, 0, 0, 2, 0, 0]).words(&[0x800]));
    let expanded = |interfaces: [u32; 4], records: &[(u32, Writer)]| {
        let head = words(&[1, 0, 70_000, 100, 5, 0]).words(&interfaces).words(&[records.len() as u32]);
        (3, records.iter().fold(head, |writer, (format, body)| writer.structure(*format, body)))
    };
    let samples = [
        expanded([0, 69_999, 0, 70_000], &[ethernet.clone(), v4.clone()]),
        expanded([0, 0x3fff_ffff, 2, 3], std::slice::from_ref(&v6)),
        // Where there is a header, what the agent took out of it says nothing new.
        expanded([0, 70_000, 1, 0x100], &[header_record(), v4]),
        // Ethernet alone is no flow.
        expanded([0, 1, 0, 2], &[ethernet]),
    ];
    assert_eq!(bench.decode(&datagram(1, &samples)).flows, 3);
    let batch = bench.batch();
    expect(
        &batch,
        0,
        &[
            ("src_ip", "10.1.1.1"),
            ("dst_port", "5353"),
            ("protocol", "17"),
            ("tos", "8"),
            ("bytes", "6000"),
            ("src_mac", "020000000001"),
            ("input_if", "69999"),
            ("output_if", "70000"),
            ("flow_direction", "1"),
        ],
    );
    expect(
        &batch,
        1,
        &[
            ("src_ip", "2020:2020:2020:2020:2020:2020:2020:2020"),
            ("tcp_flags", "18"),
            ("raw_bytes", "80"),
            ("input_if", "-"),
            ("output_if", "-"),
            ("flow_direction", "-"),
        ],
    );
    expect(&batch, 2, &[("src_ip", "10.0.0.1"), ("raw_bytes", "1522"), ("output_if", "-"), ("flow_direction", "0")]);
    assert_eq!(bench.stats().counters.other_records, 1);
}

#[test]
fn interface_counters_are_read_and_others_skipped() {
    let generic = words(&[12, 6, 0, 1_000_000_000, 1, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    let ethernet = (2, words(&[0; 13]));
    let body = words(&[1, 12, 2]).structure(1, &generic).structure(ethernet.0, &ethernet.1);
    let expanded = words(&[1, 0, 12, 1]).structure(1, &generic);
    let mut bench = Bench::new();
    let datagram = datagram(1, &[(2, body), (4, expanded), (5, words(&[1, 2, 3]))]);
    let report = bench.decode(&datagram);
    assert_eq!((report.flows, report.error), (0, None));
    let counters = bench.stats().counters;
    assert_eq!((counters.counter_samples, counters.unknown_samples), (2, 1));
    let mut seen = Vec::new();
    interface_counters(&datagram, |agent, counters| seen.push((agent, counters)));
    assert_eq!(seen.len(), 2);
    for (agent, counters) in seen {
        assert_eq!(agent, Ip::v4(AGENT));
        let InterfaceCounters { if_index, if_speed, in_octets, out_octets, promiscuous_mode, .. } = counters;
        assert_eq!((if_index, if_speed, in_octets), (12, 1_000_000_000, 0x1_0000_0002));
        assert_eq!((out_octets, promiscuous_mode), (0x9_0000_000a, 16));
    }
}

#[test]
fn lost_datagrams_and_dropped_samples_are_counted_for_each_agent() {
    let mut bench = Bench::new();
    for (sequence, drops) in [(10, 100), (11, 100), (14, 105), (12, 105), (15, 107)] {
        bench.decode(&datagram(sequence, &[flow_sample(drops, &[header_record()])]));
    }
    // Another agent behind the same relay has a sequence and counts of its own.
    let mut other = datagram(7_000_000, &[flow_sample(1, &[header_record()])]);
    other[8..12].copy_from_slice(&[192, 0, 2, 10]);
    bench.decode(&other);
    let stats = bench.stats();
    assert_eq!((stats.counters.sampler_drops, stats.counters.sequence.reordered, stats.missing), (7, 1, 1));
    assert_eq!((stats.counters.sequence.resets, stats.counters.sequence.lost), (0, 0));

    // The agent restarts: its uptime and its counts begin anew, and nothing was lost by that.
    let mut restarted = datagram(1, &[flow_sample(0, &[header_record()])]);
    restarted[20..24].copy_from_slice(&100u32.to_be_bytes());
    bench.decode(&restarted);
    let counters = bench.stats().counters;
    assert_eq!((counters.sequence.resets, counters.sampler_drops, counters.flows), (1, 7, 7));
}

#[test]
fn what_is_wrong_is_counted_and_what_is_before_it_is_kept() {
    let good = flow_sample(0, &[header_record()]);
    let whole = datagram(1, &[good.clone(), good.clone()]);
    let claims = |at: usize, value: u32| {
        let mut data = whole.clone();
        data[at..at + 4].copy_from_slice(&value.to_be_bytes());
        data
    };
    // Offsets: 24 is the sample count, 32 the length of the first sample, 64 its record count, 72 its record's length.
    let table: &[(&str, Vec<u8>, u32, Option<Reason>)] = &[
        ("nothing but a version", vec![0, 0, 0, 5], 0, Some(Reason::Truncated)),
        ("version 4", [&[0, 0, 0, 4][..], &whole[4..]].concat(), 0, Some(Reason::Version)),
        ("an unknown address type", claims(4, 9), 0, Some(Reason::Sflow)),
        ("more samples than bytes", claims(24, u32::MAX), 2, Some(Reason::Sflow)),
        ("fewer samples than bytes", claims(24, 1), 1, None),
        ("a sample longer than the datagram", claims(32, 60_000), 0, Some(Reason::Sflow)),
        ("more records than there are", claims(64, 5), 2, Some(Reason::Sflow)),
        ("a record longer than its sample", claims(72, 60_000), 1, Some(Reason::Sflow)),
        ("cut in the second sample", whole[..whole.len() - 30].to_vec(), 1, Some(Reason::Sflow)),
    ];
    for (name, data, flows, error) in table {
        let mut bench = Bench::new();
        let report = bench.decode(data);
        assert_eq!((report.flows, report.error), (*flows, *error), "{name}");
        let counted = bench.decoder.exporters().map(|stats| stats.counters.errors.total()).sum::<u64>()
            + bench.decoder.totals().errors.total();
        assert_eq!(counted, u64::from(error.is_some()), "{name}");
    }
    // An AS path that claims more than there is spoils its own record only.
    let path = (1003, words(&[0, 1, 2, 3, 1, 2, u32::MAX]));
    let mut bench = Bench::new();
    let report = bench.decode(&datagram(1, &[flow_sample(0, &[header_record(), path])]));
    assert_eq!((report.flows, report.error), (1, Some(Reason::Sflow)));
}

#[test]
fn agents_and_sources_are_bounded() {
    let mut bench = Bench::new();
    for i in 0..2000u32 {
        let mut data = datagram(1, &[flow_sample(0, &[header_record()])]);
        data[10..12].copy_from_slice(&(i as u16).to_be_bytes());
        bench.decode(&data);
    }
    let stats = bench.stats();
    assert_eq!(stats.counters.flows, 2000, "rows come even where there is no room for state");
    assert_eq!(stats.counters.errors.get(Reason::Limit), 2000 - AGENTS_MAX as u64);

    let mut bench = Bench::new();
    for i in 0..2000u32 {
        let mut sample = flow_sample(0, &[header_record()]);
        sample.1.0[4..8].copy_from_slice(&i.to_be_bytes());
        bench.decode(&datagram(i, &[sample]));
    }
    assert_eq!(bench.stats().counters.errors.get(Reason::Limit), 2000 - SOURCES_MAX as u64);
}

proptest! {
    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bench = Bench::new();
        let mut data = datagram(1, &[])[..24].to_vec();
        data.extend(&noise);
        bench.decode(&noise);
        bench.decode(&data);
        interface_counters(&data, |_, _| {});
    }

    /// Damage to a good datagram never panics, and never makes more rows than there are samples.
    #[test]
    fn damage_is_survived(at in 0usize..400, value in any::<u32>(), cut in 0usize..400) {
        let good = flow_sample(3, &[header_record(), (1001, words(&[1, 2, 3, 4]))]);
        let mut data = datagram(1, &[good.clone(), good]);
        let at = at % (data.len() - 4);
        data[at..at + 4].copy_from_slice(&value.to_be_bytes());
        data.truncate(data.len().saturating_sub(cut % 64));
        let mut bench = Bench::new();
        prop_assert!(bench.decode(&data).flows <= 2);
        prop_assert_eq!(bench.batch().num_rows() as u64, bench.decoder.exporters().map(|s| s.counters.flows).sum::<u64>());
    }
}
