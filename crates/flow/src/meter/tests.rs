//! The meter over hand-made conversations, and conservation of packets and bytes over random ones.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{TimestampMicrosecondType, UInt8Type, UInt16Type, UInt64Type};
use guardian_model::FLOW;
use proptest::prelude::*;

use super::*;
use crate::packet::TCP_ACK;

const T0: Micros = Micros::from_secs(1_700_000_000);
const PSH: u16 = 0x08;
const SEC: i64 = Micros::SECOND;

/// What a row says, as far as the tests ask.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    start: i64,
    end: i64,
    src: String,
    dst: String,
    protocol: u8,
    there: (u64, u64, u16),
    back: (u64, u64, u16),
    vlan: Option<u16>,
    icmp: Option<(u8, u8)>,
    reason: u8,
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    assert_eq!(batch.schema(), FLOW.schema());
    let column = |name: &str| Arc::clone(batch.column_by_name(name).expect("a column of the class"));
    let time = |name: &str, i| column(name).as_primitive::<TimestampMicrosecondType>().value(i) - T0.0;
    let ip = |name: &str, i| {
        let column = column(name);
        Ip(column.as_fixed_size_binary().value(i).try_into().expect("16 bytes"))
    };
    let u8_of = |name: &str, i| {
        let column = column(name);
        column.is_valid(i).then(|| column.as_primitive::<UInt8Type>().value(i))
    };
    let u16_of = |name: &str, i| {
        let column = column(name);
        column.is_valid(i).then(|| column.as_primitive::<UInt16Type>().value(i))
    };
    let u64_of = |name: &str, i| column(name).as_primitive::<UInt64Type>().value(i);
    let end = |ip_name, port_name, i| format!("{}:{}", ip(ip_name, i), u16_of(port_name, i).expect("a port"));
    (0..batch.num_rows())
        .map(|i| Row {
            start: time("start", i),
            end: time("end", i),
            src: end("src_ip", "src_port", i),
            dst: end("dst_ip", "dst_port", i),
            protocol: u8_of("protocol", i).expect("a protocol"),
            there: (u64_of("packets", i), u64_of("bytes", i), u16_of("tcp_flags", i).expect("flags")),
            back: (u64_of("rev_packets", i), u64_of("rev_bytes", i), u16_of("rev_tcp_flags", i).expect("flags")),
            vlan: u16_of("vlan", i),
            icmp: u8_of("icmp_type", i).zip(u8_of("icmp_code", i)),
            reason: u8_of("end_reason", i).expect("a reason"),
        })
        .collect()
}

/// An IPv4 packet with 20 bytes of header and the given transport part.
fn ipv4(protocol: u8, src: u8, dst: u8, fragment: (u16, u16), rest: &[u8]) -> Vec<u8> {
    let mut data = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, src, 10, 0, 0, dst];
    data[2..4].copy_from_slice(&(20 + rest.len() as u16).to_be_bytes());
    data[4..6].copy_from_slice(&fragment.0.to_be_bytes());
    data[6..8].copy_from_slice(&fragment.1.to_be_bytes());
    data.extend_from_slice(rest);
    data
}

fn tcp(src: (u8, u16), dst: (u8, u16), flags: u16, payload: usize) -> Vec<u8> {
    let mut rest = vec![0u8; 20 + payload];
    rest[..2].copy_from_slice(&src.1.to_be_bytes());
    rest[2..4].copy_from_slice(&dst.1.to_be_bytes());
    rest[12..14].copy_from_slice(&(0x5000 | flags).to_be_bytes());
    ipv4(6, src.0, dst.0, (0, 0), &rest)
}

fn udp(src: (u8, u16), dst: (u8, u16), payload: usize) -> Vec<u8> {
    let mut rest = vec![0u8; 8 + payload];
    rest[..2].copy_from_slice(&src.1.to_be_bytes());
    rest[2..4].copy_from_slice(&dst.1.to_be_bytes());
    ipv4(17, src.0, dst.0, (0, 0), &rest)
}

