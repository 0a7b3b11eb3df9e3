//! Sequences of NetFlow v5, v7 and v9 datagrams into one decoder: nothing panics, state stays within its limits, and
//! rows agree with the counters.
#![no_main]

#[path = "../support/datagrams.rs"]
mod datagrams;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| datagrams::run(input, &[9, 9, 9, 9, 9, 9, 5, 7]));
