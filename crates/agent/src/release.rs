//! Releasing: what is said about a program of the agent is signed at a desk without a network.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use guardian_agent::upgrade::{digest, sign_release, version_in};
use guardian_protocol::release::Manifest;

use crate::operate::read_key;

#[derive(Args, Debug)]
pub(crate) struct SignRelease {
    /// File with the secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Operating system that it is for
    #[arg(long, default_value = "linux")]
    platform: String,
    /// Processor architecture that it is for [default: as the program says]
    #[arg(long)]
    architecture: Option<String>,
    /// It may take the place of this version too, and of all before it, though they are newer
    #[arg(long, value_name = "VERSION", default_value = "")]
    replaces_up_to: String,
    /// Version of the protocol that a server must speak at least
    #[arg(long, default_value_t = guardian_protocol::VERSION_MIN)]
    protocol_min: u32,
    /// What is new
    #[arg(long, default_value = "")]
    notes: String,
    /// The program
    program: PathBuf,
}

/// The architecture in the head of an ELF file (its `e_machine`), by the name that Rust gives it.
fn architecture(program: &[u8]) -> Option<&'static str> {
    let elf = program.starts_with(b"\x7fELF") && program.get(5) == Some(&1);
    let machine = u16::from_le_bytes(program.get(18..20)?.try_into().ok()?);
    match machine {
        _ if !elf => None,
        62 => Some("x86_64"),
        183 => Some("aarch64"),
        243 => Some("riscv64"),
        _ => None,
    }
}

/// Signs, and answers what was signed as JSON.
pub(crate) fn sign(wanted: &SignRelease) -> Result<String> {
    let seed = read_key(&wanted.key)?;
    let path = &wanted.program;
    let program = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let version = version_in(&program).with_context(|| format!("{} is no agent", path.display()))?;
    let found = architecture(&program).map(str::to_owned);
    let architecture = wanted.architecture.clone().or(found);
    let manifest = Manifest {
        version: version.to_owned(),
        platform: wanted.platform.clone(),
        architecture: architecture.context("which architecture is it for? Say --architecture")?,
        size: program.len() as u64,
        sha256: digest(path)?,
        protocol_min: wanted.protocol_min,
        created: guardian_agent::now(),
        replaces_up_to: wanted.replaces_up_to.clone(),
        notes: wanted.notes.clone(),
    };
    manifest.check()?;
    let signed = sign_release(&manifest, &seed)?;
    ensure!(signed.read().is_ok(), "what was signed cannot be read again");
    Ok(serde_json::to_string_pretty(&signed)?)
}

#[cfg(test)]
mod tests {
    use super::architecture;

    #[test]
    fn a_program_says_what_it_is_for() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(architecture(&own), Some(std::env::consts::ARCH));
        assert_eq!(architecture(b"#!/bin/sh"), None);
    }
}
