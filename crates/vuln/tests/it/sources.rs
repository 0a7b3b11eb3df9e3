//! Sources by samples in their public forms: what each says of versions before, at and behind its fixes.

use guardian_vuln::matching::Verdict;
use guardian_vuln::store::Store;

use crate::support::{component, one, store};

/// Whether the package has the vulnerability; none where nobody speaks of it.
fn has(store: &Store, ecosystem: &str, name: &str, version: &str, vulnerability: &str) -> Option<bool> {
    one(store, &component(ecosystem, name, version), vulnerability).map(|finding| finding.affected)
}

const RED_HAT_OVAL: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5" xmlns:red-def="http://oval.mitre.org/XMLSchema/oval-definitions-5#linux">
 <definitions>
  <definition class="patch" id="oval:com.redhat.rhsa:def:20300001" version="1">
   <metadata>
    <title>RHSA-2030:0001: nodejs:18 security update (Important)</title>
    <affected family="unix"><platform>Red Hat Enterprise Linux 8</platform></affected>
    <reference ref_id="RHSA-2030:0001" ref_url="https://access.example/RHSA-2030:0001" source="RHSA"/>
    <reference ref_id="CVE-2030-0001" ref_url="https://access.example/CVE-2030-0001" source="CVE"/>
    <advisory from="x"><severity>Important</severity><issued date="2030-01-02"/><updated date="2030-01-03"/>
     <cve cvss3="7.5/CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H" href="x">CVE-2030-0001</cve>
     <affected_cpe_list><cpe>cpe:/a:redhat:enterprise_linux:8::appstream</cpe></affected_cpe_list></advisory>
   </metadata>
   <criteria operator="OR">
    <criterion comment="Red Hat Enterprise Linux must be installed" test_ref="oval:t:9"/>
    <criteria operator="AND">
     <criterion comment="Module nodejs:18 is enabled" test_ref="oval:t:8"/>
     <criteria operator="OR"><criteria operator="AND">
      <criterion comment="nodejs is earlier than 1:18.2-1.module+el8+2+b" test_ref="oval:t:1"/>
      <criterion comment="nodejs is signed with Red Hat key" test_ref="oval:t:2"/></criteria></criteria>
    </criteria>
    <criteria operator="AND"><criterion comment="sudo is earlier than 0:1.9.5p2-10.el8" test_ref="oval:t:3"/></criteria>
   </criteria>
  </definition>
  <definition class="vulnerability" id="oval:com.redhat.unaffected:def:1" version="1">
   <metadata><title>CVE-2030-0002 vim: overflow (low)</title>
    <affected family="unix"><platform>Red Hat Enterprise Linux 8</platform></affected>
    <reference ref_id="CVE-2030-0002" ref_url="x" source="CVE"/>
    <advisory from="x"><severity>Low</severity><affected><resolution state="Will not fix"><component>vim</component></resolution></affected></advisory>
   </metadata>
   <criteria operator="OR"><criterion comment="vim is installed" test_ref="oval:t:4"/><criterion comment="sudo is installed" test_ref="oval:t:5"/></criteria>
  </definition>
 </definitions>
 <tests>
  <red-def:rpminfo_test id="oval:t:1"><red-def:object object_ref="o1"/><red-def:state state_ref="s1"/></red-def:rpminfo_test>
  <red-def:rpminfo_test id="oval:t:2"><red-def:object object_ref="o1"/><red-def:state state_ref="s2"/></red-def:rpminfo_test>
  <red-def:rpminfo_test id="oval:t:3"><red-def:object object_ref="o3"/><red-def:state state_ref="s3"/></red-def:rpminfo_test>
  <red-def:rpminfo_test id="oval:t:4"><red-def:object object_ref="o4"/></red-def:rpminfo_test>
  <red-def:rpminfo_test id="oval:t:5"><red-def:object object_ref="o3"/></red-def:rpminfo_test>
 </tests>
 <objects>
  <red-def:rpminfo_object id="o1"><red-def:name>nodejs</red-def:name></red-def:rpminfo_object>
  <red-def:rpminfo_object id="o3"><red-def:name>sudo</red-def:name></red-def:rpminfo_object>
  <red-def:rpminfo_object id="o4"><red-def:name>vim</red-def:name></red-def:rpminfo_object>
 </objects>
 <states>
  <red-def:rpminfo_state id="s1"><red-def:evr datatype="evr_string" operation="less than">1:18.2-1.module+el8+2+b</red-def:evr></red-def:rpminfo_state>
  <red-def:rpminfo_state id="s2"><red-def:signature_keyid operation="equals">199e2f91fd431d51</red-def:signature_keyid></red-def:rpminfo_state>
  <red-def:rpminfo_state id="s3"><red-def:evr datatype="evr_string" operation="less than">0:1.9.5p2-10.el8</red-def:evr></red-def:rpminfo_state>
 </states>
