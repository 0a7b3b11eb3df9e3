//! How long it takes to hold a flow's two addresses against a million indicators.
//!
//! `cargo bench -p guardian-intel` shows divan's table; with `--json` the result is one JSON object a line in the form
//! of `cargo xtask bench`.

#![expect(clippy::print_stdout, reason = "the result is what a benchmark prints")]

use std::time::Instant;

use guardian_intel::{IndicatorSet, Match, Prefix};
use guardian_model::Ip;

/// Indicators in the set.
const INDICATORS: usize = 1_000_000;

/// Flows in a batch.
const FLOWS: usize = 8192;

/// Nanoseconds a flow may take.
const FLOOR_NS: f64 = 50.0;

fn main() {
    if std::env::args().any(|arg| arg == "--json") {
        json();
    } else {
        divan::main();
    }
}

/// A fixed sequence of well-mixed numbers (splitmix64).
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |i: u64| {
        let mut x = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    })
}

/// 85% single IPv4 addresses, 10% IPv4 networks (/20 to /29), 5% IPv6 addresses and networks: scattered at random,
/// which is worse than real lists, whose entries cluster.
fn indicators() -> IndicatorSet {
    IndicatorSet::build([numbers(1).take(INDICATORS).map(|n| match n % 100 {
        0..85 => Prefix::host(Ip::v4(((n >> 32) as u32).to_be_bytes())),
        85..95 => Prefix::new(Ip::v4(((n >> 32) as u32).to_be_bytes()), 96 + 20 + (n >> 8 & 7) as u8 + 2),
        _ => Prefix::new(v6(n), if n & 128 == 0 { 128 } else { 64 }),
    })])
}

fn v6(n: u64) -> Ip {
    let mut ip = [0; 16];
    ip[..8].copy_from_slice(&(0x2001_0000_0000_0000 | n >> 16).to_be_bytes());
    ip[8..].copy_from_slice(&n.to_be_bytes());
    Ip(ip)
}

/// Address columns of a batch: one end inside, the other anywhere; one flow in ten is IPv6.
fn flows(seed: u64) -> (Vec<u8>, Vec<u8>) {
    let address = |n: u64| if n.is_multiple_of(10) { v6(n) } else { Ip::v4(((n >> 20) as u32).to_be_bytes()) };
    let inside =
        |n: u64| if n.is_multiple_of(10) { v6(n & 0xff_ffff) } else { Ip::v4([10, 0, (n >> 8) as u8, n as u8]) };
    let sources = numbers(seed).take(FLOWS).flat_map(|n| inside(n).0).collect();
    (sources, numbers(seed).take(FLOWS).flat_map(|n| address(n).0).collect())
}

#[divan::bench]
fn million_indicators(bencher: divan::Bencher<'_, '_>) {
    let set = indicators();
    let batches: Vec<_> = (0..64).map(flows).collect();
    let mut next = 0;
    let mut found: Vec<Match> = Vec::new();
    bencher.counter(divan::counter::ItemsCount::new(FLOWS)).bench_local(|| {
        found.clear();
        let (sources, destinations) = &batches[next % batches.len()];
        next += 1;
        set.match_columns(sources, destinations, &mut found);
        found.len()
    });
}

fn json() {
    let set = indicators();
    let batches: Vec<_> = (0..64).map(flows).collect();
    let mut found = Vec::new();
    // Each batch is timed by itself: it is shorter than a time slice, so that the median is that of an undisturbed
    // processor also where others work on the machine.
    let mut rounds: Vec<f64> = batches
        .iter()
        .cycle()
        .take(1000)
        .map(|(sources, destinations)| {
            found.clear();
            let begin = Instant::now();
            set.match_columns(sources, destinations, &mut found);
            begin.elapsed().as_nanos() as f64 / FLOWS as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let median = rounds[rounds.len() / 2];
    println!(
        r#"{{"bench":"intel/indicators_1m","value":{median:.1},"unit":"ns/flow","floor":{FLOOR_NS},"pass":{}}}"#,
        median < FLOOR_NS
    );
    let bytes = set.memory_bytes() as f64 / set.len() as f64;
    println!(r#"{{"bench":"intel/indicator_memory","value":{bytes:.1},"unit":"bytes/indicator"}}"#);
}
