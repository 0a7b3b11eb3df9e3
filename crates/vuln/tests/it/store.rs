//! The store as a file: what it keeps, what it does with a damaged one, and what was known then.

use guardian_vuln::load::Loader;
use guardian_vuln::sources::Document;
use guardian_vuln::store::{Error, Opened, Store, folder};

use crate::support::{bzip2, component, store, xz};

fn secdb(package: &str) -> String {
    format!(
        r#"{{ "apkurl": "x", "urlprefix": "https://packages.wolfi.dev", "packages": [ {{ "pkg": {{ "name": "{package}",
            "secfixes": {{ "1.0-r1": ["CVE-2030-1000"] }} }} }} ] }}"#
    )
}

#[test]
fn every_name_of_an_advisory_finds_it() {
    let osv = r#"{ "schema_version": "1", "id": "USN-1-1", "modified": "2030-01-01T00:00:00Z", "upstream": ["CVE-2030-1"],
        "summary": "x", "affected": [{ "package": { "ecosystem": "Ubuntu:22.04:LTS", "name": "x" },
        "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "2" }] }] }] }"#;
    let (_home, store) = store(&[("osv.json", osv)]);
    for name in ["USN-1-1", "CVE-2030-1"] {
        assert_eq!(store.named(name).map(|advisory| advisory.id()).collect::<Vec<_>>(), ["USN-1-1"]);
    }
    assert_eq!(store.named("CVE-2030-2").count(), 0);
    assert_eq!(store.given()[0].advisories, 1);
}

#[test]
fn what_was_known_then_can_be_asked_again() {
    let home = tempfile::tempdir().unwrap();
    for (day, package) in [(100, "first"), (200, "second"), (300, "third"), (400, "fourth")] {
        let mut loader = Loader::default();
        loader.document(&Document { name: "security.json", bytes: secdb(package).as_bytes() });
        folder::publish(home.path(), loader.finish(), day, 3).unwrap();
    }
    let knows = |at: Option<i64>, package: &str| {
        let store = folder::open(home.path(), at).unwrap();
        store.statements("wolfi", package).count() == 1
    };
    assert!(knows(None, "fourth") && knows(Some(399), "third") && knows(Some(200), "second"));
    // The oldest had to go, and before the oldest nothing was known.
    assert!(matches!(folder::open(home.path(), Some(199)), Err(Error::Malformed(..))));
    assert_eq!(folder::list(home.path()).unwrap().len(), 3);
}

#[test]
fn a_damaged_store_is_refused_or_says_less_and_never_panics() {
    let (home, _) = store(&[("security.json", &secdb("zlib"))]);
    let path = &folder::list(home.path()).unwrap()[0].1;
    let good = std::fs::read(path).unwrap();
    assert!(Store::of(Opened::Bytes(good[..good.len() - 1].to_vec())).is_err());
    assert!(Store::of(Opened::Bytes(Vec::new())).is_err());
    let package = component("wolfi", "zlib", "1.0-r0");
    for at in 0..good.len() {
        for bit in [0, 7] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let Ok(store) = Store::of(Opened::Bytes(bad)) else { continue };
            assert!(!store.is_whole() || at >= 200, "a change at {at} is not seen");
            let _ = guardian_vuln::matching::weigh(&store, &package);
            let _ = (store.named("CVE-2030-1000").count(), store.given(), store.ecosystems().len());
        }
    }
}

#[test]
fn a_malformed_record_is_counted_and_the_rest_is_read() {
    let mut loader = Loader::default();
    let tracker = r#"{ "good": { "CVE-2030-1": { "releases": { "bookworm": { "status": "open", "repositories": {},
        "urgency": "low" } } } }, "bad": { "CVE-2030-2": 3 }, "worse": 3 }"#;
    loader.document(&Document { name: "json", bytes: tracker.as_bytes() });
    loader.document(&Document { name: "cut.json", bytes: br#"{"schema_version": "1", "id": "X-1", "modified": "# });
    loader.document(&Document { name: "README", bytes: b"not an advisory" });
    assert_eq!((loader.documents, loader.unknown, loader.issues.len()), (2, 1, 3), "{:?}", loader.issues);
    assert_eq!(loader.issues[0].record, "bad CVE-2030-2");
    let home = tempfile::tempdir().unwrap();
    let built = folder::publish(home.path(), loader.finish(), 1, 1).unwrap();
    assert_eq!(built.advisories, 1);
}

#[test]
fn archives_are_read_as_the_files_in_them() {
    let home = tempfile::tempdir().unwrap();
    let text = secdb("zlib");
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, "wolfi/security.json", text.as_bytes()).unwrap();
    let tar = tar.into_inner().unwrap();
    let source = home.path().join("in");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("a.tar.zst"), zstd::bulk::compress(&tar, 3).unwrap()).unwrap();
    std::fs::write(source.join("b.json.zst"), zstd::bulk::compress(secdb("xz").as_bytes(), 3).unwrap()).unwrap();
    std::fs::write(source.join("bad.zip"), b"PK\x03\x04 but no more").unwrap();
    let mut loader = Loader::default();
    loader.path(&source).unwrap();
    assert_eq!((loader.documents, loader.issues.len()), (2, 1));
    folder::publish(&home.path().join("out"), loader.finish(), 1, 1).unwrap();
    let store = folder::open(&home.path().join("out"), None).unwrap();
    assert_eq!(store.ecosystems()["wolfi"], 2);
}

