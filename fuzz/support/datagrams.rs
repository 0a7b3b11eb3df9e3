//! What the targets of the datagram decoders share.
//!
//! The input is a list of datagrams: control (1 byte: version, host, port), time since the last one (1 byte, in units
//! of 10 s), length (2 bytes), bytes. The version of each is written over its first two bytes.

use guardian_flow::{Decoder, FlowBuilder, Limits, Peer};
use guardian_model::{FLOW, Ip, Micros, row_json};

const HEAD: usize = 4;

/// Limits that short inputs reach.
fn limits() -> Limits {
    Limits {
        exporters_max: 3,
        domains_per_exporter_max: 3,
        sessions_per_domain_max: 2,
        templates_per_session_max: 4,
        fields_per_template_max: 40,
        samplers_per_exporter_max: 4,
        state_bytes_per_exporter_max: 24 << 10,
        state_bytes_max: 48 << 10,
        held_sets_per_session_max: 3,
        held_bytes_per_session_max: 2 << 10,
        records_per_datagram_max: 64,
        ..Limits::default()
    }
}

/// Feeds the datagrams of `input`, which are of the given versions.
pub fn run(input: &[u8], versions: &[u8]) {
    let limits = limits();
    let (mut decoder, mut out) = (Decoder::new(limits), FlowBuilder::with_capacity(32));
    let (mut rest, mut now) = (input, Micros(1_767_225_600_000_000));
    let (mut flows, mut rows) = (0, 0);
    while let Some((&[control, wait, high, low], tail)) = rest.split_first_chunk::<HEAD>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(tail.len());
        let (datagram, tail) = tail.split_at(length);
        rest = tail;
        now = now + i64::from(wait) * 10 * Micros::SECOND;
        let mut datagram = datagram.to_vec();
        if let Some(version) = datagram.first_chunk_mut::<2>() {
            *version = [0, versions[usize::from(control & 7) % versions.len()]];
        }
        let peer = Peer { ip: Ip::v4([192, 0, 2, control >> 3 & 7]), port: u16::from(control >> 6) };
        let before = out.len();
        let report = decoder.decode(peer, now, &datagram, &mut out);
        assert_eq!(out.len() - before, report.flows as usize);
        assert!(decoder.state_bytes() <= limits.state_bytes_max + limits.state_bytes_per_exporter_max);
        flows += u64::from(report.flows);
        if out.is_full() {
            rows += finish(&mut out, now);
        }
    }
    rows += finish(&mut out, now);
    assert_eq!(rows, flows);
    assert_eq!(out.refused(), 0);
    for stats in decoder.exporters() {
        assert!(stats.templates <= limits.templates_per_session_max * limits.sessions_per_domain_max);
        assert_eq!(stats.waiting.sets == 0, stats.waiting.bytes == 0 && stats.waiting_text().is_none());
    }
    let store = decoder.export_templates();
    let mut restored = Decoder::new(limits);
    restored.import_templates(&store);
    assert!(restored.export_templates().exporters.len() <= store.exporters.len());
}

fn finish(out: &mut FlowBuilder, now: Micros) -> u64 {
    let batch = out.finish(now);
    assert_eq!(batch.schema(), FLOW.schema());
    for row in 0..batch.num_rows() {
        std::hint::black_box(row_json(&batch, row));
    }
    batch.num_rows() as u64
}
