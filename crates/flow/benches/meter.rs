//! What metering a packet and decoding an sFlow sample cost: `cargo bench -p guardian-flow --bench meter`.

use divan::Bencher;
use divan::counter::ItemsCount;
use guardian_flow::{Decoder, FlowBuilder, Limits, LinkType, Meter, MeterConfig, Peer};
use guardian_model::{Ip, Micros};

const PACKETS: usize = 100_000;
const START: Micros = Micros::from_secs(1_700_000_000);

fn main() {
    divan::main();
}

/// An Ethernet frame with a TCP segment of connection `flow`, cut to its headers.
fn frame(flow: u32, answer: bool) -> Vec<u8> {
    let [a, b, c, d] = flow.to_be_bytes();
    let (client, server) = ([10, b, c, d], [192, 0, 2, a]);
    let (src, dst, ports) =
        if answer { (server, client, [1, 187, 0x9c, 0x40]) } else { (client, server, [0x9c, 0x40, 1, 187]) };
    let mut data = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    data.extend([0x45, 0, 5, 220, 0, 0, 0, 0, 64, 6, 0, 0]);
    data.extend(src);
    data.extend(dst);
    data.extend(ports);
    data.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
    data
}

/// Packets of this many connections, answered one by one, at a million packets a second.
#[divan::bench(args = [100, 10_000, 50_000])]
fn meter_packets(bencher: Bencher<'_, '_>, flows: u32) {
    let frames: Vec<Vec<u8>> = (0..flows * 2).map(|i| frame(i / 2, i % 2 == 1)).collect();
    bencher.counter(ItemsCount::new(PACKETS)).with_inputs(|| Meter::new(MeterConfig::default())).bench_refs(|meter| {
        let mut out = FlowBuilder::new();
        for (i, data) in frames.iter().cycle().take(PACKETS).enumerate() {
            meter.packet(START + i as i64, LinkType::Ethernet, data, 1514, &mut out);
        }
        while !meter.flush(&mut out) {
            divan::black_box(out.finish(START));
        }
        out.finish(START)
    });
}

/// Every packet opens another connection: the worst that a flood can do.
#[divan::bench]
fn meter_flood(bencher: Bencher<'_, '_>) {
    let frames: Vec<Vec<u8>> = (0..PACKETS as u32).map(|i| frame(i, false)).collect();
    let config = MeterConfig { flows_max: 1 << 14, ..MeterConfig::default() };
    bencher.counter(ItemsCount::new(PACKETS)).with_inputs(|| Meter::new(config)).bench_refs(|meter| {
        let mut out = FlowBuilder::new();
        for (i, data) in frames.iter().enumerate() {
            meter.packet(START + i as i64, LinkType::Ethernet, data, 60, &mut out);
            if out.is_full() {
                divan::black_box(out.finish(START));
            }
        }
    });
}

/// A datagram of seven flow samples, each with a sampled header and the switch's VLANs.
fn sflow_datagram() -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let mut out = words(&[5, 1, 0x0a00_0001, 0, 1, 1000, 7]);
    for i in 0..7 {
        let mut header = frame(i, false);
        header.resize(128, 0);
        let record = [words(&[1, 16 + 128, 1, 1518, 4, 128]), header, words(&[1001, 16, 7, 0, 8, 0])].concat();
        let sample = [words(&[i, 3, 1024, 9, 0, 3, 4, 2]), record].concat();
        out.extend(words(&[1, sample.len() as u32]));
        out.extend(sample);
    }
    out
}

/// Flow samples into rows.
#[divan::bench]
fn sflow_samples(bencher: Bencher<'_, '_>) {
    let datagram = sflow_datagram();
    let peer = Peer { ip: Ip::v4([10, 0, 0, 1]), port: 6343 };
    let mut decoder = Decoder::new(Limits::default());
    let mut out = FlowBuilder::new();
    bencher.counter(ItemsCount::new(7 * 1000usize)).bench_local(|| {
        for _ in 0..1000 {
            divan::black_box(decoder.decode(peer, START, &datagram, &mut out));
            if out.is_full() {
                divan::black_box(out.finish(START));
            }
        }
    });
}
