//! NetFlow v9: templates, options, sampling, events of firewalls.

use serde_json::json;

use super::{Rig, SECS, cells};
use crate::encode::{Field, Message, iana};
use crate::record;

const UPTIME: u32 = 100_000;
const BASIC: [Field; 8] =
    [iana(8, 4), iana(12, 4), iana(7, 2), iana(11, 2), iana(4, 1), iana(1, 4), iana(2, 4), iana(48, 1)];

fn message(sequence: u32) -> Message {
    Message::v9(UPTIME, SECS, sequence, 42)
}

fn basic(bytes: u32, sampler: u8) -> Vec<u8> {
    record![0x0a00_0001u32, 0x0a00_0002u32, 1000u16, 80u16, 6u8, bytes, 2u32, sampler]
}

#[test]
fn samplers_are_found_by_their_id() {
    let mut rig = Rig::new();
    rig.send(message(0).template(256, &BASIC).data(256, &[basic(10, 1)]).build());
    let sampler_table = [iana(48, 2), iana(49, 1), iana(50, 4)];
    let table = message(1)
        .options(257, &[iana(1, 4)], &sampler_table)
        .data(257, &[record![0u32, 1u16, 2u8, 100u32], record![0u32, 2u16, 2u8, 1000u32]]);
    // Options may come from another port of the same exporter.
    assert_eq!(rig.send_from(1, 9999, table.build()).error, None);
    rig.send(message(2).data(256, &[basic(10, 1), basic(10, 2), basic(10, 2), basic(10, 3)]).build());
    let rows = rig.rows();
    let rates: Vec<_> = rows.iter().map(|row| cells(row, &["sampling_rate", "bytes", "raw_bytes"])).collect();
    let expected = [[1, 10, 10], [100, 1000, 10], [1000, 10_000, 10], [1000, 10_000, 10], [1, 10, 10]];
    assert_eq!(rates, expected.map(|cells| json!(cells)));
    let stats = rig.stats();
    assert_eq!((stats.samplers, stats.templates, stats.counters.options_records), (2, 2, 2));
}

#[test]
fn a_rate_for_all_records() {
    let mut rig = Rig::new();
    let fields = &BASIC[..7];
    let told = message(0).options(300, &[iana(1, 4)], &[iana(34, 4), iana(35, 1)]);
    rig.send(told.data(300, &[record![0u32, 512u32, 2u8]]).build());
    let mut record = basic(10, 0);
    record.pop();
    rig.send(message(1).template(256, fields).data(256, &[record]).build());
    assert_eq!(cells(&rig.rows()[0], &["sampling_rate", "packets"]), json!([512, 1024]));
    assert_eq!(rig.stats().sampling_rate, Some(512));
}

#[test]
fn data_before_its_template_waits() {
    let mut rig = Rig::new();
    let report = rig.send(message(0).data(256, &[basic(1, 0), basic(2, 0)]).build());
    assert_eq!((report.flows, report.held_sets), (0, 1));
    let text = rig.stats().waiting_text().unwrap();
    assert_eq!(text, "waiting for its template, 2 records held");
    let held_since = rig.now;
    rig.now = rig.now + 30_000_000;
    assert_eq!(rig.send(message(1).template(256, &BASIC).build()).flows, 2);
    let rows = rig.rows();
    assert_eq!(cells(&rows[1], &["raw_bytes", "received"]), json!([2, held_since.to_string()]));
    let stats = rig.stats();
    assert_eq!((stats.waiting_text(), stats.counters.held_sets, stats.counters.released_sets), (None, 1, 1));
    assert_eq!(stats.counters.sequence.lost + stats.missing, 0);
}

#[test]
fn a_template_may_change() {
    let mut rig = Rig::new();
    rig.send(message(0).template(256, &BASIC).data(256, &[basic(7, 0)]).build());
    rig.send(message(1).template(256, &[iana(1, 4), iana(12, 4)]).data(256, &[record![9u32, 0x0a00_0009u32]]).build());
    let rows: Vec<_> = rig.rows().iter().map(|row| cells(row, &["raw_bytes", "dst_ip"])).collect();
    assert_eq!(rows, [json!([7, "10.0.0.2"]), json!([9, "10.0.0.9"])]);
    assert_eq!(rig.stats().counters.templates_changed, 1);
}

