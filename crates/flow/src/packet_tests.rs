//! Header parsing over a table of link types and protocols, and over noise.

use super::*;
use proptest::prelude::*;

const MACS: &str = "0200000000bb 0200000000aa";
/// 10.0.0.1:4660 -> 10.0.0.2:80, SYN, 40 bytes.
const TCP4: &str = "45b80028 00010000 4006 0000 0a000001 0a000002 12340050 00000000 00000000 5002 0000 00000000";
/// 2001:db8::1 -> 2001:db8::2, `next` and the payload's length still to come.
const ADDRESSES6: &str = "20010db8000000000000000000000001 20010db8000000000000000000000002";
const UDP: &str = "0035 cafe 0010 0000 0000000000000000";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex"))
        .collect()
}

fn whole(link: LinkType, text: &str) -> Result<Packet, Skip> {
    let data = hex(text);
    parse(link, &data, data.len() as u32)
}

fn ip(text: &str) -> Ip {
    text.parse().expect("an address")
}

#[test]
fn the_same_packet_is_found_behind_every_link_layer() {
    let table: &[(&str, LinkType, String, Option<u16>, bool)] = &[
        ("ethernet", LinkType::Ethernet, format!("{MACS} 0800 {TCP4}"), None, true),
        ("padded", LinkType::Ethernet, format!("{MACS} 0800 {TCP4} 000000000000"), None, true),
        ("vlan", LinkType::Ethernet, format!("{MACS} 8100 e02a 0800 {TCP4}"), Some(42), true),
        ("q in q", LinkType::Ethernet, format!("{MACS} 88a8 0007 8100 002a 0800 {TCP4}"), Some(7), true),
        ("llc snap", LinkType::Ethernet, format!("{MACS} 0030 aaaa03000000 0800 {TCP4}"), None, true),
        ("mpls", LinkType::Ethernet, format!("{MACS} 8847 00010040 00011140 {TCP4}"), None, true),
        ("pppoe", LinkType::Ethernet, format!("{MACS} 8864 110000010029 0021 {TCP4}"), None, true),
        ("sll", LinkType::LinuxSll, format!("0000 0001 0006 0200000000aa0000 0800 {TCP4}"), None, false),
        (
            "sll vlan",
            LinkType::LinuxSll,
            format!("0000 0001 0006 0200000000aa0000 8100 0009 0800 {TCP4}"),
            Some(9),
            false,
        ),
        ("sll2", LinkType::LinuxSll2, format!("0800 0000 00000003 0001 00 06 0200000000aa0000 {TCP4}"), None, false),
        ("raw", LinkType::RawIp, TCP4.to_owned(), None, false),
        ("null, little", LinkType::Null, format!("02000000 {TCP4}"), None, false),
        ("null, big", LinkType::Null, format!("00000002 {TCP4}"), None, false),
        ("ppp", LinkType::Ppp, format!("ff03 0021 {TCP4}"), None, false),
        ("ppp, compressed", LinkType::Ppp, format!("21 {TCP4}"), None, false),
        ("network", LinkType::Network(0x0800), TCP4.to_owned(), None, false),
        ("network, vlan", LinkType::Network(0x8100), format!("0005 0800 {TCP4}"), Some(5), false),
        ("mpls alone", LinkType::Mpls, format!("00011140 {TCP4}"), None, false),
    ];
    for (name, link, text, vlan, macs) in table {
        let packet = whole(*link, text).unwrap_or_else(|skip| panic!("{name}: {skip:?}"));
        assert_eq!(packet.vlan, *vlan, "{name}");
        assert_eq!((packet.src_ip, packet.dst_ip), (ip("10.0.0.1"), ip("10.0.0.2")), "{name}");
        assert_eq!((packet.protocol, packet.src_port, packet.dst_port), (6, 0x1234, 80), "{name}");
        assert_eq!((packet.ip_bytes, packet.tos, packet.tcp_flags), (40, 0xb8, TCP_SYN), "{name}");
        assert_eq!(packet.fragment, Fragment::Whole, "{name}");
        assert_eq!(packet.dst_mac, macs.then_some([2, 0, 0, 0, 0, 0xbb]), "{name}");
        if *macs || name.starts_with("sll") {
            assert_eq!(packet.src_mac, Some([2, 0, 0, 0, 0, 0xaa]), "{name}");
        }
    }
}

