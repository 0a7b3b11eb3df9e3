//! The decoder: one datagram in, rows out, whatever protocol its header says.
//!
//! It never fails: what is wrong is counted, for the exporter it came from where there is one. The number of
//! exporters is bounded, and those that have proven themselves are not displaced by those that have not.

use foldhash::fast::RandomState;
use guardian_model::{Ip, Micros};
use hashbrown::HashMap;

use crate::builder::{FlowBuilder, Source};
use crate::exporter::{Exporter, Shared};
use crate::limits::Limits;
use crate::message::Scratch;
use crate::netflow5;
use crate::report::{ExporterStats, Peer, Reason, Report, Totals};
use crate::sflow;

/// Exporters looked at to find one to displace; the next search goes on where this one ended.
const CANDIDATES: usize = 64;

/// Decodes NetFlow v5, v7, v9, IPFIX and sFlow v5 of many exporters.
#[derive(Clone, Debug)]
pub struct Decoder {
    limits: Limits,
    pub(crate) exporters: Vec<Exporter>,
    index: HashMap<Ip, usize, RandomState>,
    last: usize,
    cursor: usize,
    state_bytes: usize,
    totals: Totals,
    pub(crate) revision: u64,
    scratch: Scratch,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Decoder {
    /// A decoder that knows nobody yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            exporters: Vec::new(),
            index: HashMap::default(),
            last: 0,
            cursor: 0,
            state_bytes: 0,
            totals: Totals::default(),
            revision: 0,
            scratch: Scratch::default(),
        }
    }

    /// Decodes one datagram into `out`. Look at [`FlowBuilder::is_full`] afterwards.
    pub fn decode(&mut self, from: Peer, received: Micros, datagram: &[u8], out: &mut FlowBuilder) -> Report {
        self.totals.datagrams += 1;
        let (source, domain) = match identify(datagram) {
            Ok(identity) => identity,
            Err(reason) => return self.unidentified(from, reason),
        };
        let Some(at) = self.exporter(from.ip, received) else {
            self.totals.errors.count(Reason::ExporterRefused);
            return Report { source: Some(source), error: Some(Reason::ExporterRefused), ..Report::default() };
        };
        let exporter = &mut self.exporters[at];
        let before = exporter.budget.used;
        exporter.budget.frozen = self.state_bytes >= self.limits.state_bytes_max;
        let mut shared = Shared {
            limits: &self.limits,
            totals: &mut self.totals,
            revision: &mut self.revision,
            scratch: &mut self.scratch,
        };
        let report = exporter.decode(source, domain, from, received, datagram, &mut shared, out);
        self.state_bytes = self.state_bytes + exporter.budget.used - before;
        report
    }

    /// What is known of every exporter, domain and protocol.
    pub fn exporters(&self) -> impl Iterator<Item = ExporterStats> + '_ {
        self.exporters
            .iter()
            .flat_map(|exporter| exporter.domains.iter().map(|domain| domain.stats(exporter.ip, &exporter.samplers)))
    }

    /// Counters of what belongs to no exporter.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Bytes of state that are accounted for.
    pub fn state_bytes(&self) -> usize {
        self.state_bytes
    }

    /// Changes whenever [`Self::export_templates`] would give something else.
    pub fn templates_revision(&self) -> u64 {
        self.revision
    }

    fn unidentified(&mut self, from: Peer, reason: Reason) -> Report {
        let known = self.index.get(&from.ip).and_then(|at| self.exporters[*at].errors());
        known.unwrap_or(&mut self.totals.errors).count(reason);
        Report { error: Some(reason), ..Report::default() }
    }

    /// The exporter with this address, made where it is new. `None` when all places are taken by better ones.
    pub(crate) fn exporter(&mut self, ip: Ip, now: Micros) -> Option<usize> {
        if self.exporters.get(self.last).is_some_and(|exporter| exporter.ip == ip) {
            return Some(self.last);
        }
        if let Some(at) = self.index.get(&ip) {
            self.last = *at;
            return Some(*at);
        }
        let full = self.exporters.len() >= self.limits.exporters_max;
        if full && !self.displace(now) {
            return None;
        }
        while self.state_bytes + Exporter::WEIGHT > self.limits.state_bytes_max && self.displace(now) {}
        if self.state_bytes + Exporter::WEIGHT > self.limits.state_bytes_max {
            return None;
        }
        self.last = self.exporters.len();
        self.index.insert(ip, self.last);
        self.exporters.push(Exporter::new(ip, now, &self.limits));
        self.state_bytes += Exporter::WEIGHT;
        Some(self.last)
    }

    /// Forgets the least of some exporters: unproven ones first, of those the ones with the fewest datagrams, of
    /// those the one that was silent for longest. Proven ones keep their place as long as they are heard.
    fn displace(&mut self, now: Micros) -> bool {
        let count = self.exporters.len();
        let candidates = (0..CANDIDATES.min(count)).map(|i| (self.cursor + i) % count);
        let displaceable = candidates.filter(|at| {
            let exporter = &self.exporters[*at];
            !exporter.proven || now - exporter.last_seen > self.limits.exporter_idle_max
        });
        let worth = |at: &usize| {
            let exporter = &self.exporters[*at];
            (exporter.proven, exporter.datagrams.min(8), exporter.last_seen)
        };
        let least = displaceable.min_by_key(worth);
        self.cursor = (self.cursor + CANDIDATES) % count.max(1);
        let Some(at) = least else { return false };
        let gone = self.exporters.swap_remove(at);
        self.index.remove(&gone.ip);
        if let Some(moved) = self.exporters.get(at) {
            self.index.insert(moved.ip, at);
        }
        self.state_bytes = self.state_bytes.saturating_sub(gone.budget.used);
        self.totals.evicted_exporters += 1;
        self.last = 0;
        true
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Accounts for state that was put into an exporter from outside of [`Self::decode`].
    pub(crate) fn grown(&mut self, bytes: usize) {
        self.state_bytes += bytes;
    }

    pub(crate) fn totals_mut(&mut self) -> &mut Totals {
        &mut self.totals
    }
}

