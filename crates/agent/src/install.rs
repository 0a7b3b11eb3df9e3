//! Putting the agent on a machine and taking it off again: the program beside other versions of it, with a link to the one that
//! is started, and a service of whatever starts services here. Every step is said, and in a rehearsal only said; done twice it
//! changes nothing.

mod leave;
mod units;

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use guardian_protocol::release::Version;

use crate::home::Home;
use crate::response::{Options, Response, SCANNER};
use crate::upgrade::{Place, digest, version};
pub use leave::leave;

/// Where programs are, below the root of the file system.
const PROGRAMS: &str = "usr/local/lib/guardian-agent";
/// The name by which people call the program.
const COMMAND: &str = "usr/local/bin/guardian-agent";

/// What starts services on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// systemd.
    Systemd,
    /// OpenRC.
    OpenRc,
    /// Something else: whoever looks after the machine is told what to start.
    Other,
}

impl Init {
    /// What there is below a root; of this machine itself, what runs.
    pub fn of(root: &Path) -> Self {
        let here = root == Path::new("/");
        let has = |path: &str| root.join(path).exists();
        if (here && has("run/systemd/system")) || (!here && has("lib/systemd/systemd")) {
            Self::Systemd
        } else if has("sbin/openrc-run") {
            Self::OpenRc
        } else {
            Self::Other
        }
    }
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// A file could not be written, or a program not be run.
    #[error("{what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it was not.
        source: io::Error,
    },
    /// A program of the system failed.
    #[error("`{command}` fails: {said}")]
    Failed {
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
    /// Something stands on the machine that would be forgotten.
    #[error("{0}")]
    Stands(String),
}

/// A machine, or the root of one that does not run.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
    home: PathBuf,
    init: Init,
    dry: bool,
    steps: Vec<String>,
}

impl Machine {
    /// The machine at `root`, whose agent has the folder `home`. In a rehearsal (`dry`) nothing is done.
    pub fn new(root: &Path, home: &Path, dry: bool) -> Self {
        Self { root: root.to_owned(), home: home.to_owned(), init: Init::of(root), dry, steps: Vec::new() }
    }

    /// What was done, or would be.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    fn runs(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Says a step and does it, unless it is a rehearsal.
    fn step(&mut self, what: String, act: impl FnOnce(&Self) -> io::Result<()>) -> Result<(), InstallError> {
        if !self.dry
            && let Err(source) = act(self)
        {
            return Err(InstallError::Io { what, source });
        }
        self.steps.push(what);
        Ok(())
    }

    /// Puts the scanner for YARA rules beside all versions, where it lies beside the program that installs.
    pub fn put_scanner(&mut self, own: &Path) -> Result<(), InstallError> {
        let from = own.with_file_name(SCANNER);
        let Ok(wanted) = digest(&from) else { return Ok(()) };
        let to = self.root.join(PROGRAMS).join(SCANNER);
        if digest(&to).is_ok_and(|there| there == wanted) {
            return Ok(());
        }
        self.step(format!("put the scanner in {}", to.display()), move |_| {
            let fresh = to.with_extension("new");
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            fs::remove_file(&fresh).or_else(absent_is_fine)?;
            fs::copy(&from, &fresh)?;
            fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
            fs::rename(&fresh, &to)
        })
    }

    /// Puts the program in its place and has the link point to it, unless it points to a newer one.
    pub fn put_program(&mut self, own: &Path) -> Result<(), InstallError> {
        let reading = |source| InstallError::Io { what: format!("read {}", own.display()), source };
        let sha256 = digest(own).map_err(reading)?;
        let place = Place::installed(&self.root.join(PROGRAMS));
        let path = place.path(version(), &sha256);
        if digest(&path).ok().as_ref() != Some(&sha256) {
            let (place, sha256) = (place.clone(), sha256.clone());
            let from = own.to_owned();
            self.step(format!("put version {} in {}", version(), path.display()), move |_| {
                place.make()?;
                let part = place.part(&sha256);
                fs::copy(&from, &part)?;
                place.put(&part, version(), &sha256).map(drop)
            })?;
        }
        let link = self.root.join(PROGRAMS).join("current");
        let linked = fs::read_link(&link).ok();
        let now = linked.as_ref().and_then(|to| to.file_name()?.to_str()?.rsplit_once('-').map(|(v, _)| v.to_owned()));
        let newer = now.as_deref().and_then(Version::parse) > Version::parse(version());
        if newer {
            self.steps.push(format!("leave the newer version {} where it is", now.unwrap_or_default()));
        } else if linked.map(|to| self.root.join(PROGRAMS).join(to)).as_deref() != path.parent() {
            self.step(format!("have {} point to it", link.display()), |_| place.switch(&path))?;
        }
        let command = self.root.join(COMMAND);
        let wanted = Path::new("../lib/guardian-agent/current/guardian-agent");
        if fs::read_link(&command).ok().as_deref() != Some(wanted) {
            self.step(format!("make the command {}", command.display()), |_| {
                let fresh = command.with_extension("new");
                fs::create_dir_all(command.parent().unwrap_or(&command))?;
                fs::remove_file(&fresh).or_else(absent_is_fine)?;
                symlink(wanted, &fresh)?;
                fs::rename(&fresh, &command)
            })?;
        }
        Ok(())
    }

