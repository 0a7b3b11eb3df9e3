//! `cargo xtask up`: from a clone to the first alert. Builds, starts the server on a data directory, replays recorded
//! attacks and tells what is found. Everything it starts ends with it.

mod demo;
mod geography;
pub(crate) mod server;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::child::{Interrupt, Service};
use crate::{cargo, install, say, web};

/// Alerts that may wait to be counted; the follower blocks beyond, and the server notices a slow reader.
const WAITING_ALERTS_MAX: usize = 10_000;
/// With `--check`: how long after the last replay the expected alerts may take.
const CHECK_SECONDS_MAX: u64 = 60;

/// Options of `cargo xtask up`.
#[derive(Args)]
pub(crate) struct Options {
    /// Directory that holds everything Guardian keeps
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Do not replay the recorded attacks
    #[arg(long)]
    no_demo: bool,
    /// Start what an earlier run built
    #[arg(long)]
    no_build: bool,
    /// Replay, wait for the expected alerts, stop, and fail when one is missing
    #[arg(long)]
    check: bool,
    /// Passed to `guardian serve`, such as `-- --capture eth0`
    #[arg(last = true)]
    serve: Vec<String>,
}

/// Runs it all.
pub(crate) fn run(options: &Options) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let data = std::path::absolute(&options.data)?;
    say::step("Guardian: build, start, and watch recorded attacks being found");
    tools()?;
    let countries = geography::Download::begin();
    if !options.no_build {
        if web::has_node() {
            web::build()?;
        } else {
            say::hint("Node.js 20 and npm are not installed: Guardian is built without its console");
        }
        say::step("Building guardian (the first time takes a while: the SQL engine is large; later it is seconds)");
        let build = Instant::now();
        cargo::build_guardian()?;
        say::note(&format!("built in {}", say::span(build.elapsed())));
    }
    let built = Instant::now();
    ensure!(!interrupt.is_set(), "stopped");

    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let database = countries.finish(&data);
    server::write_config(&data, database.as_deref())?;
    say::step("Starting the server");
    let mut server = server::Server::start(&data, &options.serve, &interrupt)?;
    say::note(&format!("ready {} after the build, at {}", say::span(built.elapsed()), server.url));
    let token = data.join("setup-token");
    if token.exists() {
        say::note(&format!("open it in a browser; {} lets you make the first account", token.display()));
    }
    if options.no_demo {
        server.introduce(&data);
        return wait(&mut server, &interrupt);
    }
    let watch = Watch::start(&data, options.check)?;
    say::step("Replaying recorded attacks (captures/README.md tells what each is)");
    let mut replays = demo::Replays::start(&data)?;
    let first = loop {
        if let Ok(alert) = watch.alerts.recv_timeout(Duration::from_millis(100)) {
            let time = say::span(built.elapsed());
            watch.seen(&mut replays, &alert);
            break Some(time);
        }
        if interrupt.is_set() || (replays.done()? && built.elapsed().as_secs() > CHECK_SECONDS_MAX) {
            break None;
        }
        server.must_live()?;
    };
    if let Some(time) = first {
        say::note(&format!("first alert {time} after the build"));
    }
    let complete = finish(&mut replays, &watch, &mut server, &interrupt)?;
    if options.check {
        drop(watch);
        server.stop()?;
        return replays.verdict(complete);
    }
    if !interrupt.is_set() {
        say::line("");
        say::step(&format!("{} alerts so far; everything keeps running", replays.alerts));
        server.introduce(&data);
    }
    let waited = wait(&mut server, &interrupt);
    drop(watch);
    waited
}

/// What a build needs from the system; Rust is there, since this runs.
fn tools() -> Result<()> {
    if install::has("cc") {
        return Ok(());
    }
    say::step("System packages");
    install::apt(&["gcc", "libc6-dev"], "the C parts of SQLite and zstd", || install::has("cc"))
}

/// Lets the replays run out and counts alerts until everything expected was seen. Returns whether it was.
fn finish(
    replays: &mut demo::Replays,
    watch: &Watch,
    server: &mut server::Server,
    interrupt: &Interrupt,
) -> Result<bool> {
    let mut last_replay = None;
    while !interrupt.is_set() {
        while let Ok(alert) = watch.alerts.recv_timeout(Duration::from_millis(100)) {
            watch.seen(replays, &alert);
        }
        server.must_live()?;
        if replays.done()? {
            let since = last_replay.get_or_insert_with(Instant::now);
            if replays.all_seen() {
                return Ok(true);
            }
            if since.elapsed().as_secs() > CHECK_SECONDS_MAX {
                return Ok(false);
            }
        }
    }
    Ok(false)
}

/// Keeps everything running until Ctrl-C.
fn wait(server: &mut server::Server, interrupt: &Interrupt) -> Result<()> {
    while interrupt.sleep(Duration::from_millis(300)) {
        server.must_live()?;
    }
    say::line("");
    say::step("Stopping");
    server.stop()?;
    say::note("stopped; `cargo xtask up` continues with the same data");
    Ok(())
}

/// The two readers of the alert stream: one narrates on the terminal, one counts.
struct Watch {
    /// Alerts as the server tells them.
    alerts: Receiver<Value>,
    echo: bool,
    _narrator: Option<Service>,
    _counter: Service,
}

impl Watch {
    fn start(data: &std::path::Path, check: bool) -> Result<Self> {
        let follow = |output: &str| {
            let mut command = Command::new(cargo::guardian());
            command.arg("--data").arg(data).args(["alerts", "--follow", "--output", output]).stdin(Stdio::null());
            command
        };
        let mut counter =
            Service::start("guardian alerts", follow("json").stdout(Stdio::piped()).stderr(Stdio::null()))?;
        let output = counter.child().stdout.take().context("guardian alerts has no output")?;
        let (send, alerts) = sync_channel(WAITING_ALERTS_MAX);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(alert) = serde_json::from_str::<Value>(&line)
                    && send.send(alert).is_err()
                {
                    break;
                }
            }
        });
        let narrator = if check { None } else { Some(Service::start("guardian alerts", &mut follow("table"))?) };
        // Both subscribe before the first packet is sent; a connection on this machine takes milliseconds.
        std::thread::sleep(Duration::from_millis(300));
        Ok(Self { alerts, echo: check, _narrator: narrator, _counter: counter })
    }

    /// Counts an alert, and prints a line when nobody narrates.
    fn seen(&self, replays: &mut demo::Replays, alert: &Value) {
        let text = |key: &str| alert.get(key).and_then(Value::as_str).unwrap_or_default();
        if self.echo {
            say::note(&format!("{:<8} {} ({})", text("severity"), text("title"), text("rule_id")));
        }
        replays.seen(text("rule_id"), text("title"));
    }
}

/// Fails with the hint that fits what the server said.
fn explain(log: &str) -> Result<()> {
    let lower = log.to_lowercase();
    if lower.contains("address already in use") || lower.contains("address in use") {
        say::hint(
            "a port is taken: see who has it with `ss -lntup`, or choose others with `-- --set …` (docs/troubleshooting.md)",
        );
    } else if lower.contains("permission denied") || lower.contains("operation not permitted") {
        say::hint(
            "a capability is missing: capturing packets needs CAP_NET_RAW, ports under 1024 CAP_NET_BIND_SERVICE",
        );
    } else if lower.contains("locked") || lower.contains("another") {
        say::hint("another guardian may be running on the same data directory");
    }
    bail!("the server ended:\n{log}")
}
