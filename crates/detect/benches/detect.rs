//! What detection costs a flow: all shipped rules and detectors over realistic batches, divided into its parts.
//! Realistic means: mostly web, some DNS, NTP and SSH, 300 clients and 4,000 outside addresses, one scan and one
//! beacon among it; the floor is 500 ns a flow on one core.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use guardian_detect::fixture::{self, Shape};
use guardian_detect::{DetectConfig, Engine, detectors, shipped};
use guardian_model::{Batch, TenantId};
use guardian_rules::RuleSet;

fn main() {
    divan::main();
}

const BATCHES: usize = 8;
const ROWS: usize = 10_000;

/// An office of 300 hosts for a few minutes.
const OFFICE: &str = r"
- {src: 10.20.1.0..255, dst: 203.0.113.0..249, dport: 443, repeat: 26000, every: 0.01, jitter: 1, flags: SAPF, bytes: 700..4900, packets: 8..40, duration: 3, rev_flags: SAPF, rev_bytes: 3000..90000, rev_packets: 12..60}
- {src: 10.20.2.0..40, dst: 198.51.100.0..254, dport: 443, repeat: 8000, every: 0.03, jitter: 1, flags: SAPF, bytes: 700..9900, packets: 8..40, duration: 9, rev_flags: SAPF, rev_bytes: 3000..90000, rev_packets: 12..60}
- {src: 10.20.1.0..255, dst: 10.20.0.53, dport: 53, proto: udp, repeat: 5000, every: 0.05, jitter: 1, bytes: 60..90, packets: 1, rev_bytes: 90..300, rev_packets: 1}
- {src: 10.20.1.0..255, dst: 203.0.113.250..253, dport: 123, proto: udp, repeat: 600, every: 0.4, bytes: 76, rev_bytes: 76, rev_packets: 1}
- {src: 10.20.1.7, dst: 10.20.0.10, dport: 22, repeat: 100, every: 2, flags: SAPF, bytes: 5200, packets: 27, rev_flags: SAPF, rev_bytes: 5000, rev_packets: 21}
- {src: 198.51.100.66, dst: 10.20.0.10, dport: 1..1000, every: 0.05, flags: S, bytes: 44, rev_flags: RA, rev_bytes: 40, rev_packets: 1}
- {src: 10.20.1.9, dst: 203.0.113.99, dport: 443, repeat: 50, every: 5, jitter: 0.2, flags: SAPF, bytes: 1170, packets: 11, rev_flags: SAPF, rev_bytes: 2900, rev_packets: 9}
";

fn batches() -> Vec<Batch> {
    let fixture = fixture::parse(OFFICE).expect("the fixture is sound");
    let batches = fixture.batches(TenantId::DEFAULT, Shape::OneWay, ROWS);
    assert!(batches.len() >= BATCHES, "{} batches", batches.len());
    batches.into_iter().take(BATCHES).collect()
}

fn run(bencher: Bencher<'_, '_>, config: DetectConfig, rules: RuleSet) {
    let (batches, rules) = (batches(), Arc::new(rules));
    let rows: usize = batches.iter().map(|b| b.rows.num_rows()).sum();
    bencher
        .counter(ItemsCount::new(rows))
        .with_inputs(|| Engine::new(config.clone(), Arc::clone(&rules)))
        .bench_values(|mut engine| {
            for (id, batch) in (1..).zip(&batches) {
                divan::black_box(engine.process(id, batch));
            }
            engine
        });
}

fn no_detectors() -> DetectConfig {
    let disabled_detectors = detectors::ALL.iter().map(|d| d.id.to_owned()).collect();
    DetectConfig { disabled_detectors, ..DetectConfig::default() }
}

/// Everything.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn rules_and_detectors(bencher: Bencher<'_, '_>) {
    run(bencher, DetectConfig::default(), RuleSet::compile(shipped()).0);
}

/// The Sigma rules alone.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn rules_alone(bencher: Bencher<'_, '_>) {
    run(bencher, no_detectors(), RuleSet::compile(shipped()).0);
}

/// The detectors alone.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn detectors_alone(bencher: Bencher<'_, '_>) {
    run(bencher, DetectConfig::default(), RuleSet::empty());
}
