//! Packet headers: from the link layer to the ports, without copying.
//!
//! What is keyed by is the outermost IP header: tunnels (GRE, VXLAN, IP in IP, …) are flows between their ends. This
//! module must never panic or read past the bytes it is given, and never look into payloads.

use guardian_model::Ip;

/// What a captured packet begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// An Ethernet header (LINKTYPE 1).
    Ethernet,
    /// Linux "cooked" header, version 1 (LINKTYPE 113).
    LinuxSll,
    /// Linux "cooked" header, version 2 (LINKTYPE 276).
    LinuxSll2,
    /// An IPv4 or IPv6 header (LINKTYPE 101, 228, 229).
    RawIp,
    /// Four bytes with an address family, in the byte order of the machine that captured (LINKTYPE 0, 108).
    Null,
    /// A PPP header, with or without address and control (LINKTYPE 9, 50).
    Ppp,
    /// An MPLS label stack (sFlow header protocol 13).
    Mpls,
    /// What follows an EtherType: a capture without link headers.
    Network(u16),
}

impl LinkType {
    /// From the number in a pcap or pcapng file (the registry at tcpdump.org); `None` for those that are not read.
    pub const fn from_pcap(number: u32) -> Option<Self> {
        Some(match number {
            0 | 108 => Self::Null,
            1 => Self::Ethernet,
            9 | 50 => Self::Ppp,
            // 12 and 14 are what raw IP was called on some systems.
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            _ => return None,
        })
    }
}

/// Why a packet gives no flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// It carries no IPv4 or IPv6: ARP, LLDP, spanning tree and the like.
    NotIp,
    /// It was cut before the end of its IP header.
    Truncated,
    /// Its headers contradict themselves.
    Malformed,
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fragment {
    /// The whole.
    #[default]
    Whole,
    /// The first fragment, which has the ports, with its identification.
    First(u32),
    /// A later fragment, with its identification.
    Later(u32),
}

/// The headers of one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Source MAC address, where the link layer has one.
    pub src_mac: Option<[u8; 6]>,
    /// Destination MAC address, where the link layer has one.
    pub dst_mac: Option<[u8; 6]>,
    /// Id of the outer VLAN tag.
    pub vlan: Option<u16>,
    /// Source address.
    pub src_ip: Ip,
    /// Destination address.
    pub dst_ip: Ip,
    /// Octets of the IP packet, headers included, as NetFlow counts them.
    pub ip_bytes: u32,
    /// IPv4 type of service or IPv6 traffic class.
    pub tos: u8,
    /// Protocol number, behind IPv6 extension headers.
    pub protocol: u8,
    /// Whether it is a fragment.
    pub fragment: Fragment,
    /// Source port, 0 where there is none or it was cut off.
    pub src_port: u16,
    /// Destination port, 0 where there is none or it was cut off.
    pub dst_port: u16,
    /// TCP flags, the ninth being NS.
    pub tcp_flags: u16,
    /// ICMP or ICMPv6 type and code.
    pub icmp: Option<(u8, u8)>,
    /// Identifier of an ICMP query or reply, which tells conversations apart.
    pub icmp_id: u16,
    /// Where in the packet the transport header begins; may be behind the end of what was captured.
    pub transport_at: usize,
}

/// TCP flag FIN.
pub const TCP_FIN: u16 = 0x01;
/// TCP flag SYN.
pub const TCP_SYN: u16 = 0x02;
/// TCP flag RST.
pub const TCP_RST: u16 = 0x04;
/// TCP flag ACK.
pub const TCP_ACK: u16 = 0x10;

pub(crate) const PROTOCOL_ICMP: u8 = 1;
pub(crate) const PROTOCOL_TCP: u8 = 6;
pub(crate) const PROTOCOL_UDP: u8 = 17;
pub(crate) const PROTOCOL_ICMPV6: u8 = 58;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

const UDP_HEADER_BYTES: usize = 8;

/// VLAN tags, MPLS labels and IPv6 extension headers beyond these numbers are not followed.
const TAGS_MAX: usize = 8;
const LABELS_MAX: usize = 16;
const EXTENSIONS_MAX: usize = 12;

