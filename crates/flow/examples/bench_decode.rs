//! Measures decoding into columns against the crate `netflow_parser`, on the same datagrams in the same run, one core.
//!
//! `cargo run -p guardian-flow --example bench_decode [-- [--json] [--only netflow5|netflow9|ipfix]]`: a table, or one
//! JSON object a line. Figures are medians of rounds that alternate between the two, in flows a core-second; ours
//! include finished Arrow batches.

use std::time::{Duration, Instant};

#[path = "../tests/support/encode.rs"]
mod encode;
#[path = "../tests/support/load.rs"]
mod load;
#[path = "../tests/support/peer.rs"]
mod peer;

use load::{Load, Ours, loads};
use peer::Theirs;

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(50);
/// v9 and IPFIX must be this much faster than the peer.
const RATIO_FLOOR: f64 = 8.0;
/// v5 must reach this many flows a second, or be level with the peer's structures, whichever is less.
const V5_FLOOR: f64 = 40e6;

/// Time this thread was on a core, so that a busy machine does not blur the figures; wall time where Linux does not
/// tell.
fn on_core(since: Instant) -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

/// Flows a core-second of one round.
fn round(load: &Load, mut datagram: impl FnMut(&[u8]) -> u64) -> f64 {
    let (since, mut flows) = (Instant::now(), 0);
    let start = on_core(since);
    loop {
        for _ in 0..50 {
            let pass: u64 = load.datagrams.iter().map(|d| datagram(d)).sum();
            assert_eq!(pass, load.flows, "{}: every flow is decoded", load.name);
            flows += pass;
        }
        let spent = on_core(since).saturating_sub(start);
        if spent >= ROUND {
            return flows as f64 / spent.as_secs_f64();
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::print_stdout, reason = "a measuring program prints its figures")]
fn measure(load: &Load, json: bool) {
    let (mut ours, mut theirs) = (Ours::new(load), Theirs::new(load));
    let (mut values, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        values.push(round(load, |d| ours.datagram(d)));
        peers.push(round(load, |d| theirs.datagram(d)));
    }
    let (value, peer) = (median(values), median(peers));
    let floor = if load.name == "netflow5" { V5_FLOOR.min(peer) } else { RATIO_FLOOR * peer };
    let (bench, ratio, pass) = (format!("flow/decode/{}", load.name), value / peer, value >= floor);
    if json {
        let line = serde_json::json!({
            "bench": bench, "value": value, "unit": "flows/core-s", "peer": "netflow_parser 1.0.6", "peer_value": peer,
            "ratio": ratio, "floor": floor, "pass": pass,
        });
        println!("{line}");
    } else {
        let verdict = if pass { "pass" } else { "FAIL" };
        println!(
            "{bench:<24} {value:>12.0} flows/core-s  peer {peer:>12.0}  ratio {ratio:>5.2}  floor {floor:>12.0}  {verdict}"
        );
    }
}

fn main() {
    let json = std::env::args().any(|arg| arg == "--json");
    let only = std::env::args().skip_while(|arg| arg != "--only").nth(1);
    let wanted = |load: &&Load| only.as_ref().is_none_or(|name| name == load.name);
    loads().iter().filter(wanted).for_each(|load| measure(load, json));
}
