//! How often a key may ask: a bucket for each key that fills evenly and holds a burst. Kept in memory; each node counts
//! for itself.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;

/// Most keys remembered; beyond it those that are full again are forgotten, which changes nothing for them.
const KEYS_MAX: usize = 10_000;

/// Counts requests by key. Times are those of a monotonic clock.
#[derive(Debug)]
pub(crate) struct Rates {
    per_minute: f64,
    buckets: Mutex<HashMap<Uuid, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Rates {
    /// Lets each key ask `per_minute` times a minute, and as often at once.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute: f64::from(per_minute.max(1)), buckets: Mutex::default() }
    }

    /// Takes a request of `key`, or says how long to wait.
    pub(crate) fn take(&self, key: Uuid, now: Duration) -> Result<(), Duration> {
        let per_second = self.per_minute / 60.0;
        let full = |bucket: &Bucket| bucket.left + now.saturating_sub(bucket.at).as_secs_f64() * per_second;
        let mut buckets = self.buckets.lock();
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| full(bucket) < self.per_minute);
        }
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(&key) {
            // Ten thousand keys at work at once: a new one waits for a moment rather than the memory growing.
            return Err(Duration::from_secs(1));
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: self.per_minute, at: now });
        bucket.left = full(bucket).min(self.per_minute);
        bucket.at = now;
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / per_second));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_ask_so_often_and_no_more() {
        let rates = Rates::new(60);
        let (ann, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for n in 0..60 {
            assert_eq!(rates.take(ann, Duration::ZERO), Ok(()), "{n}");
        }
        assert_eq!(rates.take(ann, Duration::ZERO), Err(Duration::from_secs(1)));
        assert_eq!(rates.take(bob, Duration::ZERO), Ok(()), "another key");
        assert_eq!(rates.take(ann, Duration::from_secs(1)), Ok(()));
        assert!(rates.take(ann, Duration::from_secs(1)).is_err());
        for n in 0..60 {
            assert_eq!(rates.take(ann, Duration::from_secs(3_600)), Ok(()), "{n}: never more than a minute's worth");
        }
        assert!(rates.take(ann, Duration::from_secs(3_600)).is_err());
    }
}