#[test]
fn domains_of_one_exporter_have_templates_of_their_own() {
    let mut rig = Rig::new();
    rig.send(Message::v9(UPTIME, SECS, 0, 1).template(256, &[iana(1, 4), iana(12, 4)]).build());
    rig.send(Message::v9(UPTIME, SECS, 0, 2).template(256, &[iana(12, 4), iana(1, 4)]).build());
    for domain in [1, 2] {
        rig.send(Message::v9(UPTIME, SECS, 1, domain).data(256, &[record![5u32, 6u32]]).build());
    }
    let rows: Vec<_> = rig.rows().iter().map(|row| cells(row, &["domain", "raw_bytes"])).collect();
    assert_eq!(rows, [json!([1, 5]), json!([2, 6])]);
}

#[test]
fn times_are_relative_to_uptime() {
    let mut rig = Rig::new();
    let fields = [iana(12, 4), iana(22, 4), iana(21, 4)];
    let data = [record![1u32, UPTIME - 3_000, UPTIME - 1_000], record![1u32, 5u32, UPTIME]];
    rig.send(message(0).template(256, &fields).data(256, &data).build());
    let rows: Vec<_> = rig.rows().iter().map(|row| cells(row, &["start", "end"])).collect();
    assert_eq!(
        rows,
        [
            json!(["2025-12-31T23:59:57Z", "2025-12-31T23:59:59Z"]),
            json!(["2025-12-31T23:58:20.005Z", "2026-01-01T00:00:00Z"]),
        ]
    );
}

#[test]
fn firewall_events_with_translation() {
    // NSEL of a Cisco ASA: create and deny, with times and octets of both directions.
    let fields = [
        iana(8, 4),
        iana(7, 2),
        iana(12, 4),
        iana(11, 2),
        iana(4, 1),
        iana(176, 1),
        iana(177, 1),
        iana(225, 4),
        iana(226, 4),
        iana(227, 2),
        iana(228, 2),
        iana(233, 1),
        iana(33002, 2),
        iana(323, 8),
        iana(152, 8),
        iana(231, 4),
        iana(232, 4),
        iana(298, 4),
        iana(299, 4),
    ];
    let (start, event) = (u64::from(SECS) * 1000 - 5_000, u64::from(SECS) * 1000 - 250);
    let record = record![
        0x0a00_0001u32,
        40_000u16,
        0xcb00_7105u32,
        443u16,
        6u8,
        0u8,
        0u8,
        0xc633_6401u32,
        0xcb00_7105u32,
        61_000u16,
        443u16,
        2u8,
        2018u16,
        event,
        start,
        1500u32,
        90_000u32,
        10u32,
        70u32,
    ];
    let mut rig = Rig::new();
    rig.send(message(0).template(263, &fields).data(263, &[record]).build());
    insta::assert_json_snapshot!(rig.rows());
}

#[test]
fn lost_datagrams_and_a_restart() {
    let mut rig = Rig::new();
    for sequence in [10, 11, 14, 12] {
        rig.send(message(sequence).build());
    }
    let stats = rig.stats();
    assert_eq!((stats.missing, stats.counters.sequence.reordered), (1, 1));
    rig.now = rig.now + 10_000_000;
    rig.send(message(15).build());
    rig.send(Message::v9(500, SECS + 300, 0, 42).build());
    rig.send(Message::v9(600, SECS + 300, 1, 42).build());
    let counters = rig.stats().counters;
    assert_eq!((counters.sequence.lost, counters.sequence.resets), (1, 1));
}

#[test]
fn several_templates_in_one_set_and_padding() {
    let mut body = record![256u16, 1u16, 12u16, 4u16];
    body.extend(record![257u16, 2u16, 8u16, 4u16, 1u16, 3u16]);
    body.extend([0; 3]);
    let mut rig = Rig::new();
    let report = rig.send(message(0).set(0, &body).build());
    assert_eq!((report.error, rig.stats().templates), (None, 2));
    // A counter of three bytes, and padding at the end of the set.
    let mut record = record![0x0a00_0001u32];
    record.extend([1, 0, 0]);
    assert_eq!(rig.send(message(1).data(257, &[record]).build()).flows, 1);
    assert_eq!(cells(&rig.rows()[0], &["raw_bytes", "src_ip"]), json!([65_536, "10.0.0.1"]));
}
