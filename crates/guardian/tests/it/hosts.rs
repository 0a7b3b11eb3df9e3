//! What agents know that the network does not: which process made a flow, and what hosts have. Real programs, in network and
//! mount namespaces of their own; where those are not permitted the tests say so and end.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use guardian_testkit::machine;
use serde_json::Value;

use crate::app::{App, PATIENCE, text};
use crate::fleet::{address, join, program, token};

pub(crate) fn run(line: &str) -> Result<(), String> {
    let output = Command::new("sh").args(["-ec", line]).output().map_err(|e| e.to_string())?;
    if output.status.success() { Ok(()) } else { Err(format!("{line}: {}", text(&output.stderr))) }
}

/// Ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A machine beside this one, behind a wire of its own.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) wire: String,
    /// Our address on the wire, and its.
    ours: String,
    theirs: String,
}

impl Machine {
    pub(crate) fn start() -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (id, number) = (std::process::id() % 250, NUMBER.fetch_add(1, Ordering::Relaxed));
        let (name, wire) = (format!("gdn{id}n{number}"), format!("gdw{id}n{number}"));
        let (ours, theirs) = (format!("10.77.{id}.{}", number * 4 + 1), format!("10.77.{id}.{}", number * 4 + 2));
        run(&format!(
            "ip netns del {name} 2>/dev/null || true; ip link del {wire} 2>/dev/null || true; ip netns add {name}; \
             ip link add {wire} type veth peer name eth0 netns {name}; ip addr add {ours}/30 dev {wire}; \
             ip link set {wire} up; ip -n {name} addr add {theirs}/30 dev eth0; ip -n {name} link set eth0 up; \
             ip -n {name} link set lo up; ip netns exec {name} ping -c 1 -W 5 {ours} >/dev/null"
        ))?;
        Ok(Self { name, wire, ours, theirs })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        run(&format!("ip netns del {}; ip link del {} 2>/dev/null || true", self.name, self.wire)).ok();
    }
}

/// The server is on this machine's loopback; agents on the wire reach it by a way of ours.
pub(crate) fn way_in(machine: &Machine, app: &App) -> SocketAddr {
    let way = TcpListener::bind((machine.ours.as_str(), 0)).unwrap();
    let (server, to) = (way.local_addr().unwrap(), address(app));
    std::thread::spawn(move || {
        for from in way.incoming().flatten() {
            if let Ok(to) = TcpStream::connect(to) {
                join(&from, &to, &Arc::default());
            }
        }
    });
    server
}

/// An agent on the machine, enrolled as `web-1`.
fn agent_on(machine: &Machine, app: &App, server: SocketAddr, dir: &Path) -> Running {
    let agent = |args: &[&str]| {
        let mut command = machine.command(&program());
        command.arg("--dir").arg(dir).args(args).env_remove("HTTPS_PROXY").env_remove("https_proxy");
        command
    };
    let (url, secret) = (format!("https://{server}"), token(app, &[]));
    let enrolled = agent(&["enroll", "--server", &url, "--token", &secret, "--name", "web-1"]).output().unwrap();
    assert!(enrolled.status.success(), "{}", text(&enrolled.stderr));
    let running = Running(agent(&["run", "--no-files"]).stderr(Stdio::null()).spawn().unwrap());
    app.wait("the agent tells of connections", |app| {
        (app.number("SELECT count(*) FROM connections WHERE host = 'web-1'") > 0).then_some(())
    });
    running
}