/// Reads the headers of a packet of `wire_bytes`, of which `data` may be only the beginning.
pub fn parse(link: LinkType, data: &[u8], wire_bytes: u32) -> Result<Packet, Skip> {
    let mut packet = Packet::default();
    let rest = match link {
        LinkType::Ethernet => {
            packet.dst_mac = data.first_chunk().copied();
            packet.src_mac = data.get(6..).and_then(|rest| rest.first_chunk().copied());
            let ethertype = u16_at(data, 12)?;
            ethertype_payload(ethertype, after(data, 14)?, &mut packet)?
        }
        LinkType::LinuxSll => {
            packet.src_mac = sll_mac(u16_at(data, 4)?, data, 6);
            ethertype_payload(u16_at(data, 14)?, after(data, 16)?, &mut packet)?
        }
        LinkType::LinuxSll2 => {
            packet.src_mac = sll_mac(u16::from(*data.get(11).ok_or(Skip::Truncated)?), data, 12);
            ethertype_payload(u16_at(data, 0)?, after(data, 20)?, &mut packet)?
        }
        LinkType::RawIp => data,
        LinkType::Null => null_payload(data)?,
        LinkType::Ppp => {
            let framed = data.starts_with(&[0xff, 0x03]);
            ppp_payload(after(data, if framed { 2 } else { 0 })?)?
        }
        LinkType::Mpls => mpls_payload(data)?,
        LinkType::Network(ethertype) => ethertype_payload(ethertype, data, &mut packet)?,
    };
    let wire_rest = (wire_bytes as usize).saturating_sub(data.len() - rest.len()).max(rest.len());
    match rest.first().ok_or(Skip::Truncated)? >> 4 {
        4 => ipv4(rest, wire_rest, &mut packet)?,
        6 => ipv6(rest, wire_rest, &mut packet)?,
        _ => return Err(Skip::Malformed),
    }
    packet.transport_at += data.len() - rest.len();
    Ok(packet)
}

/// The payload of a whole UDP datagram, as far as it was captured; none where the packet is something else.
pub fn udp_payload<'a>(packet: &Packet, data: &'a [u8]) -> Option<&'a [u8]> {
    if packet.protocol != PROTOCOL_UDP || packet.fragment != Fragment::Whole {
        return None;
    }
    let datagram = data.get(packet.transport_at..)?;
    let length = usize::from(u16_at(datagram, 4).ok()?);
    // Zero is a jumbogram (RFC 2675 section 4).
    let end = if length == 0 { datagram.len() } else { length.min(datagram.len()) };
    datagram.get(UDP_HEADER_BYTES..end)
}

/// Walks VLAN tags, PPPoE, MPLS and LLC/SNAP to the IP header.
fn ethertype_payload<'a>(mut ethertype: u16, mut data: &'a [u8], packet: &mut Packet) -> Result<&'a [u8], Skip> {
    for _ in 0..TAGS_MAX {
        match ethertype {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Ok(data),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let id = u16_at(data, 0)? & 0x0fff;
                packet.vlan = packet.vlan.or(Some(id));
                ethertype = u16_at(data, 2)?;
                data = after(data, 4)?;
            }
            0x8847 | 0x8848 => return mpls_payload(data),
            0x8864 => return ppp_payload(after(data, 6)?),
            // IEEE 802.3: a length, then LLC, with SNAP where it carries an EtherType.
            0..=1500 => {
                if !data.starts_with(&[0xaa, 0xaa, 0x03, 0, 0, 0]) {
                    return Err(Skip::NotIp);
                }
                ethertype = u16_at(data, 6)?;
                data = after(data, 8)?;
            }
            _ => return Err(Skip::NotIp),
        }
    }
    Err(Skip::Malformed)
}

/// The source address of a cooked header, where it is as long as a MAC address.
fn sll_mac(length: u16, data: &[u8], at: usize) -> Option<[u8; 6]> {
    if length == 6 { data.get(at..)?.first_chunk().copied() } else { None }
}

/// BSD loopback: the address family in the byte order of some machine, so that the large half tells which.
fn null_payload(data: &[u8]) -> Result<&[u8], Skip> {
    let family = data.first_chunk::<4>().ok_or(Skip::Truncated)?;
    let little = u32::from_le_bytes(*family);
    match if little > 0xffff { u32::from_be_bytes(*family) } else { little } {
        // AF_INET everywhere; AF_INET6 of Linux, NetBSD, FreeBSD, macOS, Windows.
        2 | 10 | 23 | 24 | 28 | 30 => after(data, 4),
        _ => Err(Skip::NotIp),
    }
}

/// PPP protocol field (RFC 1661 section 2), one byte where it was compressed.
fn ppp_payload(data: &[u8]) -> Result<&[u8], Skip> {
    let first = *data.first().ok_or(Skip::Truncated)?;
    let (protocol, rest) =
        if first & 1 == 1 { (u16::from(first), after(data, 1)?) } else { (u16_at(data, 0)?, after(data, 2)?) };
    match protocol {
        0x0021 | 0x0057 => Ok(rest),
        0x0281 | 0x0283 => mpls_payload(rest),
        _ => Err(Skip::NotIp),
    }
}

/// Skips a label stack (RFC 3032 section 2.1); what lies behind its bottom is told by the IP version there.
fn mpls_payload(mut data: &[u8]) -> Result<&[u8], Skip> {
    for _ in 0..LABELS_MAX {
        let bottom = data.get(2).ok_or(Skip::Truncated)? & 1 == 1;
        data = after(data, 4)?;
        if bottom {
            return match data.first().ok_or(Skip::Truncated)? >> 4 {
                4 | 6 => Ok(data),
                _ => Err(Skip::NotIp),
            };
        }
    }
    Err(Skip::Malformed)
}

