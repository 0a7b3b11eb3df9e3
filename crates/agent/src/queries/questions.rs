//! Live queries of the server: some run at a time, some wait, the others are refused.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use guardian_protocol::message::{Answer, Query};
use tokio::sync::mpsc;

use super::worker;

/// Queries that run at once.
const RUNNING_MAX: usize = 2;
/// Queries that wait.
const WAITING_MAX: usize = 32;
/// Parts of answers that wait for the connection; who makes them waits then.
const PARTS_MAX: usize = 8;

/// What is asked, and what is answered.
pub(crate) struct Questions {
    running: HashMap<[u8; 16], Arc<AtomicBool>>,
    waiting: VecDeque<Query>,
    refused: VecDeque<Answer>,
    give: mpsc::Sender<Answer>,
    take: mpsc::Receiver<Answer>,
}

impl Default for Questions {
    fn default() -> Self {
        let (give, take) = mpsc::channel(PARTS_MAX);
        Self { running: HashMap::new(), waiting: VecDeque::new(), refused: VecDeque::new(), give, take }
    }
}

impl Questions {
    /// Takes a query; it never waits. The same one a second time is no other.
    pub(crate) fn take(&mut self, query: Query) {
        if self.running.contains_key(&query.id) || self.waiting.iter().any(|waiting| waiting.id == query.id) {
            return;
        }
        if self.running.len() < RUNNING_MAX {
            self.start(query);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(query);
        } else {
            self.refuse(query.id, "refused: too many queries wait on this machine");
        }
    }

    /// Ends a query.
    pub(crate) fn cancel(&mut self, id: &[u8; 16]) {
        if let Some(cancelled) = self.running.get(id) {
            cancelled.store(true, Ordering::Release);
        }
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.id != *id);
        if self.waiting.len() < before {
            self.refuse(*id, "called off");
        }
    }

    /// Ends all of them: nobody is there to hear.
    pub(crate) fn cancel_all(&mut self) {
        self.waiting.clear();
        self.running.values().for_each(|cancelled| cancelled.store(true, Ordering::Release));
    }

    /// The next part of an answer, when there is one. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Answer {
        if let Some(refused) = self.refused.pop_front() {
            return refused;
        }
        // There is a sender here, so that it never ends.
        let Some(part) = self.take.recv().await else { return std::future::pending().await };
        if part.last && self.running.remove(&part.query).is_some() {
            if let Some(next) = self.waiting.pop_front() {
                self.start(next);
            }
            guardian_sys::process::give_back_memory();
        }
        part
    }

    fn refuse(&mut self, id: [u8; 16], why: &str) {
        let refusal = Answer { query: id, last: true, error: Some(why.to_owned()), ..Answer::default() };
        // As many as may wait: an agent that is asked more than it can refuse falls silent.
        if self.refused.len() < WAITING_MAX {
            self.refused.push_back(refusal);
        }
    }

    fn start(&mut self, query: Query) {
        let (id, cancelled, give) = (query.id, Arc::new(AtomicBool::new(false)), self.give.clone());
        let flag = Arc::clone(&cancelled);
        // The process that answers ends with the thread that started it.
        let asking = thread::Builder::new().name("live-query".into()).spawn(move || {
            worker::ask(&query, &flag, &mut |part| give.blocking_send(part).is_ok());
        });
        match asking {
            Ok(_) => drop(self.running.insert(id, cancelled)),
            Err(error) => self.refuse(id, &format!("refused: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_too_much_is_refused_and_what_waits_can_be_called_off() {
        let mut questions = Questions::default();
        // As if two ran that never end.
        questions.running.insert([1; 16], Arc::default());
        questions.running.insert([2; 16], Arc::default());
        for n in 0..=WAITING_MAX {
            questions.take(Query { id: [n as u8 + 10; 16], ..Query::default() });
        }
        questions.take(Query { id: [1; 16], ..Query::default() });
        assert_eq!(questions.waiting.len(), WAITING_MAX);
        let refused = questions.next().await;
        assert_eq!(refused.query, [WAITING_MAX as u8 + 10; 16]);
        assert!(refused.last && refused.error.unwrap().contains("too many"));
        questions.cancel(&[10; 16]);
        assert_eq!(questions.next().await.error.as_deref(), Some("called off"));
        questions.cancel(&[1; 16]);
        assert!(questions.running[&[1; 16]].load(Ordering::Acquire));
        // One that ends makes room for the first that waits, which cannot be answered by a test's own program.
        questions.give.send(Answer { query: [2; 16], last: true, ..Answer::default() }).await.unwrap();
        assert!(questions.next().await.last);
        assert!(questions.running.contains_key(&[11; 16]) && !questions.running.contains_key(&[2; 16]));
        questions.cancel_all();
        assert!(questions.waiting.is_empty());
    }
}
