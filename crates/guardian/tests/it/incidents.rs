//! Incidents from an attack to the report, as two analysts work on them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, capture, text};
use crate::http::{Live, block_on, client};
use crate::triage::Api;

fn with_attack() -> App {
    let app = App::start();
    app.json(&["replay", &capture("scan-connect.pcap"), "--speed", "max"]);
    app
}

fn first_incident(app: &App) -> Value {
    app.wait("the incident of the scan", |app| app.json(&["incidents"]).as_array().unwrap().first().cloned())
}

#[test]
fn an_attack_becomes_an_incident_that_says_why_and_ends_in_a_report() {
    let app = with_attack();
    let listed = first_incident(&app);
    let number = listed["number"].to_string();
    let shown = app.json(&["incidents", "show", &number]);
    assert_eq!((&shown["origin"], &shown["status"]), (&json!("correlation"), &json!("new")));
    assert!(shown["alerts"][0]["why"][0]["text"].as_str().unwrap().contains("severity"), "{shown}");
    assert_eq!(shown["replay"], "scan-connect");
    assert_eq!(shown["sla"]["resolve"]["state"], "none", "a replay has no deadline to miss");
    let api = Api::of(&app);
    block_on(async {
        let path = format!("/incidents/{number}");
        let templates = api.get("/incident-templates").await;
        let of_kind = templates["items"].as_array().unwrap().iter().find(|t| t["kind"] == shown["kind"]).unwrap();
        let tasks = api.post(&format!("{path}/tasks"), json!({"template": of_kind["id"]})).await;
        let task = &tasks["items"][0];
        let done = json!({"version": task["version"], "status": "done"});
        let task_path = format!("{path}/tasks/{}", task["id"].as_str().unwrap());
        assert_eq!(api.call(Method::PATCH, &task_path, done.clone()).await.1["status"], "done");
        let (status, stale) = api.call(Method::PATCH, &task_path, done).await;
        assert_eq!((status, &stale["current"]["status"]), (StatusCode::CONFLICT, &json!("done")));

        api.post(&format!("{path}/entities"), json!({"kind": "hash", "value": "abc", "indicator": true})).await;
        let early = json!({"kind": "note", "text": "the owner saw it first", "event_time": "2020-01-01T00:00:00Z"});
        api.post(&format!("{path}/timeline"), early).await;
        let timeline = api.get(&format!("{path}/timeline")).await;
        assert_eq!(timeline["items"][0]["text"], "the owner saw it first", "by when it happened");
        let attack = api.get(&format!("{path}/attack")).await;
        let counted: u64 = attack["tactics"].as_array().unwrap().iter().map(|t| t["alerts"].as_u64().unwrap()).sum();
        assert!(counted >= 1, "{attack}");

        let mut version = api.get(&path).await["version"].clone();
        let refused = api.call(Method::PATCH, &path, json!({"version": version, "status": "closed"})).await;
        assert_eq!(refused.0, StatusCode::UNPROCESSABLE_ENTITY, "it needs a verdict and a resolution");
        for body in [
            json!({"status": "triaged", "owner": null}),
            json!({"status": "contained"}),
            json!({"status": "resolved", "verdict": "true_positive", "resolution": "The machine was **rebuilt**."}),
        ] {
            let mut body = body;
            body["version"] = version;
            let (status, changed) = api.call(Method::PATCH, &path, body).await;
            assert_eq!(status, StatusCode::OK, "{changed}");
            version = changed["version"].clone();
        }
        let settings = api.get("/incident-settings").await;
        assert_eq!(settings["version"], 0);
        let mut changed = settings.clone();
        changed["sla"]["critical"]["acknowledge_minutes"] = json!(5);
        let (status, stored) = api.call(Method::PUT, "/incident-settings", changed.clone()).await;
        assert_eq!((status, &stored["version"]), (StatusCode::OK, &json!(1)), "{stored}");
        let (status, stale) = api.call(Method::PUT, "/incident-settings", changed).await;
        assert_eq!((status, &stale["current"]), (StatusCode::CONFLICT, &stored));
    });
    let report = text(&app.cli(&["incidents", "report", &number]).stdout);
    for part in ["# Incident", "## How it ended", "**rebuilt**", "## Timeline", "## Alerts", "## Tasks", "## Entities"]
    {
        assert!(report.contains(part), "{part} is missing:\n{report}");
    }
    // What came of a replay goes with it.
    assert!(app.cli(&["demo", "clear"]).status.success());
    assert_eq!(app.json(&["incidents", "list", "--all"]), json!([]));
}

