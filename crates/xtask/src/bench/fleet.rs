//! The fleet, measured from outside: how long after a program runs on a host its alert is on the stream, and what ten thousand
//! agents do to one server, those that come back all at once among them.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::spine::{Bench, ceiling, cpu_seconds, percentile};
use crate::child::Service;
use crate::{cargo, say};

/// Commands that are timed.
const COMMANDS: usize = 200;
/// Agents, and events of all of them a second.
const AGENTS: u64 = 10_000;
const EVENTS: u64 = 2_000;
/// How long they are measured; at half time all of them lose their connection.
const SECONDS: u64 = 120;
/// Ceilings: an event to its alert, an acknowledgement, a storm of reconnections, the server's memory.
const ALERT_MS_MAX: f64 = 1_000.0;
const ACK_MS_MAX: f64 = 250.0;
const STORM_S_MAX: f64 = 60.0;
const MEMORY_MAX: f64 = 1e9;
/// What a timed command says.
const MARK: &str = "guardian-bench-mark";
/// Finds the commands that are timed, each for itself.
const RULE: &str = "\
title: A command of the benchmark
id: 0b6b9f52-3f0e-4a37-8a39-0d7f3b2f7f10
status: test
description: Finds the commands whose way to an alert is timed.
logsource: {category: process_creation, product: linux}
detection:
  selection:
    CommandLine|contains: guardian-bench-mark
  condition: selection
level: low
guardian:
  entity: command_line
";

/// Runs both parts and returns their results.
pub(crate) fn run() -> Result<Vec<Value>> {
    let mut results = latencies()?;
    results.extend(many()?);
    Ok(results)
}

fn program() -> PathBuf {
    cargo::target_dir().join("debug").join("guardian-agent")
}

fn token(bench: &Bench) -> Result<String> {
    let made = bench.json(&["enroll-token", "create", "--name", "bench", "--uses", "0"])?;
    Ok(made["secret"].as_str().context("the token has no secret")?.to_owned())
}

/// An agent at work, with its folder.
fn agent(bench: &Bench, home: &Path) -> Result<Service> {
    let home = home.display().to_string();
    let enrol = ["--dir", &home, "enroll", "--server", &bench.url, "--token", &token(bench)?, "--name", "bench"];
    let enrolled = Command::new(program()).args(enrol).output()?;
    ensure!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let mut run = Command::new(program());
    run.args(["--dir", &home, "run", "--no-files", "--no-inventory"]).stdin(Stdio::null());
    let log = fs::File::create(bench.data.join("agent.log"))?;
    Service::start("guardian-agent", run.stdout(Stdio::null()).stderr(log))
}

/// Runs a command; how long after its start its alert is on the stream.
fn timed(alerts: &Receiver<(Instant, Value)>, name: &str, patience: Duration) -> Result<Option<Duration>> {
    let mark = format!("{MARK}-{name}-");
    let begun = Instant::now();
    // Its name carries the mark; it says nothing and ends at once.
    let status = Command::new("/bin/true").arg0(&mark).stdin(Stdio::null()).status()?;
    ensure!(status.success(), "/bin/true failed");
    while let Ok((seen, alert)) = alerts.recv_timeout(patience) {
        if alert.to_string().contains(&mark) {
            return Ok(Some(seen.saturating_duration_since(begun)));
        }
    }
    Ok(None)
}

/// Milliseconds from the start of a command to its alert on the stream.
fn latencies() -> Result<Vec<Value>> {
    let bench = Bench::start("fleet")?;
    let rule = bench.data.join("bench-rule.yml");
    fs::write(&rule, RULE)?;
    bench.json(&["rules", "import", &rule.display().to_string()])?;
    let home = bench.data.join("agent");
    let _agent = agent(&bench, &home)?;
    let (_follower, alerts) = bench.follow()?;
    // Until the agent watches and the stream is open; an alert that is there already comes no second time.
    let begun = Instant::now();
    let mut tries = 0;
    while timed(&alerts, &format!("first-{tries}"), Duration::from_secs(1))?.is_none() {
        tries += 1;
        ensure!(
            begun.elapsed() < Duration::from_secs(60),
            "the commands raise no alert; the agent said:\n{}",
            fs::read_to_string(bench.data.join("agent.log"))?
        );
    }
    let mut found = Vec::new();
    for number in 0..COMMANDS {
        let took = timed(&alerts, &number.to_string(), Duration::from_secs(10))?;
        found.push(took.with_context(|| format!("no alert for command {number}"))?.as_secs_f64() * 1e3);
        // Not in step with any timer.
        std::thread::sleep(Duration::from_millis(40 + (number as u64 * 37) % 170));
    }
    found.sort_by(f64::total_cmp);
    Ok(vec![
        json!({"bench": "fleet/event_to_alert_p50", "value": percentile(&found, 0.5), "unit": "ms"}),
        ceiling("fleet/event_to_alert_p99", percentile(&found, 0.99), "ms", ALERT_MS_MAX),
    ])
}

/// Ten thousand agents.
fn many() -> Result<Vec<Value>> {
    let bench = Bench::start("agents")?;
    let token = token(&bench)?;
    say::note(&format!("{AGENTS} agents, {EVENTS} events/s, {SECONDS} s"));
    let (cpu, begun) = (cpu_seconds(bench.server.id())?, Instant::now());
    let (agents, events, seconds) = (AGENTS.to_string(), EVENTS.to_string(), SECONDS.to_string());
    let mut command = Command::new(program());
    command.args(["simulate", "--server", &bench.url, "--token", &token, "--agents", &agents, "--events", &events]);
    command.args(["--seconds", &seconds, "--storm"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut playing = Service::start("guardian-agent simulate", command.stderr(Stdio::null()))?;
    let mut most: f64 = 0.0;
    while playing.ended()?.is_none() {
        most = most.max(bench.resident_bytes()?);
        std::thread::sleep(Duration::from_millis(500));
    }
    let cores = (cpu_seconds(bench.server.id())? - cpu) / begun.elapsed().as_secs_f64();
    let mut said = String::new();
    let mut output = playing.child().stdout.take().context("no output")?;
    std::io::Read::read_to_string(&mut output, &mut said)?;
    let played: Value =
        serde_json::from_str(&said).context("the simulation failed: is the limit of open files low?")?;
    let number = |name: &str| played[name].as_f64().unwrap_or(f64::NAN);
    let ack = |at: usize| played["ack_ms"][at].as_f64().unwrap_or(f64::NAN);
    Ok(vec![
        json!({"bench": "fleet/agents", "value": number("agents"), "unit": "agents"}),
        json!({"bench": "fleet/enrolled", "value": number("enrolled_s"), "unit": "s"}),
        json!({"bench": "fleet/connected", "value": number("connected_s"), "unit": "s"}),
        json!({"bench": "fleet/events", "value": number("rows") / SECONDS as f64, "unit": "events/s"}),
        json!({"bench": "fleet/ack_p50", "value": ack(0), "unit": "ms"}),
        ceiling("fleet/ack_p95", ack(1), "ms", ACK_MS_MAX),
        json!({"bench": "fleet/ack_p99", "value": ack(2), "unit": "ms"}),
        ceiling("fleet/storm", number("storm_s"), "s", STORM_S_MAX),
        ceiling("fleet/server_memory", most, "bytes", MEMORY_MAX),
        json!({"bench": "fleet/server_cpu", "value": cores, "unit": "cores"}),
    ])
}
