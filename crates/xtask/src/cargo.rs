//! Where the workspace and its build output are, and how cargo is called.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Root of the workspace this xtask was built in, or the one that cargo runs it for.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("crates/xtask"), PathBuf::from);
    let root = manifest.ancestors().nth(2).unwrap_or_else(|| Path::new(""));
    if root.as_os_str().is_empty() { PathBuf::from(".") } else { root.to_path_buf() }
}

/// Build output: `CARGO_TARGET_DIR`, or `target` in the root.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The built program, in the development profile.
pub(crate) fn guardian() -> PathBuf {
    target_dir().join("debug").join("guardian")
}

/// A cargo command in the root, without the variables that the outer cargo set for us.
pub(crate) fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_BIN_NAME" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs cargo with its output on the terminal.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let status = command().args(arguments).status().context("cargo does not start")?;
    ensure!(status.success(), "`cargo {}` failed", arguments.join(" "));
    Ok(())
}

/// Builds the scanner that lies beside the agent, which is a workspace of its own, and lays it there.
pub(crate) fn build_scanner(release: bool) -> Result<PathBuf> {
    let target = target_dir().join("yara");
    let mut build = command();
    build.args(["build", "--manifest-path", "yara/Cargo.toml", "--target-dir"]).arg(&target);
    if release {
        build.arg("--release");
    }
    ensure!(build.status().context("cargo does not start")?.success(), "the scanner cannot be built");
    let built = target.join(if release { "release" } else { "debug" }).join("guardian-yara");
    if release {
        return Ok(built);
    }
    let beside = target_dir().join("debug").join("guardian-yara");
    std::fs::create_dir_all(target_dir().join("debug"))?;
    // In one step: an agent may run the one that lies there.
    let fresh = beside.with_extension("new");
    std::fs::copy(&built, &fresh)?;
    std::fs::rename(&fresh, &beside)?;
    Ok(beside)
}

/// Builds the program `guardian`, showing cargo's progress.
pub(crate) fn build_guardian() -> Result<()> {
    // The whole workspace is named so that dependencies get the same features as in the tests, and are built once.
    run(&["build", "--workspace", "--bin", "guardian"])
}

/// The agent as it ships.
pub(crate) fn agent() -> PathBuf {
    target_dir().join("agent").join("guardian-agent")
}

/// Builds the agent with its own profile.
pub(crate) fn build_agent() -> Result<()> {
    run(&["build", "--profile", "agent", "--package", "guardian-agent", "--bin", "guardian-agent"])
}
