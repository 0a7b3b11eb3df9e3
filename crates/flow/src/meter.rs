//! Packets in, bidirectional flows out.
//!
//! One row describes a conversation from its initiator's side, with the way back in the `rev_*` columns. The meter
//! must never read a clock (time is that of the packets, or passed to [`Meter::expire`]), never look into payloads,
//! and never hold more flows than its limit: the longest silent of a few is exported to make room.

mod fragments;
mod key;
mod wheel;

use foldhash::quality::RandomState;
use guardian_model::{Ip, Micros};
use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::builder::{FlowBuilder, FlowRow, Origin, Reverse, Source};
use crate::packet::{self, Fragment, LinkType, PROTOCOL_TCP, Packet, Skip, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN};

use fragments::{Fragments, Ports};
use key::{Key, Side};
use wheel::Wheel;

/// Packets whose time is further back than this, in microseconds, begin a new timeline: the clock was set, or another
/// capture follows.
const CLOCK_BACK_MAX: i64 = Micros::MINUTE;

/// How many flows are looked at to find one that makes room.
const EVICTION_CANDIDATES: usize = 16;

/// Timeouts and limits of a [`Meter`]. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterConfig {
    /// Value of the `exporter` column.
    pub exporter: Ip,
    /// Value of the `domain` column.
    pub domain: u32,
    /// A flow that lasts longer is exported in parts of this length.
    pub active_timeout: i64,
    /// A flow without packets for this long is over.
    pub idle_timeout: i64,
    /// A TCP connection that was closed is exported after this time of silence, so that its last acknowledgements
    /// still belong to it.
    pub closed_linger: i64,
    /// Flows held at a time; about 200 bytes each.
    pub flows_max: usize,
    /// Fragmented datagrams whose ports are remembered at a time.
    pub fragments_max: usize,
}

impl Default for MeterConfig {
    fn default() -> Self {
        Self {
            exporter: Ip::v4([127, 0, 0, 1]),
            domain: 0,
            active_timeout: 60 * Micros::SECOND,
            idle_timeout: 15 * Micros::SECOND,
            closed_linger: Micros::SECOND,
            flows_max: 1 << 18,
            fragments_max: 4096,
        }
    }
}

/// Why a flow was exported: the values of IE 136, flowEndReason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EndReason {
    /// No packets for the idle timeout.
    Idle = 1,
    /// It lasted for the active timeout and goes on.
    Active = 2,
    /// The TCP connection was closed.
    End = 3,
    /// The meter was flushed.
    Forced = 4,
    /// Room was needed for another.
    NoResources = 5,
}

/// What a meter has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterStats {
    /// Packets given to it.
    pub packets: u64,
    /// IP octets of those that became part of flows.
    pub bytes: u64,
    /// Packets that carry no IP.
    pub not_ip: u64,
    /// Packets cut before the end of their IP header.
    pub truncated: u64,
    /// Packets whose headers contradict themselves.
    pub malformed: u64,
    /// Rows exported.
    pub flows: u64,
    /// Rows exported early because the table was full.
    pub evicted: u64,
    /// Later fragments whose first was not seen: they count in a flow without ports.
    pub orphan_fragments: u64,
    /// Fragmented datagrams whose ports were forgotten early because there were too many.
    pub fragments_forgotten: u64,
    /// Times that the clock of the packets went back.
    pub clock_resets: u64,
    /// Flows held now.
    pub flows_held: usize,
}

/// One direction of a flow, in the part that is exported next.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    bytes: u64,
    packets: u64,
    tcp_flags: u16,
    /// Flags since the flow began, over all parts.
    ever: u16,
}

#[derive(Clone, Copy, Debug)]
struct Flow {
    key: Key,
    hash: u64,
    initiator: Side,
    /// First and last packet of the part that is exported next, by the packets' own time.
    start: Micros,
    end: Micros,
    /// When the part began and the last packet came, by the meter's time, which never goes back.
    began: Micros,
    touched: Micros,
    /// First the initiator's, then the responder's.
    ways: [Way; 2],
    icmp: Option<(u8, u8)>,
    tos: u8,
    src_mac: Option<[u8; 6]>,
    dst_mac: Option<[u8; 6]>,
    closed: bool,
}

