//! What each source says, and what follows for an installed package.

use guardian_vuln::advisory::{Exploitation, Status};
use guardian_vuln::cvss::Rating;
use guardian_vuln::matching::{Rule, Verdict, findings};

use crate::support::{component, one, store};

const DEBIAN: &str = r#"{
  "openssh": {
    "CVE-2030-0001": { "description": "A flaw in the daemon.", "releases": {
      "bookworm": { "status": "resolved", "repositories": { "bookworm": "1:9.2p1-2+deb12u3" },
                    "fixed_version": "1:9.2p1-2+deb12u3", "urgency": "high" },
      "trixie": { "status": "resolved", "repositories": {}, "fixed_version": "0", "urgency": "not yet assigned" } } },
    "CVE-2030-0002": { "releases": {
      "bookworm": { "status": "open", "repositories": {}, "urgency": "low", "nodsa": "Minor issue",
                    "nodsa_reason": "ignored" } } },
    "CVE-2030-0003": { "releases": { "bookworm": { "status": "undetermined", "repositories": {}, "urgency": "" } } }
  }
}"#;

const OSV: &str = r#"{ "schema_version": "1.6.0", "id": "GHSA-aaaa-bbbb-cccc", "modified": "2030-02-01T00:00:00Z",
  "published": "2030-01-01T00:00:00Z", "aliases": ["CVE-2030-0100"], "summary": "Reads too far",
  "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }],
  "affected": [{ "package": { "ecosystem": "PyPI", "name": "Some.Package" },
    "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "1.2" }, { "fixed": "1.4.2" },
      { "introduced": "2.0a1" }, { "last_affected": "2.1" }] }] }],
  "references": [{ "type": "WEB", "url": "https://example.org/advisory" }],
  "database_specific": { "severity": "CRITICAL" } }"#;

#[test]
fn debian_s_word_decides_for_debian_s_packages() {
    let (_home, store) = store(&[("debian.json", DEBIAN)]);
    let mut client = component("debian:12", "openssh-client", "1:9.2p1-2+deb12u2");
    client.source = "openssh".into();
    let found = one(&store, &client, "CVE-2030-0001").unwrap();
    assert!(found.affected);
    assert_eq!((found.rule, found.rating), (Rule::DistributionAffected, Rating::High));
    assert_eq!(found.fixed_in, ["1:9.2p1-2+deb12u3"]);
    assert_eq!(found.reasons[0].package, "openssh");
    assert!(found.reasons[0].of_source);
    // A build again of the same source has the source's version beside its own.
    client.version = "1:9.2p1-2+deb12u3+b1".into();
    client.source_version = "1:9.2p1-2+deb12u3".into();
    let fixed = one(&store, &client, "CVE-2030-0001").unwrap();
    assert!(!fixed.affected);
    assert_eq!(fixed.reasons[0].verdict, Verdict::Fixed { fixed_in: "1:9.2p1-2+deb12u3".into() });
    let never = one(&store, &component("debian:13", "openssh", "1:9.9p1-1"), "CVE-2030-0001").unwrap();
    assert_eq!((never.affected, never.rule), (false, Rule::DistributionNotAffected));
}

#[test]
fn what_a_keeper_will_not_fix_is_found_with_its_reason() {
    let (_home, store) = store(&[("debian.json", DEBIAN)]);
    let package = component("debian:12", "openssh", "1:9.2p1-2+deb12u3");
    let ignored = one(&store, &package, "CVE-2030-0002").unwrap();
    assert_eq!((ignored.affected, ignored.status), (true, Status::WillNotFix));
    assert_eq!(ignored.reasons[0].words, "Minor issue");
    assert!(ignored.fixed_in.is_empty());
    assert_eq!(one(&store, &package, "CVE-2030-0003").unwrap().status, Status::UnderInvestigation);
    // Another release says nothing of it.
    assert!(one(&store, &component("debian:11", "openssh", "1:8.4p1-5"), "CVE-2030-0002").is_none());
}

#[test]
fn ranges_of_a_registry_are_open_closed_and_many() {
    let (_home, store) = store(&[("osv.json", OSV)]);
    for (version, affected) in [
        ("1.1", false),
        ("1.2", true),
        ("1.4.2rc1", true),
        ("1.4.2", false),
        ("1.9", false),
        ("2.0a0", false),
        ("2.0a1", true),
        ("2.1", true),
        ("2.1.post1", false),
    ] {
        // Names are compared as the registry does.
        let found = one(&store, &component("pypi", "some_package", version), "CVE-2030-0100").unwrap();
        assert_eq!(found.affected, affected, "{version}");
    }
    let found = one(&store, &component("pypi", "some-package", "1.3"), "CVE-2030-0100").unwrap();
    assert_eq!(
        (found.score, found.rating, found.fixed_in.as_slice()),
        (Some(9.8), Rating::Critical, &["1.4.2".to_owned()][..])
    );
    assert_eq!(found.aliases, ["GHSA-aaaa-bbbb-cccc"]);
    assert_eq!(found.references, ["https://example.org/advisory"]);
}

