//! What is wrong with hosts: from a package that is installed by the real program, over advisories that `vulndb` reads, to
//! what is told, put up with, fixed, and back again.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, text};
use crate::fleet::{Agent, Way, address, token};
use crate::hosts::{Changeable, install};
use crate::http::{block_on, client};

/// An advisory on the package that the tests install, in the OSV format.
fn advisory(name: &str, system: &str, fixed: &str, vector: &str) -> Value {
    json!({
        "schema_version": "1.6.0", "id": name, "modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z",
        "summary": format!("The test package is wrong, says {name}"),
        "severity": [{ "type": "CVSS_V3", "score": vector }],
        "affected": [{ "package": { "ecosystem": system, "name": "guardian-test" },
            "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": fixed }] }] }]
    })
}

/// A catalogue of what is exploited.
fn kev(name: &str) -> Value {
    json!({ "title": "Known Exploited Vulnerabilities", "catalogVersion": "2026.01.01", "count": 1,
        "dateReleased": "2026-01-01T00:00:00Z", "vulnerabilities": [{ "cveID": name, "vendorProject": "Guardian",
        "product": "test", "vulnerabilityName": "Test", "dateAdded": "2026-01-02", "shortDescription": "Test",
        "requiredAction": "Update", "dueDate": "2026-01-20", "knownRansomwareCampaignUse": "Unknown", "notes": "" }] })
}

pub(crate) const BAD: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
const MILD: &str = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N";

/// This machine's distribution, as OSV names it; none where the tests know no advisories for it.
fn system() -> Option<String> {
    let release = std::fs::read_to_string("/etc/os-release").ok()?;
    let of = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    match of("ID").as_str() {
        "debian" => Some(format!("Debian:{}", of("VERSION_ID"))),
        "ubuntu" => Some(format!("Ubuntu:{}", of("VERSION_ID"))),
        _ => None,
    }
}

/// Builds the store that the server looks at.
pub(crate) fn build(app: &App, dir: &Path, documents: &[(&str, Value)]) {
    let folder = dir.join("documents");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, document) in documents {
        std::fs::write(folder.join(name), document.to_string()).unwrap();
    }
    // Stores are named after the second in which they were built.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let built = app.cli(&["vulndb", "build", folder.to_str().unwrap()]);
    assert!(built.status.success(), "{}", text(&built.stderr));
}

fn list(app: &App, more: &[&str]) -> Vec<Value> {
    app.json(&[&["vulnerabilities", "list"], more].concat()).as_array().unwrap().clone()
}

/// What the host has of one vulnerability, in any state.
fn of_host(app: &App, id: &str, name: &str) -> Option<Value> {
    let all = list(app, &["--host", id, "--state", "open,excepted,fixed,withdrawn", "--search", name]);
    all.into_iter().find(|row| row["vulnerability"] == name)
}

fn wait_for(app: &App, id: &str, name: &str, state: &str) -> Value {
    app.wait(&format!("{name} is {state}"), |app| of_host(app, id, name).filter(|row| row["state"] == state))
}

fn api(app: &App, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    block_on(async {
        let mut request = client(app).request(method, format!("{}/api/v1{path}", app.url()));
        request = request.bearer_auth(app.operator_key());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    })
}

/// Somebody asks, nobody approves what they asked for themselves, and what was approved ends.
fn exceptions(app: &App, id: &str) {
    let asked = app.json(&[
        "vulnerabilities",
        "exceptions",
        "request",
        "CVE-2026-0001",
        "--reason",
        "The part is switched off",
        "--until",
        &soon(),
        "--host",
        id,
        "--package",
        "guardian-test",
    ]);
    let exception = asked[0]["id"].as_str().unwrap().to_owned();
    assert_eq!((&asked[0]["state"], &asked[0]["holds"]), (&"requested".into(), &false.into()));
    assert_eq!(of_host(app, id, "CVE-2026-0001").unwrap()["state"], "open", "asking is not enough");
    let own = app.cli(&["vulnerabilities", "exceptions", "approve", &exception]);
    assert!(!own.status.success());
    assert!(text(&own.stderr).contains("somebody else"), "{}", text(&own.stderr));
    settings(app, id);
    assert!(app.cli(&["vulnerabilities", "exceptions", "approve", &exception]).status.success());
    assert_eq!(of_host(app, id, "CVE-2026-0001").unwrap()["state"], "excepted");
    assert!(list(app, &["--search", "CVE-2026-0001"]).is_empty(), "the list shows what is open");
    let sarif: Value = export(app, &["--host", id, "--format", "sarif"]);
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let ours = results.iter().find(|r| r["ruleId"] == "CVE-2026-0001").unwrap();
    assert!(ours["suppressions"].as_array().is_some_and(|s| !s.is_empty()), "{ours}");
    assert!(app.cli(&["vulnerabilities", "exceptions", "end", &exception]).status.success());
    assert_eq!(of_host(app, id, "CVE-2026-0001").unwrap()["state"], "open");
    let past = ["vulnerabilities", "exceptions", "request", "CVE-2026-0001", "--reason", "x", "--until", "2020-01-01"];
    assert!(!app.cli(&past).status.success());
}

