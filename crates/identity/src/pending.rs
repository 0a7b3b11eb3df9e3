//! What waits for somebody to come back: the challenge that a passkey is to sign, the sign-in at another system. Each
//! works once and for a few minutes. Kept in memory: a restart forgets, and whoever was under way begins again.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::{IdentityError, secret};

/// How long something waits.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);
/// Most that wait at once; whoever comes then is asked to come back.
const WAITING_MAX: usize = 10_000;
/// Most that wait for one address, behind which may be a whole company; beyond it the oldest of that address is
/// forgotten, so that one client cannot keep the others out.
const PER_ADDRESS_MAX: usize = 256;

/// Things that wait, each found by a name of 256 random bits. Times are those of a monotonic clock.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    waiting: Mutex<HashMap<String, Waiting<T>>>,
}

#[derive(Debug)]
struct Waiting<T> {
    since: Duration,
    address: [u8; 16],
    what: T,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { waiting: Mutex::default() }
    }
}

impl<T> Pending<T> {
    /// Keeps `what` for whoever is at `address`, and names it.
    pub(crate) fn put(&self, what: T, address: [u8; 16], now: Duration) -> Result<String, IdentityError> {
        let name = secret::token()?.to_string();
        self.put_as(name.clone(), what, address, now)?;
        Ok(name)
    }

    /// As [`Pending::put`], under a name of 256 random bits that the caller made.
    pub(crate) fn put_as(&self, name: String, what: T, address: [u8; 16], now: Duration) -> Result<(), IdentityError> {
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, w| now.saturating_sub(w.since) < PATIENCE);
        let same = || waiting.iter().filter(|(_, w)| w.address == address);
        if same().count() >= PER_ADDRESS_MAX
            && let Some(oldest) = same().min_by_key(|(_, w)| w.since).map(|(name, _)| name.clone())
        {
            waiting.remove(&oldest);
        }
        if waiting.len() >= WAITING_MAX {
            return Err(IdentityError::Busy);
        }
        waiting.insert(name, Waiting { since: now, address, what });
        Ok(())
    }

    /// Takes what waits under this name, once.
    pub(crate) fn take(&self, name: &str, now: Duration) -> Option<T> {
        let found = self.waiting.lock().remove(name)?;
        (now.saturating_sub(found.since) < PATIENCE).then_some(found.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_once_for_a_while_and_for_so_many() {
        let pending = Pending::default();
        let (here, there) = ([1; 16], [2; 16]);
        let name = pending.put("a", here, Duration::ZERO).unwrap();
        assert_eq!(pending.take("another", Duration::ZERO), None);
        assert_eq!(pending.take(&name, Duration::from_secs(299)), Some("a"));
        assert_eq!(pending.take(&name, Duration::from_secs(299)), None, "once");
        let name = pending.put("b", here, Duration::ZERO).unwrap();
        assert_eq!(pending.take(&name, PATIENCE), None, "too late");

        let other = pending.put("theirs", there, Duration::ZERO).unwrap();
        let names: Vec<_> = (0..300).map(|n| pending.put("c", here, Duration::from_millis(n)).unwrap()).collect();
        assert_eq!(pending.waiting.lock().len(), PER_ADDRESS_MAX + 1);
        assert_eq!(pending.take(&names[0], Duration::from_secs(1)), None, "the oldest of the address went");
        assert_eq!(pending.take(&names[299], Duration::from_secs(1)), Some("c"));
        assert_eq!(pending.take(&other, Duration::from_secs(1)), Some("theirs"), "others are spared");
    }

    #[test]
    fn memory_is_bounded() {
        let pending = Pending::default();
        for n in 0..WAITING_MAX as u64 {
            let mut address = [0; 16];
            address[..8].copy_from_slice(&n.to_le_bytes());
            pending.put(n, address, Duration::ZERO).unwrap();
        }
        assert!(matches!(pending.put(0, [9; 16], Duration::ZERO), Err(IdentityError::Busy)));
        assert!(pending.put(0, [9; 16], PATIENCE).is_ok(), "those that are over make room");
    }
}
