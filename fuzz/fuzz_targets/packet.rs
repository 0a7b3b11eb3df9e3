//! Packets of every link type into a small meter: nothing panics, and what goes in comes out.
//!
//! The input is a list of packets: link type (1 byte), time since the last one (2 bytes, in units of 4 ms, signed),
//! wire length (2 bytes), length (1 byte), bytes.
#![no_main]

use guardian_flow::packet::{parse, udp_payload};
use guardian_flow::{FlowBuilder, LinkType, Meter, MeterConfig};
use guardian_model::Micros;
use libfuzzer_sys::fuzz_target;

const HEAD: usize = 6;

fn link(kind: u8) -> LinkType {
    match kind % 10 {
        0 => LinkType::LinuxSll,
        1 => LinkType::LinuxSll2,
        2 | 3 => LinkType::RawIp,
        4 => LinkType::Null,
        5 => LinkType::Ppp,
        6 => LinkType::Mpls,
        7 => LinkType::Network(0x8100),
        _ => LinkType::Ethernet,
    }
}

fuzz_target!(|input: &[u8]| {
    let mut meter = Meter::new(MeterConfig { flows_max: 8, fragments_max: 4, ..MeterConfig::default() });
    let mut out = FlowBuilder::with_capacity(4);
    let (mut rest, mut time, mut rows) = (input, 1_700_000_000_000_000, 0);
    while let Some((&[kind, a, b, c, d, length], tail)) = rest.split_first_chunk::<HEAD>() {
        let (data, tail) = tail.split_at(usize::from(length).min(tail.len()));
        time += i64::from(i16::from_be_bytes([a, b])) * 4_000;
        let wire_bytes = u32::from(u16::from_be_bytes([c, d]));
        if let Ok(packet) = parse(link(kind), data, wire_bytes) {
            assert!(packet.ip_bytes <= wire_bytes.max(data.len() as u32));
            assert!(udp_payload(&packet, data).is_none_or(|payload| payload.len() <= data.len()));
        }
        meter.packet(Micros(time), link(kind), data, wire_bytes, &mut out);
        if out.is_full() {
            rows += out.finish(Micros(time)).num_rows();
        }
        rest = tail;
    }
    loop {
        let done = meter.flush(&mut out);
        rows += out.finish(Micros(time)).num_rows();
        if done {
            break;
        }
    }
    let stats = meter.stats();
    assert_eq!(stats.flows, rows as u64);
    assert_eq!(stats.flows_held, 0);
    let skipped = stats.not_ip + stats.truncated + stats.malformed;
    assert!(stats.flows <= stats.packets - skipped);
    assert_eq!(out.refused(), 0);
});
