//! `cargo xtask bench`: the figures that have floors. Each area runs a program that prints one JSON object a line
//! (`bench`, `value`, `unit`, with a peer `peer`, `peer_value`, `ratio`, with a floor `floor`, `pass`); this module runs
//! them, shows a table and writes the file. It measures nothing itself.

mod divan;
mod fleet;
pub(crate) mod generator;
mod integrity;
mod people;
mod scan;
pub(crate) mod spine;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::{cargo, say};

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// Areas to measure [default: all]
    area: Vec<String>,
    /// Also write the results here, one JSON object a line
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure the program that an earlier run built
    #[arg(long)]
    no_build: bool,
    /// Name the areas and what they measure
    #[arg(long)]
    list: bool,
}

/// A part of the program that is measured.
struct Area {
    name: &'static str,
    about: &'static str,
    how: How,
}

/// How an area is measured.
enum How {
    /// A benchmark of this package that prints JSON lines when it is given `--json`.
    Lines { package: &'static str, name: &'static str },
    /// A divan benchmark of this package, with the floors that hold for it.
    Divan { package: &'static str, name: &'static str, unit: &'static str, floors: &'static [Floor] },
    /// The whole program, from outside.
    Whole(fn() -> Result<Vec<Value>>),
    /// The agent as it ships, from outside.
    Agent(fn(&Path) -> Result<Vec<Value>>),
}

/// What one line of a divan table must reach. Either bound suffices; one that does not apply is infinite.
struct Floor {
    bench: &'static str,
    /// The line of the same table to compare with.
    peer: &'static str,
    /// So many times the peer.
    ratio_min: f64,
    /// So many items a second.
    value_min: f64,
}

/// Every area, in the order they run. All use the development profile (docs/adr/0002-one-build-profile.md), but the agent's,
/// which is measured as it ships.
const ALL: &[Area] = &[
    Area {
        name: "flow",
        about: "decoding NetFlow and IPFIX into columns, against netflow_parser",
        how: How::Divan {
            package: "guardian-flow",
            name: "decode",
            unit: "flows/s",
            floors: &[
                Floor { bench: "guardian/netflow5", peer: "netflow_parser/netflow5", ratio_min: 1.0, value_min: 40e6 },
                Floor {
                    bench: "guardian/netflow9",
                    peer: "netflow_parser/netflow9",
                    ratio_min: 8.0,
                    value_min: f64::INFINITY,
                },
                Floor {
                    bench: "guardian/ipfix",
                    peer: "netflow_parser/ipfix",
                    ratio_min: 8.0,
                    value_min: f64::INFINITY,
                },
            ],
        },
    },
    Area {
        name: "meter",
        about: "metering packets into flows, and sFlow samples",
        how: How::Divan { package: "guardian-flow", name: "meter", unit: "packets/s", floors: &[] },
    },
    Area {
        name: "intel",
        about: "matching addresses against a million indicators",
        how: How::Lines { package: "guardian-intel", name: "indicators" },
    },
    Area {
        name: "rules",
        about: "Sigma rules and correlations over batches",
        how: How::Divan { package: "guardian-rules", name: "rules", unit: "flows/s", floors: &[] },
    },
    Area {
        name: "detect",
        about: "all shipped rules and detectors over an office's flows",
        how: How::Divan {
            package: "guardian-detect",
            name: "detect",
            unit: "flows/s",
            // 500 ns a flow.
            floors: &[Floor { bench: "rules_and_detectors", peer: "", ratio_min: f64::INFINITY, value_min: 2e6 }],
        },
    },
    Area {
        name: "lake",
        about: "storing flows and asking for them",
        how: How::Lines { package: "guardian-lake", name: "lake" },
    },
    Area {
        name: "vuln",
        about: "judging a bill of materials, and scanning an image of one GB beside inflating it",
        how: How::Lines { package: "guardian-vuln", name: "scanning" },
    },
    Area {
        name: "scan",
        about: "a Debian with projects: what is there beside Syft, what is wrong with it beside debsecan",
        how: How::Whole(scan::run),
    },
    Area {
        name: "spine",
        about: "the whole program: ready, idle, alert latency, flows a second from socket to query",
        how: How::Whole(spine::run),
    },
    Area {
        name: "fleet",
        about: "from a command on a host to its alert; ten thousand agents at once, and all of them coming back",
        how: How::Whole(fleet::run),
    },
    Area {
        name: "people",
        about: "the dashboard over ten million flows; 50 people at once while 100,000 flows a second come in",
        how: How::Whole(people::run),
    },
    Area {
        name: "integrity",
        about: "a first baseline of /usr from a cold cache, beside reading it and beside AIDE",
        how: How::Agent(integrity::run),
    },
];

