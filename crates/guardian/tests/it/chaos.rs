//! What goes wrong around agent and server, for real: a network that swallows everything, full disks, clocks that jump, and
//! programs that are killed. Each line of a log that an agent follows has a number: what is lost or doubled is seen by that.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use guardian_testkit::machine::propagation;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::app::{App, text};
use crate::fleet::{Agent, Way, address, host, program, token};
use crate::hosts::{Machine, run, way_in};
use crate::policy::{applied, create, ok};

/// A log that grows until it is told to stop.
struct Log {
    path: PathBuf,
    written: Arc<AtomicU64>,
    more: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Log {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("numbers.log");
        File::create(&path).unwrap();
        Self { path, written: Arc::default(), more: Arc::default(), writer: None, _dir: dir }
    }

    /// Some hundred lines a second from now on.
    fn grow(&mut self) {
        let (path, written, more) = (self.path.clone(), Arc::clone(&self.written), Arc::clone(&self.more));
        more.store(true, Ordering::Release);
        self.writer = Some(std::thread::spawn(move || {
            let mut file = File::options().append(true).open(path).unwrap();
            while more.load(Ordering::Acquire) {
                line(&mut file, &written, "");
                std::thread::sleep(Duration::from_millis(4));
            }
        }));
    }

    /// So many lines at once, each with something behind its number that cannot be packed.
    fn pour(&self, lines: u64) {
        let mut file = std::io::BufWriter::new(File::options().append(true).open(&self.path).unwrap());
        for _ in 0..lines {
            let noise: [u8; 512] = rand::random();
            line(&mut file, &self.written, &noise.map(|byte| format!("{byte:02x}")).concat());
        }
        file.flush().unwrap();
    }

    fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Ends it and answers how many lines there are.
    fn stop(&mut self) -> u64 {
        self.more.store(false, Ordering::Release);
        self.writer.take().unwrap().join().unwrap();
        self.written()
    }

