//! NetFlow v5 and v7.

use guardian_flow::Reason;
use serde_json::json;

use super::{Rig, SECS, cells};
use crate::encode::{header_v5, record_v5};

const UPTIME: u32 = 3_600_000;

fn v5(count: u16, records: u32, sequence: u32, sampling: u16) -> Vec<u8> {
    let mut datagram = header_v5(5, count, UPTIME, SECS, sequence, sampling);
    (0..records).for_each(|i| datagram.extend(record_v5(i, UPTIME - 9_000, UPTIME - 1_500, 6)));
    datagram
}

#[test]
fn every_column_of_a_record() {
    let mut rig = Rig::new();
    rig.now = rig.now + 500_000;
    assert_eq!(rig.send(v5(2, 2, 0, 0)).flows, 2);
    insta::assert_json_snapshot!(rig.rows());
}

#[test]
fn the_header_tells_the_sampling_rate() {
    let mut rig = Rig::new();
    rig.send(v5(1, 1, 0, 0x4064));
    let rows = rig.rows();
    let names = ["bytes", "packets", "raw_bytes", "raw_packets", "sampling_rate"];
    assert_eq!(cells(&rows[0], &names), json!([100_000, 1_000, 1_000, 10, 100]));
    assert_eq!(rig.stats().sampling_rate, Some(100));
}

#[test]
fn icmp_type_and_code_come_out_of_the_destination_port() {
    let mut datagram = header_v5(5, 2, UPTIME, SECS, 0, 0);
    let mut unreachable = record_v5(0, UPTIME, UPTIME, 1);
    unreachable[32..36].copy_from_slice(&[0, 0, 3, 1]);
    datagram.extend(unreachable);
    datagram.extend(record_v5(1, UPTIME, UPTIME, 17));
    let mut rig = Rig::new();
    rig.send(datagram);
    let names = ["icmp_type", "icmp_code", "src_port", "dst_port"];
    let rows: Vec<_> = rig.rows().iter().map(|row| cells(row, &names)).collect();
    assert_eq!(rows, [json!([3, 1, 0, 0]), json!([null, null, 40_001, 443])]);
}

#[test]
fn version_7_has_longer_records() {
    let mut datagram = header_v5(7, 2, UPTIME, SECS, 0, 0);
    for i in 0..2 {
        datagram.extend(record_v5(i, UPTIME - 9_000, UPTIME - 1_500, 6));
        datagram.extend([192, 0, 2, 77]);
    }
    let mut rig = Rig::new();
    assert_eq!(rig.send(datagram).flows, 2);
    let rows = rig.rows();
    assert_eq!(cells(&rows[1], &["source", "src_ip", "raw_bytes"]), json!(["netflow7", "10.0.0.2", 1001]));
}

#[test]
fn uptime_wraps_between_flow_and_export() {
    let mut datagram = header_v5(5, 1, 1_000, SECS, 0, 0);
    datagram.extend(record_v5(0, u32::MAX - 8_999, u32::MAX - 999, 6));
    let mut rig = Rig::new();
    rig.send(datagram);
    let expected = json!(["2025-12-31T23:59:50.5Z", "2025-12-31T23:59:58.5Z"]);
    assert_eq!(cells(&rig.rows()[0], &["start", "end"]), expected);
}

#[test]
fn a_count_that_disagrees_with_the_length() {
    let mut rig = Rig::new();
    let cases = [(3, 2, 2, Some(Reason::Length)), (1, 2, 1, None), (0, 2, 0, Some(Reason::Length))];
    for (count, records, flows, error) in cases {
        let report = rig.send(v5(count, records, 0, 0));
        assert_eq!((report.flows, report.error), (flows, error), "count {count}");
    }
    let mut cut = v5(2, 2, 0, 0);
    cut.truncate(24 + 48 + 47);
    assert_eq!(rig.send(cut).flows, 1);
}

#[test]
fn lost_flows_are_counted_in_flows() {
    let mut rig = Rig::new();
    for sequence in [0, 2, 10, 12] {
        rig.send(v5(2, 2, sequence, 0));
    }
    assert_eq!(rig.stats().missing, 6);
    rig.now = rig.now + 10_000_000;
    rig.send(v5(2, 2, 14, 0));
    let stats = rig.stats();
    assert_eq!((stats.missing, stats.counters.sequence.lost, stats.sequence_unit()), (0, 6, "flows"));
}

#[test]
fn an_exporter_whose_clock_was_never_set() {
    let mut datagram = header_v5(5, 1, UPTIME, 12, 0, 0);
    datagram.extend(record_v5(0, UPTIME - 9_000, UPTIME - 1_000, 6));
    let mut rig = Rig::new();
    rig.send(datagram);
    let expected = json!(["2025-12-31T23:59:51Z", "2025-12-31T23:59:59Z"]);
    assert_eq!(cells(&rig.rows()[0], &["start", "end"]), expected, "relative to the receipt");
    let counters = rig.stats().counters;
    assert_eq!((counters.skewed_clocks, counters.clamped_times), (1, 0));
}
