//! What is noted of upgrades, on the disk: what is on trial, what was kept, what was rolled back, and what the server has not
//! heard yet. Read anew each time, because the program on trial and its guard both write it, one after the other.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use guardian_protocol::message::UpgradeState;
use serde::{Deserialize, Serialize};

/// Programs that were rolled back here and are remembered.
const SPOILT_MAX: usize = 64;
/// Bytes of the notes.
const STATE_BYTES_MAX: u64 = 1 << 20;

/// A program on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// A program that is on trial, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The offer.
    pub offer: [u8; 16],
    /// Whether it is the one before, that is gone back to.
    pub revert: bool,
    /// The program that goes on where it fails.
    pub from: Program,
    /// The program that is tried.
    pub to: Program,
    /// How long it has, in seconds.
    pub prove_within_s: u32,
}

/// A program that proved itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The offer by which it came.
    pub offer: [u8; 16],
    /// The program.
    pub program: Program,
    /// The one in whose place it is.
    pub before: Program,
    /// Since when, UTC microseconds.
    pub since: i64,
}

/// What became of an offer, for as long as the server has not heard it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// The offer.
    pub offer: [u8; 16],
    /// Whether it was about going back.
    pub revert: bool,
    /// What became of it.
    pub state: UpgradeState,
    /// For people.
    pub text: String,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What is on trial.
    pub trial: Option<Trial>,
    /// What was kept last.
    pub kept: Option<Kept>,
    /// What the server has not heard.
    pub untold: Option<Untold>,
    /// SHA-256 of programs that were rolled back here.
    pub spoilt: Vec<String>,
    /// SHA-256 of the program whose trial was cut short last.
    pub cut: String,
}

impl State {
    /// The trial ends well: the program stays.
    pub(crate) fn keep(&mut self, trial: &Trial, now: i64) {
        self.trial = None;
        self.kept = (!trial.revert).then(|| Kept {
            offer: trial.offer,
            program: trial.to.clone(),
            before: trial.from.clone(),
            since: now,
        });
        self.tell(trial.offer, trial.revert, UpgradeState::Kept, format!("{} runs", trial.to.version));
    }

    /// The trial ends badly: the program before is back.
    pub(crate) fn roll_back(&mut self, trial: &Trial, why: &str) {
        self.trial = None;
        self.spoil(&trial.to.sha256);
        let text = format!("{} is back: {why}", trial.from.version);
        self.tell(trial.offer, trial.revert, UpgradeState::RolledBack, text);
    }

    /// The trial was cut short, by a reboot perhaps. The second time it counts as a bad end: the program may be the reason.
    pub(crate) fn cut_short(&mut self, trial: &Trial) {
        if self.cut == trial.to.sha256 {
            return self.roll_back(trial, "its trial was cut short twice");
        }
        self.trial = None;
        self.cut.clone_from(&trial.to.sha256);
        let text = format!("the trial of {} was cut short", trial.to.version);
        self.tell(trial.offer, trial.revert, UpgradeState::Interrupted, text);
    }

    /// Remembers that a program is good for nothing here.
    pub(crate) fn spoil(&mut self, sha256: &str) {
        self.spoilt.retain(|known| known != sha256);
        self.spoilt.push(sha256.to_owned());
        let over = self.spoilt.len().saturating_sub(SPOILT_MAX);
        self.spoilt.drain(..over);
    }

    /// Notes what the server is to hear.
    pub(crate) fn tell(&mut self, offer: [u8; 16], revert: bool, state: UpgradeState, text: String) {
        self.untold = Some(Untold { offer, revert, state, text });
    }
}

/// Where it is noted.
#[derive(Clone, Debug)]
pub struct Books(PathBuf);

impl Books {
    /// Those in the folder of an agent.
    pub fn of(home: &Path) -> Self {
        Self(home.join("upgrade"))
    }

    fn path(&self) -> PathBuf {
        self.0.join("state.json")
    }

    fn proof_path(&self) -> PathBuf {
        self.0.join("proof")
    }

    /// What is noted. Notes that cannot be understood are an error, never nothing.
    pub fn read(&self) -> io::Result<State> {
        let file = match fs::File::open(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            file => file?,
        };
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, STATE_BYTES_MAX), &mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Notes it, durably.
    pub fn write(&self, state: &State) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        crate::response::write_whole(&self.path(), &serde_json::to_vec_pretty(state)?)
    }

    /// The program on trial was seen by the server: its guard finds this.
    pub(crate) fn prove(&self, offer: &[u8; 16]) -> io::Result<()> {
        crate::response::write_whole(&self.proof_path(), offer)
    }

    /// Whether there is proof for an offer.
    pub(crate) fn is_proved(&self, offer: &[u8; 16]) -> bool {
        fs::read(self.proof_path()).is_ok_and(|bytes| bytes == offer)
    }

    /// Forgets proof of what was before.
    pub(crate) fn unprove(&self) -> io::Result<()> {
        match fs::remove_file(self.proof_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_end_one_way_or_the_other_and_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let books = Books::of(folder.path());
        assert_eq!(books.read().unwrap(), State::default());
        let program = |version: &str| Program {
            version: version.into(),
            path: format!("/v/{version}").into(),
            sha256: version.into(),
        };
        let trial =
            Trial { offer: [1; 16], revert: false, from: program("1.0.0"), to: program("1.1.0"), prove_within_s: 9 };
        let mut state = State { trial: Some(trial.clone()), ..State::default() };
        state.roll_back(&trial, "it ended");
        assert_eq!((state.trial.is_none(), state.spoilt.as_slice()), (true, ["1.1.0".to_owned()].as_slice()));
        assert!(state.untold.as_ref().is_some_and(|told| told.text == "1.0.0 is back: it ended"));
        state.keep(&trial, 5);
        assert_eq!(state.kept.as_ref().map(|kept| kept.before.version.as_str()), Some("1.0.0"));
        books.write(&state).unwrap();
        assert_eq!(books.read().unwrap(), state);
        state.keep(&Trial { revert: true, ..trial.clone() }, 6);
        assert_eq!(state.kept, None, "the program before is what there was from the beginning");
        let again = Trial { to: program("1.2.0"), ..trial };
        state.cut_short(&again);
        assert_eq!(state.untold.as_ref().unwrap().state, UpgradeState::Interrupted);
        state.cut_short(&again);
        assert_eq!(state.untold.as_ref().unwrap().state, UpgradeState::RolledBack);
        for n in 0..100 {
            state.spoil(&n.to_string());
        }
        assert_eq!(state.spoilt.len(), SPOILT_MAX);
        assert!(!books.is_proved(&[1; 16]));
        books.prove(&[1; 16]).unwrap();
        assert!(books.is_proved(&[1; 16]) && !books.is_proved(&[2; 16]));
        books.unprove().unwrap();
        books.unprove().unwrap();
        assert!(!books.is_proved(&[1; 16]));
        fs::write(books.path(), "{").unwrap();
        assert!(books.read().is_err());
    }
}
