//! sFlow datagrams of one sender: nothing panics, state stays within its limits, and rows agree with the counters.
//!
//! The input is a list of datagrams, each with its length before it (2 bytes).
#![no_main]

use guardian_flow::{Decoder, FlowBuilder, Limits, Peer, sflow};
use guardian_model::{Ip, Micros};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let limits = Limits { state_bytes_per_exporter_max: 16 << 10, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    let mut out = FlowBuilder::with_capacity(64);
    let (mut rest, mut time, mut rows) = (input, 1_700_000_000_000_000, 0);
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (datagram, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)).min(tail.len()));
        let peer = Peer { ip: Ip::v4([192, 0, 2, 1]), port: 6343 };
        let report = decoder.decode(peer, Micros(time), datagram, &mut out);
        // A sample takes more than 8 bytes of its datagram.
        assert!(report.flows as usize <= datagram.len() / 8);
        sflow::interface_counters(datagram, |_, counters| {
            std::hint::black_box(counters);
        });
        if out.is_full() {
            rows += out.finish(Micros(time)).num_rows();
        }
        time += 1_000_000;
        rest = tail;
    }
    rows += out.finish(Micros(time)).num_rows();
    assert_eq!(decoder.exporters().map(|stats| stats.counters.flows).sum::<u64>(), rows as u64);
    assert!(decoder.state_bytes() <= 32 << 10);
});
