//! Archives of advisories as they are carried about, names of images, and what a registry says of one, on every input: nothing
//! panics, nothing grows beyond its limits, and no name leads out of its repository.
#![no_main]

#[path = "../../crates/vuln/tests/it/every_source.rs"]
mod every_source;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| every_source::bundles(input));
