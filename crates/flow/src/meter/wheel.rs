//! A timer wheel: slots of the flow table, by when to look at them again.
//!
//! It must never decide anything: an entry only says "look", and may come early.

use std::collections::VecDeque;

use guardian_model::Micros;

/// Length of one step, in microseconds.
const STEP: i64 = Micros::SECOND / 4;
/// Steps of one turn, 128 seconds: entries further away are looked at once a turn.
const STEPS: i64 = 512;

#[derive(Debug)]
pub(super) struct Wheel {
    steps: Vec<Vec<u32>>,
    /// The last step that was moved to `due`.
    at: i64,
    due: VecDeque<u32>,
}

impl Default for Wheel {
    fn default() -> Self {
        Self { steps: vec![Vec::new(); STEPS as usize], at: 0, due: VecDeque::new() }
    }
}

impl Wheel {
    /// Forgets everything and begins at `now`.
    pub(super) fn restart(&mut self, now: Micros) {
        self.steps.iter_mut().for_each(Vec::clear);
        self.due.clear();
        self.at = now.0.div_euclid(STEP);
    }

    /// Asks to look at `entry` at the first step that is not before `when`, or a turn from now.
    pub(super) fn add(&mut self, entry: u32, when: Micros) {
        let step = (when.0.div_euclid(STEP) + 1).clamp(self.at + 1, self.at + STEPS - 1);
        self.steps[step.rem_euclid(STEPS) as usize].push(entry);
    }

    /// Turns to `now`; says whether there is anything to look at.
    pub(super) fn turn(&mut self, now: Micros) -> bool {
        let target = now.0.div_euclid(STEP);
        if target > self.at {
            for step in (self.at + 1).max(target - STEPS + 1)..=target {
                // Taken with its memory: a burst that wanders through the steps must not leave its room behind in each.
                self.due.extend(std::mem::take(&mut self.steps[step.rem_euclid(STEPS) as usize]));
            }
            self.at = target;
        }
        !self.due.is_empty()
    }

    /// The next entry to look at.
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.due.pop_front()
    }

    /// Whether all that was due has been looked at.
    pub(super) fn is_idle(&self) -> bool {
        self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_no_earlier_than_asked_within_a_turn_and_once() {
        let mut wheel = Wheel::default();
        let start = Micros::from_secs(1_000_000);
        wheel.restart(start);
        for (entry, after) in [0, 1, 249_999, 250_000, 15 * Micros::SECOND, 60 * Micros::SECOND].into_iter().enumerate()
        {
            wheel.add(entry as u32, start + after);
        }
        let mut seen = Vec::new();
        for step in 0..400 {
            let now = start + step * STEP;
            wheel.turn(now);
            while let Some(entry) = wheel.pop() {
                seen.push((entry, (now - start) / STEP));
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [(0, 1), (1, 1), (2, 1), (3, 2), (4, 61), (5, 241)]);
    }

    #[test]
    fn far_entries_and_far_jumps_are_seen() {
        let mut wheel = Wheel::default();
        wheel.restart(Micros(0));
        wheel.add(7, Micros(Micros::DAY));
        assert!(!wheel.turn(Micros(100 * Micros::SECOND)));
        assert!(wheel.turn(Micros(128 * Micros::SECOND)), "a far entry is looked at once a turn");
        assert_eq!(wheel.pop(), Some(7));
        wheel.add(8, Micros(130 * Micros::SECOND));
        assert!(wheel.turn(Micros(10 * Micros::DAY)));
        assert_eq!(wheel.pop(), Some(8));
        assert!(wheel.is_idle());
    }
}
