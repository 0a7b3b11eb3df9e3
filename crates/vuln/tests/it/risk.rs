//! Risk: what makes it larger, what smaller, and the decision beside it.

use guardian_vuln::advisory::Exploitation;
use guardian_vuln::matching::Finding;
use guardian_vuln::report::{self, FailOn, Words};
use guardian_vuln::risk::{self, Asset, Criticality, Decision, Exposure};

use crate::support::{component, one, store};

fn finding(vector: &str, more: &[(&str, &str)]) -> Finding {
    let osv = format!(
        r#"{{ "schema_version": "1", "id": "GHSA-l", "modified": "2030-01-01T00:00:00Z", "aliases": ["CVE-2030-0600"],
        "severity": [{{ "type": "CVSS_V3", "score": "{vector}" }}], "affected": [{{ "package": {{ "ecosystem": "npm", "name": "lodash" }},
        "ranges": [{{ "type": "SEMVER", "events": [{{ "introduced": "0" }}] }}] }}] }}"#
    );
    let mut documents = vec![("osv.json", osv.as_str())];
    documents.extend_from_slice(more);
    let (_home, store) = store(&documents);
    one(&store, &component("npm", "lodash", "1.0.0"), "CVE-2030-0600").unwrap()
}

const ALL: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
const KEV: (&str, &str) = (
    "kev.json",
    r#"{"catalogVersion": "1", "vulnerabilities": [{"cveID": "CVE-2030-0600", "dateAdded": "2030-01-02", "dueDate": "2030-02-01"}]}"#,
);
const EPSS: (&str, &str) = ("epss.csv", "#model_version:v1\ncve,epss,percentile\nCVE-2030-0600,0.25,0.99\n");

fn ssvc(exploitation: &str, automatable: &str, impact: &str) -> String {
    format!(
        r#"{{"dataType": "CVE_RECORD", "cveMetadata": {{"cveId": "CVE-2030-0600", "state": "PUBLISHED"}}, "containers": {{"cna": {{}}, "adp": [
        {{"metrics": [{{"other": {{"type": "ssvc", "content": {{"options": [{{"Exploitation": "{exploitation}"}}, {{"Automatable": "{automatable}"}},
        {{"Technical Impact": "{impact}"}}]}}}}}}]}}]}}}}"#
    )
}

#[test]
fn what_is_known_decides_before_what_is_guessed() {
    let asset = Asset::default();
    let of = |more: &[(&str, &str)]| {
        let risk = risk::of(&finding(ALL, more), &asset);
        (risk.probability.value, risk.probability.ground)
    };
    assert_eq!(of(&[KEV, EPSS]), (0.95, "known to be used (KEV)".to_owned()));
    assert_eq!(of(&[EPSS]), (0.25, "EPSS".to_owned()));
    assert_eq!(of(&[]), (0.048, "prior: automatable, total impact".to_owned()));
    let record = ssvc("PoC", "no", "partial");
    assert_eq!(
        of(&[("cve.json", &record)]),
        (0.004, "prior: not automatable, partial impact, proof of concept".to_owned())
    );
    let record = ssvc("active", "no", "total");
    assert_eq!(of(&[("cve.json", &record)]).0, 0.5);
}

#[test]
fn every_factor_counts_and_is_shown() {
    let base = Asset { exposure: Exposure::Internet, criticality: Criticality::High, ..Asset::default() };
    let risk = risk::of(&finding(ALL, &[EPSS]), &base);
    assert!((risk.score - 100.0 * 0.25 * 0.98).abs() < 1e-6, "{risk:?}");
    let product = risk.probability.value * risk.impact.value * risk.exposure.value * risk.criticality.value;
    assert!((risk.score - 100.0 * product).abs() < 1e-9);
    for smaller in [
        Asset { exposure: Exposure::Network, ..base },
        Asset { exposure: Exposure::Local, ..base },
        Asset { exposure: Exposure::Unknown, ..base },
        Asset { criticality: Criticality::Low, ..base },
        Asset { requirements: [Criticality::Low; 3], ..base },
    ] {
        assert!(risk::of(&finding(ALL, &[EPSS]), &smaller).score < risk.score, "{smaller:?}");
    }
    // Who is on the machine needs no network.
    let local = finding("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", &[EPSS]);
    let from = |exposure| risk::of(&local, &Asset { exposure, ..base }).exposure.value;
    assert_eq!(from(Exposure::Internet), from(Exposure::Local));
    // Without a vector the rating's word counts.
    assert_eq!(risk::of(&finding("none", &[]), &base).impact.ground, "rated unknown");
}

#[test]
fn the_decision_is_that_of_cisa_s_tree() {
    use Criticality::{High, Low, Medium};
    use Decision::{Act, Attend, Track, TrackClosely};
    use Exploitation::{Active, None, Poc};
    // Exploitation, automatable, total: for low, medium and high missions.
    for (exploitation, automatable, total, decisions) in [
        (None, false, false, [Track, Track, Track]),
        (None, false, true, [Track, Track, TrackClosely]),
        (None, true, false, [Track, Track, Attend]),
        (None, true, true, [Track, Track, Attend]),
        (Poc, false, false, [Track, Track, TrackClosely]),
        (Poc, false, true, [Track, TrackClosely, Attend]),
        (Poc, true, false, [Track, Track, Attend]),
        (Poc, true, true, [Track, TrackClosely, Attend]),
        (Active, false, false, [Track, Track, Attend]),
        (Active, false, true, [Track, Attend, Act]),
        (Active, true, false, [Attend, Attend, Act]),
        (Active, true, true, [Attend, Act, Act]),
    ] {
        for (mission, decision) in [Low, Medium, High].into_iter().zip(decisions) {
            assert_eq!(risk::decide(exploitation, automatable, total, mission), decision);
        }
    }
}

#[test]
fn a_scan_can_fail_by_risk() {
    let one = |text: &str| text.parse::<FailOn>();
    assert_eq!(one("risk:10"), Ok(FailOn::Risk(10)));
    assert!(one("risk:101").is_err() && one("risk:").is_err() && one("risk:x").is_err());
    let (_home, store) = store(&[EPSS]);
    assert!(report::of(&store, guardian_vuln::scan::Scanned::default(), &Words::default()).findings.is_empty());
}
