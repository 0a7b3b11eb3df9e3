//! `cargo xtask dist`: the release build and the archive that people download.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{cargo, say, web};

/// Options of `cargo xtask dist`.
#[derive(Args)]
pub(crate) struct Options {
    /// Pack what an earlier run built
    #[arg(long)]
    no_build: bool,
    /// Build the agent instead: one program, for every machine
    #[arg(long)]
    agent: bool,
}

/// Bytes of the agent's program, at most: it is fetched by every machine at each upgrade.
const AGENT_BYTES_MAX: u64 = 15_000_000;

/// What goes into the archive beside the program, from the root of the workspace.
const INCLUDED: &[&str] = &["LICENSE", "README.md", "rules", "docs"];

/// Builds with the release profile and writes `<target>/dist/guardian-<version>-<arch>-linux.tar.gz` with its checksum.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.agent {
        return agent(options);
    }
    if !options.no_build {
        web::build()?;
        say::step("Release build (thin LTO: about half an hour on two cores when cold)");
        cargo::run(&["build", "--release", "--package", "guardian", "--bin", "guardian"])?;
    }
    say::step("Archive");
    let name = format!("guardian-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let output = cargo::target_dir().join("dist");
    let tree = output.join(&name);
    if tree.exists() {
        std::fs::remove_dir_all(&tree).context("the last archive's tree cannot be removed")?;
    }
    std::fs::create_dir_all(&tree)?;
    let program = tree.join("guardian");
    std::fs::copy(cargo::target_dir().join("release").join("guardian"), &program)
        .context("there is no release build")?;
    shell("strip", &[program.as_os_str()])?;
    for included in INCLUDED {
        shell("cp", &["-R".as_ref(), cargo::root().join(included).as_os_str(), tree.as_os_str()])?;
    }
    let archive = output.join(format!("{name}.tar.gz"));
    shell(
        "tar",
        &[
            "--sort=name".as_ref(),
            "--owner=0".as_ref(),
            "--group=0".as_ref(),
            "--numeric-owner".as_ref(),
            "-C".as_ref(),
            output.as_os_str(),
            "-czf".as_ref(),
            archive.as_os_str(),
            name.as_ref(),
        ],
    )?;
    let sum = Command::new("sha256sum").arg(format!("{name}.tar.gz")).current_dir(&output).output()?;
    ensure!(sum.status.success(), "sha256sum failed");
    std::fs::write(output.join(format!("{name}.tar.gz.sha256")), &sum.stdout)?;
    say::note(&format!("{} ({:.1} MB)", archive.display(), std::fs::metadata(&archive)?.len() as f64 / 1e6));
    Ok(())
}

/// Builds the agent with its own profile, and the scanner beside it, and writes both to `<target>/dist`, with checksums.
fn agent(options: &Options) -> Result<()> {
    if !options.no_build {
        say::step("Build of the agent (fat LTO: about ten minutes on two cores when cold)");
        cargo::build_agent()?;
    }
    let bytes = put("guardian-agent", &cargo::agent())?;
    ensure!(bytes <= AGENT_BYTES_MAX, "the agent has {bytes} bytes, and may have {AGENT_BYTES_MAX}");
    if !options.no_build {
        say::step("Build of the scanner beside it");
    }
    let scanner = if options.no_build {
        cargo::target_dir().join("yara").join("release").join("guardian-yara")
    } else {
        cargo::build_scanner(true)?
    };
    put("guardian-yara", &scanner).map(drop)
}

/// Lays a program with its checksum into `<target>/dist`; how long it is.
fn put(name: &str, built: &std::path::Path) -> Result<u64> {
    let output = cargo::target_dir().join("dist");
    std::fs::create_dir_all(&output)?;
    let name = format!("{name}-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let program = output.join(&name);
    let bytes = std::fs::copy(built, &program).with_context(|| format!("there is no build of {}", built.display()))?;
    let sum = Command::new("sha256sum").arg(&name).current_dir(&output).output()?;
    ensure!(sum.status.success(), "sha256sum failed");
    std::fs::write(output.join(format!("{name}.sha256")), &sum.stdout)?;
    say::note(&format!("{} ({:.1} MB)", program.display(), bytes as f64 / 1e6));
    Ok(bytes)
}

/// Runs a system program that must succeed.
fn shell(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<()> {
    let status = Command::new(program).args(arguments).status().with_context(|| format!("{program} does not start"))?;
    ensure!(status.success(), "{program} failed");
    Ok(())
}