#[test]
fn ipv6_extension_headers_are_walked() {
    // (name, next header, what follows the fixed header, protocol, ports, fragment)
    let hop = "11 00 0104 00000000";
    let table: &[(&str, &str, String, u8, (u16, u16), Fragment)] = &[
        ("plain", "11", UDP.into(), 17, (53, 0xcafe), Fragment::Whole),
        ("hop-by-hop", "00", format!("{hop} {UDP}"), 17, (53, 0xcafe), Fragment::Whole),
        (
            "two",
            "00",
            format!("3c00010400000000 1101010400000000 0104000000000000 {UDP}"),
            17,
            (53, 0xcafe),
            Fragment::Whole,
        ),
        ("routing", "2b", format!("1100040000000000 {UDP}"), 17, (53, 0xcafe), Fragment::Whole),
        (
            "authentication",
            "33",
            format!("1104 0000 00000001 00000002 000000000000000000000000 {UDP}"),
            17,
            (53, 0xcafe),
            Fragment::Whole,
        ),
        ("first fragment", "2c", format!("1100 0001 0000002a {UDP}"), 17, (53, 0xcafe), Fragment::First(42)),
        ("atomic fragment", "2c", format!("1100 0000 0000002a {UDP}"), 17, (53, 0xcafe), Fragment::Whole),
        ("later fragment", "2c", format!("1100 0009 0000002a {UDP}"), 17, (0, 0), Fragment::Later(42)),
        ("esp", "32", "0000000100000002".into(), 50, (0, 0), Fragment::Whole),
        ("no next header", "3b", String::new(), 59, (0, 0), Fragment::Whole),
        ("cut in an extension", "00", "1109".into(), 17, (0, 0), Fragment::Whole),
        ("gre", "2f", "00000800".into(), 47, (0, 0), Fragment::Whole),
    ];
    for (name, next, rest, protocol, ports, fragment) in table {
        let length = hex(rest).len();
        let packet = whole(LinkType::RawIp, &format!("6ab00000 {length:04x} {next} 40 {ADDRESSES6} {rest}"))
            .unwrap_or_else(|skip| panic!("{name}: {skip:?}"));
        assert_eq!((packet.src_ip, packet.dst_ip), (ip("2001:db8::1"), ip("2001:db8::2")), "{name}");
        assert_eq!((packet.protocol, (packet.src_port, packet.dst_port)), (*protocol, *ports), "{name}");
        assert_eq!((packet.fragment, packet.ip_bytes as usize, packet.tos), (*fragment, 40 + length, 0xab), "{name}");
    }
    let endless = "00 00 0104 00000000".repeat(40);
    let packet =
        whole(LinkType::RawIp, &format!("60000000 0140 00 40 {ADDRESSES6} {endless}")).expect("an address pair");
    assert_eq!(packet.src_port, 0);
}

#[test]
fn ipv4_fragments_icmp_and_tunnels() {
    let header = |flags: &str, protocol: &str| format!("45000024 002a{flags} 40{protocol}0000 0a000001 0a000002");
    let first = whole(LinkType::RawIp, &format!("{} {UDP}", header("2000", "11"))).expect("parses");
    assert_eq!((first.fragment, first.src_port), (Fragment::First(42), 53));
    let later = whole(LinkType::RawIp, &format!("{} {UDP}", header("2003", "11"))).expect("parses");
    assert_eq!((later.fragment, later.src_port), (Fragment::Later(42), 0));
    let whole_one = whole(LinkType::RawIp, &format!("{} {UDP}", header("4000", "11"))).expect("parses");
    assert_eq!(whole_one.fragment, Fragment::Whole);
    let echo = whole(LinkType::RawIp, &format!("{} 0800 0000 beef 0001 0000000000000000", header("4000", "01")));
    let echo = echo.expect("parses");
    assert_eq!((echo.icmp, echo.icmp_id, echo.src_port), (Some((8, 0)), 0xbeef, 0));
    // VXLAN is UDP to 4789 between the tunnel's ends, whatever is inside.
    let vxlan = whole(LinkType::RawIp, &format!("{} c000 12b5 0010 0000 0800000000002a00", header("4000", "11")));
    assert_eq!(vxlan.expect("parses").dst_port, 4789);
}

