//! What answers an enrolment: nothing panics, and a machine is somebody only by an answer that says all of it.
#![no_main]

use guardian_agent::enrol::{identity, parse, pin_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    pin_of(&String::from_utf8_lossy(input));
    let (status, body) = match parse(input) {
        Some((status, body)) => {
            assert!(body.len() < input.len());
            (status, body)
        }
        // Most of what is tried is no HTTP: it is taken as what came in one.
        None => (201, input.to_vec()),
    };
    let found = identity("https://192.0.2.10", "no key".to_owned(), status, &body);
    assert!(found.is_err(), "there is no key");
});
