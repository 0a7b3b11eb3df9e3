//! What makes packets belong to the same conversation, whichever way they go.
//!
//! A key must never depend on the direction of the packet it was taken from.

use guardian_model::Ip;

use crate::packet::{PROTOCOL_ICMP, PROTOCOL_ICMPV6, Packet};

/// One of the two ends of a conversation: the one with the smaller address and port, or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Low,
    High,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// Both ends, protocol and VLAN, in few words so that hashing is quick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    low: u128,
    high: u128,
    /// Low port, high port, VLAN + 1 (0 for none), protocol.
    rest: u64,
}

impl Key {
    /// The key of a packet and the end that sent it.
    pub(super) fn of(packet: &Packet) -> (Self, Side) {
        let src = (u128::from_be_bytes(packet.src_ip.0), packet.src_port);
        let dst = (u128::from_be_bytes(packet.dst_ip.0), packet.dst_port);
        // A host that pings itself has one end only: the reply comes from the other side by definition.
        let side = if src > dst || (src == dst && is_reply(packet)) { Side::High } else { Side::Low };
        let (low, high) = if side == Side::Low { (src, dst) } else { (dst, src) };
        let [low_part, high_part] = match packet.icmp {
            // ICMP has no ports; its queries are told apart by their identifier, its messages by type and code.
            Some((kind, code)) => match query_of(packet.protocol, kind) {
                Some(query) => [packet.icmp_id, u16::from(query)],
                None => [0, u16::from_be_bytes([kind, code])],
            },
            None => [low.1, high.1],
        };
        let vlan = packet.vlan.map_or(0, |id| u64::from(id) + 1);
        let rest = u64::from(low_part) << 48 | u64::from(high_part) << 32 | vlan << 8 | u64::from(packet.protocol);
        (Self { low: low.0, high: high.0, rest }, side)
    }

    pub(super) const fn protocol(&self) -> u8 {
        self.rest as u8
    }

    pub(super) const fn vlan(&self) -> Option<u16> {
        match (self.rest >> 8) as u16 {
            0 => None,
            id => Some(id - 1),
        }
    }

    /// Address and port of the initiator, then of the responder.
    pub(super) fn endpoints(&self, initiator: Side) -> ((Ip, u16), (Ip, u16)) {
        let ports = match self.protocol() {
            PROTOCOL_ICMP | PROTOCOL_ICMPV6 => [0, 0],
            _ => [(self.rest >> 48) as u16, (self.rest >> 32) as u16],
        };
        let low = (Ip(self.low.to_be_bytes()), ports[0]);
        let high = (Ip(self.high.to_be_bytes()), ports[1]);
        if initiator == Side::Low { (low, high) } else { (high, low) }
    }
}

/// The type of the query that belongs to a query or a reply (RFC 792, RFC 950, RFC 4443 section 4).
fn query_of(protocol: u8, kind: u8) -> Option<u8> {
    Some(match (protocol, kind) {
        (PROTOCOL_ICMP, 8 | 0) => 8,
        (PROTOCOL_ICMP, 13 | 14) => 13,
        (PROTOCOL_ICMP, 17 | 18) => 17,
        (PROTOCOL_ICMPV6, 128 | 129) => 128,
        _ => return None,
    })
}

/// Whether this is an ICMP reply, so that the other end began.
pub(super) fn is_reply(packet: &Packet) -> bool {
    packet.icmp.is_some_and(|(kind, _)| query_of(packet.protocol, kind).is_some_and(|query| query != kind))
}
