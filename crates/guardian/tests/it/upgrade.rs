//! Other versions of the agent, with the real programs: releases in rings, those that are no good, a server that is killed in
//! the middle, and the one command that installs an agent. A version is made out of the program itself by changing the note
//! that it reads its version from: it says that version to `--version` and in its greeting.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::app::{App, text};
use crate::fleet::{Agent, Way, address, host, program, token};

const MARK: &[u8] = b"guardian-agent version note:";

/// Where keys and programs of one test are.
struct Desk {
    dir: tempfile::TempDir,
    public: String,
}

fn agent_says(args: &[&str]) -> String {
    let output = Command::new(program()).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let public = agent_says(&["release-key", "--out", dir.path().join("key").to_str().unwrap()]);
        Self { dir, public }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        guardian_testkit::program::write(&path, bytes);
        path
    }

    /// The agent as another version.
    fn version(&self, version: &str, edit: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let mut bytes = std::fs::read(program()).unwrap();
        // The mark alone may stand elsewhere too; the note is where a version follows.
        let noted = |window: &[u8]| window.starts_with(MARK) && window[MARK.len()].is_ascii_digit();
        let at = bytes.windows(MARK.len() + 1).position(noted).unwrap() + MARK.len();
        bytes[at..at + 40].fill(0);
        bytes[at..at + version.len()].copy_from_slice(version.as_bytes());
        edit(&mut bytes);
        let path = self.write(&format!("agent-{version}"), &bytes);
        let said = Command::new(&path).arg("--version").output().unwrap();
        assert_eq!(text(&said.stdout).trim(), format!("guardian-agent {version}"));
        path
    }

    /// A program that says a version and does something else than an agent does.
    fn script(&self, version: &str, says: &str, does: &str) -> PathBuf {
        let head =
            format!("#!/bin/sh\n[ \"$1\" = --version ] && echo guardian-agent {says} && exit 0\n{does}\nexit 1\n");
        let note = [MARK, version.as_bytes(), &[0; 40]].concat();
        self.write(&format!("script-{version}"), &[head.as_bytes(), &note].concat())
    }

    fn sign(&self, key: &str, program: &Path, more: &[&str]) -> PathBuf {
        let key = self.path(key);
        let args = ["sign-release", "--key", key.to_str().unwrap(), "--architecture", std::env::consts::ARCH];
        let signed = agent_says(&[&args, more, &[program.to_str().unwrap()]].concat());
        let path = program.with_extension("signed");
        std::fs::write(&path, signed).unwrap();
        path
    }

    fn add(&self, app: &App, program: &Path, signed: &Path) -> Result<Value, String> {
        let args = ["agent", "release", "add", program.to_str().unwrap(), "--signed", signed.to_str().unwrap()];
        let output = app.cli(&[&args[..], &["--output", "json"]].concat());
        if output.status.success() {
            Ok(serde_json::from_slice(&output.stdout).unwrap())
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Signs and brings a release.
    fn release(&self, app: &App, program: &Path) -> Value {
        self.add(app, program, &self.sign("key", program, &[])).unwrap()
    }

    /// An agent that takes what this desk signs, connected.
    fn agent(&self, app: &App, way: &str, name: &str, group: &str) -> (Agent, String) {
        let mut agent = Agent::new();
        let token = token(app, &["--group", group]);
        agent.enroll(way, &token, &["--name", name, "--release-key", &self.public]).unwrap();
        let id = agent.id();
        agent.run_with(&["--no-files", "--no-inventory", "--health-every", "0.5"]);
        app.wait("the host is online", |app| (host(app, &id)["status"] == "online").then_some(()));
        (agent, id)
    }
}

/// Starts a rollout and follows it to its end: how it ended, with its hosts.
fn roll_out(app: &App, version: &str, more: &[&str]) -> Value {
    let args = ["agent", "rollout", "start", version, "--rate", "0", "--follow", "--output", "json"];
    let output = app.cli(&[&args[..], more].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)))
}

fn of_host<'a>(rollout: &'a Value, name: &str) -> &'a Value {
    let hosts = rollout["host_list"].as_array().unwrap();
    hosts.iter().find(|host| host["host_name"] == name).unwrap_or_else(|| panic!("no {name} in {rollout}"))
}

fn last(app: &App) -> Value {
    app.json(&["agent", "rollout", "show"])
}

