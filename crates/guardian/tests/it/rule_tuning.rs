//! Rules over the API beyond the single one: exceptions, versions, import and export, coverage, splitting alerts.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, capture};
use crate::http::block_on;
use crate::triage::Api;

const RULE: &str = "\
title: DNS question
id: 5d1a7d3c-1c1f-4f7e-9a43-0a6f5f1f7d10
status: test
description: A flow to a name server.
level: low
tags: [attack.command_and_control, attack.t1071.004]
logsource:
  product: guardian
  service: flow
detection:
  asked:
    dst_port: 53
  condition: asked
";
const PATH: &str = "/rules/5d1a7d3c-1c1f-4f7e-9a43-0a6f5f1f7d10";

#[test]
fn an_exception_hides_rows_and_survives_a_new_version() {
    let app = App::start();
    app.json(&["replay", &capture("noise.pcap"), "--speed", "max"]);
    let asked = app.number("SELECT count(*) FROM flows WHERE dst_port = 53");
    let by_one =
        app.json(&["query", "SELECT src_ip FROM flows WHERE dst_port = 53 GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"]);
    let source = by_one[0]["src_ip"].as_str().unwrap().to_owned();
    let of_one = app.number(&format!("SELECT count(*) FROM flows WHERE dst_port = 53 AND src_ip = '{source}'"));
    let api = Api::of(&app);
    block_on(async {
        api.post("/rules", json!({"source": RULE})).await;
        let over = |more: Value| {
            let mut body = json!({"source": RULE, "from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let plain = api.post("/rules/test", over(json!({}))).await;
        assert_eq!((&plain["matched"], &plain["excepted"]), (&json!(asked), &json!(0)), "{plain}");
        let sum = |answer: &Value, key: &str| -> u64 {
            answer["histogram"].as_array().unwrap().iter().map(|s| s[key].as_u64().unwrap()).sum()
        };
        assert_eq!((sum(&plain, "matched"), json!(sum(&plain, "rows"))), (asked, plain["rows"].clone()));
        assert_eq!(json!(sum(&plain, "alerts")), plain["alerts_total"]);
        assert_eq!(plain["matches"].as_array().unwrap().len() as u64, asked.min(200));
        assert!(plain["matches"].as_array().unwrap().iter().all(|row| row["dst_port"] == 53));
        let filter = format!("src_ip = {source}");
        let tried = api.post("/rules/test", over(json!({"except": filter}))).await;
        assert_eq!((&tried["matched"], &tried["excepted"]), (&json!(asked - of_one), &json!(of_one)));

        let path = format!("{PATH}/exceptions");
        let wrong = api.call(Method::POST, &path, json!({"filter": "scr_ip = 10.0.0.1", "reason": "x"})).await;
        assert_eq!(wrong.0, StatusCode::UNPROCESSABLE_ENTITY);
        let body = json!({"fields": [{"field": "src_ip", "values": [source]}], "reason": "our resolver"});
        let made = api.post(&path, body).await;
        assert_eq!((&made["filter"], &made["hits"]), (&json!(filter), &json!(0)));
        assert_eq!(api.post("/rules/test", over(json!({}))).await["matched"], asked - of_one, "it holds in tests");
        assert_eq!(api.post("/rules/test", over(json!({"exceptions": false}))).await["matched"], asked);

        let second = RULE.replace("level: low", "level: medium");
        api.post("/rules", json!({"source": second, "comment": "worse than thought"})).await;
        let shown = api.get(PATH).await;
        assert_eq!((&shown["version"], &shown["exceptions"]), (&json!(2), &json!(1)));
        let versions = api.get(&format!("{PATH}/versions")).await;
        assert_eq!(versions["items"][0]["comment"], "worse than thought");
        assert_eq!((&versions["items"][0]["current"], &versions["items"][1]["source"]), (&json!(true), &json!(RULE)));
        let diff = api.get(&format!("{PATH}/diff")).await;
        let changed: Vec<_> = diff["lines"].as_array().unwrap().iter().filter(|l| l["kind"] != "same").collect();
        let told: Vec<_> = changed.iter().map(|l| l["text"].as_str().unwrap()).collect();
        assert_eq!(told, ["level: low", "level: medium"]);
        let back = api.post(&format!("{PATH}/restore"), json!({"version": 1})).await;
        assert_eq!((&back["version"], &back["severity"]), (&json!(3), &json!("low")));
        let none = api.call(Method::POST, &format!("{PATH}/restore"), json!({"version": 9})).await;
        assert_eq!(none.0, StatusCode::NOT_FOUND);
    });
    app.json(&["replay", &capture("noise.pcap"), "--speed", "max", "--name", "again"]);
    app.wait("the alerts of the others", |app| app.alerts().into_iter().find(|a| a["title"] == "DNS question"));
    assert!(app.alerts().iter().all(|a| a["title"] != "DNS question" || a["entity"] != source.as_str()));
    app.wait("the hits in the catalog", |app| {
        let all = app.json(&["rules", "exceptions"]);
        all[0]["hits"].as_u64().filter(|n| *n == of_one)
    });
    edits_of_an_exception(&api);
}

/// It is changed by whoever knows its version, and ends.
fn edits_of_an_exception(api: &Api) {
    block_on(async {
        let id = api.get("/rules/exceptions").await["items"][0]["id"].as_str().unwrap().to_owned();
        let path = format!("/rules/exceptions/{id}");
        let edit = json!({"version": 1, "filter": "src_ip = 10.9.9.9", "reason": "moved", "enabled": false});
        let (status, changed) = api.call(Method::PATCH, &path, edit.clone()).await;
        assert_eq!((status, &changed["version"]), (StatusCode::OK, &json!(2)), "{changed}");
        let (status, stale) = api.call(Method::PATCH, &path, edit).await;
        assert_eq!((status, &stale["current"]["version"]), (StatusCode::CONFLICT, &json!(2)));
        assert_eq!(api.call(Method::DELETE, &path, Value::Null).await.0, StatusCode::NO_CONTENT);
    });
}

#[test]
fn rules_travel_with_their_exceptions() {
    let (here, there) = (App::start(), App::start());
    let api = Api::of(&here);
    block_on(async {
        let plain =
            "title: Plain\nid: p1\nlogsource: {category: firewall}\ndetection: {s: {dst_port: 22}, condition: s}\n";
        let many = "title: Many\nid: c1\ncorrelation: {type: event_count, rules: [p1], group-by: [src_ip], timespan: 1m, condition: {gte: 9}}\n";
        let windows = "title: W\nid: w1\nlogsource: {product: windows, service: security}\ndetection: {s: {EventID: 1}, condition: s}\n";
        let files = json!({"files": [
            {"name": "a/many.yml", "source": many}, {"name": "a/plain.yml", "source": plain},
            {"name": "w.yml", "source": windows}, {"name": "broken.yml", "source": "title: [\n"}, {"name": "readme.md", "source": "no"},
        ]});
        let dry = api.post("/rules/import?dry_run=true", files.clone()).await;
        assert_eq!((&dry["created"], &dry["refused"]), (&json!(2), &json!(1)), "{dry}");
        assert_eq!(
            api.call(Method::GET, "/rules/p1", Value::Null).await.0,
            StatusCode::NOT_FOUND,
            "nothing was stored"
        );
        let done = api.post("/rules/import", files.clone()).await;
        let results: Vec<_> = done["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| (f["name"].as_str().unwrap(), f["result"].as_str().unwrap()))
            .collect();
        assert_eq!(
            results,
            [("a/many.yml", "stored"), ("a/plain.yml", "stored"), ("broken.yml", "refused"), ("w.yml", "refused")]
        );
        assert!(done["files"][3]["issues"][0]["message"].as_str().unwrap().contains("not collected"), "{done}");
        let again = api.post("/rules/import", files).await;
        assert_eq!((&again["created"], &again["unchanged"]), (&json!(0), &json!(2)));
        api.post("/rules/c1/exceptions", json!({"filter": "src_ip = 10.0.0.7", "reason": "\"ours\""})).await;
        api.post("/rules/guardian.beaconing/exceptions", json!({"filter": "dst_ip = 192.0.2.1", "reason": "updates"}))
            .await;
        assert_eq!(
            api.call(Method::GET, "/rules/guardian.nothing/exceptions", Value::Null).await.0,
            StatusCode::NOT_FOUND
        );
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.zip").display().to_string();
    let wrote = here.cli(&["rules", "export", "--file", &file]);
    assert!(wrote.status.success());
    let moved = there.json(&["rules", "import", &file]);
    assert_eq!(moved.as_array().unwrap().iter().filter(|r| r["result"] == "created").count(), 2, "{moved}");
    let exceptions = there.json(&["rules", "exceptions"]);
    let mut told: Vec<_> = exceptions
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["rule_id"].as_str().unwrap(), e["reason"].as_str().unwrap()))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("c1", "\"ours\""), ("guardian.beaconing", "updates")]);
    there.json(&["rules", "import", &file]);
    assert_eq!(there.json(&["rules", "exceptions"]).as_array().unwrap().len(), 2, "not twice");
    let coverage = there.json(&["rules", "coverage"]);
    let brute = coverage.as_array().unwrap().iter().find(|t| t["technique"] == "t1110").unwrap().clone();
    assert!(brute["enabled"].as_u64().unwrap() >= 2, "{brute}");
}

#[test]
fn events_are_taken_out_of_an_alert_and_put_back() {
    let app = App::start();
    app.json(&["replay", &capture("scan-vertical.pcap"), "--speed", "max"]);
    let alert = app.wait("the alert of the scan", |app| {
        app.alerts().into_iter().find(|a| a["count"].as_u64().is_some_and(|n| n > 3))
    });
    let path = format!("/alerts/{}", alert["id"].as_str().unwrap());
    let api = Api::of(&app);
    block_on(async {
        let before = api.get(&path).await;
        let events: Vec<Value> = before["evidence"].as_array().unwrap()[..2]
            .iter()
            .map(|e| json!({"batch": e["batch"], "row": e["row"]}))
            .collect();
        let proposed = api.get(&format!("{path}/exceptions")).await;
        assert_eq!(proposed["rule_id"], before["rule_id"]);
        let source = format!("src_ip = {}", before["evidence"][0]["event"]["src_ip"].as_str().unwrap());
        assert!(proposed["items"].as_array().unwrap().iter().any(|p| p["filter"] == source.as_str()), "{proposed}");
        let done = api.post(&format!("{path}/split"), json!({"events": events, "note": "a test of ours"})).await;
        assert_eq!((&done["split"]["split_from"], &done["split"]["count"]), (&before["id"], &json!(2)));
        assert_eq!(done["alert"]["count"].as_u64().unwrap() + 2, before["count"].as_u64().unwrap());
        assert_eq!(done["split"]["note"], "a test of ours");
        let again = api.call(Method::POST, &format!("{path}/split"), json!({"events": events})).await;
        assert_eq!(again.0, StatusCode::UNPROCESSABLE_ENTITY, "they are gone from there");
        let back = format!("/alerts/{}/join-back", done["split"]["id"].as_str().unwrap());
        let whole = api.post(&back, Value::Null).await;
        assert_eq!(
            (&whole["count"], whole["evidence"].as_array().unwrap().len()),
            (&before["count"], before["evidence"].as_array().unwrap().len())
        );
        assert_eq!(api.call(Method::POST, &back, Value::Null).await.0, StatusCode::NOT_FOUND);
    });
}

#[test]
fn a_rule_is_tested_with_the_flows_that_it_ships_with_and_with_others() {
    let app = App::start();
    let api = Api::of(&app);
    block_on(async {
        let rules = api.get("/rules").await;
        let shipped: Vec<_> = rules["items"].as_array().unwrap().iter().filter(|r| r["origin"] == "shipped").collect();
        assert!(shipped.len() > 10 && shipped.iter().all(|r| r["fixtures"].is_null()), "{rules}");
        for rule in shipped {
            let rule = api.get(&format!("/rules/{}", rule["id"].as_str().unwrap())).await;
            for fixture in rule["fixtures"].as_array().unwrap() {
                for one_way in [false, true] {
                    let body = json!({"source": rule["source"], "fixture": fixture["text"], "one_way": one_way});
                    let answer = api.post("/rules/test/fixture", body).await;
                    let found = answer["alerts_total"].as_u64().unwrap() > 0;
                    assert_eq!(json!(found), fixture["found"], "{} {one_way} {answer}", rule["title"]);
                }
            }
        }
        assert_eq!(api.get("/alerts").await["items"], json!([]), "nothing is kept of a test");
        let with = |fixture: &str| json!({"source": RULE, "fixture": fixture});
        let one = "- {src: 10.0.0.9, dst: 192.0.2.53, dport: 53, proto: udp, repeat: 7, every: 1}\n";
        let asked = api.post("/rules/test/fixture", with(one)).await;
        assert_eq!((&asked["rows"], &asked["matched"]), (&json!(7), &json!(7)), "{asked}");
        assert_eq!(asked["matches"][0]["src_ip"], "10.0.0.9");
        let steps = asked["histogram"].as_array().unwrap();
        assert_eq!(steps.iter().map(|s| s["rows"].as_u64().unwrap()).sum::<u64>(), 7);
        let wrong = api.call(Method::POST, "/rules/test/fixture", with("- {src: 10.0.0.x, dst: 10.0.0.1}")).await;
        assert_eq!(wrong.0, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(wrong.1["detail"].as_str().unwrap().starts_with("pattern 1"), "{}", wrong.1);
        let empty = api.post("/rules/test/fixture", with("[]")).await;
        assert_eq!(empty["rows"], 0);
    });
}
