//! `cargo xtask bench`: the figures that have floors. Each area runs a program that prints one JSON object a line
//! (`bench`, `value`, `unit`, with a peer `peer`, `peer_value`, `ratio`, with a floor `floor`, `pass`); this module runs
//! them, shows a table and writes the file. It measures nothing itself.

pub(crate) mod generator;
pub(crate) mod spine;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

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
    Benchmark { package: &'static str, name: &'static str },
    /// The whole program, from outside.
    Whole(fn() -> Result<Vec<Value>>),
}

/// Every area, in the order they run. All use the development profile (docs/adr/0002-one-build-profile.md).
const ALL: &[Area] = &[
    Area {
        name: "flow",
        about: "decoding NetFlow and IPFIX into columns, against netflow_parser",
        how: How::Benchmark { package: "guardian-flow", name: "decode" },
    },
    Area {
        name: "intel",
        about: "matching addresses against a million indicators",
        how: How::Benchmark { package: "guardian-intel", name: "indicators" },
    },
    Area {
        name: "spine",
        about: "the whole program: ready, idle, alert latency, flows a second from socket to query",
        how: How::Whole(spine::run),
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
            say::note("building guardian");
            cargo::build_guardian()?;
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

/// Runs one area; its JSON lines are results, everything else is passed on.
fn measure(area: &Area) -> Result<Vec<Value>> {
    let (package, name) = match area.how {
        How::Whole(run) => return run(),
        How::Benchmark { package, name } => (package, name),
    };
    let arguments = ["bench", "--profile", "dev", "--package", package, "--bench", name, "--", "--json"];
    let mut child = cargo::command().args(arguments).stdout(Stdio::piped()).spawn().context("cargo does not start")?;
    let output = child.stdout.take().context("the benchmark has no output")?;
    let mut results = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.context("the benchmark's output cannot be read")?;
        match result(&line) {
            Some(found) => results.push(found),
            None => say::note(&line),
        }
    }
    ensure!(child.wait()?.success(), "the benchmark `{}` failed", area.name);
    Ok(results)
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
    fn numbers_are_short() {
        assert_eq!([readable(81_234_567.0), readable(12_345.0), readable(1.5)], ["81.23 M", "12.3 k", "1.50"]);
    }
}
