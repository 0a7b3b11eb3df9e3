//! What Guardian talks to in its tests and that is neither Rust nor npm: a mail server, in a virtual environment below
//! `target/`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::{cargo, install, say};

/// What the tests of mail run against, as pip names it.
const MAIL_SERVER: &str = "aiosmtpd>=1.4.6,<2";

/// The Python that has the peers; made when it is missing. Tests find it by `GUARDIAN_TEST_PYTHON`.
pub(crate) fn python() -> Result<PathBuf> {
    let folder = cargo::target_dir().join("test-peers");
    let python = folder.join("bin").join("python");
    if works(&python) {
        return Ok(python);
    }
    let has_venv = || {
        let check = Command::new("python3").args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status();
        check.is_ok_and(|status| status.success())
    };
    if !has_venv() {
        install::apt(&["python3", "python3-venv"], "the mail server of the tests", has_venv)?;
    }
    say::note("installing aiosmtpd (the mail server of the tests)");
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", MAIL_SERVER]))?;
    ensure!(works(&python), "aiosmtpd was installed into {} and does not start", folder.display());
    Ok(python)
}

fn works(python: &std::path::Path) -> bool {
    let check = Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
    check.is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("{command:?} does not start"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