#[test]
fn withdrawn_advisories_and_other_people_s_words_say_nothing() {
    let withdrawn = OSV.replace("\"aliases\"", "\"withdrawn\": \"2030-03-01T00:00:00Z\", \"aliases\"");
    let (_home, first) = store(&[("osv.json", &withdrawn)]);
    assert!(findings(&first, &component("pypi", "some-package", "1.3")).is_empty());
    // The registry's word is not asked for a distribution's package of the same name.
    let (_home, second) = store(&[("osv.json", OSV)]);
    assert!(findings(&second, &component("debian:12", "some-package", "1.3")).is_empty());
}

const SECDB: &str = "apkurl: '{{urlprefix}}/x'\nurlprefix: https://dl-cdn.alpinelinux.org/alpine\nreponame: main\n\
distroversion: v3.20\npackages:\n- pkg:\n    name: zlib\n    secfixes:\n      1.2.12-r2:\n      - CVE-2030-0200 CVE-2030-0201\n      \
'0':\n      - CVE-2030-0202\n";

#[test]
fn alpine_names_what_fixed_it() {
    let (_home, store) = store(&[("secdb/v3.20/main.yaml", SECDB)]);
    let old = component("alpine:3.20.3", "zlib", "1.2.12-r1");
    assert!(one(&store, &old, "CVE-2030-0200").unwrap().affected);
    assert!(one(&store, &old, "CVE-2030-0201").unwrap().affected);
    assert!(!one(&store, &old, "CVE-2030-0202").unwrap().affected);
    assert!(findings(&store, &component("alpine:3.20.3", "zlib", "1.2.12-r2")).is_empty());
}

const CSAF: &str = r#"{ "document": { "category": "csaf_vex", "csaf_version": "2.0", "title": "flaw",
    "aggregate_severity": { "text": "Important" },
    "tracking": { "id": "CVE-2030-0300", "initial_release_date": "2030-01-02T00:00:00+00:00",
      "current_release_date": "2030-01-03T00:00:00+00:00" } },
  "product_tree": { "branches": [ { "category": "vendor", "name": "Red Hat", "branches": [
      { "category": "product_name", "name": "RHEL 9", "product": { "name": "RHEL 9", "product_id": "BaseOS-9.4",
        "product_identification_helper": { "cpe": "cpe:/o:redhat:enterprise_linux:9::baseos" } } },
      { "category": "product_name", "name": "RHEL 8", "product": { "name": "RHEL 8", "product_id": "red_hat_8",
        "product_identification_helper": { "cpe": "cpe:/o:redhat:enterprise_linux:8" } } },
      { "category": "product_name", "name": "RHEL 9.2 EUS", "product": { "name": "EUS", "product_id": "EUS-9.2",
        "product_identification_helper": { "cpe": "cpe:/o:redhat:rhel_eus:9.2::baseos" } } },
      { "category": "product_version", "name": "sudo", "product": { "name": "sudo",
        "product_id": "sudo-0:1.9.5p2-10.el9_4.x86_64", "product_identification_helper": {
          "purl": "pkg:rpm/redhat/sudo@1.9.5p2-10.el9_4?arch=x86_64&epoch=1" } } },
      { "category": "product_version", "name": "sudo", "product": { "name": "sudo", "product_id": "sudo",
        "product_identification_helper": { "purl": "pkg:rpm/redhat/sudo" } } } ] } ],
    "relationships": [
      { "category": "default_component_of", "product_reference": "sudo-0:1.9.5p2-10.el9_4.x86_64",
        "relates_to_product_reference": "BaseOS-9.4",
        "full_product_name": { "name": "x", "product_id": "BaseOS-9.4:sudo-0:1.9.5p2-10.el9_4.x86_64" } },
      { "category": "default_component_of", "product_reference": "sudo", "relates_to_product_reference": "red_hat_8",
        "full_product_name": { "name": "x", "product_id": "red_hat_8:sudo" } },
      { "category": "default_component_of", "product_reference": "sudo", "relates_to_product_reference": "EUS-9.2",
        "full_product_name": { "name": "x", "product_id": "EUS-9.2:sudo" } } ] },
  "vulnerabilities": [ { "cve": "CVE-2030-0300", "title": "sudo: flaw",
    "product_status": { "fixed": ["BaseOS-9.4:sudo-0:1.9.5p2-10.el9_4.x86_64"], "known_affected": ["red_hat_8:sudo"],
      "known_not_affected": ["EUS-9.2:sudo"] },
    "flags": [ { "label": "vulnerable_code_not_present", "product_ids": ["EUS-9.2:sudo"] } ],
    "remediations": [ { "category": "no_fix_planned", "details": "Will not fix", "product_ids": ["red_hat_8:sudo"] } ],
    "scores": [ { "products": [], "cvss_v3": { "vectorString": "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H" } } ] } ] }"#;