/// RFC 791 section 3.1.
fn ipv4(data: &[u8], wire_rest: usize, packet: &mut Packet) -> Result<(), Skip> {
    let header = data.first_chunk::<20>().ok_or(Skip::Truncated)?;
    let header_bytes = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(be16(header[2], header[3]));
    // A segment that the hardware will split leaves the length zero.
    let total = if total == 0 { wire_rest } else { total };
    if header_bytes < 20 || total < header_bytes {
        return Err(Skip::Malformed);
    }
    packet.ip_bytes = total.min(wire_rest) as u32;
    packet.tos = header[1];
    packet.transport_at = header_bytes;
    packet.protocol = header[9];
    packet.src_ip = Ip::v4([header[12], header[13], header[14], header[15]]);
    packet.dst_ip = Ip::v4([header[16], header[17], header[18], header[19]]);
    let flags = be16(header[6], header[7]);
    let id = u32::from(be16(header[4], header[5]));
    packet.fragment = match (flags & 0x1fff, flags & 0x2000 != 0) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First(id),
        _ => Fragment::Later(id),
    };
    if !matches!(packet.fragment, Fragment::Later(_)) {
        transport(data.get(header_bytes..total.min(data.len())).unwrap_or_default(), packet);
    }
    Ok(())
}

/// RFC 8200 sections 3 and 4.
fn ipv6(data: &[u8], wire_rest: usize, packet: &mut Packet) -> Result<(), Skip> {
    let header = data.first_chunk::<40>().ok_or(Skip::Truncated)?;
    let payload = usize::from(be16(header[4], header[5]));
    // Zero is a jumbogram (RFC 2675) or a segment that the hardware will split.
    let total = if payload == 0 { wire_rest } else { 40 + payload };
    packet.ip_bytes = total.min(wire_rest) as u32;
    packet.tos = (be16(header[0], header[1]) >> 4) as u8;
    packet.src_ip = Ip(*header[8..].first_chunk().ok_or(Skip::Truncated)?);
    packet.dst_ip = Ip(*header[24..].first_chunk().ok_or(Skip::Truncated)?);
    let mut next = header[6];
    let mut rest = &data[40..total.clamp(40, data.len())];
    packet.transport_at = 40;
    for _ in 0..EXTENSIONS_MAX {
        packet.protocol = next;
        let Some(&[following, length]) = rest.first_chunk::<2>() else { return Ok(()) };
        let bytes = match next {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6, experiments.
            0 | 43 | 60 | 135 | 139 | 140 | 253 | 254 => 8 + usize::from(length) * 8,
            // Authentication header: its own unit (RFC 4302 section 2.2).
            51 => 8 + usize::from(length) * 4,
            44 => {
                let Some(fragment) = rest.first_chunk::<8>() else { return Ok(()) };
                let id = u32::from_be_bytes([fragment[4], fragment[5], fragment[6], fragment[7]]);
                let offset = be16(fragment[2], fragment[3]);
                packet.fragment = match (offset >> 3, offset & 1 != 0) {
                    // An "atomic fragment" (RFC 6946) is whole.
                    (0, false) => Fragment::Whole,
                    (0, true) => Fragment::First(id),
                    _ => Fragment::Later(id),
                };
                if let Fragment::Later(_) = packet.fragment {
                    packet.protocol = following;
                    return Ok(());
                }
                8
            }
            _ => {
                transport(rest, packet);
                return Ok(());
            }
        };
        next = following;
        // Where an extension header was cut off, the protocol behind it is known and its ports are not.
        rest = rest.get(bytes..).unwrap_or_default();
        packet.transport_at += bytes;
    }
    packet.protocol = next;
    Ok(())
}

/// Ports, flags, type and code, as far as they were captured.
fn transport(data: &[u8], packet: &mut Packet) {
    match packet.protocol {
        // TCP, UDP, DCCP, SCTP and UDP-Lite begin with their ports.
        6 | 17 | 33 | 132 | 136 => {
            let Some(&[a, b, c, d]) = data.first_chunk() else { return };
            packet.src_port = be16(a, b);
            packet.dst_port = be16(c, d);
            if packet.protocol == PROTOCOL_TCP
                && let Some(&[high, low]) = data.get(12..14).and_then(|flags| flags.first_chunk())
            {
                packet.tcp_flags = be16(high & 1, low);
            }
        }
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 => {
            let Some(&[kind, code]) = data.first_chunk() else { return };
            packet.icmp = Some((kind, code));
            packet.icmp_id = u16_at(data, 4).unwrap_or(0);
        }
        _ => {}
    }
}

const fn be16(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}

fn u16_at(data: &[u8], at: usize) -> Result<u16, Skip> {
    let bytes = data.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Skip::Truncated)?;
    Ok(u16::from_be_bytes(*bytes))
}

fn after(data: &[u8], bytes: usize) -> Result<&[u8], Skip> {
    data.get(bytes..).ok_or(Skip::Truncated)
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