    /// Writes the service, and starts it where something changed or it does not run.
    pub fn put_service(&mut self, arguments: &str) -> Result<(), InstallError> {
        let home = self.home.display().to_string();
        let mut changed = !self.steps.is_empty();
        for (path, text, mode) in units::files(self.init, &home, arguments) {
            let file = self.root.join(path);
            if fs::read_to_string(&file).ok().as_deref() == Some(text.as_str()) {
                continue;
            }
            changed = true;
            self.step(format!("write {}", file.display()), |_| {
                fs::create_dir_all(file.parent().unwrap_or(&file))?;
                let fresh = file.with_extension("new");
                fs::write(&fresh, &text)?;
                fs::set_permissions(&fresh, fs::Permissions::from_mode(mode))?;
                fs::rename(&fresh, &file)
            })?;
        }
        match (self.init, self.runs()) {
            (Init::Other, _) => self.steps.push(units::by_hand(&home, arguments)),
            (Init::Systemd, true) => {
                if changed {
                    self.run("systemctl", &["daemon-reload"])?;
                }
                self.run("systemctl", &["enable", "--quiet", units::SERVICE, units::EARLY])?;
                self.run("systemctl", &[if changed { "restart" } else { "start" }, units::SERVICE])?;
            }
            (Init::Systemd, false) => {
                for (unit, target) in [(units::SERVICE, "multi-user.target"), (units::EARLY, "sysinit.target")] {
                    let wants = self.root.join("etc/systemd/system").join(format!("{target}.wants"));
                    let link = wants.join(unit);
                    if !link.is_symlink() {
                        self.step(format!("enable {unit}"), |_| {
                            fs::create_dir_all(&wants)?;
                            symlink(Path::new("/etc/systemd/system").join(unit), &link)
                        })?;
                    }
                }
            }
            (Init::OpenRc, true) => {
                self.run("rc-update", &["add", "guardian-agent-reapply", "boot"])?;
                self.run("rc-update", &["add", "guardian-agent", "default"])?;
                self.run("rc-service", &["guardian-agent", if changed { "restart" } else { "start" }])?;
            }
            (Init::OpenRc, false) => {
                self.steps.push("add guardian-agent and guardian-agent-reapply to runlevels there".to_owned());
            }
        }
        Ok(())
    }

