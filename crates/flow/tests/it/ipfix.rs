//! IPFIX: enterprise elements, variable length, lists, biflows, withdrawal, the many clocks.

use std::fmt::Write as _;

use guardian_flow::{REVERSE_PEN, Reason};
use serde_json::json;

use super::{Rig, SECS, cells};
use crate::encode::{Field, Message, iana};
use crate::record;

const VARIABLE: u16 = 65_535;

fn message(sequence: u32) -> Message {
    Message::ipfix(SECS, sequence, 9)
}

/// One record of one template; its row's cells.
fn one(fields: &[Field], record: Vec<u8>, names: &[&str]) -> serde_json::Value {
    let mut rig = Rig::new();
    let report = rig.send(message(0).template(256, fields).data(256, &[record]).build());
    assert_eq!((report.flows, report.error), (1, None));
    cells(&rig.rows()[0], names)
}

#[test]
fn biflows() {
    let fields = [
        iana(27, 16),
        iana(28, 16),
        iana(1, 8),
        iana(2, 4),
        (REVERSE_PEN, 1, 8),
        (REVERSE_PEN, 2, 2),
        (REVERSE_PEN, 6, 1),
    ];
    let (src, dst) = (0x2001_0db8u128 << 96 | 1, 0x2001_0db8u128 << 96 | 2);
    let record = record![src, dst, 10u64, 1u32, 20u64, 2u16, 0x12u8];
    let names = ["src_ip", "dst_ip", "bytes", "packets", "rev_bytes", "rev_packets", "rev_tcp_flags"];
    assert_eq!(one(&fields, record, &names), json!(["2001:db8::1", "2001:db8::2", 10, 1, 20, 2, 18]));
    let forward = one(&[iana(12, 4), iana(1, 2)], record![1u32, 7u16], &["bytes", "rev_bytes"]);
    assert_eq!(forward, json!([7, null]), "what has no way back says so");
}

#[test]
fn every_clock() {
    let base = u64::from(SECS);
    let ntp = |micros_ago: u64| {
        let micros = base * 1_000_000 - micros_ago;
        let (secs, frac) = (micros / 1_000_000 + 2_208_988_800, micros % 1_000_000);
        (secs << 32) | ((frac << 32) / 1_000_000)
    };
    let cases: Vec<(Vec<Field>, Vec<u8>, [&str; 2])> = vec![
        (vec![iana(150, 4), iana(151, 4)], record![SECS - 9, SECS - 1], ["23:59:51Z", "23:59:59Z"]),
        (
            vec![iana(152, 8), iana(153, 8)],
            record![base * 1000 - 1500, base * 1000 - 1],
            ["23:59:58.5Z", "23:59:59.999Z"],
        ),
        (vec![iana(154, 8), iana(155, 8)], record![ntp(250_001), ntp(1)], ["23:59:59.749999Z", "23:59:59.999999Z"]),
        (vec![iana(156, 8), iana(157, 8)], record![ntp(500_000), ntp(250_000)], ["23:59:59.5Z", "23:59:59.75Z"]),
        (vec![iana(158, 4), iana(159, 4)], record![2_000_000u32, 500_000u32], ["23:59:58Z", "23:59:59.5Z"]),
        (
            vec![iana(160, 8), iana(22, 4), iana(21, 4)],
            record![base * 1000 - 10_000, 4_000u32, 9_000u32],
            ["23:59:54Z", "23:59:59Z"],
        ),
        (vec![iana(153, 8), iana(161, 4)], record![base * 1000 - 1000, 2_500u32], ["23:59:56.5Z", "23:59:59Z"]),
        (vec![iana(152, 8), iana(162, 4)], record![base * 1000 - 3000, 2_000_000u32], ["23:59:57Z", "23:59:59Z"]),
        (vec![iana(323, 8)], record![base * 1000 - 3000], ["23:59:57Z", "23:59:57Z"]),
        (vec![iana(151, 4)], record![SECS - 3], ["23:59:57Z", "23:59:57Z"]),
    ];
    for (mut fields, mut record, expected) in cases {
        fields.push(iana(12, 4));
        record.extend([10, 0, 0, 1]);
        let expected = expected.map(|time| format!("2025-12-31T{time}"));
        assert_eq!(one(&fields, record, &["start", "end"]), json!(expected), "{fields:?}");
    }
}

