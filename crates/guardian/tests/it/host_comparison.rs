//! Hosts side by side, with real agents: what one has alone, what differs, what most of a group have.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, text};
use crate::fleet::{Agent, Way, address, token};
use crate::hosts::{Changeable, install};
use crate::http::{block_on, client};

fn get(app: &App, query: &str) -> (StatusCode, Value) {
    block_on(async {
        let url = format!("{}/api/v1/hosts/compare{query}", app.url());
        let response = client(app).request(Method::GET, url).bearer_auth(app.operator_key()).send().await.unwrap();
        (response.status(), response.json().await.unwrap_or_default())
    })
}

fn list<'a>(said: &'a Value, name: &str) -> &'a Value {
    said.as_array().unwrap().iter().find(|list| list["list"] == name).unwrap_or(&Value::Null)
}

fn knows(app: &App, host: &str, lists: &[&str]) -> bool {
    let known = app.json(&["hosts", "inventory", host]);
    lists.iter().all(|name| known.as_array().is_some_and(|all| all.iter().any(|list| list["list"] == *name)))
}

/// Pages, searches and files say the same; what is wrong is refused.
fn is_asked_well(app: &App, pair: &str, one: &str) {
    let (_, first) = get(app, &format!("?hosts={pair}&list=users&show=all&limit=1"));
    let (total, cursor) = (first["total"].as_u64().unwrap(), first["next_cursor"].as_str().unwrap());
    assert!(total > 5 && first["items"].as_array().unwrap().len() == 1, "{first}");
    let (_, next) = get(app, &format!("?hosts={pair}&list=users&show=all&limit=2000&cursor={cursor}"));
    assert_eq!(next["items"].as_array().unwrap().len() as u64, total - 1);
    let (_, found) = get(app, &format!("?hosts={pair}&list=users&show=same&search=/root"));
    assert!(found["items"].as_array().unwrap().iter().any(|row| row["name"] == "root"), "{found}");
    for (wrong, status) in [
        (format!("?hosts={one}"), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("?hosts={one},{one}"), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("?hosts={}", vec![one; 9].join(",")), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("?hosts={one},nobody"), StatusCode::NOT_FOUND),
        (format!("?hosts={pair}&show=odd&list=users"), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("?hosts={pair}&list=..%2Fusers"), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("?hosts={pair}&list=users&cursor=abc"), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("?hosts={one}&group=nowhere"), StatusCode::UNPROCESSABLE_ENTITY),
        (String::new(), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(get(app, &wrong).0, status, "{wrong}");
    }
}

/// Whoever sees pseudonyms compares pseudonyms.
fn names_are_masked(app: &App, pair: &str) {
    let added = app.cli_with(&["user", "add", "vera", "--role", "viewer"], "correct horse battery\n");
    assert!(added.status.success(), "{}", text(&added.stderr));
    let ask = async |path: String| {
        let (http, api) = (client(app), format!("{}/api/v1", app.url()));
        let sign_in = json!({"name": "vera", "password": "correct horse battery"});
        let response = http.post(format!("{api}/session")).json(&sign_in).send().await.unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        http.get(format!("{api}{path}")).header("cookie", &cookie).send().await.unwrap().text().await.unwrap()
    };
    let said = block_on(ask(format!("/hosts/compare?list=users&show=all&hosts={pair}")));
    let said: Value = serde_json::from_str(&said).unwrap();
    let rows = said["items"].as_array().unwrap();
    let masked = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("masked-"));
    assert!(rows.len() > 5 && rows.iter().all(|row| row["standing"] == "same"), "{said}");
    assert!(rows.iter().all(|row| masked(&row["name"]) && masked(&row["cells"][0]["entries"][0]["user"])), "{said}");
    let csv = block_on(ask(format!("/hosts/compare/export?list=users&show=all&hosts={pair}")));
    assert!(csv.lines().skip(1).all(|line| line.starts_with("masked-")), "{csv}");
    let lines = block_on(ask(format!("/hosts/compare/export?list=users&show=all&format=jsonl&hosts={pair}")));
    assert!(lines.lines().all(|line| line.starts_with("{\"name\":\"masked-")), "{lines}");
    // Nothing can be tried out: this account has its name in no other place.
    if std::fs::read_to_string("/etc/passwd").unwrap().contains("_apt:x:42:65534::/nonexistent:") {
        let tried = block_on(ask(format!("/hosts/compare?list=users&show=all&search=_apt&hosts={pair}")));
        assert_eq!(serde_json::from_str::<Value>(&tried).unwrap()["total"], 0, "{tried}");
    }
}

