//! Any three texts in the order of every scheme: nothing panics, and whichever way they are asked the answer is the same.
//! Lines of the input are the texts; the first two are a version and a range of npm too.
#![no_main]

use guardian_inventory::version::{Scheme, npm};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let (a, b) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    for scheme in Scheme::ALL {
        assert!(scheme.compare(a, a).is_eq());
        assert_eq!(scheme.compare(a, b), scheme.compare(b, a).reverse());
    }
    npm::satisfies(a, b);
});
