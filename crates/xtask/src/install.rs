//! System packages, asked for only when something is missing. Installs as root or through sudo; otherwise says the
//! command to type.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::say;

/// Debian's switch that keeps a freshly installed package from starting its services.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Whether a program is on the path.
pub(crate) fn has(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Installs packages with apt until `there` holds. `why` completes "needed for".
///
/// What counts is whether the programs are there, not what apt says: in a container whose `/etc` is partly read-only,
/// a package's set-up script may fail although everything that we use of it was unpacked.
pub(crate) fn apt(packages: &[&str], why: &str, there: impl Fn() -> bool) -> Result<()> {
    let line = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    ensure!(
        has("apt-get"),
        "{} missing, needed for {why}: install with your system's package manager",
        packages.join(", ")
    );
    if !is_root() && !has("sudo") {
        bail!("{} missing, needed for {why}: run as root: {line}", packages.join(", "));
    }
    say::note(&format!("installing {} ({why})", packages.join(", ")));
    let guard = Guard::raise();
    // A stale package list is the usual reason for a failure, an unreachable mirror is not one yet.
    let refreshed = apt_get(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    let installed = apt_get(&arguments)?;
    drop(guard);
    if !installed && there() {
        say::note("apt could not set them up wholly, but what is needed is there");
        return Ok(());
    }
    ensure!(
        installed,
        "could not install {} (package list {}): run as root: {line}",
        packages.join(", "),
        if refreshed { "refreshed" } else { "could not be refreshed" }
    );
    Ok(())
}

/// Runs apt-get quietly; its complaints are shown when it fails.
fn apt_get(arguments: &[&str]) -> Result<bool> {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else {
        let mut command = Command::new("sudo");
        command.arg("apt-get");
        command
    };
    let output = command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("apt-get does not start")?;
    if !output.status.success() {
        for line in String::from_utf8_lossy(&output.stderr).lines().rev().take(5) {
            say::note(line);
        }
    }
    Ok(output.status.success())
}

/// While it lives, packages do not start their services. Only as root and only where nobody else set a policy.
struct Guard(bool);

impl Guard {
    fn raise() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        if !is_root() || Path::new(POLICY).exists() {
            return Self(false);
        }
        let written = std::fs::write(POLICY, "#!/bin/sh\nexit 101\n")
            .and_then(|()| std::fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755)));
        Self(written.is_ok())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0 && std::fs::remove_file(POLICY).is_err() {
            say::hint(&format!("remove {POLICY} by hand: while it is there, installed services do not start"));
        }
    }
}
