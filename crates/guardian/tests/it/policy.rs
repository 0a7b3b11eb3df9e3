//! What the server has agents do, with the real programs: groups, policies and their way to the agent, commands, and hosts
//! that fall silent.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, text};
use crate::fleet::{Agent, Way, address, host, token};

/// A host whose agent is connected, by a way that can lead to the server's next address.
pub(crate) fn connected(app: &App, enrol: &[&str], run: &[&str]) -> (Agent, String, Way) {
    let way = Way::to(Some(address(app)));
    let mut agent = Agent::new();
    agent.enroll(&way.url, &token(app, enrol), &["--name", "web-1"]).unwrap();
    let id = agent.id();
    agent.run_with(run);
    app.wait("the host is online", |app| (host(app, &id)["status"] == "online").then_some(()));
    (agent, id, way)
}

fn file(content: &Value) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.to_string().as_bytes()).unwrap();
    file
}

pub(crate) fn ok(app: &App, args: &[&str]) -> String {
    let output = app.cli(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn create(app: &App, name: &str, document: &Value) {
    ok(app, &["policy", "create", name, "--file", file(document).path().to_str().unwrap()]);
}

fn policy_of(app: &App, id: &str) -> Value {
    app.json(&["policy", "host", id])
}

fn value<'a>(policy: &'a Value, name: &str) -> &'a Value {
    let values = policy["values"].as_array().unwrap();
    values.iter().find(|value| value["name"] == name).unwrap_or_else(|| panic!("no {name} in {policy}"))
}

pub(crate) fn applied(app: &App, id: &str, version: u64) -> Value {
    app.wait("the policy is applied", |app| {
        let state = host(app, id)["policy"].clone();
        (state["applied_version"] == version && state["state"] != "pending").then_some(state)
    })
}

fn health_rows(app: &App, id: &str) -> u64 {
    app.number(&format!("SELECT count(*) FROM health WHERE host_id = '{id}' AND metric = 'uptime'"))
}

#[test]
fn a_policy_reaches_the_agent_and_is_run_without_a_restart() {
    let mut app = App::start();
    let (mut agent, id, way) = connected(&app, &["--tag", "web"], &["--no-files"]);
    assert_eq!(host(&app, &id)["policy"]["state"], "none", "nobody ever said anything");
    // An expression, tried first.
    let tried = app.cli(&["groups", "try", "tags = web"]);
    assert!(text(&tried.stderr).contains("hosts have no field `tags`"), "{}", text(&tried.stderr));
    assert!(ok(&app, &["groups", "try", "tag = web and status = online"]).contains("1 hosts: web-1"));
    ok(&app, &["groups", "create", "web", "--filter", "tag = web"]);
    ok(&app, &["groups", "create", "quick"]);
    // What cannot be meant is refused with its place.
    let odd = file(&json!({"intervals": {"health": 1}}));
    let refused = app.cli(&["policy", "create", "odd", "--file", odd.path().to_str().unwrap()]);
    assert!(text(&refused.stderr).contains("intervals: unknown field `health`"), "{}", text(&refused.stderr));
    create(&app, "base", &json!({"intervals": {"health_s": 3600}, "sources": {"connections": false}}));
    create(
        &app,
        "web",
        &json!({"intervals": {"health_s": 1}, "logs": {"follow": {"nginx": {"path": "/nowhere/x.log"}}}}),
    );
    // Each 15 seconds where nobody says otherwise.
    app.wait("health is measured", |app| (health_rows(app, &id) >= 1).then_some(()));

    ok(&app, &["policy", "assign", "base"]);
    let state = applied(&app, &id, 1);
    assert_eq!(state["state"], "applied");
    let shown = policy_of(&app, &id);
    assert_eq!(
        (&value(&shown, "intervals.health_s")["value"], &value(&shown, "intervals.health_s")["policy_name"]),
        (&json!(3600), &json!("base"))
    );
    assert_eq!(value(&shown, "spool.mib_max")["origin"], "default");
    assert_eq!(value(&shown, "sources.files")["origin"], "local", "the command line says so");
    // The group's policy stands behind it and wins.
    ok(&app, &["policy", "assign", "web", "--group", "web"]);
    applied(&app, &id, 2);
    let before = health_rows(&app, &id);
    app.wait("health is measured each second", |app| (health_rows(app, &id) >= before + 3).then_some(()));
    assert_eq!(value(&policy_of(&app, &id), "intervals.health_s")["group"], "web");
    // Live: the agent's own file says so.
    let changed = file(&json!({"intervals": {"health_s": 2, "heartbeat_s": 1}}));
    ok(&app, &["policy", "update", "web", "--file", changed.path().to_str().unwrap(), "--comment", "less"]);
    app.wait("the agent keeps it", |_| (agent.kept()["version"] == 3).then_some(()));
    applied(&app, &id, 3);
    let versions = app.json(&["policy", "versions", "web"]);
    assert_eq!((versions.as_array().unwrap().len(), &versions[0]["comment"]), (2, &json!("less")));
    runs_what_it_kept(&mut app, &mut agent, &id, &way);
    // What is taken away no longer holds, and whoever leaves the group is without it.
    ok(&app, &["hosts", "untag", "web", "--host", &id]);
    applied(&app, &id, 4);
    assert_eq!(value(&policy_of(&app, &id), "intervals.health_s")["value"], 3600);
    assert_eq!(host(&app, &id)["matched_groups"], json!([]));
    // A group by name.
    ok(&app, &["policy", "assign", "web", "--group", "quick"]);
    ok(&app, &["hosts", "group", "quick", "--all"]);
    applied(&app, &id, 5);
    assert_eq!(app.json(&["hosts", "--group", "quick"]).as_array().unwrap().len(), 1);
    let assigned = app.cli(&["policy", "delete", "web"]);
    assert!(text(&assigned.stderr).contains("is assigned to a group"), "{}", text(&assigned.stderr));
    let audit = text(&app.cli(&["audit", "list", "--output", "json", "-n", "200"]).stdout);
    for action in ["host_group.create", "policy.create", "policy.update", "policy.order", "host.update"] {
        assert!(audit.contains(action), "{action} is not in the audit trail");
    }
    agent.stop();
}

