//! `cargo xtask`: the project's own commands. It starts cargo, npm, PostgreSQL and the built program; it holds none of
//! the product's logic, and depends on none of its crates but the test kit, which depends on none, so that it is compiled
//! in seconds on a fresh machine.

mod atomics;
mod attacks;
mod bench;
mod cargo;
mod child;
mod dist;
mod fuzz;
mod install;
mod lint;
mod machine;
mod peers;
mod postgres;
mod probe;
mod say;
mod test;
mod tidy;
mod up;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, starts, tests, measures and checks Guardian.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build Guardian, start it, and replay recorded attacks at it
    Up(up::Options),
    /// Run everything a change must pass, with a private PostgreSQL
    Test(test::Options),
    /// Measure the figures that have floors
    Bench(bench::Options),
    /// Run clippy over the workspace (a second build of the dependencies)
    Lint(lint::Options),
    /// Fuzz the decoders of untrusted input, each for ten minutes
    Fuzz(fuzz::Options),
    /// Let testers' and attackers' tools loose on the running program
    Probe(probe::Options),
    /// Run the Linux tests of Atomic Red Team in a throwaway machine, and tell which are detected
    Atomics(atomics::Options),
    /// Check the house rules
    Tidy(tidy::Options),
    /// Send flows to a loopback address (part of `bench spine`)
    #[command(hide = true)]
    GenerateLoad(bench::generator::Options),
    /// Build the console into web/dist; `up`, `test` and `dist` do so by themselves
    Web,
    /// Build the release archive
    Dist(dist::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(options) => up::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Lint(options) => lint::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Probe(options) => probe::run(&options),
        Command::Atomics(options) => atomics::run(&options),
        Command::Tidy(options) => tidy::command(&options),
        Command::GenerateLoad(options) => bench::generator::run(&options),
        Command::Web => web::build(),
        Command::Dist(options) => dist::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::failure(&error);
            ExitCode::FAILURE
        }
    }
}
