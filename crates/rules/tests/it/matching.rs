//! Detections: which rows does a selection match?

use crate::flows::{Flow, T0, batch};
use crate::rules;

/// The flows that all cases are put to.
fn flows() -> Vec<Flow> {
    vec![
        Flow::default(),
        Flow { dport: 22, bytes: 10, flags: 0x02, ..Flow::default() },
        Flow { src: "192.168.7.9", dst: "10.1.2.3".to_owned(), dport: 3389, country: Some("NZ"), ..Flow::default() },
        Flow {
            src: "2001:db8::1",
            dst: "2001:db8:1::2".to_owned(),
            protocol: 17,
            dport: 53,
            flags: 0,
            ..Flow::default()
        },
        Flow { src: "172.16.0.1", bytes: 5_000_000, rev_bytes: Some(40), country: Some("nl"), ..Flow::default() },
        Flow { protocol: 1, sport: 443, dport: 443, flags: 0, site: Some("branch*1"), ..Flow::default() },
    ]
}

fn matched(detection: &str) -> Vec<usize> {
    let indented: String = detection.lines().map(|l| format!("  {l}\n")).collect();
    let yaml = format!("title: t\nlogsource: {{category: network_connection}}\ndetection:\n{indented}");
    let rules = rules(&yaml);
    let matches = rules.evaluate(&batch(&flows()));
    matches.rows(0).map(|bits| bits.set_indices().collect()).unwrap_or_default()
}

#[test]
fn selections_match_what_sigma_says() {
    let all = [0, 1, 2, 3, 4, 5];
    let cases: &[(&str, &[usize])] = &[
        // Numbers, lists, ranges, names.
        ("dst_port: 22", &[1]),
        ("dst_port: '22'", &[1]),
        ("dst_port: [22, 3389, 53]", &[1, 2, 3]),
        ("dst_port: [1, 2, 3, 4, 22, 53]", &[1, 3]),
        ("dst_port|neq: 443", &[1, 2, 3]),
        ("bytes|gt: 1000", &[4]),
        ("bytes|gte: 1KB", &[0, 2, 3, 4, 5]),
        ("bytes|lt: 1000", &[1]),
        ("bytes|lte: 10.5", &[1]),
        ("protocol: tcp", &[0, 1, 2, 4]),
        ("protocol: [UDP, 1]", &[3, 5]),
        // Names that other tools use.
        ("DestinationPort: 22", &[1]),
        ("id.orig_h: 172.16.0.1", &[4]),
        ("network.bytes|gt: 1MB", &[4]),
        // Flags.
        ("tcp_flags: SYN", &[1]),
        ("tcp_flags|bits: SYN,ACK", &[0, 2, 4]),
        ("tcp_flags|bits: [FIN, SYN]", &[0, 1, 2, 4]),
        ("tcp_flags|bits|all: [FIN, SYN]", &[0, 2, 4]),
        ("{tcp_flags|bits: SYN, tcp_flags|nobits: ACK}", &[1]),
        ("tcp_flags: 0x02", &[1]),
        // Addresses.
        ("src_ip: 10.0.0.1", &[0, 1, 5]),
        ("src_ip: 192.168.*", &[2]),
        ("src_ip|startswith: '172.'", &[4]),
        ("src_ip|startswith: '1'", &[0, 1, 2, 4, 5]),
        ("src_ip|cidr: [10.0.0.0/8, 172.16.0.0/12]", &[0, 1, 4, 5]),
        ("dst_ip|cidr: '2001:db8::/32'", &[3]),
        ("src_ip|cidr: '::/0'", &[3]),
        // Text.
        ("dst_country: nz", &[2]),
        ("dst_country: NL", &[4]),
        ("dst_country|cased: NL", &[]),
        ("dst_country: n*", &[2, 4]),
        ("dst_country: '?Z'", &[2]),
        ("dst_country|contains: L", &[4]),
        ("dst_country|startswith: N", &[2, 4]),
        ("dst_country|endswith: z", &[2]),
        ("dst_country|re: '^N.$'", &[2]),
        ("dst_country|re|i: '^n.$'", &[2, 4]),
        (r"site: 'branch\*1'", &[5]),
        (r"site: 'branch\*'", &[]),
        // Null and existence.
        ("dst_country: null", &[0, 1, 3, 5]),
        ("dst_country: [null, nz]", &[0, 1, 2, 3, 5]),
        ("rev_bytes|exists: true", &[4]),
        ("rev_bytes|exists: false", &[0, 1, 2, 3, 5]),
        // Other columns.
        ("src_port|fieldref: dst_port", &[5]),
        ("bytes|fieldref|gt: rev_bytes", &[4]),
        ("src_ip|fieldref: exporter", &all),
    ];
    for (line, rows) in cases {
        let selection = if line.starts_with('{') { (*line).to_owned() } else { format!("\n  {line}") };
        assert_eq!(matched(&format!("selection: {selection}\ncondition: selection")), *rows, "{line}");
    }
}

