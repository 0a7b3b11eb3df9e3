//! What is wrong gets a clear answer and a documented exit code, and everything else keeps working.

use std::process::Stdio;

use crate::app::{App, guardian, text};

#[test]
fn an_unknown_key_is_refused_with_a_suggestion() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("guardian.yaml");
    std::fs::write(&file, "lake:\n  kep: 30d\nserver:\n  adress: x\n").unwrap();
    let said = guardian(dir.path()).args(["serve", "--config"]).arg(&file).output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    let message = text(&said.stderr);
    assert!(message.contains("keep") && message.contains("address"), "both at once, with suggestions: {message}");
    let checked = guardian(dir.path()).args(["config", "check", "--config"]).arg(&file).output().unwrap();
    assert_eq!(checked.status.code(), Some(3));
}

#[test]
fn a_taken_port_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = guardian(dir.path())
        .args(["--set", "server.address=127.0.0.1:0", "--set"])
        .arg(format!("collect.listeners=[{{\"address\": \"127.0.0.1:{port}\"}}]"))
        .arg("serve")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(1));
    let message = text(&said.stderr);
    assert!(message.contains("another program has this port"), "{message}");
}

#[test]
fn without_a_server_the_answer_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let said = guardian(dir.path()).args(["alerts"]).output().unwrap();
    assert_eq!(said.status.code(), Some(4));
    assert!(text(&said.stderr).contains("guardian serve"), "{}", text(&said.stderr));
}

#[test]
fn a_bad_rule_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.yml");
    let rule = "title: x\nlogsource:\n  product: guardian\n  service: flow\ndetection:\n  a:\n    no_such_field: 1\n  condition: a\n";
    std::fs::write(&file, rule).unwrap();
    let said = guardian(dir.path()).args(["rules", "check", "-o", "json"]).arg(&file).output().unwrap();
    assert_eq!(said.status.code(), Some(3), "{}", text(&said.stderr));
    let issues: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let issue = issues.as_array().unwrap().iter().find(|i| i["message"].as_str().unwrap().contains("no_such_field"));
    assert_eq!(issue.expect("the unknown field is told")["line"], 7);
}

#[test]
fn rubbish_on_the_wire_is_counted_and_harmless() {
    let app = App::start();
    let template_of_nothing = [0, 9, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0];
    let rubbish =
        [vec![], vec![0], vec![0, 9], vec![0xff; 9_000], template_of_nothing.to_vec(), vec![0, 10, 0xff, 0xff]];
    app.send(rubbish.clone());
    let counted = app.wait("the counters of the rubbish", |app| {
        let exporters = app.json(&["exporters", "--all"]);
        let errors: u64 = exporters.as_array()?.iter().filter_map(|e| e["errors"].as_u64()).sum();
        (errors > 0).then_some(errors)
    });
    assert!(counted >= 1);
    assert_eq!(app.number("SELECT count(*) FROM flows"), 0);
    let wrong = app.cli(&["query", "DROP TABLE flows"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("SELECT"), "{}", text(&wrong.stderr));
}
