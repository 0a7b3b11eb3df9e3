//! Who may do what: set-up, sign-in, roles, refusals.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, capture, text};
use crate::http::{block_on, client, problem};

#[test]
fn first_run_set_up_works_once_and_sessions_hold() {
    let app = App::start();
    let http = client(&app);
    let api = format!("{}/api/v1", app.url());
    let token = std::fs::read_to_string(app.data.join("setup-token")).unwrap();
    block_on(async {
        let (status, _) = problem(http.get(format!("{api}/alerts")).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        let body = json!({"token": token.trim(), "name": "ada", "password": "correct horse battery"});
        let wrong = json!({"token": "nonsense", "name": "eve", "password": "correct horse battery"});
        let refused = http.post(format!("{api}/setup")).json(&wrong).send().await.unwrap();
        assert_eq!(problem(refused).await.0, StatusCode::FORBIDDEN);
        let done = http.post(format!("{api}/setup")).json(&body).send().await.unwrap();
        assert_eq!(done.status(), StatusCode::OK, "{}", done.text().await.unwrap());
        let cookie = done.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let again = http.post(format!("{api}/setup")).json(&body).send().await.unwrap();
        assert!(again.status().is_client_error(), "the token works once");

        let who: Value =
            http.get(format!("{api}/session")).header("cookie", &cookie).send().await.unwrap().json().await.unwrap();
        assert_eq!(who["name"], "ada");
        // A change needs the header that other sites cannot send.
        let sql = json!({"sql": "SELECT 1 AS one"});
        let post = |request: reqwest::RequestBuilder| request.header("cookie", &cookie).json(&sql).send();
        let forged = post(http.post(format!("{api}/query"))).await.unwrap();
        assert_eq!(problem(forged).await.0, StatusCode::FORBIDDEN);
        let fine = post(http.post(format!("{api}/query")).header("x-guardian-request", "1")).await.unwrap();
        assert_eq!(fine.status(), StatusCode::OK, "{}", fine.text().await.unwrap());
        let out = http
            .delete(format!("{api}/session"))
            .header("cookie", &cookie)
            .header("x-guardian-request", "1")
            .send()
            .await
            .unwrap();
        assert_eq!(out.status(), StatusCode::NO_CONTENT);
        let ended = http.get(format!("{api}/session")).header("cookie", &cookie).send().await.unwrap();
        assert_eq!(ended.status(), StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn a_viewer_may_look_but_not_decide_or_hunt() {
    let app = App::start();
    let added = app.cli_with(&["user", "add", "vera", "--role", "viewer"], "correct horse battery\n");
    assert!(added.status.success(), "{}", text(&added.stderr));
    let http = client(&app);
    let api = format!("{}/api/v1", app.url());
    block_on(async {
        let sign_in = json!({"name": "vera", "password": "correct horse battery"});
        let response = http.post(format!("{api}/session")).json(&sign_in).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let call = |method: Method, path: &str, body: Value| {
            let request = http.request(method, format!("{api}{path}")).header("cookie", &cookie);
            request.header("x-guardian-request", "1").json(&body).send()
        };
        assert_eq!(call(Method::GET, "/alerts", Value::Null).await.unwrap().status(), StatusCode::OK);
        assert_eq!(call(Method::GET, "/flows", Value::Null).await.unwrap().status(), StatusCode::OK);
        for (method, path, body) in [
            (Method::POST, "/query", json!({"sql": "SELECT 1"})),
            (Method::POST, "/rules", json!({"source": "title: x"})),
            (Method::DELETE, "/replays", Value::Null),
            (Method::POST, "/users", json!({"name": "x", "role": "admin", "password": "correct horse battery"})),
        ] {
            let (status, body) = problem(call(method, path, body).await.unwrap()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {body}");
        }
        let wrong = json!({"name": "vera", "password": "wrong"});
        let mut last = StatusCode::OK;
        for _ in 0..20 {
            let response = http.post(format!("{api}/session")).json(&wrong).send().await.unwrap();
            last = response.status();
            if last == StatusCode::TOO_MANY_REQUESTS {
                assert!(response.headers().contains_key("retry-after"));
                break;
            }
        }
        assert_eq!(last, StatusCode::TOO_MANY_REQUESTS, "guessing is slowed down");
    });
}

#[test]
fn lists_page_and_filters_explain_themselves() {
    let app = App::start();
    app.json(&["replay", &capture("noise.ipfix.pcap"), "--speed", "max"]);
    let http = client(&app);
    let (api, key) = (format!("{}/api/v1", app.url()), app.operator_key());
    block_on(async {
        let get = |path: String| http.get(format!("{api}{path}")).bearer_auth(&key).send();
        let mut seen = std::collections::HashSet::new();
        let mut next = String::new();
        loop {
            let page: Value = get(format!("/flows?limit=50{next}")).await.unwrap().json().await.unwrap();
            for item in page["items"].as_array().unwrap() {
                assert!(seen.insert((item["batch"].as_u64(), item["row"].as_u64())), "no flow comes twice");
            }
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen.len() as u64, app.number("SELECT count(*) FROM flows"));
        let top: Value = get("/flows/top?by=dst_port&n=3".into()).await.unwrap().json().await.unwrap();
        assert_eq!(top["items"].as_array().unwrap().len(), 3, "{top}");
        let (status, wrong) = problem(get("/flows?filter=dst_prt%20%3D%2022".into()).await.unwrap()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(wrong["detail"].as_str().unwrap().contains("dst_port"), "it suggests the right name: {wrong}");
        let (status, _) = problem(get("/alerts?cursor=AAAA".into()).await.unwrap()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    });
}