/// A list of a channel of NixOS, as Node's zlib compresses it by Brotli.
const CHANNEL: &str = "1b8800a0ac0aec86d78f57150d847346e8e363dd865a646f4b66eac0b0e8e4c84f1af8fd70086aad620c38d24c161c6c3dfab24524464f16723\
    ed9a6988d28341b59cef486cd47293794e2144be8068b210465a4541f087204e98621375db8abfc02f73ff8b5f7e1c39b3e70c1d851b5f52b";

#[test]
fn what_publishers_compress_otherwise_is_read_as_it_comes() {
    let home = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(home.path().join(name), bytes).unwrap();
    let vex = r#"{"@context": "https://openvex.dev/ns/v0.2.0", "timestamp": "2030-01-01T00:00:00Z", "statements":
        [{"vulnerability": {"name": "CVE-2030-0002"}, "status": "not_affected",
        "products": [{"@id": "pkg:deb/ubuntu/zlib@1?arch=source&distro=noble"}]}]}"#;
    let oval = r#"<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5"><definitions><definition
        class="patch" id="oval:com.oracle.elsa:def:1"><metadata><title>ELSA-2030-0001: zlib</title><affected
        family="unix"><platform>Oracle Linux 9</platform></affected><reference source="CVE" ref_id="CVE-2030-0003"/>
        </metadata><criteria><criterion test_ref="oval:com.oracle.elsa:tst:1" comment="zlib is earlier"/></criteria>
        </definition></definitions><tests><rpminfo_test id="oval:com.oracle.elsa:tst:1"><object
        object_ref="oval:com.oracle.elsa:obj:1"/><state state_ref="oval:com.oracle.elsa:ste:1"/></rpminfo_test></tests>
        <objects><rpminfo_object id="oval:com.oracle.elsa:obj:1"><name>zlib</name></rpminfo_object></objects><states>
        <rpminfo_state id="oval:com.oracle.elsa:ste:1"><evr datatype="evr_string" operation="less than">0:1.3-1</evr>
        </rpminfo_state></states></oval_definitions>"#;
    put("ubuntu.tar.xz", &xz(&archive(&[("vex/cve/2030/CVE-2030-0002.json", vex.as_bytes())])));
    put("oracle.xml.bz2", &bzip2(oval.as_bytes()));
    put("nixos-unstable.json.br", &of_hex(CHANNEL));
    put("cut.json.br", &of_hex(CHANNEL)[..60]);
    put("cut.tar.xz", &xz(&archive(&[("a.json", secdb("a").as_bytes())]))[..80]);
    let mut loader = Loader::default();
    loader.path(home.path()).unwrap();
    let complaints: Vec<&str> = loader.issues.iter().map(|issue| issue.document.rsplit('/').next().unwrap()).collect();
    assert_eq!(
        (complaints, loader.documents, loader.unknown),
        (vec!["cut.json", "cut.tar.xz"], 3, 0),
        "{:?}",
        loader.issues
    );
    let out = tempfile::tempdir().unwrap();
    folder::publish(out.path(), loader.finish(), 1, 1).unwrap();
    let store = folder::open(out.path(), None).unwrap();
    let named = |cve: &str| store.named(cve).count();
    assert_eq!(["CVE-2030-0001", "CVE-2030-0002", "CVE-2030-0003"].map(named), [1, 1, 1]);
}

#[test]
fn archives_in_archives_end() {
    let name = "osv/a.json";
    let mut wrapped = secdb("zlib").into_bytes();
    for _ in 0..4 {
        wrapped = archive(&[(name, &wrapped)]);
    }
    let mut loader = Loader::default();
    loader.stream("four", wrapped.as_slice()).unwrap();
    assert_eq!((loader.documents, loader.issues.len()), (1, 0));
    // One that holds itself never ends, and one in a hundred thousand others ends the stack.
    for _ in 0..300 {
        wrapped = archive(&[(name, &wrapped)]);
    }
    let mut loader = Loader::default();
    loader.stream("many", wrapped.as_slice()).unwrap();
    assert_eq!((loader.documents, loader.issues.len()), (0, 1), "{:?}", loader.issues);
    assert!(loader.issues[0].what.contains("wrapped too often"));
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn of_hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

#[test]
fn a_store_is_carried_whole_or_not_at_all() {
    let (home, _) = store(&[("lodash.json", LODASH_FOR_CARRYING)]);
    let away = tempfile::tempdir().unwrap();
    let file = away.path().join("bundle.gvdb");
    let bytes = folder::export(home.path(), &file).unwrap();
    assert_eq!(bytes, std::fs::metadata(&file).unwrap().len());
    let there = away.path().join("advisories");
    let imported = folder::import(&there, &file, 3).unwrap();
    assert_eq!(imported.named("GHSA-carried").count(), 1);
    assert_eq!(folder::list(&there).unwrap(), [(1_764_000_000, there.join("advisories-0001764000000.gvdb"))]);
    // Of what was changed on the way nothing is taken, and what is there stays in force.
    let mut damaged = std::fs::read(&file).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    assert!(folder::import(&there, &file, 3).unwrap_err().to_string().contains("damaged"));
    std::fs::write(&file, b"something else").unwrap();
    assert!(folder::import(&there, &file, 3).is_err());
    assert!(folder::open(&there, None).unwrap().is_whole());
    assert_eq!(std::fs::read_dir(&there).unwrap().count(), 1);
    assert!(folder::export(&away.path().join("none"), &file).is_err());
}

const LODASH_FOR_CARRYING: &str = r#"{ "schema_version": "1", "id": "GHSA-carried", "modified": "2030-01-01T00:00:00Z",
  "affected": [{ "package": { "ecosystem": "npm", "name": "lodash" }, "ranges": [{ "type": "SEMVER",
  "events": [{ "introduced": "0" }, { "fixed": "4.17.21" }] }] }] }"#;
