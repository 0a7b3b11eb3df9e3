//! Scanning a folder: whose packages are judged, by whom, and in what form that is told.

use std::path::Path;

use guardian_vuln::report::{self, FailOn, Words};
use guardian_vuln::scan;

use crate::support::store;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

const TRACKER: &str = r#"{ "python-requests": { "CVE-2030-0100": { "releases": { "bookworm": { "status": "resolved",
    "repositories": {}, "fixed_version": "2.28.1+dfsg-1", "urgency": "medium" } } } },
  "zlib": { "CVE-2030-0500": { "releases": { "bookworm": { "status": "open", "repositories": {}, "urgency": "medium" } } } } }"#;

const REQUESTS: &str = r#"{ "schema_version": "1", "id": "GHSA-r", "modified": "2030-01-01T00:00:00Z",
  "aliases": ["CVE-2030-0100"], "summary": "Sends too much", "affected": [{ "package": { "ecosystem": "PyPI",
  "name": "requests" }, "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "2.31.0" }] }] }] }"#;

const LODASH: &str = r#"{ "schema_version": "1", "id": "GHSA-l", "modified": "2030-01-01T00:00:00Z",
  "aliases": ["CVE-2030-0600"], "severity": [{ "type": "CVSS_V3",
  "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }], "affected": [{ "package": { "ecosystem": "npm",
  "name": "lodash" }, "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "4.17.21" }] }] }] }"#;

/// A machine with Debian's own Python library, one that somebody installed beside it, and a project.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = root.path();
    write(path, "etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    let package = |name: &str, version: &str, source: &str| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\nSource: {source}\n\n"
        )
    };
    let status =
        package("python3-requests", "2.28.1+dfsg-1", "python-requests") + &package("zlib1g", "1:1.2.13-1", "zlib");
    write(path, "var/lib/dpkg/status", &status);
    let own = "usr/lib/python3/dist-packages/requests-2.28.1.dist-info/METADATA";
    write(path, "var/lib/dpkg/info/python3-requests.list", &format!("/.\n/{own}\n"));
    write(path, own, "Metadata-Version: 2.1\nName: requests\nVersion: 2.28.1\n\n");
    let other = "usr/local/lib/python3.11/dist-packages/requests-2.28.1.dist-info/METADATA";
    write(path, other, "Metadata-Version: 2.1\nName: requests\nVersion: 2.28.1\n\n");
    write(
        path,
        "srv/app/package-lock.json",
        r#"{ "lockfileVersion": 3, "packages": { "": {}, "node_modules/lodash": { "version": "4.17.20" } } }"#,
    );
    root
}

#[test]
fn a_machine_is_judged_by_its_distribution_and_the_rest_by_its_registries() {
    let root = machine();
    let (_home, store) = store(&[("debian.json", TRACKER), ("requests.json", REQUESTS), ("lodash.json", LODASH)]);
    let report = report::of(&store, scan::folder(root.path()).unwrap(), &Words::default());
    assert!(report.issues.is_empty(), "{:?}", report.issues);
    let found: Vec<(&str, &str, &str)> = report
        .findings
        .iter()
        .map(|entry| (entry.finding.vulnerability.as_str(), entry.ecosystem.as_str(), entry.places[0].as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("CVE-2030-0600", "npm", "/srv/app/package-lock.json"),
            ("CVE-2030-0500", "debian:12", "/var/lib/dpkg/status"),
            // Debian has fixed its own copy; nobody has fixed the one beside it.
            ("CVE-2030-0100", "pypi", "/usr/local/lib/python3.11/dist-packages/requests-2.28.1.dist-info/METADATA"),
        ]
    );
    assert_eq!((report.packages, report.owned), (4, 1));
    assert_eq!(report.findings[1].remedy(), "none");
    assert_eq!(report.findings[2].remedy(), "2.31.0");
}

#[test]
fn sarif_and_conditions() {
    let root = machine();
    let (_home, store) = store(&[("lodash.json", LODASH)]);
    let report = report::of(&store, scan::folder(root.path()).unwrap(), &Words::default());
    assert_eq!(report.without_advisories.keys().collect::<Vec<_>>(), ["debian:12", "pypi"]);
    let sarif = report::sarif(&report, "1.0");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "CVE-2030-0600");
    assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "srv/app/package-lock.json");
    assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][0]["properties"]["security-severity"], "9.8");
    for (condition, fails) in [("any", true), ("critical", true), ("exploited", false), ("fixable", true)] {
        let condition: FailOn = condition.parse().unwrap();
        assert_eq!(report.findings.iter().any(|entry| condition.is(entry)), fails);
    }
    assert!("severe".parse::<FailOn>().is_err());
}

#[test]
fn a_link_does_not_lead_out_of_the_root() {
    let root = tempfile::tempdir().unwrap();
    let outside = machine();
    std::fs::create_dir_all(root.path().join("var/lib")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("var/lib/dpkg"), root.path().join("var/lib/dpkg")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("srv"), root.path().join("srv")).unwrap();
    let scanned = scan::folder(root.path()).unwrap();
    assert!(scanned.packages.is_empty() && scanned.os.is_none());
}

#[test]
fn sums_count_only_where_the_module_file_does_not_name_everything() {
    let root = tempfile::tempdir().unwrap();
    let sum = "example.net/a v1.0.0 h1:x=\nexample.net/b v1.0.0 h1:x=\n";
    for (folder, version) in [("new", "1.21"), ("old", "1.16")] {
        write(
            root.path(),
            &format!("{folder}/go.mod"),
            &format!("module x\n\ngo {version}\n\nrequire example.net/a v1.0.0\n"),
        );
        write(root.path(), &format!("{folder}/go.sum"), sum);
    }
    let scanned = scan::folder(root.path()).unwrap();
    let places: Vec<&str> = scanned.packages.iter().map(|placed| placed.place.as_str()).collect();
    assert_eq!(places, ["/new/go.mod", "/old/go.mod", "/old/go.sum", "/old/go.sum"]);
    assert!(scanned.issues.is_empty(), "{:?}", scanned.issues);
}
