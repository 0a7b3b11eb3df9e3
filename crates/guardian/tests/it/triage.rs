//! Triage as the console does it: facets, volume, snoozing, bulk decisions taken back, suppressing what needs nobody.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, capture};
use crate::http::{block_on, client};

/// Calls the API as the local operator.
pub(crate) struct Api {
    http: Client,
    base: String,
    key: String,
}

impl Api {
    pub(crate) fn of(app: &App) -> Self {
        Self { http: client(app), base: format!("{}/api/v1", app.url()), key: app.operator_key() }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }
}

#[test]
fn alerts_are_counted_put_aside_and_settled_in_bulk() {
    let app = App::start();
    app.json(&["replay", &capture("scan-vertical.pcap"), "--speed", "max"]);
    let alert = app.wait("the alert of the scan", |app| app.alerts().into_iter().next());
    let id = alert["id"].as_str().unwrap();
    let api = Api::of(&app);
    block_on(async {
        let facets = api.get("/alerts/facets").await;
        let total = facets["total"].as_u64().unwrap();
        assert!(total >= 1, "{facets}");
        let sum = |list: &Value| list.as_array().unwrap().iter().map(|v| v["count"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(sum(&facets["severity"]), total);
        assert_eq!(sum(&facets["rule"]), total);
        let volume = api.get("/alerts/histogram?buckets=24&from=2000-01-01T00:00:00Z").await;
        let counted: u64 = volume["buckets"].as_array().unwrap().iter().map(|b| b["total"].as_u64().unwrap()).sum();
        assert_eq!(counted, total, "{volume}");
        let groups = api.get("/alerts/groups?by=entity").await;
        assert_eq!(sum(&groups["items"]), total);
        let found = api.get(&format!("/alerts/{id}/findings")).await;
        assert!(!found["items"].as_array().unwrap().is_empty(), "the findings behind the alert");
        api.get(&format!("/alerts/{id}/similar")).await;

        let snoozed = api.post(&format!("/alerts/{id}/snooze"), json!({"until": "2999-01-01T00:00:00Z"})).await;
        assert_eq!(snoozed["snoozed_until"], "2999-01-01T00:00:00Z");
        let awake = api.get("/alerts?snoozed=exclude").await;
        assert!(awake["items"].as_array().unwrap().iter().all(|a| a["id"] != id));
        let past = json!({"until": "2000-01-01T00:00:00Z"});
        let refused = api.call(Method::POST, &format!("/alerts/{id}/snooze"), past).await;
        assert_eq!(refused.0, StatusCode::UNPROCESSABLE_ENTITY);

        let seen = json!({"filter": {"status": "open"}, "as_of": i64::MAX,
            "change": {"close": {"verdict": "benign", "reason": "our own test"}}});
        let done = api.post("/alerts/bulk", seen).await;
        assert_eq!(done["changed"], total, "{done}");
        assert_eq!(api.get("/alerts?status=open").await["items"], json!([]));
        let undone = api.post("/alerts/bulk/undo", json!({"undo": done["undo"]})).await;
        assert_eq!(undone, json!({"changed": total, "kept": 0}));
        assert_eq!(api.get("/alerts/counts?status=open").await["total"], total);
        let again = api.call(Method::POST, "/alerts/bulk/undo", json!({"undo": done["undo"]})).await;
        assert_eq!(again.0, StatusCode::NOT_FOUND);
    });
}

#[test]
fn alerts_like_one_are_suppressed_and_edits_do_not_overwrite_each_other() {
    let app = App::start();
    app.json(&["replay", &capture("scan-vertical.pcap"), "--speed", "max", "--name", "first"]);
    let alert = app.wait("the alert of the scan", |app| app.alerts().into_iter().next());
    let id = alert["id"].as_str().unwrap().to_owned();
    let api = Api::of(&app);
    block_on(async {
        let body = json!({"scope": "entity", "verdict": "benign", "reason": "our scanner", "close_existing": true});
        let made = api.post(&format!("/alerts/{id}/suppress"), body).await;
        assert_eq!(made["entity"], alert["entity"]);
        assert!(made["hits"].as_u64().unwrap() >= 1, "{made}");
        let shown = api.get(&format!("/alerts/{id}")).await;
        assert_eq!((&shown["status"], &shown["suppressed_by"]), (&json!("closed"), &made["id"]));
        assert!(api.get("/alerts").await["items"].as_array().unwrap().iter().all(|a| a["id"] != id.as_str()));

        let path = format!("/suppressions/{}", made["id"].as_str().unwrap());
        let edit = |reason: &str| {
            json!({"version": made["version"], "name": "ours", "entity": made["entity"], "verdict": "benign",
                "reason": reason})
        };
        let (status, first) = api.call(Method::PATCH, &path, edit("one")).await;
        assert_eq!(status, StatusCode::OK, "{first}");
        let (status, refused) = api.call(Method::PATCH, &path, edit("two")).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(refused["type"], "about:blank#version-conflict");
        assert_eq!(refused["current"], first, "the answer says how it is now");
        assert_eq!(api.call(Method::DELETE, &path, Value::Null).await.0, StatusCode::NO_CONTENT);
        assert_eq!(api.get("/suppressions").await["items"], json!([]));
    });
}
