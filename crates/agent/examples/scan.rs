//! Scans a folder into a baseline, or compares it with one, and prints the figures: `scan FOLDER BASELINE [compare]`,
//! `SCAN_THREADS` and `SCAN_RATE` (bytes a second) in the environment.
#![expect(clippy::print_stdout, reason = "an example's output")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use guardian_agent::files::{Baseline, Comparison, Options, Policy, Writer, scan};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, baseline, compare @ ..] = &arguments[..] else { return Err("scan FOLDER BASELINE [compare]".into()) };
    let policy = Policy { roots: vec![PathBuf::from(root)], ..Policy::linux() };
    let default = Options::default();
    let options = Options {
        threads: number("SCAN_THREADS").map_or(default.threads, |n| n as usize),
        bytes_per_second: number("SCAN_RATE").unwrap_or(0),
        ..default
    };
    let begun = Instant::now();
    let summary = if compare.is_empty() {
        let writer = Mutex::new(Writer::new(File::create(baseline)?)?);
        let summary = scan(&policy, options, &|folder| {
            writer.lock().expect("no writer panics").add(&folder).expect("the disk has room");
        });
        writer.into_inner().map_err(|_| "the writer ended badly")?.finish()?;
        summary
    } else {
        let before = Baseline::open(Path::new(baseline))?;
        let comparison = Mutex::new(Comparison::new(&before, &policy));
        let summary = scan(&policy, options, &|folder| {
            for change in comparison.lock().expect("no comparison panics").folder(&folder).expect("a sound baseline") {
                println!("{} {:?}", change.path.display(), change.what);
            }
        });
        let comparison = comparison.into_inner().map_err(|_| "the comparison ended badly")?;
        comparison.finish()?.iter().for_each(|change| println!("{} gone", change.path.display()));
        summary
    };
    let usage = guardian_sys::process::cpu_time()?;
    let peak = guardian_sys::process::peak_resident_bytes()? >> 20;
    println!(
        "{:.2} s, {:.2} s of processor, {peak} MiB at most, {summary:?}",
        begun.elapsed().as_secs_f64(),
        usage.as_secs_f64()
    );
    Ok(())
}
