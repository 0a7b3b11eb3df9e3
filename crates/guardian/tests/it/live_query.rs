//! Live queries with the real programs: hosts answer by SQL, in parts, together, and only whom they should.

use serde_json::{Value, json};

use crate::app::{App, text};
use crate::fleet::{Agent, Way, address, host, token};
use crate::policy::connected;

/// Rows as `--output json` prints them, one a line.
fn rows(app: &App, args: &[&str]) -> Vec<Value> {
    let args = [&["live-query"], args, &["--output", "json"]].concat();
    let output = app.cli(&args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn hosts_of(app: &App, id: &str) -> Vec<Value> {
    let found = app.json(&["live-query", "show", id, "--hosts"]);
    found.as_array().unwrap().clone()
}

fn another(app: &App, name: &str, tag: &str) -> (Agent, String, Way) {
    let way = Way::to(Some(address(app)));
    let mut agent = Agent::new();
    agent.enroll(&way.url, &token(app, &["--tag", tag]), &["--name", name]).unwrap();
    let id = agent.id();
    agent.run_with(&["--no-files"]);
    app.wait("the second host is online", |app| (host(app, &id)["status"] == "online").then_some(()));
    (agent, id, way)
}

#[test]
fn hosts_answer_by_sql_while_somebody_waits() {
    let mut app = App::start();
    let (mut first, id, way) = connected(&app, &["--tag", "web"], &["--no-files"]);
    let (mut second, _, _way) = another(&app, "db-1", "db");

    // Both see this machine, so that both answer the same.
    let sql = "SELECT username, uid FROM users WHERE uid = 0";
    let mut found = rows(&app, &["run", sql, "--all", "--follow", "--reason", "a look"]);
    found.sort_by_key(|row| row["host_name"].to_string());
    let row = |name: &str| json!({"host_name": name, "username": "root", "uid": 0});
    assert_eq!(found, [row("db-1"), row("web-1")]);
    let one = rows(&app, &["run", "SELECT 1 AS n", "--with-tag", "db", "--follow"]);
    assert_eq!(one, [json!({"host_name": "db-1", "n": 1})]);

    // A long answer comes in many parts, all of it, in order.
    let long = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 60000) \
                SELECT x, printf('%050d', x) AS text FROM n";
    let all = rows(&app, &["run", long, "--host", &id, "--rows", "100000", "--follow"]);
    assert_eq!(all.len(), 60_000);
    assert!(all.iter().enumerate().all(|(at, row)| row["x"] == at + 1), "in order");
    let cut = rows(&app, &["run", long, "--host", &id, "--rows", "10", "--follow"]);
    assert_eq!(cut.len(), 10);
    let listed = app.json(&["live-query", "list"]);
    let newest = &listed[0];
    assert_eq!((&newest["rows"], &newest["hosts"]), (&json!(10), &json!(1)), "{newest}");
    assert_eq!(hosts_of(&app, newest["id"].as_str().unwrap())[0]["state"], "done");

    // What a host cannot do is said by it, and by the exit code.
    let wrong = app.cli(&["live-query", "run", "ATTACH '/etc/shadow' AS x", "--host", &id, "--follow"]);
    assert_eq!(wrong.status.code(), Some(3), "{}", text(&wrong.stderr));
    assert!(text(&wrong.stderr).contains("web-1: failed: not authorized"), "{}", text(&wrong.stderr));
    let late = app.cli(&[
        "live-query",
        "run",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n",
        "--host",
        &id,
        "--timeout",
        "1",
        "--follow",
    ]);
    assert!(text(&late.stderr).contains("its time was over"), "{}", text(&late.stderr));
    let nobody = app.cli(&["live-query", "run", "SELECT 1"]);
    assert!(text(&nobody.stderr).contains("which hosts?"), "{}", text(&nobody.stderr));

    // One that takes long is called off, and stops on the host too.
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n";
    let made = app.json(&["live-query", "run", endless, "--host", &id, "--timeout", "600"]);
    let endless = made[0]["id"].as_str().unwrap().to_owned();
    app.wait("it runs", |app| (hosts_of(app, &endless)[0]["state"] == "sent").then_some(()));
    assert!(app.cli(&["live-query", "cancel", &endless]).status.success());
    app.wait("it is called off", |app| (hosts_of(app, &endless)[0]["state"] == "cancelled").then_some(()));
    app.wait("no process of it is left", |_| (workers() == 0).then_some(()));

    waits_for_who_is_away(&mut app, &mut first, &id, &way);
    first.stop();
    second.stop();
}

/// It waits for a host that is away, over a restart of the server.
fn waits_for_who_is_away(app: &mut App, first: &mut Agent, id: &str, way: &Way) {
    first.stop();
    app.wait("it is offline", |app| (host(app, id)["status"] == "offline").then_some(()));
    let made = app.json(&["live-query", "run", "SELECT 7 AS n", "--host", id]);
    let waits = made[0]["id"].as_str().unwrap().to_owned();
    let late = app.json(&["live-query", "run", "SELECT 8 AS n", "--host", id, "--wait", "1"]);
    let late = late[0]["id"].as_str().unwrap().to_owned();
    app.wait("the late one is over", |app| (hosts_of(app, &late)[0]["state"] == "expired").then_some(()));
    app.kill();
    app.spawn();
    way.lead(address(app));
    first.run_with(&["--no-files"]);
    app.wait("it is answered", |app| (hosts_of(app, &waits)[0]["state"] == "done").then_some(()));
    assert_eq!(rows(app, &["show", &waits]), [json!({"host_name": "web-1", "n": 7})]);
    let audit = text(&app.cli(&["audit", "list", "--output", "json", "-n", "200"]).stdout);
    for action in ["live_query.create", "live_query.cancel", "a look"] {
        assert!(audit.contains(action), "{action} is not in the audit trail");
    }
}

/// Processes of this machine that answer queries.
fn workers() -> usize {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = pids.filter_map(|pid| std::fs::read(pid.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == b"query-worker")).count()
}

#[test]
fn tables_are_told_to_those_who_write_statements() {
    let app = App::start();
    let tables = app.json(&["live-query", "tables"]);
    let names: Vec<&str> = tables.as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap()).collect();
    assert!(names.len() >= 50 && names.contains(&"processes") && names.contains(&"hash"), "{names:?}");
    let columns = app.json(&["live-query", "tables", "hash"]);
    let first = &columns[0];
    assert_eq!((&first["name"], &first["kind"], &first["helps"]), (&json!("path"), &json!("text"), &json!(true)));
    let none = app.cli(&["live-query", "tables", "nothing"]);
    assert!(text(&none.stderr).contains("no table nothing"));
}

