//! A budget of bytes a second for reading, so that a scan is not felt. Time is passed in.

use std::time::Duration;

/// Bytes that may be read, refilled with time. A second's worth can be saved up.
#[derive(Debug)]
pub struct Budget {
    bytes_per_second: u64,
    /// What is left; below zero for what was read in advance.
    left: i64,
    at: Duration,
}

impl Budget {
    /// So many bytes a second, from `now` on a clock that does not go back; 0 for no limit.
    pub const fn new(bytes_per_second: u64, now: Duration) -> Self {
        Self { bytes_per_second, left: 0, at: now }
    }

    /// Takes `bytes`, and returns how long to wait before reading them.
    pub fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        if self.bytes_per_second == 0 {
            return Duration::ZERO;
        }
        let rate = i64::try_from(self.bytes_per_second).unwrap_or(i64::MAX);
        let passed = now.saturating_sub(self.at);
        self.at = now;
        let refill = (passed.as_secs_f64() * rate as f64) as i64;
        self.left = self.left.saturating_add(refill).min(rate).saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        if self.left >= 0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(self.left.unsigned_abs() as f64 / rate as f64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_and_only_a_second_is_saved_up() {
        let at = |ms| Duration::from_millis(ms);
        let mut budget = Budget::new(1_000, at(0));
        assert_eq!(budget.take(500, at(0)), at(500));
        assert_eq!(budget.take(500, at(500)), at(500));
        assert_eq!(budget.take(500, at(60_000)), at(0));
        assert_eq!(budget.take(500, at(60_000)), at(0));
        assert_eq!(budget.take(1_000, at(60_000)), at(1_000));
        assert_eq!(Budget::new(0, at(0)).take(u64::MAX, at(0)), at(0));
    }
}
