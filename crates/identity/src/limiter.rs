//! Slows guessing down: counts failures per key (an account, an address, both together) and locks a key for longer and
//! longer. Kept in memory: a restart forgets, and each node counts for itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Most keys remembered; beyond it the half that failed longest ago is forgotten, and counted.
const KEYS_MAX: usize = 100_000;

/// When a key that no longer fails is forgotten.
const FORGET_AFTER: Duration = Duration::from_hours(1);

/// How a sort of key is locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Keeps sorts of keys apart.
    pub(crate) name: &'static str,
    /// Failures until the first lock.
    pub(crate) failures_max: u32,
    /// Length of the first lock; each further failure doubles it.
    pub(crate) lock_first: Duration,
    /// Longest lock.
    pub(crate) lock_max: Duration,
}

/// One account from one address: the person who mistyped, or the one who guesses.
pub(crate) const PAIR: Policy =
    Policy { name: "pair", failures_max: 5, lock_first: Duration::from_secs(30), lock_max: Duration::from_mins(15) };

/// One address over all accounts: spraying.
pub(crate) const ADDRESS: Policy =
    Policy { name: "address", failures_max: 30, lock_first: Duration::from_mins(1), lock_max: Duration::from_mins(15) };

/// One account from all addresses: a spread-out attack. The lock is short, because it also locks its owner out.
pub(crate) const ACCOUNT: Policy =
    Policy { name: "account", failures_max: 50, lock_first: Duration::from_secs(30), lock_max: Duration::from_mins(1) };

/// Refusals and bad keys that are written to the audit trail, per address; further ones are only counted.
pub(crate) const NOTED: Policy =
    Policy { name: "noted", failures_max: 60, lock_first: Duration::from_mins(1), lock_max: Duration::from_mins(15) };

type Key = [u8; 16];

#[derive(Clone, Copy, Debug)]
struct Bucket {
    failures: u32,
    last: Duration,
    locked_until: Duration,
}

/// Counts failures and locks keys. Times are those of a monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    buckets: Mutex<HashMap<Key, Bucket>>,
    forgotten: AtomicU64,
}

/// The key of `parts` under `policy`.
fn key(policy: &Policy, parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new_derive_key("guardian limiter key v1");
    for part in [policy.name.as_bytes()].iter().chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

impl Limiter {
    /// Counts an attempt that is taken for failed until [`Limiter::forgive`] says otherwise, so that attempts made at
    /// once do not all pass. While a key is locked, the answer is how long it still is, and nothing is counted.
    pub(crate) fn attempt(&self, attempts: &[(&Policy, &[&[u8]])], now: Duration) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock();
        let keys: Vec<Key> = attempts.iter().map(|(policy, parts)| key(policy, parts)).collect();
        let locked = keys.iter().filter_map(|key| buckets.get(key)).map(|b| b.locked_until.saturating_sub(now)).max();
        if let Some(wait) = locked.filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        for (key, (policy, _)) in keys.into_iter().zip(attempts) {
            if buckets.len() >= KEYS_MAX && !buckets.contains_key(&key) {
                self.make_room(&mut buckets, now);
            }
            let bucket = buckets.entry(key).or_insert(Bucket { failures: 0, last: now, locked_until: now });
            if now.saturating_sub(bucket.last) > FORGET_AFTER {
                bucket.failures = 0;
            }
            bucket.failures = bucket.failures.saturating_add(1);
            bucket.last = now;
            if let Some(beyond) = bucket.failures.checked_sub(policy.failures_max) {
                let lock = policy.lock_first.saturating_mul(1 << beyond.min(10)).min(policy.lock_max);
                bucket.locked_until = now + lock;
            }
        }
        Ok(())
    }

    /// Takes an attempt back that turned out well. With `fresh` the key starts anew; otherwise only this attempt is
    /// taken back, so that an attacker cannot clear an address by signing in with an account of their own.
    pub(crate) fn forgive(&self, policy: &Policy, parts: &[&[u8]], fresh: bool, now: Duration) {
        let mut buckets = self.buckets.lock();
        let key = key(policy, parts);
        let Some(bucket) = buckets.get_mut(&key) else { return };
        bucket.failures -= 1;
        if bucket.failures < policy.failures_max {
            bucket.locked_until = now;
        }
        if fresh || bucket.failures == 0 {
            buckets.remove(&key);
        }
    }

    /// How many keys were forgotten early because there were too many.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    fn make_room(&self, buckets: &mut HashMap<Key, Bucket>, now: Duration) {
        buckets.retain(|_, bucket| now.saturating_sub(bucket.last) <= FORGET_AFTER);
        if buckets.len() >= KEYS_MAX {
            let mut times: Vec<Duration> = buckets.values().map(|bucket| bucket.last).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let (before, median) = (buckets.len(), *median);
            let mut surplus = middle;
            buckets.retain(|_, bucket| {
                let drop = bucket.last <= median && surplus > 0;
                surplus -= usize::from(drop);
                !drop
            });
            self.forgotten.fetch_add((before - buckets.len()) as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn locks_grow_and_end() {
        let limiter = Limiter::default();
        let parts: &[&[u8]] = &[b"ann", b"10.0.0.1"];
        let attempt = |at| limiter.attempt(&[(&PAIR, parts)], at);
        for _ in 0..5 {
            assert_eq!(attempt(secs(0)), Ok(()));
        }
        assert_eq!(attempt(secs(1)), Err(secs(29)));
        assert_eq!(attempt(secs(30)), Ok(()), "the first lock is over");
        assert_eq!(attempt(secs(31)), Err(secs(59)), "the second is twice as long");
        assert_eq!(limiter.attempt(&[(&PAIR, &[b"ann", b"10.0.0.2"])], secs(31)), Ok(()), "another address");
        assert_eq!(attempt(secs(90 + 3_700)), Ok(()), "forgotten");
        assert_eq!(attempt(secs(90 + 3_700)), Ok(()));
    }

    #[test]
    fn success_forgives() {
        let limiter = Limiter::default();
        let parts: &[&[u8]] = &[b"10.0.0.1"];
        for n in 0..100 {
            assert_eq!(limiter.attempt(&[(&ADDRESS, parts)], secs(n)), Ok(()), "{n}");
            limiter.forgive(&ADDRESS, parts, false, secs(n));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::default();
        for n in 0..(KEYS_MAX as u64 + 10) {
            assert_eq!(limiter.attempt(&[(&ADDRESS, &[&n.to_le_bytes()])], Duration::from_millis(n)), Ok(()));
        }
        assert!(limiter.buckets.lock().len() <= KEYS_MAX);
        assert_eq!(limiter.forgotten(), KEYS_MAX as u64 / 2);
    }
}
