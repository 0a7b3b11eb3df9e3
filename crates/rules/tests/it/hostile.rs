//! Rules with random damage: nothing panics, whatever is left still compiles and runs.

use guardian_rules::{Correlator, CorrelatorLimits, RuleSet, parse};
use proptest::prelude::*;

use crate::flows::{Flow, batch};

const SEED: &str = "title: Port probe
id: 24c64e19-c32d-5dee-8cf8-269bd89aafa8
name: probe
status: test
level: high
tags: [attack.t1046]
logsource: &source {category: network_connection, product: guardian, service: flow}
detection:
  half_open:
    protocol: tcp
    tcp_flags|bits: SYN
    tcp_flags|nobits: [ACK, 0x04]
    packets|lte: 6.5
  names:
    - dst_country|re|i: '^(n|d).$'
    - dst_country|contains|all: [n, 'z\\*?']
      src_ip|cidr: ['10.0.0.0/8', '2001:db8::/32']
    - src_ip|startswith: '192.168.'
  where: {src_port|fieldref|gt: dst_port, rev_bytes: null, bytes|gte: 1KB}
  condition: 1 of half_* or (names and not where)
guardian: {entity: src_ip, summary: '{src_ip} tried {count}', next_steps: [Look], alert_window: 2h}
---
title: Other
name: other
logsource: {category: firewall}
detection: {s: [nz, '10.0.0.1'], condition: s}
---
title: Port scan
correlation:
  type: value_count
  rules: [probe, other]
  group-by: [src_ip, who]
  timespan: 5m
  condition: {field: dst_port, gte: 1}
  aliases: {who: {probe: dst_ip, other: src_ip}}
  generate: true
";

/// What replaces a piece: words of the language, signs of YAML, and extremes.
const PIECES: &[&str] = &[
    "",
    " ",
    "\n",
    "\n  ",
    ":",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "|",
    "*",
    "&a ",
    "*a",
    "---\n",
    "%",
    "\\",
    "#",
    "null",
    "~",
    "-1",
    "65536",
    "18446744073709551616",
    "1e308",
    ".nan",
    "0x",
    "::/0",
    "10.*",
    "not ",
    "all of them",
    "9 of them",
    "(((",
    "correlation: ",
    "temporal_ordered",
    "value_avg",
    "event_count",
    "|re",
    "|cidr",
    "|all",
    "|base64offset|contains",
    "|windash",
    "|fieldref",
    "bytes",
    "dst_ip",
    "extra",
    "start",
    "src_mac",
    "site",
    "(a{999}){999}",
    "é",
    "\u{feff}",
    "\t",
    "1s",
    "30d",
];

fn damaged() -> impl Strategy<Value = String> {
    prop::collection::vec((0..SEED.len(), 0..12_usize, prop::sample::select(PIECES)), 0..8).prop_map(|cuts| {
        let mut text = SEED.to_owned();
        for (at, length, piece) in cuts {
            let start = text.floor_char_boundary(at.min(text.len()));
            let end = text.floor_char_boundary((start + length).min(text.len())).max(start);
            text.replace_range(start..end, piece);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_rules_are_told_not_feared(stream in damaged()) {
        let parsed = parse(&stream);
        for document in &parsed.documents {
            let again = parse(&document.source);
            // A document that names an anchor of another is nothing by itself; any other is the same alone.
            if let Some(same) = again.documents.first() {
                prop_assert_eq!(&same.hash, &document.hash);
            }
        }
        for issue in &parsed.issues {
            prop_assert!(issue.line <= stream.lines().count() + 1, "{}", issue);
        }
        let (rules, _) = RuleSet::compile(parsed.documents);
        let flows: Vec<_> = (0..20).map(|i| Flow { dport: i, flags: i, country: Some("NZ"), ..Flow::default() }).collect();
        let batch = batch(&flows);
        let mut state = Correlator::new(CorrelatorLimits::default());
        for fired in state.step(&rules, 1, &batch, &rules.evaluate(&batch)) {
            prop_assert!(!fired.rows.is_empty() && !fired.evidence.is_empty());
        }
    }
}