fn icmp(src: u8, dst: u8, kind: u8, code: u8, id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    ipv4(1, src, dst, (0, 0), &[kind, code, 0, 0, high, low, 0, 1])
}

struct Bench {
    meter: Meter,
    out: FlowBuilder,
}

impl Bench {
    fn new(config: MeterConfig) -> Self {
        Self { meter: Meter::new(config), out: FlowBuilder::new() }
    }

    fn at(&mut self, micros: i64, data: &[u8]) -> &mut Self {
        self.meter.packet(T0 + micros, LinkType::RawIp, data, data.len() as u32, &mut self.out);
        self
    }

    fn expire(&mut self, micros: i64) -> Vec<Row> {
        assert!(self.meter.expire(T0 + micros, &mut self.out));
        self.take()
    }

    fn flush(&mut self) -> Vec<Row> {
        assert!(self.meter.flush(&mut self.out));
        self.take()
    }

    fn take(&mut self) -> Vec<Row> {
        rows(&self.out.finish(T0))
    }
}

fn bench() -> Bench {
    Bench::new(MeterConfig::default())
}

/// A connection of 7 packets, the last of which acknowledges the responder's FIN.
fn connection(bench: &mut Bench, at: i64, client: (u8, u16), server: (u8, u16)) {
    bench
        .at(at, &tcp(client, server, TCP_SYN, 0))
        .at(at + 1, &tcp(server, client, TCP_SYN | TCP_ACK, 0))
        .at(at + 2, &tcp(client, server, TCP_ACK, 0))
        .at(at + 3, &tcp(client, server, TCP_ACK | PSH, 100))
        .at(at + 4, &tcp(server, client, TCP_ACK | PSH | TCP_FIN, 1000))
        .at(at + 5, &tcp(client, server, TCP_ACK | TCP_FIN, 0))
        .at(at + 6, &tcp(server, client, TCP_ACK, 0));
}

#[test]
fn a_connection_is_one_row_from_its_initiators_side() {
    // Once with the initiator's address the smaller one and once the larger one.
    for (client, server) in [((1, 40_000), (2, 80)), ((9, 40_000), (2, 80))] {
        let mut bench = bench();
        connection(&mut bench, 0, client, server);
        assert_eq!(bench.expire(SEC / 2), [], "the last acknowledgements may still come");
        assert_eq!(
            bench.expire(2 * SEC),
            [Row {
                start: 0,
                end: 6,
                src: format!("10.0.0.{}:40000", client.0),
                dst: "10.0.0.2:80".into(),
                protocol: 6,
                there: (4, 4 * 40 + 100, TCP_SYN | TCP_ACK | PSH | TCP_FIN),
                back: (3, 3 * 40 + 1000, TCP_SYN | TCP_ACK | PSH | TCP_FIN),
                vlan: None,
                icmp: None,
                reason: EndReason::End as u8,
            }]
        );
        let stats = bench.meter.stats();
        assert_eq!((stats.packets, stats.flows, stats.flows_held, stats.bytes), (7, 1, 0, 7 * 40 + 1100));
    }
}

#[test]
fn who_began_is_told_by_the_handshake_and_else_by_the_first_packet() {
    let (client, server) = ((7, 50_000), (3, 22));
    let table: &[(&str, Vec<Vec<u8>>, &str)] = &[
        (
            "answer first",
            vec![tcp(server, client, TCP_SYN | TCP_ACK, 0), tcp(client, server, TCP_SYN, 0)],
            "10.0.0.7:50000",
        ),
        ("middle", vec![tcp(server, client, TCP_ACK, 9), tcp(client, server, TCP_ACK, 9)], "10.0.0.3:22"),
        ("udp", vec![udp(server, client, 1), udp(client, server, 1)], "10.0.0.3:22"),
        ("ping", vec![icmp(3, 7, 0, 0, 5), icmp(7, 3, 8, 0, 5)], "10.0.0.7:0"),
    ];
    for (name, packets, initiator) in table {
        let mut bench = bench();
        for data in packets {
            bench.at(0, data);
        }
        let rows = bench.flush();
        assert_eq!(rows.len(), 1, "{name}");
        assert_eq!(rows[0].src, *initiator, "{name}");
        assert_eq!((rows[0].there.0, rows[0].back.0), (1, 1), "{name}");
        assert_eq!(rows[0].reason, EndReason::Forced as u8);
    }
}

