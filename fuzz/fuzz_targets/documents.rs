//! Bills of materials, statements on products (VEX) and images of containers on every input: nothing panics, nothing grows
//! beyond its limits, and what was read of a bill is read back from what is written.
#![no_main]

#[path = "../../crates/vuln/tests/it/every_source.rs"]
mod every_source;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| every_source::documents(input));
