//! Bills of materials: what is written reads back as the same, and what other tools write is understood.

use guardian_vuln::report::{self, About, Ignored, Report, Words};
use guardian_vuln::sbom::{self, Form};
use guardian_vuln::scan::{ImageFacts, Layer, Os, Placed, Scanned};
use guardian_vuln::store::Store;
use guardian_vuln::{purl, vex};
use proptest::prelude::*;

use crate::support::{component, store};

const ABOUT: About<'_> = About { version: "1.0", author: "Jane Doe", time_s: 1_900_000_000 };

fn placed(ecosystem: &str, name: &str, version: &str, place: &str) -> Placed {
    Placed {
        component: component(ecosystem, name, version),
        place: place.to_owned(),
        owner: None,
        arch: String::new(),
        licences: Vec::new(),
        layer: None,
    }
}

/// One package of every kind that has something of its own.
fn scanned() -> Scanned {
    let mut deb = placed("debian:12", "libssl3", "1:3.0.11-1~deb12u2+b1", "/var/lib/dpkg/status");
    deb.component.source = "openssl".to_owned();
    deb.component.source_version = "3.0.11-1~deb12u2".to_owned();
    deb.arch = "amd64".to_owned();
    deb.licences = vec!["Apache-2.0 & \"others\" <all>".to_owned()];
    let mut npm = placed("npm", "@scope/name", "1.0.0-rc.1+b", "/srv/package-lock.json");
    npm.layer = Some(2);
    let packages = vec![
        deb,
        placed("go", "example.net/a/v2", "v2.0.0", "/srv/go.mod"),
        placed("maven", "net.example:lib", "1.0", "/srv/pom.xml"),
        npm,
        placed("pypi", "requests", "2.28.1", "/srv/poetry.lock"),
    ];
    let os =
        Os { id: "debian".to_owned(), version: "12".to_owned(), name: "debian 12".to_owned(), like: String::new() };
    Scanned { os: Some(os), packages, subject: "app & co".to_owned(), ..Scanned::default() }
}

#[test]
fn what_is_written_reads_back_in_every_form() {
    let before = scanned();
    for (name, form) in Form::ALL {
        assert_eq!(name.parse(), Ok(form));
        let text = sbom::write(form, &before, &ABOUT);
        let after = sbom::read("bom", text.as_bytes()).unwrap_or_else(|| panic!("{name}: {text}")).unwrap();
        assert_eq!(
            (&after.subject, after.os.as_ref(), after.unknown),
            (&before.subject, before.os.as_ref(), 0),
            "{name}"
        );
        let all = |scanned: &Scanned| {
            let packages = scanned.packages.iter();
            packages.map(|p| (p.component.clone(), p.arch.clone(), p.place.clone())).collect::<Vec<_>>()
        };
        assert_eq!(all(&after), all(&before), "{name}");
        if name.starts_with("cyclonedx") {
            let packages = |scanned: &Scanned| scanned.packages.clone();
            assert_eq!(packages(&after), packages(&before), "{name}");
        }
    }
    assert!("toml".parse::<Form>().is_err());
    assert!(
        sbom::read("x", b"{}").is_none() && sbom::read("x", b"").is_none() && sbom::read("x", b"<html/>").is_none()
    );
}

