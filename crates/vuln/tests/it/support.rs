//! Stores made of documents that the tests write.

use std::io::Write as _;

use guardian_vuln::ecosystem::Ecosystem;
use guardian_vuln::load::Loader;
use guardian_vuln::matching::{Component, Finding, weigh};
use guardian_vuln::sources::Document;
use guardian_vuln::store::{Store, folder};

/// A store of these documents.
pub(crate) fn store(documents: &[(&str, &str)]) -> (tempfile::TempDir, Store) {
    let mut loader = Loader::default();
    for (name, text) in documents {
        loader.document(&Document { name, bytes: text.as_bytes() });
    }
    assert!(loader.issues.is_empty(), "{:?}", loader.issues);
    assert_eq!(loader.unknown, 0, "a document of no source");
    let home = tempfile::tempdir().unwrap();
    folder::publish(home.path(), loader.finish(), 1_764_000_000, 3).unwrap();
    let store = folder::open(home.path(), None).unwrap();
    assert!(store.is_whole());
    (home, store)
}

/// A package of the ecosystem `family:release`.
pub(crate) fn component(ecosystem: &str, name: &str, version: &str) -> Component {
    let (family, release) = ecosystem.split_once(':').unwrap_or((ecosystem, ""));
    Component::new(Ecosystem::new(family, release).unwrap(), name, version)
}

/// What is known of one vulnerability in the package.
pub(crate) fn one(store: &Store, component: &Component, vulnerability: &str) -> Option<Finding> {
    weigh(store, component).into_iter().find(|finding| finding.vulnerability == vulnerability)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
