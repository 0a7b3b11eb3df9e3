//! Ports of fragmented datagrams: only the first fragment has them, the later ones look them up here.
//!
//! It must never hold more than its limit; the oldest are forgotten, and that is counted.

use std::collections::VecDeque;

use foldhash::quality::RandomState;
use guardian_model::{Ip, Micros};
use hashbrown::HashMap;

use crate::packet::Packet;

/// How long the fragments of one datagram may be apart, in microseconds (RFC 791: a reassembly timer of 15 seconds).
const AGE_MAX: i64 = 15 * Micros::SECOND;

/// What the first fragment told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) src: u16,
    pub(super) dst: u16,
    pub(super) icmp: Option<(u8, u8)>,
    pub(super) icmp_id: u16,
}

type Datagram = (Ip, Ip, u32, u8);

#[derive(Debug)]
pub(super) struct Fragments {
    max: usize,
    known: HashMap<Datagram, (Ports, Micros), RandomState>,
    /// In the order of their times; one that was renewed is in here more than once.
    order: VecDeque<(Micros, Datagram)>,
    forgotten: u64,
}

impl Fragments {
    pub(super) fn new(max: usize) -> Self {
        Self { max, known: HashMap::default(), order: VecDeque::new(), forgotten: 0 }
    }

    pub(super) fn remember(&mut self, id: u32, packet: &Packet, now: Micros) {
        let oldest_valid = now - AGE_MAX;
        while let Some((time, datagram)) = self.order.front().copied() {
            let full = self.order.len() >= self.max;
            if !full && time >= oldest_valid {
                break;
            }
            self.order.pop_front();
            if self.known.get(&datagram).is_some_and(|(_, since)| *since == time) {
                self.known.remove(&datagram);
                self.forgotten += u64::from(full && time >= oldest_valid);
            }
        }
        if self.max == 0 {
            self.forgotten += 1;
            return;
        }
        let ports = Ports { src: packet.src_port, dst: packet.dst_port, icmp: packet.icmp, icmp_id: packet.icmp_id };
        let datagram = (packet.src_ip, packet.dst_ip, id, packet.protocol);
        self.known.insert(datagram, (ports, now));
        self.order.push_back((now, datagram));
    }

    pub(super) fn recall(&self, id: u32, packet: &Packet, now: Micros) -> Option<Ports> {
        let (ports, since) = self.known.get(&(packet.src_ip, packet.dst_ip, id, packet.protocol))?;
        (*since >= now - AGE_MAX).then_some(*ports)
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}
