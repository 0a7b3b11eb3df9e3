//! Recorded traffic (captures/README.md) through meter or decoder and the shipped rules: each attack is found in every
//! format that can show it, and nothing else is told. The golden file is the list that people read.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, DictionaryArray};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use guardian_detect::{DetectConfig, fixture, harness, shipped};
use guardian_flow::{Decoder, FlowBuilder, Limits, LinkType, Meter, MeterConfig, Peer, packet};
use guardian_model::{Batch, FLOW, FlowField, Ip, Micros, TenantId};
use guardian_rules::RuleSet;

/// What each recording holds: the title of the rule and the entity; one alert of it, or several.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("scan-vertical", "Vertical port scan from outside", "198.51.100.66"),
    ("scan-horizontal", "Horizontal port scan from inside", "10.20.0.77"),
    ("scan-connect", "Vertical port scan from inside", "10.20.0.77"),
    ("scan-udp", "Vertical port scan from outside", "198.51.100.66"),
    ("ssh-brute-force", "SSH brute force", "198.51.100.66"),
    ("beacon", "Regular small connections to one destination (beaconing)", "10.20.0.57"),
    ("dns-tunnel", "DNS tunnelling by volume", "10.20.0.57"),
    ("upload", "Large upload to a rare destination", "10.20.0.52"),
    ("syn-flood", "SYN flood on a service", "10.20.0.10"),
    ("clear-text", "Clear-text administration protocol", "10.20.0.51"),
    ("noise", "", ""),
];

/// The formats of every recording; in the last one packets are samples, so that an attack may be missed, but nothing
/// may be told that was not there.
const FORMATS: &[(&str, bool)] =
    &[("pcap", true), ("netflow5", true), ("netflow9", true), ("ipfix", true), ("sflow", false)];

/// Recordings that exist in one more format.
const EXTRA: &[(&str, &str)] = &[("upload", "netflow9-sampled"), ("noise", "ipfix-biflow")];

/// The packets of a classic pcap file in this machine's byte order, as tcpdump writes it: (time, wire length, bytes).
fn packets(file: &[u8]) -> impl Iterator<Item = (Micros, u32, &[u8])> {
    assert_eq!(file[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "not a little-endian pcap file with microseconds");
    let mut rest = &file[24..];
    std::iter::from_fn(move || {
        let (header, tail) = rest.split_at_checked(16)?;
        let word = |i: usize| u32::from_le_bytes(header[i * 4..i * 4 + 4].try_into().unwrap());
        let (data, tail) = tail.split_at_checked(word(2) as usize)?;
        rest = tail;
        Some((Micros(i64::from(word(0)) * Micros::SECOND + i64::from(word(1))), word(3), data))
    })
}

/// The flows of a recording as batches of about a hundred rows, with directions by the private networks.
fn flows(name: &str, format: &str) -> Vec<Batch> {
    let suffix = if format == "pcap" { String::new() } else { format!(".{format}") };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../captures/{name}{suffix}.pcap"));
    let file = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut builder, mut batches, mut last) = (FlowBuilder::new(), Vec::new(), Micros(0));
    let (mut meter, mut decoder) = (Meter::new(MeterConfig::default()), Decoder::new(Limits::default()));
    for (time, wire_bytes, data) in packets(&file) {
        last = time;
        if format == "pcap" {
            meter.packet(time, LinkType::Ethernet, data, wire_bytes, &mut builder);
            while !meter.expire(time, &mut builder) {}
        } else {
            let parsed = packet::parse(LinkType::Ethernet, data, wire_bytes).unwrap();
            let payload = packet::udp_payload(&parsed, data).unwrap();
            decoder.decode(Peer { ip: parsed.src_ip, port: parsed.src_port }, time, payload, &mut builder);
        }
        if builder.len() >= 100 {
            batches.push(batch(builder.finish(time), time));
        }
    }
    while !meter.flush(&mut builder) {}
    batches.push(batch(builder.finish(last), last));
    batches
}

fn batch(rows: RecordBatch, received: Micros) -> Batch {
    let ips = |field: FlowField| -> Vec<Ip> {
        let column = rows.column(field.index()).as_fixed_size_binary();
        (0..rows.num_rows()).map(|r| Ip(column.value(r).try_into().unwrap())).collect()
    };
    let (src, dst) = (ips(FlowField::SrcIp), ips(FlowField::DstIp));
    let direction: DictionaryArray<Int32Type> =
        src.iter().zip(&dst).map(|(s, d)| Some(fixture::direction(*s, *d))).collect();
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns[FlowField::Direction.index()] = Arc::new(direction);
    let rows = RecordBatch::try_new(FLOW.schema(), columns).unwrap();
    Batch { tenant: TenantId::DEFAULT, class: &FLOW, received, rows }
}

#[test]
fn recorded_attacks_are_found_and_nothing_else() {
    let rules = Arc::new(RuleSet::compile(shipped()).0);
    let (mut told, mut wrong) = (String::new(), String::new());
    for (name, title, entity) in EXPECTED {
        let extra = EXTRA.iter().filter(|(n, _)| n == name).map(|(_, format)| (*format, true));
        for (format, complete) in FORMATS.iter().copied().chain(extra) {
            let batches = flows(name, format);
            let outcome = harness::run(DetectConfig::default(), Arc::clone(&rules), batches);
            let alerts: Vec<_> = outcome.rules.iter().flat_map(|r| &r.alerts).collect();
            writeln!(told, "{name} {format} ({} flows)", outcome.rows).unwrap();
            for alert in &alerts {
                writeln!(told, "    {} [{}]: {}", alert.rule.title, alert.count, alert.summary).unwrap();
            }
            let found: BTreeSet<_> = alerts.iter().map(|a| (a.rule.title.as_str(), a.entity.value.as_str())).collect();
            let expected: BTreeSet<_> = [(*title, *entity)].into_iter().filter(|e| !e.0.is_empty()).collect();
            let missed = complete && !expected.is_subset(&found);
            if missed || !found.is_subset(&expected) {
                writeln!(wrong, "{name} {format}: expected {expected:?}, found {found:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n{told}");
    insta::assert_snapshot!("captures", told);
}
