//! The package managers of languages.

use guardian_inventory::{cargo, gem, go, jar, npm, python};

use crate::{fixture, text};

#[test]
fn pip_says_the_same() {
    let list = text("python.txt");
    for line in list.lines() {
        let (name, version) = line.split_once("==").unwrap();
        let package = python::parse(&fixture(&format!("python-{name}"))).unwrap();
        assert_eq!((python::normalise(&package.name), package.version.as_str()), (name.to_owned(), version));
        assert_eq!(package.licences, ["MIT License"], "{name}");
    }
    assert_eq!(list.lines().count(), 3);
    let expression = b"Name: a\nVersion: 1\nLicense-Expression: MIT OR Apache-2.0\nLicense: other\n\nText: x\n";
    assert_eq!(python::parse(expression).unwrap().licences, ["MIT OR Apache-2.0"]);
}

#[test]
fn npm_says_the_same() {
    let found = npm::parse_lock(&fixture("npm-lock.json")).unwrap();
    let all: Vec<_> =
        found.entries.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.licences[0].as_str())).collect();
    assert_eq!(all, [("@types/ms", "2.1.0", "MIT"), ("ms", "2.1.3", "MIT"), ("semver", "5.7.2", "ISC")]);
    let package = npm::parse(&fixture("npm-package.json")).unwrap();
    assert_eq!((package.name.as_str(), package.version.as_str()), ("semver", "5.7.2"));
    let old = br#"{"name":"a","version":"1","licenses":[{"type":"MIT"},"BSD"],"author":{"name":"Jane"}}"#;
    let package = npm::parse(old).unwrap();
    assert_eq!((package.licences.join(","), package.vendor.as_str()), ("MIT,BSD".to_owned(), "Jane"));
    assert!(npm::parse(b"[]").is_err());
}

#[test]
fn gem_says_the_same() {
    let package = gem::parse(&fixture("gem-specification")).unwrap();
    assert_eq!(
        (package.name.as_str(), package.version.as_str(), package.arch.as_str()),
        ("acme-tool", "1.4.2", "ruby")
    );
    assert_eq!(package.licences, ["MIT", "GPL-2.0-only"]);
    assert_eq!(package.vendor, "Jane Doe, Joe Bloggs");
}

#[test]
fn cargo_lists_what_it_installed_and_locked() {
    let installed = br#"{"installs":{"cargo-fuzz 0.13.2 (registry+https://example.net/index)":{"target":"x86_64-unknown-linux-gnu"},"odd":{}}}"#;
    let found = cargo::parse_installed(installed).unwrap();
    assert_eq!((found.entries.len(), found.issues.len()), (1, 1));
    assert_eq!(found.entries[0].source, "registry+https://example.net/index");
    let lock = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
    let found = cargo::parse_lock(&lock);
    assert_eq!(found.entries.len(), String::from_utf8(lock).unwrap().matches("[[package]]").count());
    assert!(found.issues.is_empty());
    let ours = found.entries.iter().find(|p| p.name == "guardian-inventory").unwrap();
    assert_eq!((ours.version.as_str(), ours.source.as_str()), (env!("CARGO_PKG_VERSION"), ""));
}

#[test]
fn go_says_the_same() {
    let found = go::parse(&fixture("go-program")).unwrap();
    let all: Vec<_> = found.entries.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.arch.as_str())).collect();
    let expected =
        [("stdlib", "1.19.8", "amd64"), ("example.net/acme", "(devel)", "amd64"), ("./lib", "(devel)", "amd64")];
    assert_eq!(all, expected);
    assert_eq!(found.entries[2].source, "example.net/lib");
    assert!(text("go.txt").contains("go1.19.8") && text("go.txt").contains("=>\t./lib\t(devel)"));
    assert!(go::parse(b"\x7fELF nothing of Go").is_err());
}

#[test]
fn archives_in_archives_are_found() {
    let found = jar::parse("java-app.war", &fixture("java-app.war")).unwrap();
    let mut all: Vec<_> = found.entries.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect();
    all.sort_unstable();
    assert_eq!(all, [("net.example:acme-core", "1.4.2"), ("plain-lib", "3.1")]);
    let core = found.entries.iter().find(|p| p.version == "1.4.2").unwrap();
    assert_eq!(core.licences, ["https://www.apache.org/licenses/LICENSE-2.0.txt"]);
    assert!(jar::parse("x.jar", b"PK\x03\x04 not really").is_err());
}
