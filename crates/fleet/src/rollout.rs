//! What comes next in a rollout, out of its plan and of how far hosts are: values in, a decision out. And which hosts belong
//! to which stage.

use std::collections::BTreeMap;

use guardian_catalog::{Host, Rollout, RolloutHostState, RolloutStage, RolloutState};
use guardian_model::Micros;
use uuid::Uuid;

use crate::groups::{group_filter, host_facts};

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing yet.
    Wait,
    /// The stage has passed: the wait behind it begins.
    Passed,
    /// The next stage begins.
    Next,
    /// All hosts have come to an end.
    Finish,
    /// Too many did not come back.
    Fail(String),
}

/// How many hosts are how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    all: u64,
    waiting: u64,
    open: u64,
    done: u64,
    bad: u64,
}

impl Tally {
    fn of<'a>(states: impl Iterator<Item = &'a BTreeMap<RolloutHostState, u64>>) -> Self {
        let mut tally = Self::default();
        for (state, hosts) in states.flatten() {
            tally.all += hosts;
            match state {
                RolloutHostState::Waiting => tally.waiting += hosts,
                state if state.is_open() => tally.open += hosts,
                state if state.is_bad() => tally.bad += hosts,
                RolloutHostState::Done => tally.done += hosts,
                // Those that went back say nothing about whether it is good.
                _ => tally.all -= hosts,
            }
        }
        tally
    }

    fn begun(&self) -> u64 {
        self.open + self.done + self.bad
    }
}

/// What comes next in a rollout that runs.
pub(crate) fn decide(rollout: &Rollout, now: Micros) -> Step {
    if rollout.state != RolloutState::Running {
        return Step::Wait;
    }
    let (plan, stage) = (&rollout.plan, rollout.stage as usize);
    let here = Tally::of(rollout.states.get(stage).into_iter());
    let so_far = Tally::of(rollout.states.iter().take(stage + 1));
    let success = u64::from(plan.success_percent.min(100));
    // Those that may fail of a number of hosts.
    let allowed = |of: u64| of - (of * success).div_ceil(100);
    if so_far.bad > allowed(so_far.all) || here.bad > allowed(here.all) {
        return Step::Fail(format!("{} of {} hosts did not come back with it", so_far.bad, so_far.begun()));
    }
    let seconds = |n: u32| i64::from(n) * Micros::SECOND;
    let last = stage + 1 >= plan.stages.len();
    let Some(passed) = rollout.stage_passed else {
        let over = now.0 >= rollout.stage_since.0 + seconds(plan.within_s);
        let enough = here.done * 100 >= here.begun() * success;
        return match (here.all, here.begun()) {
            (0, _) => Step::Passed,
            // Nobody is there: there is nothing to judge by.
            (_, 0) => Step::Wait,
            _ if enough && here.open == 0 && (here.waiting == 0 || over) => Step::Passed,
            _ if over && enough => Step::Passed,
            _ if over => Step::Fail(format!(
                "{} of {} hosts of stage {} came back with it within {} s",
                here.done,
                here.begun(),
                stage + 1,
                plan.within_s
            )),
            _ => Step::Wait,
        };
    };
    let wait = plan.stages.get(stage).map_or(0, |stage| stage.wait_s);
    match last {
        false if now.0 >= passed.0 + seconds(wait) => Step::Next,
        true if so_far.waiting == 0 && so_far.open == 0 => Step::Finish,
        _ => Step::Wait,
    }
}

/// Why hosts cannot be sorted into stages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stage {stage}: {why}")]
pub struct StageError {
    /// Which, from 1.
    pub stage: usize,
    /// What is wrong.
    pub why: String,
}

/// The place of a host in a rollout, from 0 to 99: random to people, and the same whoever asks.
fn place(rollout: Uuid, host: Uuid) -> u8 {
    let hash = blake3::hash(&[rollout.as_bytes().as_slice(), host.as_bytes()].concat());
    let bytes = hash.as_bytes();
    (u16::from_le_bytes([bytes[0], bytes[1]]) % 100) as u8
}

