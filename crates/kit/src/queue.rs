//! Bounded queues between threads, with their depth and their drops on show.
//!
//! There is no unbounded queue in Guardian: a queue that is full either blocks its sender (back-pressure) or drops and
//! counts, as the sender chooses per call.

use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, TryRecvError, TrySendError};

use crate::metrics::{Counter, Gauge, Metrics};

/// The receivers are gone; the item is handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue is closed")]
pub struct Closed<T>(pub T);

/// Why [`Sender::try_send`] did not take the item, which is handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused<T> {
    /// The queue is full; counted as a drop.
    #[error("the queue is full")]
    Full(T),
    /// All receivers are gone.
    #[error("the queue is closed")]
    Closed(T),
}

/// What a receiver with a deadline got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// An item.
    Item(T),
    /// Nothing in time.
    Empty,
    /// Nothing, and all senders are gone.
    Closed,
}

/// The sending end; clones send into the same queue.
#[derive(Debug)]
pub struct Sender<T> {
    channel: crossbeam_channel::Sender<T>,
    depth: Gauge,
    drops: Counter,
    waits: Counter,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            channel: self.channel.clone(),
            depth: self.depth.clone(),
            drops: self.drops.clone(),
            waits: self.waits.clone(),
        }
    }
}

/// The receiving end; clones share the items between them.
#[derive(Debug)]
pub struct Receiver<T> {
    channel: crossbeam_channel::Receiver<T>,
    depth: Gauge,
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { channel: self.channel.clone(), depth: self.depth.clone() }
    }
}

/// A queue of at most `capacity` items (at least 1). Its metrics carry `name` as the label `queue`.
pub fn bounded<T>(name: &str, capacity: usize, metrics: &Metrics) -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = crossbeam_channel::bounded(capacity.max(1));
    let labels = &["queue"];
    let depth = metrics.gauge_with("guardian_queue_depth_items", "Items waiting in a queue", labels).with(&[name]);
    metrics
        .gauge_with("guardian_queue_capacity_items", "Items a queue can hold", labels)
        .with(&[name])
        .set(capacity.max(1) as i64);
    let drops = metrics
        .counter_with("guardian_queue_drops_items_total", "Items dropped because a queue was full", labels)
        .with(&[name]);
    let waits = metrics
        .counter_with("guardian_queue_waits_total", "Times a sender waited because a queue was full", labels)
        .with(&[name]);
    (Sender { channel: tx, depth: depth.clone(), drops, waits }, Receiver { channel: rx, depth })
}

impl<T> Sender<T> {
    /// Puts the item in, waiting while the queue is full.
    pub fn send(&self, item: T) -> Result<(), Closed<T>> {
        // Counted before the item can be taken out, so that the depth is never negative.
        self.depth.add(1);
        let item = match self.channel.try_send(item) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(item)) => item,
            Err(TrySendError::Disconnected(item)) => {
                self.depth.add(-1);
                return Err(Closed(item));
            }
        };
        self.waits.inc(1);
        self.channel.send(item).map_err(|e| {
            self.depth.add(-1);
            Closed(e.into_inner())
        })
    }

    /// Puts the item in if there is room. A full queue counts one drop.
    pub fn try_send(&self, item: T) -> Result<(), Refused<T>> {
        self.depth.add(1);
        self.channel.try_send(item).map_err(|e| {
            self.depth.add(-1);
            match e {
                TrySendError::Full(item) => {
                    self.drops.inc(1);
                    Refused::Full(item)
                }
                TrySendError::Disconnected(item) => Refused::Closed(item),
            }
        })
    }

    /// Items waiting now.
    pub fn len(&self) -> usize {
        self.channel.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.channel.is_empty()
    }
}

impl<T> Receiver<T> {
    /// The next item, waiting for it; `None` when the queue is empty and all senders are gone.
    pub fn recv(&self) -> Option<T> {
        self.channel.recv().ok().inspect(|_| self.depth.add(-1))
    }

    /// The next item if it comes within `timeout`.
    pub fn recv_timeout(&self, timeout: Duration) -> Received<T> {
        match self.channel.recv_timeout(timeout) {
            Ok(item) => self.taken(item),
            Err(RecvTimeoutError::Timeout) => Received::Empty,
            Err(RecvTimeoutError::Disconnected) => Received::Closed,
        }
    }

    /// The next item if there is one.
    pub fn try_recv(&self) -> Received<T> {
        match self.channel.try_recv() {
            Ok(item) => self.taken(item),
            Err(TryRecvError::Empty) => Received::Empty,
            Err(TryRecvError::Disconnected) => Received::Closed,
        }
    }

    fn taken(&self, item: T) -> Received<T> {
        self.depth.add(-1);
        Received::Item(item)
    }

    /// Items waiting now.
    pub fn len(&self) -> usize {
        self.channel.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.channel.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_queue_refuses_and_counts() {
        let metrics = Metrics::new();
        let (tx, rx) = bounded("q", 2, &metrics);
        assert_eq!((tx.try_send(1), tx.try_send(2), tx.try_send(3)), (Ok(()), Ok(()), Err(Refused::Full(3))));
        let depth = || metrics.snapshot()["guardian_queue_depth_items{queue=\"q\"}"] as i64;
        assert_eq!((depth(), rx.len()), (2, 2));
        assert_eq!(metrics.snapshot()["guardian_queue_drops_items_total{queue=\"q\"}"] as i64, 1);
        assert_eq!((rx.recv(), rx.try_recv(), rx.try_recv()), (Some(1), Received::Item(2), Received::Empty));
        assert_eq!(depth(), 0);
        drop(tx);
        assert_eq!((rx.recv(), rx.recv_timeout(Duration::ZERO)), (None, Received::Closed));
    }

    #[test]
    fn send_waits_for_room_and_sees_the_end() {
        let metrics = Metrics::new();
        let (tx, rx) = bounded("q", 1, &metrics);
        assert_eq!(tx.send(1), Ok(()));
        let sender = std::thread::spawn(move || (tx.send(2), tx.send(3)));
        // The second item can only be sent once the first is taken; the third finds the receiver gone.
        assert_eq!((rx.recv(), rx.recv()), (Some(1), Some(2)));
        drop(rx);
        let Ok((second, third)) = sender.join() else { panic!("sender panicked") };
        assert_eq!(second, Ok(()));
        // The third may slip in before the receiver goes.
        assert!(matches!(third, Ok(()) | Err(Closed(3))));
    }
}