#[test]
fn selections_join_as_sigma_says() {
    let cases: &[(&str, &[usize])] = &[
        // The lines of a map must all match, the maps of a list are alternatives.
        ("s: {dst_port: 443, protocol: tcp}\ncondition: s", &[0, 4]),
        ("s:\n  - dst_port: 22\n  - {dst_port: 53, protocol: udp}\ncondition: s", &[1, 3]),
        // Keywords look everywhere.
        ("s: [nz, 'branch\\*1']\ncondition: s", &[2, 5]),
        ("s: ['172.16.0.1']\ncondition: s", &[4]),
        ("s: {'|all': [ipfix, nz]}\ncondition: s", &[2]),
        // Conditions.
        ("a: {dst_port: 443}\nb: {protocol: tcp}\ncondition: a and not b", &[5]),
        ("a: {dst_port: 22}\nb: {dst_port: 53}\ncondition: a or b", &[1, 3]),
        ("a: {dst_port: 22}\nb: {dst_port: 53}\ncondition: [a, b]", &[1, 3]),
        ("a_1: {dst_port: 22}\na_2: {dst_port: 53}\nb: {protocol: udp}\ncondition: 1 of a_* and not b", &[1]),
        ("a: {dst_port: 443}\nb: {protocol: tcp}\nc: {bytes|gt: 1MB}\ncondition: 2 of them", &[0, 4]),
        ("a: {dst_port: 443}\nb: {protocol: tcp}\nc: {bytes|gt: 1MB}\ncondition: all of them", &[4]),
        ("f: {dst_country: [nz, nl]}\ncondition: not f", &[0, 1, 3, 5]),
    ];
    for (detection, rows) in cases {
        assert_eq!(matched(detection), *rows, "{detection}");
    }
}

#[test]
fn rules_share_predicates_and_stay_apart() {
    let rule = |i: usize, port: u16| {
        format!(
            "---\ntitle: r{i}\nid: r{i}\nlogsource: {{category: firewall}}\ndetection:\n  s: {{protocol: tcp, dst_port: {port}}}\n  condition: s\n"
        )
    };
    let yaml: String = (0..100).map(|i| rule(i, if i % 2 == 0 { 22 } else { 3389 })).collect();
    let rules = rules(&yaml);
    assert_eq!(rules.rules().len(), 100);
    assert_eq!(rules.predicates(), 3);
    let matches = rules.evaluate(&batch(&flows()));
    for i in 0..100 {
        let rows: Vec<_> = matches.rows(i).unwrap().set_indices().collect();
        assert_eq!(rows, [if i % 2 == 0 { 1 } else { 2 }]);
    }
    assert_eq!(matches.alerting(&rules).count(), 100);
}

#[test]
fn selective_rules_agree_with_plain_evaluation() {
    // Few rows pass the first test, so that the others are tried on those rows alone.
    let flows: Vec<Flow> = (0..5000_u16)
        .map(|i| Flow {
            dport: i % 1000,
            sport: i,
            protocol: if i % 3 == 0 { 6 } else { 17 },
            bytes: u64::from(i) * 7 % 100,
            country: (i % 5 == 0).then_some("NZ"),
            time: T0 + i64::from(i),
            ..Flow::default()
        })
        .collect();
    let rules = rules(
        "title: t\nlogsource: {category: firewall}\ndetection:\n  a: {dst_port: 7}\n  b:\n    - protocol: tcp\n      bytes|lt: 50\n    - dst_country: nz\n  c: {src_port|gt: 4000}\n  condition: a and b and not c\n",
    );
    let expected: Vec<usize> = flows
        .iter()
        .enumerate()
        .filter(|(_, f)| f.dport == 7 && ((f.protocol == 6 && f.bytes < 50) || f.country.is_some()) && f.sport <= 4000)
        .map(|(i, _)| i)
        .collect();
    assert!(!expected.is_empty());
    let matches = rules.evaluate(&batch(&flows));
    assert_eq!(matches.rows(0).unwrap().set_indices().collect::<Vec<_>>(), expected);
}