/// Runs the chosen areas.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        for area in ALL {
            say::line(&format!("{:<10} {}", area.name, area.about));
        }
        return Ok(());
    }
    for name in &options.area {
        if !ALL.iter().any(|area| area.name == name) {
            let known: Vec<&str> = ALL.iter().map(|area| area.name).collect();
            bail!("no area `{name}`; there are {}", known.join(", "));
        }
    }
    let mut results = Vec::new();
    for area in ALL.iter().filter(|area| options.area.is_empty() || options.area.iter().any(|name| name == area.name)) {
        say::step(&format!("{}: {}", area.name, area.about));
        if matches!(area.how, How::Whole(_)) && !options.no_build {
            say::note("building guardian and its agent");
            cargo::run(&["build", "--workspace", "--bin", "guardian", "--bin", "guardian-agent"])?;
        }
        if matches!(area.how, How::Agent(_)) && !options.no_build {
            say::note("building the agent (fat LTO: about ten minutes on two cores when cold)");
            cargo::build_agent()?;
        }
        let found = measure(area)?;
        ensure!(!found.is_empty(), "the area `{}` printed no result", area.name);
        table(&found);
        results.extend(found);
    }
    if let Some(path) = &options.json {
        let mut file = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        for result in &results {
            writeln!(file, "{result}")?;
        }
    }
    let failed: Vec<&str> = results
        .iter()
        .filter(|result| result["pass"] == Value::Bool(false))
        .filter_map(|result| result["bench"].as_str())
        .collect();
    ensure!(failed.is_empty(), "under the floor: {}", failed.join(", "));
    Ok(())
}

/// Runs one area; what is no result is passed on.
fn measure(area: &Area) -> Result<Vec<Value>> {
    match area.how {
        How::Whole(run) => run(),
        How::Agent(run) => run(&cargo::agent()),
        How::Lines { package, name } => {
            let mut results = Vec::new();
            benchmark(package, name, &["--json"], |line| match result(&line) {
                Some(found) => results.push(found),
                None => say::note(&line),
            })?;
            Ok(results)
        }
        How::Divan { package, name, unit, floors } => {
            let mut table = String::new();
            benchmark(package, name, &[], |line| {
                table.push_str(&line);
                table.push('\n');
            })?;
            Ok(compare(area.name, unit, floors, &divan::rates(&table)))
        }
    }
}

/// Runs a benchmark of a package in the one profile.
fn benchmark(package: &str, name: &str, options: &[&str], mut each: impl FnMut(String)) -> Result<()> {
    let mut command = cargo::command();
    // `--workspace` for its features: a build for one package alone would compile the dependencies another time.
    command.args(["bench", "--profile", "dev", "--workspace", "--bench", name, "--"]).args(options);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cargo does not start")?;
    let output = child.stdout.take().context("the benchmark has no output")?;
    for line in BufReader::new(output).lines() {
        each(line.context("the benchmark's output cannot be read")?);
    }
    ensure!(child.wait()?.success(), "the benchmark {name} of {package} failed");
    Ok(())
}