#[test]
fn uptimes_need_the_exporters_start() {
    let mut rig = Rig::new();
    let fields = [iana(12, 4), iana(22, 4), iana(21, 4)];
    let data = [record![1u32, 1_000u32, 6_000u32], record![1u32, 7_000u32, 8_000u32]];
    rig.send(message(0).template(256, &fields).data(256, &data).build());
    assert_eq!(rig.stats().counters.estimated_times, 2);
    let start = u64::from(SECS) * 1000 - 60_000;
    let options = message(2).options(257, &[iana(144, 4)], &[iana(160, 8)]);
    rig.send(options.data(257, &[record![1u32, start]]).build());
    rig.send(message(3).data(256, &data[..1]).build());
    let rows: Vec<_> = rig.rows().iter().map(|row| cells(row, &["start", "end"])).collect();
    assert_eq!(
        rows,
        [
            json!(["2025-12-31T23:59:53Z", "2025-12-31T23:59:58Z"]),
            json!(["2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"]),
            json!(["2025-12-31T23:59:01Z", "2025-12-31T23:59:06Z"]),
        ]
    );
    assert_eq!(rig.stats().counters.estimated_times, 2, "told in time for the third");
}

#[test]
fn variable_length_and_unmapped_elements_are_kept() {
    let fields = [iana(12, 4), iana(82, VARIABLE), (9, 12_235, VARIABLE), iana(1, 4), (4_242, 7, 2)];
    let long = "x".repeat(300);
    let mut record = record![0x0a00_0001u32, 3u8];
    record.extend(b"eth");
    record.extend(record![255u8, 300u16]);
    record.extend(long.as_bytes());
    record.extend(record![77u32, 0xbeefu16]);
    let mut short = record![0x0a00_0002u32, 0u8, 0u8];
    short.extend(record![78u32, 1u16]);
    let mut rig = Rig::new();
    rig.send(message(0).template(256, &fields).data(256, &[record, short]).build());
    let rows = rig.rows();
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, b| {
            write!(text, "{b:02x}").unwrap();
            text
        })
    };
    let mut extra = record![0u32, 82u16, 3u16];
    extra.extend(b"eth");
    extra.extend(record![9u32, 12_235u16, 300u16]);
    extra.extend(long.as_bytes());
    extra.extend(record![4_242u32, 7u16, 2u16, 0xbeefu16]);
    assert_eq!(cells(&rows[0], &["raw_bytes", "dst_ip", "extra"]), json!([77, "10.0.0.1", hex(&extra)]));
    let extra = [record![0u32, 82u16, 0u16], record![9u32, 12_235u16, 0u16], record![4_242u32, 7u16, 2u16, 1u16]];
    assert_eq!(cells(&rows[1], &["raw_bytes", "extra"]), json!([78, hex(&extra.concat())]));
}

#[test]
fn lists_are_skipped_by_their_length() {
    for list in [291, 292, 293] {
        let fields = [iana(list, VARIABLE), iana(12, 4), iana(1, 4)];
        // A basicList of two octetDeltaCounts: neither of them may become the record's.
        let mut record = record![13u8, 255u8, 1u16, 4u16, 1_000u32, 2_000u32];
        record.extend(record![0x0a00_0003u32, 5u32]);
        assert_eq!(one(&fields, record, &["raw_bytes", "dst_ip"]), json!([5, "10.0.0.3"]));
    }
}

#[test]
fn reduced_size_and_oversized_values() {
    let fields = [iana(12, 4), iana(1, 3), iana(2, 1), iana(10, 2), iana(7, 4), iana(6, 2)];
    let mut record = record![1u32];
    record.extend([1, 0, 0]);
    record.extend(record![9u8, 513u16, 70_000u32, 0x0112u16]);
    let names = ["raw_bytes", "raw_packets", "input_if", "src_port", "tcp_flags"];
    assert_eq!(one(&fields, record, &names), json!([65_536, 9, 513, 65_535, 274]));
}

#[test]
fn icmp_elements_apply_to_icmp_only() {
    let fields = [iana(12, 4), iana(4, 1), iana(32, 2), iana(139, 2), iana(7, 2), iana(11, 2)];
    let cases = [
        (record![1u32, 1u8, 0x0800u16, 0u16, 0u16, 0u16], json!([8, 0, 0])),
        (record![1u32, 58u8, 0u16, 0x8700u16, 0u16, 0u16], json!([135, 0, 0])),
        (record![1u32, 6u8, 0u16, 0u16, 9u16, 22u16], json!([null, null, 22])),
        (record![1u32, 1u8, 0u16, 0u16, 0u16, 0x0303u16], json!([3, 3, 0])),
    ];
    for (record, expected) in cases {
        assert_eq!(one(&fields, record, &["icmp_type", "icmp_code", "dst_port"]), expected);
    }
    let untold = one(&[iana(12, 4), iana(4, 1)], record![1u32, 1u8], &["protocol", "icmp_type"]);
    assert_eq!(untold, json!([1, null]), "what nobody told is not an echo reply");
}