</oval_definitions>"#;

#[test]
fn oval_of_red_hat_knows_modules_and_decisions() {
    let (_home, store) = store(&[("rhel.xml", RED_HAT_OVAL)]);
    let is = |name: &str, version: &str, cve: &str| has(&store, "redhat:8", name, version, cve);
    assert_eq!(is("sudo", "1.9.5p2-9.el8", "CVE-2030-0001"), Some(true));
    assert_eq!(is("sudo", "1.9.5p2-10.el8", "CVE-2030-0001"), Some(false));
    assert_eq!(is("nodejs", "1:18.1-1.module+el8+1+a", "CVE-2030-0001"), Some(true));
    assert_eq!(is("nodejs", "1:18.2-1.module+el8+2+b", "CVE-2030-0001"), Some(false));
    let mut other = component("redhat:8", "nodejs", "1:16.1-1.module+el8+1+a");
    other.module = "nodejs:16".to_owned();
    assert!(one(&store, &other, "CVE-2030-0001").is_none());
    let finding = one(&store, &component("redhat:8", "vim", "8.0-1"), "CVE-2030-0002").unwrap();
    assert_eq!((finding.status.name(), finding.rating.name()), ("will_not_fix", "low"));
    assert_eq!(is("sudo", "1", "CVE-2030-0002"), None);
}

#[test]
fn a_fix_that_is_of_a_modules_build_concerns_packages_of_that_stream() {
    let alma = r#"{"id": "ALSA-2030:0001", "modified": "2030-01-02T00:00:00Z", "affected": [
      {"package": {"ecosystem": "AlmaLinux:8", "name": "httpd"}, "ranges": [{"type": "ECOSYSTEM",
       "events": [{"introduced": "0"}, {"fixed": "2.4.37-43.module_el8.5.0+2597+c4b14997.alma"}]}]},
      {"package": {"ecosystem": "AlmaLinux:8", "name": "zlib"}, "ranges": [{"type": "ECOSYSTEM",
       "events": [{"introduced": "0"}, {"fixed": "1.2.11-20.el8"}]}]}]}"#;
    let (_home, store) = store(&[("alma.json", alma)]);
    let judged = |name: &str, version: &str, module: &str| {
        let mut package = component("almalinux:8", name, version);
        module.clone_into(&mut package.module);
        one(&store, &package, "ALSA-2030:0001").map(|finding| finding.affected)
    };
    let before = "2.4.37-30.module_el8.3.0+2000+aaaaaaaa.alma";
    assert_eq!(judged("httpd", before, "httpd:2.4"), Some(true), "its module is known, the advisory's is not named");
    assert_eq!(judged("httpd", before, ""), Some(true));
    assert_eq!(judged("httpd", "2.4.37-43.module_el8.5.0+2597+c4b14997.alma", "httpd:2.4"), Some(false));
    assert_eq!(judged("httpd", before, "httpd:2.6"), None, "another stream by its name");
    assert_eq!(judged("httpd", before, "web:1"), Some(true), "named after something else");
    assert_eq!(judged("httpd", "3.0.1-1.module_el8.5.0+1+a", "httpd:3.0"), None, "another stream");
    assert_eq!(judged("zlib", "1.2.11-1.module_el8.5.0+1+a", "other:1"), None, "that fix is of no module");
    assert_eq!(judged("zlib", "1.2.11-1.el8", ""), Some(true));
}

