//! A backup taken from a running server, put back elsewhere.

use std::io::Write as _;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::app::{App, capture, guardian, text};

fn backup(data: &Path, args: &[&str]) -> Output {
    guardian(data).arg("backup").args(args).args(["--output", "json"]).output().unwrap()
}

fn fine(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output, why: &str) {
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "`{why}` is not in: {said}");
}

#[test]
fn another_machine_goes_on_where_this_one_was() {
    let app = App::start();
    app.json(&["replay", &capture("scan-vertical.pcap"), "--speed", "max"]);
    app.wait("the alert", |app| (!app.alerts().is_empty()).then_some(()));
    let added = app.cli_with(&["user", "add", "vera", "--role", "viewer"], "correct horse battery\n");
    assert!(added.status.success(), "{}", text(&added.stderr));
    app.json(&["audit", "checkpoint"]);
    let flows = |app: &App| app.number("SELECT count(*) FROM flows");
    let ids = |app: &App| {
        let mut ids: Vec<String> = app.alerts().iter().map(|a| a["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let (flows_before, alerts_before) = (flows(&app), ids(&app));
    assert!(flows_before > 0);

    let dir = tempfile::tempdir().unwrap();
    let (plain, locked) = (dir.path().join("plain.tar"), dir.path().join("locked.bak"));
    let pass = dir.path().join("pass");
    std::fs::write(&pass, "correct horse battery\n").unwrap();
    let (plain, locked, pass) = (plain.to_str().unwrap(), locked.to_str().unwrap(), pass.to_str().unwrap());
    let made = fine(&backup(&app.data, &["create", plain]));
    assert!(made["files"].as_u64().unwrap() > 3, "{made}");
    fine(&backup(&app.data, &["create", locked, "--passphrase-file", pass]));
    assert_eq!(fine(&backup(&app.data, &["verify", plain]))["files"], made["files"]);
    refused(&backup(&app.data, &["create", plain]), "already");

    // No key is in it, and what is encrypted shows nothing.
    let key = std::fs::read(app.data.join("secrets.key")).unwrap();
    let signing = std::fs::read(app.data.join("audit/signing.key")).unwrap();
    let bytes = std::fs::read(plain).unwrap();
    for secret in [key.trim_ascii(), signing.trim_ascii()] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    assert!(!std::fs::read(locked).unwrap().windows(15).any(|window| window == b"SQLite format 3"));
    refused(&backup(&app.data, &["verify", locked]), "passphrase");

    // What was changed or cut off is found.
    for (name, change) in [("changed", true), ("cut", false)] {
        let path = dir.path().join(name);
        let mut damaged = bytes.clone();
        if change {
            let at = bytes.windows(15).position(|window| window == b"SQLite format 3").unwrap();
            damaged[at + 500] ^= 1;
        } else {
            damaged.truncate(bytes.len() / 2);
        }
        std::fs::File::create(&path).unwrap().write_all(&damaged).unwrap();
        assert!(!backup(&app.data, &["verify", path.to_str().unwrap()]).status.success(), "{name}");
        let nowhere = dir.path().join(format!("{name}-data"));
        assert!(!backup(&nowhere, &["restore", path.to_str().unwrap()]).status.success());
        assert!(!nowhere.exists(), "nothing is left of a damaged backup");
    }
    refused(&backup(&app.data, &["restore", plain]), "not empty");

    // Elsewhere, with the key that was kept apart.
    let mut other = App::elsewhere();
    fine(&backup(&other.data, &["restore", locked, "--passphrase-file", pass]));
    let without = guardian(&other.data).args(["keys", "status"]).output().unwrap();
    refused(&without, "master key");
    std::fs::write(other.data.join("secrets.key"), &key).unwrap();
    other.spawn();
    assert_eq!(flows(&other), flows_before);
    assert_eq!(ids(&other), alerts_before);
    let verdict = other.json(&["audit", "verify"]);
    assert_eq!(verdict["result"], "intact", "{verdict}");
    assert!(verdict["checkpoints"].as_u64().unwrap() >= 1, "what the old key signed still counts: {verdict}");
    let users = other.json(&["user", "list"]);
    assert!(users.to_string().contains("vera"), "{users}");
}