#[test]
fn templates_belong_to_a_transport_session() {
    let mut rig = Rig::new();
    let data = |n| message(n).data(256, &[record![3u32, 4u32]]).build();
    rig.send_from(1, 1000, message(0).template(256, &[iana(1, 4), iana(12, 4)]).build());
    rig.send_from(1, 2000, message(0).template(256, &[iana(12, 4), iana(1, 4)]).build());
    rig.send_from(1, 1000, data(0));
    rig.send_from(1, 2000, data(0));
    assert_eq!(rig.send_from(1, 3000, data(0)).held_sets, 1, "another session, another set of templates");
    let rows: Vec<_> = rig.rows().iter().map(|row| cells(row, &["raw_bytes"])).collect();
    assert_eq!(rows, [json!([3]), json!([4])]);
}

#[test]
fn withdrawal_of_one_and_of_all() {
    let mut rig = Rig::new();
    let templates = message(0).template(256, &[iana(1, 4)]).template(257, &[iana(2, 4)]);
    rig.send(templates.options(258, &[iana(144, 4)], &[iana(160, 8)]).build());
    assert_eq!(rig.stats().templates, 3);
    rig.send(message(0).set(2, &record![256u16, 0u16]).build());
    assert_eq!(rig.send(message(0).data(256, &[record![1u32]]).build()).held_sets, 1);
    assert_eq!(rig.send(message(1).data(257, &[record![1u32]]).build()).flows, 1);
    rig.send(message(2).set(3, &record![3u16, 0u16]).build());
    assert_eq!(rig.stats().templates, 1);
    rig.send(message(2).set(2, &record![2u16, 0u16]).build());
    let stats = rig.stats();
    assert_eq!((stats.templates, stats.counters.templates_withdrawn), (0, 3));
    assert_eq!(rig.send(message(2).set(2, &record![17u16, 0u16]).build()).error, Some(Reason::Template));
}

#[test]
fn psamp_selectors_and_probabilities() {
    let rates: [(Vec<Field>, Vec<u8>, u32); 5] = [
        (vec![iana(305, 4), iana(306, 4)], record![10u32, 990u32], 100),
        (vec![iana(305, 4)], record![1u32], 1),
        (vec![iana(309, 4), iana(310, 4)], record![2u32, 128u32], 64),
        (vec![iana(311, 8)], record![0.001f64.to_bits()], 1000),
        (vec![iana(34, 4), iana(35, 1)], record![256u32, 1u8], 256),
    ];
    for (fields, values, rate) in rates {
        let mut rig = Rig::new();
        let scope = [iana(302, 8)];
        let told = message(0).options(400, &scope, &[&fields[..], &[iana(304, 2)]].concat());
        // Told by another process of the device, from another port.
        rig.send_from(1, 5555, told.data(400, &[[record![5u64], values, record![1u16]].concat()]).build());
        let flows = message(1).template(256, &[iana(12, 4), iana(302, 8), iana(2, 4)]);
        rig.send(flows.data(256, &[record![1u32, 5u64, 3u32]]).build());
        assert_eq!(cells(&rig.rows()[0], &["sampling_rate", "packets"]), json!([rate, 3 * rate]), "{fields:?}");
    }
}

#[test]
fn sequence_numbers_count_data_records() {
    let mut rig = Rig::new();
    let data = |n: u32, records: usize| message(n).data(256, &vec![record![1u32, 4u32]; records]).build();
    rig.send(message(0).template(256, &[iana(12, 4), iana(1, 4)]).build());
    rig.send(data(0, 3));
    rig.send(data(5, 1));
    assert_eq!(rig.stats().missing, 2);
    // What waits for its template cannot be counted yet; the next message tells, and nothing is taken for lost.
    rig.send(message(6).data(300, &[record![1u32, 2u32, 3u32, 4u32]]).build());
    rig.send(data(8, 1));
    let stats = rig.stats();
    assert_eq!((stats.missing, stats.waiting.records), (2, 2));
    assert_eq!(stats.waiting_text().unwrap(), "waiting for its template, 2 records held");
}

#[test]
fn addresses_of_layer_two_and_routing() {
    let fields =
        [iana(56, 6), iana(80, 6), iana(58, 2), iana(15, 4), iana(18, 4), iana(16, 4), iana(9, 1), iana(61, 1)];
    let mut record = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    record.extend(record![100u16, 0x0a00_00feu32, 0x0a00_00fdu32, 4_200_000_000u32, 24u8, 1u8]);
    let names = ["src_mac", "dst_mac", "vlan", "next_hop", "src_as", "src_mask", "flow_direction", "extra"];
    let extra = "0000000000120004".to_owned() + "0a0000fd";
    let expected = json!(["02:00:00:00:00:01", "02:00:00:00:00:02", 100, "10.0.0.254", 4_200_000_000u32, 24, 1, extra]);
    assert_eq!(one(&fields, record, &names), expected);
}