#[test]
fn a_refused_connection_and_its_repetition_are_two_rows() {
    let mut bench = bench();
    let (client, server) = ((1, 40_000), (2, 23));
    for at in [0, 1000] {
        bench.at(at, &tcp(client, server, TCP_SYN, 0)).at(at + 1, &tcp(server, client, TCP_RST | TCP_ACK, 0));
    }
    let rows = bench.expire(3 * SEC);
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((row.src.as_str(), row.there.2, row.back.2), ("10.0.0.1:40000", TCP_SYN, TCP_RST | TCP_ACK));
        assert_eq!(row.reason, EndReason::End as u8);
    }
    // A SYN that is only sent again belongs to the same attempt.
    for at in [10 * SEC, 11 * SEC, 13 * SEC] {
        bench.at(at, &tcp(client, server, TCP_SYN, 0));
    }
    let rows = bench.expire(60 * SEC);
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].there.0, rows[0].back.0, rows[0].reason), (3, 0, EndReason::Idle as u8));
}

#[test]
fn a_connection_on_the_ports_of_one_seen_from_its_middle_is_another() {
    let mut bench = bench();
    bench.at(0, &tcp((2, 80), (1, 40_000), TCP_ACK, 500));
    connection(&mut bench, 10, (1, 40_000), (2, 80));
    let rows = bench.expire(10 * SEC);
    assert_eq!(
        rows.iter().map(|row| (row.src.as_str(), row.there.0 + row.back.0)).collect::<Vec<_>>(),
        [("10.0.0.2:80", 1), ("10.0.0.1:40000", 7)]
    );
}

#[test]
fn silence_ends_a_flow_and_long_ones_come_in_parts() {
    let mut bench = bench();
    bench.at(0, &udp((1, 53), (2, 53), 10)).at(14 * SEC, &udp((2, 53), (1, 53), 10));
    bench.at(30 * SEC, &udp((2, 53), (1, 53), 10));
    let rows = bench.expire(50 * SEC);
    let seen: Vec<_> = rows.iter().map(|row| (row.start / SEC, row.end / SEC, row.src.as_str(), row.reason)).collect();
    assert_eq!(seen, [(0, 14, "10.0.0.1:53", 1), (30, 30, "10.0.0.2:53", 1)]);

    // Ten packets a second for 200 seconds, answered once at the very end: the parts keep their direction, and there
    // is no empty last part.
    let mut bench = self::bench();
    let mut rows = Vec::new();
    for i in 0..2000 {
        bench.at(i * SEC / 10, &tcp((9, 5000), (2, 443), if i == 0 { TCP_SYN } else { TCP_ACK }, 100));
        rows.append(&mut bench.take());
    }
    bench.at(200 * SEC, &tcp((2, 443), (9, 5000), TCP_ACK, 0));
    rows.append(&mut bench.expire(300 * SEC));
    assert_eq!(rows.iter().map(|row| row.reason).collect::<Vec<_>>(), [2, 2, 2, 1]);
    assert!(rows.iter().all(|row| row.src == "10.0.0.9:5000"));
    assert!(rows.iter().all(|row| row.end - row.start <= 61 * SEC));
    assert_eq!(rows.iter().map(|row| row.there.0).sum::<u64>(), 2000);
    assert_eq!(rows.iter().map(|row| row.back.0).sum::<u64>(), 1);
    assert_eq!(rows.iter().map(|row| row.there.2).collect::<Vec<_>>(), [TCP_SYN | TCP_ACK, TCP_ACK, TCP_ACK, TCP_ACK]);
    assert_eq!(bench.meter.stats().flows_held, 0);
}

