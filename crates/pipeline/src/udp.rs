//! UDP reception: threads that only receive. A datagram is copied once into a block for the worker that its exporter
//! belongs to; nothing is parsed here.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use guardian_flow::Peer;
use guardian_kit::clock::Clock;
use guardian_kit::metrics::{Counter, Metrics};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Ip, Micros};
use guardian_sys::udp::UdpReceiver;
use hashbrown::HashMap;
use ipnet::IpNet;
use parking_lot::Mutex;

/// Bytes of datagrams in one block.
pub(crate) const BLOCK_BYTES: usize = 128 << 10;
/// How often an idle receiver looks whether it should stop.
const WAKE: Duration = Duration::from_millis(100);
/// Exporters whose queue drops are counted one by one; the rest are counted together.
const DROP_PEERS_MAX: usize = 4_096;

/// One received datagram within a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram {
    pub(crate) peer: Peer,
    pub(crate) received: Micros,
    pub(crate) lane: u16,
    start: u32,
    end: u32,
}

/// Datagrams of one receive call, back to back.
#[derive(Debug, Default)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    datagrams: Vec<Datagram>,
}

impl Block {
    pub(crate) fn push(&mut self, peer: Peer, received: Micros, lane: u16, bytes: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        self.datagrams.push(Datagram { peer, received, lane, start, end: self.bytes.len() as u32 });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Datagram, &[u8])> {
        self.datagrams.iter().map(|d| (*d, &self.bytes[d.start as usize..d.end as usize]))
    }

    fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }
}

/// The queues to one decode worker: full blocks there, empty ones back.
#[derive(Clone)]
pub(crate) struct WorkerQueue {
    pub(crate) full: Sender<Block>,
    pub(crate) empty: Receiver<Block>,
}

/// What reception lost or refused, by exporter; shared with the status view.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    by_peer: Mutex<HashMap<Ip, Refused>>,
    others: AtomicU64,
}

/// Datagrams of one exporter that were not decoded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refused {
    /// The queue to the decoder was full.
    pub(crate) queue_drops: u64,
    /// The exporter is not on the allow-list.
    pub(crate) not_allowed: u64,
}

impl Refusals {
    fn count(&self, ip: Ip, queue_drops: u64, not_allowed: u64) {
        let mut peers = self.by_peer.lock();
        if peers.len() >= DROP_PEERS_MAX && !peers.contains_key(&ip) {
            self.others.fetch_add(queue_drops + not_allowed, Ordering::Relaxed);
            return;
        }
        let refused = peers.entry(ip).or_default();
        refused.queue_drops += queue_drops;
        refused.not_allowed += not_allowed;
    }

    pub(crate) fn snapshot(&self) -> Vec<(Ip, Refused)> {
        self.by_peer.lock().iter().map(|(ip, r)| (*ip, *r)).collect()
    }
}

#[derive(Clone)]
struct Counters {
    datagrams: Counter,
    bytes: Counter,
    kernel_drops: Counter,
    queue_drops: Counter,
    not_allowed: Counter,
    truncated: Counter,
}

impl Counters {
    fn new(metrics: &Metrics, listener: &str) -> Self {
        let of =
            |name: &'static str, help: &'static str| metrics.counter_with(name, help, &["listener"]).with(&[listener]);
        Self {
            datagrams: of("guardian_receive_datagrams_total", "Datagrams received."),
            bytes: of("guardian_receive_bytes_total", "Octets of datagrams received."),
            kernel_drops: of(
                "guardian_receive_kernel_drops_total",
                "Datagrams that the kernel dropped because the socket's buffer was full.",
            ),
            queue_drops: of(
                "guardian_receive_queue_drops_total",
                "Datagrams dropped because decoding or storage was behind.",
            ),
            not_allowed: of(
                "guardian_receive_not_allowed_total",
                "Datagrams refused because their sender is not an allowed exporter.",
            ),
            truncated: of("guardian_receive_truncated_total", "Datagrams longer than the receive slot."),
        }
    }
}

/// One receiving thread's parts.
pub(crate) struct Reception {
    pub(crate) socket: UdpReceiver,
    pub(crate) address: SocketAddr,
    pub(crate) lane: u16,
    pub(crate) workers: Vec<WorkerQueue>,
    pub(crate) allowed: Arc<[IpNet]>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: Shutdown,
    pub(crate) hasher: RandomState,
}

impl Reception {
    /// Receives until shutdown.
    pub(crate) fn run(mut self, metrics: &Metrics) {
        let counters = Counters::new(metrics, &self.address.to_string());
        let mut pending: Vec<Block> = self.workers.iter().map(|_| Block::default()).collect();
        while !self.shutdown.is_triggered() {
            let received = self.clock.now();
            let (lane, workers, hasher) = (self.lane, self.workers.len() as u64, &self.hasher);
            let (allowed, refusals) = (&self.allowed, &self.refusals);
            let outcome = self.socket.recv_batch(WAKE, |peer, bytes| {
                let ip = Ip::from(peer.ip());
                counters.datagrams.inc(1);
                counters.bytes.inc(bytes.len() as u64);
                if !allowed.is_empty() && !allowed.iter().any(|net| net.contains(&ip.to_std())) {
                    counters.not_allowed.inc(1);
                    refusals.count(ip, 0, 1);
                    return;
                }
                let worker = if workers == 1 { 0 } else { (hasher.hash_one(ip) % workers) as usize };
                pending[worker].push(Peer { ip, port: peer.port() }, received, lane, bytes);
            });
            match outcome {
                Ok(outcome) => {
                    counters.kernel_drops.inc(outcome.kernel_drops_delta);
                    counters.truncated.inc(outcome.truncated as u64);
                }
                Err(error) => {
                    tracing::warn!(listener = %self.address, %error, "receiving failed; trying again");
                    std::thread::sleep(WAKE);
                }
            }
            for (block, queue) in pending.iter_mut().zip(&self.workers) {
                if !block.is_empty() {
                    hand_over(block, queue, &counters, &self.refusals);
                }
            }
        }
    }
}

/// Sends a block on and takes an empty one in its place; a full queue drops the block's datagrams, counted.
fn hand_over(block: &mut Block, queue: &WorkerQueue, counters: &Counters, refusals: &Refusals) {
    let fresh = queue.empty.try_recv().unwrap_or_default();
    match queue.full.try_send(std::mem::replace(block, fresh)) {
        Ok(()) => {}
        Err(TrySendError::Full(refused) | TrySendError::Disconnected(refused)) => {
            for (datagram, _) in refused.iter() {
                counters.queue_drops.inc(1);
                refusals.count(datagram.peer.ip, 1, 0);
            }
            *block = refused;
            block.clear();
        }
    }
}
