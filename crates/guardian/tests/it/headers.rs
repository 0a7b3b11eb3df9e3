//! What browsers are told, and what they are not let do.

use reqwest::StatusCode;
use serde_json::json;

use crate::app::{App, text};
use crate::http::{block_on, client, client_http1, problem};

#[test]
fn pages_may_load_our_own_files_only() {
    let app = App::start();
    let http = client(&app);
    block_on(async {
        for path in ["/", "/api/v1/sign-in", "/api/v1/alerts", "/api/v1/nonsense"] {
            let answer = http.get(format!("{}{path}", app.url())).send().await.unwrap();
            let header = |name: &str| answer.headers().get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
            let content = header("content-security-policy");
            assert!(content.contains("default-src 'self'") && content.contains("frame-ancestors 'none'"), "{content}");
            assert!(!content.contains("unsafe"), "{path}: {content}");
            assert_eq!(header("cross-origin-opener-policy"), "same-origin");
            assert_eq!(header("x-content-type-options"), "nosniff");
            assert_eq!(header("strict-transport-security"), "", "the local authority is not trusted by everybody yet");
        }
    });
}

#[test]
fn other_sites_cannot_use_a_session() {
    let app = App::start();
    let added = app.cli_with(&["user", "add", "vera", "--role", "viewer"], "correct horse battery\n");
    assert!(added.status.success(), "{}", text(&added.stderr));
    let http = client_http1(&app);
    let api = format!("{}/api/v1", app.url());
    block_on(async {
        let body = json!({"name": "vera", "password": "correct horse battery"});
        let signed_in = http.post(format!("{api}/session")).json(&body).send().await.unwrap();
        let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().to_owned();
        for word in ["__Host-", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(word), "{cookie}");
        }
        let cookie = cookie.split(';').next().unwrap();
        let open = |origin: Option<&'static str>| {
            let request = http
                .get(format!("{api}/stream"))
                .header("cookie", cookie)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
            match origin {
                Some(origin) => request.header("origin", origin).send(),
                None => request.send(),
            }
        };
        for origin in [Some("https://evil.example"), Some("null"), None] {
            let (status, body) = problem(open(origin).await.unwrap()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{origin:?}: {body}");
        }
        let foreign = http.get(format!("{api}/alerts")).header("cookie", cookie).header("sec-fetch-site", "cross-site");
        assert_eq!(problem(foreign.send().await.unwrap()).await.0, StatusCode::FORBIDDEN);
        let change = http.put(format!("{api}/preferences")).header("cookie", cookie);
        let change = change.header("x-guardian-request", "1").header("origin", "https://evil.example");
        let change = change.json(&json!({"version": 0, "value": {}}));
        assert_eq!(problem(change.send().await.unwrap()).await.0, StatusCode::FORBIDDEN);
    });
}
