//! What nodes of osquery send: nothing panics, and what is read is within its bounds.
#![no_main]

use guardian_osquery::{Line, answers, asks_to_carve, carve_block, carve_start, enrol, limits, logs, node_key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(wanted) = enrol(input) {
        assert!(!wanted.name.is_empty() && wanted.name.chars().count() <= limits::NAME_CHARS_MAX);
        assert!(["linux", "windows", "other"].contains(&wanted.platform.as_str()));
    }
    let shown = node_key(input);
    if let Ok(found) = logs(input) {
        assert_eq!(shown.as_ref(), Ok(&found.node_key));
        for line in &found.lines {
            if let Line::Row { row, .. } = line {
                assert!(row.len() <= limits::LINE_BYTES_MAX && row.starts_with('{'));
            }
        }
    }
    if let Ok(found) = answers(input) {
        assert!(found.answers.len() <= limits::ANSWERS_MAX);
        for answer in &found.answers {
            assert!(answer.columns.len() <= limits::COLUMNS_MAX);
            assert!(answer.rows.iter().all(|row| row.len() == answer.columns.len()));
        }
    }
    if let Ok(found) = carve_start(input) {
        assert!(found.blocks <= limits::BLOCKS_MAX && found.block_bytes <= limits::BLOCK_BYTES_MAX);
        assert!(found.bytes > 0 && found.bytes <= found.blocks * found.block_bytes && !found.carve.is_empty());
    }
    if let Ok(found) = carve_block(input) {
        assert!((1..=limits::BLOCK_BYTES_MAX).contains(&(found.bytes.len() as u64)));
    }
    asks_to_carve(&String::from_utf8_lossy(input));
});
