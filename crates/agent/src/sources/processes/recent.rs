//! Programs that processes ran lately, also of those that are gone: for sources that come to know of a process by its number alone.
//! Bounded in number and in bytes: the oldest go.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::look::Known;

/// Processes that are remembered.
const PROCESSES_MAX: usize = 8_192;
/// Bytes of what is remembered of them: compilers and the like are called with pages of arguments.
const BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Default)]
struct Inner {
    of: HashMap<u32, Arc<Known>>,
    order: VecDeque<u32>,
    bytes: usize,
}

/// Processes by their number. The source of processes tells of them; where it is off, nothing is known.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Inner>);

impl Recent {
    /// A process began or became another program.
    pub(crate) fn put(&self, pid: u32, known: Arc<Known>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.bytes += known.bytes();
        match inner.of.insert(pid, known) {
            Some(before) => inner.bytes -= before.bytes(),
            None => inner.order.push_back(pid),
        }
        while inner.of.len() > PROCESSES_MAX || inner.bytes > BYTES_MAX {
            let Some(oldest) = inner.order.pop_front() else { break };
            let gone = inner.of.remove(&oldest).map_or(0, |known| known.bytes());
            inner.bytes -= gone;
        }
    }

    /// What is known of a process of this number and name.
    pub(crate) fn get(&self, pid: u32, name: &str) -> Option<Arc<Known>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.of.get(&pid).filter(|known| known.name == name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_of_the_name() {
        let recent = Recent::default();
        let named = |name: &str| Arc::new(Known { name: name.to_owned(), ..Known::default() });
        for pid in 0..3 * PROCESSES_MAX as u32 {
            recent.put(pid, named("sh"));
        }
        assert_eq!(recent.0.lock().unwrap().of.len(), PROCESSES_MAX);
        let last = 3 * PROCESSES_MAX as u32 - 1;
        recent.put(last, named("curl"));
        assert!(
            recent.get(last, "curl").is_some() && recent.get(last, "sh").is_none() && recent.get(1, "sh").is_none()
        );
        assert_eq!(recent.0.lock().unwrap().order.len(), PROCESSES_MAX);
        let long = || Arc::new(Known { command: Some("x".repeat(8 << 10)), ..Known::default() });
        (0..2_000).for_each(|pid| recent.put(pid, long()));
        (0..2_000).for_each(|_| recent.put(7, long()));
        let inner = recent.0.lock().unwrap();
        assert!(inner.of.len() < 600 && inner.bytes <= BYTES_MAX);
        assert_eq!(inner.bytes, inner.of.values().map(|known| known.bytes()).sum::<usize>());
    }
}
