//! A throwaway Debian machine with an agent: a copy of the image that `cargo xtask test` makes. The agent sees the processes of
//! this machine too, as every agent sees those of containers; what an attack does ends with its shell.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use guardian_testkit::machine;
use serde_json::Value;

use crate::app::{App, PATIENCE, text};
use crate::fleet::{program, token};

/// Where the agent's program lies on the machine: nobody watches there.
const AGENT: &str = "/srv/guardian-agent";
/// What of its environment a program of the machine has.
const PATHS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Ends with its owner.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The machine. Fields end in this order.
pub(super) struct Room {
    programs: Vec<Running>,
    holder: Running,
    _dir: tempfile::TempDir,
}

/// A shell on the machine, in process and network name spaces of its own. Who did something is asked for by the agent after it
/// was done, so the shell stays until this is dropped; nothing that it started outlives it.
pub(super) struct Shell {
    input: ChildStdin,
    _running: Running,
}

impl Shell {
    pub(super) fn run(&mut self, script: &str) {
        writeln!(self.input, "{script}").unwrap();
    }
}

fn image() -> PathBuf {
    let below = Path::new(env!("CARGO_BIN_EXE_guardian")).ancestors().nth(2).unwrap();
    let image = below.join(machine::IMAGE);
    assert!(image.exists(), "`cargo xtask test` makes the machine of these tests; it is not there");
    image
}

impl Room {
    /// Starts the machine with an agent that is enrolled as `room` and watches. None where that is not permitted.
    pub(super) fn start(app: &App) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: a machine of one's own needs root");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let holder = Command::new("unshare")
            .args(["--mount", "--propagation", machine::propagation(), "sh", "-ec", machine::MOUNT, "room"])
            .arg(dir.path())
            .arg(image())
            .arg(program())
            .arg(AGENT)
            .stdin(Stdio::null())
            .spawn();
        let mut room = Self { programs: Vec::new(), holder: Running(holder.unwrap()), _dir: dir };
        room.mounted();
        // What the kernel of this machine says is nobody's business there.
        room.must("sed -i /imklog/d /etc/rsyslog.conf; touch /var/log/auth.log /var/log/syslog");
        room.programs.push(room.start_program(&["rsyslogd", "-n"]));
        let (url, secret) = (app.url(), token(app, &[]));
        room.must(&format!("{AGENT} enroll --server {url} --token {secret} --name room"));
        room.programs.push(room.start_program(&[AGENT, "run", "--scan-rate", "0"]));
        let begun = Instant::now();
        let baseline = room.path("/var/lib/guardian-agent/files/policy.json");
        while !baseline.exists() || app.number("SELECT count(*) FROM processes WHERE host = 'room'") == 0 {
            assert!(begun.elapsed() < PATIENCE * 3, "the agent does not begin to watch");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(room)
    }

    fn mounted(&mut self) {
        let (begun, name) = (Instant::now(), format!("/proc/{}/comm", self.holder.0.id()));
        while std::fs::read_to_string(&name).is_ok_and(|name| name.trim() != "sleep") {
            let ended = self.holder.0.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "the machine cannot be mounted: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where a file of the machine is for us.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.holder.0.id()))
    }

    /// A program on the machine, beside its agent.
    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.holder.0.id().to_string();
        command.args(["--target", &target, "--mount", "--root", "--wdns=/", "--"]).env_clear().env("PATH", PATHS);
        command
    }

    fn start_program(&self, line: &[&str]) -> Running {
        Running(self.inside().args(line).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Has a line run on the machine, which must succeed.
    pub(super) fn must(&self, line: &str) {
        let output = self.inside().args(["sh", "-ec", line]).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{line}: {}{}", text(&output.stdout), text(&output.stderr));
    }

    /// A shell for an attack. It reads what it does from its standard input, so that no command line holds it as a whole. It
    /// stays in the machine's mount namespace: of programs in another one the kernel tells the agent other paths.
    pub(super) fn shell(&self) -> Shell {
        let mut command = self.inside();
        command.args(["unshare", "--pid", "--fork", "--kill-child", "--net", "--ipc", "/bin/bash"]).env("HOME", "/tmp");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut shell = Shell { input: child.stdin.take().unwrap(), _running: Running(child) };
        shell.run("ip link set lo up; cd /tmp");
        shell
    }
}

/// The event of an alert of this rule that fits.
pub(super) fn raised(app: &App, title: &str, fits: impl Fn(&Value) -> bool) -> Value {
    app.wait(title, |app| evidence(app, |alert| alert["title"] == title).into_iter().find(|event| fits(event)))
}

/// The events of the alerts that fit.
pub(super) fn evidence(app: &App, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut events = Vec::new();
    for alert in app.alerts().iter().filter(|alert| fits(alert)) {
        let shown = app.json(&["alerts", "--show", alert["id"].as_str().unwrap()]);
        events.extend(shown["evidence"].as_array().unwrap().iter().map(|at| at["event"].clone()));
    }
    events
}