#[test]
fn two_analysts_see_each_others_changes_and_overwrite_nothing() {
    let app = App::start();
    for name in ["ann", "bob"] {
        let added = app.cli_with(&["user", "add", name, "--role", "operator"], "correct horse battery\n");
        assert!(added.status.success(), "{}", text(&added.stderr));
    }
    let http = client(&app);
    let base = format!("{}/api/v1", app.url());
    block_on(async {
        let mut cookies = Vec::new();
        for name in ["ann", "bob"] {
            let body = json!({"name": name, "password": "correct horse battery"});
            let done = http.post(format!("{base}/session")).json(&body).send().await.unwrap();
            cookies.push(done.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        let call = async |who: usize, method: Method, path: &str, body: Value| {
            let request = http.request(method, format!("{base}{path}")).header("cookie", &cookies[who]);
            let response = request.header("x-guardian-request", "1").json(&body).send().await.unwrap();
            (response.status(), response.json::<Value>().await.unwrap_or_default())
        };
        let mut live = Live::open(&app, "incidents", None).await;
        assert_eq!(live.next().await["type"], "hello");
        let (status, made) = call(0, Method::POST, "/incidents", json!({"title": "Odd mail", "owner": "me"})).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        assert_eq!(made["owner"]["name"], "ann");
        assert_eq!(made["sla"]["acknowledge"]["state"], "running");
        let path = format!("/incidents/{}", made["id"].as_str().unwrap());
        let told = loop {
            let message = live.next().await;
            if message["type"] == "incident" {
                break message;
            }
        };
        assert_eq!((&told["incident"]["title"], &told["action"]), (&json!("Odd mail"), &json!("created")));

        let (_, anns) = call(0, Method::PATCH, &path, json!({"version": 1, "title": "Phishing"})).await;
        let (status, refused) = call(1, Method::PATCH, &path, json!({"version": 1, "title": "Spam"})).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(refused["type"], "about:blank#version-conflict");
        assert_eq!((&refused["current"]["title"], &refused["current"]["version"]), (&anns["title"], &json!(2)));

        let (status, comment) =
            call(0, Method::POST, &format!("{path}/comments"), json!({"text": "@bob can you look?"})).await;
        assert_eq!((status, &comment["mentions"][0]["name"]), (StatusCode::CREATED, &json!("bob")));
        let heard = loop {
            let message = live.next().await;
            if message["type"] == "incident_item" && message["data"]["kind"] == "comment" {
                break message;
            }
        };
        assert_eq!(heard["data"], comment, "the stream carries what the API shows");
        let (_, now) = call(1, Method::GET, &path, Value::Null).await;
        assert_eq!(now["watchers"][0]["name"], "bob", "who is mentioned watches");
        let theirs = format!("{path}/timeline/{}", comment["id"].as_str().unwrap());
        let (status, _) = call(1, Method::PATCH, &theirs, json!({"version": 1, "text": "no"})).await;
        assert_eq!(status, StatusCode::CONFLICT, "what ann wrote is ann's");

        let (_, other) = call(1, Method::POST, "/incidents", json!({"title": "The same mail"})).await;
        let body = json!({"version": now["version"], "from": [other["id"]]});
        let (status, merged) = call(1, Method::POST, &format!("{path}/merge"), body).await;
        assert_eq!(status, StatusCode::OK, "{merged}");
        let (_, merges) = call(1, Method::GET, &format!("{path}/merges"), Value::Null).await;
        let undo = format!("{path}/merges/{}/undo", merges["items"][0]["id"].as_str().unwrap());
        assert_eq!(call(0, Method::POST, &undo, json!({})).await.0, StatusCode::OK);
        let other = format!("/incidents/{}", other["id"].as_str().unwrap());
        assert_eq!(call(0, Method::GET, &other, Value::Null).await.1["merged_into"], Value::Null);
        let (_, board) = call(0, Method::GET, "/incidents/board", Value::Null).await;
        assert_eq!(board["columns"][0]["count"], 2, "{board}");
    });
}

#[test]
fn evidence_is_hashed_kept_and_proven() {
    let app = App::start();
    let made = app.cli(&["incidents", "create", "--title", "Odd file", "-o", "json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let file = app.data.join("sample \"x\".bin");
    std::fs::write(&file, b"hello world").unwrap();
    let number = made["number"].to_string();
    let stored = app.cli(&["incidents", "attach", &number, file.to_str().unwrap(), "-o", "json"]);
    assert!(stored.status.success(), "{}", text(&stored.stderr));
    let stored: Value = serde_json::from_slice(&stored.stdout).unwrap();
    assert_eq!(stored["sha256"], "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
    let api = Api::of(&app);
    let http = client(&app);
    block_on(async {
        let path = format!("/incidents/{number}/evidence/{}", stored["id"].as_str().unwrap());
        let content = || http.get(format!("{}/api/v1{path}/content", app.url())).bearer_auth(app.operator_key()).send();
        let answer = content().await.unwrap();
        let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert_eq!(disposition, "attachment; filename=\"sample__x_.bin\"");
        assert_eq!(answer.bytes().await.unwrap().as_ref(), b"hello world");
        let verified = api.post(&format!("{path}/verify"), Value::Null).await;
        assert_eq!(verified["intact"], true);
        let tenant = made["tenant"].as_str().unwrap();
        let place = app.data.join("evidence").join(tenant).join(stored["id"].as_str().unwrap());
        std::fs::write(&place, b"hello w0rld").unwrap();
        let tampered = content().await.unwrap();
        assert_eq!(tampered.status(), StatusCode::CONFLICT, "what was tampered with is not handed out");
        assert_eq!(api.post(&format!("{path}/verify"), Value::Null).await["intact"], false);
        let removed = api.call(Method::DELETE, &format!("{path}?reason=personal%20data"), Value::Null).await;
        assert_eq!(removed.0, StatusCode::NO_CONTENT);
        assert!(!place.exists());
        assert_eq!(content().await.unwrap().status(), StatusCode::GONE);
        let custody = api.get(&path).await["custody"].clone();
        let actions: Vec<&str> = custody.as_array().unwrap().iter().map(|c| c["action"].as_str().unwrap()).collect();
        assert_eq!(actions, ["received", "downloaded", "verified", "downloaded", "verified", "removed"]);
    });
}
