//! State of one exporter: its domains, their sessions, samplers and counters.

use guardian_model::{Ip, Micros};

use crate::builder::{FlowBuilder, Origin, Source};
use crate::limits::{Budget, Limits};
use crate::message::{Data, Dialect, Message, Scratch};
use crate::netflow5;
use crate::report::{Counters, Errors, ExporterStats, Peer, Reason, Report, Totals, Waiting};
use crate::sampling::Samplers;
use crate::sequence::{self, Records};
use crate::sflow;
use crate::template::Session;
use crate::times::Header;

/// Distance between what the uptime and the wall clock of an exporter say, beyond which it has restarted, in
/// milliseconds.
const RESTART_MILLIS: i64 = 60_000;

/// One observation domain, source id, engine or sub-agent.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    pub(crate) source: Source,
    pub(crate) id: u32,
    pub(crate) sessions: Vec<Session>,
    pub(crate) uptime_base: Option<u64>,
    pub(crate) last_seen: Micros,
    port: u16,
    first_seen: Micros,
    /// Export time (milliseconds) and uptime of the last header.
    clocks: Option<(i64, u32)>,
    agents: sflow::Agents,
    header_rate: Option<u32>,
    counters: Counters,
}

impl Domain {
    fn new(source: Source, id: u32, now: Micros) -> Self {
        Self {
            source,
            id,
            sessions: Vec::new(),
            uptime_base: None,
            last_seen: now,
            port: 0,
            first_seen: now,
            clocks: None,
            agents: sflow::Agents::default(),
            header_rate: None,
            counters: Counters::default(),
        }
    }

    /// Everything the domain weighs.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.sessions.iter().map(Session::weight).sum::<usize>() + self.agents.weight()
    }

    /// The session of a port, made where it is new. `None` when there is no room for it.
    pub(crate) fn session(&mut self, port: u16, now: Micros, limits: &Limits, budget: &mut Budget) -> Option<usize> {
        if let Some(at) = self.sessions.iter().position(|session| session.port == port) {
            self.sessions[at].last_seen = now;
            return Some(at);
        }
        if self.sessions.len() >= limits.sessions_per_domain_max {
            let oldest = self.sessions.iter().enumerate().min_by_key(|(_, session)| session.last_seen);
            if let Some((at, _)) = oldest {
                budget.give(self.sessions.swap_remove(at).weight());
            }
        }
        budget.take(Session::WEIGHT).then(|| {
            self.sessions.push(Session::new(port, now));
            self.sessions.len() - 1
        })
    }

    /// Whether the clocks of a header say that the exporter restarted since the last one.
    fn restarted(&mut self, header: &Header) -> bool {
        let Some(uptime) = header.uptime else { return false };
        let export = header.told_millis();
        let Some((last_export, last_uptime)) = self.clocks.replace((export, uptime)) else { return false };
        let by_uptime = i64::from(uptime.wrapping_sub(last_uptime) as i32);
        let by_clock = export - last_export;
        uptime < last_uptime && (by_uptime - by_clock).abs() > RESTART_MILLIS && by_uptime.abs() > RESTART_MILLIS
    }

    pub(crate) fn stats(&self, exporter: Ip, samplers: &Samplers) -> ExporterStats {
        let mut waiting = Waiting::default();
        for session in &self.sessions {
            let of_session = session.waiting();
            waiting.sets += of_session.sets;
            waiting.bytes += of_session.bytes;
            waiting.records += of_session.records;
        }
        ExporterStats {
            exporter,
            domain: self.id,
            source: self.source,
            port: self.port,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            templates: self.sessions.iter().map(|session| session.templates().len()).sum(),
            sampling_rate: self.header_rate.or_else(|| samplers.default_of(self.source, self.id)),
            samplers: samplers.count(self.source, self.id),
            waiting,
            missing: self.sessions.iter().map(|session| session.sequence.missing()).sum::<u64>()
                + self.agents.missing(),
            counters: self.counters,
        }
    }
}

/// What decoding borrows from the decoder.
pub(crate) struct Shared<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) totals: &'a mut Totals,
    pub(crate) revision: &'a mut u64,
    pub(crate) scratch: &'a mut Scratch,
}

/// One exporter address.
#[derive(Clone, Debug)]
pub(crate) struct Exporter {
    pub(crate) ip: Ip,
    pub(crate) domains: Vec<Domain>,
    pub(crate) samplers: Samplers,
    pub(crate) budget: Budget,
    pub(crate) last_seen: Micros,
    pub(crate) datagrams: u64,
    /// Its flows span some time: it is not one of many forged addresses, as far as one can tell.
    pub(crate) proven: bool,
    first_flow: Option<Micros>,
    last_domain: usize,
}

impl Exporter {
    /// What an exporter without domains weighs.
    pub(crate) const WEIGHT: usize = size_of::<Self>();

