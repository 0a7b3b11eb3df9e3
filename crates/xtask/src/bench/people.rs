//! People at work while flows come in: the built program in a fresh data directory with ten million flows and recorded
//! attacks, the load generator, and the clicking people of `crates/guardian/benches/people.rs`, each a process of its own.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::generator::sent;
use super::spine::{Bench, cpu_seconds};
use crate::child::Service;
use crate::{attacks, cargo, say};

/// Flows that are stored before anybody looks, and how fast they come.
const STORED: u64 = 10_000_000;
const STORE_RATE: u64 = 250_000;
/// Flows a second while people click.
const RATE: u64 = 100_000;
/// People at once.
const PEOPLE: u64 = 50;
/// How long they are measured, in seconds, and how long everything runs before.
const SECONDS: u64 = 60;
const WARM_UP_SECONDS: u64 = 10;
/// How often the dashboard is asked for a span that nobody asked for before.
const DASHBOARDS: u64 = 7;
/// What the clients say when the load may begin.
const SIGNED_IN: &str = "everybody is signed in";
/// Times that the recordings are replayed, each under a name of its own, so that lists have a length.
const ROUNDS: usize = 5;

/// Runs all parts and returns their results.
pub(crate) fn run() -> Result<Vec<Value>> {
    cargo::run(&["bench", "--profile", "dev", "--workspace", "--bench", "people", "--no-run"])?;
    let bench = Bench::start("people")?;
    for round in 0..ROUNDS {
        attacks::replay(&bench.data, &["--name", &format!("round-{round}")])?;
    }
    say::note(&format!("storing {STORED} flows"));
    let begun = Instant::now();
    let first = sent(&bench.generator(STORE_RATE, STORED.div_ceil(STORE_RATE) + 1)?.output()?.stdout)?;
    let (stored, _) = bench.stored(first.flows, begun)?;
    ensure!(stored >= STORED, "only {stored} flows were stored");
    let mut results = clients(&bench, &["--dashboard", &DASHBOARDS.to_string()], |_| Ok(()))?;

    let mut load = None;
    let people = [("--people", PEOPLE), ("--seconds", SECONDS), ("--warm-up", WARM_UP_SECONDS)];
    let people: Vec<String> = people.iter().flat_map(|(name, n)| [(*name).to_owned(), n.to_string()]).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    results.extend(clients(&bench, &people, |line| {
        if line == SIGNED_IN {
            load = Some(Load::start(&bench)?);
        }
        Ok(())
    })?);
    let Load { mut generator, cpu_before, begun } = load.context("the people did not sign in")?;
    let mut output = Vec::new();
    let mut stdout = generator.child().stdout.take().context("the load generator has no output")?;
    std::io::Read::read_to_end(&mut stdout, &mut output)?;
    let more = sent(&output)?;
    let server_cores = (cpu_seconds(bench.server.id())? - cpu_before) / begun.elapsed().as_secs_f64();
    let all = first.flows + more.flows;
    let (after, _) = bench.stored(all, begun)?;
    let (rate, lost) = (more.flows as f64 / more.seconds, all.saturating_sub(after));
    let name = "people/flows_meanwhile";
    let kept_up = lost == 0 && rate > RATE as f64 * 0.97;
    results.extend([
        json!({"bench": name, "value": rate, "unit": "flows/s", "floor": RATE, "pass": kept_up}),
        json!({"bench": format!("{name}/lost"), "value": lost, "unit": "flows"}),
        json!({"bench": "people/server_cpu", "value": server_cores, "unit": "cores"}),
        json!({"bench": "people/memory", "value": bench.resident_bytes()?, "unit": "bytes"}),
    ]);
    Ok(results)
}

/// The load generator at work.
struct Load {
    generator: Service,
    /// CPU time of the server when it began.
    cpu_before: f64,
    begun: Instant,
}

impl Load {
    fn start(bench: &Bench) -> Result<Self> {
        let (cpu_before, begun) = (cpu_seconds(bench.server.id())?, Instant::now());
        let mut command = bench.generator(RATE, WARM_UP_SECONDS + SECONDS + 3)?;
        let generator = Service::start("the load generator", command.stdout(Stdio::piped()))?;
        Ok(Self { generator, cpu_before, begun })
    }
}

/// Runs the clients and returns what they found; `each` sees every line that is no result.
fn clients(bench: &Bench, options: &[&str], mut each: impl FnMut(&str) -> Result<()>) -> Result<Vec<Value>> {
    let key = std::fs::read_to_string(bench.data.join("run").join("operator.key"))?;
    let authority = std::path::absolute(bench.data.join("tls").join("ca.pem"))?.display().to_string();
    let mut all = vec!["--server", &bench.url, "--ca", &authority, "--key", key.trim()];
    all.extend(options);
    let (mut results, mut outcome) = (Vec::new(), Ok(()));
    super::benchmark("guardian", "people", &all, |line| match super::result(&line) {
        Some(found) => results.push(found),
        None => {
            say::note(&line);
            if outcome.is_ok() {
                outcome = each(&line);
            }
        }
    })?;
    outcome.map(|()| results)
}