const SUSE_OVAL: &str = r#"<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5"><definitions>
 <definition id="oval:org.opensuse.security:def:20300003" class="vulnerability"><metadata><title>CVE-2030-0003</title>
   <affected family="unix"><platform>SUSE Linux Enterprise Server 15 SP4</platform><platform>SUSE Linux Enterprise Server 15 SP5</platform></affected>
   <reference ref_id="Mitre CVE-2030-0003" ref_url="x" source="CVE"/><advisory><severity>Moderate</severity></advisory></metadata>
  <criteria operator="OR">
   <criteria operator="AND"><criterion test_ref="p1" comment="SUSE Linux Enterprise Server 15 SP4 is installed"/>
    <criteria operator="OR"><criterion test_ref="t1" comment="libz1-1.2.11-150000.3.30.1 is installed"/></criteria></criteria>
   <criteria operator="AND"><criteria operator="OR"><criterion test_ref="p2" comment="SUSE Linux Enterprise Server 15 SP5 is installed"/>
      <criterion test_ref="p3" comment="openSUSE Leap 15.5 is installed"/></criteria>
    <criterion test_ref="t2" comment="libz1 is not affected"/></criteria>
  </criteria></definition></definitions>
 <tests><rpminfo_test id="t1"><object object_ref="o"/><state state_ref="s1"/></rpminfo_test>
  <rpminfo_test id="t2"><object object_ref="o"/><state state_ref="s2"/></rpminfo_test></tests>
 <objects><rpminfo_object id="o"><name>libz1</name></rpminfo_object></objects>
 <states><rpminfo_state id="s1"><evr operation="less than">0:1.2.11-150000.3.30.1</evr></rpminfo_state>
  <rpminfo_state id="s2"><evr operation="less than">0:0-0</evr></rpminfo_state></states></oval_definitions>"#;

#[test]
fn oval_of_suse_speaks_of_each_release() {
    let (_home, store) = store(&[("suse.xml", SUSE_OVAL)]);
    let is = |ecosystem: &str, version: &str| has(&store, ecosystem, "libz1", version, "CVE-2030-0003");
    assert_eq!(is("suse:15.4", "1.2.11-150000.3.29.1"), Some(true));
    assert_eq!(is("suse:15.4", "1.2.11-150000.3.30.1"), Some(false));
    assert_eq!((is("suse:15.5", "1.2.11-1"), is("opensuse:15.5", "1.2.11-1")), (Some(false), Some(false)));
    assert_eq!(is("suse:15.3", "1.2.11-1"), None);
}

#[test]
fn oval_of_oracle_keeps_live_patches_apart() {
    let oracle = RED_HAT_OVAL
        .replace("Red Hat Enterprise Linux 8", "Oracle Linux 8")
        .replace("<affected_cpe_list><cpe>cpe:/a:redhat:enterprise_linux:8::appstream</cpe></affected_cpe_list>", "")
        .replace("0:1.9.5p2-10.el8", "2:1.9.5p2-10.ksplice1.el8");
    let (_home, store) = store(&[("oracle.xml", &oracle)]);
    assert_eq!(has(&store, "oracle:8", "sudo", "1.9.5p2-9.el8", "CVE-2030-0001"), None);
    let mut patched = component("oracle:8", "sudo", "2:1.9.5p2-9.ksplice1.el8");
    patched.module = "ksplice".to_owned();
    assert!(one(&store, &patched, "CVE-2030-0001").unwrap().affected);
}

const UPDATES: &str = r#"<?xml version="1.0"?><updates>
 <update author="x" from="x" status="final" type="security" version="1.4"><id>ALAS2-2030-001</id><title>Amazon Linux 2: important for curl</title>
  <issued date="2030-01-01 00:00"/><severity>important</severity>
  <references><reference href="https://cve.example/CVE-2030-0004" id="CVE-2030-0004" type="cve"/></references>
  <pkglist><collection short="amazon-linux-2"><name>Amazon Linux 2</name>
   <package arch="x86_64" epoch="0" name="curl" release="1.amzn2.0.2" version="8.3.0"><filename>x</filename></package>
   <package arch="aarch64" epoch="0" name="curl" release="1.amzn2.0.2" version="8.3.0"/></collection></pkglist></update>
 <update type="bugfix"><id>X</id></update></updates>"#;

#[test]
fn updates_of_amazon_name_what_they_bring() {
    let (_home, store) = store(&[("updateinfo.xml", UPDATES)]);
    let is = |ecosystem: &str, version: &str| has(&store, ecosystem, "curl", version, "CVE-2030-0004");
    assert_eq!(is("amazon:2", "8.3.0-1.amzn2.0.1"), Some(true));
    assert_eq!(is("amazon:2", "8.3.0-1.amzn2.0.2"), Some(false));
    assert_eq!(is("amazon:2023", "8.3.0-1.amzn2023"), None);
    assert_eq!(store.given()[0].empty, 1);
}

