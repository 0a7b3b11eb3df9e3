//! Flow records: what a sample tells about its packet.
//!
//! Every format is one arm of [`Found::read`]. It must never fail for what it does not know: that is skipped.

use guardian_model::Ip;

use super::xdr::{Cut, Reader};
use crate::builder::FlowRow;
use crate::packet::{self, LinkType, Packet};

/// Longest AS path that is looked at, in segments.
const SEGMENTS_MAX: u32 = 64;

/// What the records of one sample told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// The packet, from the best record so far: a header, or the fields that the agent had taken from it.
    packet: Option<Packet>,
    /// Whether it is from a header.
    from_header: bool,
    bytes: u64,
    src_mac: Option<[u8; 6]>,
    dst_mac: Option<[u8; 6]>,
    vlan: Option<u16>,
    next_hop: Option<Ip>,
    masks: Option<(u8, u8)>,
    src_as: Option<u32>,
    dst_as: Option<u32>,
    nat: (Option<Ip>, Option<Ip>),
    nat_ports: Option<(u16, u16)>,
}

impl Found {
    /// Takes a record in; `false` where its format is not known.
    pub(super) fn read(&mut self, format: u32, mut record: Reader<'_>) -> Result<bool, Cut> {
        match format {
            1 => self.header(&mut record)?,
            2 => self.ethernet(&mut record)?,
            3 => self.ip(&mut record, |record| Ok(Ip::v4(record.array()?)))?,
            4 => self.ip(&mut record, |record| Ok(Ip(record.array()?)))?,
            // Extended switch: VLAN and priority in, then out.
            1001 => {
                let vlan = record.u32()?;
                self.vlan = u16::try_from(vlan).ok().filter(|id| (1..4095).contains(id));
                let _ = (record.u32()?, record.u32()?, record.u32()?);
            }
            // Extended router.
            1002 => {
                self.next_hop = record.address()?.or(self.next_hop);
                self.masks = Some((record.u32()?.min(128) as u8, record.u32()?.min(128) as u8));
            }
            1003 => self.gateway(&mut record)?,
            // Extended NAT, and its ports.
            1007 => self.nat = (record.address()?, record.address()?),
            1020 => self.nat_ports = Some((record.u32()? as u16, record.u32()? as u16)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The row; none where the sample told of no IP packet.
    pub(super) fn row(&self, base: FlowRow) -> Option<FlowRow> {
        let packet = self.packet?;
        Some(FlowRow {
            src_ip: packet.src_ip,
            dst_ip: packet.dst_ip,
            src_port: packet.src_port,
            dst_port: packet.dst_port,
            protocol: packet.protocol,
            tcp_flags: packet.tcp_flags,
            raw_bytes: self.bytes,
            raw_packets: 1,
            icmp: packet.icmp,
            tos: Some(packet.tos),
            vlan: packet.vlan.or(self.vlan),
            src_mac: packet.src_mac.or(self.src_mac),
            dst_mac: packet.dst_mac.or(self.dst_mac),
            next_hop: self.next_hop,
            src_mask: self.masks.map(|masks| masks.0),
            dst_mask: self.masks.map(|masks| masks.1),
            src_as: self.src_as,
            dst_as: self.dst_as,
            nat_src_ip: self.nat.0,
            nat_dst_ip: self.nat.1,
            nat_src_port: self.nat_ports.map(|ports| ports.0),
            nat_dst_port: self.nat_ports.map(|ports| ports.1),
            ..base
        })
    }

    /// The first bytes of the packet itself. A header that holds no IP is known, and tells nothing.
    fn header(&mut self, record: &mut Reader<'_>) -> Result<(), Cut> {
        let protocol = record.u32()?;
        let frame_length = record.u32()?;
        let _stripped = record.u32()?;
        let header = record.opaque()?;
        // The header protocols of the specification that carry IP.
        let link = match protocol {
            1 => LinkType::Ethernet,
            7 | 14 => LinkType::Ppp,
            11 | 12 => LinkType::RawIp,
            13 => LinkType::Mpls,
            _ => return Ok(()),
        };
        if let Ok(packet) = packet::parse(link, header, frame_length) {
            self.packet = Some(packet);
            self.from_header = true;
            self.bytes = u64::from(frame_length).max(header.len() as u64);
        }
        Ok(())
    }

    fn ethernet(&mut self, record: &mut Reader<'_>) -> Result<(), Cut> {
        let _length = record.u32()?;
        (self.src_mac, self.dst_mac) = (Some(record.mac()?), Some(record.mac()?));
        record.u32().map(|_ethertype| ())
    }

    fn ip(&mut self, record: &mut Reader<'_>, address: impl Fn(&mut Reader<'_>) -> Result<Ip, Cut>) -> Result<(), Cut> {
        let length = record.u32()?;
        let protocol = record.u32()? as u8;
        let (src_ip, dst_ip) = (address(record)?, address(record)?);
        let (src_port, dst_port) = (record.u32()? as u16, record.u32()? as u16);
        let (tcp_flags, tos) = (record.u32()? as u16, record.u32()? as u8);
        if self.from_header {
            return Ok(());
        }
        self.bytes = u64::from(length);
        let packet = Packet { src_ip, dst_ip, tos, protocol, src_port, dst_port, tcp_flags, ..Packet::default() };
        self.packet = Some(packet);
        Ok(())
    }

    /// Extended gateway: the router's own AS, the source's, and the path to the destination, whose last AS it is in;
    /// an empty path is a destination of the router's own.
    fn gateway(&mut self, record: &mut Reader<'_>) -> Result<(), Cut> {
        self.next_hop = record.address()?.or(self.next_hop);
        let own = record.u32()?;
        self.src_as = Some(record.u32()?);
        let _src_peer_as = record.u32()?;
        let mut last = own;
        for _ in 0..record.u32()?.min(SEGMENTS_MAX) {
            let _kind = record.u32()?;
            let count = record.u32()? as usize;
            let path = record.0.get(..count.checked_mul(4).ok_or(Cut)?).ok_or(Cut)?;
            if let Some(as_number) = path.last_chunk() {
                last = u32::from_be_bytes(*as_number);
            }
            record.0 = &record.0[path.len()..];
        }
        self.dst_as = Some(last);
        Ok(())
    }
}