/// An exporter on the wire, as a switch would be.
fn exporter(machine: &Machine, app: &App, dir: &Path) -> Running {
    let exporter = Command::new("softflowd")
        .args(["-d", "-i", &machine.wire, "-n", &app.flows().to_string(), "-v", "9", "-B", "65536", "-p"])
        .arg(dir.join("softflowd.pid"))
        .arg("-c")
        .arg(dir.join("softflowd.ctl"))
        .args(["-t", "expint=1", "-t", "tcp.fin=1", "-t", "tcp=3", "-t", "udp=3", "-t", "maxlife=4"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    Running(exporter.unwrap())
}

/// libpcap hands packets over in blocks, and a quiet wire never fills one. Ends when it is told to.
fn noise(machine: &Machine) -> Arc<AtomicBool> {
    let on = Arc::new(AtomicBool::new(true));
    let (more, ours, theirs) = (Arc::clone(&on), machine.ours.clone(), machine.theirs.clone());
    std::thread::spawn(move || {
        let socket = UdpSocket::bind((ours.as_str(), 0)).unwrap();
        while more.load(Ordering::Relaxed) {
            socket.send_to(&[0; 1_400], (theirs.as_str(), 9)).ok();
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    on
}

/// A service of the machine that answers at port 8000.
fn service(machine: &Machine, app: &App) -> Running {
    let serve = "import http.server, sys; \
                 http.server.HTTPServer((sys.argv[1], 8000), http.server.SimpleHTTPRequestHandler).serve_forever()";
    let python =
        machine.command(Path::new("python3")).args(["-c", serve, &machine.theirs]).stderr(Stdio::null()).spawn();
    app.wait("the port is told of", |app| {
        let listens = "SELECT count(*) FROM connections WHERE activity = 'listen' AND dst_port = 8000";
        (app.number(listens) > 0).then_some(())
    });
    Running(python.unwrap())
}

/// The first flow that fits.
fn flow(app: &App, which: &str) -> Value {
    app.wait(which, |app| {
        let sql = format!(
            "SELECT src_hostname, src_process, src_pid, src_user, dst_hostname, dst_process, dst_pid, dst_user \
             FROM flows WHERE protocol = 6 AND {which}"
        );
        app.json(&["query", &sql]).as_array().unwrap().first().cloned()
    })
}

#[test]
fn flows_have_the_process_that_made_them() {
    let machine = match Machine::start() {
        Ok(machine) => machine,
        Err(error) => return eprintln!("skipped: network namespaces are not permitted: {error}"),
    };
    if Command::new("softflowd").arg("-h").output().is_err() {
        return eprintln!("skipped: there is no softflowd");
    }
    let (app, dir) = (App::start(), tempfile::tempdir().unwrap());
    let server = way_in(&machine, &app);
    let _agent = agent_on(&machine, &app, server, dir.path());
    let _exporter = exporter(&machine, &app, dir.path());
    let noise = noise(&machine);

    // Out: a shell of the machine talks to a service of ours.
    let ours = TcpListener::bind((machine.ours.as_str(), 0)).unwrap();
    let port = ours.local_addr().unwrap().port();
    let line = format!("exec 3<>/dev/tcp/{}/{port}; echo hello >&3; sleep 4; echo bye >&3", machine.ours);
    let mut shell = Running(machine.command(Path::new("bash")).args(["-c", &line]).spawn().unwrap());
    let shell_pid = shell.0.id();
    let (client, _) = ours.accept().unwrap();
    // In: we talk to a service of the machine, too shortly to be seen in a list.
    let python = service(&machine, &app);
    for _ in 0..3 {
        let mut stream = TcpStream::connect((machine.theirs.as_str(), 8000)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).ok();
    }
    shell.0.wait().unwrap();
    drop(client);

    let out = flow(&app, &format!("dst_port = {port} AND src_process IS NOT NULL"));
    assert_eq!((&out["src_hostname"], &out["src_user"]), (&"web-1".into(), &"root".into()), "{out}");
    let named = out["src_process"].as_str().unwrap();
    assert!(named.ends_with("/bash") || named.ends_with("/sleep"), "{out}");
    assert!(out["dst_process"].is_null(), "nobody watches this side: {out}");
    let back = flow(&app, &format!("src_port = {port} AND dst_process IS NOT NULL"));
    assert_eq!((&back["dst_hostname"], &back["dst_pid"]), (&out["src_hostname"], &out["src_pid"]), "{back}");
    assert!(out["src_pid"].as_u64().unwrap() >= u64::from(shell_pid), "{out}");
    let inward = flow(&app, "dst_port = 8000 AND dst_process IS NOT NULL");
    assert_eq!((&inward["dst_hostname"], &inward["dst_pid"]), (&"web-1".into(), &python.0.id().into()), "{inward}");
    let own = flow(&app, &format!("dst_port = {} AND src_process IS NOT NULL", server.port()));
    assert!(own["src_process"].as_str().unwrap().ends_with("/guardian-agent"), "{own}");
    let strangers = "SELECT count(*) FROM flows WHERE src_hostname IS NOT NULL AND src_ip <> '";
    assert_eq!(app.number(&format!("{strangers}{}'", machine.theirs)), 0, "only its own flows are its");
    noise.store(false, Ordering::Relaxed);
}

/// A machine whose package database and schedules are copies of its own.
pub(crate) struct Changeable {
    agent: Running,
    pid: u32,
}

impl Changeable {
    /// Whether there can be one here, or why not.
    pub(crate) fn can_be() -> Result<(), String> {
        let apart = format!("unshare -m --propagation {}", machine::propagation());
        run(&format!("{apart} true && dpkg --version >/dev/null"))
    }

    pub(crate) fn start(dir: &Path) -> Self {
        let line = "mkdir /tmp/gd.$$ && cp -a /var/lib/dpkg/. /tmp/gd.$$ && mount -t tmpfs none /var/lib/dpkg && \
                    cp -a /tmp/gd.$$/. /var/lib/dpkg && rm -r /tmp/gd.$$ && mount -t tmpfs none /etc/cron.d && exec \"$@\"";
        let agent = Command::new("unshare")
            .args(["-m", "--propagation", machine::propagation(), "sh", "-ec", line, "sh"])
            .arg(program())
            .arg("--dir")
            .arg(dir)
            .args(["run", "--no-files"])
            .env_remove("HTTPS_PROXY")
            .env_remove("https_proxy")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (pid, begun) = (agent.id(), Instant::now());
        // Before that it is not on that machine yet, and whoever follows it there installs packages on ours.
        while std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() != "guardian-agent") {
            assert!(begun.elapsed() < PATIENCE, "the machine is not there");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { agent: Running(agent), pid }
    }

    /// Runs a command as on that machine.
    fn run(&self, line: &str) {
        // Its root as well, which may be a folder.
        run(&format!("nsenter -t {} -m -r sh -ec '{line}'", self.pid)).unwrap();
    }
}

/// A package that has nothing but a version, installed by the real program.
pub(crate) fn install(machine: &Changeable, dir: &Path, version: &str) {
    let tree = dir.join(format!("tree-{version}/DEBIAN"));
    std::fs::create_dir_all(&tree).unwrap();
    let control = format!(
        "Package: guardian-test\nVersion: {version}\nArchitecture: all\nMaintainer: Test <test@example.com>\n\
         Description: nothing\n"
    );
    std::fs::write(tree.join("control"), control).unwrap();
    let (tree, package) = (tree.parent().unwrap().display().to_string(), dir.join("test.deb").display().to_string());
    run(&format!("dpkg-deb -b {tree} {package} >/dev/null")).unwrap();
    machine.run(&format!("dpkg -i {package} >/dev/null"));
}

/// What is known of the host is what its own programs say.
fn is_as_it_says(app: &App, id: &str) {
    let users = app.json(&["hosts", "inventory", id, "users"]);
    let root = users.as_array().unwrap().iter().find(|u| u["user"] == "root").unwrap();
    assert_eq!(root["uid"], 0);
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap().lines().count();
    assert_eq!(users.as_array().unwrap().len(), passwd, "every account once");
    let found = app.json(&["hosts", "inventory", id, "users", "--search", "\"root\""]);
    assert!(found.as_array().unwrap().len() < passwd);
    let installed = Command::new("dpkg-query").args(["-f", "${db:Status-Status}\n", "-W"]).output().unwrap();
    let installed = text(&installed.stdout).lines().filter(|line| *line == "installed").count();
    let packages = app.json(&["hosts", "inventory", id, "packages"]);
    let of_dpkg = packages.as_array().unwrap().iter().filter(|p| p["kind"] == "dpkg").count();
    assert_eq!(of_dpkg, installed, "as many as dpkg says");
    let csv = app.cli(&["hosts", "inventory", id, "packages", "--output", "csv"]);
    assert!(text(&csv.stdout).lines().count() > installed);
    let listed = app.json(&["software", "--search", "dpkg", "--kind", "dpkg"]);
    let dpkg = listed.as_array().unwrap().iter().find(|s| s["name"] == "dpkg").unwrap();
    assert_eq!((&dpkg["hosts"], dpkg["versions"].as_array().unwrap().len()), (&1.into(), 1));
    assert_eq!(app.json(&["software", "dpkg"])[0]["host"], "db-1");
    assert!(!app.cli(&["hosts", "inventory", id, "nothing"]).status.success());
}

/// A package comes, and another version of it, by the real package manager; a job is planned.
fn changes_are_told(app: &App, id: &str, machine: &Changeable, dir: &Path) {
    install(machine, dir, "1.0-1");
    app.wait("it is told of", |app| (app.number(OF_TEST) == 1).then_some(()));
    install(machine, dir, "2.0-1");
    app.wait("and the next", |app| (app.number(OF_TEST) == 2).then_some(()));
    let told = app.json(&["hosts", "changes", id, "packages"]);
    let columns = ["activity", "kind", "name", "version", "old_version"];
    let shown = columns.map(|c| told[0][c].as_str().unwrap_or_default());
    assert_eq!(shown, ["changed", "dpkg", "guardian-test", "2.0-1", "1.0-1"], "{told}");
    assert_eq!(told[1]["activity"], "added");
    let now = app.json(&["software", "guardian-test"]);
    assert_eq!((now.as_array().unwrap().len(), &now[0]["version"]), (1, &"2.0-1".into()));
    machine.run("echo \"* * * * * root /tmp/evil\" > /etc/cron.d/evil");
    let cron = "SELECT count(*) FROM changes WHERE list = 'cron' AND activity = 'added' AND path = '/etc/cron.d/evil'";
    app.wait("the job is told of", |app| (app.number(cron) == 1).then_some(()));
}

const OF_TEST: &str = "SELECT count(*) FROM changes WHERE host = 'db-1' AND name = 'guardian-test'";

fn revision(app: &App, id: &str, list: &str) -> Option<u64> {
    let all = app.json(&["hosts", "inventory", id]);
    all.as_array()?.iter().find(|l| l["list"] == list)?["revision"].as_u64()
}

#[test]
fn what_a_host_has_is_known_and_its_changes_are_told_once() {
    if let Err(error) = Changeable::can_be() {
        return eprintln!("skipped: mount namespaces or dpkg are missing: {error}");
    }
    let mut app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("agent");
    let way = crate::fleet::Way::to(Some(address(&app)));
    let mut enrol = Command::new(program());
    enrol.arg("--dir").arg(&home).args([
        "enroll",
        "--server",
        &way.url,
        "--token",
        &token(&app, &[]),
        "--name",
        "db-1",
    ]);
    let enrolled = enrol.env_remove("HTTPS_PROXY").env_remove("https_proxy").output().unwrap();
    assert!(enrolled.status.success(), "{}", text(&enrolled.stderr));
    let identity: Value = serde_json::from_slice(&std::fs::read(home.join("identity.json")).unwrap()).unwrap();
    let id = identity["host"].as_str().unwrap().to_owned();
    let machine = Changeable::start(&home);
    app.wait("lists come", |app| {
        let wanted =
            ["system", "packages", "users", "groups", "cron", "services", "ports", "interfaces", "disks", "firewall"];
        wanted.iter().all(|list| revision(app, &id, list).is_some()).then_some(())
    });
    is_as_it_says(&app, &id);
    assert_eq!(app.number(OF_TEST), 0);
    let packages = "SELECT count(*) FROM changes WHERE list = 'packages'";
    assert_eq!(app.number(packages), 0, "what was there from the beginning is no change");
    changes_are_told(&app, &id, &machine, dir.path());

    // The server dies, things happen meanwhile, and the agent is started anew: told once all the same.
    app.kill();
    install(&machine, dir.path(), "3.0-1");
    std::thread::sleep(Duration::from_secs(4));
    app.spawn();
    way.lead(address(&app));
    app.wait("it is told afterwards", |app| (app.number(OF_TEST) == 3).then_some(()));
    assert_eq!(revision(&app, &id, "packages"), Some(4));
    drop(machine);
    let mut machine = Changeable::start(&home);
    // Its copy of the database is fresh again: the package is gone.
    app.wait("it is told that it went", |app| (app.number(OF_TEST) == 4).then_some(()));
    assert!(app.json(&["software", "guardian-test"]).as_array().unwrap().is_empty());
    assert_eq!(revision(&app, &id, "packages"), Some(5));
    assert!(machine.agent.0.try_wait().unwrap().is_none());
    assert!(app.cli(&["hosts", "delete", &id]).status.success());
    assert!(app.json(&["software", "--search", "dpkg"]).as_array().unwrap().is_empty(), "it went with its host");
}
