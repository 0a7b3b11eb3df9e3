//! How often the agent began anew, and why the last time: a file, because memory does not outlive that.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::home::Home;

/// Longest file of ours.
const BYTES_MAX: usize = 64 << 10;

/// It begins anew once in so long, at most.
const ANEW_EVERY: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// And so often in a day, at most: what that does not help, nothing of this sort does.
const TIMES_A_DAY_MAX: usize = 4;
/// Times that are noted.
const TIMES_MAX: usize = 8;

fn left(at: i64, time: Duration, now: i64) -> Option<Duration> {
    let since = Duration::from_micros(u64::try_from(now - at).ok()?);
    time.checked_sub(since).filter(|left| !left.is_zero())
}

/// What is noted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Notes {
    /// How often.
    pub(super) count: u64,
    /// When the last times, UTC microseconds.
    times: Vec<i64>,
    /// Why.
    why: String,
}

fn path(home: &Home) -> PathBuf {
    home.path().join("watchdog.json")
}

impl Notes {
    /// What was noted; nothing where there is none, or it is damaged.
    pub(super) fn read(home: &Home) -> Self {
        let bytes = std::fs::read(path(home)).ok().filter(|bytes| bytes.len() <= BYTES_MAX);
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Once more.
    pub(super) fn add(&mut self, why: &str, now: i64) {
        self.times.push(now);
        let over = self.times.len().saturating_sub(TIMES_MAX);
        self.times.drain(..over);
        (self.count, self.why) = (self.count + 1, why.to_owned());
    }

    /// Keeps it.
    pub(super) fn write(&self, home: &Home) -> io::Result<()> {
        home.write(&path(home), &serde_json::to_vec_pretty(self)?, false)
    }

    /// What is left of this time since the last; none where there is nothing left, or a clock that was put back makes it
    /// lie ahead.
    pub(super) fn last_within(&self, time: Duration, now: i64) -> Option<Duration> {
        left(*self.times.last()?, time, now)
    }

    /// Whether it may begin anew: not soon after the last time, and a few times a day at most.
    pub(super) fn may(&self, now: i64) -> bool {
        let today = self.times.iter().filter(|at| left(**at, DAY, now).is_some()).count();
        self.last_within(ANEW_EVERY, now).is_none() && today < TIMES_A_DAY_MAX
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        format!("the agent began anew {} times, the last time because {}", self.count, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_outlives_the_agent_and_grows_old() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let mut notes = Notes::read(&home);
        assert_eq!(notes.last_within(Duration::from_secs(600), 1_000_000_000), None);
        notes.add("spool does not answer", 1_000_000_000);
        notes.write(&home).unwrap();
        let notes = Notes::read(&home);
        assert_eq!(notes.count, 1);
        let left = |now| notes.last_within(Duration::from_secs(600), now);
        assert_eq!(left(1_010_000_000), Some(Duration::from_secs(590)));
        assert_eq!((left(1_601_000_000), left(999_000_000)), (None, None));
        assert!(!notes.may(1_010_000_000) && notes.may(1_601_000_000));
        let mut often = notes.clone();
        for minute in [20, 40, 60] {
            assert!(often.may(1_000_000_000 + minute * 60_000_000));
            often.add("it is too large", 1_000_000_000 + minute * 60_000_000);
        }
        assert!(!often.may(1_000_000_000 + 3_600_000_000 * 5), "four times a day do not help");
        assert!(often.may(1_000_000_000 + 3_600_000_000 * 26) && often.count == 4);
        assert!(notes.text().contains("1 times, the last time because spool does not answer"));
        std::fs::write(path(&home), "{").unwrap();
        assert_eq!(Notes::read(&home), Notes::default());
    }
}