/// A start without the server runs what was kept.
fn runs_what_it_kept(app: &mut App, agent: &mut Agent, id: &str, way: &Way) {
    let kept = agent.kept();
    agent.stop();
    let before = health_rows(app, id);
    assert!(app.stop());
    agent.run_with(&["--no-files"]);
    std::thread::sleep(Duration::from_secs(6));
    let meanwhile = jiff::Timestamp::now();
    app.spawn();
    way.lead(address(app));
    app.wait("it is online again", |app| (host(app, id)["status"] == "online").then_some(()));
    let rows = format!("FROM health WHERE host_id = '{id}' AND metric = 'uptime' AND \"time\" < '{meanwhile}'");
    app.wait("health was measured each second or two", |app| {
        (app.number(&format!("SELECT count(*) {rows}")) >= before + 2).then_some(())
    });
    assert_eq!(agent.kept(), kept);
    assert_eq!(host(app, id)["policy"]["version"], 3, "nothing changed meanwhile");
}

#[test]
fn files_are_watched_by_sets_and_expected_in_windows() {
    let app = App::start();
    let (mut agent, id, _way) = connected(&app, &[], &[]);
    let place = tempfile::tempdir().unwrap();
    let root = place.path().to_str().unwrap();
    std::fs::write(place.path().join("old"), "port = 1\npassword = hunter2\n").unwrap();
    let set = json!({"roots": [root], "rules": [{"path": format!("{root}/cache"), "watch": []}], "texts": true});
    let sets = json!({"system": {"enabled": false}, "pages": set});
    create(&app, "pages", &json!({"files": {"sets": sets, "scan_mib_per_s": 0}}));
    ok(&app, &["policy", "assign", "pages"]);
    applied(&app, &id, 1);
    let of = format!("FROM files WHERE host_id = '{id}'");
    // The first reading makes the baseline; it is no change.
    app.wait("there is a baseline", |_| agent.home().join("files/policy.json").exists().then_some(()));
    std::fs::create_dir(place.path().join("cache")).unwrap();
    std::fs::write(place.path().join("cache/x"), "1").unwrap();
    std::fs::write(place.path().join("old"), "port = 2\npassword = hunter3\n").unwrap();
    app.wait("the change is told", |app| {
        (app.number(&format!("SELECT count(*) {of} AND path = '{root}/old' AND policy = 'pages' AND expected = false"))
            == 1)
            .then_some(())
    });
    assert_eq!(app.number(&format!("SELECT count(*) {of}")), 1, "neither the cache nor what was there before");
    let shown = "diff LIKE '%-port = 1%' AND diff LIKE '%+port = 2%' AND diff LIKE '%password = ‹secret%'";
    assert_eq!(app.number(&format!("SELECT count(*) {of} AND {shown}")), 1, "what changed is shown line by line");
    assert_eq!(app.number(&format!("SELECT count(*) {of} AND diff LIKE '%hunter%'")), 0, "and no secret");
    // A window is taken up while the watch goes on.
    let now = json!({"from": "2020-01-01T00:00:00Z", "paths": [root]});
    let with_window = file(&json!({"files": {"sets": sets, "scan_mib_per_s": 0}, "maintenance": {"now": now}}));
    ok(&app, &["policy", "update", "pages", "--file", with_window.path().to_str().unwrap()]);
    applied(&app, &id, 2);
    std::thread::sleep(Duration::from_millis(500));
    std::fs::write(place.path().join("old"), "3").unwrap();
    app.wait("the change is expected", |app| {
        (app.number(&format!("SELECT count(*) {of} AND path = '{root}/old' AND expected = true")) == 1).then_some(())
    });
    agent.stop();
}

