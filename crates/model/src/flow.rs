//! The flow class: one row for one flow record of an exporter, or one flow metered from packets.

use crate::class::class;

class! {
    /// Network flows (OCSF 1.8 Network Activity).
    FLOW,
    /// Columns of [`FLOW`].
    FlowField,
    name "flows", ocsf 4001, "Network flows as exported by NetFlow, IPFIX and sFlow or metered from packets.";

    Batch = 1 "batch" U64 [""] "metadata.log_name" []: "Number of the batch the row was stored with; with row it identifies the event.";
    Row = 2 "row" U32 [""] "metadata.sequence" []: "Row within its batch.";
    Received = 3 "received" Time ["us"] "metadata.logged_time" []: "When Guardian received it; partitions and retention follow it.";
    Start = 4 "start" Time ["us"] "start_time" ["timestamp"]: "First packet of the flow.";
    End = 5 "end" Time ["us"] "end_time" []: "Last packet of the flow.";
    Site = 6 "site" Label ? null [""] "metadata.labels" []: "Site of the listener that received it; null is the main site.";
    Source = 7 "source" Label [""] "metadata.product.feature.name" []: "How it reached Guardian: netflow5, netflow7, netflow9, ipfix, sflow or capture.";
    Exporter = 8 "exporter" Ip [""] "observer.ip" ["exporter_ip"]: "Address of the device that exported it.";
    Domain = 9 "domain" U32 [""] "observer.uid" ["observation_domain"]: "Observation domain, source id, engine or sub-agent within the exporter.";
    SrcIp = 10 "src_ip" Ip [""] "src_endpoint.ip" ["SourceIp", "source.ip", "id.orig_h"] personal: "Source address; for a biflow, the initiator.";
    DstIp = 11 "dst_ip" Ip [""] "dst_endpoint.ip" ["DestinationIp", "destination.ip", "id.resp_h"] personal: "Destination address; for a biflow, the responder.";
    SrcPort = 12 "src_port" U16 [""] "src_endpoint.port" ["SourcePort", "source.port", "id.orig_p"]: "Source port, 0 where the protocol has none.";
    DstPort = 13 "dst_port" U16 [""] "dst_endpoint.port" ["DestinationPort", "destination.port", "id.resp_p"]: "Destination port, 0 where the protocol has none.";
    Protocol = 14 "protocol" U8 [""] "connection_info.protocol_num" ["proto", "network.iana_number"]: "IANA protocol number.";
    TcpFlags = 15 "tcp_flags" U16 [""] "connection_info.tcp_flags" []: "Union of the TCP flags seen from source to destination.";
    Bytes = 16 "bytes" U64 ["bytes"] "traffic.bytes_out" ["network.bytes"]: "Octets from source to destination, scaled by the sampling rate.";
    Packets = 17 "packets" U64 ["packets"] "traffic.packets_out" ["network.packets"]: "Packets from source to destination, scaled by the sampling rate.";
    RevBytes = 18 "rev_bytes" U64 ? null ["bytes"] "traffic.bytes_in" []: "Octets back from the responder, scaled; null for a one-way record.";
    RevPackets = 19 "rev_packets" U64 ? null ["packets"] "traffic.packets_in" []: "Packets back from the responder, scaled; null for a one-way record.";
    RevTcpFlags = 20 "rev_tcp_flags" U16 ? null [""] "" []: "Union of the TCP flags seen from the responder; null for a one-way record.";
    RawBytes = 21 "raw_bytes" U64 ["bytes"] "" []: "Octets from source to destination as exported, before scaling.";
    RawPackets = 22 "raw_packets" U64 ["packets"] "" []: "Packets from source to destination as exported, before scaling.";
    SamplingRate = 23 "sampling_rate" U32 ["packets"] "" []: "One packet in this many was looked at; 1 is unsampled.";
    IcmpType = 24 "icmp_type" U8 ? null [""] "connection_info.icmp_type" []: "ICMP or ICMPv6 type.";
    IcmpCode = 25 "icmp_code" U8 ? null [""] "connection_info.icmp_code" []: "ICMP or ICMPv6 code.";
    Tos = 26 "tos" U8 ? null [""] "" []: "IPv4 type of service or IPv6 traffic class.";
    Vlan = 27 "vlan" U16 ? null [""] "connection_info.vlan_uid" []: "VLAN id, the outer one where there are two.";
    SrcMac = 28 "src_mac" Mac ? null [""] "src_endpoint.mac" [] personal: "Source MAC address.";
    DstMac = 29 "dst_mac" Mac ? null [""] "dst_endpoint.mac" [] personal: "Destination MAC address.";
    InputIf = 30 "input_if" U32 ? null [""] "src_endpoint.interface_uid" []: "SNMP index of the interface the flow came in by.";
    OutputIf = 31 "output_if" U32 ? null [""] "dst_endpoint.interface_uid" []: "SNMP index of the interface the flow left by.";
    SrcAs = 32 "src_as" U32 ? null [""] "src_endpoint.autonomous_system.number" []: "Autonomous system of the source, as exported or looked up.";
    DstAs = 33 "dst_as" U32 ? null [""] "dst_endpoint.autonomous_system.number" []: "Autonomous system of the destination, as exported or looked up.";
    SrcMask = 34 "src_mask" U8 ? null ["bits"] "" []: "Prefix length of the source route.";
    DstMask = 35 "dst_mask" U8 ? null ["bits"] "" []: "Prefix length of the destination route.";
    NextHop = 36 "next_hop" Ip ? null [""] "" []: "Address of the next router.";
    FlowDirection = 37 "flow_direction" U8 ? null [""] "" []: "Where the exporter saw it: 0 at ingress, 1 at egress (IE 61).";
    EndReason = 38 "end_reason" U8 ? null [""] "" []: "Why the flow ended (IE 136): 1 idle, 2 active, 3 end seen, 4 forced, 5 lack of resources.";
    Event = 39 "event" U8 ? null [""] "" []: "Firewall event (IE 233: 1 created, 2 deleted, 3 denied, 4 alert, 5 update) or NAT event (IE 230).";
    NatSrcIp = 40 "nat_src_ip" Ip ? null [""] "" [] personal: "Source address after translation.";
    NatDstIp = 41 "nat_dst_ip" Ip ? null [""] "" [] personal: "Destination address after translation.";
    NatSrcPort = 42 "nat_src_port" U16 ? null [""] "" []: "Source port after translation.";
    NatDstPort = 43 "nat_dst_port" U16 ? null [""] "" []: "Destination port after translation.";
    Extra = 44 "extra" Bytes ? null [""] "unmapped" []: "Elements without a column: enterprise number (u32), element id (u16), length (u16), value; repeated, big-endian.";
    SrcCountry = 50 "src_country" Label ? null [""] "src_endpoint.location.country" []: "ISO 3166 country of the source.";
    DstCountry = 51 "dst_country" Label ? null [""] "dst_endpoint.location.country" []: "ISO 3166 country of the destination.";
    SrcCity = 52 "src_city" Label ? null [""] "src_endpoint.location.city" []: "City of the source.";
    DstCity = 53 "dst_city" Label ? null [""] "dst_endpoint.location.city" []: "City of the destination.";
    SrcAsOrg = 54 "src_as_org" Label ? null [""] "src_endpoint.autonomous_system.name" []: "Organisation that runs the source's autonomous system.";
    DstAsOrg = 55 "dst_as_org" Label ? null [""] "dst_endpoint.autonomous_system.name" []: "Organisation that runs the destination's autonomous system.";
    Direction = 56 "direction" Label ? null [""] "connection_info.direction" []: "inbound, outbound, internal or external, by the home networks; null where none are configured.";
    Indicator = 57 "indicator" Label ? null [""] "" []: "Name of the indicator list that one of the addresses is on.";
    IndicatorIp = 58 "indicator_ip" Ip ? null [""] "" [] personal: "The address that is on the list.";
    Replay = 60 "replay" Label ? null [""] "metadata.tags" []: "Name of the replay this row came from; null for live traffic.";
    SrcHostname = 61 "src_hostname" Label ? null [""] "src_endpoint.hostname" ["SourceHostname"]: "Name of the host with an agent that is the source.";
    SrcProcess = 62 "src_process" Label ? null [""] "actor.process.file.path" ["Image", "process.executable"]: "Program at the source that held the connection, as its host saw it; its name where the path is not known.";
    SrcPid = 63 "src_pid" U32 ? null [""] "actor.process.pid" ["ProcessId", "process.pid"]: "Number of that process.";
    SrcUser = 64 "src_user" Text ? null [""] "actor.user.name" ["User", "user.name"] personal: "Owner of the socket at the source.";
    DstHostname = 65 "dst_hostname" Label ? null [""] "dst_endpoint.hostname" ["DestinationHostname"]: "Name of the host with an agent that is the destination.";
    DstProcess = 66 "dst_process" Label ? null [""] "" []: "Program at the destination that held the connection or listened for it, as its host saw it.";
    DstPid = 67 "dst_pid" U32 ? null [""] "" []: "Number of that process.";
    DstUser = 68 "dst_user" Text ? null [""] "" [] personal: "Owner of the socket at the destination.";
}