const GLSA: &str = r#"<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE glsa SYSTEM "http://www.gentoo.org/dtd/glsa.dtd">
<glsa id="203001-01"><title>Example: Overflow</title><announced>2030-01-01</announced><revised count="01">2030-01-02</revised>
 <affected><package name="dev-libs/example" auto="yes" arch="*"><unaffected range="ge">2.0</unaffected>
   <unaffected range="rge">1.1-r2</unaffected><vulnerable range="lt">2.0</vulnerable></package></affected>
 <impact type="high"/><references><uri link="https://nvd.example/CVE-2030-0005">CVE-2030-0005</uri></references></glsa>"#;

#[test]
fn gentoo_knows_revisions_that_have_the_fix() {
    let (_home, store) = store(&[("glsa-203001-01.xml", GLSA)]);
    let is = |version: &str| has(&store, "gentoo", "dev-libs/example", version, "CVE-2030-0005");
    assert_eq!([is("1.0"), is("1.1-r1"), is("1.9")], [Some(true); 3]);
    assert_eq!([is("1.1-r2"), is("1.1-r3"), is("2.0"), is("2.1")], [Some(false); 4]);
}

fn rustsec(patched: &str, unaffected: &str) -> String {
    format!(
        "```toml\n[advisory]\nid = \"RUSTSEC-2030-0006\"\npackage = \"ex-ample\"\ndate = \"2030-01-01\"\n# a comment\n\
         aliases = [\n    \"CVE-2030-0006\",\n]\ncvss = \"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H\"\n\n[versions]\n\
         patched = [{patched}]\nunaffected = [{unaffected}]\n```\n\n# It overflows\n\nMore words.\n"
    )
}

#[test]
fn rustsec_says_what_is_not_vulnerable() {
    for (patched, unaffected, bad, good) in [
        ("\">= 1.2.3\"", "", &["0.1.0", "1.2.2"][..], &["1.2.3", "2.0.0"][..]),
        (
            "\"^0.9.1\", \">= 1.2.3\"",
            "\"< 0.5.0\"",
            &["0.5.0", "0.9.0", "0.10.0", "1.2.2"],
            &["0.4.9", "0.9.1", "0.9.9", "1.2.3"],
        ),
        (
            "\">= 1.0.5, < 1.1.0\", \"~1.2.3\", \"> 2.0.0\"",
            "",
            &["1.0.4", "1.1.0", "1.2.2", "1.3.0", "2.0.0"],
            &["1.0.5", "1.2.3", "2.0.1"],
        ),
        ("", "\"<= 0.3.1\", \"=0.4.0\"", &["0.3.2", "0.4.1", "9.0.0"], &["0.3.1", "0.4.0"]),
        ("", "", &["0.1.0", "9.0.0"], &[]),
    ] {
        let (_home, store) = store(&[("RUSTSEC-2030-0006.md", &rustsec(patched, unaffected))]);
        let is = |version: &&str| has(&store, "cargo", "ex_ample", version, "CVE-2030-0006");
        assert!(bad.iter().all(|version| is(version) == Some(true)), "{patched} {unaffected}");
        assert!(good.iter().all(|version| is(version) == Some(false)), "{patched} {unaffected}");
        let finding = one(&store, &component("cargo", "ex-ample", "0.3.2"), "CVE-2030-0006").unwrap();
        assert_eq!((finding.summary.as_str(), finding.score), ("It overflows", Some(9.8)));
        assert!(finding.reasons.iter().all(|reason| reason.verdict != Verdict::OtherModule));
    }
}

