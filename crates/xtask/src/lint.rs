//! `cargo xtask lint`: clippy over everything, warnings as errors. Apart from `test`, because clippy's artefacts are a
//! second build of every dependency.

use anyhow::Result;
use clap::Args;

use crate::{cargo, install, say};

/// Options of `cargo xtask lint`.
#[derive(Args)]
pub(crate) struct Options {
    /// Packages to check instead of the workspace
    #[arg(short, long, value_name = "NAME")]
    package: Vec<String>,
}

/// Runs clippy, cargo-deny where it is installed, and shellcheck over our scripts where it is installed.
pub(crate) fn run(options: &Options) -> Result<()> {
    say::step("clippy");
    let mut arguments = vec!["clippy", "--all-targets"];
    if options.package.is_empty() {
        arguments.push("--workspace");
    }
    for package in &options.package {
        arguments.extend(["--package", package]);
    }
    arguments.extend(["--", "--deny", "warnings"]);
    cargo::run(&arguments)?;
    if install::has("cargo-deny") {
        say::step("cargo deny");
        cargo::run(&["deny", "check", "licenses", "bans", "sources"])?;
    }
    if install::has("shellcheck") {
        say::step("shellcheck");
        let status = std::process::Command::new("shellcheck")
            .current_dir(cargo::root())
            .args(["-x", ".ci/run", "captures/record", "captures/lab.sh"])
            .status()?;
        anyhow::ensure!(status.success(), "shellcheck found something");
    }
    Ok(())
}
