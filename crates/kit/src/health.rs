//! What is well and what is not: named checks that components keep up to date and that `/healthz` and `/readyz` show.
//!
//! A check is set by who knows; nobody probes. Live means the process makes progress and should not be restarted;
//! ready means it can take work.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

/// State of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All is well.
    Ok,
    /// Works, but somebody should look. Does not make the whole unready.
    Degraded,
    /// Does not work.
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        })
    }
}

/// What a check speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The process as a whole: if it fails, restart.
    Live,
    /// Readiness for work: if it fails, send the work elsewhere or wait.
    Ready,
}

/// One check as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// What it speaks for.
    pub scope: Scope,
    /// Its state.
    pub state: State,
    /// Why, and what to do; empty when all is well.
    pub reason: String,
}

/// All checks of one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Whether no check failed.
    pub ok: bool,
    /// The worst state.
    pub state: State,
    /// Every check, by name.
    pub checks: Vec<Status>,
}

/// The board of checks. Cheap to clone; all clones are the same board.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Status>>>);

/// Handle with which a component reports. When it is dropped, the check stays as it was.
#[derive(Clone, Debug)]
pub struct Check {
    board: Health,
    name: String,
}

impl Health {
    /// A board without checks, which is well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, or takes over the one of this name. It begins as failed with the reason "starting".
    pub fn check(&self, name: &str, scope: Scope) -> Check {
        let status = Status { name: name.to_owned(), scope, state: State::Failed, reason: "starting".to_owned() };
        self.0.lock().insert(name.to_owned(), status);
        Check { board: self.clone(), name: name.to_owned() }
    }

    /// What `/healthz` shows.
    pub fn live(&self) -> Snapshot {
        self.snapshot(|scope| scope == Scope::Live)
    }

    /// What `/readyz` shows: readiness presupposes life.
    pub fn ready(&self) -> Snapshot {
        self.snapshot(|_| true)
    }

    fn snapshot(&self, wanted: impl Fn(Scope) -> bool) -> Snapshot {
        let checks: Vec<Status> = self.0.lock().values().filter(|s| wanted(s.scope)).cloned().collect();
        let state = checks.iter().map(|s| s.state).max().unwrap_or(State::Ok);
        Snapshot { ok: state != State::Failed, state, checks }
    }
}

impl Check {
    /// All is well.
    pub fn ok(&self) {
        self.set(State::Ok, "");
    }

    /// Works, but somebody should look.
    pub fn degraded(&self, reason: impl Into<String>) {
        self.set(State::Degraded, reason);
    }

    /// Does not work.
    pub fn failed(&self, reason: impl Into<String>) {
        self.set(State::Failed, reason);
    }

    fn set(&self, state: State, reason: impl Into<String>) {
        let reason = reason.into();
        if let Some(status) = self.board.0.lock().get_mut(&self.name)
            && (status.state != state || status.reason != reason)
        {
            if state == State::Ok {
                tracing::debug!(check = self.name, "well again");
            } else {
                tracing::warn!(check = self.name, %state, reason, "health changed");
            }
            status.state = state;
            status.reason = reason;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_needs_every_check_and_life_only_its_own() {
        let health = Health::new();
        assert!(health.live().ok && health.ready().ok);
        let (loop_check, lake) = (health.check("loop", Scope::Live), health.check("lake", Scope::Ready));
        loop_check.ok();
        assert!(health.live().ok && !health.ready().ok);
        assert_eq!(health.ready().checks[0].reason, "starting");
        lake.degraded("disk 91% full");
        assert_eq!((health.ready().ok, health.ready().state), (true, State::Degraded));
        loop_check.failed("no progress for 60s");
        assert!(!health.live().ok && !health.ready().ok);
        lake.ok();
        assert_eq!(health.live().checks.len(), 1);
    }
}