#[test]
fn an_image_reads_back_with_its_layers_and_every_place() {
    let layer = |digest: &str, made_by: &str| Layer { digest: digest.to_owned(), made_by: made_by.to_owned() };
    let mut owned = placed("pypi", "requests", "2.28.1", "/usr/lib/python3/dist-packages/requests");
    (owned.owner, owned.layer) = (Some("python3-requests".to_owned()), Some(0));
    let mut own = placed("pypi", "requests", "2.28.1", "/usr/local/lib/python3/requests");
    own.layer = Some(1);
    let image = ImageFacts {
        digest: format!("sha256:{}", "0a".repeat(32)),
        architecture: "arm64".to_owned(),
        base_layers: 1,
        made_s: Some(ABOUT.time_s),
    };
    let layers = vec![layer("sha256:aa", "ADD rootfs.tar / # buildkit"), layer("sha256:bb", "")];
    let before = Scanned { packages: vec![owned, own], layers, image, ..scanned() };
    for form in [Form::CycloneDxJson, Form::CycloneDxXml] {
        let after = sbom::read("bom", sbom::write(form, &before, &ABOUT).as_bytes()).unwrap().unwrap();
        assert_eq!((&after.layers, &after.image), (&before.layers, &before.image), "{form:?}");
        assert_eq!(
            after.packages, before.packages,
            "{form:?}: what somebody installed beside the distribution's stays"
        );
    }
}

/// As Trivy writes it: the epoch and the source stand beside.
const OTHERS: &str = r#"{ "bomFormat": "CycloneDX", "specVersion": "1.4", "metadata": { "component": { "name": "app" } }, "components": [
  { "type": "operating-system", "name": "debian", "version": "12.5" },
  { "bom-ref": "1", "type": "library", "name": "libssl3", "purl": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&epoch=1",
    "properties": [ { "name": "aquasecurity:trivy:SrcName", "value": "openssl" } ], "components": [
      { "type": "library", "name": "inner", "purl": "pkg:npm/inner@1.0.0", "licenses": [ { "expression": "MIT OR ISC" } ] } ] },
  { "type": "library", "name": "nodejs", "purl": "pkg:rpm/redhat/nodejs@18.1-1.module?distro=redhat-8.6&rpmmod=nodejs:18:8060:aa&upstream=nodejs-18.1-1.module.src.rpm" },
  { "type": "library", "name": "lodash", "bom-ref": "ref", "purl": "pkg:npm/lodash@4.17.20" },
  { "type": "file", "name": "unknown" } ],
  "vulnerabilities": [ { "id": "CVE-2030-0600", "analysis": { "state": "not_affected", "justification": "code_not_reachable",
    "detail": "never called" }, "affects": [ { "ref": "ref" } ] } ] }"#;

#[test]
fn what_other_tools_write_is_understood() {
    let scanned = sbom::read("bom", OTHERS.as_bytes()).unwrap().unwrap();
    let all: Vec<String> = scanned
        .packages
        .iter()
        .map(|p| {
            format!(
                "{} {} {} {} {}",
                p.component.ecosystem, p.component.name, p.component.version, p.component.source, p.component.module
            )
        })
        .collect();
    let expected = [
        "debian:12 libssl3 1:3.0.11-1 openssl ",
        "npm inner 1.0.0  ",
        "npm lodash 4.17.20  ",
        "redhat:8 nodejs 18.1-1.module nodejs nodejs:18",
    ];
    assert_eq!(all, expected);
    assert_eq!((scanned.unknown, scanned.packages[1].licences.join(",")), (1, "MIT OR ISC".to_owned()));
    assert_eq!(scanned.said.len(), 1);
}

#[test]
fn package_urls_are_written_as_they_are_read() {
    let mut deb = component("ubuntu:22.04", "g++", "4:11.2.0-1ubuntu1");
    deb.source = "gcc-defaults".to_owned();
    let text = purl::of(&deb, "amd64");
    assert_eq!(text, "pkg:deb/ubuntu/g%2B%2B@4:11.2.0-1ubuntu1?arch=amd64&distro=ubuntu-22.04&upstream=gcc-defaults");
    assert_eq!(purl::Purl::new(&text).unwrap().component(None), Some(deb));
}