    pub(crate) fn new(ip: Ip, now: Micros, limits: &Limits) -> Self {
        Self {
            ip,
            domains: Vec::new(),
            samplers: Samplers::default(),
            budget: Budget { used: Self::WEIGHT, max: limits.state_bytes_per_exporter_max, frozen: false },
            last_seen: now,
            datagrams: 0,
            proven: false,
            first_flow: None,
            last_domain: 0,
        }
    }

    /// The errors of the domain that was last heard of: where broken datagrams are counted that name none.
    pub(crate) fn errors(&mut self) -> Option<&mut Errors> {
        self.domains.get_mut(self.last_domain).map(|domain| &mut domain.counters.errors)
    }

    /// The domain, made where it is new (true). `None` when there is no room for it.
    pub(crate) fn domain(
        &mut self,
        source: Source,
        id: u32,
        now: Micros,
        limits: &Limits,
        totals: &mut Totals,
    ) -> Option<(usize, bool)> {
        let is = |domain: &Domain| domain.id == id && domain.source == source;
        if self.domains.get(self.last_domain).is_some_and(is) {
            return Some((self.last_domain, false));
        }
        if let Some(at) = self.domains.iter().position(is) {
            self.last_domain = at;
            return Some((at, false));
        }
        if self.domains.len() >= limits.domains_per_exporter_max {
            let unused = |domain: &Domain| (domain.counters.flows > 0, domain.last_seen);
            let oldest = self.domains.iter().enumerate().min_by_key(|(_, domain)| unused(domain));
            if let Some((at, _)) = oldest {
                self.budget.give(self.domains.swap_remove(at).weight());
                totals.evicted_domains += 1;
            }
        }
        if !self.budget.take(size_of::<Domain>()) {
            return None;
        }
        self.domains.push(Domain::new(source, id, now));
        self.last_domain = self.domains.len() - 1;
        Some((self.last_domain, true))
    }

    /// Takes one datagram of `source` and `domain`, which its header names.
    pub(crate) fn decode(
        &mut self,
        source: Source,
        domain: u32,
        peer: Peer,
        received: Micros,
        datagram: &[u8],
        shared: &mut Shared<'_>,
        out: &mut FlowBuilder,
    ) -> Report {
        self.last_seen = received;
        self.datagrams += 1;
        let mut report = Report { source: Some(source), ..Report::default() };
        let Some((at, first_seen)) = self.domain(source, domain, received, shared.limits, shared.totals) else {
            shared.totals.errors.count(Reason::Limit);
            report.error = Some(Reason::Limit);
            return report;
        };
        report.first_seen = first_seen;
        let rows = out.len();
        let state = &mut self.domains[at];
        (state.last_seen, state.port) = (received, peer.port);
        state.counters.datagrams += 1;
        state.counters.bytes += datagram.len() as u64;
        let origin = Origin { received, source, exporter: peer.ip, domain };
        match source {
            Source::NetFlow5 => {
                self.netflow5::<{ netflow5::RECORD_V5 }>(at, origin, datagram, shared, out, &mut report);
            }
            Source::NetFlow7 => {
                self.netflow5::<{ netflow5::RECORD_V7 }>(at, origin, datagram, shared, out, &mut report);
            }
            Source::NetFlow9 => self.message(at, Dialect::V9, peer, origin, datagram, shared, out, &mut report),
            Source::Ipfix => self.message(at, Dialect::Ipfix, peer, origin, datagram, shared, out, &mut report),
            Source::Sflow => report.error = self.sflow(at, origin, datagram, shared, out),
            Source::Capture => {}
        }
        report.flows = (out.len() - rows) as u32;
        if report.flows > 0 && !self.proven {
            let since = *self.first_flow.get_or_insert(received);
            self.proven = received - since >= shared.limits.exporter_proven_after;
        }
        report
    }

    fn sflow(
        &mut self,
        at: usize,
        origin: Origin,
        datagram: &[u8],
        shared: &mut Shared<'_>,
        out: &mut FlowBuilder,
    ) -> Option<Reason> {
        let domain = &mut self.domains[at];
        let context = sflow::Context {
            origin,
            limits: shared.limits,
            agents: &mut domain.agents,
            budget: &mut self.budget,
            counters: &mut domain.counters,
            sampling_rate: &mut domain.header_rate,
            out,
        };
        sflow::decode(datagram, context)
    }

