//! Rules over the API: check, test against history, store, run, stop, delete.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, capture};
use crate::http::{block_on, client, problem};

const RULE: &str = "\
title: DNS question
id: 5d1a7d3c-1c1f-4f7e-9a43-0a6f5f1f7d10
status: test
description: A flow to a name server.
level: low
logsource:
  product: guardian
  service: flow
detection:
  asked:
    dst_port: 53
  condition: asked
";

#[test]
fn a_rule_is_checked_tested_stored_run_and_removed() {
    let app = App::start();
    app.json(&["replay", &capture("noise.pcap"), "--speed", "max"]);
    let stored = app.number("SELECT count(*) FROM flows");
    let asked = app.number("SELECT count(*) FROM flows WHERE dst_port = 53");
    assert!(asked > 0);
    let http = client(&app);
    let (api, key) = (format!("{}/api/v1", app.url()), app.operator_key());
    let call = |method: Method, path: &str, body: Value| {
        http.request(method, format!("{api}{path}")).bearer_auth(&key).json(&body).send()
    };
    block_on(async {
        let wrong = RULE.replace("dst_port", "dst_prt");
        let checked: Value =
            call(Method::POST, "/rules/validate", json!({"source": wrong})).await.unwrap().json().await.unwrap();
        assert_eq!((&checked["valid"], &checked["issues"][0]["line"]), (&json!(false), &json!(11)), "{checked}");
        let (status, refused) =
            problem(call(Method::POST, "/rules", json!({"source": wrong, "comment": ""})).await.unwrap()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");

        let over = json!({"source": RULE, "from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"});
        let test: Value = call(Method::POST, "/rules/test", over).await.unwrap().json().await.unwrap();
        assert_eq!(test["rows"], stored);
        let counted: u64 = test["alerts"].as_array().unwrap().iter().map(|a| a["count"].as_u64().unwrap()).sum();
        assert_eq!(counted, asked, "{test}");

        let made = call(Method::POST, "/rules", json!({"source": RULE, "comment": "first"})).await.unwrap();
        assert_eq!(made.status(), StatusCode::CREATED);
        let rule: Value = made.json().await.unwrap();
        let path = format!("/rules/{}", rule["id"].as_str().unwrap());
        assert_eq!((&rule["enabled"], &rule["origin"]), (&json!(true), &json!("custom")));
        app.json(&["replay", &capture("noise.pcap"), "--speed", "max", "--name", "again"]);
        app.wait("the alert of the new rule", |app| app.alerts().into_iter().find(|a| a["title"] == "DNS question"));

        let stopped: Value =
            call(Method::POST, &format!("{path}/disable"), Value::Null).await.unwrap().json().await.unwrap();
        assert_eq!(stopped["enabled"], false);
        assert_eq!(call(Method::DELETE, &path, Value::Null).await.unwrap().status(), StatusCode::NO_CONTENT);
        assert_eq!(problem(call(Method::GET, &path, Value::Null).await.unwrap()).await.0, StatusCode::NOT_FOUND);
        let shipped: Value = call(Method::GET, "/rules", Value::Null).await.unwrap().json().await.unwrap();
        let shipped = shipped["items"].as_array().unwrap().iter().find(|r| r["origin"] == "shipped").unwrap().clone();
        let path = format!("/rules/{}", shipped["id"].as_str().unwrap());
        let (status, why) = problem(call(Method::DELETE, &path, Value::Null).await.unwrap()).await;
        assert_eq!(status, StatusCode::CONFLICT, "shipped rules can be disabled, not deleted: {why}");
    });
}
