//! `cargo xtask atomics`: runs the Linux tests of Atomic Red Team, from a folder that you fetched, in a throwaway machine
//! with an agent, and tells which of them a server detects. The tests are attacks as they are done; nothing of them is part
//! of this project.

mod room;
mod table;
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::attacks::guardian;
use crate::child::Interrupt;
use crate::up::server::Server;
use crate::{cargo, install, say};
use room::{Ended, Room};
use table::{Outcome, Row};
use tests::Test;

/// How long what a test did may take to the server.
const ARRIVAL_SECONDS_MAX: u64 = 30;
/// After the last process and file of a test were heard of: what is in logs comes by other ways.
const SETTLE: Duration = Duration::from_millis(1_000);
/// How long the agent may take to know all files, and after how long it is asked again.
const BASELINE_SECONDS_MAX: u64 = 600;
const MARK_SECONDS: u64 = 5;
/// Alerts that are compared.
const ALERTS: &str = "500";

/// Options of `cargo xtask atomics`.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder `atomics` of a checkout of redcanaryco/atomic-red-team
    folder: PathBuf,
    /// Only techniques or ids that begin like this; may be repeated
    #[arg(long, value_name = "START")]
    only: Vec<String>,
    /// Write the table there, in Markdown
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Run what an earlier run built
    #[arg(long)]
    no_build: bool,
    /// Show what each test printed
    #[arg(long)]
    verbose: bool,
}

/// Runs it all.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(install::is_root(), "name spaces and an agent that sees everything need root");
    let interrupt = Interrupt::install()?;
    let folder = options.folder.canonicalize().with_context(|| format!("no {}", options.folder.display()))?;
    let mut chosen = tests::read(&folder)?;
    let wanted = |test: &Test| {
        let begins = |start: &String| test.technique.starts_with(start) || test.guid.starts_with(start);
        options.only.is_empty() || options.only.iter().any(begins)
    };
    chosen.retain(wanted);
    ensure!(!chosen.is_empty(), "no test fits");
    if !options.no_build {
        cargo::run(&["build", "--workspace", "--bins"])?;
    }
    let work = cargo::target_dir().join("atomics");
    let root = room::base(&work)?;
    let data = work.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(&data)?;
    say::step("Server and throwaway machine");
    let settings = [
        "--set",
        "server.address=127.0.0.1:0",
        "--set",
        "collect.listeners=[]",
        "--set",
        "detect.update_interval_secs=1",
    ]
    .map(str::to_owned);
    let mut server = Server::start(&data, &settings, &interrupt)?;
    let watch = Watch { data };
    let token = watch.json(&["enroll-token", "create", "--name", "atomics"])?;
    let token = token.get("secret").and_then(Value::as_str).context("the server makes no token")?.to_owned();
    let mut room = Room::open(&work.join("room"), &root, &folder)?;
    let program = cargo::guardian().with_file_name("guardian-agent");
    room.start_agent(&program, &server.url, &token, &work.join("agent.log"))?;
    watch.begun(&room, &interrupt)?;
    say::step(&format!("{} tests", chosen.len()));
    let mut rows = Vec::new();
    let mut seen = watch.alerts()?;
    for (number, test) in chosen.iter().enumerate() {
        if interrupt.is_set() {
            break;
        }
        server.must_live()?;
        let row = one(&watch, &room, test, number, &mut seen, options.verbose, &interrupt)?;
        say::note(&row.line());
        rows.push(row);
    }
    say::step(&table::summary(&rows));
    if let Some(path) = &options.table {
        std::fs::write(path, table::markdown(&rows)).with_context(|| format!("cannot write {}", path.display()))?;
        say::note(&format!("wrote {}", path.display()));
    }
    drop(room);
    server.stop()
}

