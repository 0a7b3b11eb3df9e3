//! What a newcomer does: start, replay, look.

use crate::app::{App, capture, text};

#[test]
fn a_replayed_scan_becomes_an_alert_and_goes_away_again() {
    let app = App::start();
    let done = app.json(&["replay", &capture("scan-vertical.pcap"), "--speed", "max"]);
    assert!(done[0]["flows"].as_u64().unwrap() > 500, "{done}");
    let alert = app.wait("the alert of the scan", |app| {
        app.alerts().into_iter().find(|a| a["title"].as_str().unwrap().to_lowercase().contains("scan"))
    });
    let id = alert["id"].as_str().unwrap();
    let shown = app.json(&["alerts", "--show", id]);
    assert!(!shown["evidence"].as_array().unwrap().is_empty());
    assert_eq!(shown["replay"], "scan-vertical");
    let told = text(&app.cli(&["alerts", "--show", id]).stdout);
    assert!(told.contains("what") && told.contains("next"), "{told}");

    let top = app.json(&["query", "SELECT src_ip, count(*) AS n FROM flows GROUP BY 1 ORDER BY 2 DESC LIMIT 1"]);
    assert_eq!(top[0]["src_ip"], alert["entity"], "the scanner made most flows");
    assert!(app.number("SELECT count(*) FROM findings") > 0);

    let closed = app.cli(&["alerts", "--close", id, "--verdict", "benign", "--note", "our own test", "-o", "json"]);
    assert!(closed.status.success(), "{}", text(&closed.stderr));
    assert!(text(&closed.stdout).contains("\"closed\""));

    let cleared = app.cli(&["demo", "clear"]);
    assert!(cleared.status.success(), "{}", text(&cleared.stderr));
    assert_eq!(app.number("SELECT count(*) FROM flows"), 0);
    assert_eq!(app.alerts().len(), 0);
}

#[test]
fn the_same_answer_with_and_without_a_server() {
    let mut app = App::start();
    app.json(&["replay", &capture("noise.netflow9.pcap"), "--speed", "max"]);
    let sql = "SELECT protocol, count(*) AS flows, sum(bytes) AS bytes FROM flows GROUP BY 1 ORDER BY 1";
    let live = app.json(&["query", sql]);
    assert!(!live.as_array().unwrap().is_empty());
    assert!(app.stop(), "an orderly stop ends with success");
    assert_eq!(app.json(&["query", sql]), live);
    app.spawn();
    assert_eq!(app.json(&["query", sql]), live);
}

#[test]
fn output_comes_in_every_form() {
    let app = App::start();
    app.json(&["replay", &capture("noise.ipfix.pcap"), "--speed", "max"]);
    let sql = "SELECT src_ip, sum(bytes) FROM flows GROUP BY 1 ORDER BY 2 DESC LIMIT 3";
    let form = |form: &str| text(&app.cli(&["query", sql, "--output", form]).stdout);
    assert_eq!(form("csv").lines().count(), 4);
    assert_eq!(form("jsonl").lines().count(), 3);
    assert!(form("xml").contains("<src_ip>"));
    assert!(form("table").contains("SRC_IP"));
    let exporters = app.cli(&["exporters"]);
    assert!(exporters.status.success(), "{}", text(&exporters.stderr));
}
