//! What each source says, and what follows for an installed package.

use guardian_vuln::advisory::{Exploitation, Status};
use guardian_vuln::cvss::Rating;
use guardian_vuln::matching::{Rule, Verdict, findings};

use crate::support::{component, one, store};

const DEBIAN: &str = include_str!("../../fixtures/debian-tracker.json");

const OSV: &str = include_str!("../../fixtures/osv.json");

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

const SECDB: &str = include_str!("../../fixtures/alpine-secdb.yaml");

#[test]
fn alpine_names_what_fixed_it() {
    let (_home, store) = store(&[("secdb/v3.20/main.yaml", SECDB)]);
    let old = component("alpine:3.20.3", "zlib", "1.2.12-r1");
    assert!(one(&store, &old, "CVE-2030-0200").unwrap().affected);
    assert!(one(&store, &old, "CVE-2030-0201").unwrap().affected);
    assert!(!one(&store, &old, "CVE-2030-0202").unwrap().affected);
    assert!(findings(&store, &component("alpine:3.20.3", "zlib", "1.2.12-r2")).is_empty());
}

const CSAF: &str = include_str!("../../fixtures/csaf-vex.json");

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
