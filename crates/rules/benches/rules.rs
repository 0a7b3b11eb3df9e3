//! What rules cost: 50 plain rules over batches of 10,000 flows, and rows that match a correlation. Divan's item rate
//! is flows a second; its inverse is the time a flow.
#![expect(clippy::unwrap_used, clippy::format_collect, reason = "benches")]

use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use guardian_model::Batch;
use guardian_rules::{Correlator, CorrelatorLimits, RuleSet, parse};

#[path = "../tests/it/flows.rs"]
mod flows;

use flows::{Flow, T0, batch};

fn main() {
    divan::main();
}

const ROWS: u32 = 10_000;

/// Numbers that look random and are the same each time.
fn noise(i: u32) -> u32 {
    let mut x = i.wrapping_mul(0x9e37_79b9) ^ 0x5bd1_e995;
    x ^= x >> 15;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^ x >> 13
}

/// Ordinary traffic: a few hundred clients, mostly the web, some DNS, some strays.
fn ordinary() -> Batch {
    let ports = [443, 443, 443, 443, 80, 53, 53, 123, 22, 8080];
    let countries = [None, Some("US"), Some("DE"), Some("NZ"), Some("NL")];
    let flows: Vec<_> = (0..ROWS)
        .map(|i| {
            let n = noise(i);
            Flow {
                src: ["10.0.0.1", "10.0.3.7", "10.1.9.9", "192.168.1.77"][(n % 4) as usize],
                dst: format!("198.51.{}.{}", n >> 8 & 0xff, n >> 16 & 0xff),
                sport: 32_768 + (n & 0x7fff) as u16,
                dport: if n.is_multiple_of(50) { n as u16 } else { ports[(n >> 4) as usize % ports.len()] },
                protocol: if n >> 4 & 3 == 1 { 17 } else { 6 },
                flags: [0x1b, 0x1f, 0x02, 0x13][(n >> 20) as usize % 4],
                bytes: u64::from(n % 100_000),
                country: countries[(n >> 24) as usize % countries.len()],
                time: T0 + i64::from(i) * 33,
                ..Flow::default()
            }
        })
        .collect();
    batch(&flows)
}

fn compile(yaml: &str) -> RuleSet {
    let (rules, issues) = RuleSet::compile(parse(yaml).documents);
    assert!(issues.is_empty(), "{issues:?}");
    rules
}

fn fifty_rules() -> RuleSet {
    let selections = [
        "protocol: tcp, dst_port: 22, bytes|lt: 5000",
        "protocol: tcp, dst_port: [23, 512, 513, 514, 2323], src_ip|cidr: 10.0.0.0/8",
        "protocol: tcp, tcp_flags|bits: SYN, tcp_flags|nobits: ACK",
        "dst_country: [NZ, NL, SE], bytes|gte: 90000",
        "dst_ip|cidr: [203.0.113.0/24, 198.51.7.0/24, 2001:db8::/32], dst_port|gt: 1024",
        "protocol: udp, dst_port: 53, bytes|gt: 4096",
        "dst_port: [6667, 6697, 4444, 1337, 31337, 5555, 9001], protocol: tcp",
        "src_ip|cidr: 192.168.0.0/16, dst_ip|cidr: 10.0.0.0/8",
        "indicator|exists: true",
        "protocol: tcp, dst_port: 3389, dst_country|exists: true",
    ];
    let yaml: String = (0..50)
        .map(|i| {
            let selection = selections[i % selections.len()];
            // Each group of ten has one line of its own, so that not everything is shared.
            format!(
                "---\ntitle: r{i}\nid: r{i}\nlogsource: {{category: firewall}}\ndetection:\n  s: {{{selection}}}\n  f: {{src_port: {}}}\n  condition: s and not f\n",
                40_000 + i / selections.len()
            )
        })
        .collect();
    compile(&yaml)
}

#[divan::bench]
fn fifty_plain_rules(bencher: Bencher) {
    let (rules, batch) = (fifty_rules(), ordinary());
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| black_box(rules.evaluate(black_box(&batch))));
}

const BASE: &str =
    "title: b\nname: base\nlogsource: {category: firewall}\ndetection: {s: {dst_port|gte: 0}, condition: s}\n---\n";

fn correlate(bencher: Bencher, body: &str, flows: impl Fn(i64) -> Vec<Flow>) {
    let rules = compile(&format!("{BASE}title: c\ncorrelation: {{{body}}}\n"));
    let batches: Vec<_> = (0..16).map(|i| batch(&flows(i))).collect();
    let matches: Vec<_> = batches.iter().map(|b| rules.evaluate(b)).collect();
    let mut state = Correlator::new(CorrelatorLimits::default());
    let mut next = 0;
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let i = next % batches.len();
        next += 1;
        black_box(state.step(&rules, next as u64, &batches[i], &matches[i]))
    });
}

/// One source, ten thousand new ports a batch: the worst port scan.
#[divan::bench]
fn scan_of_all_ports(bencher: Bencher) {
    let body =
        "type: value_count, rules: [base], group-by: [src_ip], timespan: 1m, condition: {field: dst_port, gte: 100}";
    correlate(bencher, body, |b| {
        let port = |i: u32| (b as u32 * ROWS + i) as u16;
        (0..ROWS).map(|i| Flow { dport: port(i), time: T0 + b * 33_000 + i64::from(i), ..Flow::default() }).collect()
    });
}

/// Every flow from the same few pairs: a flood.
#[divan::bench]
fn flood_of_one_target(bencher: Bencher) {
    let body = "type: event_count, rules: [base], group-by: [dst_ip, dst_port], timespan: 1m, condition: {gte: 1000}";
    correlate(bencher, body, |b| {
        (0..ROWS).map(|i| Flow { time: T0 + b * 33_000 + i64::from(i), ..Flow::default() }).collect()
    });
}

/// Sixty thousand destinations, one after the other: as many groups.
#[divan::bench]
fn many_groups(bencher: Bencher) {
    let body = "type: event_count, rules: [base], group-by: [dst_ip], timespan: 1m, condition: {gte: 1000}";
    correlate(bencher, body, |b| {
        let dst = |n: u32| format!("10.{}.{}.{}", n >> 16 & 0xff, n >> 8 & 0xff, n & 0xff);
        (0..ROWS)
            .map(|i| Flow {
                dst: dst(noise(b as u32 * ROWS + i) % 60_000),
                time: T0 + b * 33_000 + i64::from(i),
                ..Flow::default()
            })
            .collect()
    });
}