#[test]
fn fragments_follow_their_first() {
    let mut bench = bench();
    let mut first = vec![0, 53, 0xc0, 0, 0, 0, 0, 0];
    first.resize(1480, 0);
    bench.at(0, &ipv4(17, 1, 2, (77, 0x2000), &first));
    bench.at(1, &ipv4(17, 1, 2, (77, 0x20b9), &[0; 1480]));
    bench.at(2, &ipv4(17, 1, 2, (77, 0x0172), &[0; 100]));
    bench.at(3, &ipv4(17, 1, 2, (78, 0x0172), &[0; 100]));
    let rows = bench.flush();
    let seen: Vec<_> = rows.iter().map(|row| (row.src.as_str(), row.there.0, row.there.1)).collect();
    assert_eq!(seen, [("10.0.0.1:53", 3, 3120), ("10.0.0.1:0", 1, 120)]);
    assert_eq!(bench.meter.stats().orphan_fragments, 1);

    let mut bench = Bench::new(MeterConfig { fragments_max: 10, ..MeterConfig::default() });
    for id in 0..100 {
        bench.at(0, &ipv4(17, 1, 2, (id, 0x2000), &first));
    }
    bench.at(0, &ipv4(17, 1, 2, (0, 0x0172), &[0; 100])).at(0, &ipv4(17, 1, 2, (99, 0x0172), &[0; 100]));
    assert_eq!((bench.meter.stats().fragments_forgotten, bench.meter.stats().orphan_fragments), (90, 1));
}

#[test]
fn icmp_queries_pair_up_and_messages_stand_alone() {
    let mut bench = bench();
    for id in [1, 2] {
        for _ in 0..3 {
            bench.at(0, &icmp(1, 2, 8, 0, id)).at(0, &icmp(2, 1, 0, 0, id));
        }
    }
    bench.at(0, &icmp(2, 1, 3, 1, 0)).at(0, &icmp(2, 1, 3, 3, 0));
    bench.at(0, &icmp(5, 5, 8, 0, 9)).at(0, &icmp(5, 5, 0, 0, 9));
    let rows = bench.flush();
    let seen: Vec<_> = rows.iter().map(|row| (row.src.as_str(), row.icmp, row.there.0, row.back.0)).collect();
    assert_eq!(
        seen,
        [
            ("10.0.0.1:0", Some((8, 0)), 3, 3),
            ("10.0.0.1:0", Some((8, 0)), 3, 3),
            ("10.0.0.2:0", Some((3, 1)), 1, 0),
            ("10.0.0.2:0", Some((3, 3)), 1, 0),
            ("10.0.0.5:0", Some((8, 0)), 1, 1),
        ]
    );
}

#[test]
fn vlans_are_apart_and_their_ids_kept() {
    let mut bench = bench();
    for id in [0u16, 1, 0x0fff] {
        let [high, low] = id.to_be_bytes();
        let data = [&[high, low, 8, 0][..], &udp((1, 1), (2, 2), 0)].concat();
        bench.meter.packet(T0, LinkType::Network(0x8100), &data, data.len() as u32, &mut bench.out);
    }
    bench.at(0, &udp((1, 1), (2, 2), 0));
    let vlans: Vec<_> = bench.flush().iter().map(|row| row.vlan).collect();
    assert_eq!(vlans, [Some(0), Some(1), Some(0x0fff), None]);
}

#[test]
fn a_full_table_exports_the_longest_silent_and_loses_nothing() {
    let mut bench = Bench::new(MeterConfig { flows_max: 100, ..MeterConfig::default() });
    for port in 0..1000u16 {
        bench.at(i64::from(port) * 1000, &udp((1, port), (2, 9), 10));
        // One flow is busy all the time.
        bench.at(i64::from(port) * 1000, &udp((3, 7), (4, 7), 10));
    }
    let stats = bench.meter.stats();
    assert_eq!((stats.flows_held, stats.evicted), (100, 901));
    let rows = bench.flush();
    assert_eq!(rows.len(), 1001);
    assert_eq!(rows.iter().filter(|row| row.reason == EndReason::NoResources as u8).count(), 901);
    assert_eq!(rows.iter().find(|row| row.src == "10.0.0.3:7").map(|row| row.there.0), Some(1000));
}

