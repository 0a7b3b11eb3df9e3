//! Where addresses are, which lists they are on, and who may export at all.

use std::net::UdpSocket;

use guardian_testkit::mmdb::Mmdb;
use reqwest::Method;
use serde_json::json;

use crate::app::App;
use crate::http::{block_on, client};
use crate::triage::Api;
use crate::wire::{netflow9_data, netflow9_template};

#[test]
fn flows_tell_where_they_went_and_which_list_knows_it() {
    let files = tempfile::tempdir().unwrap();
    let (countries, list) = (files.path().join("country.mmdb"), files.path().join("bad.csv"));
    let database = Mmdb::new("Country").with("192.0.2.0/24", json!({"country": {"iso_code": "NL"}}));
    std::fs::write(&countries, database.finish()).unwrap();
    std::fs::write(&list, "seen,address\n2026-01-01,192.0.2.1\n2026-01-02,not an address\n2026-01-03,203.0.113.0/24\n")
        .unwrap();
    let geo = format!("enrich.geo={}", json!([countries]));
    let indicators = json!([{"name": "bad-hosts", "path": list, "format": "csv", "column": "address"}]);
    let indicators = format!("enrich.indicators={indicators}");
    let app = App::start_with(&["--set", &geo, "--set", &indicators]);
    app.send_from(&UdpSocket::bind("127.0.0.1:0").unwrap(), [netflow9_template(1), netflow9_data(2)]);
    app.wait("the flows", |app| (app.number("SELECT count(*) FROM flows") == 3).then_some(()));
    let told =
        app.json(&["query", "SELECT DISTINCT src_country, dst_country, direction, indicator, indicator_ip FROM flows"]);
    let expected = json!([{
        "src_country": null, "dst_country": "NL", "direction": "outbound",
        "indicator": "bad-hosts", "indicator_ip": "192.0.2.1",
    }]);
    assert_eq!(told, expected);
    // Nobody's own network is in a country; the map shows where it speaks with all the same.
    let api = Api::of(&app);
    let board = app.wait("the rankings", |_| {
        let board = block_on(api.get("/dashboard?range=1h"));
        board["generated"].is_string().then_some(board)
    });
    let arcs = board["countries"].as_array().unwrap();
    assert_eq!(arcs.len(), 1, "{board}");
    assert_eq!((&arcs[0]["from"], &arcs[0]["to"], &arcs[0]["flows"]), (&json!("local"), &json!("NL"), &json!(3)));
    let alert = app.wait("the alert about the listed address", |app| {
        app.alerts().into_iter().find(|a| a["title"].as_str().unwrap().to_lowercase().contains("indicator"))
    });
    assert!(alert["entity"].as_str().unwrap().starts_with("10.0.0."), "the host that is to be looked at: {alert}");
}

#[test]
fn who_may_not_export_is_refused_and_counted() {
    let app = App::start_with(&["--set", r#"collect.allowed_exporters=["198.51.100.0/24"]"#]);
    app.send_from(&UdpSocket::bind("127.0.0.1:0").unwrap(), [netflow9_template(1), netflow9_data(2)]);
    let http = client(&app);
    let (url, key) = (format!("{}/metrics", app.url()), app.operator_key());
    app.wait("the refusals in the metrics", |_| {
        let text = block_on(async { http.request(Method::GET, &url).bearer_auth(&key).send().await?.text().await });
        let line = text.unwrap().lines().find(|l| l.starts_with("guardian_receive_not_allowed_total"))?.to_owned();
        line.ends_with(" 2").then_some(())
    });
    assert_eq!(app.number("SELECT count(*) FROM flows"), 0);
}