    fn run(&mut self, program: &str, arguments: &[&str]) -> Result<(), InstallError> {
        let command = format!("{program} {}", arguments.join(" "));
        if !self.dry {
            let output = Command::new(program).args(arguments).env("LC_ALL", "C").output();
            let output = output.map_err(|source| InstallError::Io { what: command.clone(), source })?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
                return Err(InstallError::Failed { command, said });
            }
        }
        self.steps.push(command);
        Ok(())
    }

    /// Refuses while the machine is isolated, blocked from addresses, or has files in quarantine: nobody could end it afterwards.
    pub fn stands(&self) -> Result<(), InstallError> {
        let Ok(home) = Home::open(&self.home) else { return Ok(()) };
        let Ok(Some(identity)) = home.identity() else { return Ok(()) };
        let standing = Response::open(Options::of(&home, &identity)).and_then(|response| response.standing());
        let standing = standing.map_err(|source| InstallError::Io { what: "read what stands".into(), source })?;
        let what = if standing.isolation.is_some() {
            "the machine is isolated"
        } else if !standing.blocks.is_empty() {
            "addresses are blocked on the machine"
        } else if !standing.users.is_empty() {
            "accounts are locked on the machine"
        } else {
            return Ok(());
        };
        Err(InstallError::Stands(format!("{what}: end that first, or say --force")))
    }

    /// Stops the service, and sees to it that it is not started again.
    pub fn stop_service(&mut self) -> Result<(), InstallError> {
        let there = units::files(self.init, "", "").iter().any(|(path, ..)| self.root.join(path).exists());
        match (self.init, self.runs() && there) {
            (Init::Systemd, true) => {
                self.run("systemctl", &["disable", "--quiet", "--now", units::SERVICE])?;
                self.run("systemctl", &["disable", "--quiet", units::EARLY])?;
            }
            (Init::OpenRc, true) => {
                self.run("rc-service", &["guardian-agent", "stop"])?;
                self.run("rc-update", &["del", "guardian-agent", "default"])?;
                self.run("rc-update", &["del", "guardian-agent-reapply", "boot"])?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Removes service and programs, and with `data` all that the agent kept.
    pub fn remove(&mut self, data: bool) -> Result<(), InstallError> {
        for (path, ..) in units::files(self.init, "", "") {
            let file = self.root.join(path);
            if file.exists() {
                self.step(format!("remove {}", file.display()), |_| fs::remove_file(&file).or_else(absent_is_fine))?;
            }
        }
        for (unit, target) in [(units::SERVICE, "multi-user.target"), (units::EARLY, "sysinit.target")] {
            let link = self.root.join(format!("etc/systemd/system/{target}.wants")).join(unit);
            if link.is_symlink() {
                self.step(format!("remove {}", link.display()), |_| fs::remove_file(&link).or_else(absent_is_fine))?;
            }
        }
        if (self.init, self.runs()) == (Init::Systemd, true) {
            self.run("systemctl", &["daemon-reload"])?;
        }
        let command = self.root.join(COMMAND);
        if command.is_symlink() {
            self.step(format!("remove {}", command.display()), |_| fs::remove_file(&command).or_else(absent_is_fine))?;
        }
        let home = self.home.clone();
        for folder in std::iter::once(self.root.join(PROGRAMS)).chain(data.then_some(home)) {
            if folder.exists() {
                self.step(format!("remove {}", folder.display()), |_| {
                    fs::remove_dir_all(&folder).or_else(absent_is_fine)
                })?;
            }
        }
        Ok(())
    }
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_there_goes_away_again_and_twice_is_once() {
        let (root, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(root.path().join("lib/systemd")).unwrap();
        fs::write(root.path().join("lib/systemd/systemd"), "").unwrap();
        let own = std::env::current_exe().unwrap();
        let machine = |dry| Machine::new(root.path(), &home.path().join("agent"), dry);
        let install = |mut machine: Machine| {
            machine.put_program(&own).unwrap();
            machine.put_service("").unwrap();
            machine.steps().to_vec()
        };
        let said = install(machine(true));
        assert!(!root.path().join("usr").exists() && !root.path().join("etc").exists(), "a rehearsal does nothing");
        assert_eq!(install(machine(false)), said, "what was said is what is done");
        let command = root.path().join("usr/local/bin/guardian-agent");
        assert_eq!(digest(&command).unwrap(), digest(&own).unwrap(), "the command leads to the program");
        assert_eq!(install(machine(false)), Vec::<String>::new(), "twice is once");
        let unit = fs::read_to_string(root.path().join("etc/systemd/system/guardian-agent.service")).unwrap();
        assert!(unit.contains("/usr/local/lib/guardian-agent/current/guardian-agent"), "{unit}");
        let mut gone = machine(false);
        gone.stands().unwrap();
        gone.stop_service().unwrap();
        gone.remove(true).unwrap();
        for left in ["usr/local/bin/guardian-agent", "usr/local/lib/guardian-agent"] {
            assert!(!root.path().join(left).exists(), "{left}");
        }
        let files = fs::read_dir(root.path().join("etc/systemd/system")).unwrap();
        assert!(files.filter(|f| f.as_ref().is_ok_and(|f| f.path().is_file())).count() == 0);
        assert!(machine(false).steps().is_empty());
    }

    #[test]
    fn a_newer_version_that_came_by_itself_is_left_alone() {
        let (root, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let newer = root.path().join("usr/local/lib/guardian-agent/versions/99.0.0-abcdef012345");
        fs::create_dir_all(&newer).unwrap();
        symlink("versions/99.0.0-abcdef012345", root.path().join("usr/local/lib/guardian-agent/current")).unwrap();
        let mut machine = Machine::new(root.path(), home.path(), false);
        machine.put_program(&std::env::current_exe().unwrap()).unwrap();
        assert!(machine.steps().iter().any(|step| step.contains("newer version 99.0.0")), "{:?}", machine.steps());
        let now = fs::read_link(root.path().join("usr/local/lib/guardian-agent/current")).unwrap();
        assert_eq!(now, Path::new("versions/99.0.0-abcdef012345"));
        machine.put_service("").unwrap();
        assert!(
            machine.steps().last().unwrap().contains("have the machine start, as root"),
            "it says what to start by hand"
        );
    }
}