/// Protocol and observation domain of a datagram, by its header. NetFlow and IPFIX begin with a 16-bit version, sFlow
/// with a 32-bit one.
fn identify(datagram: &[u8]) -> Result<(Source, u32), Reason> {
    let u32_at = |i: usize| {
        let bytes = datagram.get(i..).and_then(|b| b.first_chunk()).ok_or(Reason::Truncated)?;
        Ok(u32::from_be_bytes(*bytes))
    };
    let [high, low, ..] = datagram else { return Err(Reason::Truncated) };
    let (source, least) = match u16::from_be_bytes([*high, *low]) {
        5 => (Source::NetFlow5, netflow5::HEADER),
        7 => (Source::NetFlow7, netflow5::HEADER),
        9 => (Source::NetFlow9, 20),
        10 => (Source::Ipfix, 16),
        0 if u32_at(0)? == sflow::VERSION => (Source::Sflow, sflow::HEADER),
        _ => return Err(Reason::Version),
    };
    if datagram.len() < least {
        return Err(Reason::Truncated);
    }
    let domain = match source {
        Source::NetFlow5 => u32::from(u16::from_be_bytes([datagram[20], datagram[21]])),
        Source::NetFlow9 => u32_at(16)?,
        Source::Ipfix => u32_at(12)?,
        Source::Sflow => sflow::sub_agent(datagram).ok_or(Reason::Sflow)?,
        _ => 0,
    };
    Ok((source, domain))
}

#[cfg(test)]
mod tests {
    use guardian_model::{Ip, Micros};

    use super::Decoder;
    use crate::builder::FlowBuilder;
    use crate::exporter::{Domain, Exporter};
    use crate::limits::Limits;
    use crate::report::Peer;

    /// An IPFIX message with one set.
    fn message(domain: u8, set: u16, body: &[u8]) -> Vec<u8> {
        let len = (body.len() + 20) as u16;
        let mut out = [&[0, 10][..], &len.to_be_bytes(), &[0; 11], &[domain]].concat();
        out.extend([set.to_be_bytes(), (len - 16).to_be_bytes()].concat());
        out.extend(body);
        out
    }

    #[test]
    fn the_account_of_state_is_exact_through_growth_and_eviction() {
        let limits = Limits {
            exporters_max: 5,
            domains_per_exporter_max: 3,
            sessions_per_domain_max: 2,
            templates_per_session_max: 3,
            held_sets_per_session_max: 3,
            state_bytes_per_exporter_max: 20 << 10,
            state_bytes_max: 60 << 10,
            ..Limits::default()
        };
        let (mut decoder, mut out) = (Decoder::new(limits), FlowBuilder::new());
        let mut seed = 7u32;
        let mut random = move |n: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % n
        };
        for step in 0..5000 {
            let peer = Peer { ip: Ip::v4([10, 0, 0, random(9) as u8]), port: random(4) as u16 };
            let id = 256 + random(6) as u16;
            let template = [&id.to_be_bytes()[..], &[0, 1, 0, 12, 0, 4 + random(3) as u8]].concat();
            let withdrawal = [id.to_be_bytes(), [0, 0]].concat();
            let datagram = match random(4) {
                0 => message(random(5) as u8, 2, &template),
                1 => message(random(5) as u8, 2, &withdrawal),
                _ => message(random(5) as u8, id, &vec![1; random(400) as usize]),
            };
            decoder.decode(peer, Micros(step * Micros::SECOND), &datagram, &mut out);
            for exporter in &decoder.exporters {
                let weight = exporter.domains.iter().map(Domain::weight).sum::<usize>();
                assert_eq!(exporter.budget.used, Exporter::WEIGHT + weight, "step {step}");
            }
            let used = decoder.exporters.iter().map(|exporter| exporter.budget.used).sum::<usize>();
            assert_eq!(decoder.state_bytes(), used, "step {step}");
            for (at, exporter) in decoder.exporters.iter().enumerate() {
                assert_eq!(decoder.index.get(&exporter.ip), Some(&at));
            }
        }
        assert!(decoder.totals().evicted_exporters > 0 && decoder.totals().evicted_domains > 0);
    }
}