#[test]
fn a_full_builder_makes_the_rest_wait() {
    let mut bench = Bench { meter: Meter::new(MeterConfig::default()), out: FlowBuilder::with_capacity(10) };
    for port in 0..25u16 {
        bench.at(0, &udp((1, port), (2, 9), 0));
    }
    let mut sizes = Vec::new();
    let mut done = false;
    while !done {
        done = bench.meter.expire(T0 + 100 * SEC, &mut bench.out);
        sizes.push(bench.take().len());
    }
    assert_eq!(sizes, [10, 10, 5]);
    bench.at(200 * SEC, &udp((1, 1), (2, 9), 0));
    assert_eq!(bench.flush().len(), 1);
}

#[test]
fn a_clock_that_goes_back_begins_anew() {
    let mut bench = bench();
    bench.at(1000 * SEC, &udp((1, 1), (2, 2), 0));
    // A little late is only out of order.
    bench.at(999 * SEC, &udp((1, 1), (2, 2), 0));
    assert_eq!(bench.meter.stats().clock_resets, 0);
    bench.at(0, &udp((1, 1), (2, 2), 0)).at(SEC, &udp((1, 1), (2, 2), 0));
    let rows = bench.expire(60 * SEC);
    let seen: Vec<_> = rows.iter().map(|row| (row.start / SEC, row.end / SEC, row.there.0, row.reason)).collect();
    assert_eq!(seen, [(999, 1000, 2, 4), (0, 1, 2, 1)]);
    assert_eq!(bench.meter.stats().clock_resets, 1);
}

#[test]
fn what_is_no_flow_is_counted() {
    let mut bench = bench();
    bench.at(0, &[]).at(0, &[0x45, 0, 0, 1]).at(0, &[0x99; 40]);
    bench.meter.packet(T0, LinkType::Network(0x0806), &[0; 28], 28, &mut bench.out);
    let stats = bench.meter.stats();
    assert_eq!((stats.packets, stats.truncated, stats.malformed, stats.not_ip, stats.flows_held), (4, 2, 1, 1, 0));
    assert_eq!(bench.flush(), []);
}

proptest! {
    /// Whatever the order, the times and the limits: what goes in comes out, once.
    #[test]
    fn packets_and_bytes_are_conserved(
        steps in proptest::collection::vec((-90i64..40, 1u8..4, 1u8..4, 0u16..3, 0u16..0x20, 0usize..50, 0u8..4), 1..300),
        flows_max in 1usize..20,
        capacity in 1usize..30,
    ) {
        let config = MeterConfig { flows_max, ..MeterConfig::default() };
        let mut bench = Bench { meter: Meter::new(config), out: FlowBuilder::with_capacity(capacity) };
        let (mut time, mut bytes, mut all) = (0, 0, Vec::new());
        for (step, src, dst, port, flags, payload, kind) in &steps {
            time += (*step).max(-80) * SEC / 4;
            let data = match kind {
                0 => udp((*src, *port), (*dst, 9), *payload),
                1 => icmp(*src, *dst, (*flags % 20) as u8, 0, *port),
                _ => tcp((*src, *port), (*dst, 9), *flags, *payload),
            };
            bytes += data.len() as u64;
            bench.at(time, &data);
            if bench.out.is_full() {
                all.append(&mut bench.take());
            }
        }
        let mut done = false;
        while !done {
            done = bench.meter.flush(&mut bench.out);
            all.append(&mut bench.take());
        }
        let stats = bench.meter.stats();
        prop_assert_eq!(all.iter().map(|row| row.there.0 + row.back.0).sum::<u64>(), steps.len() as u64);
        prop_assert_eq!(all.iter().map(|row| row.there.1 + row.back.1).sum::<u64>(), bytes);
        prop_assert_eq!((stats.flows, stats.flows_held), (all.len() as u64, 0));
        prop_assert!(all.iter().all(|row| row.start <= row.end && row.there.0 + row.back.0 > 0));
    }
}
