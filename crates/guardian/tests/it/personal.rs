//! What somebody sees who may look but not know whom it is about.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{App, capture, text};
use crate::http::{block_on, client, problem};

/// Every address in a text that belongs to somebody: pseudonyms are of a part of IPv6 that does not.
fn addresses(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':')));
    let real = |ip: &std::net::IpAddr| match ip {
        std::net::IpAddr::V4(v4) => !v4.is_unspecified(),
        std::net::IpAddr::V6(v6) => !v6.is_unspecified() && !(0x4000..=0xbfff).contains(&v6.segments()[0]),
    };
    let parsed = words.filter_map(|word| word.trim_matches(['.', ':']).parse().ok());
    parsed.filter(real).map(|ip: std::net::IpAddr| ip.to_string()).collect()
}

fn without_devices(body: &mut Value) {
    let items = body["items"].as_array_mut().into_iter().flatten();
    for item in items.filter_map(Value::as_object_mut) {
        item.remove("exporter");
        item.remove("next_hop");
    }
}

#[test]
fn a_viewer_works_with_pseudonyms_and_learns_no_address() {
    let app = App::start();
    app.json(&["replay", &capture("scan-vertical.pcap"), "--speed", "max"]);
    app.wait("the alert", |app| (!app.alerts().is_empty()).then_some(()));
    let added = app.cli_with(&["user", "add", "vera", "--role", "viewer"], "correct horse battery\n");
    assert!(added.status.success(), "{}", text(&added.stderr));
    let (http, api) = (client(&app), format!("{}/api/v1", app.url()));
    block_on(async {
        let sign_in = json!({"name": "vera", "password": "correct horse battery"});
        let response = http.post(format!("{api}/session")).json(&sign_in).send().await.unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let vera = |path: &str, query: &[(&str, &str)]| {
            http.get(format!("{api}{path}")).query(query).header("cookie", &cookie).send()
        };
        let operator = |path: &str, query: &[(&str, &str)]| {
            http.get(format!("{api}{path}")).query(query).bearer_auth(app.operator_key()).send()
        };
        let real: Value = operator("/alerts", &[]).await.unwrap().json().await.unwrap();
        let real = real["items"][0].clone();
        let seen: Value = vera("/alerts", &[]).await.unwrap().json().await.unwrap();
        let seen = seen["items"][0].clone();
        assert_eq!(seen["id"], real["id"]);
        let (known, masked) = (real["entity"].as_str().unwrap(), seen["entity"].as_str().unwrap());
        assert!(!addresses(known).is_empty() && addresses(masked).is_empty(), "{known} {masked}");

        // Nothing that a viewer may ask for tells an address.
        let from = [("from", "2000-01-01T00:00:00Z")];
        let detail = format!("/alerts/{}", real["id"].as_str().unwrap());
        let all: &[(&str, &[(&str, &str)])] = &[
            (&detail, &[]),
            ("/alerts", &[("limit", "5")]),
            ("/alerts/facets", &[]),
            ("/flows", &from),
            ("/flows/top", &[("by", "src_ip"), ("from", "2000-01-01T00:00:00Z")]),
            ("/incidents", &[]),
        ];
        for (path, query) in all {
            let answer = vera(path, query).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            let mut body: Value = answer.json().await.unwrap();
            // Exporters are nobody's.
            without_devices(&mut body);
            if let Some(evidence) = body.as_object_mut().unwrap().remove("evidence") {
                assert!(!evidence.to_string().contains(known), "{evidence}");
            }
            assert_eq!(addresses(&body.to_string()), Vec::<String>::new(), "{path}: {body}");
        }

        // The same pseudonym everywhere, and it can be followed; a real address is nobody's.
        for (name, found) in [(masked, true), (known, false)] {
            let alerts: Value = vera("/alerts", &[("entity", name)]).await.unwrap().json().await.unwrap();
            assert_eq!(!alerts["items"].as_array().unwrap().is_empty(), found, "alerts about {name}");
            let filter = format!("src_ip = {name}");
            let query = [("filter", filter.as_str()), from[0]];
            let flows: Value = vera("/flows", &query).await.unwrap().json().await.unwrap();
            assert_eq!(!flows["items"].as_array().unwrap().is_empty(), found, "flows of {name}: {flows}");
        }
        let net: Value =
            vera("/flows", &[("filter", "src_ip in 0.0.0.0/0"), from[0]]).await.unwrap().json().await.unwrap();
        assert_eq!(net["items"], json!([]), "a network is no way to find out");
        let part = &known[..known.len() - 2];
        let found: Value = vera("/alerts", &[("search", part)]).await.unwrap().json().await.unwrap();
        assert_eq!(found["items"], json!([]), "nor is a part of an address");
        let (status, _) = problem(vera("/alerts", &[("sort", "entity")]).await.unwrap()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "nor is the order of names");
    });
}
