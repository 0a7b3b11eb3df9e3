//! Every reader of what package managers and systems keep, on every input: nothing panics, and nothing grows beyond its
//! limits. A reader that does not know its format is done after a few bytes, so that one target serves all.
#![no_main]

#[path = "../../crates/inventory/tests/it/every_reader.rs"]
mod every_reader;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| every_reader::all(input));
