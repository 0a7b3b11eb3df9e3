//! Statements over the tables of live queries: nothing panics, none changes anything, and bounds of rows, bytes and time hold.
#![no_main]

use std::time::{Duration, Instant};

use guardian_agent::queries::engine;
use guardian_protocol::answer;
use guardian_protocol::message::Query;
use libfuzzer_sys::fuzz_target;

const ROWS_MAX: u32 = 50;
const BYTES_MAX: u64 = 64 << 10;
/// Tables that read whole disks, or take the time of one, where they are asked for it.
const LONG: &[&str] =
    &["file", "hash", "suid", "attributes", "memory_map", "packages", "certificates", "sockets", "ports"];

fuzz_target!(|input: &[u8]| {
    let Ok(sql) = std::str::from_utf8(input) else { return };
    let lower = sql.to_lowercase();
    if LONG.iter().any(|name| lower.contains(name)) {
        return;
    }
    let query = Query { id: [1; 16], sql: sql.to_owned(), timeout_ms: 200, rows_max: ROWS_MAX, bytes_max: BYTES_MAX };
    let (mut width, mut rows, mut bytes, mut ended) = (0, 0, 0, false);
    let begun = Instant::now();
    let sent = engine::run(&query, &mut |part| {
        assert!(!ended, "nothing comes behind the end");
        if part.part == 0 {
            width = part.columns.len();
        }
        rows += answer::check(&part, width).expect("an answer of our own").len();
        bytes += u64::from(part.raw_bytes);
        ended = part.last;
        Ok(())
    });
    assert!(sent.is_ok() && ended && rows <= ROWS_MAX as usize && bytes <= BYTES_MAX);
    assert!(begun.elapsed() < Duration::from_secs(8));
});