/// What is set: seen, set in part, refused where it is wrong, and in force at once.
fn settings(app: &App, id: &str) {
    let (_, before) = api(app, Method::GET, "/vulnerability-settings", None);
    assert_eq!((&before["version"], &before["own_approval"]), (&0.into(), &false.into()));
    let set = |more: &[&str]| app.cli(&[&["vulnerabilities", "settings", "set"], more].concat());
    for (wrong, why) in [
        (&["--critical-days", "9999"][..], "3650"),
        (&["--group-days", "web:terrible=1"], "none of critical"),
        (&[], "say what to set"),
    ] {
        let refused = set(wrong);
        assert!(
            !refused.status.success() && text(&refused.stderr).contains(why),
            "{wrong:?}: {}",
            text(&refused.stderr)
        );
    }
    let due = || of_host(app, id, "CVE-2026-0001").unwrap()["due"].as_str().unwrap().to_owned();
    let later = due();
    assert!(set(&["--own-approval", "true", "--group-days", "internet:critical=2,exploited=2"]).status.success());
    assert!(due() < later, "its tag has a sooner deadline: {} and {later}", due());
    let shown = app.json(&["vulnerabilities", "settings"]);
    assert_eq!(
        (&shown["own_approval"], &shown["critical_days"]),
        (&true.into(), &15.into()),
        "what is not named stays"
    );
    assert_eq!(shown["deadlines"][0]["label"], "internet");
    assert!(set(&["--group-days", "internet:"]).status.success());
    assert_eq!(due(), later);
    assert_eq!(api(app, Method::PUT, "/vulnerability-settings", Some(before)).0, 409, "it has another version now");
    let told = app.cli(&["vulnerabilities", "settings", "--output", "table"]);
    assert!(text(&told.stdout).contains("critical_days"), "{}", text(&told.stdout));
}

/// From where it is reached, and why: the tag says so, and so does who comes.
fn exposed(app: &App, id: &str) {
    let known = app.json(&["vulnerabilities", "exposure", id]);
    assert_eq!(known["exposure"], "internet");
    let reasons = known["reasons"].as_array().unwrap();
    let label = reasons.iter().find(|reason| reason["source"] == "settings").unwrap();
    assert_eq!((&label["kind"], &label["detail"]), (&"label".into(), &"internet".into()), "{known}");
    assert!(reasons.iter().any(|reason| reason["source"] == "ports"), "{known}");
    let nobody = uuid::Uuid::nil().to_string();
    assert!(!app.cli(&["vulnerabilities", "exposure", &nobody]).status.success());
}

pub(crate) fn soon() -> String {
    let day = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 30);
    day.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

