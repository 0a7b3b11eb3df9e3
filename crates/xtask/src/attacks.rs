//! Recorded attacks at a running server, for whoever needs alerts and incidents in it.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::cargo;

/// Which, of `captures/`: each raises alerts.
const RECORDINGS: &[&str] = &[
    "scan-vertical.netflow9.pcap",
    "scan-horizontal.netflow5.pcap",
    "ssh-brute-force.ipfix.pcap",
    "syn-flood.netflow9.pcap",
    "upload.ipfix.pcap",
    "beacon.netflow9.pcap",
];

/// A command of the built program on a data directory, whatever the environment says.
pub(crate) fn guardian(data: &Path) -> Command {
    let mut command = Command::new(cargo::guardian());
    command.arg("--data").arg(data).env_remove("GUARDIAN_CONFIG").env("NO_COLOR", "1");
    command
}

/// Replays all of them, one after the other, with these arguments of `guardian replay`.
pub(crate) fn replay(data: &Path, arguments: &[&str]) -> Result<()> {
    for recording in RECORDINGS {
        let mut replay = guardian(data);
        replay.args(["replay", "--speed", "max"]).args(arguments);
        let output = replay.arg(cargo::root().join("captures").join(recording)).output()?;
        ensure!(output.status.success(), "{recording}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
