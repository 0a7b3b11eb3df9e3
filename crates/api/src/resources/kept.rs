//! Figures that are counted once however many people look, and kept while they are good enough.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use guardian_model::Micros;
use hashbrown::HashMap;
use tokio::sync::Notify;

use crate::error::{ApiError, ApiResult};
use crate::state::ApiState;

/// Answers kept at once; beyond that all are forgotten, which costs a query each.
const KEPT_MAX: usize = 256;

/// How long figures are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// They are as good as new.
    pub(crate) good: Duration,
    /// They are shown while they are counted afresh.
    pub(crate) shown: Duration,
    /// How long somebody waits for figures that are not there yet; the old ones are shown then, if there are any.
    pub(crate) patience: Duration,
    /// What takes less to count is counted each time.
    pub(crate) cheap: Duration,
}

/// Figures of one kind, by what they are about.
#[derive(Debug)]
pub(crate) struct Slots<K, T>(parking_lot::Mutex<HashMap<K, Arc<Slot<T>>>>);

impl<K, T> Default for Slots<K, T> {
    fn default() -> Self {
        Self(parking_lot::Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash, T> Slots<K, T> {
    pub(crate) fn slot(&self, key: K) -> Arc<Slot<T>> {
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX && !kept.contains_key(&key) {
            kept.clear();
        }
        Arc::clone(kept.entry(key).or_default())
    }
}

/// One set of figures, and whether somebody counts it right now.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    kept: parking_lot::Mutex<Option<Kept<T>>>,
    failed: parking_lot::Mutex<Option<ApiError>>,
    counting: AtomicBool,
    done: Notify,
}

#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// On the monotonic clock.
    taken: Duration,
    /// How long counting took.
    took: Duration,
    pub(crate) time: Micros,
    pub(crate) figures: Arc<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            kept: parking_lot::Mutex::new(None),
            failed: parking_lot::Mutex::new(None),
            counting: AtomicBool::new(false),
            done: Notify::new(),
        }
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { taken: self.taken, took: self.took, time: self.time, figures: Arc::clone(&self.figures) }
    }
}

/// Ends the counting even if it panics, so that the next caller may begin anew.
struct Counting<T>(Arc<Slot<T>>);

impl<T> Drop for Counting<T> {
    fn drop(&mut self) {
        self.0.counting.store(false, Ordering::Release);
        self.0.done.notify_waiters();
    }
}

impl<T: Send + Sync + 'static> Slot<T> {
    /// The figures, which `count` counts if they are not good enough any more. None if there are none before patience ends.
    pub(crate) async fn get(
        self: Arc<Self>,
        state: &ApiState,
        keep: Keep,
        count: impl Future<Output = ApiResult<T>> + Send + 'static,
    ) -> ApiResult<Option<Kept<T>>> {
        let now = state.clock.monotonic();
        let age = |kept: &Kept<T>| now.saturating_sub(kept.taken);
        let kept = self.kept.lock().clone().filter(|kept| kept.took >= keep.cheap);
        if let Some(kept) = kept.as_ref().filter(|kept| age(kept) < keep.good) {
            return Ok(Some(kept.clone()));
        }
        let done = self.done.notified();
        tokio::pin!(done);
        done.as_mut().enable();
        if !self.counting.swap(true, Ordering::AcqRel) {
            let (counting, clock) = (Counting(Arc::clone(&self)), Arc::clone(&state.clock));
            tokio::spawn(async move {
                let slot = &counting.0;
                match count.await {
                    Ok(figures) => {
                        let (taken, time) = (clock.monotonic(), clock.now());
                        let kept = Kept { taken, took: taken.saturating_sub(now), time, figures: Arc::new(figures) };
                        *slot.kept.lock() = Some(kept);
                        *slot.failed.lock() = None;
                    }
                    Err(error) => *slot.failed.lock() = Some(error),
                }
            });
        }
        if let Some(kept) = kept.filter(|kept| age(kept) < keep.shown) {
            return Ok(Some(kept));
        }
        let in_time = tokio::time::timeout(keep.patience, done).await.is_ok();
        let kept = self.kept.lock().clone();
        match (kept, self.failed.lock().clone()) {
            (None, Some(error)) if in_time => Err(error),
            // What is too old to be shown as the present is still better than nothing.
            (kept, _) => Ok(kept),
        }
    }
}
