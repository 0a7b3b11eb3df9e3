//! Hosts that run osquery: a node that speaks as osquery's documentation says and as its own test server expects, TLS 1.2
//! included, against the real program.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{StatusCode, tls};
use serde_json::{Value, json};

use crate::app::{App, text};
use crate::fleet::{host, token};
use crate::http::{block_on, builder};

pub(crate) const LISTENER: [&str; 2] = ["--set", "fleet.osquery.address=127.0.0.1:0"];

/// A machine with osquery.
pub(crate) struct Node {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Node {
    pub(crate) fn new(app: &App) -> Self {
        // osquery's client knows nothing newer.
        let http = builder(app).max_tls_version(tls::Version::TLS_1_2).http1_only().build().unwrap();
        Self { http, url: format!("https://{}/osquery", app.osquery()), key: String::new() }
    }

    fn request(&self, path: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
        self.http.post(format!("{}/{path}", self.url)).header("user-agent", "osquery/5.12.1").body(body)
    }

    pub(crate) fn post(&self, path: &str, body: Vec<u8>, encoding: Option<&str>) -> (StatusCode, Value) {
        let mut request = self.request(path, body);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        block_on(async {
            let response = request.send().await.unwrap();
            (response.status(), response.json().await.unwrap_or_default())
        })
    }

    /// Whether a body is too long: by the answer, or by a connection that ends while it is still being sent.
    fn is_too_long(&self, path: &str, body: Vec<u8>) -> bool {
        match block_on(async { self.request(path, body).send().await }) {
            Ok(response) => response.status() == StatusCode::PAYLOAD_TOO_LARGE,
            Err(error) => error.is_request(),
        }
    }

