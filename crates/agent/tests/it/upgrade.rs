//! The guard of a version on trial, as the program it is: who runs afterwards, whatever the new one does. The programs are scripts
//! that write down how they were started, so that what is seen is the guard alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use guardian_agent::upgrade::{Books, Program, State, Trial, digest};
use guardian_protocol::message::UpgradeState;

const OFFER: [u8; 16] = [7; 16];

struct Stand {
    dir: tempfile::TempDir,
}

impl Stand {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program that writes down how it was started, and then does something.
    fn program(&self, version: &str, does: &str) -> Program {
        let path = self.path(version);
        let log = self.path("log");
        let text =
            format!("#!/bin/sh\necho \"{version} $* trial=$GUARDIAN_AGENT_TRIAL\" >> {}\n{does}\n", log.display());
        guardian_testkit::program::write(&path, text);
        Program { version: version.into(), sha256: digest(&path).unwrap(), path }
    }

    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn books(&self) -> Books {
        Books::of(self.dir.path())
    }

    fn state(&self) -> State {
        self.books().read().unwrap()
    }

    /// The guard of a trial of `to`, which ends at once as the program before does.
    fn guard(&self, to: Program, prove_within_s: u32) -> Child {
        let from = self.program("1.0.0", "exit 7");
        let trial = Trial { offer: OFFER, revert: false, from, to, prove_within_s };
        self.books().write(&State { trial: Some(trial), ..State::default() }).unwrap();
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_guardian-agent")));
        command.arg("--dir").arg(self.dir.path()).args(["upgrade-guard", "--", "run", "--no-files"]);
        command.spawn().unwrap()
    }

    fn prove(&self) -> String {
        // The offer's bytes, as the shell writes them.
        let bytes = OFFER.map(|byte| format!("\\{byte:03o}")).concat();
        format!("printf '{bytes}' > {}", self.path("upgrade/proof").display())
    }
}

#[test]
fn a_version_that_ends_is_followed_by_the_one_before() {
    let stand = Stand::new();
    let bad = stand.program("2.0.0", "exit 1");
    let status = stand.guard(bad.clone(), 30).wait().unwrap();
    assert_eq!(status.code(), Some(7), "the process goes on as the program before");
    assert_eq!(stand.log(), ["2.0.0 run --no-files trial=1", "1.0.0 run --no-files trial="]);
    let state = stand.state();
    let told = state.untold.unwrap();
    assert_eq!((state.trial, told.state, told.offer), (None, UpgradeState::RolledBack, OFFER));
    assert!(told.text.contains("1.0.0 is back: it ended by itself"), "{}", told.text);
    assert_eq!((state.kept, state.spoilt), (None, vec![bad.sha256]));
}

#[test]
fn a_version_that_nobody_sees_is_followed_by_the_one_before() {
    let stand = Stand::new();
    let begun = Instant::now();
    // It does not even end when it is told to.
    let status = stand.guard(stand.program("2.0.0", "trap '' TERM; sleep 3; exit 0"), 1).wait().unwrap();
    assert_eq!(status.code(), Some(7));
    assert!(begun.elapsed() > Duration::from_secs(1));
    assert!(stand.state().untold.unwrap().text.contains("had not seen it within 1 s"));
    let missing = Program { version: "3.0.0".into(), path: stand.path("nothing"), sha256: String::new() };
    assert_eq!(stand.guard(missing, 9).wait().unwrap().code(), Some(7));
    assert!(stand.state().untold.unwrap().text.contains("does not start"));
}

#[test]
fn a_version_that_was_seen_stays() {
    let stand = Stand::new();
    let does = format!("[ -z \"$GUARDIAN_AGENT_TRIAL\" ] && exit 5\n{}\nexec sleep 60", stand.prove());
    let good = stand.program("2.0.0", &does);
    let status = stand.guard(good.clone(), 30).wait().unwrap();
    assert_eq!(status.code(), Some(5), "the process goes on as the new one");
    assert_eq!(stand.log(), ["2.0.0 run --no-files trial=1", "2.0.0 run --no-files trial="]);
    let state = stand.state();
    let kept = state.kept.unwrap();
    assert_eq!((kept.program, kept.before.version.as_str(), kept.offer), (good, "1.0.0", OFFER));
    assert_eq!((state.trial, state.untold.unwrap().state), (None, UpgradeState::Kept));
}

#[test]
fn whoever_ends_the_guard_ends_the_trial_and_it_is_noted_still() {
    let stand = Stand::new();
    let mut guard = stand.guard(stand.program("2.0.0", "exec sleep 60"), 30);
    let begun = Instant::now();
    while stand.log().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = nix::unistd::Pid::from_raw(guard.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(guard.wait().unwrap().success());
    assert_eq!(stand.log().len(), 1, "nothing else was started");
    assert!(stand.state().trial.is_some(), "the next start finds what was cut short");
}