const LODASH: &str = r#"{ "schema_version": "1", "id": "GHSA-l", "modified": "2030-01-01T00:00:00Z",
  "aliases": ["CVE-2030-0600"], "severity": [{ "type": "CVSS_V3",
  "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }], "affected": [{ "package": { "ecosystem": "npm",
  "name": "lodash" }, "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "4.17.21" }] }] }] }"#;

fn project() -> Scanned {
    Scanned { packages: vec![placed("npm", "lodash", "4.17.20", "/srv/package-lock.json")], ..Scanned::default() }
}

fn judged(store: &Store, words: &Words) -> Report {
    let report = report::of(store, project(), words);
    assert_eq!(report.findings.len() + report.suppressed.len(), 1);
    report
}

#[test]
fn what_somebody_says_is_not_there_is_left_out_with_the_reason() {
    let (_home, store) = store(&[("lodash.json", LODASH)]);
    let openvex = r#"{ "@context": "https://openvex.dev/ns/v0.2.0", "author": "Acme", "statements": [
        { "vulnerability": { "name": "GHSA-l" }, "products": [ { "@id": "pkg:oci/app", "subcomponents": [ { "@id": "pkg:npm/lodash@4.17.20" } ] } ],
          "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path", "impact_statement": "never called" } ] }"#;
    let csaf = r#"{ "document": { "csaf_version": "2.0", "category": "csaf_vex", "publisher": { "name": "Acme" } },
        "product_tree": { "branches": [ { "branches": [ { "product": { "product_id": "P", "name": "lodash",
          "product_identification_helper": { "purl": "pkg:npm/lodash" } } } ] } ],
          "relationships": [ { "product_reference": "P", "relates_to_product_reference": "A", "full_product_name": { "product_id": "A:P" } } ] },
        "vulnerabilities": [ { "cve": "CVE-2030-0600", "product_status": { "known_not_affected": [ "A:P" ] },
          "flags": [ { "label": "vulnerable_code_not_in_execute_path", "product_ids": [ "A:P" ] } ],
          "threats": [ { "category": "impact", "details": "never called", "product_ids": [ "A:P" ] } ] } ] }"#;
    for document in [openvex, csaf] {
        let words = Words { said: vex::read(document.as_bytes()).unwrap(), ..Words::default() };
        let report = judged(&store, &words);
        let suppressed = &report.suppressed[0];
        assert_eq!(suppressed.by, "Acme");
        assert_eq!(suppressed.reason, "vulnerable code not in execute path: never called");
        // It is said on as it was heard.
        let told = vex::openvex(&report, &ABOUT).to_string();
        let again = Words { said: vex::read(told.as_bytes()).unwrap(), ..Words::default() };
        assert_eq!(judged(&store, &again).suppressed[0].justification, "vulnerable_code_not_in_execute_path");
    }
    let cyclonedx = Words { said: vex::read(OTHERS.as_bytes()).unwrap(), ..Words::default() };
    assert_eq!(judged(&store, &cyclonedx).suppressed[0].justification, "code_not_reachable");
    // Another version, another package, another vulnerability, and what is only looked into: it stays.
    for (from, to) in [("lodash@4.17.20", "lodash@4.17.19"), ("npm/lodash", "npm/other"), ("GHSA-l", "GHSA-x")] {
        let words = Words { said: vex::read(openvex.replace(from, to).as_bytes()).unwrap(), ..Words::default() };
        assert_eq!(judged(&store, &words).findings[0].remark, "", "{to}");
    }
    let open = openvex.replace("not_affected", "under_investigation");
    let words = Words { said: vex::read(open.as_bytes()).unwrap(), ..Words::default() };
    assert!(judged(&store, &words).findings[0].remark.starts_with("Acme: under investigation"));
    assert!(vex::read(b"{}").is_err() && vex::read(b"<html/>").is_err() && vex::read(b"x").is_err());
}

