//! Slows guessing down: counts failures per key (an account, an address, both together) and locks a key for longer and
//! longer. Kept in memory: a restart forgets, and each node counts for itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use guardian_kit::clock::Clock;
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

/// One address over all accounts: spraying. Behind it may be a whole company, so that only what failed counts here; see
/// [`Limiter::enter`].
pub(crate) const ADDRESS: Policy =
    Policy { name: "address", failures_max: 30, lock_first: Duration::from_mins(1), lock_max: Duration::from_mins(15) };

/// One account from all addresses: a spread-out attack. The lock is short, because it also locks its owner out.
pub(crate) const ACCOUNT: Policy =
    Policy { name: "account", failures_max: 50, lock_first: Duration::from_secs(30), lock_max: Duration::from_mins(1) };

/// Refusals and bad keys that are written to the audit trail, per address; further ones are only counted.
pub(crate) const NOTED: Policy =
    Policy { name: "noted", failures_max: 60, lock_first: Duration::from_mins(1), lock_max: Duration::from_mins(15) };

/// Attempts that may be under way at once from an address that has not failed lately; with each failure it is fewer, and
/// one after the other in the end, so that trying many passwords at once gains nothing.
const UNDER_WAY_MAX: u32 = 60;

type Key = [u8; 16];

#[derive(Clone, Copy, Debug)]
struct Bucket {
    failures: u32,
    /// Attempts that nobody knows the end of yet; see [`Limiter::enter`].
    under_way: u32,
    last: Duration,
    locked_until: Duration,
}

/// Why an attempt may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The key is locked for so long.
    Locked(Duration),
    /// Too many are under way; in a moment there is room.
    Busy,
}

/// An attempt under way. Dropped, it failed, whatever became of whoever made it.
pub(crate) struct UnderWay<'a> {
    limiter: &'a Limiter,
    clock: &'a dyn Clock,
    policy: &'static Policy,
    key: Key,
    failed: bool,
}

impl UnderWay<'_> {
    /// Ends it without a failure.
    pub(crate) fn forgive(mut self) {
        self.failed = false;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.limiter.leave(self.policy, self.key, self.failed, self.clock.monotonic());
    }
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

impl Bucket {
    fn new(now: Duration) -> Self {
        Self { failures: 0, under_way: 0, last: now, locked_until: now }
    }

    fn fail(&mut self, policy: &Policy, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.last = now;
        if let Some(beyond) = self.failures.checked_sub(policy.failures_max) {
            let lock = policy.lock_first.saturating_mul(1 << beyond.min(10)).min(policy.lock_max);
            self.locked_until = now + lock;
        }
    }
}

impl Limiter {
    /// Begins an attempt of many that may be under way at once: it counts when it fails, and costs nothing when it does
    /// not.
    pub(crate) fn enter<'a>(
        &'a self,
        policy: &'static Policy,
        parts: &[&[u8]],
        clock: &'a dyn Clock,
    ) -> Result<UnderWay<'a>, Wait> {
        let (key, now) = (key(policy, parts), clock.monotonic());
        let mut buckets = self.buckets.lock();
        let bucket = self.bucket(&mut buckets, key, now);
        let locked = bucket.locked_until.saturating_sub(now);
        if !locked.is_zero() {
            return Err(Wait::Locked(locked));
        }
        let left = policy.failures_max.saturating_sub(bucket.failures);
        if bucket.under_way >= (UNDER_WAY_MAX * left / policy.failures_max).max(1) {
            return Err(Wait::Busy);
        }
        bucket.under_way += 1;
        Ok(UnderWay { limiter: self, clock, policy, key, failed: true })
    }

    fn leave(&self, policy: &Policy, key: Key, failed: bool, now: Duration) {
        let mut buckets = self.buckets.lock();
        let bucket = self.bucket(&mut buckets, key, now);
        // The key may have been forgotten meanwhile.
        bucket.under_way = bucket.under_way.saturating_sub(1);
        if failed {
            bucket.fail(policy, now);
        }
        if bucket.failures == 0 && bucket.under_way == 0 {
            buckets.remove(&key);
        }
    }

    /// The bucket of a key, with failures of long ago forgotten.
    fn bucket<'b>(&self, buckets: &'b mut HashMap<Key, Bucket>, key: Key, now: Duration) -> &'b mut Bucket {
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(&key) {
            self.make_room(buckets, now);
        }
        let bucket = buckets.entry(key).or_insert_with(|| Bucket::new(now));
        if now.saturating_sub(bucket.last) > FORGET_AFTER {
            bucket.failures = 0;
        }
        bucket
    }

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
            self.bucket(&mut buckets, key, now).fail(policy, now);
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
    use guardian_kit::clock::ManualClock;
    use guardian_model::Micros;

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
    fn a_crowd_behind_one_address_comes_in_and_a_guesser_does_not() {
        let (limiter, clock) = (Limiter::default(), ManualClock::new(Micros(0)));
        let parts: &[&[u8]] = &[b"10.0.0.1"];
        let enter = || limiter.enter(&ADDRESS, parts, &clock);
        let crowd: Vec<_> = (0..UNDER_WAY_MAX).map(|_| enter().unwrap_or_else(|_| panic!("refused"))).collect();
        assert_eq!(enter().err(), Some(Wait::Busy));
        crowd.into_iter().for_each(UnderWay::forgive);
        assert!(limiter.buckets.lock().is_empty(), "who came in leaves nothing behind");

        // Many wrong ones at once lock the address as soon as the first ends that is one too many.
        let guesses: Vec<_> = std::iter::from_fn(|| enter().ok()).collect();
        assert_eq!(guesses.len(), UNDER_WAY_MAX as usize);
        drop(guesses);
        assert_eq!(enter().err(), Some(Wait::Locked(ADDRESS.lock_max)));
        clock.advance(ADDRESS.lock_max.as_micros() as i64);
        let guess = enter().unwrap_or_else(|_| panic!("the lock is over"));
        assert_eq!(enter().err(), Some(Wait::Busy), "one after the other from now on");
        drop(guess);
        assert_eq!(enter().err(), Some(Wait::Locked(ADDRESS.lock_max)));

        // Signing in with an account of one's own in between clears nothing.
        let parts: &[&[u8]] = &[b"10.0.0.2"];
        for n in 0..ADDRESS.failures_max {
            drop(limiter.enter(&ADDRESS, parts, &clock).unwrap_or_else(|_| panic!("{n}")));
            if let Ok(own) = limiter.enter(&ADDRESS, parts, &clock) {
                own.forgive();
            }
        }
        assert_eq!(limiter.enter(&ADDRESS, parts, &clock).err(), Some(Wait::Locked(ADDRESS.lock_first)));
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
