//! The one token that ends the program: components watch it, signals and failures trigger it.
//!
//! Triggering never blocks and never ends anything by itself; each component finishes what it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio_util::sync::CancellationToken;

/// A clonable token; all clones are the same token.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    triggered: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    token: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    triggered: bool,
    failure: Option<String>,
}

impl Shutdown {
    /// A token that is not triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody to finish. Later calls have no effect.
    pub fn trigger(&self) {
        self.end(None);
    }

    /// Asks everybody to finish because something broke; the program must end with a non-zero exit code. The first
    /// reason is kept.
    pub fn fail(&self, reason: impl Into<String>) {
        self.end(Some(reason.into()));
    }

    fn end(&self, failure: Option<String>) {
        let mut state = self.0.state.lock();
        state.triggered = true;
        if state.failure.is_none() {
            state.failure = failure;
        }
        self.0.triggered.store(true, Ordering::Release);
        self.0.changed.notify_all();
        drop(state);
        self.0.token.cancel();
    }

    /// Whether it was triggered; one atomic load.
    pub fn is_triggered(&self) -> bool {
        self.0.triggered.load(Ordering::Acquire)
    }

    /// Why the program must end with an error, if it must.
    pub fn failure(&self) -> Option<String> {
        self.0.state.lock().failure.clone()
    }

    /// Completes when triggered.
    pub async fn wait_async(&self) {
        self.0.token.cancelled().await;
    }

    /// The underlying token, for `select!` and for libraries that take one.
    pub fn token(&self) -> CancellationToken {
        self.0.token.clone()
    }

    /// The rounds of a periodic asynchronous task, the first at once: `while rounds.next().await { … }`. Must be called
    /// on a runtime.
    pub fn rounds(&self, every: Duration) -> Rounds {
        Rounds { token: self.token(), every: tokio::time::interval(every) }
    }

    /// Blocks the thread until triggered.
    pub fn wait(&self) {
        let mut state = self.0.state.lock();
        while !state.triggered {
            self.0.changed.wait(&mut state);
        }
    }

    /// Blocks the thread until triggered or until `timeout` is over; says whether it is triggered. A periodic task is
    /// `while !shutdown.wait_timeout(period) { … }`.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.state.lock();
        while !state.triggered {
            if self.0.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.triggered
    }
}

/// Tells a periodic task when its next round is due; see [`Shutdown::rounds`].
#[derive(Debug)]
pub struct Rounds {
    token: CancellationToken,
    every: tokio::time::Interval,
}

impl Rounds {
    /// Waits for the next round; false when the program ends. What the task does in a round is never interrupted.
    pub async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.token.cancelled() => false,
            _ = self.every.tick() => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rounds_come_at_once_and_until_the_end() {
        let shutdown = Shutdown::new();
        let mut rounds = shutdown.rounds(Duration::from_millis(1));
        assert!(rounds.next().await && rounds.next().await);
        shutdown.trigger();
        assert!(!rounds.next().await);
    }

    #[test]
    fn wakes_blocked_and_async_waiters() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.wait_timeout(Duration::from_millis(1)));
        let waiting = shutdown.clone();
        let blocked = std::thread::spawn(move || waiting.wait());
        let waiting = shutdown.clone();
        let polled = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().build().map(|rt| rt.block_on(waiting.wait_async())).is_ok()
        });
        shutdown.trigger();
        assert!(blocked.join().is_ok());
        assert!(polled.join().is_ok_and(|ok| ok));
        assert!(shutdown.is_triggered() && shutdown.wait_timeout(Duration::ZERO));
        assert_eq!(shutdown.failure(), None);
    }

    #[test]
    fn first_failure_is_kept_even_after_an_orderly_trigger() {
        let shutdown = Shutdown::new();
        shutdown.trigger();
        shutdown.fail("disk gone");
        shutdown.fail("socket gone");
        assert_eq!(shutdown.failure().as_deref(), Some("disk gone"));
    }
}