    fn netflow5<const LEN: usize>(
        &mut self,
        at: usize,
        origin: Origin,
        datagram: &[u8],
        shared: &mut Shared<'_>,
        out: &mut FlowBuilder,
        report: &mut Report,
    ) {
        let Some((head, body)) = datagram.split_first_chunk::<{ netflow5::HEADER }>() else { return };
        let domain = &mut self.domains[at];
        let u32_at = |i: usize| u32::from_be_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        let told = i64::from(u32_at(8)) * Micros::SECOND + i64::from(u32_at(12) / 1000);
        let (header, skewed) = Header::new(origin, told, Some(u32_at(4)), shared.limits);
        domain.counters.skewed_clocks += u64::from(skewed);
        let count = u16::from_be_bytes([head[2], head[3]]);
        if LEN == netflow5::RECORD_V5 {
            // Two bits of mode, 14 of interval; exporters that sample do not agree on the mode.
            domain.header_rate = Some(u32::from(u16::from_be_bytes([head[22], head[23]]) & 0x3fff).max(1));
        }
        let whole = (body.len() / LEN).min(usize::from(count));
        if whole != usize::from(count) || count == 0 {
            domain.counters.errors.count(Reason::Length);
            report.error = Some(Reason::Length);
        }
        let restarted = domain.restarted(&header);
        if let Some(session) = domain.session(0, origin.received, shared.limits, &mut self.budget) {
            let counters = &mut domain.counters.sequence;
            let number = u32_at(16);
            let session = &mut domain.sessions[session];
            session.sequence.accept(
                number,
                count.into(),
                sequence::BEHIND_RECORDS,
                restarted,
                origin.received,
                counters,
            );
        }
        let rate = domain.header_rate.unwrap_or(1);
        match netflow5::records::<LEN>(&body[..whole * LEN], &header, rate, shared.limits, out) {
            Some((flows, clamped)) => {
                domain.counters.flows += flows as u64;
                domain.counters.clamped_times += clamped;
            }
            None => domain.counters.errors.count(Reason::Limit),
        }
    }

    fn message(
        &mut self,
        at: usize,
        dialect: Dialect,
        peer: Peer,
        origin: Origin,
        datagram: &[u8],
        shared: &mut Shared<'_>,
        out: &mut FlowBuilder,
        report: &mut Report,
    ) {
        let domain = &mut self.domains[at];
        let Some(Head { told, uptime, count, number, sets, short }) = Head::read(dialect, datagram) else { return };
        let (header, skewed) = Header::new(origin, told, uptime, shared.limits);
        domain.counters.skewed_clocks += u64::from(skewed);
        let restarted = domain.restarted(&header);
        let port = if dialect == Dialect::Ipfix { peer.port } else { 0 };
        let Some(session) = domain.session(port, origin.received, shared.limits, &mut self.budget) else {
            domain.counters.errors.count(Reason::Limit);
            report.error = Some(Reason::Limit);
            return;
        };
        let mut message = Message {
            data: Data {
                dialect,
                limits: shared.limits,
                counters: &mut domain.counters,
                samplers: &mut self.samplers,
                uptime_base: &mut domain.uptime_base,
                revision: shared.revision,
                scratch: shared.scratch,
                out,
                allowance: shared.limits.records_per_datagram_max,
                error: None,
            },
            session: &mut domain.sessions[session],
            budget: &mut self.budget,
            header,
            records: Records::default(),
            counted: 0,
            unknown_sets: 0,
            held_sets: 0,
        };
        if short {
            message.data.fail(Reason::Length);
        }
        message.read(sets);
        report.error = message.data.error;
        report.held_sets = message.held_sets;
        message.account(number, count, restarted);
    }
}

/// What the header of a message says.
struct Head<'a> {
    /// Export time, in Unix microseconds.
    told: i64,
    uptime: Option<u32>,
    /// Records and templates (v9 alone).
    count: u16,
    /// Sequence number.
    number: u32,
    sets: &'a [u8],
    /// The datagram does not have the length that it claims.
    short: bool,
}

impl<'a> Head<'a> {
    fn read(dialect: Dialect, datagram: &'a [u8]) -> Option<Self> {
        let u16_at = |i: usize| datagram.get(i..)?.first_chunk().map(|b| u16::from_be_bytes(*b));
        let u32_at = |i: usize| datagram.get(i..)?.first_chunk().map(|b| u32::from_be_bytes(*b));
        let time = |secs: u32| i64::from(secs) * Micros::SECOND;
        let second = u16_at(2)?;
        Some(match dialect {
            Dialect::V9 => Self {
                told: time(u32_at(8)?),
                uptime: Some(u32_at(4)?),
                count: second,
                number: u32_at(12)?,
                sets: datagram.get(20..)?,
                short: false,
            },
            Dialect::Ipfix => {
                let short = !(16..=datagram.len()).contains(&usize::from(second));
                let end = if short { datagram.len() } else { usize::from(second) };
                let sets = datagram.get(16..end)?;
                Self { told: time(u32_at(4)?), uptime: None, count: 0, number: u32_at(8)?, sets, short }
            }
        })
    }
}