fn export(app: &App, more: &[&str]) -> Value {
    let output = app.cli(&[&["vulnerabilities", "export"], more].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The ways out, and that they are remembered.
fn exports(app: &App, id: &str) {
    let csv = app.cli(&["vulnerabilities", "export", "--package", "guardian-test"]);
    let csv = text(&csv.stdout);
    assert!(csv.lines().any(|line| line.contains("CVE-2026-0001") && line.contains("guardian-test 1.0-1")), "{csv}");
    let rows = export(app, &["--package", "guardian-test", "--format", "json"]);
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    for language in ["en", "de"] {
        let paper = app.cli(&["vulnerabilities", "export", "--format", "pdf", "--language", language]);
        assert!(paper.stdout.starts_with(b"%PDF-"), "{}", text(&paper.stderr));
    }
    assert!(!app.cli(&["vulnerabilities", "export", "--format", "pdf", "--rating", "high"]).status.success());
    let bill = export(app, &["--host", id, "--format", "cyclonedx"]);
    let named: Vec<&str> =
        bill["vulnerabilities"].as_array().unwrap().iter().filter_map(|v| v["id"].as_str()).collect();
    assert!(named.contains(&"CVE-2026-0001") && named.contains(&"CVE-2026-0002"), "{named:?}");
    let exports = app.json(&["audit", "list", "--action", "vulnerability.export"]);
    assert!(exports.as_array().unwrap().len() >= 5, "{exports}");
}

/// What is told of one vulnerability, of figures, and of what to fix first.
fn told(app: &App, id: &str) {
    let shown = app.json(&["vulnerabilities", "show", "CVE-2026-0001"]);
    assert_eq!((&shown["advisories"][0]["source"], &shown["hosts"][0]["host_id"]), (&"osv".into(), &id.into()));
    assert!(shown["exploited_since"].is_string(), "{shown}");
    assert!(!app.cli(&["vulnerabilities", "show", "CVE-1999-9999"]).status.success());
    let fixes = app.json(&["vulnerabilities", "fix-first", "--host", id]);
    let first = &fixes[0];
    assert_eq!(
        (&first["package"], &first["version"], &first["hosts"], &first["vulnerabilities"], &first["exploited"]),
        (&"guardian-test".into(), &"3.0-1".into(), &1.into(), &2.into(), &1.into()),
        "{fixes}"
    );
    let summary = app.json(&["vulnerabilities", "summary"]);
    assert_eq!((&summary["hosts"], &summary["vulnerable_hosts"], &summary["open"]), (&1.into(), &1.into(), &2.into()));
    assert_eq!(summary["trend"].as_array().unwrap().last().unwrap()["open"], 2);
    assert_eq!(list(app, &["--rating", "critical"]).len(), 1);
    assert_eq!(list(app, &["--exploited"]).len(), 1);
    assert!(list(app, &["--overdue"]).is_empty());
    assert!(!app.cli(&["vulnerabilities", "list", "--rating", "terrible"]).status.success());
    assert!(list(app, &["--group", "nobody"]).is_empty());
}

#[test]
fn what_is_wrong_with_a_host_is_known_fixed_and_comes_back() {
    let Some(system) = system() else { return eprintln!("skipped: no advisories are known for this distribution") };
    if let Err(error) = Changeable::can_be() {
        return eprintln!("skipped: mount namespaces or dpkg are missing: {error}");
    }
    let mut app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let way = Way::to(Some(address(&app)));
    let agent = Agent::new();
    agent.enroll(&way.url, &token(&app, &[]), &["--name", "db-1"]).unwrap();
    let id = agent.id();
    assert!(app.cli(&["hosts", "tag", "internet", "--host", &id]).status.success());
    let machine = Changeable::start(agent.home());
    install(&machine, dir.path(), "1.0-1");
    app.wait("the package is known", |app| {
        let hosts = app.json(&["software", "guardian-test"]);
        (!hosts.as_array()?.is_empty()).then_some(())
    });
    assert!(list(&app, &[]).is_empty(), "nobody knows anything yet");

    let documents = [
        ("one.json", advisory("CVE-2026-0001", &system, "2.0-1", BAD)),
        ("two.json", advisory("CVE-2026-0002", &system, "3.0-1", MILD)),
        ("kev.json", kev("CVE-2026-0001")),
    ];
    build(&app, dir.path(), &documents);
    let found = wait_for(&app, &id, "CVE-2026-0001", "open");
    assert_eq!(
        found["installed"][0],
        json!({ "name": "guardian-test", "version": "1.0-1", "fixed_in": ["2.0-1"], "running": null })
    );
    assert_eq!((&found["exposure"], &found["detail"]["exploited"]), (&"internet".into(), &true.into()));
    assert!(
        found["due"].is_string() && found["first_seen"] == wait_for(&app, &id, "CVE-2026-0002", "open")["first_seen"]
    );
    app.wait("it is an alert", |app| {
        app.alerts().into_iter().find(|a| a["title"] == "Exploited vulnerability on an exposed host")
    });
    told(&app, &id);
    exposed(&app, &id);
    exceptions(&app, &id);
    exports(&app, &id);

    install(&machine, dir.path(), "2.0-1");
    let fixed = wait_for(&app, &id, "CVE-2026-0001", "fixed");
    assert!(fixed["closed"].is_string() && fixed["first_seen"] == found["first_seen"], "{fixed}");
    let still = of_host(&app, &id, "CVE-2026-0002").unwrap();
    assert_eq!((&still["state"], &still["installed"][0]["version"]), (&"open".into(), &"2.0-1".into()));
    assert_eq!(still["first_seen"], found["first_seen"], "an update that does not fix it changes nothing");
    let summary = app.json(&["vulnerabilities", "summary"]);
    let critical = summary["ratings"].as_array().unwrap().iter().find(|r| r["rating"] == "critical").unwrap();
    assert_eq!(critical["fixed"], 1, "{summary}");
    assert!(critical["mean_seconds_to_fix"].as_f64().is_some_and(|s| s >= 0.0));

    // The server dies; what it knew it knows again, and what came meanwhile too.
    app.kill();
    install(&machine, dir.path(), "1.0-1");
    app.spawn();
    way.lead(address(&app));
    let back = wait_for(&app, &id, "CVE-2026-0001", "open");
    assert_eq!((&back["reopened"], &back["first_seen"]), (&1.into(), &found["first_seen"]));
    // The advisories take one back.
    let mut withdrawn = advisory("CVE-2026-0002", &system, "3.0-1", MILD);
    withdrawn["withdrawn"] = "2026-02-01T00:00:00Z".into();
    build(&app, dir.path(), &[("two.json", withdrawn)]);
    wait_for(&app, &id, "CVE-2026-0002", "withdrawn");
    assert_eq!(of_host(&app, &id, "CVE-2026-0001").unwrap()["state"], "open");
    assert!(app.cli(&["hosts", "delete", &id]).status.success());
    app.wait("it went with its host", |app| list(app, &[]).is_empty().then_some(()));
}
