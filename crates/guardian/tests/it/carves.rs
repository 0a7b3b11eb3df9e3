//! Files that osquery carves: asked for, brought block by block by a node that speaks as osquery's carver does, and kept as
//! evidence.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{App, text};
use crate::fleet::token;
use crate::osquery::{LISTENER, Node};

const BLOCK: usize = 10_000;

/// What a carver packs: the bytes do not matter, but for their length.
fn archive() -> Vec<u8> {
    (0..25_000_u32).map(|n| (n % 251) as u8).collect()
}

fn start(node: &Node, carve: &str, bytes: usize) -> (StatusCode, Value) {
    let body = json!({
        "node_key": node.key(), "block_count": bytes.div_ceil(BLOCK), "block_size": BLOCK, "carve_size": bytes,
        "carve_id": carve, "request_id": "made up by osquery",
    });
    node.post("carve/start", body.to_string().into_bytes(), None)
}

fn block(node: &Node, session: &str, number: usize, bytes: &[u8]) -> StatusCode {
    let body = json!({"block_id": number, "session_id": session, "request_id": "r", "data": STANDARD.encode(bytes)});
    node.post("carve/block", body.to_string().into_bytes(), None).0
}

fn evidence(app: &App, host: &str) -> Vec<Value> {
    app.json(&["hosts", "evidence", host]).as_array().unwrap().clone()
}

fn id_of(app: &App, name: &str) -> String {
    let hosts = app.json(&["hosts", "--search", name]);
    hosts[0]["id"].as_str().unwrap().to_owned()
}

/// Asks for files; the node hears of it.
fn ask(app: &App, node: &Node, host: &str, path: &str) -> String {
    let asked = app.cli(&["hosts", "carve", host, path, "--reason", "ticket 12"]);
    assert!(asked.status.success(), "{}", text(&asked.stderr));
    let questions = node.say("distributed/read", json!({}))["queries"].clone();
    let (run, sql) = questions.as_object().unwrap().iter().next().unwrap();
    assert!(sql.as_str().unwrap().contains("carve = 1"), "{sql}");
    let row = json!({"carve_guid": "c", "path": path, "status": "SCHEDULED", "carve": "1"});
    node.say("distributed/write", json!({"queries": {run.as_str(): [row]}, "statuses": {run.as_str(): 0}}));
    text(&asked.stdout).trim().to_owned()
}

fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(bytes).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, zstd::Decoder<'_, std::io::BufReader<&[u8]>>>>| {
        let (mut entry, mut content) = (entry.unwrap(), Vec::new());
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    };
    archive.entries().unwrap().map(read).collect()
}

/// An app that takes carves, and two nodes.
fn two_nodes() -> (App, Node, Node) {
    let more = ["--set", "fleet.osquery.carves=asked", "--set", "fleet.osquery.carve_bytes_max=100kB"];
    let app = App::start_with(&[LISTENER.as_slice(), &more].concat());
    let (mut node, mut other) = (Node::new(&app), Node::new(&app));
    assert!(node.enrol(&token(&app, &[]), "web-1") && other.enrol(&token(&app, &[]), "web-2"));
    (app, node, other)
}

