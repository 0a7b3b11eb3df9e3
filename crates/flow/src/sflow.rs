//! sFlow version 5, after "sFlow Version 5" (sflow.org, July 2004) and the structures registered there since.
//!
//! A flow sample is one packet that stands for as many as its sampling rate says: it becomes a row of one packet whose
//! raw bytes are the length of the frame. Structures that are not known are skipped by their length. This module must
//! never trust a length it has not checked, and never keep more state per agent than [`Limits`] allow.

mod counters;
mod records;
mod xdr;

use guardian_model::Ip;

use crate::builder::{FlowBuilder, FlowRow, Origin};
use crate::limits::{Budget, Limits};
use crate::report::{Counters, Reason};
use crate::sequence::Sequence;

pub use counters::{InterfaceCounters, interface_counters};
use xdr::{Cut, Reader};

/// The version that the header begins with.
pub(crate) const VERSION: u32 = 5;

/// Bytes of the shortest header, that of an agent with an IPv4 address.
pub(crate) const HEADER: usize = 28;

/// Sample formats of enterprise 0 (section 5 of the specification).
const FLOW_SAMPLE: u32 = 1;
const COUNTER_SAMPLE: u32 = 2;
const FLOW_SAMPLE_EXPANDED: u32 = 3;
const COUNTER_SAMPLE_EXPANDED: u32 = 4;

/// How far back a late datagram may lie; a number further back is a restart.
const BEHIND_DATAGRAMS: u32 = 64;
/// An agent whose uptime goes back further than this, in milliseconds, has restarted.
const RESTART_MILLIS: u32 = 10_000;
/// Agents told apart behind one sender and sub-agent id: more than one where a relay forwards for many.
const AGENTS_MAX: usize = 256;
/// Data sources (interfaces) of one agent whose counts of dropped samples are followed.
const SOURCES_MAX: usize = 1024;

/// The header of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The address by which the agent identifies itself.
    pub(crate) agent: Ip,
    pub(crate) sub_agent: u32,
    sequence: u32,
    /// Milliseconds since the agent started.
    uptime: u32,
    samples: u32,
}

impl Header {
    /// Reads a header; what follows it is in the reader.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Cut> {
        reader.u32()?;
        let agent = reader.address()?.ok_or(Cut)?;
        Ok(Self {
            agent,
            sub_agent: reader.u32()?,
            sequence: reader.u32()?,
            uptime: reader.u32()?,
            samples: reader.u32()?,
        })
    }
}

/// The sub-agent of a datagram, which is its observation domain. The caller has looked at the version.
pub(crate) fn sub_agent(datagram: &[u8]) -> Option<u32> {
    Header::read(&mut Reader(datagram)).ok().map(|header| header.sub_agent)
}

/// What is remembered of the agents of one sender and sub-agent id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agents(Vec<Agent>);

#[derive(Clone, Debug)]
struct Agent {
    ip: Ip,
    uptime: u32,
    sequence: Sequence,
    sources: Vec<DataSource>,
}

/// A data source (section 3.1) and its running count of samples that the agent had to drop.
#[derive(Clone, Copy, Debug)]
struct DataSource {
    id: (u32, u32),
    drops: u32,
}

impl Agents {
    /// Bytes of state.
    pub(crate) fn weight(&self) -> usize {
        self.0.iter().map(|agent| size_of::<Agent>() + agent.sources.len() * size_of::<DataSource>()).sum()
    }

    /// Datagrams in gaps that may still be closed.
    pub(crate) fn missing(&self) -> u64 {
        self.0.iter().map(|agent| agent.sequence.missing()).sum()
    }

    fn find(&mut self, ip: Ip, uptime: u32, budget: &mut Budget) -> Option<&mut Agent> {
        let at = match self.0.iter().position(|agent| agent.ip == ip) {
            Some(at) => at,
            None if self.0.len() < AGENTS_MAX && budget.take(size_of::<Agent>()) => {
                self.0.push(Agent { ip, uptime, sequence: Sequence::default(), sources: Vec::new() });
                self.0.len() - 1
            }
            None => return None,
        };
        self.0.get_mut(at)
    }
}

impl Agent {
    /// Samples dropped at this source since it was last heard of. A count that went back began anew.
    fn drops(&mut self, id: (u32, u32), drops: u32, budget: &mut Budget) -> Option<u64> {
        if let Some(source) = self.sources.iter_mut().find(|source| source.id == id) {
            let delta = drops.wrapping_sub(source.drops);
            source.drops = drops;
            return Some(if delta > u32::MAX / 2 { 0 } else { u64::from(delta) });
        }
        if self.sources.len() >= SOURCES_MAX || !budget.take(size_of::<DataSource>()) {
            return None;
        }
        self.sources.push(DataSource { id, drops });
        Some(0)
    }
}

/// What decoding borrows from its exporter.
pub(crate) struct Context<'a> {
    pub(crate) origin: Origin,
    pub(crate) limits: &'a Limits,
    pub(crate) agents: &'a mut Agents,
    pub(crate) budget: &'a mut Budget,
    pub(crate) counters: &'a mut Counters,
    /// Set to the rate of the last flow sample.
    pub(crate) sampling_rate: &'a mut Option<u32>,
    pub(crate) out: &'a mut FlowBuilder,
}

/// Decodes a datagram. What can be read of it is; returns the first thing that was wrong, which was counted.
pub(crate) fn decode(datagram: &[u8], context: Context<'_>) -> Option<Reason> {
    let mut walk = Walk { context, error: None };
    let mut reader = Reader(datagram);
    let Ok(header) = Header::read(&mut reader) else {
        walk.fail(Reason::Truncated);
        return walk.error;
    };
    walk.header(&header);
    for read in 0..header.samples {
        if read as usize >= walk.context.limits.records_per_datagram_max {
            walk.fail(Reason::Limit);
            break;
        }
        // The sample count is believed only as far as there are bytes.
        let Ok((format, body)) = reader.structure() else {
            walk.fail(Reason::Sflow);
            break;
        };
        walk.sample(header.agent, format, body);
    }
    walk.error
}

