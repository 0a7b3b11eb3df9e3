//! Every source of advisories, vectors, package URLs and the store itself on every input: nothing panics, and nothing
//! grows beyond its limits.
#![no_main]

#[path = "../../crates/vuln/tests/it/every_source.rs"]
mod every_source;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| every_source::all(input));