fn runs(app: &App, id: &str, version: &str) {
    app.wait(&format!("the host is there with {version}"), |app| {
        let host = host(app, id);
        (host["status"] == "online" && host["agent_version"] == version).then_some(())
    });
}

#[test]
fn a_release_comes_in_rings_stays_over_restarts_and_can_be_taken_back() {
    let (app, desk) = (App::start(), Desk::new());
    let (mut canary, canary_id) = desk.agent(&app, &app.url(), "canary", "canary");
    let (_web, web_id) = desk.agent(&app, &app.url(), "web-1", "web");
    let (_db, db_id) = desk.agent(&app, &app.url(), "db-1", "db");
    let ids = [&canary_id, &web_id, &db_id];
    desk.release(&app, &desk.version("0.2.0", |_| {}));
    let stages = ["--stage", "group=canary,wait=1", "--stage", "percent=100"];
    let done = roll_out(&app, "0.2.0", &[&stages[..], &["--within", "60", "--prove-within", "30"]].concat());
    assert_eq!(done["state"], "done", "{done}");
    let (first, second) = (of_host(&done, "canary"), of_host(&done, "web-1"));
    assert_eq!((&first["stage"], &second["stage"]), (&1.into(), &2.into()));
    assert!(first["ended"].as_str() < second["offered"].as_str(), "one ring after the other: {done}");
    for id in ids {
        runs(&app, id, "0.2.0");
    }
    // Events go on, from the same process as whoever started it sees.
    let count = format!("SELECT count(*) FROM health WHERE host_id = '{canary_id}'");
    let before = app.number(&count);
    app.wait("events go on", |app| (app.number(&count) > before).then_some(()));
    // Whoever starts it by its old path gets the version that was kept.
    canary.signal(Signal::SIGKILL);
    canary.run_with(&["--no-files", "--no-inventory"]);
    app.wait("it connected anew", |app| {
        let sessions = app.json(&["hosts", "--status", "online"]);
        (sessions.as_array()?.len() == 3 && canary.told()["state"] == "connected").then_some(())
    });
    assert_eq!(host(&app, &canary_id)["agent_version"], "0.2.0");
    // Again there is nothing to do.
    let again = app.cli(&["agent", "rollout", "start", "0.2.0"]);
    assert!(text(&again.stderr).contains("no host fits"), "{}", text(&again.stderr));
    // And back, by a decision.
    assert!(app.cli(&["agent", "rollout", "roll-back", "--reason", "too slow"]).status.success());
    for id in ids {
        runs(&app, id, "0.1.0");
    }
    app.wait("all went back", |app| {
        let states = last(app)["host_list"].as_array()?.iter().map(|h| h["state"].clone()).collect::<Vec<_>>();
        states.iter().all(|state| state == "reverted").then_some(())
    });
    let audit = text(&app.cli(&["audit", "list", "--output", "json", "-n", "200"]).stdout);
    for action in ["release.add", "rollout.start", "rollout.step", "rollout.host", "rollout.roll_back"] {
        assert!(audit.contains(action), "{action} is not in the audit trail");
    }
}