#[test]
fn udp_payloads_are_found_behind_every_header() {
    let udp = "c000 0807 000c 0000 deadbeef";
    let v4 = format!("45000020 00000000 4011 0000 0a000001 0a000002 {udp}");
    let v6 = format!("60000000 0014 00 40 {ADDRESSES6} 11 00 0104 00000000 {udp}");
    let table: &[(LinkType, String, Option<&[u8]>)] = &[
        (LinkType::Ethernet, format!("{MACS} 8100 0001 0800 {v4} 0000"), Some(&[0xde, 0xad, 0xbe, 0xef])),
        (LinkType::RawIp, v6.clone(), Some(&[0xde, 0xad, 0xbe, 0xef])),
        (LinkType::RawIp, v4[..v4.len() - 4].to_owned(), Some(&[0xde, 0xad])),
        (LinkType::RawIp, v4.replacen("00000000", "00002000", 1), None),
        (LinkType::RawIp, v4.replacen("000c 0000", "0004 0000", 1), None),
        (LinkType::RawIp, TCP4.to_owned(), None),
    ];
    for (link, text, payload) in table {
        let data = hex(text);
        let packet = parse(*link, &data, data.len() as u32).expect("parses");
        assert_eq!(udp_payload(&packet, &data), *payload, "{text}");
    }
}

#[test]
fn lengths_follow_the_ip_header_and_never_exceed_the_wire() {
    let data = hex(TCP4);
    for (total, wire, expected) in
        [(40u16, 60u32, 40), (1500, 1500, 1500), (1500, 100, 100), (0, 5000, 5000), (40, 0, 40)]
    {
        let mut data = data.clone();
        data[2..4].copy_from_slice(&total.to_be_bytes());
        let packet = parse(LinkType::RawIp, &data, wire).expect("parses");
        assert_eq!(packet.ip_bytes, expected, "total {total}, wire {wire}");
        assert_eq!(packet.dst_port, 80);
    }
}

#[test]
fn what_is_not_a_packet_says_why() {
    let table: &[(&str, LinkType, String, Skip)] = &[
        ("empty", LinkType::Ethernet, String::new(), Skip::Truncated),
        ("arp", LinkType::Ethernet, format!("{MACS} 0806 0001"), Skip::NotIp),
        ("spanning tree", LinkType::Ethernet, format!("{MACS} 0026 424203"), Skip::NotIp),
        ("cut address", LinkType::RawIp, TCP4[..30].into(), Skip::Truncated),
        ("short header", LinkType::RawIp, TCP4.replacen("45", "44", 1), Skip::Malformed),
        ("short total", LinkType::RawIp, TCP4.replacen("0028", "0010", 1), Skip::Malformed),
        ("version 5", LinkType::RawIp, TCP4.replacen("45", "55", 1), Skip::Malformed),
        ("endless tags", LinkType::Ethernet, format!("{MACS} {} 0800 {TCP4}", "8100 0001".repeat(20)), Skip::Malformed),
        ("endless labels", LinkType::Mpls, "00010040".repeat(40), Skip::Malformed),
        ("pseudowire", LinkType::Mpls, "00011140 00000000".into(), Skip::NotIp),
        ("isis", LinkType::Null, "07000000 00".into(), Skip::NotIp),
        ("lcp", LinkType::Ppp, "c021 0101".into(), Skip::NotIp),
    ];
    for (name, link, text, skip) in table {
        assert_eq!(whole(*link, text).err(), Some(*skip), "{name}");
    }
}

#[test]
fn pcap_link_types() {
    for (number, link) in
        [(1, Some(LinkType::Ethernet)), (101, Some(LinkType::RawIp)), (276, Some(LinkType::LinuxSll2)), (105, None)]
    {
        assert_eq!(LinkType::from_pcap(number), link, "{number}");
    }
}

proptest! {
    #[test]
    fn noise_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200), wire in any::<u32>(), number in 0u32..300) {
        if let Some(link) = LinkType::from_pcap(number) {
            prop_assert!(parse(link, &data, wire).is_err() || data.len() >= 20);
        }
        for link in [LinkType::Ethernet, LinkType::RawIp, LinkType::Mpls, LinkType::Network(0x86dd), LinkType::Network(0x8100)] {
            if let Ok(packet) = parse(link, &data, wire) {
                let payload = udp_payload(&packet, &data).unwrap_or_default();
                prop_assert!(payload.len() <= data.len());
            }
        }
    }

    /// Cutting a packet anywhere gives the same addresses and length, or says that it was cut.
    #[test]
    fn a_cut_packet_keeps_what_is_left(cut in 0usize..72) {
        let data = hex(&format!("{MACS} 8100 002a 0800 {TCP4}"));
        let full = parse(LinkType::Ethernet, &data, data.len() as u32).expect("parses");
        match parse(LinkType::Ethernet, &data[..cut.min(data.len())], data.len() as u32) {
            Ok(packet) => prop_assert_eq!((packet.src_ip, packet.ip_bytes, packet.vlan), (full.src_ip, full.ip_bytes, full.vlan)),
            Err(skip) => prop_assert_eq!(skip, Skip::Truncated),
        }
    }
}
