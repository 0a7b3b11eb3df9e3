//! The dashboard, the page of an entity, the search, and what people keep.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, capture};
use crate::http::block_on;
use crate::triage::Api;

#[test]
fn the_dashboard_and_the_entity_page_tell_what_the_stores_hold() {
    let app = App::start();
    app.json(&["replay", &capture("scan-connect.pcap"), "--speed", "max"]);
    let alert = app.wait("the alert of the scan", |app| app.alerts().into_iter().next());
    app.wait("its incident", |app| app.json(&["incidents"]).as_array().unwrap().first().cloned());
    let (flows, bytes) = (
        app.number("SELECT count(*) FROM flows"),
        app.number("SELECT sum(bytes + coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) FROM flows"),
    );
    let alerts = app.alerts().len();
    let api = Api::of(&app);
    block_on(async {
        let mut board = api.get("/dashboard?range=1h&replay=include").await;
        while board["generated"].is_null() {
            board = api.get("/dashboard?range=1h&replay=include").await;
        }
        let kpi = |id: &str| board["kpis"].as_array().unwrap().iter().find(|k| k["id"] == id).unwrap().clone();
        assert_eq!(kpi("flows")["value"], flows as f64, "{board}");
        assert_eq!(kpi("bytes")["value"], bytes as f64);
        assert_eq!(kpi("flows")["series"].as_array().unwrap().len(), 60);
        assert_eq!(kpi("alerts_open")["value"], alerts as f64);
        assert_eq!(kpi("incidents_open")["value"], 1.0);
        let counted: u64 =
            board["alerts_by_severity"].as_array().unwrap().iter().map(|b| b["total"].as_u64().unwrap()).sum();
        assert_eq!(counted, alerts as u64);
        assert_eq!(board["top_talkers"][0]["entity"], alert["entity"]);
        assert!(board["top_talkers"][0]["bytes"].as_u64().unwrap() > 0, "{board}");
        assert!(board["attack"].as_array().unwrap().iter().any(|a| a["technique"] == "t1046"), "{board}");
        let live = api.get("/dashboard?range=1h").await;
        let kpi = |id: &str| live["kpis"].as_array().unwrap().iter().find(|k| k["id"] == id).unwrap().clone();
        assert_eq!(kpi("alerts_open")["value"], 0.0, "replays are left out unless asked for");
        assert_eq!(api.call(Method::GET, "/dashboard?range=2h", Value::Null).await.0, StatusCode::UNPROCESSABLE_ENTITY);

        let ip = alert["entity"].as_str().unwrap();
        let page = api.get(&format!("/entities/ip/{ip}")).await;
        let total = app.number(&format!("SELECT count(*) FROM flows WHERE src_ip = '{ip}'"))
            + app.number(&format!("SELECT count(*) FROM flows WHERE dst_ip = '{ip}'"));
        assert_eq!(page["counts"]["flows"], total, "{page}");
        assert_eq!(page["counts"]["incidents"], 1);
        assert!(page["peers"][0]["flows"].as_u64().unwrap() > 0);
        let steps: u64 = page["traffic"].as_array().unwrap().iter().map(|s| s["flows"].as_u64().unwrap()).sum();
        assert_eq!(steps, total, "the steps add up");
        let kinds: Vec<&str> =
            page["timeline"].as_array().unwrap().iter().map(|h| h["kind"].as_str().unwrap()).collect();
        assert!(kinds.contains(&"alert") && kinds.contains(&"incident"), "{kinds:?}");
        assert!(page["flows_read"].is_string());
        comes_in_two_steps(&api, ip, &page).await;
        let wrong = api.call(Method::GET, "/entities/ip/nonsense", Value::Null).await;
        assert_eq!(wrong.0, StatusCode::UNPROCESSABLE_ENTITY);
        api.get("/entities/user/nobody").await;

        let found = api.get(&format!("/search?q={ip}")).await;
        assert_eq!((&found["items"][0]["kind"], &found["items"][0]["title"]), (&json!("entity"), &json!(ip)));
        let found = api.get("/search?q=scan").await;
        let kinds: std::collections::BTreeSet<&str> =
            found["items"].as_array().unwrap().iter().map(|i| i["kind"].as_str().unwrap()).collect();
        assert!(kinds.is_superset(&["alert", "incident", "rule"].into()), "{kinds:?}");
        assert_eq!(api.get("/search?q=%25").await["items"], json!([]), "wildcards are letters");
        assert_eq!(api.call(Method::GET, "/search?q=", Value::Null).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    });
}

/// Without waiting, what the catalog knows is there at once, and the flows when they are read.
async fn comes_in_two_steps(api: &Api, ip: &str, whole: &Value) {
    let text = |member: &str| whole[member].as_str().unwrap();
    let asked = format!("/entities/ip/{ip}?wait=0&from={}&to={}", text("from"), text("to"));
    let mut page = api.get(&asked).await;
    while page["flows_read"].is_null() {
        assert_eq!((&page["counts"]["alerts"], &page["counts"]["flows"]), (&whole["counts"]["alerts"], &json!(0)));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        page = api.get(&asked).await;
    }
    for part in ["counts", "facts", "peers", "ports", "traffic", "timeline", "from", "to"] {
        assert_eq!(page[part], whole[part], "{part}");
    }
    let long = api.call(Method::GET, &format!("/entities/ip/{ip}?wait=31"), Value::Null).await;
    assert_eq!(long.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[test]
fn views_and_hunts_are_kept() {
    let app = App::start();
    let api = Api::of(&app);
    block_on(async {
        let body = json!({"page": "alerts", "name": "Mine", "state": {"sort": "severity"}});
        let made = api.post("/views", body.clone()).await;
        assert_eq!((&made["state"], &made["mine"]), (&body["state"], &json!(true)));
        assert_eq!(api.get("/views?page=alerts").await["items"], json!([made]));
        assert_eq!(api.get("/views?page=incidents").await["items"], json!([]));
        let path = format!("/views/{}", made["id"].as_str().unwrap());
        let mut change = body;
        change["version"] = json!(1);
        change["name"] = json!("Ours");
        let (status, changed) = api.call(Method::PATCH, &path, change.clone()).await;
        assert_eq!((status, &changed["name"]), (StatusCode::OK, &json!("Ours")));
        let (status, stale) = api.call(Method::PATCH, &path, change).await;
        assert_eq!((status, &stale["current"]), (StatusCode::CONFLICT, &changed));
        assert_eq!(api.call(Method::DELETE, &path, Value::Null).await.0, StatusCode::NO_CONTENT);
        let hunt = json!({"name": "SSH", "mode": "filter", "text": "dst_port = 22", "range": "24h", "shared": true});
        let hunt = api.post("/hunts", hunt).await;
        assert_eq!(api.get("/hunts").await["items"], json!([hunt]));
        let odd = api.call(Method::POST, "/hunts", json!({"name": "x", "mode": "odd", "text": "x"})).await;
        assert_eq!(odd.0, StatusCode::UNPROCESSABLE_ENTITY);
    });
}
