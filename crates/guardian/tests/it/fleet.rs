//! Agents, as they are: the real program enrols, speaks with the real server, and both are cut off and killed.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::app::{App, text};

/// The agent's program, which lies beside the server's.
pub(crate) fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_guardian")).with_file_name("guardian-agent");
    assert!(path.exists(), "build the agent first: cargo build -p guardian-agent");
    path
}

/// A machine with an agent.
pub(crate) struct Agent {
    dir: PathBuf,
    program: PathBuf,
    child: Option<Child>,
    // Removed with the struct.
    _dir: Option<tempfile::TempDir>,
}

impl Agent {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir: dir.path().to_owned(), program: program(), child: None, _dir: Some(dir) }
    }

    /// One that was installed.
    pub(crate) fn installed(program: &Path, dir: &Path) -> Self {
        Self { dir: dir.to_owned(), program: program.to_owned(), child: None, _dir: None }
    }

    /// The process that was started.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--dir").arg(&self.dir).args(args).env_remove("HTTPS_PROXY").env_remove("https_proxy");
        command
    }

    fn call(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn enroll(&self, server: &str, token: &str, more: &[&str]) -> Result<(), String> {
        let output = self.call(&[&["enroll", "--server", server, "--token", token], more].concat());
        if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
    }

    fn run(&mut self, health_every: &str) {
        self.run_with(&["--health-every", health_every]);
    }

    pub(crate) fn run_with(&mut self, args: &[&str]) {
        let child = self.command(&[&["run"], args].concat()).stderr(Stdio::null()).spawn().unwrap();
        self.child = Some(child);
    }

    pub(crate) fn home(&self) -> &Path {
        &self.dir
    }

    /// The policy that it keeps.
    pub(crate) fn kept(&self) -> Value {
        let text = std::fs::read_to_string(self.dir.join("policy.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(crate) fn signal(&mut self, signal: nix::sys::signal::Signal) {
        let mut child = self.child.take().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
        child.wait().unwrap();
    }

    /// Ends it as an operator would.
    pub(crate) fn stop(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGTERM);
    }

    pub(crate) fn told(&self) -> Value {
        let text = std::fs::read_to_string(self.dir.join("status.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> String {
        let text = std::fs::read_to_string(self.dir.join("identity.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["host"].as_str().unwrap().to_owned()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

pub(crate) fn token(app: &App, more: &[&str]) -> String {
    let made = app.json(&[&["enroll-token", "create", "--name", "test"], more].concat());
    made["secret"].as_str().unwrap().to_owned()
}

pub(crate) fn host(app: &App, id: &str) -> Value {
    serde_json::from_slice(&app.cli(&["hosts", "show", id]).stdout).unwrap()
}

pub(crate) fn address(app: &App) -> SocketAddr {
    app.url().strip_prefix("https://").unwrap().parse().unwrap()
}

/// A way to the server that keeps its address, and can be cut.
pub(crate) struct Way {
    pub(crate) url: String,
    target: Arc<Mutex<Option<SocketAddr>>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    pub(crate) fn to(target: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let way = Self { url, target: Arc::new(Mutex::new(target)), open: Arc::default() };
        let (target, open) = (Arc::clone(&way.target), Arc::clone(&way.open));
        std::thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Some(to) = *target.lock().unwrap() else { continue };
                let Ok(to) = TcpStream::connect(to) else { continue };
                join(&from, &to, &open);
            }
        });
        way
    }

    /// Nothing gets through from now on.
    pub(crate) fn cut(&self) {
        *self.target.lock().unwrap() = None;
        for stream in self.open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    pub(crate) fn lead(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = Some(target);
    }
}

pub(crate) fn join(a: &TcpStream, b: &TcpStream, open: &Arc<Mutex<Vec<TcpStream>>>) {
    for (from, to) in [(a, b), (b, a)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        open.lock().unwrap().push(from.try_clone().unwrap());
        std::thread::spawn(move || {
            std::io::copy(&mut from, &mut to).ok();
            to.shutdown(Shutdown::Both).ok();
        });
    }
}

#[test]
fn a_machine_enrols_is_heard_and_is_shut_out() {
    let app = App::start();
    let mut agent = Agent::new();
    agent.enroll(&app.url(), &token(&app, &["--tag", "web", "--group", "shop"]), &["--name", "web-1"]).unwrap();
    let id = agent.id();
    assert_eq!(host(&app, &id)["status"], "never");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(agent.dir.join("identity.json")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "the key is its owner's alone");
    let again = agent.enroll(&app.url(), "gde_x", &[]).unwrap_err();
    assert!(again.contains("--force"), "{again}");
    agent.run("0.1");
    let count = format!("SELECT count(*) FROM health WHERE host_id = '{id}' AND host = 'web-1'");
    app.wait("events arrive", |app| (app.number(&count) > 30).then_some(()));
    let shown = app.wait("the host is online", |app| Some(host(app, &id)).filter(|h| h["status"] == "online"));
    assert_eq!(
        (&shown["name"], &shown["tags"][0], &shown["groups"][0]),
        (&"web-1".into(), &"web".into(), &"shop".into())
    );
    assert!(shown["os"].as_str().unwrap().len() > 2 && shown["kernel"].as_str().unwrap().len() > 2, "{shown}");
    app.wait("a heartbeat is told", |app| {
        (host(app, &id)["health"]["resident_bytes"].as_u64()? > 1 << 20).then_some(())
    });
    assert!(agent.call(&["status"]).status.success());
    let listed = app.json(&["hosts", "--status", "online", "--tag", "web", "--search", "WEB-"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert!(app.json(&["hosts", "--tag", "we"]).as_array().unwrap().is_empty(), "a tag is a whole word");
    let skew = shown["health"]["clock_skew_us"].as_i64().unwrap();
    assert!(skew.abs() < 1_000_000, "both have one clock: {skew}");

    let begun = std::time::Instant::now();
    assert!(app.cli(&["hosts", "revoke", &id]).status.success());
    app.wait("the agent is refused", |_| (agent.told()["state"] == "refused").then_some(()));
    assert!(begun.elapsed() < Duration::from_secs(5), "at once");
    std::thread::sleep(Duration::from_millis(300));
    let after = app.number(&count);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(app.number(&count), after, "nothing of it is taken any more");
    assert_eq!(host(&app, &id)["status"], "revoked");
    agent.stop();
    // A new start changes nothing.
    agent.run("0.1");
    app.wait("it is refused again", |_| agent.told()["error"].as_str().filter(|e| e.contains("revoked")).map(drop));
    assert_eq!(app.number(&count), after);
    let audit = text(&app.cli(&["audit", "list", "--output", "json"]).stdout);
    for action in ["enrolment_token.create", "host.enrol", "host.revoke"] {
        assert!(audit.contains(action), "{action} is not in the audit trail");
    }
    assert!(app.cli(&["hosts", "delete", &id]).status.success());
    assert!(!app.cli(&["hosts", "show", &id]).status.success());
}

#[test]
fn tokens_that_are_good_for_nothing_say_why() {
    let app = App::start();
    let once = token(&app, &[]);
    Agent::new().enroll(&app.url(), &once, &[]).unwrap();
    let refused = |token: &str| Agent::new().enroll(&app.url(), token, &[]).unwrap_err();
    let used = refused(&once);
    assert!(used.contains("used up"), "{used}");
    let soon = (std::time::SystemTime::now() + Duration::from_secs(2)).duration_since(std::time::UNIX_EPOCH).unwrap();
    let soon = jiff::Timestamp::from_second(soon.as_secs() as i64).unwrap().to_string();
    let short = token(&app, &["--uses", "0", "--expires", &soon]);
    std::thread::sleep(Duration::from_secs(3));
    let expired = refused(&short);
    assert!(expired.contains("expired"), "{expired}");
    let many = token(&app, &["--uses", "0"]);
    for _ in 0..3 {
        Agent::new().enroll(&app.url(), &many, &[]).unwrap();
    }
    let tokens = app.json(&["enroll-token", "list"]);
    let id = tokens.as_array().unwrap().iter().find(|t| t["uses"] == 3).unwrap()["id"].as_str().unwrap().to_owned();
    assert!(app.cli(&["enroll-token", "revoke", &id]).status.success());
    let revoked = refused(&many);
    assert!(revoked.contains("revoked"), "{revoked}");
    let unknown = refused(&format!("gde_{}{}", "a".repeat(16), &once[20..]));
    assert!(unknown.contains("no such enrolment token"), "{unknown}");
    assert!(refused("hello").contains("no enrolment token"));
    // Whoever stands in the server's place has another authority.
    let other = App::start();
    let elsewhere = Agent::new().enroll(&other.url(), &token(&app, &[]), &[]).unwrap_err();
    assert!(elsewhere.contains("cannot be reached as the server that made this token"), "{elsewhere}");
    assert!(!String::from_utf8_lossy(&app.cli(&["enroll-token", "list"]).stdout).contains(&once), "shown once");
}

/// Everything that the agent wrote down is there, once.
fn all_is_there_once(app: &App, agent: &Agent) -> u64 {
    let id = agent.id();
    let told = agent.told();
    let rows = told["rows"].as_u64().unwrap();
    assert_eq!(told["lost"], 0, "{told}");
    let classes = ["health", "processes", "connections", "logs", "logins", "files"];
    let all = classes.map(|class| format!("SELECT host_id FROM {class} WHERE host_id = '{id}'")).join(" UNION ALL ");
    app.wait("all rows are there", |app| (app.number(&format!("SELECT count(*) FROM ({all})")) >= rows).then_some(()));
    assert_eq!(app.number(&format!("SELECT count(*) FROM ({all})")), rows, "nothing is there twice");
    let of = format!("FROM health WHERE host_id = '{id}'");
    let rows = app.number(&format!("SELECT count(*) {of}"));
    let distinct = format!("SELECT count(*) FROM (SELECT DISTINCT \"time\", metric, object {of})");
    assert_eq!(app.number(&distinct), rows);
    rows
}

#[test]
fn a_server_killed_in_the_middle_loses_and_doubles_nothing() {
    let mut app = App::start();
    let way = Way::to(Some(address(&app)));
    let mut agent = Agent::new();
    agent.enroll(&way.url, &token(&app, &[]), &[]).unwrap();
    agent.run("0.02");
    app.wait("the agent is connected", |_| (agent.told()["state"] == "connected").then_some(()));
    for pause_ms in [400, 730, 1_100, 520, 910] {
        std::thread::sleep(Duration::from_millis(pause_ms));
        app.kill();
        app.spawn();
        way.lead(address(&app));
        app.wait("it is connected again", |_| {
            let told = agent.told();
            let behind = told["sequences"][0].as_u64()? - told["sequences"][1].as_u64()?;
            (told["state"] == "connected" && behind < 1_000).then_some(())
        });
    }
    std::thread::sleep(Duration::from_millis(500));
    agent.stop();
    let rows = all_is_there_once(&app, &agent);
    assert!(rows > 500, "{rows} rows");
}

#[test]
fn what_happens_while_the_network_is_cut_comes_later() {
    let app = App::start();
    let way = Way::to(Some(address(&app)));
    let mut agent = Agent::new();
    agent.enroll(&way.url, &token(&app, &[]), &[]).unwrap();
    let id = agent.id();
    agent.run("0.02");
    let of = format!("FROM health WHERE host_id = '{id}'");
    app.wait("events arrive", |app| (app.number(&format!("SELECT count(*) {of}")) > 50).then_some(()));
    way.cut();
    app.wait("the agent sees it", |_| (agent.told()["state"] == "waiting").then_some(()));
    let before = app.number(&format!("SELECT count(*) {of}"));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(app.number(&format!("SELECT count(*) {of}")), before);
    // The agent is killed meanwhile, and what it had written down stays.
    agent.signal(nix::sys::signal::Signal::SIGKILL);
    let waiting: u64 =
        std::fs::read_dir(agent.dir.join("spool/0")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(waiting > 1_000, "{waiting} bytes wait");
    agent.run("3600");
    way.lead(address(&app));
    app.wait("what waited arrives", |app| (app.number(&format!("SELECT count(*) {of}")) > before + 300).then_some(()));
    app.wait("all is acknowledged", |_| {
        let told = agent.told();
        (told["state"] == "connected" && told["spool_bytes"].as_u64()? < 1 << 20).then_some(())
    });
    // In one question: more may come between two.
    let twice = format!("SELECT \"time\" {of} GROUP BY \"time\", metric, object HAVING count(*) > 1");
    assert_eq!(app.number(&format!("SELECT count(*) FROM ({twice})")), 0, "nothing is there twice");
    agent.stop();
}

/// A proxy that lets through who has the right name and password, to whom it knows.
fn proxy(allowed: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut from in listener.incoming().flatten() {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if from.read_exact(&mut byte).is_err() {
                    break;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let right = head.starts_with(&format!("CONNECT {allowed} HTTP/1.1\r\n"))
                && head.contains("Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n");
            if !right {
                from.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").ok();
                continue;
            }
            from.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            join(&from, &TcpStream::connect(&allowed).unwrap(), &Arc::default());
        }
    });
    address
}

#[test]
fn a_proxy_stands_between() {
    let app = App::start();
    let proxy = proxy(address(&app).to_string());
    let (mut agent, token) = (Agent::new(), token(&app, &[]));
    let refused = agent.enroll(&app.url(), &token, &["--proxy", &format!("http://{proxy}")]).unwrap_err();
    assert!(refused.contains("407"), "{refused}");
    agent.enroll(&app.url(), &token, &["--proxy", &format!("http://ann:secret@{proxy}")]).unwrap();
    agent.run("0.2");
    let of = format!("SELECT count(*) FROM health WHERE host_id = '{}'", agent.id());
    app.wait("events arrive", |app| (app.number(&of) > 10).then_some(()));
    agent.stop();
}

#[test]
fn certificates_are_renewed_and_the_one_before_opens_nothing() {
    let mut app = App::start_with(&["--set", "fleet.certificate_life=1d"]);
    let way = Way::to(Some(address(&app)));
    let mut agent = Agent::new();
    agent.enroll(&way.url, &token(&app, &[]), &[]).unwrap();
    let id = agent.id();
    let before = host(&app, &id)["certificate_serial"].clone();
    let mut copy = Agent::new();
    std::fs::copy(agent.dir.join("identity.json"), copy.dir.join("identity.json")).unwrap();
    // With the usual life a day is less than the third that is left for renewing.
    assert!(app.stop());
    app.spawn();
    way.lead(address(&app));
    agent.run("0.5");
    app.wait("there is another certificate", |app| (host(app, &id)["certificate_serial"] != before).then_some(()));
    agent.stop();
    agent.run("0.5");
    app.wait("it is shown", |_| (agent.told()["state"] == "connected").then_some(()));
    let of = format!("SELECT count(*) FROM health WHERE host_id = '{id}'");
    let now = app.number(&of);
    app.wait("events arrive with it", |app| (app.number(&of) > now).then_some(()));
    copy.run("0.5");
    app.wait("a copy of the old one is refused", |_| {
        copy.told()["error"].as_str().filter(|e| e.contains("replaced by another")).map(drop)
    });
    agent.stop();
}
