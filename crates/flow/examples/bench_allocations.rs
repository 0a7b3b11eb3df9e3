//! Counts memory allocations of decoding in steady state: per datagram within a batch, and per finished batch.
//!
//! `cargo run -p guardian-flow --example bench_allocations [-- --json]`: a table, or one JSON object a line. A program of
//! its own, because counting slows every allocation down and would favour us in the comparison of speeds.

#[path = "../tests/support/encode.rs"]
mod encode;
#[path = "../tests/support/load.rs"]
mod load;

use allocation_counter::measure;
use load::{Load, Ours, loads};

/// Allocations a datagram that are allowed on average: those of finishing batches, spread over their datagrams.
const FLOOR: f64 = 1.0;

/// Allocations per datagram, those of finished batches included.
fn allocations(load: &Load) -> f64 {
    let mut ours = Ours::new(load);
    let passes = 200;
    let mut all = || {
        let flows: u64 = (0..passes).flat_map(|_| &load.datagrams).map(|d| ours.datagram(d)).sum();
        assert_eq!(flows, passes * load.flows, "{}: every flow is decoded", load.name);
    };
    all();
    measure(all).count_total as f64 / (passes as f64 * load.datagrams.len() as f64)
}

#[expect(clippy::print_stdout, reason = "a measuring program prints its figures")]
fn main() {
    let json = std::env::args().any(|arg| arg == "--json");
    for load in loads() {
        let (bench, value) = (format!("flow/allocations/{}", load.name), allocations(&load));
        let pass = value < FLOOR;
        if json {
            let line = serde_json::json!({
                "bench": bench, "value": value, "unit": "allocations/datagram", "floor": FLOOR, "pass": pass,
            });
            println!("{line}");
        } else {
            println!("{bench:<28} {value:.3} allocations/datagram  {}", if pass { "pass" } else { "FAIL" });
        }
    }
}