#[test]
fn a_kernel_that_does_not_run_and_one_that_waits_for_a_restart_are_told_apart() {
    use guardian_vuln::report::{self, Words};
    use guardian_vuln::scan::{Placed, Scanned};
    let tracker = r#"{ "linux": { "CVE-2030-0007": { "releases": { "bookworm": { "status": "resolved",
        "repositories": {}, "fixed_version": "6.1.90-1", "urgency": "medium" } } } } }"#;
    let (_home, store) = store(&[("debian.json", tracker)]);
    let image = |release: &str, version: &str| {
        let mut component = component("debian:12", &format!("linux-image-{release}"), version);
        component.source = "linux".to_owned();
        let (place, arch) = ("/var/lib/dpkg/status".to_owned(), "amd64".to_owned());
        Placed { component, place, owner: None, arch, licences: Vec::new(), layer: None }
    };
    let scanned = |kernel: &str| Scanned {
        packages: vec![
            image("6.1.0-1-amd64", "6.1.4-1"),
            image("6.1.0-2-amd64", "6.1.8-1"),
            image("6.1.0-3-amd64", "6.1.90-1"),
            image("amd64", "6.1.90-1"),
        ],
        kernel: kernel.to_owned(),
        ..Scanned::default()
    };
    let remarks = |kernel: &str| {
        let report = report::of(&store, scanned(kernel), &Words::default());
        let mut remarks: Vec<String> =
            report.findings.iter().map(|e| format!("{} {}", e.installed, e.remark)).collect();
        remarks.sort();
        (remarks, report.issues)
    };
    let (told, issues) = remarks("6.1.0-2-amd64");
    assert_eq!(
        told,
        [
            "6.1.4-1 this kernel does not run: 6.1.0-2-amd64 does",
            "6.1.8-1 6.1.0-3-amd64 is installed and does not have it: it counts after a restart"
        ]
    );
    assert!(issues.is_empty());
    assert!(remarks("6.9.0-custom").1[0].contains("belongs to no package"));
    // Of a disk or an image nobody knows what runs.
    assert_eq!(remarks("").0, ["6.1.4-1 ", "6.1.8-1 "]);
}

const NIXPKGS: &str = r#"{"version": 2, "packages": {
  "olm": {"name": "olm-3.2.16", "pname": "olm", "version": "3.2.16", "meta": {"description": "x", "knownVulnerabilities":
    ["The library is deprecated, see CVE-2030-45191 and CVE-2030-45192.", "Nobody looks after it."]}},
  "hello": {"name": "hello-2.12", "pname": "hello", "version": "2.12", "meta": {"knownVulnerabilities": []}},
  "odd": {"name": "odd", "pname": "odd", "version": "", "meta": {"knownVulnerabilities": ["CVE-2030-1111"]}},
  "bare": {"name": "bare-1", "pname": "bare", "version": "1", "meta": {}}}}"#;

#[test]
fn nixpkgs_speaks_of_the_version_that_the_channel_has() {
    let mut loader = guardian_vuln::load::Loader::default();
    loader.document(&guardian_vuln::sources::Document { name: "packages.json", bytes: NIXPKGS.as_bytes() });
    assert_eq!((loader.unknown, loader.issues.len(), loader.issues[0].record.as_str()), (0, 1, "odd"));
    let home = tempfile::tempdir().unwrap();
    guardian_vuln::store::folder::publish(home.path(), loader.finish(), 0, 1).unwrap();
    let store = guardian_vuln::store::folder::open(home.path(), None).unwrap();
    for vulnerability in ["CVE-2030-45191", "CVE-2030-45192", "NIXPKGS-olm-3.2.16"] {
        assert_eq!(has(&store, "nix", "olm", "3.2.16", vulnerability), Some(true), "{vulnerability}");
        assert_eq!(has(&store, "nix", "olm", "3.2.17", vulnerability), Some(false), "{vulnerability}");
    }
    assert_eq!(store.counts()[2], 1);
}

#[test]
fn an_exploit_that_anybody_finds_is_shown_and_counts() {
    let record = |url: &str| {
        format!(
            r#"{{"dataType": "CVE_RECORD", "cveMetadata": {{"cveId": "CVE-2030-0600", "state": "PUBLISHED"}}, "containers": {{
            "cna": {{"references": [{{"url": "{url}", "tags": ["exploit"]}}, {{"url": "https://vendor.example/advisory"}}]}}}}}}"#
        )
    };
    let advisory = r#"{ "schema_version": "1", "id": "GHSA-l", "modified": "2030-01-01T00:00:00Z",
      "aliases": ["CVE-2030-0600"], "affected": [{ "package": { "ecosystem": "npm", "name": "lodash" }, "ranges": [{
      "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "4.17.21" }] }] }] }"#;
    for (url, public) in [
        ("https://www.exploit-db.com/exploits/50592", true),
        ("https://www.rapid7.com/db/modules/exploit/multi/http/log4shell_header_injection/", true),
        ("https://www.exploit-db.com/about", false),
        ("https://blog.example/exploit-db.com/exploits/1", false),
    ] {
        let (_home, store) = store(&[("cve.json", &record(url)), ("osv.json", advisory)]);
        let finding = one(&store, &component("npm", "lodash", "4.17.20"), "CVE-2030-0600").unwrap();
        assert_eq!(finding.exploitation == guardian_vuln::advisory::Exploitation::Poc, public, "{url}");
        assert_eq!(finding.references.iter().any(|known| known == url), public, "{url}");
    }
}
