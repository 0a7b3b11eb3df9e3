//! Starts the real program on free ports with a data directory of its own, and talks to it as users do.

use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything; only reached when something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running `guardian serve`.
pub(crate) struct App {
    pub(crate) data: PathBuf,
    child: Option<Child>,
    // Removed with the struct.
    _dir: Option<tempfile::TempDir>,
}

/// The command `guardian` with a data directory.
pub(crate) fn guardian(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guardian"));
    command.arg("--data").arg(data).env_remove("GUARDIAN_CONFIG").env("NO_COLOR", "1");
    command
}

impl App {
    /// A fresh one.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A fresh one, with more arguments after `serve`.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut app = Self { data: dir.path().join("data"), child: None, _dir: Some(dir) };
        app.spawn_with(arguments);
        app
    }

    /// A data directory without anything in it, and nothing running.
    pub(crate) fn elsewhere() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { data: dir.path().join("data"), child: None, _dir: Some(dir) }
    }

    /// Starts the program again on the same data.
    pub(crate) fn spawn(&mut self) {
        self.spawn_with(&[]);
    }

    /// Starts the program again on the same data, with more arguments after `serve`.
    pub(crate) fn spawn_with(&mut self, arguments: &[&str]) {
        std::fs::remove_file(self.data.join("run/server.json")).ok();
        let listeners = r#"[{"address": "127.0.0.1:0"}]"#;
        let mut child = guardian(&self.data)
            .args(["--set", "server.address=127.0.0.1:0", "--set", &format!("collect.listeners={listeners}"), "serve"])
            .args(arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let run = self.data.join("run/server.json");
        let begun = Instant::now();
        while !run.exists() {
            if let Some(status) = child.try_wait().unwrap() {
                let mut said = String::new();
                std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
                panic!("guardian ended with {status}:\n{said}");
            }
            assert!(begun.elapsed() < PATIENCE, "guardian does not become ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        // Nobody reads further messages; a thread keeps the pipe from filling up.
        let mut messages = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut messages, &mut std::io::sink()));
        self.child = Some(child);
    }

    fn run_file(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.data.join("run/server.json")).unwrap()).unwrap()
    }

    /// Base URL.
    pub(crate) fn url(&self) -> String {
        self.run_file()["url"].as_str().unwrap().to_owned()
    }

    /// Key of the local operator.
    pub(crate) fn operator_key(&self) -> String {
        std::fs::read_to_string(self.data.join("run/operator.key")).unwrap().trim().to_owned()
    }

    /// UDP address for flows.
    pub(crate) fn flows(&self) -> SocketAddr {
        self.run_file()["flows"][0].as_str().unwrap().parse().unwrap()
    }

    /// Where osquery's nodes are heard.
    pub(crate) fn osquery(&self) -> SocketAddr {
        self.run_file()["osquery"].as_str().unwrap().parse().unwrap()
    }

    /// Runs a command against it.
    pub(crate) fn cli(&self, args: &[&str]) -> Output {
        guardian(&self.data).args(args).output().unwrap()
    }

    /// Runs a command with text on its standard input.
    pub(crate) fn cli_with(&self, args: &[&str], input: &str) -> Output {
        let mut child = guardian(&self.data)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must succeed and answers its output as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.cli(&[args, &["--output", "json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", text(&output.stdout)))
    }

    /// A number that a query answers.
    pub(crate) fn number(&self, sql: &str) -> u64 {
        let rows = self.json(&["query", sql]);
        rows[0].as_object().unwrap().values().next().unwrap().as_u64().unwrap()
    }

    /// Waits until `ready` answers something.
    pub(crate) fn wait<T>(&self, what: &str, mut ready: impl FnMut(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = ready(self) {
                return value;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Alerts as the command line lists them.
    pub(crate) fn alerts(&self) -> Vec<Value> {
        self.json(&["alerts", "-n", "500"]).as_array().unwrap().clone()
    }

    /// Sends datagrams to the flow listener, each time from another port.
    pub(crate) fn send(&self, datagrams: impl IntoIterator<Item = Vec<u8>>) {
        self.send_from(&UdpSocket::bind("127.0.0.1:0").unwrap(), datagrams);
    }

    /// Sends datagrams to the flow listener from a socket: one exporter process.
    pub(crate) fn send_from(&self, socket: &UdpSocket, datagrams: impl IntoIterator<Item = Vec<u8>>) {
        let to = self.flows();
        for datagram in datagrams {
            socket.send_to(&datagram, to).unwrap();
        }
    }

    /// Kills it as a power failure would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops it as an operator would; answers whether it ended well.
    pub(crate) fn stop(&mut self) -> bool {
        let mut child = self.child.take().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGTERM)
            .unwrap();
        child.wait().unwrap().success()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Bytes of an output as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A capture that the project ships.
pub(crate) fn capture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../captures").join(name);
    path.to_str().unwrap().to_owned()
}