#[test]
fn red_hat_fixes_refuses_and_denies() {
    let (_home, store) = store(&[("cve-2030-0300.json", CSAF)]);
    let nine = one(&store, &component("redhat:9.4", "sudo", "1:1.9.5p2-9.el9"), "CVE-2030-0300").unwrap();
    assert!(nine.affected);
    assert_eq!(nine.fixed_in, ["1:1.9.5p2-10.el9_4"]);
    assert_eq!((nine.rating, nine.score), (Rating::High, Some(7.8)));
    assert!(!one(&store, &component("redhat:9", "sudo", "1:1.9.5p2-10.el9_4"), "CVE-2030-0300").unwrap().affected);
    let eight = one(&store, &component("redhat:8", "sudo", "1.8.29-10.el8"), "CVE-2030-0300").unwrap();
    assert_eq!((eight.affected, eight.status), (true, Status::WillNotFix));
    // A release with longer support is another one.
    assert_eq!(store.ecosystems().keys().copied().collect::<Vec<_>>(), ["redhat:8", "redhat:9", "redhat:9.2:eus"]);
}

const SIGNALS: &[(&str, &str)] = &[
    ("osv.json", OSV),
    (
        "epss.csv",
        "#model_version:v1,score_date:2030-01-01T00:00:00+0000\ncve,epss,percentile\nCVE-2030-0100,0.5,0.975\n",
    ),
    (
        "kev.json",
        r#"{ "catalogVersion": "2030.01.02", "vulnerabilities": [ { "cveID": "CVE-2030-0100", "dateAdded": "2030-01-02",
            "dueDate": "2030-01-23", "knownRansomwareCampaignUse": "Known" } ] }"#,
    ),
    (
        "CVE-2030-0100.json",
        r#"{ "dataType": "CVE_RECORD", "cveMetadata": { "cveId": "CVE-2030-0100", "state": "PUBLISHED" }, "containers": {
            "cna": { "metrics": [ { "cvssV4_0": { "vectorString":
              "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N" } } ] },
            "adp": [ { "metrics": [ { "other": { "type": "ssvc", "content": { "options": [
              { "Exploitation": "poc" }, { "Automatable": "yes" }, { "Technical Impact": "total" } ] } } } ] } ] } }"#,
    ),
];

#[test]
fn what_is_known_of_a_vulnerability_comes_with_every_finding() {
    let (_home, store) = store(SIGNALS);
    let found = one(&store, &component("pypi", "some-package", "1.3"), "CVE-2030-0100").unwrap();
    assert_eq!(found.epss, Some((0.5, 0.975)));
    assert_eq!(found.known_exploited_day, Some(21_916));
    assert!(found.ransomware);
    assert_eq!(found.exploitation, Exploitation::Poc);
    // The keeper's own vector stays before a stranger's of a newer version.
    assert!(found.vector.unwrap().starts_with("CVSS:3.1/"));
    let cve = store.cve("CVE-2030-0100").unwrap();
    assert_eq!((cve.automatable(), cve.total_impact()), (Some(true), Some(true)));
    assert!(cve.vector().starts_with("CVSS:4.0/"));
    assert!(store.cve("CVE-2030-0101").is_none());
}

#[test]
fn openvex_speaks_for_ubuntu() {
    let vex = r#"{ "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/CVE-2030-0400",
      "timestamp": "2030-01-01T00:00:00Z", "statements": [
      { "vulnerability": { "name": "CVE-2030-0400" }, "status": "fixed",
        "products": [{ "@id": "pkg:deb/ubuntu/curl@7.81.0-1ubuntu1.14?arch=source&distro=jammy" },
                     { "@id": "pkg:deb/ubuntu/libcurl4@7.81.0-1ubuntu1.14?arch=amd64&distro=jammy" }] },
      { "vulnerability": "CVE-2030-0401", "status": "not_affected", "justification": "component_not_present",
        "products": ["pkg:deb/ubuntu/curl@7.81.0-1ubuntu1.14?arch=source&distro=jammy"] } ] }"#;
    let (_home, store) = store(&[("vex.json", vex)]);
    let mut library = component("ubuntu:22.04", "libcurl4", "7.81.0-1ubuntu1.13");
    library.source = "curl".into();
    assert_eq!(one(&store, &library, "CVE-2030-0400").unwrap().fixed_in, ["7.81.0-1ubuntu1.14"]);
    let never = one(&store, &library, "CVE-2030-0401").unwrap();
    assert!(!never.affected);
    assert_eq!(never.reasons[0].words, "component_not_present");
}
