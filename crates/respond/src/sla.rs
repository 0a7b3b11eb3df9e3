//! Deadlines: until when an incident of some severity must be looked at, contained and resolved, and what its clocks say.

use guardian_catalog::{Incident, SlaClock, SlaDue, SlaMark};
use guardian_model::{Micros, Severity};
use serde::{Deserialize, Serialize};

/// Longest time that can be asked for, in minutes: a year.
pub const MINUTES_MAX: u32 = 366 * 24 * 60;

/// What one severity asks for; none has no deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Target {
    /// Minutes until somebody has to look.
    pub acknowledge_minutes: Option<u32>,
    /// Minutes until it has to be contained.
    pub contain_minutes: Option<u32>,
    /// Minutes until it has to be resolved.
    pub resolve_minutes: Option<u32>,
}

/// What is asked for, by severity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlaPolicy {
    /// Of critical incidents.
    pub critical: Target,
    /// Of high ones.
    pub high: Target,
    /// Of medium ones.
    pub medium: Target,
    /// Of low ones.
    pub low: Target,
    /// Of informational ones.
    pub informational: Target,
    /// Part of the time after which a warning is given, in percent.
    pub warn_percent: u32,
}

impl Default for SlaPolicy {
    fn default() -> Self {
        let target = |acknowledge: u32, contain: u32, resolve: u32| Target {
            acknowledge_minutes: Some(acknowledge),
            contain_minutes: Some(contain),
            resolve_minutes: Some(resolve),
        };
        Self {
            critical: target(15, 4 * 60, 24 * 60),
            high: target(60, 8 * 60, 3 * 24 * 60),
            medium: target(8 * 60, 3 * 24 * 60, 7 * 24 * 60),
            low: target(24 * 60, 7 * 24 * 60, 30 * 24 * 60),
            informational: Target::default(),
            warn_percent: 75,
        }
    }
}

impl SlaPolicy {
    /// What one severity asks for.
    pub const fn of(&self, severity: Severity) -> Target {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Informational => self.informational,
        }
    }

    /// The deadlines of an incident that begins at `from`.
    pub fn due(&self, severity: Severity, from: Micros) -> SlaDue {
        let target = self.of(severity);
        let after = |minutes: Option<u32>| minutes.map(|m| from + i64::from(m) * Micros::MINUTE);
        SlaDue {
            acknowledge: after(target.acknowledge_minutes),
            contain: after(target.contain_minutes),
            resolve: after(target.resolve_minutes),
        }
    }

    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<String> {
        if !(1..=99).contains(&self.warn_percent) {
            return Some("`warn_percent` is 1 to 99".into());
        }
        for severity in Severity::ALL {
            let t = self.of(severity);
            let all = [t.acknowledge_minutes, t.contain_minutes, t.resolve_minutes];
            if all.iter().flatten().any(|m| *m == 0 || *m > MINUTES_MAX) {
                return Some(format!("{severity}: a time is 1 to {MINUTES_MAX} minutes"));
            }
            if !all.into_iter().flatten().is_sorted() {
                return Some(format!("{severity}: to acknowledge comes before to contain, and that before to resolve"));
            }
        }
        None
    }
}

/// What a clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    /// Nothing is asked for.
    None,
    /// There is time.
    Running,
    /// The deadline is near.
    Warning,
    /// The deadline has passed and the work is not done.
    Breached,
    /// It was done in time.
    Met,
    /// It was done too late.
    Missed,
}

impl ClockState {
    /// The word it is shown as.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::Warning => "warning",
            Self::Breached => "breached",
            Self::Met => "met",
            Self::Missed => "missed",
        }
    }
}

/// What a clock of an incident says at `now`.
pub fn state(incident: &Incident, clock: SlaClock, policy: &SlaPolicy, now: Micros) -> ClockState {
    let Some(due) = incident.due.of(clock) else { return ClockState::None };
    match incident.done_at(clock) {
        Some(done) if done <= due => ClockState::Met,
        Some(_) => ClockState::Missed,
        None if now >= due => ClockState::Breached,
        None if now >= warn_at(incident, due, policy) => ClockState::Warning,
        None => ClockState::Running,
    }
}

/// When the warning about a deadline is given.
fn warn_at(incident: &Incident, due: Micros, policy: &SlaPolicy) -> Micros {
    let span = (due - incident.created).max(0);
    incident.created + span / 100 * i64::from(policy.warn_percent)
}

/// What has to be told of an incident at `now` and was not told yet: a passed deadline at once, a near one as a warning.
pub fn marks(incident: &Incident, policy: &SlaPolicy, now: Micros) -> Vec<(SlaClock, SlaMark)> {
    let clocks = SlaClock::ALL.iter().copied();
    let marks = clocks.filter_map(|clock| match state(incident, clock, policy, now) {
        ClockState::Breached if !incident.breached.contains(&clock) => Some((clock, SlaMark::Breached)),
        ClockState::Warning if !incident.warned.contains(&clock) => Some((clock, SlaMark::Warned)),
        _ => None,
    });
    marks.collect()
}

#[cfg(test)]
mod tests {
    use guardian_catalog::{SlaClock, SlaMark};
    use guardian_model::{Micros, Severity};

    use super::{ClockState, SlaPolicy, Target, marks, state};
    use crate::correlate::tests::incident;

    const MINUTE: i64 = Micros::MINUTE;

    #[test]
    fn clocks_run_warn_and_end() {
        let policy = SlaPolicy::default();
        let start = Micros::from_secs(1_000_000);
        let mut one = incident(1, start);
        one.severity = Severity::Critical;
        one.due = policy.due(Severity::Critical, start);
        let at = |one: &_, minutes: i64| state(one, SlaClock::Acknowledge, &policy, start + minutes * MINUTE);
        assert_eq!(at(&one, 1), ClockState::Running);
        assert_eq!(at(&one, 12), ClockState::Warning);
        assert_eq!(at(&one, 15), ClockState::Breached);
        assert_eq!(marks(&one, &policy, start + 12 * MINUTE), [(SlaClock::Acknowledge, SlaMark::Warned)]);
        one.warned.push(SlaClock::Acknowledge);
        assert_eq!(marks(&one, &policy, start + 12 * MINUTE), []);
        assert_eq!(marks(&one, &policy, start + 16 * MINUTE), [(SlaClock::Acknowledge, SlaMark::Breached)]);
        one.triaged_at = Some(start + 20 * MINUTE);
        assert_eq!(at(&one, 99), ClockState::Missed);
        one.triaged_at = Some(start + 2 * MINUTE);
        assert_eq!(at(&one, 99), ClockState::Met);
        one.due = policy.due(Severity::Informational, start);
        assert_eq!(at(&one, 99), ClockState::None);
    }

    #[test]
    fn policies_make_sense() {
        assert_eq!(SlaPolicy::default().problem(), None);
        let odd = Target { acknowledge_minutes: Some(60), contain_minutes: None, resolve_minutes: Some(30) };
        assert!(SlaPolicy { high: odd, ..SlaPolicy::default() }.problem().unwrap().starts_with("high"));
        assert!(SlaPolicy { warn_percent: 100, ..SlaPolicy::default() }.problem().is_some());
    }
}
