//! A copy made while rows come in and files are merged holds what was durable, each row once.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use guardian_kit::config::{ByteSize, Duration};
use guardian_lake::{LakeConfig, snapshot};
use guardian_model::Scope;

use crate::data::{config, flows, numbers, open, open_with, tenant};

const ROWS: u32 = 200;

/// Ends the writer, also when the test fails.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_copy_of_a_busy_lake_is_whole() {
    copy_again_and_again(false);
}

#[test]
fn a_copy_of_a_busy_encrypted_lake_is_whole() {
    copy_again_and_again(true);
}

fn copy_again_and_again(encryption: bool) {
    let dir = tempfile::tempdir().unwrap();
    let busy = LakeConfig {
        flush_rows: 2_000,
        flush_after: Duration::millis(10),
        compact_rows: 20_000,
        compact_rows_per_second: 10_000_000,
        wal_segment: ByteSize::kib(64),
        encryption,
        ..config(dir.path())
    };
    let lake = open_with(busy);
    let scope = Scope::of(tenant(1));
    let (durable, done) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut first = 0;
            while !done.load(Ordering::Acquire) {
                lake.append(&flows(tenant(1), first, ROWS), None).unwrap().durable.wait().unwrap();
                first += ROWS;
                durable.store(first, Ordering::Release);
            }
        });
        let _ended = Ended(&done);
        for round in 0..20 {
            while durable.load(Ordering::Acquire) < (round + 1) * 3 * ROWS {
                std::thread::yield_now();
            }
            let before = durable.load(Ordering::Acquire);
            let copy = tempfile::tempdir_in(dir.path()).unwrap();
            let files = snapshot(dir.path(), copy.path()).unwrap();
            assert!(files.iter().all(|file| copy.path().join(file).is_file()));
            let restored = open(copy.path());
            let found = numbers(&restored, &scope);
            let count = u32::try_from(found.len()).unwrap();
            assert!(count >= before, "{count} of at least {before} rows");
            assert_eq!(restored.stats().wal_damage, 0, "nothing looks as if it was taken out");
            assert_eq!(found, (0..count).collect::<Vec<_>>(), "each row once, none left out");
        }
    });
}

#[test]
fn a_lake_that_is_not_there_has_an_empty_copy() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(snapshot(&dir.path().join("nowhere"), copy.path()).unwrap().is_empty());
}
