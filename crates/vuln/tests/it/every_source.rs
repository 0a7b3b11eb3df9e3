//! Every source of the crate on one input, and what is built of it, for the tests beside it and for
//! `fuzz/fuzz_targets/advisories.rs`, `documents.rs` and `bundles.rs`, which take this file by its path.

use guardian_vuln::advisory::{Advisory, Signal};
use guardian_vuln::cvss::Vector;
use guardian_vuln::load::Loader;
use guardian_vuln::purl::Purl;
use guardian_vuln::report::{About, Ignored};
use guardian_vuln::sbom::{self, Form};
use guardian_vuln::sources::{self, Document, Sink};
use guardian_vuln::store::{Opened, Store};
use guardian_vuln::{scan, vex};

/// Takes everything and looks at nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn advisory(&mut self, advisory: Advisory) {
        assert!(advisory.aliases.len() <= guardian_vuln::limits::LIST_MAX);
    }
    fn signal(&mut self, _: &str, _: Signal) {}
    fn malformed(&mut self, _: &str, _: &str) {}
    fn empty(&mut self) {}
}

/// Every source on the same bytes, whether it would take them or not.
pub(crate) fn all(input: &[u8]) {
    for name in ["a.json", "a.yaml"] {
        let document = Document { name, bytes: input };
        for source in sources::ALL {
            source.read(&document, &mut Nowhere).ok();
        }
        Loader::default().document(&document);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        if let Ok(vector) = text.parse::<Vector>() {
            assert!(vector.base().0 <= 100 && vector.threat().0 <= 100 && vector.environmental().0 <= 100);
            assert_eq!(vector.to_string().parse(), Ok(vector));
        }
        drop(Purl::new(text).and_then(|purl| purl.component(None)));
        drop(Ignored::read(text));
    }
    if let Ok(store) = Store::of(Opened::Bytes(input.to_vec())) {
        drop((store.given(), store.ecosystems().len(), store.named("x").count(), store.is_whole()));
    }
}

/// Bills of materials, what is said of products, and images.
pub(crate) fn documents(input: &[u8]) {
    drop(vex::read(input));
    drop(guardian_vuln::import::read(input));
    drop(scan::archive(input, "amd64"));
    let Some(Ok(scanned)) = sbom::read("x", input) else { return };
    let about = About { version: "1", author: "", time_s: 0 };
    for (_, form) in Form::ALL {
        // What was read is read back.
        let again = sbom::read("x", sbom::write(form, &scanned, &about).as_bytes()).unwrap().unwrap();
        assert!(again.packages.len() <= scanned.packages.len());
    }
}

/// Archives of advisories, names of images, and what a registry says of one.
pub(crate) fn bundles(input: &[u8]) {
    // What Brotli compressed is told by its name alone.
    for name in ["a", "a.br"] {
        let mut loader = Loader::default();
        loader.stream(name, input).ok();
        assert!(loader.issues.len() <= guardian_vuln::limits::ISSUES_MAX);
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(reference) = text.parse::<scan::Reference>()
    {
        // Whoever asks by it stays in the repository.
        assert!(!reference.repository.contains("..") && !reference.host.contains('/'), "{reference}");
        assert_eq!(reference.to_string().parse(), Ok(reference));
    }
    if let Ok(reference) = "registry.example/a:1".parse() {
        drop(scan::pull(&mut Same(input), &reference, "amd64"));
    }
}

/// A registry that always gives the same.
struct Same<'a>(&'a [u8]);

impl scan::Registry for Same<'_> {
    fn manifest(&mut self, _: &str) -> std::io::Result<Box<dyn std::io::Read + '_>> {
        Ok(Box::new(self.0))
    }
    fn blob(&mut self, _: &str) -> std::io::Result<Box<dyn std::io::Read + '_>> {
        Ok(Box::new(self.0))
    }
}
