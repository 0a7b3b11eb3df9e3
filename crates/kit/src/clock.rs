//! The only place that reads a clock. Everything else is handed time or an `Arc<dyn Clock>`, so that replays and
//! tests decide what time it is.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use guardian_model::Micros;

/// Tells the time.
pub trait Clock: Send + Sync + Debug {
    /// Wall-clock time, UTC. May jump when the machine's clock is set.
    fn now(&self) -> Micros;

    /// Time since an arbitrary fixed point. Never goes back; for measuring intervals.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose [`Clock::monotonic`] starts at zero now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else takes")]
    fn now(&self) -> Micros {
        Micros(jiff::Timestamp::now().as_microsecond())
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that stands still until told to move, for tests and simulation.
#[derive(Debug, Default)]
pub struct ManualClock {
    now: AtomicI64,
    monotonic_us: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Micros) -> Self {
        Self { now: AtomicI64::new(now.0), monotonic_us: AtomicI64::new(0) }
    }

    /// Moves both clocks forward; a negative `micros` moves only the wall clock, as setting a machine's clock does.
    pub fn advance(&self, micros: i64) {
        self.now.fetch_add(micros, Ordering::SeqCst);
        self.monotonic_us.fetch_add(micros.max(0), Ordering::SeqCst);
    }

    /// Sets the wall clock and leaves the monotonic one.
    pub fn set(&self, now: Micros) {
        self.now.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        Micros(self.now.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic_us.load(Ordering::SeqCst).max(0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Micros(100));
        clock.advance(50);
        assert_eq!((clock.now(), clock.monotonic()), (Micros(150), Duration::from_micros(50)));
        clock.advance(-100);
        assert_eq!((clock.now(), clock.monotonic()), (Micros(50), Duration::from_micros(50)));
        clock.set(Micros(7));
        assert_eq!((clock.now(), clock.monotonic()), (Micros(7), Duration::from_micros(50)));
    }

    #[test]
    fn system_clock_is_after_2025_and_does_not_go_back() {
        let clock = SystemClock::new();
        assert!(clock.now() > Micros::from_secs(1_735_689_600));
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
    }
}