#[test]
fn hosts_stand_side_by_side() {
    if let Err(error) = Changeable::can_be() {
        return eprintln!("skipped: mount namespaces or dpkg are missing: {error}");
    }
    let app = App::start();
    let way = Way::to(Some(address(&app)));
    let dir = tempfile::tempdir().unwrap();
    let (one, mut two, three) = (Agent::new(), Agent::new(), Agent::new());
    for (agent, name, tag) in [(&one, "web-1", "web"), (&two, "web-2", "db"), (&three, "web-3", "web")] {
        agent.enroll(&way.url, &token(&app, &["--tag", tag]), &["--name", name]).unwrap();
    }
    let [a, b, c] = [one.id(), two.id(), three.id()];
    let machine = Changeable::start(one.home());
    install(&machine, dir.path(), "1.0-1");
    two.run_with(&["--no-files"]);
    let installed = |app: &App| {
        let found = app.json(&["hosts", "inventory", &a, "packages", "--search", "guardian-test"]);
        found.as_array().is_some_and(|found| found.len() == 1)
    };
    app.wait("both tell what they have", |app| {
        let wanted = ["packages", "users", "groups", "services", "system"];
        (knows(app, &a, &wanted) && knows(app, &b, &wanted) && installed(app)).then_some(())
    });

    let all = app.json(&["hosts", "compare", &a, &b, &c]);
    let packages = list(&all, "packages");
    assert_eq!(
        (&packages["only"], &packages["different"], &packages["unknown"]),
        (&json!(1), &json!(0), &json!("web-3"))
    );
    assert!(packages["same"].as_u64().unwrap() > 10, "{packages}");
    assert_eq!((&list(&all, "users")["different"], &list(&all, "users")["only"]), (&json!(0), &json!(0)), "{all}");
    assert!(list(&all, "facts")["different"].as_u64().unwrap() >= 1, "{all}");
    assert!(list(&all, "policy")["same"].as_u64().unwrap() > 5, "{all}");

    let rows = app.json(&["hosts", "compare", &a, &b, "--list", "packages"]);
    let row = json!([{
        "what": "dpkg guardian-test all", "standing": "only", "differs": "", "web-1": "1.0-1", "web-2": null,
    }]);
    assert_eq!(rows, row);
    let facts = app.json(&["hosts", "compare", &a, &b, &c, "--list", "facts", "--search", "tags"]);
    let tags = ["web-1", "web-2", "web-3"].map(|name| facts[0][name].as_str().unwrap_or_default().to_owned());
    assert_eq!(tags, ["web", "db", "web"]);
    let csv = app.cli(&["hosts", "compare", &a, &b, "--list", "packages", "--output", "csv"]);
    assert!(text(&csv.stdout).starts_with("what,standing,differs,web-1,web-2\n"), "{}", text(&csv.stdout));

    // One host beside a group: what most of it have.
    assert!(app.cli(&["hosts", "group", "shop", "--host", &a, "--host", &b]).status.success());
    let beside = app.json(&["hosts", "compare", &b, "--group", "shop", "--list", "packages"]);
    assert_eq!((&beside[0]["web-2"], &beside[0]["most of 1 in shop"]), (&Value::Null, &json!("1.0-1")), "{beside}");

    let pair = format!("{a},{b}");
    is_asked_well(&app, &pair, &a);
    names_are_masked(&app, &pair);
    let (status, _) = get(&app, &format!("/export?hosts={pair}&list=packages"));
    let audit = text(&app.cli(&["audit", "list", "--output", "json", "-n", "200"]).stdout);
    assert!(status.is_success() && audit.contains("host.comparison_export"));
    two.stop();
}
