//! The information elements that Guardian understands, and what becomes of each.
//!
//! One declarative table: the compiler of templates, the documentation and the tests derive from it. Names are those
//! of the IANA registry "IP Flow Information Export (IPFIX) Entities"; NetFlow v9 field types up to 127 have the same
//! numbers. Elements that are not here are kept in the `extra` column.

use guardian_model::FlowField;

/// Private enterprise number under which RFC 5103 numbers the reverse direction of every element.
pub const REVERSE_PEN: u32 = 29305;

/// An information element and its use.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    /// Private enterprise number; 0 is IANA's own.
    pub pen: u32,
    /// Element id, or NetFlow v9 field type.
    pub id: u16,
    /// The registry's name.
    pub name: &'static str,
    /// What becomes of its value.
    pub becomes: Becomes,
}

/// What becomes of an element's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// The value of a column. Where a template has several elements for one column, the one that stands first in the
    /// table gives the value, and the others give it in the records in which that is zero.
    Column(FlowField),
    /// A time of the flow.
    Time(Edge, Clock),
    /// Length of the flow, in units of so many microseconds; gives the edge that the template lacks.
    Duration(u16),
    /// The `icmp_type` and `icmp_code` columns of ICMP and ICMPv6 records.
    Icmp {
        /// Of ICMPv6.
        v6: bool,
        /// Which part the value holds.
        part: IcmpPart,
    },
    /// When the exporter's uptime was zero, in milliseconds of Unix time: base of the uptime clock.
    UptimeBase,
    /// Which sampler chose the record's packets.
    Sampler,
    /// One of the numbers that tell a sampling rate.
    Sampling(SamplingPart),
    /// Nothing: padding, or said by other columns already.
    Nothing,
}

/// Which time of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// First packet.
    Start,
    /// Last packet.
    End,
    /// When it was observed; stands in for the other two where they are missing.
    Event,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Milliseconds of the exporter's uptime, 32 bits, wrapping every 49.7 days.
    Uptime,
    /// Seconds of Unix time (RFC 7011 section 6.1.7).
    Seconds,
    /// Milliseconds of Unix time (section 6.1.8).
    Millis,
    /// NTP seconds and fraction (sections 6.1.9 and 6.1.10).
    Ntp,
    /// Microseconds before the message's export time.
    BeforeExport,
}

/// Which part of type and code an ICMP element holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpPart {
    /// type × 256 + code.
    Both,
    /// Type alone.
    Type,
    /// Code alone.
    Code,
}

/// What a sampling element says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplingPart {
    /// One packet in this many.
    Interval,
    /// So many packets are taken in a row …
    Taken,
    /// … and then so many skipped.
    Skipped,
    /// So many packets are taken …
    Size,
    /// … out of so many.
    Population,
    /// A packet is taken with this probability (float64).
    Probability,
}

impl Element {
    /// Whether this is an element of NetFlow v9 alone, outside IANA's numbers.
    pub const fn only_v9(&self) -> bool {
        self.pen == 0 && self.id >= 0x8000
    }

    /// One phrase for the documentation.
    pub fn description(&self) -> String {
        let column = |field: FlowField| guardian_model::FLOW.fields[field.index()].name;
        match self.becomes {
            Becomes::Column(field) => format!("`{}`", column(field)),
            Becomes::Time(Edge::Start, _) => "`start`".to_owned(),
            Becomes::Time(Edge::End, _) => "`end`".to_owned(),
            Becomes::Time(Edge::Event, _) => "`start` and `end` where the template has neither".to_owned(),
            Becomes::Duration(_) => "`start` or `end`, whichever the template lacks".to_owned(),
            Becomes::Icmp { part: IcmpPart::Both, .. } => "`icmp_type` and `icmp_code`".to_owned(),
            Becomes::Icmp { part: IcmpPart::Type, .. } => "`icmp_type`".to_owned(),
            Becomes::Icmp { part: IcmpPart::Code, .. } => "`icmp_code`".to_owned(),
            Becomes::UptimeBase => "base of times that are given as uptime".to_owned(),
            Becomes::Sampler => "finds the sampling rate by its sampler".to_owned(),
            Becomes::Sampling(_) => "`sampling_rate`".to_owned(),
            Becomes::Nothing => "not kept: it adds nothing".to_owned(),
        }
    }
}

/// The whole table, in order of preference.
pub fn elements() -> &'static [Element] {
    TABLE
}

/// Position in the table of an element; `None` is an unmapped one.
pub(crate) fn find(pen: u32, id: u16) -> Option<usize> {
    TABLE.iter().position(|e| e.pen == pen && e.id == id)
}

const fn iana(id: u16, name: &'static str, becomes: Becomes) -> Element {
    Element { pen: 0, id, name, becomes }
}

