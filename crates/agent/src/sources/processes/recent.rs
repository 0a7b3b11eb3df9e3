//! Programs that processes ran lately, also of those that are gone: for sources that come to know of a process by its number alone.
//! Bounded: the oldest go.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::look::Known;

/// Processes that are remembered.
const PROCESSES_MAX: usize = 8_192;

#[derive(Debug, Default)]
struct Inner {
    of: HashMap<u32, Arc<Known>>,
    order: VecDeque<u32>,
}

/// Processes by their number. The source of processes tells of them; where it is off, nothing is known.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Inner>);

impl Recent {
    /// A process began or became another program.
    pub(crate) fn put(&self, pid: u32, known: Arc<Known>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.of.insert(pid, known).is_none() {
            inner.order.push_back(pid);
        }
        while inner.of.len() > PROCESSES_MAX {
            let Some(oldest) = inner.order.pop_front() else { break };
            inner.of.remove(&oldest);
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
    }
}
