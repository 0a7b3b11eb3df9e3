//! What the agent reads of files that anybody may have written: attributes, texts whose secrets are masked and whose
//! differences are told, and what it kept itself. Nothing panics, and bounds hold.
#![no_main]

use std::path::Path;

use guardian_agent::files::{Ledger, Mask, acl_text, capabilities_text, difference, keep};
use libfuzzer_sys::fuzz_target;

/// A secret that must never be seen.
const SECRET: &str = "hunter2-S3CRET";

fuzz_target!(|input: &[u8]| {
    drop(capabilities_text(input));
    drop(acl_text(input, &|_, _| None));
    drop(Ledger::from_bytes(input));
    let (before, after) = input.split_at(input.len() / 2);
    for path in ["/etc/app.conf", "/etc/shadow", "/etc/x.key"] {
        let mask = Mask::new(Path::new(path), &[7; 32]);
        let (Some(old), Some(new)) = (keep(before, &mask), keep(after, &mask)) else { continue };
        let told = difference(&old, &new);
        assert!(told.unified.len() < (64 << 10) + 2_000);
        assert_eq!(difference(&old, &old).unified, "");
    }
    // Whatever stands before it, a plain setting on a line of its own is masked.
    if let Ok(text) = std::str::from_utf8(before)
        && !text.contains("PRIVATE KEY")
    {
        let text = format!("{text}\npassword = {SECRET}\n");
        let mask = Mask::new(Path::new("/etc/app.conf"), &[7; 32]);
        if let Some(kept) = keep(text.as_bytes(), &mask) {
            let none = keep(b"", &mask).unwrap_or_else(|| unreachable!("nothing is text"));
            assert!(!difference(&none, &kept).unified.contains(SECRET));
        }
    }
});
