//! Counter samples: the generic interface counters (structure 1 of enterprise 0, the counters of RFC 2233).
//!
//! Other counter structures are skipped by their length. It must never keep anything: the numbers are the agent's.

use guardian_model::Ip;

use super::xdr::{Cut, Reader};
use super::{COUNTER_SAMPLE, COUNTER_SAMPLE_EXPANDED, Header, VERSION, source_id};

/// The running totals of one interface of an agent. Counters that an agent does not have are all ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the object of the same name of the interfaces MIB, RFC 2863")]
pub struct InterfaceCounters {
    pub if_index: u32,
    pub if_type: u32,
    /// Bits a second.
    pub if_speed: u64,
    /// 0 unknown, 1 full duplex, 2 half duplex, 3 in, 4 out.
    pub if_direction: u32,
    /// Bit 0: up by the administrator's will; bit 1: up in fact.
    pub if_status: u32,
    pub in_octets: u64,
    pub in_unicast_packets: u32,
    pub in_multicast_packets: u32,
    pub in_broadcast_packets: u32,
    pub in_discards: u32,
    pub in_errors: u32,
    pub in_unknown_protocols: u32,
    pub out_octets: u64,
    pub out_unicast_packets: u32,
    pub out_multicast_packets: u32,
    pub out_broadcast_packets: u32,
    pub out_discards: u32,
    pub out_errors: u32,
    pub promiscuous_mode: u32,
}

impl InterfaceCounters {
    fn read(record: &mut Reader<'_>) -> Result<Self, Cut> {
        Ok(Self {
            if_index: record.u32()?,
            if_type: record.u32()?,
            if_speed: record.u64()?,
            if_direction: record.u32()?,
            if_status: record.u32()?,
            in_octets: record.u64()?,
            in_unicast_packets: record.u32()?,
            in_multicast_packets: record.u32()?,
            in_broadcast_packets: record.u32()?,
            in_discards: record.u32()?,
            in_errors: record.u32()?,
            in_unknown_protocols: record.u32()?,
            out_octets: record.u64()?,
            out_unicast_packets: record.u32()?,
            out_multicast_packets: record.u32()?,
            out_broadcast_packets: record.u32()?,
            out_discards: record.u32()?,
            out_errors: record.u32()?,
            promiscuous_mode: record.u32()?,
        })
    }
}

/// Calls `each` for the generic counters of a counter sample's body.
pub(super) fn each(mut body: Reader<'_>, expanded: bool, mut each: impl FnMut(InterfaceCounters)) -> Result<(), Cut> {
    let _sequence = body.u32()?;
    source_id(&mut body, expanded)?;
    for _ in 0..body.u32()? {
        let (format, mut record) = body.structure()?;
        if format == 1 {
            each(InterfaceCounters::read(&mut record)?);
        }
    }
    Ok(())
}

/// Reads the generic interface counters of a datagram, and the agent that sent them; what is cut off or of another
/// kind is left out.
pub fn interface_counters(datagram: &[u8], mut take: impl FnMut(Ip, InterfaceCounters)) {
    let mut reader = Reader(datagram);
    if datagram.first_chunk().map(|version| u32::from_be_bytes(*version)) != Some(VERSION) {
        return;
    }
    let Ok(header) = Header::read(&mut reader) else { return };
    for _ in 0..header.samples {
        let Ok((format, body)) = reader.structure() else { return };
        if let COUNTER_SAMPLE | COUNTER_SAMPLE_EXPANDED = format {
            each(body, format == COUNTER_SAMPLE_EXPANDED, |counters| take(header.agent, counters)).ok();
        }
    }
}
