//! Other scanners' reports, by samples in their public forms, and what becomes of them in a report of ours.

use guardian_vuln::cvss::Rating;
use guardian_vuln::import::{self, Report};
use guardian_vuln::report::{self, Ignored, Words};
use guardian_vuln::scan::{Placed, Scanned};

use crate::support::{component, store};

const NESSUS: &str = r#"<?xml version="1.0" ?><NessusClientData_v2><Policy><policyName>x</policyName></Policy><Report name="scan">
<ReportHost name="192.0.2.7"><HostProperties><tag name="host-ip">192.0.2.7</tag></HostProperties>
 <ReportItem port="443" svc_name="www" protocol="tcp" severity="4" pluginID="156014" pluginName="Apache Log4Shell RCE" pluginFamily="Web">
  <cve>CVE-2021-44228</cve><cve>CVE-2021-45046</cve><cvss3_vector>CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H</cvss3_vector>
  <risk_factor>Critical</risk_factor><solution>Update it.</solution></ReportItem>
 <ReportItem port="0" svc_name="general" protocol="tcp" severity="0" pluginID="19506" pluginName="Scan Information"/>
 <ReportItem port="0" svc_name="general" protocol="tcp" severity="2" pluginID="57608" pluginName="SMB signing is not required"/>
</ReportHost></Report></NessusClientData_v2>"#;

const OPENVAS: &str = r#"<report id="1"><report><results start="1" max="2">
<result id="a"><name>Log4j RCE</name><host>192.0.2.7<asset asset_id="x"/></host><port>443/tcp</port>
 <nvt oid="1.3.6.1.4.1.25623.1.0.117843"><cvss_base>10.0</cvss_base><refs><ref type="cve" id="CVE-2021-44228"/><ref type="url" id="x"/></refs>
  <severities><severity type="cvss_base_v3"><value>CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H</value></severity></severities>
  <solution type="VendorFix">Update.</solution></nvt><severity>10.0</severity><threat>High</threat></result>
<result id="b"><name>Banner</name><host>192.0.2.7</host><port>22/tcp</port><nvt oid="2"/><threat>Log</threat></result>
</results></report></report>"#;

const NUCLEI: &str = concat!(
    r#"{"template-id":"CVE-2021-44228","info":{"name":"Log4j RCE","severity":"critical","classification":{"cve-id":["cve-2021-44228"],"cvss-metrics":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}},"host":"https://app.example","matched-at":"https://app.example/x","ip":"192.0.2.7","port":"443"}"#,
    "\n",
    r#"{"template-id":"tech-detect","info":{"name":"x","severity":"info"},"host":"https://app.example"}"#,
    "\nnot JSON\n",
);

