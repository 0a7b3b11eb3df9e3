//! The console in `web/`: built before cargo, because the program holds the built files, and tested after it, because
//! its tests drive the real program in a real browser. Nothing is done twice: inputs that did not change are skipped.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::{cargo, install, say};

/// Oldest Node.js that the build tools run on.
const NODE_MAJOR_MIN: u32 = 20;
/// Folders whose files decide what the console is: the manual is part of it.
const INPUTS: &[&str] = &["web", "docs"];
/// Parts of `web/` that the built console does not depend on.
const NOT_INPUTS: &[&str] = &["web/tests", "web/screenshots"];

fn folder() -> PathBuf {
    cargo::root().join("web")
}

/// Whether the console can be built here.
pub(crate) fn has_node() -> bool {
    install::has("npm") && node_major().is_some_and(|major| major >= NODE_MAJOR_MIN)
}

fn node_major() -> Option<u32> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}

/// Builds the console into `web/dist` unless it is there and its inputs are the same.
pub(crate) fn build() -> Result<()> {
    ensure!(has_node(), "the console needs Node.js {NODE_MAJOR_MIN} or newer and npm (https://nodejs.org)");
    let mark = cargo::target_dir().join("console-inputs");
    let inputs = fingerprint()?;
    let built = folder().join("dist").join("index.html").is_file();
    if built && std::fs::read_to_string(&mark).is_ok_and(|before| before == inputs) {
        return Ok(());
    }
    let start = Instant::now();
    say::step("Building the console");
    packages()?;
    npm(&["run", "build", "--silent"], &[])?;
    std::fs::create_dir_all(cargo::target_dir())?;
    std::fs::write(&mark, inputs).context("the state of the console's build cannot be written")?;
    say::note(&format!("built in {}", say::span(start.elapsed())));
    Ok(())
}

/// Installs what `package-lock.json` names, unless that was done.
pub(crate) fn packages() -> Result<()> {
    let lock = std::fs::read(folder().join("package-lock.json")).context("web/package-lock.json cannot be read")?;
    let mut hasher = DefaultHasher::new();
    lock.hash(&mut hasher);
    let wanted = format!("{:016x}", hasher.finish());
    let mark = folder().join("node_modules").join(".installed");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    say::note("installing the console's packages (npm ci)");
    npm(&["ci", "--ignore-scripts", "--loglevel=error"], &[])?;
    std::fs::write(&mark, wanted).context("web/node_modules cannot be written")
}

/// Types, lints and component tests; no program and no browser needed.
pub(crate) fn unit_tests() -> Result<()> {
    packages()?;
    npm(&["run", "check", "--silent"], &[])?;
    npm(&["test", "--silent"], &[])
}

/// Drives the built program in Chromium.
pub(crate) fn browser_tests() -> Result<()> {
    packages()?;
    let browser = chromium()?;
    let program = cargo::guardian();
    ensure!(program.is_file(), "{} is not built", program.display());
    npm(&["run", "e2e", "--silent"], &[("E2E_PROGRAM", program.as_path()), ("E2E_CHROMIUM", browser.as_path())])
}

/// Path of Chromium, installed when missing.
fn chromium() -> Result<PathBuf> {
    let find = || {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name))).find(|file| file.is_file())
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    install::apt(&["chromium"], "the console's browser tests", || find().is_some())?;
    find().context("chromium was installed but is not on the path")
}

fn npm(arguments: &[&str], environment: &[(&str, &Path)]) -> Result<()> {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(folder());
    for (name, value) in environment {
        command.env(name, value);
    }
    let status = command.status().context("npm does not start")?;
    ensure!(status.success(), "`npm {}` failed in web/", arguments.join(" "));
    Ok(())
}

/// Names and contents of everything that the built console is made of.
fn fingerprint() -> Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(cargo::root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"])
        .args(INPUTS)
        .output();
    let listed = match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        // Without git, as in a release archive, every run builds.
        _ => return Ok(format!("unknown {:?}", Instant::now())),
    };
    let mut names: Vec<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let mut hasher = DefaultHasher::new();
    for name in names.into_iter().filter(|name| !NOT_INPUTS.iter().any(|prefix| name.starts_with(prefix))) {
        name.hash(&mut hasher);
        // A file that is deleted but still known to git counts by its name alone.
        std::fs::read(cargo::root().join(name)).unwrap_or_default().hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}