#[test]
fn what_is_put_off_comes_back_when_its_time_is_over() {
    let (_home, store) = store(&[("lodash.json", LODASH)]);
    let file = |more: &str| {
        format!("ignore:\n  - vulnerability: CVE-2030-0600\n    reason: later\n    expires: 2030-06-30\n{more}")
    };
    let day = |text: &str| {
        let date: jiff::civil::Date = text.parse().unwrap();
        date.since(jiff::civil::date(1970, 1, 1)).unwrap().get_days()
    };
    let words =
        |more: &str, at: &str| Words { ignored: Ignored::read(&file(more)).unwrap(), day: day(at), ..Words::default() };
    for more in ["", "    package: lodash\n", "    package: pkg:npm/lodash\n", "    path: srv\n", "    by: Jane\n"] {
        assert_eq!(judged(&store, &words(more, "2030-06-30")).suppressed[0].reason, "later", "{more}");
    }
    for more in ["    package: other\n", "    package: pkg:npm/lodash@1.0.0\n", "    path: sr\n"] {
        let report = judged(&store, &words(more, "2030-06-30"));
        assert!(report.suppressed.is_empty() && report.issues[0].contains("can go"), "{more}");
    }
    let over = judged(&store, &words("", "2030-07-01"));
    assert!(over.suppressed.is_empty() && over.issues[0].contains("counted until 2030-06-30"));
    for bad in [
        "ignore: 3",
        "ignore:\n  - vulnerability: X\n    expires: 2030-01-01\n",
        "ignore:\n  - vulnerability: X\n    reason: y\n",
    ] {
        assert!(Ignored::read(bad).is_err(), "{bad}");
    }
}

#[test]
fn every_form_of_report_has_what_was_found_and_left_out() {
    let (_home, store) = store(&[("lodash.json", LODASH)]);
    let report = judged(&store, &Words::default());
    assert_eq!(
        report::github(&report),
        "::error file=srv/package-lock.json,title=CVE-2030-0600::lodash 4.17.20 (npm) has CVE-2030-0600. Fix: 4.17.21.\n"
    );
    let junit = report::junit(&report);
    let suites = guardian_inventory::xml::parse(junit.as_bytes()).unwrap();
    assert_eq!(
        (suites.attribute("failures"), suites.at(&["testsuite", "testcase"]).unwrap().attribute("name")),
        ("1", "CVE-2030-0600")
    );
    let gitlab = report::gitlab(&report, &ABOUT, false);
    let found = &gitlab["vulnerabilities"][0];
    assert_eq!((&found["severity"], &found["location"]["file"]), (&"Critical".into(), &"srv/package-lock.json".into()));
    assert_eq!(gitlab["scan"]["start_time"], "2030-03-17T17:46:40");
    let bom = report::cyclonedx(&project(), &report, &ABOUT);
    assert_eq!(bom["vulnerabilities"][0]["affects"][0]["ref"], bom["components"][0]["bom-ref"]);
    let openvex = vex::openvex(&report, &ABOUT);
    assert_eq!(openvex["statements"][0]["action_statement"], "Update to 4.17.21.");
    let words = Words {
        ignored: Ignored::read("ignore:\n- {vulnerability: GHSA-l, reason: later, expires: 2030-01-01}").unwrap(),
        ..Words::default()
    };
    let report = judged(&store, &words);
    assert!(report::junit(&report).contains("<skipped message=\"later\"/>"));
    assert_eq!(report::sarif(&report, "1")["runs"][0]["results"][0]["suppressions"][0]["justification"], "later");
    assert_eq!(report::cyclonedx(&project(), &report, &ABOUT)["vulnerabilities"][0]["analysis"]["detail"], "later");
    // What is put off is not said to be absent.
    assert_eq!(vex::openvex(&report, &ABOUT)["statements"].as_array().unwrap().len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_bill_never_panics(form in 0..4_usize, at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let mut text = sbom::write(Form::ALL[form].1, &scanned(), &ABOUT).into_bytes();
        let at = at.index(text.len());
        text[at] = to;
        drop(sbom::read("x", &text));
        text.truncate(cut.index(text.len()));
        drop((sbom::read("x", &text), vex::read(&text)));
    }
}