struct Walk<'a> {
    context: Context<'a>,
    error: Option<Reason>,
}

impl Walk<'_> {
    fn fail(&mut self, reason: Reason) {
        self.context.counters.errors.count(reason);
        self.error.get_or_insert(reason);
    }

    fn header(&mut self, header: &Header) {
        let Context { agents, budget, counters, origin, .. } = &mut self.context;
        let Some(agent) = agents.find(header.agent, header.uptime, budget) else {
            return self.fail(Reason::Limit);
        };
        let back = agent.uptime.wrapping_sub(header.uptime);
        let restarted = (RESTART_MILLIS..u32::MAX / 2).contains(&back);
        agent.uptime = header.uptime;
        let received = origin.received;
        agent.sequence.accept(header.sequence, 1, BEHIND_DATAGRAMS, restarted, received, &mut counters.sequence);
    }

    fn sample(&mut self, agent: Ip, format: u32, body: Reader<'_>) {
        let read = match format {
            FLOW_SAMPLE => self.flow(agent, body, false),
            FLOW_SAMPLE_EXPANDED => self.flow(agent, body, true),
            COUNTER_SAMPLE | COUNTER_SAMPLE_EXPANDED => {
                self.context.counters.counter_samples += 1;
                counters::each(body, format == COUNTER_SAMPLE_EXPANDED, |_| {})
            }
            _ => {
                self.context.counters.unknown_samples += 1;
                Ok(())
            }
        };
        if read.is_err() {
            self.fail(Reason::Sflow);
        }
    }

    fn flow(&mut self, agent: Ip, mut body: Reader<'_>, expanded: bool) -> Result<(), Cut> {
        let sample = Sample::read(&mut body, expanded)?;
        let Context { agents, budget, counters, sampling_rate, .. } = &mut self.context;
        let source = (sample.source_type, sample.source_index);
        let known = agents.0.iter_mut().find(|known| known.ip == agent);
        // An agent that was refused was counted as such.
        let drops = known.map_or(Some(0), |known| known.drops(source, sample.drops, budget));
        counters.sampler_drops += drops.unwrap_or(0);
        **sampling_rate = Some(sample.rate);
        if drops.is_none() {
            self.fail(Reason::Limit);
        }
        let mut found = records::Found::default();
        let mut unknown = 0;
        let mut result = Ok(());
        for _ in 0..body.u32()? {
            let Ok((format, record)) = body.structure() else {
                result = Err(Cut);
                break;
            };
            match found.read(format, record) {
                Ok(true) => {}
                Ok(false) => unknown += 1,
                Err(cut) => result = Err(cut),
            }
        }
        let Context { origin, counters, out, .. } = &mut self.context;
        counters.unknown_samples += unknown;
        let base = FlowRow {
            start: origin.received,
            end: origin.received,
            input_if: sample.input.index(),
            output_if: sample.output.index(),
            flow_direction: sample.direction(),
            ..FlowRow::default()
        };
        match found.row(base) {
            Some(row) => {
                counters.flows += 1;
                out.row(origin, sample.rate, &row);
            }
            None => counters.other_records += 1,
        }
        result
    }
}

/// An interface as a sample names it: its format and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interface {
    format: u32,
    value: u32,
}

impl Interface {
    /// The value that stands for the agent itself.
    const INTERNAL: u32 = 0x3fff_ffff;

    /// The compact form: two bits of format, 30 of value.
    const fn compact(word: u32) -> Self {
        Self { format: word >> 30, value: word & 0x3fff_ffff }
    }

    /// Its SNMP index; none where the packet was dropped, went to several interfaces, or to the agent itself.
    const fn index(self) -> Option<u32> {
        match self {
            Self { format: 0, value: 0 | Self::INTERNAL | u32::MAX } => None,
            Self { format: 0, value } => Some(value),
            _ => None,
        }
    }
}

/// The fixed part of a flow sample.
#[derive(Clone, Copy, Debug)]
struct Sample {
    source_type: u32,
    source_index: u32,
    rate: u32,
    drops: u32,
    input: Interface,
    output: Interface,
}

impl Sample {
    fn read(body: &mut Reader<'_>, expanded: bool) -> Result<Self, Cut> {
        let _sequence = body.u32()?;
        let (source_type, source_index) = source_id(body, expanded)?;
        let rate = body.u32()?.max(1);
        let _pool = body.u32()?;
        let drops = body.u32()?;
        let mut interface = || {
            let first = body.u32()?;
            Ok(if expanded { Interface { format: first, value: body.u32()? } } else { Interface::compact(first) })
        };
        let (input, output) = (interface()?, interface()?);
        Ok(Self { source_type, source_index, rate, drops, input, output })
    }

    /// Where the packet was sampled, when the data source is one of its interfaces (type 0 is an ifIndex).
    fn direction(&self) -> Option<u8> {
        let source = (self.source_type == 0).then_some(self.source_index)?;
        match (self.input.index() == Some(source), self.output.index() == Some(source)) {
            (true, false) => Some(0),
            (false, true) => Some(1),
            _ => None,
        }
    }
}

/// Type and index of a data source: one word with eight bits of type, or two words.
fn source_id(body: &mut Reader<'_>, expanded: bool) -> Result<(u32, u32), Cut> {
    let first = body.u32()?;
    Ok(if expanded { (first, body.u32()?) } else { (first >> 24, first & 0x00ff_ffff) })
}

#[cfg(test)]
mod tests;