/// Every line of a divan table as a result, with peer and floor where it has them.
fn compare(area: &str, unit: &str, floors: &[Floor], rates: &BTreeMap<String, f64>) -> Vec<Value> {
    let is_peer = |name: &str| floors.iter().any(|floor| floor.peer == name);
    let mut results = Vec::new();
    for (name, rate) in rates.iter().filter(|(name, _)| !is_peer(name)) {
        let mut result = json!({"bench": format!("{area}/{name}"), "value": rate, "unit": unit});
        if let Some(floor) = floors.iter().find(|floor| floor.bench == name) {
            let mut pass = *rate >= floor.value_min;
            if let Some(peer) = rates.get(floor.peer) {
                let ratio = rate / peer;
                result["peer"] = json!(floor.peer);
                result["peer_value"] = json!(peer);
                result["ratio"] = json!(ratio);
                pass |= ratio >= floor.ratio_min;
            }
            // The floor in the unit of the value: what the ratio asks for, or the value if that is less.
            let by_ratio = rates.get(floor.peer).map_or(f64::INFINITY, |peer| peer * floor.ratio_min);
            result["floor"] = json!(by_ratio.min(floor.value_min));
            result["pass"] = json!(pass);
        }
        results.push(result);
    }
    results
}

/// A line that is a result.
fn result(line: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(line.trim()).ok()?;
    (value.get("bench")?.is_string() && value.get("value")?.is_number() && value.get("unit")?.is_string())
        .then_some(value)
}

/// Shows results under one another.
fn table(results: &[Value]) {
    say::note(&format!("{:<40} {:>16} {:<14} {:>9} {:>14}  {}", "bench", "value", "unit", "ratio", "floor", ""));
    for result in results {
        let text = |key: &str| result[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| result[key].as_f64().map(readable).unwrap_or_default();
        let ratio = result["ratio"].as_f64().map(|ratio| format!("{ratio:.2}x")).unwrap_or_default();
        let verdict = match result["pass"].as_bool() {
            Some(true) => "ok",
            Some(false) => "UNDER",
            None => "",
        };
        let peer = text("peer");
        say::note(&format!(
            "{:<40} {:>16} {:<14} {ratio:>9} {:>14}  {verdict}{}",
            text("bench"),
            number("value"),
            text("unit"),
            number("floor"),
            if peer.is_empty() { String::new() } else { format!("  ({peer}: {})", number("peer_value")) },
        ));
    }
}

/// The value in the middle; of an even number the upper one.
fn median(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three significant digits with the usual suffixes.
fn readable(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude {
        m if m >= 1e9 => format!("{:.2} G", value / 1e9),
        m if m >= 1e6 => format!("{:.2} M", value / 1e6),
        m if m >= 1e4 => format!("{:.1} k", value / 1e3),
        m if m >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_results_count() {
        assert!(result(r#"{"bench":"v9","value":1.5,"unit":"flows/s"}"#).is_some());
        assert!(result(r#"{"bench":"v9","unit":"flows/s"}"#).is_none());
        assert!(result("Timer precision: 20 ns").is_none());
    }

    #[test]
    fn either_bound_of_a_floor_suffices() {
        let floors = [Floor { bench: "a/v5", peer: "b/v5", ratio_min: 1.0, value_min: 40.0 }];
        for (ours, theirs, pass) in [(41.0, 90.0, true), (39.0, 30.0, true), (39.0, 90.0, false)] {
            let rates = BTreeMap::from([("a/v5".to_owned(), ours), ("b/v5".to_owned(), theirs)]);
            let results = compare("flow", "flows/s", &floors, &rates);
            assert_eq!(results.len(), 1, "the peer is no result of its own");
            assert_eq!(results[0]["pass"], json!(pass), "{ours} against {theirs}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([readable(81_234_567.0), readable(12_345.0), readable(1.5)], ["81.23 M", "12.3 k", "1.50"]);
    }
}