impl Flow {
    /// When something is due, and why.
    fn due(&self, config: &MeterConfig) -> (Micros, EndReason) {
        let silence = if self.closed { config.closed_linger.min(config.idle_timeout) } else { config.idle_timeout };
        let over = self.touched + silence;
        let part = self.began + config.active_timeout;
        match (self.is_empty() || over <= part, self.closed) {
            (true, true) => (over, EndReason::End),
            (true, false) => (over, EndReason::Idle),
            (false, _) => (part, EndReason::Active),
        }
    }

    fn is_empty(&self) -> bool {
        self.ways[0].packets + self.ways[1].packets == 0
    }

    fn add(&mut self, side: Side, packet: &Packet, time: Micros, now: Micros) {
        if self.is_empty() {
            (self.start, self.end, self.began) = (time, time, now);
        }
        self.start = self.start.min(time);
        self.end = self.end.max(time);
        self.touched = now;
        let way = &mut self.ways[usize::from(side != self.initiator)];
        way.bytes += u64::from(packet.ip_bytes);
        way.packets += 1;
        way.tcp_flags |= packet.tcp_flags;
        way.ever |= packet.tcp_flags;
        let [there, back] = [self.ways[0].ever, self.ways[1].ever];
        self.closed = (there | back) & TCP_RST != 0 || there & back & TCP_FIN != 0;
    }

    /// Whether a SYN from this side opens another connection on the same ports: the old one was closed, or was seen
    /// from its middle on.
    fn is_succeeded_by(&self, side: Side) -> bool {
        let from = usize::from(side != self.initiator);
        let (own, other) = (self.ways[from].ever, self.ways[1 - from].ever);
        self.closed || (own & TCP_SYN == 0 && own != 0) || (own == 0 && other & TCP_SYN == 0)
    }

    fn row(&self, reason: EndReason) -> FlowRow {
        let ((src_ip, src_port), (dst_ip, dst_port)) = self.key.endpoints(self.initiator);
        let [there, back] = self.ways;
        FlowRow {
            start: self.start,
            end: self.end,
            src_ip,
            dst_ip,
            src_port,
            dst_port,
            protocol: self.key.protocol(),
            tcp_flags: there.tcp_flags,
            raw_bytes: there.bytes,
            raw_packets: there.packets,
            reverse: Some(Reverse { bytes: back.bytes, packets: back.packets, tcp_flags: back.tcp_flags }),
            icmp: self.icmp,
            tos: Some(self.tos),
            vlan: self.key.vlan(),
            src_mac: self.src_mac,
            dst_mac: self.dst_mac,
            end_reason: Some(reason as u8),
            ..FlowRow::default()
        }
    }
}

/// A slot of the flow table, with the entries that the wheel has for it.
#[derive(Clone, Debug)]
struct Slot {
    flow: Option<Flow>,
    timers: u8,
}

/// Turns packets into flows.
///
/// Rows carry the time of receipt that is given to [`FlowBuilder::finish`].
#[derive(Debug)]
pub struct Meter {
    config: MeterConfig,
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: RandomState,
    wheel: Wheel,
    fragments: Fragments,
    now: Micros,
    eviction_cursor: usize,
    stats: MeterStats,
}

impl Meter {
    /// A meter without flows. Timeouts below a millisecond and limits of nothing are raised to the least that works.
    pub fn new(config: MeterConfig) -> Self {
        let least = Micros::SECOND / 1000;
        let config = MeterConfig {
            active_timeout: config.active_timeout.max(least),
            idle_timeout: config.idle_timeout.max(least),
            closed_linger: config.closed_linger.max(least),
            flows_max: config.flows_max.clamp(1, u32::MAX as usize),
            ..config
        };
        Self {
            config,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            wheel: Wheel::default(),
            fragments: Fragments::new(config.fragments_max),
            now: Micros(i64::MIN),
            eviction_cursor: 0,
            stats: MeterStats::default(),
        }
    }

    /// Counts a packet of `wire_bytes`, of which `data` may be only the beginning. Flows that are over by its time are
    /// added to `out`; look at [`FlowBuilder::is_full`] after every packet.
    pub fn packet(&mut self, time: Micros, link: LinkType, data: &[u8], wire_bytes: u32, out: &mut FlowBuilder) {
        self.stats.packets += 1;
        self.set_time(time, out);
        match packet::parse(link, data, wire_bytes) {
            Ok(packet) => self.count(time, packet, out),
            Err(Skip::NotIp) => self.stats.not_ip += 1,
            Err(Skip::Truncated) => self.stats.truncated += 1,
            Err(Skip::Malformed) => self.stats.malformed += 1,
        }
    }