    /// A policy by which agents follow this and nothing else, and speak each second.
    fn policy(&self) -> Value {
        json!({
            "sources": {"processes": false, "connections": false, "inventory": false, "files": false},
            "intervals": {"heartbeat_s": 1},
            "logs": {"follow": {"numbers": {"path": self.path}}},
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.more.store(false, Ordering::Release);
    }
}

fn line(file: &mut impl std::io::Write, written: &AtomicU64, more: &str) {
    let number = written.load(Ordering::Acquire) + 1;
    file.write_all(format!("number {number} {more}\n").as_bytes()).unwrap();
    written.store(number, Ordering::Release);
}

/// How many of the lines are there, and how many of them are others.
fn there(app: &App) -> (u64, u64) {
    let of = "FROM logs WHERE message LIKE 'number %'";
    (app.number(&format!("SELECT count(*) {of}")), app.number(&format!("SELECT count(DISTINCT message) {of}")))
}

fn all_are_there_once(app: &App, lines: u64) {
    app.wait("all lines are there", |app| (there(app).1 >= lines).then_some(()));
    assert_eq!(there(app), (lines, lines), "each line once");
}

/// Enrols an agent that follows the log, and waits for its first lines.
fn follow(app: &App, agent: &mut Agent, url: &str, log: &mut Log) -> String {
    agent.enroll(url, &token(app, &[]), &["--name", "web-1"]).unwrap();
    let id = agent.id();
    create(app, "numbers", &log.policy());
    ok(app, &["policy", "assign", "numbers"]);
    agent.run_with(&["--no-files"]);
    applied(app, &id, 1);
    log.grow();
    app.wait("lines arrive", |app| (there(app).0 > 50).then_some(()));
    id
}

/// Runs a test in a mount namespace of its own. A thread of its own, because nothing brings one back out of it.
fn with_mounts(test: fn()) {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: mounts of one's own need root");
    }
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        if propagation() == "private" {
            run("mount --make-rprivate /").unwrap();
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A small disk, until this is dropped.
struct Disk(PathBuf);

impl Disk {
    fn at(folder: &Path, mib: u32) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        run(&format!("mount -t tmpfs -o size={mib}m none '{}'", folder.display())).unwrap();
        Self(folder.to_owned())
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut file = File::create(&ballast).unwrap();
        while file.write_all(&[7; 4_096]).is_ok() {}
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(&format!("umount -l '{}'", self.0.display())).ok();
    }
}

/// A program that starts the agent in a certain way.
fn wrapped(dir: &Path, line: &str) -> Agent {
    let script = dir.join("agent");
    guardian_testkit::program::write(&script, format!("#!/bin/sh\n{line} '{}' \"$@\"\n", program().display()));
    Agent::installed(&script, &dir.join("home"))
}

#[test]
fn a_network_that_swallows_everything_loses_and_doubles_nothing() {
    let machine = match Machine::start() {
        Ok(machine) => machine,
        Err(error) => return eprintln!("skipped: network namespaces are not permitted: {error}"),
    };
    let (app, dir, mut log) = (App::start(), tempfile::tempdir().unwrap(), Log::new());
    let server = way_in(&machine, &app);
    let mut agent = wrapped(dir.path(), &format!("exec ip netns exec {}", machine.name));
    follow(&app, &mut agent, &format!("https://{server}"), &mut log);
    for _ in 0..2 {
        // Nobody is told: no connection is closed, packets end nowhere.
        run(&format!("ip link set {} down", machine.wire)).unwrap();
        app.wait("the agent sees it", |_| (agent.told()["state"] == "waiting").then_some(()));
        let begun = log.written();
        app.wait("more is written", |_| (log.written() > begun + 200).then_some(()));
        run(&format!("ip link set {} up", machine.wire)).unwrap();
        app.wait("it is connected again", |_| (agent.told()["state"] == "connected").then_some(()));
        app.wait("what waited arrives", |app| (there(app).1 > begun + 200).then_some(()));
    }
    let lines = log.stop();
    all_are_there_once(&app, lines);
    assert_eq!(agent.told()["lost"], 0);
    agent.stop();
}

#[test]
fn what_a_full_disk_takes_from_the_spool_is_told_exactly() {
    with_mounts(|| {
        let (app, mut log) = (App::start(), Log::new());
        // No other logs than ours: what is lost is of it alone.
        let _others = [Disk::at(Path::new("/var/log"), 1), Disk::at(Path::new("/run"), 1)];
        let way = Way::to(Some(address(&app)));
        let mut agent = Agent::new();
        let disk = Disk::at(agent.home(), 6);
        let id = follow(&app, &mut agent, &way.url, &mut log);
        log.stop();
        way.cut();
        app.wait("the agent sees it", |_| (agent.told()["state"] == "waiting").then_some(()));
        log.pour(6_000);
        let ballast = disk.fill();
        log.pour(6_000);
        let length = std::fs::metadata(&log.path).unwrap().len();
        app.wait("the agent has read all", |_| (read_to(agent.pid(), &log.path) == Some(length)).then_some(()));
        way.lead(address(&app));
        app.wait("loss is told", |app| (lost(app, &id) > 0).then_some(()));
        std::fs::remove_file(ballast).unwrap();
        log.pour(10);
        let lines = log.written();
        app.wait("all that is not there is told", |app| (there(app).1 + lost(app, &id) >= lines).then_some(()));
        let last = format!("SELECT count(*) FROM logs WHERE message LIKE 'number {lines} %'");
        app.wait("the agent goes on", |app| (app.number(&last) == 1).then_some(()));
        let (rows, distinct) = there(&app);
        assert_eq!((rows, rows + lost(&app, &id)), (distinct, lines), "each line is there once, or is counted");
        agent.stop();
    });
}

/// How far a process has read a file.
fn read_to(pid: u32, path: &Path) -> Option<u64> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    let mut open = files.filter(|file| std::fs::read_link(file.path()).is_ok_and(|target| target == path));
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", open.next()?.file_name().display())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("pos:"))?.trim().parse().ok()
}

/// Rows of logs that the agent told it lost, at any place.
fn lost(app: &App, id: &str) -> u64 {
    let told = host(app, id)["health"]["lost"].clone();
    let of_logs = told.as_array().into_iter().flatten().filter(|loss| loss["class"] == "logs");
    of_logs.map(|loss| loss["rows"].as_u64().unwrap()).sum()
}

#[test]
fn a_full_disk_of_the_server_loses_and_doubles_nothing() {
    with_mounts(|| {
        let (mut app, mut log) = (App::elsewhere(), Log::new());
        let disk = Disk::at(&app.data, 512);
        app.spawn();
        let way = Way::to(Some(address(&app)));
        let mut agent = Agent::new();
        follow(&app, &mut agent, &way.url, &mut log);
        for round in 0..2 {
            let ballast = disk.fill();
            app.wait("what comes is refused", |_| (agent.told()["state"] == "refused").then_some(()));
            let begun = log.written();
            app.wait("more is written", |_| (log.written() > begun + 100).then_some(()));
            if round == 1 {
                app.kill();
            }
            std::fs::remove_file(ballast).unwrap();
            if round == 1 {
                app.spawn();
                way.lead(address(&app));
            }
            let begun = log.written();
            app.wait("what was refused comes again", |app| (there(app).1 >= begun).then_some(()));
        }
        let lines = log.stop();
        all_are_there_once(&app, lines);
        assert_eq!(agent.told()["lost"], 0);
        agent.stop();
    });
}

#[test]
fn a_clock_that_jumps_is_told_and_loses_and_doubles_nothing() {
    let library = guardian_testkit::machine::faketime();
    let library = library.expect("`cargo xtask test` installs libfaketime; it is not there");
    let (app, dir, mut log) = (App::start(), tempfile::tempdir().unwrap(), Log::new());
    let clock = dir.path().join("clock");
    let set = |offset: &str| {
        let beside = dir.path().join("clock.new");
        std::fs::write(&beside, offset).unwrap();
        std::fs::rename(&beside, &clock).unwrap();
    };
    set("+0");
    // The clock on the wall is another one then; what measures spans is not.
    let line = format!(
        "export FAKETIME_TIMESTAMP_FILE='{}' FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n\
         export NO_FAKE_STAT=1 LD_PRELOAD='{}'\nexec",
        clock.display(),
        library.display()
    );
    let mut agent = wrapped(dir.path(), &line);
    let id = follow(&app, &mut agent, &app.url(), &mut log);
    for hours in [3, -5, 100, 0] {
        set(&format!("{:+}", hours * 3_600));
        app.wait("the difference is told", |app| {
            let skew = host(app, &id)["health"]["clock_skew_us"].as_i64()?;
            (skew.abs_diff(hours * 3_600_000_000) < 60_000_000).then_some(())
        });
        app.wait("it is complained of while it lasts", |app| {
            let all = host(app, &id)["health"]["complaints"].to_string();
            (all.contains("the clock differs by") == (hours != 0)).then_some(())
        });
        let begun = log.written();
        app.wait("lines arrive", |app| (there(app).1 > begun + 50).then_some(()));
    }
    let lines = log.stop();
    all_are_there_once(&app, lines);
    let odd = format!(
        "SELECT count(*) FROM logs WHERE message LIKE 'number %' AND (\"time\" > received + INTERVAL '25 hours' OR \
         \"time\" < received - INTERVAL '6 hours' OR received > '{}')",
        jiff::Timestamp::now()
    );
    assert_eq!(app.number(&odd), 0, "no line is of another day than its clock said, or than may be");
    agent.stop();
}

#[test]
fn server_and_agent_killed_under_load_lose_nothing() {
    let (mut app, mut log) = (App::start(), Log::new());
    let way = Way::to(Some(address(&app)));
    let mut agent = Agent::new();
    let id = follow(&app, &mut agent, &way.url, &mut log);
    let mut before = 0;
    // Instants spread over the life of a batch, and over that of what is kept of where reading stands.
    for (round, pause_ms) in [300, 1_710, 90, 2_330, 640, 5_200].into_iter().enumerate() {
        std::thread::sleep(Duration::from_millis(pause_ms));
        if round % 3 != 1 {
            agent.signal(Signal::SIGKILL);
        }
        if round % 3 != 0 {
            app.kill();
            app.spawn();
            way.lead(address(&app));
        }
        let rows = there(&app).1;
        assert!(rows >= before, "{before} lines were there, {rows} are");
        before = rows;
        if round % 3 != 1 {
            agent.run_with(&["--no-files"]);
        }
        app.wait("lines arrive again", |app| (there(app).1 > before).then_some(()));
    }
    let lines = log.stop();
    app.wait("all lines are there", |app| (there(app).1 >= lines).then_some(()));
    // What an agent had read since it last wrote down where, it reads again after it was killed; batches come once.
    let of = format!("FROM logs WHERE host_id = '{id}'");
    let distinct = format!("SELECT count(*) FROM (SELECT DISTINCT \"time\", message {of})");
    assert_eq!(app.number(&distinct), app.number(&format!("SELECT count(*) {of}")), "no batch is there twice");
    agent.stop();
    assert!(text(&app.cli(&["hosts", "show", &id]).stdout).contains("web-1"));
}