/// One test: its needs, what it does, what was heard of it, and what takes it back.
fn one(
    watch: &Watch,
    room: &Room,
    test: &Test,
    number: usize,
    seen: &mut Alerts,
    verbose: bool,
    interrupt: &Interrupt,
) -> Result<Row> {
    let row =
        |outcome| Row { technique: test.technique.clone(), guid: test.guid.clone(), name: test.name.clone(), outcome };
    if test.shell.is_empty() || test.command.trim().is_empty() {
        return Ok(row(Outcome::ByHand));
    }
    for (need, get) in &test.needs {
        let there = || Ok::<_, anyhow::Error>(room.run(test.shell, test.root, need)?.code == 0);
        // What it needs is made where that takes no network; what that looks like to a detector is not the test.
        if !there()? {
            room.run(test.shell, true, get)?;
            if !there()? {
                return Ok(row(Outcome::Lacks));
            }
        }
    }
    if !test.needs.is_empty() {
        watch.arrived(room, &format!("needs-{number}"), interrupt)?;
        std::thread::sleep(SETTLE);
        *seen = watch.alerts()?;
    }
    let Ended { code, output } = room.run(test.shell, test.root, &test.command)?;
    if verbose {
        output.lines().for_each(|line| say::note(&format!("  | {line}")));
    }
    watch.arrived(room, &format!("test-{number}"), interrupt)?;
    std::thread::sleep(SETTLE);
    let now = watch.alerts()?;
    let rules = now.since(seen);
    *seen = now;
    if !test.cleanup.trim().is_empty() {
        room.run(test.shell, test.root, &test.cleanup)?;
        watch.arrived(room, &format!("clean-{number}"), interrupt)?;
        std::thread::sleep(SETTLE);
        *seen = watch.alerts()?;
    }
    Ok(row(match (rules.is_empty(), code) {
        (false, _) => Outcome::Detected(rules),
        (true, 0) => Outcome::Missed,
        (true, code) => Outcome::Failed(code, output.lines().last().unwrap_or_default().to_owned()),
    }))
}

/// What the server knows.
struct Watch {
    data: PathBuf,
}

/// Alerts by their ids: the title of the rule, and how often it held.
#[derive(Debug, Default)]
struct Alerts(BTreeMap<String, (String, u64)>);

impl Alerts {
    /// Rules that held since, by name.
    fn since(&self, before: &Self) -> Vec<String> {
        let more = self.0.iter().filter(|(id, (_, count))| before.0.get(*id).is_none_or(|(_, was)| was < count));
        let mut rules: Vec<String> = more.map(|(_, (rule, _))| rule.clone()).collect();
        rules.sort();
        rules.dedup();
        rules
    }
}

impl Watch {
    fn command(&self) -> Command {
        guardian(Path::new(&self.data))
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.command().args(arguments).args(["--output", "json"]).output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).with_context(|| format!("{arguments:?} answers no JSON"))
    }

    fn alerts(&self) -> Result<Alerts> {
        let list = self.json(&["alerts", "--limit", ALERTS])?;
        let text = |alert: &Value, key: &str| alert.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let alerts = list.as_array().into_iter().flatten().map(|alert| {
            let count = alert.get("count").and_then(Value::as_u64).unwrap_or(1);
            (text(alert, "id"), (text(alert, "title"), count))
        });
        Ok(Alerts(alerts.collect()))
    }

    /// Waits until the agent knows all files as they were: what is written before is not told as a change.
    fn begun(&self, room: &Room, interrupt: &Interrupt) -> Result<()> {
        for number in 0..BASELINE_SECONDS_MAX / MARK_SECONDS {
            if self.mark(room, &format!("begin-{number}"), MARK_SECONDS, interrupt)? {
                return Ok(());
            }
        }
        bail!("the agent does not know all files after {BASELINE_SECONDS_MAX} s: see target/atomics/agent.log");
    }

    /// Waits until everything that was done up to now is known to the server.
    fn arrived(&self, room: &Room, word: &str, interrupt: &Interrupt) -> Result<()> {
        let heard = self.mark(room, word, ARRIVAL_SECONDS_MAX, interrupt)?;
        ensure!(
            heard,
            "the server hears nothing of the machine since {ARRIVAL_SECONDS_MAX} s: see target/atomics/agent.log"
        );
        Ok(())
    }

    /// Whether a process that begins now and a file that is written now are known to the server in time.
    fn mark(&self, room: &Room, word: &str, seconds: u64, interrupt: &Interrupt) -> Result<bool> {
        let word = format!("mark-{word}-end");
        room.mark(&word)?;
        let sql = format!(
            "SELECT (SELECT count(*) FROM processes WHERE command_line LIKE '%{word}%') AS run, \
             (SELECT count(*) FROM files WHERE path LIKE '%{word}%') AS written"
        );
        let begun = Instant::now();
        while begun.elapsed().as_secs() < seconds {
            let rows = self.json(&["query", &sql])?;
            let known = |what: &str| rows.pointer(&format!("/0/{what}")).and_then(Value::as_u64).is_some_and(|n| n > 0);
            if known("run") && known("written") {
                return Ok(true);
            }
            ensure!(interrupt.sleep(Duration::from_millis(200)), "stopped");
        }
        Ok(false)
    }
}