#[test]
fn a_release_that_does_not_come_back_is_taken_back_and_stops_by_itself() {
    let (app, desk) = (App::start(), Desk::new());
    let (_agent, id) = desk.agent(&app, &app.url(), "canary", "canary");
    let (_other, other) = desk.agent(&app, &app.url(), "web-1", "web");
    let stages = ["--stage", "group=canary", "--stage", "percent=100", "--within", "60", "--prove-within", "6"];
    let fails = |version: &str, state: &str, why: &str| {
        let rollout = roll_out(&app, version, &stages);
        let host = of_host(&rollout, "canary");
        assert_eq!((&rollout["state"], &host["state"]), (&"failed".into(), &state.into()), "{rollout}");
        assert!(host["text"].as_str().unwrap().contains(why), "{version}: {}", host["text"]);
        assert_eq!(of_host(&rollout, "web-1")["state"], "waiting", "the next ring never begins: {rollout}");
        runs(&app, &id, "0.1.0");
    };
    // It ends at once.
    desk.release(&app, &desk.script("0.3.0", "0.3.0", ":"));
    fails("0.3.0", "rolled_back", "ended by itself");
    fails("0.3.0", "refused", "rolled back here before");
    // It is an agent, and speaks so that the server does not understand it.
    let deaf = desk.version("0.4.0", |bytes| {
        while let Some(at) = bytes.windows(16).position(|window| window == b"guardian-agent/1") {
            bytes[at + 15] = b'9';
        }
    });
    desk.release(&app, &deaf);
    fails("0.4.0", "rolled_back", "had not seen it within 6 s");
    // It says that it is something else.
    desk.release(&app, &desk.script("0.5.0", "9.9.9", ":"));
    fails("0.5.0", "refused", "says that it is");
    // Older than what runs.
    desk.release(&app, &desk.version("0.0.9", |_| {}));
    fails("0.0.9", "refused", "older than 0.1.0");
    // Signed by somebody else: the server takes it, the machine does not.
    agent_says(&["release-key", "--out", desk.path("stolen").to_str().unwrap()]);
    let foreign = desk.version("0.6.0", |_| {});
    desk.add(&app, &foreign, &desk.sign("stolen", &foreign, &[])).unwrap();
    fails("0.6.0", "refused", "not pinned");
    // What is on the server's disk is not what was signed any more.
    let (cut, changed) = (desk.version("0.7.0", |_| {}), desk.version("0.8.0", |_| {}));
    let kept = |made: &Value| {
        let tenants = std::fs::read_dir(app.data.join("releases")).unwrap();
        tenants.map(|t| t.unwrap().path().join(made["id"].as_str().unwrap())).next().unwrap()
    };
    let path = kept(&desk.release(&app, &cut));
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    fails("0.7.0", "failed", "other than the");
    let path = kept(&desk.release(&app, &changed));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    fails("0.8.0", "refused", "not what was signed");
    assert_eq!(host(&app, &other)["agent_version"], "0.1.0");
}

