//! The crate as its callers use it.

#[path = "it/cvss.rs"]
mod cvss;
#[path = "it/every_source.rs"]
mod every_source;
#[path = "it/image.rs"]
mod image;
#[path = "it/import.rs"]
mod import;
#[path = "it/matching.rs"]
mod matching;
#[path = "it/risk.rs"]
mod risk;
#[path = "it/sbom.rs"]
mod sbom;
#[path = "it/scan.rs"]
mod scan;
#[path = "it/sources.rs"]
mod sources;
#[path = "it/store.rs"]
mod store;
#[path = "it/support.rs"]
mod support;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_source_takes_anything(input in prop::collection::vec(any::<u8>(), 0..300)) {
        every_source::all(&input);
        every_source::documents(&input);
        every_source::bundles(&input);
    }
}
