//! `cargo xtask test`: what a change must pass. Cheap checks first, so that a slip is told in a second; the tests run all
//! the same, so that one run tells everything.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::postgres::Cluster;
use crate::{cargo, install, peers, say, tidy, web};

/// Options of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Packages to test instead of the workspace
    #[arg(short, long, value_name = "NAME")]
    package: Vec<String>,
    /// Skip PostgreSQL; the catalog is then tested on SQLite alone
    #[arg(long)]
    no_postgres: bool,
    /// Skip the console: neither its component tests nor the browser
    #[arg(long)]
    no_web: bool,
    /// Passed to the test binaries
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs formatting, tidy and the tests, and prints a summary.
pub(crate) fn run(options: &Options) -> Result<()> {
    let start = Instant::now();
    let mut slips = Vec::new();
    say::step("Formatting");
    if let Err(error) = cargo::run(&["fmt", "--all", "--check", "--", "--files-with-diff"]) {
        say::failure(&error);
        say::hint("`cargo fmt --all` mends it (rustfmt comes with `rustup component add rustfmt`)");
        slips.push("formatting");
    }
    say::step("House rules");
    if let Err(error) = tidy::run() {
        say::failure(&error);
        slips.push("house rules");
    }
    if !install::has("cc") {
        install::apt(&["gcc", "libc6-dev"], "crates with C code (SQLite, zstd)", || install::has("cc"))?;
    }
    peers::install()?;
    let console = options.package.is_empty() && !options.no_web;
    if console {
        web::build()?;
        say::step("Console");
        if let Err(error) = web::unit_tests() {
            say::failure(&error);
            slips.push("console");
        }
    }
    if options.package.is_empty() {
        say::step("Scanner beside the agent");
        cargo::build_scanner(false)?;
    }
    let cluster = if options.no_postgres {
        None
    } else {
        say::step("PostgreSQL");
        let cluster = Cluster::start()?;
        say::note(&format!("ready at {}", cluster.url()));
        Some(cluster)
    };
    say::step("Tests");
    let python = peers::python()?;
    let totals = run_tests(options, cluster.as_ref(), &python)?;
    drop(cluster);
    if console {
        say::step("Console in the browser");
        if let Err(error) = web::browser_tests() {
            say::failure(&error);
            slips.push("console in the browser");
        }
    }
    say::line("");
    say::step(&format!(
        "{} tests passed, {} failed, {} ignored in {} binaries, {}",
        totals.passed,
        totals.failed,
        totals.ignored,
        totals.binaries,
        say::span(start.elapsed())
    ));
    for (name, count) in &totals.failures {
        say::note(&format!("failed: {name}{}", if *count > 1 { format!(" ({count} times)") } else { String::new() }));
    }
    if !totals.succeeded {
        slips.push("tests");
    }
    ensure!(slips.is_empty(), "not in order: {}", slips.join(", "));
    Ok(())
}

/// What the test binaries said.
#[derive(Debug, Default, PartialEq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
    binaries: u64,
    failures: BTreeMap<String, u64>,
    succeeded: bool,
}

impl Totals {
    /// Reads one line of a test binary's output.
    fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.binaries += 1;
            for part in rest.split(['.', ';']) {
                let mut words = part.split_whitespace();
                if let (Some(Ok(count)), Some(kind)) = (words.next().map(str::parse::<u64>), words.next()) {
                    match kind {
                        "passed" => self.passed += count,
                        "failed" => self.failed += count,
                        "ignored" => self.ignored += count,
                        _ => {}
                    }
                }
            }
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            *self.failures.entry(name.to_owned()).or_default() += 1;
        }
    }
}

/// Runs `cargo test`, passing its lines through.
fn run_tests(options: &Options, cluster: Option<&Cluster>, python: &std::path::Path) -> Result<Totals> {
    let mut command = cargo::command();
    command.args(["test", "--no-fail-fast"]).env("GUARDIAN_TEST_PYTHON", python);
    if options.package.is_empty() {
        command.arg("--workspace");
    }
    for package in &options.package {
        command.args(["--package", package]);
    }
    if !options.rest.is_empty() {
        command.arg("--").args(&options.rest);
    }
    if let Some(cluster) = cluster {
        command.env("GUARDIAN_TEST_POSTGRES_URL", cluster.url()).env("GUARDIAN_TEST_REQUIRE_POSTGRES", "1");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().context("cargo does not start")?;
    let mut totals = Totals::default();
    let output = child.stdout.take().context("cargo has no output")?;
    for line in BufReader::new(output).lines() {
        let line = line.context("cargo's output cannot be read")?;
        totals.line(&line);
        say::line(&line);
    }
    totals.succeeded = child.wait()?.success();
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_over_binaries() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: ok. 40 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            totals.line(line);
        }
        let failures = BTreeMap::from([("a::c".to_owned(), 1)]);
        assert_eq!(totals, Totals { passed: 42, failed: 1, ignored: 2, binaries: 2, failures, succeeded: false });
    }
}