#[test]
fn files_that_were_asked_for_come_as_evidence() {
    let (app, node, other) = two_nodes();
    let (host, whole) = (id_of(&app, "web-1"), archive());
    assert_eq!(start(&node, "c", whole.len()).0, StatusCode::FORBIDDEN, "nobody asked");
    let query = ask(&app, &node, &host, "/etc/it's/%%");
    assert_eq!(start(&other, "c", whole.len()).0, StatusCode::FORBIDDEN, "somebody else was asked");
    assert_eq!(start(&node, "long", 200_000).0, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, begun) = start(&node, "c", whole.len());
    let session = begun["session_id"].as_str().unwrap().to_owned();
    assert_eq!((status, start(&node, "c", whole.len()).1), (StatusCode::OK, begun), "its answer got lost");
    assert_eq!(evidence(&app, &host)[0]["state"], "waiting");

    // In any order, some of them twice.
    let part = |number: usize| &whole[number * BLOCK..whole.len().min((number + 1) * BLOCK)];
    assert_eq!(block(&node, &session, 2, part(2)), StatusCode::OK);
    assert_eq!(block(&node, &session, 2, &[0; 5_000]), StatusCode::OK, "it has no effect");
    assert_eq!(block(&node, &session, 3, part(0)), StatusCode::BAD_REQUEST);
    assert_eq!(block(&node, &session, 0, &[0; 9]), StatusCode::BAD_REQUEST);
    assert_eq!(block(&node, "elsewhere", 0, part(0)), StatusCode::NOT_FOUND);
    assert_eq!(block(&node, &session, 1, part(1)), StatusCode::OK);
    assert_eq!(block(&node, &session, 0, part(0)), StatusCode::OK);
    assert_eq!(block(&node, &session, 0, part(0)), StatusCode::OK, "the answer to the last one got lost");

    let kept = evidence(&app, &host)[0].clone();
    assert_eq!((&kept["state"], &kept["carve"], &kept["raw_bytes"]), (&json!("kept"), &json!("c"), &json!(25_000)));
    let pack = kept["id"].as_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("evidence.tar.zst");
    let taken = app.cli(&["hosts", "evidence", &host, pack, "--to", to.to_str().unwrap()]);
    assert!(taken.status.success(), "{}", text(&taken.stderr));
    let found = entries(&std::fs::read(&to).unwrap());
    assert_eq!((found[0].0.as_str(), &found[0].1), ("carve.tar", &whole));
    let manifest: Value = serde_json::from_slice(&found[1].1).unwrap();
    assert_eq!((&manifest["host"], &manifest["command"]), (&json!(host), &json!(query)));
    assert_eq!(manifest["entries"][0]["blake3"], blake3::hash(&whole).to_hex().to_string());

    let removed = app.cli(&["hosts", "evidence", &host, pack, "--remove", "no longer needed"]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    assert_eq!(evidence(&app, &host)[0]["state"], "removed");
    assert!(!app.cli(&["hosts", "evidence", &host, pack, "--to", "/nowhere/else"]).status.success());
    let audit = text(&app.cli(&["audit", "list", "--output", "json", "-n", "200"]).stdout);
    for action in ["live_query.create", "evidence.received", "evidence.taken", "evidence.removed"] {
        assert!(audit.contains(action), "{action} is not in the audit trail");
    }
}

#[test]
fn a_carve_that_breaks_off_is_lost_and_leaves_nothing() {
    let (mut app, node, _) = two_nodes();
    let (host, whole) = (id_of(&app, "web-1"), archive());
    ask(&app, &node, &host, "/etc/passwd");
    let begin = |carve: &str| start(&node, carve, whole.len()).1["session_id"].as_str().map(str::to_owned);
    let (one, two) = (begin("one").unwrap(), begin("two").unwrap());
    assert_ne!(one, two);
    assert_eq!(begin("three"), None, "more than may come at once from a node");
    assert_eq!(block(&node, &one, 0, &whole[..BLOCK]), StatusCode::OK);
    let left = |app: &App| {
        let folders = std::fs::read_dir(app.data.join("evidence/packs")).unwrap();
        folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap()).count()
    };
    assert_eq!(left(&app), 2);
    let sealed = std::fs::read_dir(app.data.join("evidence/packs")).unwrap().next().unwrap().unwrap().path();
    for file in std::fs::read_dir(sealed).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(16).any(|window| window == &whole[..16]), "nothing lies open");
    }
    assert!(app.cli(&["hosts", "revoke", &host]).status.success());
    assert_eq!(block(&node, &one, 1, &whole[BLOCK..2 * BLOCK]), StatusCode::NOT_FOUND, "the host is shut out");
    let states = |app: &App| {
        let all = evidence(app, &host);
        let of = |carve: &str| all.iter().find(|one| one["carve"] == carve).unwrap()["state"].clone();
        (of("one"), of("two"))
    };
    assert_eq!(states(&app), (json!("lost"), json!("waiting")));
    app.kill();
    app.spawn();
    app.wait("what was on its way is given up", |app| (states(app) == (json!("lost"), json!("lost"))).then_some(()));
    assert_eq!(left(&app), 0);
}

#[test]
fn nobody_brings_files_to_a_server_that_does_not_want_them() {
    let app = App::start_with(&LISTENER);
    let mut node = Node::new(&app);
    assert!(node.enrol(&token(&app, &[]), "web-1"));
    ask(&app, &node, &id_of(&app, "web-1"), "/etc/passwd");
    assert_eq!(start(&node, "c", 5).0, StatusCode::NOT_FOUND);

    let any = App::start_with(&[LISTENER.as_slice(), &["--set", "fleet.osquery.carves=any"]].concat());
    let mut node = Node::new(&any);
    assert!(node.enrol(&token(&any, &[]), "web-1"));
    let (status, begun) = start(&node, "of its own", 5);
    let session = begun["session_id"].as_str().unwrap();
    assert_eq!((status, block(&node, session, 0, b"hello")), (StatusCode::OK, StatusCode::OK));
    let kept = evidence(&any, &id_of(&any, "web-1"))[0].clone();
    assert_eq!((&kept["state"], &kept["carve"]), (&json!("kept"), &json!("of its own")));
}
