//! What is signed about releases, as it comes in JSON and in a frame: nothing panics, what is within bounds says the same when
//! it is said again, versions are ordered, and a version in a program is one.
#![no_main]

use guardian_protocol::Blob;
use guardian_protocol::release::{Manifest, SignedManifest, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some(version) = guardian_agent::upgrade::version_in(input) {
        assert!(Version::parse(version).is_some());
    }
    let Ok(text) = str::from_utf8(input) else { return };
    let mut words = text.split('\n');
    if let (Some(one), Some(other)) = (words.next().and_then(Version::parse), words.next().and_then(Version::parse)) {
        assert_eq!(one.cmp(&other), other.cmp(&one).reverse());
        assert_eq!(Version::parse(&one.to_string()), Some(one));
    }
    if let Ok(signed) = serde_json::from_str::<SignedManifest>(text) {
        check(&signed);
    }
    check(&SignedManifest { manifest: text.to_owned(), key: Blob(vec![1; 32]), signature: Blob(vec![2; 64]) });
});

fn check(signed: &SignedManifest) {
    let Ok(manifest) = signed.read() else { return };
    assert!(Version::parse(&manifest.version).is_some() && !manifest.version.contains('/'));
    assert!(!manifest.may_replace(&manifest.version));
    let again: Manifest =
        serde_json::from_str(&serde_json::to_string(&manifest).expect("texts and numbers")).expect("ours");
    assert_eq!(again, manifest);
    assert!(signed.statement().ends_with(signed.manifest.as_bytes()));
}