    /// Adds the flows that are over at `now` to `out`, until that is full: `false` says that there are more. A time in
    /// the past changes nothing.
    #[must_use = "flows that did not fit are still to be fetched"]
    pub fn expire(&mut self, now: Micros, out: &mut FlowBuilder) -> bool {
        if self.now.0 == i64::MIN {
            return true;
        }
        self.now = self.now.max(now);
        self.run_timers(out)
    }

    /// Adds all flows to `out`, until that is full: `false` says that there are more.
    #[must_use = "flows that did not fit are still to be fetched"]
    pub fn flush(&mut self, out: &mut FlowBuilder) -> bool {
        for slot in 0..self.slots.len() {
            if out.is_full() {
                return self.index.is_empty();
            }
            if let Some(flow) = self.slots[slot].flow {
                self.export(&flow, EndReason::Forced, out);
                self.remove(slot as u32);
            }
        }
        true
    }

    /// What it has done so far.
    pub fn stats(&self) -> MeterStats {
        MeterStats { flows_held: self.index.len(), fragments_forgotten: self.fragments.forgotten(), ..self.stats }
    }

    fn set_time(&mut self, time: Micros, out: &mut FlowBuilder) {
        if self.now.0 == i64::MIN {
            self.now = time;
            self.wheel.restart(time);
        } else if self.now - time > CLOCK_BACK_MAX {
            self.stats.clock_resets += 1;
            self.restart(time, out);
        } else {
            self.now = self.now.max(time);
        }
        // What does not fit now comes with the next packet or `expire`.
        self.run_timers(out);
    }

    /// Begins a new timeline: what was held is exported whether or not `out` is full, because its time is over.
    fn restart(&mut self, time: Micros, out: &mut FlowBuilder) {
        for slot in &mut self.slots {
            if let Some(flow) = slot.flow.take()
                && !flow.is_empty()
            {
                export(&mut self.stats, &self.config, &flow, EndReason::Forced, out);
            }
        }
        self.slots.clear();
        self.free.clear();
        self.index.clear();
        self.fragments.clear();
        self.wheel.restart(time);
        self.now = time;
    }

    fn count(&mut self, time: Micros, mut packet: Packet, out: &mut FlowBuilder) {
        self.stats.bytes += u64::from(packet.ip_bytes);
        match packet.fragment {
            Fragment::Whole => {}
            Fragment::First(id) => self.fragments.remember(id, &packet, self.now),
            Fragment::Later(id) => match self.fragments.recall(id, &packet, self.now) {
                Some(Ports { src, dst, icmp, icmp_id }) => {
                    (packet.src_port, packet.dst_port, packet.icmp, packet.icmp_id) = (src, dst, icmp, icmp_id);
                }
                None => self.stats.orphan_fragments += 1,
            },
        }
        let (key, side) = Key::of(&packet);
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        let holds = |slot: &u32| slots[*slot as usize].flow.as_ref().is_some_and(|flow| flow.key == key);
        let known = self.index.find(hash, holds).copied();
        let opens = packet.protocol == PROTOCOL_TCP && packet.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN;
        let slot = match known {
            Some(slot) => match &self.slots[slot as usize].flow {
                Some(flow) if opens && flow.is_succeeded_by(side) => {
                    export(&mut self.stats, &self.config, flow, EndReason::End, out);
                    self.remove(slot);
                    self.insert(key, hash, side, time, &packet, out)
                }
                _ => slot,
            },
            None => self.insert(key, hash, side, time, &packet, out),
        };
        let now = self.now;
        let Some(flow) = &mut self.slots[slot as usize].flow else { return };
        let was_closed = flow.closed;
        flow.add(side, &packet, time, now);
        if flow.closed && !was_closed {
            self.schedule(slot, 2);
        }
    }