#[test]
fn scheduled_queries_tell_what_is_different() {
    let app = App::start();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().canonicalize().unwrap();
    std::fs::write(folder.join("here"), "abc").unwrap();
    let sql = format!("SELECT filename, size FROM file WHERE directory = '{}'", folder.display());
    let document = json!({
        "sources": {"processes": false, "connections": false, "inventory": false, "logs": false},
        "queries": {
            "inbox": {"sql": sql, "every_s": 10},
            "whole": {"sql": "SELECT 1 AS n", "every_s": 10, "answer": "snapshot"},
            "wrong": {"sql": "SELECT missing FROM users", "every_s": 3600},
            "never": {"sql": "SELECT 1 AS n", "every_s": 10, "enabled": false},
        },
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), document.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    for args in [&["policy", "create", "asked", "--file", path][..], &["policy", "assign", "asked"]] {
        let output = app.cli(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    }
    let (mut agent, _, _way) = connected(&app, &[], &["--no-files"]);
    let count = |app: &App, name: &str, kind: &str, contains: &str| {
        app.number(&format!(
            "SELECT count(*) FROM logs WHERE source = 'query' AND key = '{name}' AND type = '{kind}' \
             AND message LIKE '%{contains}%'"
        ))
    };
    app.wait("the first answer is told", |app| (count(app, "inbox", "added", "here") == 1).then_some(()));
    app.wait("what is wrong is told", |app| (count(app, "wrong", "error", "no such column") == 1).then_some(()));
    std::fs::write(folder.join("more"), "abcd").unwrap();
    std::fs::remove_file(folder.join("here")).unwrap();
    app.wait("what came is told", |app| (count(app, "inbox", "added", "more") == 1).then_some(()));
    assert_eq!(count(&app, "inbox", "removed", "here"), 1);
    app.wait("a snapshot comes each time", |app| (count(app, "whole", "snapshot", "n") >= 2).then_some(()));
    let fields = app.json(&["query", "SELECT fields FROM logs WHERE key = 'inbox' AND message LIKE '%more%'"]);
    let row: Value = serde_json::from_str(fields[0]["fields"].as_str().unwrap()).unwrap();
    assert_eq!(row, json!({"filename": "more", "size": 4}));
    // A restart tells nothing twice.
    agent.stop();
    agent.run_with(&["--no-files"]);
    app.wait("it asks again", |app| (count(app, "whole", "snapshot", "n") >= 4).then_some(()));
    assert_eq!((count(&app, "inbox", "added", "more"), count(&app, "never", "snapshot", "n")), (1, 0));
    agent.stop();
}