    pub(crate) fn say(&self, path: &str, mut body: Value) -> Value {
        body["node_key"] = json!(self.key);
        let (status, answer) = self.post(path, body.to_string().into_bytes(), None);
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    /// Enrols as osquery does; whether it was let in.
    pub(crate) fn enrol(&mut self, secret: &str, name: &str) -> bool {
        let details = json!({
            "os_version": {"name": "Debian GNU/Linux", "version": "12 (bookworm)", "platform": "debian", "arch": "x86_64"},
            "osquery_info": {"version": "5.12.1"}, "system_info": {"hostname": name}, "platform_info": {},
        });
        let body = json!({"enroll_secret": secret, "host_identifier": name, "host_details": details});
        let answer = self.say("enroll", body);
        self.key = answer["node_key"].as_str().unwrap_or_default().to_owned();
        answer["node_invalid"] != true && !self.key.is_empty()
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    fn is_known(&self) -> bool {
        self.say("config", json!({}))["node_invalid"] == false
    }
}

fn only_host(app: &App) -> Value {
    let hosts = app.json(&["hosts"]);
    assert_eq!(hosts.as_array().unwrap().len(), 1, "{hosts}");
    host(app, hosts[0]["id"].as_str().unwrap())
}

fn schedule(app: &App, document: &Value) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(document.to_string().as_bytes()).unwrap();
    for args in
        [["policy", "create", "all", "--file", file.path().to_str().unwrap()].as_slice(), &["policy", "assign", "all"]]
    {
        let output = app.cli(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn osquery_enrols_and_its_scheduled_queries_are_events() {
    let app = App::start_with(&LISTENER);
    let mut node = Node::new(&app);
    assert!(!node.enrol("gde_aaaaaaaaaaaaaaaa.no", "web-1"), "no token, no key");
    assert!(!node.is_known());
    let secret = token(&app, &["--tag", "web", "--uses", "1"]);
    assert!(node.enrol(&secret, "web-1"));
    let known = app.wait("the host is online", |app| {
        let host = only_host(app);
        (host["status"] == "online").then_some(host)
    });
    assert_eq!((&known["agent"], &known["agent_version"]), (&json!("osquery"), &json!("5.12.1")));
    assert_eq!((&known["os"], &known["tags"]), (&json!("Debian GNU/Linux 12 (bookworm)"), &json!(["web"])));
    assert!(!Node::new(&app).enrol(&secret, "web-2"), "the token is used up");
    let id = known["id"].as_str().unwrap();

    let queries = json!({
        "users": {"sql": "SELECT * FROM users", "every_s": 60},
        "load": {"sql": "SELECT 1", "every_s": 60, "answer": "snapshot"},
        "off": {"sql": "SELECT 2", "every_s": 60, "enabled": false},
    });
    schedule(&app, &json!({"queries": queries}));
    let config = app.wait("the policy is the node's configuration", |_| {
        Some(node.say("config", json!({}))).filter(|config| config["schedule"] != json!({}))
    });
    let load = json!({"query": "SELECT 1", "interval": 60, "snapshot": true, "removed": false});
    assert_eq!(config["schedule"]["load"], load);
    assert_eq!(config["schedule"].as_object().unwrap().len(), 2);
    app.wait("the host runs its policy", |app| (host(app, id)["policy"]["state"] == "applied").then_some(()));

    // Differences, as they come one by one and together; packed as well as plain.
    let row = |action: &str, name: &str| {
        json!({"name": "users", "hostIdentifier": "somebody else", "unixTime": 1_767_225_600, "action": action,
            "columns": {"username": name}})
    };
    node.say("log", json!({"log_type": "result", "data": [row("added", "eve"), row("removed", "bob")]}));
    let batch =
        json!({"name": "load", "unixTime": "1767225600", "action": "snapshot", "snapshot": [{"n": "1"}, {"n": "2"}]});
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let body = json!({"node_key": node.key, "log_type": "result", "data": [batch]});
    packed.write_all(body.to_string().as_bytes()).unwrap();
    assert_eq!(node.post("log", packed.finish().unwrap(), Some("gzip")).0, StatusCode::OK);
    node.say(
        "log",
        json!({"log_type": "status", "data": [{"severity": "2", "filename": "x.cpp", "message": "oh no"}]}),
    );
    let count = |condition: &str| {
        app.number(&format!("SELECT count(*) FROM logs WHERE host_id = '{id}' AND host = 'web-1' AND {condition}"))
    };
    // What was answered is durable, and can be asked for at once.
    assert_eq!(count("source = 'query' AND key = 'users' AND type = 'added' AND message LIKE '%eve%'"), 1);
    assert_eq!(count("source = 'query' AND key = 'users' AND type = 'removed' AND message LIKE '%bob%'"), 1);
    assert_eq!(count("source = 'query' AND key = 'load' AND type = 'snapshot'"), 2);
    assert_eq!(count("source = 'osquery' AND severity = 3 AND message = 'oh no'"), 1);
    // An answer that got lost: the same comes again, with what was logged since.
    let again = [row("added", "eve"), row("removed", "bob")];
    node.say("log", json!({"log_type": "result", "data": again}));
    assert_eq!(count("source = 'query' AND key = 'users'"), 4, "the request before was another one");
    node.say("log", json!({"log_type": "result", "data": again}));
    node.say("log", json!({"log_type": "result", "data": [again[0], again[1], row("added", "kim")]}));
    assert_eq!(count("source = 'query' AND key = 'users'"), 5, "what came again is kept once");
    assert_eq!(count("source = 'query' AND key = 'users' AND message LIKE '%kim%'"), 1);

    // Who is shut out is told to enrol again, and cannot.
    assert!(app.cli(&["hosts", "revoke", id]).status.success());
    assert!(!node.is_known());
    assert_eq!(node.say("log", json!({"log_type": "result", "data": [row("added", "late")]}))["node_invalid"], true);
    assert_eq!(count("message LIKE '%late%'"), 0);
}

#[test]
fn live_queries_reach_osquery_and_its_rows_stand_among_the_others() {
    let app = App::start_with(&LISTENER);
    let mut node = Node::new(&app);
    assert!(node.enrol(&token(&app, &[]), "web-1"));
    let mut other = Node::new(&app);
    assert!(other.enrol(&token(&app, &[]), "web-2"));
    assert_eq!(node.say("distributed/read", json!({}))["queries"], json!({}));
    let asked = app.json(&["live-query", "run", "SELECT name FROM processes", "--search", "web-1", "--rows", "2"]);
    let query = asked[0]["id"].as_str().unwrap();
    let questions = node.say("distributed/read", json!({}))["queries"].clone();
    let (run, sql) = questions.as_object().unwrap().iter().next().unwrap();
    assert_eq!(sql, "SELECT name FROM processes");
    assert_eq!(node.say("distributed/read", json!({}))["queries"], json!({}), "asked once");

    // What somebody else says counts for nothing, nor what was not asked.
    let rows = |names: &[&str]| names.iter().map(|name| json!({"name": name, "pid": "1"})).collect::<Vec<_>>();
    let answer = |names: &[&str], status: u32, said: &str| json!({"queries": {run.as_str(): rows(names), "x": []}, "statuses": {run.as_str(): status}, "messages": {run.as_str(): said}});
    other.say("distributed/write", answer(&["forged"], 0, ""));
    node.say("distributed/write", answer(&["init", "sh", "cut"], 0, ""));
    node.say("distributed/write", answer(&["again"], 0, ""));
    let shown = app.cli(&["live-query", "show", query, "--output", "json"]);
    let shown: Vec<Value> = text(&shown.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = |name: &str| json!({"host_name": "web-1", "name": name, "pid": "1"});
    assert_eq!(shown, [row("init"), row("sh")]);
    let hosts = app.json(&["live-query", "show", query, "--hosts"]);
    assert_eq!((&hosts[0]["state"], &hosts[0]["rows"]), (&json!("done"), &json!(2)));

    // What fails says why.
    let asked = app.json(&["live-query", "run", "SELECT x FROM nowhere", "--search", "web-1"]);
    let query = asked[0]["id"].as_str().unwrap();
    let questions = node.say("distributed/read", json!({}))["queries"].clone();
    let run = questions.as_object().unwrap().keys().next().unwrap().clone();
    let body = json!({"queries": {run.as_str(): ""}, "statuses": {run.as_str(): 1}, "messages": {run.as_str(): "no such table"}});
    node.say("distributed/write", body);
    let hosts = app.json(&["live-query", "show", query, "--hosts"]);
    assert_eq!((&hosts[0]["state"], &hosts[0]["text"]), (&json!("failed"), &json!("no such table")));
}

#[test]
fn what_is_no_request_of_osquery_is_refused() {
    let app = App::start_with(&LISTENER);
    let mut node = Node::new(&app);
    assert!(node.enrol(&token(&app, &[]), "web-1"));
    let good = node.key.clone();
    for key in ["", "gdo_", "x", &good[..good.len() - 1], &good.replace("gdo_", "gde_"), &format!("{good}x")] {
        key.clone_into(&mut node.key);
        for path in ["config", "distributed/read", "distributed/write", "log"] {
            assert_eq!(node.say(path, json!({}))["node_invalid"], true, "{path} with {key}");
        }
    }
    node.key.clone_from(&good);
    let status = |path: &str, body: &[u8], encoding| node.post(path, body.to_vec(), encoding).0;
    assert_eq!(status("log", b"", None), StatusCode::LENGTH_REQUIRED, "whoever has nothing to say says no length");
    for body in [b"[]".as_slice(), b"[", b"null", b"\xff", br#"{"data": 1}"#] {
        assert_eq!(status("log", body, None), StatusCode::BAD_REQUEST, "{body:?}");
    }
    assert_eq!(status("log", b"not gzip", Some("gzip")), StatusCode::BAD_REQUEST);
    assert_eq!(status("log", b"{}", Some("br")), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(node.is_too_long("enroll", vec![b' '; (256 << 10) + 1]));
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 64 << 20]).unwrap();
    assert_eq!(status("log", &bomb.finish().unwrap(), Some("gzip")), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(status("elsewhere", b"{}", None), StatusCode::NOT_FOUND);
    assert!(node.is_known(), "it is well after all that");
    // The console does not speak it, and the listener is not there unless it was asked for.
    let console = node.http.post(format!("{}/osquery/config", app.url())).body("{}");
    assert_ne!(
        block_on(async { console.send().await }).map(|answer| answer.status()).unwrap_or(StatusCode::NOT_FOUND),
        StatusCode::OK
    );
    let plain = App::start();
    let run = std::fs::read_to_string(plain.data.join("run/server.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&run).unwrap()["osquery"], json!(null));
}