const TRIVY: &str = r#"{"SchemaVersion": 2, "ArtifactName": "app", "Results": [{"Target": "package-lock.json", "Class": "lang-pkgs",
 "Vulnerabilities": [{"VulnerabilityID": "CVE-2030-0600", "VendorIDs": ["GHSA-l"], "PkgName": "lodash", "PkgIdentifier": {"PURL": "pkg:npm/lodash@4.17.20"},
 "InstalledVersion": "4.17.20", "FixedVersion": "4.17.21, 5.0.0", "Severity": "CRITICAL", "Title": "It overflows",
 "CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}}]}]}"#;

const GRYPE: &str = r#"{"matches": [{"vulnerability": {"id": "GHSA-l", "severity": "Critical", "description": "It overflows", "fix": {"versions": ["4.17.21"], "state": "fixed"}, "cvss": []},
 "relatedVulnerabilities": [{"id": "CVE-2030-0600", "cvss": [{"version": "3.1", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}],
 "artifact": {"name": "lodash", "version": "4.17.20", "type": "npm", "purl": "pkg:npm/lodash@4.17.20", "locations": [{"path": "/srv/package-lock.json"}]}}, {}],
 "source": {"type": "directory"}, "descriptor": {"name": "grype"}}"#;

const NMAP: &str = r#"<?xml version="1.0"?><!DOCTYPE nmaprun><nmaprun scanner="nmap"><host><status state="up"/><address addr="192.0.2.7" addrtype="ipv4"/>
 <address addr="00:00:5e:00:53:01" addrtype="mac"/><ports><port protocol="tcp" portid="443"><state state="open"/><service name="https" product="nginx" version="1.18.0"/>
 <script id="vulners" output="&#xa;  cpe:/a:nginx:nginx:1.18.0:&#xa;    CVE-2021-23017  7.7  https://x/CVE-2021-23017&#xa;    CVE-12  1"/>
 <script id="http-title" output="CVE-2020-0001 is a title"/></port>
 <port protocol="tcp" portid="445"><state state="open"/><service name="microsoft-ds"/></port>
 <port protocol="tcp" portid="1"><state state="closed"/></port></ports>
 <hostscript><script id="smb-vuln-ms17-010" output="&#xa;  VULNERABLE:&#xa;  Remote Code Execution&#xa;    IDs:  CVE:CVE-2017-0143"/>
 <script id="smb-vuln-ms10-054" output="NOT VULNERABLE CVE-2010-0001"/></hostscript></host></nmaprun>"#;

fn read(text: &str) -> Report {
    import::read(text.as_bytes()).unwrap()
}

#[test]
fn every_scanner_s_report_is_understood() {
    let found = |text: &str| {
        let report = read(text);
        let lines = report.found.iter();
        lines
            .map(|f| format!("{} {}:{} {} {}", f.scanner, f.host, f.port, f.names.join(","), f.rating.name()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found(NESSUS),
        ["nessus 192.0.2.7:443/tcp CVE-2021-44228,CVE-2021-45046 critical", "nessus 192.0.2.7: NESSUS-57608 medium"]
    );
    assert_eq!(found(OPENVAS), ["openvas 192.0.2.7:443/tcp CVE-2021-44228 high"]);
    assert_eq!(found(NUCLEI), ["nuclei 192.0.2.7:443/tcp CVE-2021-44228 critical"]);
    assert_eq!((read(NUCLEI).malformed, read(GRYPE).malformed), (1, 1));
    assert_eq!(found(TRIVY), ["trivy : CVE-2030-0600,GHSA-l critical"]);
    assert_eq!(read(TRIVY).found[0].fixes, ["4.17.21", "5.0.0"]);
    assert_eq!(found(GRYPE), ["grype : GHSA-l,CVE-2030-0600 critical"]);
    assert_eq!(found(NMAP), ["nmap 192.0.2.7:443/tcp CVE-2021-23017 unknown", "nmap 192.0.2.7: CVE-2017-0143 unknown"]);
    let services = read(NMAP).services;
    assert_eq!((services.len(), services[0].product.as_str()), (2, "nginx 1.18.0"));
    assert!(import::read(b"{}").is_err() && import::read(b"").is_err() && import::read(b"<nmaprun").is_err());
}

const LODASH: &str = r#"{ "schema_version": "1", "id": "GHSA-l", "modified": "2030-01-01T00:00:00Z", "aliases": ["CVE-2030-0600"],
  "affected": [{ "package": { "ecosystem": "npm", "name": "lodash" }, "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "4.17.21" }] }] }] }"#;

#[test]
fn what_several_found_is_one_finding_with_all_their_names() {
    let (_home, store) = store(&[("lodash.json", LODASH)]);
    let project = || {
        let component = component("npm", "lodash", "4.17.20");
        let (place, arch) = ("/srv/package-lock.json".to_owned(), String::new());
        let packages = vec![Placed { component, place, owner: None, arch, licences: Vec::new(), layer: None }];
        Scanned { packages, ..Scanned::default() }
    };
    let imported = || [NESSUS, OPENVAS, NUCLEI, TRIVY, GRYPE, NMAP].iter().flat_map(|text| read(text).found).collect();
    let report = report::of(&store, project(), &Words { imported: imported(), ..Words::default() });
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .map(|entry| format!("{} {} {}", entry.finding.vulnerability, entry.places.join(","), entry.sources.join(",")))
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "CVE-2017-0143 192.0.2.7 nmap",
            "CVE-2021-23017 192.0.2.7:443/tcp nmap",
            "CVE-2021-44228 192.0.2.7:443/tcp nessus,openvas,nuclei",
            "CVE-2030-0600 /srv/package-lock.json guardian,trivy,grype",
            "NESSUS-57608 192.0.2.7 nessus",
        ]
    );
    // What answers is told, each service once, whoever imports it twice.
    let services = || [read(NMAP).services, read(NMAP).services].concat();
    let told = report::of(&store, project(), &Words { services: services(), ..Words::default() });
    let told: Vec<(&str, &str)> = told.services.iter().map(|s| (s.port.as_str(), s.product.as_str())).collect();
    assert_eq!(told, [("443/tcp", "nginx 1.18.0"), ("445/tcp", "")]);
    let by_version = report.findings.iter().find(|entry| entry.finding.vulnerability == "CVE-2021-23017").unwrap();
    assert_eq!(by_version.finding.status.name(), "under_investigation");
    assert!(report.findings.iter().all(|entry| entry.finding.rating >= Rating::Unknown));
    // What is put off stays put off, whoever else finds it.
    let ignored =
        Ignored::read("ignore:\n- {vulnerability: CVE-2030-0600, reason: later, expires: 2030-01-01}").unwrap();
    let report = report::of(&store, project(), &Words { imported: imported(), ignored, ..Words::default() });
    assert_eq!(
        (report.findings.len(), report.suppressed[0].entry.sources.join(",")),
        (4, "guardian,trivy,grype".to_owned())
    );
}
