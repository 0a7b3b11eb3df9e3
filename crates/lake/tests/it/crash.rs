//! A process that appends is killed at random instants; what it was told to be durable is there, exactly once.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use guardian_kit::config::{ByteSize, Duration as Span};
use guardian_model::Scope;

use crate::data::{config, flows, numbers, open_with, tenant};

const DIR: &str = "GUARDIAN_LAKE_CRASH_DIR";
const FIRST: &str = "GUARDIAN_LAKE_CRASH_FIRST";
const ENCRYPTED: &str = "GUARDIAN_LAKE_CRASH_ENCRYPTED";
const ROWS: u32 = 200;
const ROUNDS: u32 = 24;

fn crash_config(dir: &Path, encryption: bool) -> guardian_lake::LakeConfig {
    guardian_lake::LakeConfig {
        encryption,
        flush_rows: 3_000,
        flush_after: Span::millis(20),
        compact_rows: 20_000,
        compact_rows_per_second: 10_000_000,
        wal_segment: ByteSize::kib(64),
        ..config(dir)
    }
}

/// The process that is killed: appends batches and says which are durable. Run by hand it does nothing.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let mut first: u32 = std::env::var(FIRST).unwrap().parse().unwrap();
    let lake = open_with(crash_config(Path::new(&dir), std::env::var_os(ENCRYPTED).is_some()));
    let mut out = std::io::stdout();
    loop {
        let appended = lake.append(&flows(tenant(1), first, ROWS), Some(u64::from(first))).unwrap();
        appended.durable.wait().unwrap();
        writeln!(out, "\ndurable {first}").unwrap();
        out.flush().unwrap();
        first += ROWS;
    }
}

#[test]
fn killed_at_any_instant_nothing_is_lost_or_doubled() {
    kill_again_and_again(false);
}

#[test]
fn killed_at_any_instant_nothing_is_lost_or_doubled_encrypted() {
    kill_again_and_again(true);
}

fn kill_again_and_again(encrypted: bool) {
    let dir = tempfile::tempdir().unwrap();
    let scope = Scope::of(tenant(1));
    let mut durable: Vec<u32> = Vec::new();
    let mut first = 0;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..ROUNDS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(DIR, dir.path())
            .env(FIRST, first.to_string())
            .envs(encrypted.then_some((ENCRYPTED, "1")))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let reader = BufReader::new(child.stdout.take().unwrap());
        let (seen, first_durable) = std::sync::mpsc::sync_channel(1);
        let acknowledged = std::thread::spawn(move || {
            let lines = reader.lines().map_while(Result::ok);
            let durable = lines.filter_map(|l| l.strip_prefix("durable ").and_then(|n| n.parse().ok()));
            // Nobody listens in the rounds that end during the start.
            durable.inspect(|_| seen.try_send(()).unwrap_or_default()).collect::<Vec<u32>>()
        });
        // Some die while they start, most while they work.
        if round % 4 != 0 {
            first_durable.recv_timeout(Duration::from_secs(20)).ok();
        }
        std::thread::sleep(Duration::from_millis((random >> 33) % 150));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = acknowledged.join().unwrap();
        // The next child's numbers start behind everything this one may have accepted.
        first = acknowledged.last().map_or(first, |last| last + ROWS) + 10 * ROWS;
        durable.extend(acknowledged);
        if round % 6 == 5 {
            verify(dir.path(), encrypted, &scope, &durable);
        }
    }
    assert!(durable.len() > 20, "only {} batches were accepted", durable.len());
    verify(dir.path(), encrypted, &scope, &durable);
}

fn verify(dir: &Path, encrypted: bool, scope: &Scope, durable: &[u32]) {
    let lake = open_with(crash_config(dir, encrypted));
    let found = numbers(&lake, scope);
    let mut unique = found.clone();
    unique.dedup();
    assert_eq!(found.len(), unique.len(), "rows are there twice");
    for first in durable {
        for n in *first..first + ROWS {
            assert!(found.binary_search(&n).is_ok(), "row {n} was durable and is lost");
        }
    }
    // Batches are whole or absent.
    assert_eq!(found.len() as u32 % ROWS, 0);
    if let Some(last) = durable.last() {
        assert!(lake.last_mark(&guardian_model::FLOW) >= Some(u64::from(*last)));
    }
}