/// Sorts hosts into the first stage that they fit. Of a stage with a part only, at least one host is taken where there is one.
pub fn stages(
    seed: Uuid,
    wanted: &[RolloutStage],
    hosts: &[Host],
    now: Micros,
) -> Result<Vec<Option<u32>>, StageError> {
    let mut sorted: Vec<Option<u32>> = vec![None; hosts.len()];
    for (at, stage) in wanted.iter().enumerate() {
        let wrong = |why: String| StageError { stage: at + 1, why };
        if !(1..=100).contains(&stage.percent) {
            return Err(wrong("`percent` is from 1 to 100".into()));
        }
        let filter = stage.filter.as_deref().map(|text| group_filter(text, now));
        let filter = filter.transpose().map_err(|error| wrong(error.to_string()))?;
        let fits = |host: &Host| {
            let grouped = stage.group.as_ref().is_none_or(|group| host.is_in(group));
            let passes =
                |filter: &guardian_expr::RecordFilter| host_facts(host, now).is_some_and(|f| filter.passes(&f));
            grouped && filter.as_ref().is_none_or(passes)
        };
        let mut fitting: Vec<usize> = (0..hosts.len()).filter(|n| fits(&hosts[*n])).collect();
        fitting.sort_by_key(|n| (place(seed, hosts[*n].id), hosts[*n].id));
        let part = (fitting.len() * usize::from(stage.percent)).div_ceil(100);
        for n in fitting.into_iter().take(part) {
            sorted[n].get_or_insert(at as u32);
        }
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use RolloutHostState as S;
    use guardian_catalog::RolloutPlan;
    use guardian_model::TenantId;

    use super::*;
    use crate::groups::tests::host;

    const SECOND: i64 = Micros::SECOND;

    fn rollout(stage: u32, passed: Option<i64>, states: Vec<Vec<(S, u64)>>) -> Rollout {
        let stages = vec![RolloutStage { percent: 100, wait_s: 60, ..RolloutStage::default() }; states.len()];
        let plan = RolloutPlan {
            stages,
            success_percent: 90,
            within_s: 600,
            prove_within_s: 60,
            bytes_per_s: 0,
            at_once: 10,
            roll_back: true,
            again: false,
        };
        Rollout {
            id: Uuid::nil(),
            tenant: TenantId::DEFAULT,
            release_version: "1.0.0".into(),
            plan,
            state: RolloutState::Running,
            stage,
            stage_since: Micros(0),
            stage_passed: passed.map(|s| Micros(s * SECOND)),
            reason: String::new(),
            author: String::new(),
            created: Micros(0),
            updated: Micros(0),
            version: 1,
            hosts: 0,
            states: states.into_iter().map(|states| states.into_iter().collect()).collect(),
        }
    }

    #[test]
    fn stages_pass_wait_and_fail() {
        let rest = || vec![(S::Waiting, 90)];
        let fails = |rollout: &Rollout, at: i64| matches!(decide(rollout, Micros(at * SECOND)), Step::Fail(_));
        for (first, passed, at, expected) in [
            (vec![(S::Waiting, 10)], None, 9_999, Step::Wait),
            (vec![(S::Offered, 1), (S::Done, 9)], None, 10, Step::Wait),
            (vec![(S::Done, 10)], None, 10, Step::Passed),
            (vec![(S::Done, 9), (S::RolledBack, 1)], None, 10, Step::Passed),
            (vec![(S::Done, 9), (S::Waiting, 1)], None, 10, Step::Wait),
            (vec![(S::Done, 9), (S::Waiting, 1)], None, 600, Step::Passed),
            (vec![(S::Done, 9), (S::Offered, 1)], None, 600, Step::Passed),
            (vec![], None, 0, Step::Passed),
            (vec![(S::Done, 10)], Some(100), 159, Step::Wait),
            (vec![(S::Done, 10)], Some(100), 160, Step::Next),
        ] {
            assert_eq!(
                decide(&rollout(0, passed, vec![first.clone(), rest()]), Micros(at * SECOND)),
                expected,
                "{first:?}"
            );
        }
        for (first, passed, at) in [
            (vec![(S::RolledBack, 2), (S::Waiting, 8)], None, 1),
            (vec![(S::Done, 8), (S::Offered, 2)], None, 600),
            (vec![(S::Done, 8), (S::RolledBack, 2)], Some(10), 20),
        ] {
            assert!(fails(&rollout(0, passed, vec![first.clone(), rest()]), at), "{first:?}");
        }
        assert!(fails(&rollout(0, None, vec![vec![(S::Refused, 1)], rest()]), 1), "one of one");
        let last = |states| rollout(1, Some(1), vec![vec![(S::Done, 10)], states]);
        assert_eq!(decide(&last(vec![(S::Done, 89), (S::Waiting, 1)]), Micros(1 << 50)), Step::Wait);
        assert_eq!(decide(&last(vec![(S::Done, 90)]), Micros(2)), Step::Finish);
        let paused = Rollout { state: RolloutState::Paused, ..last(vec![(S::Done, 90)]) };
        assert_eq!(decide(&paused, Micros(2)), Step::Wait);
    }

    #[test]
    fn hosts_are_in_the_first_stage_that_they_fit() {
        let hosts: Vec<Host> = (0..200u128)
            .map(|n| {
                let mut host = host(if n < 10 { &["canary"] } else { &[] }, if n < 50 { &["shop"] } else { &[] });
                host.id = Uuid::from_u128(n);
                host
            })
            .collect();
        let stage = |group: Option<&str>, filter: Option<&str>, percent| RolloutStage {
            group: group.map(str::to_owned),
            filter: filter.map(str::to_owned),
            percent,
            wait_s: 0,
        };
        let wanted = [stage(None, Some("tag = canary"), 1), stage(Some("shop"), None, 50), stage(None, None, 100)];
        let sorted = stages(Uuid::from_u128(9), &wanted, &hosts, Micros(1)).unwrap();
        let of = |stage| sorted.iter().filter(|s| **s == Some(stage)).count();
        assert_eq!(of(0), 1, "at least one");
        assert!((24..=25).contains(&of(1)), "half of fifty, without those of the first stage: {}", of(1));
        assert_eq!(of(0) + of(1) + of(2), 200);
        assert_eq!(stages(Uuid::from_u128(9), &wanted, &hosts, Micros(2)).unwrap(), sorted, "whoever asks");
        assert_ne!(stages(Uuid::from_u128(8), &wanted, &hosts, Micros(1)).unwrap(), sorted);
        assert_eq!(stages(Uuid::nil(), &[stage(None, None, 0)], &hosts, Micros(1)).unwrap_err().stage, 1);
        assert!(stages(Uuid::nil(), &[stage(None, Some("x = 1"), 5)], &hosts, Micros(1)).is_err());
    }
}