    fn insert(&mut self, key: Key, hash: u64, side: Side, time: Micros, packet: &Packet, out: &mut FlowBuilder) -> u32 {
        if self.index.len() >= self.config.flows_max {
            self.evict(out);
        }
        let answers = packet.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN | TCP_ACK || key::is_reply(packet);
        let flow = Flow {
            key,
            hash,
            initiator: if answers { side.other() } else { side },
            start: time,
            end: time,
            began: self.now,
            touched: self.now,
            ways: [Way::default(); 2],
            icmp: packet.icmp,
            tos: packet.tos,
            // Of the initiator's packets, so crossed over where the first packet seen is an answer.
            src_mac: if answers { packet.dst_mac } else { packet.src_mac },
            dst_mac: if answers { packet.src_mac } else { packet.dst_mac },
            closed: false,
        };
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(slot as usize) {
            Some(slot) => slot.flow = Some(flow),
            None => self.slots.push(Slot { flow: Some(flow), timers: 0 }),
        }
        let slots = &self.slots;
        // Every slot in the index holds a flow, so the fallback hash is never used.
        self.index.insert_unique(hash, slot, |&slot| slots[slot as usize].flow.as_ref().map_or(0, |flow| flow.hash));
        self.schedule(slot, 1);
        slot
    }

    /// Makes sure that the wheel looks at the slot when its flow is due: at most `timers_max` entries exist for one
    /// slot. An entry that is left over from an earlier flow in it comes early, never late.
    fn schedule(&mut self, slot: u32, timers_max: u8) {
        let entry = &mut self.slots[slot as usize];
        if let Some(flow) = &entry.flow
            && entry.timers < timers_max
        {
            entry.timers += 1;
            self.wheel.add(slot, flow.due(&self.config).0);
        }
    }

    /// Exports what is due; `false` when `out` is full before the end.
    fn run_timers(&mut self, out: &mut FlowBuilder) -> bool {
        if !self.wheel.turn(self.now) {
            return true;
        }
        while !out.is_full() {
            let Some(slot) = self.wheel.pop() else { return true };
            // Slots that went with a restart took their timers along; the wheel was emptied with them.
            let Some(entry) = self.slots.get_mut(slot as usize) else { continue };
            entry.timers = entry.timers.saturating_sub(1);
            let Some(flow) = entry.flow else { continue };
            let (when, reason) = flow.due(&self.config);
            if when > self.now {
                self.schedule(slot, if flow.closed { 2 } else { 1 });
            } else if reason == EndReason::Active {
                self.export(&flow, reason, out);
                self.begin_part(slot);
                self.schedule(slot, 1);
            } else {
                self.export(&flow, reason, out);
                self.remove(slot);
            }
        }
        self.wheel.is_idle()
    }

    fn begin_part(&mut self, slot: u32) {
        let now = self.now;
        if let Some(flow) = &mut self.slots[slot as usize].flow {
            flow.began = now;
            for way in &mut flow.ways {
                *way = Way { ever: way.ever, ..Way::default() };
            }
        }
    }

    /// Exports the longest silent of a few flows.
    fn evict(&mut self, out: &mut FlowBuilder) {
        let length = self.slots.len();
        let mut oldest: Option<(Micros, usize)> = None;
        let mut seen = 0;
        for _ in 0..length {
            self.eviction_cursor = (self.eviction_cursor + 1) % length;
            let Some(flow) = &self.slots[self.eviction_cursor].flow else { continue };
            if oldest.is_none_or(|(touched, _)| flow.touched < touched) {
                oldest = Some((flow.touched, self.eviction_cursor));
            }
            seen += 1;
            if seen == EVICTION_CANDIDATES {
                break;
            }
        }
        let Some((_, slot)) = oldest else { return };
        if let Some(flow) = &self.slots[slot].flow {
            self.stats.evicted += 1;
            export(&mut self.stats, &self.config, flow, EndReason::NoResources, out);
        }
        self.remove(slot as u32);
    }

    fn remove(&mut self, slot: u32) {
        if let Some(flow) = self.slots[slot as usize].flow.take() {
            if let Ok(entry) = self.index.find_entry(flow.hash, |&other| other == slot) {
                entry.remove();
            }
            self.free.push(slot);
        }
    }

    fn export(&mut self, flow: &Flow, reason: EndReason, out: &mut FlowBuilder) {
        export(&mut self.stats, &self.config, flow, reason, out);
    }
}

/// Adds a row, unless the flow has had no packet since its last one.
fn export(stats: &mut MeterStats, config: &MeterConfig, flow: &Flow, reason: EndReason, out: &mut FlowBuilder) {
    if flow.is_empty() {
        return;
    }
    stats.flows += 1;
    let origin = Origin {
        // No later than the batch, which is when the rows are received.
        received: Micros(i64::MAX),
        source: Source::Capture,
        exporter: config.exporter,
        domain: config.domain,
    };
    out.row(&origin, 1, &flow.row(reason));
}

#[cfg(test)]
mod tests;