#[test]
fn commands_are_done_once_wait_for_hosts_and_expire() {
    let mut app = App::start();
    let (mut agent, id, _way) = connected(&app, &[], &["--no-files"]);
    let done = app.json(&["commands", "give", "report", "--host", &id, "--follow"]);
    assert_eq!((&done["states"]["done"], &done["runs"][0]["state"]), (&json!(1), &json!("done")), "{done}");
    assert!(done["runs"][0]["output"].as_str().unwrap().contains("\"connected\""), "{done}");
    // An action that changes the machine, rehearsed.
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let ticks: u64 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let kill = json!({"kind": "kill", "pid": child.id(), "start_ticks": ticks, "tree": false}).to_string();
    let rehearsed = app.json(&["commands", "give", &kill, "--host", &id, "--dry-run", "--follow"]);
    assert_eq!(rehearsed["states"]["done"], 1, "{rehearsed}");
    assert_eq!(rehearsed["runs"][0]["outcome"]["dry_run"], true, "{rehearsed}");
    assert!(child.try_wait().unwrap().is_none(), "nothing was done");
    let killed = app.json(&["commands", "give", &kill, "--host", &id, "--follow", "--reason", "it sleeps"]);
    assert_eq!(killed["states"]["done"], 1, "{killed}");
    assert!(!child.wait().unwrap().success(), "it was killed");
    // What makes no sense is said before anything is sent.
    let odd = app.cli(&["commands", "give", r#"{"kind": "kill", "pid": 1}"#, "--host", &id]);
    assert!(text(&odd.stderr).contains("`pid`"), "{}", text(&odd.stderr));
    let nobody = app.cli(&["commands", "give", "report"]);
    assert!(text(&nobody.stderr).contains("which hosts?"), "{}", text(&nobody.stderr));
    // One waits for a host that is away, over a restart of the server; another comes too late; a third is called off.
    agent.stop();
    app.wait("it is offline", |app| (host(app, &id)["status"] == "offline").then_some(()));
    let give = |app: &App, wait: &str| {
        let made = app.json(&["commands", "give", "report", "--host", &id, "--wait", wait]);
        made["id"].as_str().unwrap().to_owned()
    };
    let (waits, late, off) = (give(&app, "600"), give(&app, "1"), give(&app, "600"));
    ok(&app, &["commands", "cancel", &off]);
    let state = |app: &App, command: &str| {
        let runs: Value =
            serde_json::from_slice(&app.cli(&["commands", "show", command, "--host", &id]).stdout).unwrap();
        runs["state"].as_str().unwrap().to_owned()
    };
    app.wait("the late one is over", |app| (state(app, &late) == "expired").then_some(()));
    assert_eq!((state(&app, &waits), state(&app, &off)), ("queued".to_owned(), "cancelled".to_owned()));
    app.kill();
    app.spawn();
    assert_eq!(state(&app, &waits), "queued");
    agent.enroll(&app.url(), &token(&app, &[]), &["--force", "--name", "web-2"]).unwrap();
    let second = agent.id();
    agent.run_with(&["--no-files"]);
    // The same machine under another name has nothing to do with what waits for the first.
    app.wait("the second is online", |app| (host(app, &second)["status"] == "online").then_some(()));
    assert_eq!(state(&app, &waits), "queued");
    // One of both does not hear of it in time, which the exit code says.
    let all = app.cli(&["commands", "give", "report", "--all", "--wait", "2", "--follow", "--output", "json"]);
    assert_eq!(all.status.code(), Some(3), "{}", text(&all.stderr));
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!((&all["states"]["done"], &all["states"]["expired"]), (&json!(1), &json!(1)), "{all}");
    let audit = text(&app.cli(&["audit", "list", "--output", "json", "-n", "200"]).stdout);
    for action in ["command.create", "command.cancel", "command.ended"] {
        assert!(audit.contains(action), "{action} is not in the audit trail");
    }
    agent.stop();
}

#[test]
fn a_command_is_not_done_twice_over_restarts() {
    let mut app = App::start();
    let (mut agent, id, way) = connected(&app, &[], &["--no-files"]);
    agent.stop();
    app.wait("it is offline", |app| (host(app, &id)["status"] == "offline").then_some(()));
    let made = app.json(&["commands", "give", "report", "--host", &id]);
    let command = made["id"].as_str().unwrap().to_owned();
    // The server is killed as soon as the agent has done it, again and again; in the end it knows, once.
    for _ in 0..3 {
        agent.run_with(&["--no-files"]);
        std::thread::sleep(Duration::from_millis(700));
        agent.signal(nix::sys::signal::Signal::SIGKILL);
        app.kill();
        app.spawn();
        way.lead(address(&app));
    }
    agent.run_with(&["--no-files"]);
    let done = app.wait("it is done", |app| {
        let command = app.json(&["commands", "show", &command]);
        (command["states"]["done"] == 1).then_some(command)
    });
    let remembered: Value =
        serde_json::from_str(&std::fs::read_to_string(agent.home().join("commands.json")).unwrap()).unwrap();
    assert_eq!(remembered.as_array().unwrap().len(), 1, "{remembered}");
    assert_eq!(done["runs"].as_array().unwrap().len(), 1);
    agent.stop();
}

#[test]
fn a_silent_host_raises_an_alert_that_closes_when_it_is_back() {
    let app = App::start_with(&["--set", "fleet.heartbeat=1s"]);
    let (mut agent, id, _way) = connected(&app, &[], &["--no-files"]);
    let alert = |app: &App| app.alerts().into_iter().find(|alert| alert["title"] == "Host offline");
    agent.signal(nix::sys::signal::Signal::SIGKILL);
    let raised = app.wait("the alert is raised", alert);
    assert_eq!((&raised["status"], &raised["entity"]), (&json!("new"), &json!("web-1")), "{raised}");
    agent.run_with(&["--no-files"]);
    app.wait("it closes", |app| alert(app).filter(|alert| alert["status"] == "closed"));
    let back = format!("SELECT count(*) FROM health WHERE host_id = '{id}' AND metric = 'host_online'");
    assert_eq!(app.number(&back), 1);
    // A host whose policy says so is silent without an alert.
    create(&app, "quiet", &json!({"offline": {"alert": false}}));
    ok(&app, &["policy", "assign", "quiet"]);
    applied(&app, &id, 1);
    agent.stop();
    app.wait("it is offline", |app| (host(app, &id)["status"] == "offline").then_some(()));
    std::thread::sleep(Duration::from_secs(8));
    let told = format!("SELECT count(*) FROM health WHERE host_id = '{id}' AND metric = 'host_offline'");
    assert_eq!(app.number(&told), 1, "only the first time");
}
