//! What Guardian talks to in its tests: a mail server, in a virtual environment below `target/`, a directory, and a
//! provider of OpenID Connect. Installed when missing; the tests start and stop them themselves.

use std::path::{Path, PathBuf};
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

fn works(python: &Path) -> bool {
    let check = Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
    check.is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("{command:?} does not start"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// Installs what is missing.
pub(crate) fn install() -> Result<()> {
    if !slapd() {
        install::apt(&["slapd"], "the tests of signing in by a directory", slapd)?;
    }
    provider()
}

fn slapd() -> bool {
    ["/usr/sbin/slapd", "/usr/local/sbin/slapd", "/usr/lib/openldap/slapd", "/usr/libexec/slapd"]
        .iter()
        .any(|path| Path::new(path).is_file())
}

/// The npm packages of `crates/guardian/tests/oidc`, as its lock file names them.
fn provider() -> Result<()> {
    let folder = cargo::root().join("crates/guardian/tests/oidc");
    let lock =
        std::fs::read_to_string(folder.join("package-lock.json")).context("the provider's lock file is missing")?;
    let mark = folder.join("node_modules").join(".installed");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    ensure!(
        install::has("npm"),
        "npm is missing, needed for the tests of signing in by a provider (https://nodejs.org)"
    );
    say::note("installing the provider of the tests of signing in (npm ci)");
    let status = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--loglevel=error"])
        .current_dir(&folder)
        .status()
        .context("npm does not start")?;
    ensure!(status.success(), "`npm ci` failed in {}", folder.display());
    std::fs::write(&mark, lock).context("the provider's node_modules cannot be written")
}