#[test]
fn what_was_not_signed_does_not_come_in() {
    let (app, desk) = (App::start(), Desk::new());
    let good = desk.version("0.2.0", |_| {});
    let signed = desk.sign("key", &good, &[]);
    let refused = |program: &Path, signed: &Path, why: &str| {
        let error = desk.add(&app, program, signed).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    let mut bytes = std::fs::read(&good).unwrap();
    refused(&desk.write("cut", &bytes[..bytes.len() - 1]), &signed, "not what was signed");
    bytes.push(0);
    refused(&desk.write("longer", &bytes), &signed, "more than");
    let text = std::fs::read_to_string(&signed).unwrap();
    let forged = desk.write("forged", text.replace("0.2.0", "0.9.0").as_bytes());
    refused(&good, &forged, "signature is wrong");
    let future = desk.sign("key", &good, &["--protocol-min", "99"]);
    refused(&good, &future, "upgrade the server first");
    assert_eq!(std::fs::read_dir(app.data.join("releases")).unwrap().count(), 1);
    assert!(app.json(&["agent", "release", "list"]).as_array().unwrap().is_empty());
    let signed = desk.sign("key", &good, &[]);
    desk.add(&app, &good, &signed).unwrap();
    refused(&good, &signed, "there is a release 0.2.0");
    assert!(app.cli(&["agent", "release", "withdraw", "0.2.0"]).status.success());
    let nothing = app.cli(&["agent", "rollout", "start", "0.2.0"]);
    assert!(crate::app::text(&nothing.stderr).contains("there is no release 0.2.0"));
}

/// Whether the host is at it, by the server.
fn state(app: &App) -> String {
    last(app)["host_list"][0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_server_killed_in_the_middle_goes_on_and_so_does_a_trial_that_was_cut_short() {
    let (mut app, desk) = (App::start(), Desk::new());
    let way = Way::to(Some(address(&app)));
    let (mut agent, id) = desk.agent(&app, &way.url, "canary", "canary");
    let next = desk.version("0.2.0", |_| {});
    desk.release(&app, &next);
    // Slow enough that it takes some seconds.
    let rate = (std::fs::metadata(&next).unwrap().len() / (8 << 10)).to_string();
    let start = ["agent", "rollout", "start", "0.2.0", "--within", "120", "--prove-within", "60", "--rate", &rate];
    assert!(app.cli(&start).status.success());
    let fetched = |app: &App| last(app)["host_list"][0]["fetched"].as_u64().unwrap();
    app.wait("a part is there", |app| (fetched(app) > 1 << 20).then_some(()));
    app.kill();
    app.spawn();
    way.lead(address(&app));
    // Paused while it fetches: the host leaves it, and goes on where it was.
    app.wait("it goes on", |app| (state(app) == "fetching").then_some(()));
    assert!(app.cli(&["agent", "rollout", "pause"]).status.success());
    app.wait("it left it", |app| (state(app) == "waiting").then_some(()));
    assert!(app.cli(&["agent", "rollout", "resume"]).status.success());
    app.wait("it runs it", |app| (state(app) == "done").then_some(()));
    runs(&app, &id, "0.2.0");
    app.wait("the rollout is done", |app| (last(app)["state"] == "done").then_some(()));

    // The power goes while a version is on trial that never connects: what is started next is the one before.
    let deaf = desk.version("0.3.0", |bytes| {
        while let Some(at) = bytes.windows(16).position(|window| window == b"guardian-agent/1") {
            bytes[at + 15] = b'9';
        }
    });
    desk.release(&app, &deaf);
    let start = ["agent", "rollout", "start", "0.3.0", "--within", "120", "--prove-within", "60", "--rate", "0"];
    assert!(app.cli(&start).status.success());
    let child = app.wait("it is on trial", |_| child_of(agent.pid()));
    agent.signal(Signal::SIGKILL);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), Signal::SIGKILL).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(app.cli(&["agent", "rollout", "pause"]).status.success());
    agent.run_with(&["--no-files", "--no-inventory"]);
    runs(&app, &id, "0.2.0");
    app.wait("the server hears of it", |app| {
        let host = last(app)["host_list"][0].clone();
        (host["state"] == "waiting" && host["text"].as_str()?.contains("cut short")).then_some(())
    });
    assert!(app.cli(&["agent", "rollout", "abort"]).status.success());
}

/// The first child of a process.
fn child_of(pid: u32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let guard = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?.contains("upgrade-guard");
    children.split(' ').next().filter(|_| guard)?.parse().ok()
}

#[test]
fn one_command_installs_an_agent_and_another_takes_it_off() {
    let (app, root) = (App::start(), tempfile::tempdir().unwrap());
    let secret = token(&app, &["--tag", "by-hand"]);
    let command = text(&app.cli(&["agent", "install-command", "--enroll-token", &secret]).stdout);
    assert!(command.contains("sha256sum -c") && command.contains(&secret), "{command}");
    let place = root.path().to_str().unwrap();
    let run = |command: &str| {
        // The tests are root already, and the machine is a folder.
        let here = command.trim().replace("sudo sh", "sh");
        Command::new("sh").args(["-c", &format!("{here} --root {place} --name one-liner")]).output().unwrap()
    };
    let wrong = run(&command.replace("--program x86_64:", "--program x86_64:0").replace("aarch64:", "aarch64:0"));
    assert!(!wrong.status.success() && !root.path().join("usr").exists());
    let script = command.find("echo \"").unwrap() + 6;
    let mut forged = command.clone();
    forged.replace_range(script..script + 4, "0000");
    assert!(!run(&forged).status.success(), "a script that is another than the one meant is not run");
    assert!(!root.path().join("usr").exists());
    let done = run(&command);
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    let installed = root.path().join("usr/local/lib/guardian-agent/current/guardian-agent");
    let home = root.path().join("var/lib/guardian-agent");
    let mut agent = Agent::installed(&installed, &home);
    let id = agent.id();
    assert_eq!((&host(&app, &id)["name"], &host(&app, &id)["tags"][0]), (&"one-liner".into(), &"by-hand".into()));
    // What was installed runs, and is upgraded among its versions.
    agent.run_with(&["--no-files", "--no-inventory"]);
    runs(&app, &id, "0.1.0");
    agent.stop();
    let uninstall = |more: &[&str]| {
        let args = [&["--dir", "/var/lib/guardian-agent", "uninstall", "--root", place], more].concat();
        Command::new(&installed).args(&args).output().unwrap()
    };
    let said = uninstall(&["--dry-run"]);
    assert!(text(&said.stdout).contains("that this host leaves") && installed.exists());
    let gone = uninstall(&[]);
    assert!(gone.status.success(), "{}", text(&gone.stderr));
    assert!(!installed.exists() && !home.exists());
    assert_eq!(host(&app, &id)["status"], "revoked");
    assert!(text(&app.cli(&["audit", "list", "--output", "json"]).stdout).contains("host.leave"));
}