const fn column(id: u16, name: &'static str, field: FlowField) -> Element {
    iana(id, name, Becomes::Column(field))
}

const fn reverse(id: u16, name: &'static str, field: FlowField) -> Element {
    Element { pen: REVERSE_PEN, id, name, becomes: Becomes::Column(field) }
}

const fn time(id: u16, name: &'static str, edge: Edge, clock: Clock) -> Element {
    iana(id, name, Becomes::Time(edge, clock))
}

const fn icmp(id: u16, name: &'static str, v6: bool, part: IcmpPart) -> Element {
    iana(id, name, Becomes::Icmp { v6, part })
}

const fn sampling(id: u16, name: &'static str, part: SamplingPart) -> Element {
    iana(id, name, Becomes::Sampling(part))
}

use FlowField as F;

static TABLE: &[Element] = &[
    // Addresses. The IPv6 one stands first: in dual-stack templates it is `::` for IPv4 records.
    column(27, "sourceIPv6Address", F::SrcIp),
    column(8, "sourceIPv4Address", F::SrcIp),
    column(28, "destinationIPv6Address", F::DstIp),
    column(12, "destinationIPv4Address", F::DstIp),
    column(62, "ipNextHopIPv6Address", F::NextHop),
    column(15, "ipNextHopIPv4Address", F::NextHop),
    column(63, "bgpNextHopIPv6Address", F::NextHop),
    column(18, "bgpNextHopIPv4Address", F::NextHop),
    column(29, "sourceIPv6PrefixLength", F::SrcMask),
    column(9, "sourceIPv4PrefixLength", F::SrcMask),
    column(30, "destinationIPv6PrefixLength", F::DstMask),
    column(13, "destinationIPv4PrefixLength", F::DstMask),
    // Transport.
    column(4, "protocolIdentifier", F::Protocol),
    column(7, "sourceTransportPort", F::SrcPort),
    column(180, "udpSourcePort", F::SrcPort),
    column(182, "tcpSourcePort", F::SrcPort),
    column(11, "destinationTransportPort", F::DstPort),
    column(181, "udpDestinationPort", F::DstPort),
    column(183, "tcpDestinationPort", F::DstPort),
    column(6, "tcpControlBits", F::TcpFlags),
    column(5, "ipClassOfService", F::Tos),
    column(55, "postIpClassOfService", F::Tos),
    icmp(32, "icmpTypeCodeIPv4", false, IcmpPart::Both),
    icmp(176, "icmpTypeIPv4", false, IcmpPart::Type),
    icmp(177, "icmpCodeIPv4", false, IcmpPart::Code),
    icmp(139, "icmpTypeCodeIPv6", true, IcmpPart::Both),
    icmp(178, "icmpTypeIPv6", true, IcmpPart::Type),
    icmp(179, "icmpCodeIPv6", true, IcmpPart::Code),
    // Counters.
    column(1, "octetDeltaCount", F::Bytes),
    column(231, "initiatorOctets", F::Bytes),
    column(85, "octetTotalCount", F::Bytes),
    column(352, "layer2OctetDeltaCount", F::Bytes),
    column(353, "layer2OctetTotalCount", F::Bytes),
    column(23, "postOctetDeltaCount", F::Bytes),
    column(171, "postOctetTotalCount", F::Bytes),
    column(2, "packetDeltaCount", F::Packets),
    column(298, "initiatorPackets", F::Packets),
    column(86, "packetTotalCount", F::Packets),
    column(24, "postPacketDeltaCount", F::Packets),
    column(172, "postPacketTotalCount", F::Packets),
    // The way back: RFC 5103, and the responder's counters of firewalls.
    reverse(1, "reverseOctetDeltaCount", F::RevBytes),
    column(232, "responderOctets", F::RevBytes),
    reverse(85, "reverseOctetTotalCount", F::RevBytes),
    reverse(2, "reversePacketDeltaCount", F::RevPackets),
    column(299, "responderPackets", F::RevPackets),
    reverse(86, "reversePacketTotalCount", F::RevPackets),
    reverse(6, "reverseTcpControlBits", F::RevTcpFlags),
    // Times, the most exact first.
    time(154, "flowStartMicroseconds", Edge::Start, Clock::Ntp),
    time(156, "flowStartNanoseconds", Edge::Start, Clock::Ntp),
    time(152, "flowStartMilliseconds", Edge::Start, Clock::Millis),
    time(158, "flowStartDeltaMicroseconds", Edge::Start, Clock::BeforeExport),
    time(22, "flowStartSysUpTime", Edge::Start, Clock::Uptime),
    time(150, "flowStartSeconds", Edge::Start, Clock::Seconds),
    time(155, "flowEndMicroseconds", Edge::End, Clock::Ntp),
    time(157, "flowEndNanoseconds", Edge::End, Clock::Ntp),
    time(153, "flowEndMilliseconds", Edge::End, Clock::Millis),
    time(159, "flowEndDeltaMicroseconds", Edge::End, Clock::BeforeExport),
    time(21, "flowEndSysUpTime", Edge::End, Clock::Uptime),
    time(151, "flowEndSeconds", Edge::End, Clock::Seconds),
    time(324, "observationTimeMicroseconds", Edge::Event, Clock::Ntp),
    time(325, "observationTimeNanoseconds", Edge::Event, Clock::Ntp),
    time(323, "observationTimeMilliseconds", Edge::Event, Clock::Millis),
    time(258, "collectionTimeMilliseconds", Edge::Event, Clock::Millis),
    time(322, "observationTimeSeconds", Edge::Event, Clock::Seconds),
    iana(162, "flowDurationMicroseconds", Becomes::Duration(1)),
    iana(161, "flowDurationMilliseconds", Becomes::Duration(1000)),
    iana(160, "systemInitTimeMilliseconds", Becomes::UptimeBase),
    // Sampling.
    iana(302, "selectorId", Becomes::Sampler),
    iana(48, "samplerId", Becomes::Sampler),
    sampling(34, "samplingInterval", SamplingPart::Interval),
    sampling(50, "samplerRandomInterval", SamplingPart::Interval),
    sampling(305, "samplingPacketInterval", SamplingPart::Taken),
    sampling(306, "samplingPacketSpace", SamplingPart::Skipped),
    sampling(309, "samplingSize", SamplingPart::Size),
    sampling(310, "samplingPopulation", SamplingPart::Population),
    sampling(311, "samplingProbability", SamplingPart::Probability),
    iana(35, "samplingAlgorithm", Becomes::Nothing),
    iana(49, "samplerMode", Becomes::Nothing),
    iana(304, "selectorAlgorithm", Becomes::Nothing),
    // Where it passed.
    column(10, "ingressInterface", F::InputIf),
    column(252, "ingressPhysicalInterface", F::InputIf),
    column(14, "egressInterface", F::OutputIf),
    column(253, "egressPhysicalInterface", F::OutputIf),
    column(16, "bgpSourceAsNumber", F::SrcAs),
    column(17, "bgpDestinationAsNumber", F::DstAs),
    column(56, "sourceMacAddress", F::SrcMac),
    column(81, "postSourceMacAddress", F::SrcMac),
    column(80, "destinationMacAddress", F::DstMac),
    column(57, "postDestinationMacAddress", F::DstMac),
    column(58, "vlanId", F::Vlan),
    column(243, "dot1qVlanId", F::Vlan),
    column(59, "postVlanId", F::Vlan),
    column(254, "postDot1qVlanId", F::Vlan),
    column(61, "flowDirection", F::FlowDirection),
    column(136, "flowEndReason", F::EndReason),
    // Firewalls and address translation.
    column(233, "firewallEvent", F::Event),
    column(230, "natEvent", F::Event),
    column(281, "postNATSourceIPv6Address", F::NatSrcIp),
    column(225, "postNATSourceIPv4Address", F::NatSrcIp),
    column(282, "postNATDestinationIPv6Address", F::NatDstIp),
    column(226, "postNATDestinationIPv4Address", F::NatDstIp),
    column(227, "postNAPTSourceTransportPort", F::NatSrcPort),
    column(228, "postNAPTDestinationTransportPort", F::NatDstPort),
    // Cisco ASA before 8.4 numbered these in NetFlow v9 outside the registry.
    column(40001, "NF_F_XLATE_SRC_ADDR_IPV4", F::NatSrcIp),
    column(40002, "NF_F_XLATE_DST_ADDR_IPV4", F::NatDstIp),
    column(40003, "NF_F_XLATE_SRC_PORT", F::NatSrcPort),
    column(40004, "NF_F_XLATE_DST_PORT", F::NatDstPort),
    column(40005, "NF_F_FW_EVENT", F::Event),
    // Said already.
    iana(60, "ipVersion", Becomes::Nothing),
    iana(210, "paddingOctets", Becomes::Nothing),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Becomes, elements, find};

    #[test]
    fn every_element_stands_once_and_is_described() {
        let mut seen = HashSet::new();
        for (i, element) in elements().iter().enumerate() {
            assert!(seen.insert((element.pen, element.id)), "{} stands twice", element.name);
            assert_eq!(find(element.pen, element.id), Some(i));
            assert!(!element.description().is_empty());
        }
        assert_eq!(find(0, 291), None, "lists stay opaque");
        let named = |name: &str| elements().iter().any(|e| e.name == name && matches!(e.becomes, Becomes::Column(_)));
        assert!(named("octetDeltaCount") && named("reverseOctetDeltaCount"));
    }
}
