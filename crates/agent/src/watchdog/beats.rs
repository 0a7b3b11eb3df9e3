//! Signs of life: every part says now and then that it goes on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A part that says nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(300);
/// Parts that may be at one piece of work for longer: a file of any length is read to its end before the next look.
const LONGER: &[(&str, Duration)] = &[("files", Duration::from_secs(6 * 3_600))];

/// When each part was heard last.
#[derive(Debug)]
pub(crate) struct Beats {
    heard: Mutex<BTreeMap<&'static str, Instant>>,
    patience: Duration,
}

impl Default for Beats {
    fn default() -> Self {
        Self { heard: Mutex::default(), patience: PATIENCE }
    }
}

impl Beats {
    fn heard(&self) -> MutexGuard<'_, BTreeMap<&'static str, Instant>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part goes on.
    pub(crate) fn beat(&self, part: &'static str) {
        self.heard().insert(part, Instant::now());
    }

    /// A part ends, as it should.
    pub(crate) fn still(&self, part: &'static str) {
        self.heard().remove(part);
    }

    /// Everything stood still for a time, and nobody is to blame.
    pub(crate) fn all_are_alive(&self) {
        let now = Instant::now();
        self.heard().values_mut().for_each(|at| *at = now);
    }

    /// A part that is stuck.
    pub(crate) fn stuck(&self) -> Option<&'static str> {
        let patience = |part: &str| {
            let longer = LONGER.iter().find(|(of, _)| *of == part).map(|(_, patience)| *patience);
            longer.map_or(self.patience, |longer| longer.max(self.patience))
        };
        self.heard().iter().find(|(part, at)| at.elapsed() > patience(part)).map(|(part, _)| *part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_is_stuck() {
        let beats = Beats { patience: Duration::from_millis(50), ..Beats::default() };
        for part in ["spool", "health", "files"] {
            beats.beat(part);
        }
        assert_eq!(beats.stuck(), None);
        std::thread::sleep(Duration::from_millis(80));
        beats.beat("spool");
        assert_eq!(beats.stuck(), Some("health"), "files may take longer");
        beats.still("health");
        assert_eq!(beats.stuck(), None);
        std::thread::sleep(Duration::from_millis(80));
        assert_eq!(beats.stuck(), Some("spool"));
        beats.all_are_alive();
        assert_eq!(beats.stuck(), None);
    }
}
