//! Properties: whatever comes in, the counts agree; what was encoded is decoded.

use guardian_flow::{Decoder, FlowBuilder, Peer};
use guardian_model::{FLOW, Ip, Micros};
use proptest::prelude::*;
use serde_json::json;

use super::{Rig, SECS, cells};
use crate::encode::{Field, Message};

/// Elements worth drawing: of every kind of column, clocks, sampling, lists, unmapped ones.
const IDS: [u16; 40] = [
    1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 21, 22, 23, 27, 32, 34, 48, 56, 58, 61, 85, 136, 139, 150, 152, 154, 158,
    160, 161, 210, 225, 231, 291, 302, 305, 311, 323, 999,
];

fn field() -> impl Strategy<Value = Field> {
    let len = prop_oneof![Just(1), Just(2), Just(4), Just(6), Just(8), Just(16), Just(65_535), 0..20u16];
    (prop_oneof![8 => Just(0u32), 1 => Just(29305), 1 => Just(9)], prop::sample::select(&IDS[..]), len)
}

/// A set that may be sound, or not.
#[derive(Clone, Debug)]
enum Part {
    Template(u16, Vec<Field>),
    Options(u16, Vec<Field>, Vec<Field>),
    Set(u16, Vec<u8>),
    Broken(u16, u16, Vec<u8>),
}

fn part() -> impl Strategy<Value = Part> {
    let id = || prop_oneof![8 => 256..260u16, 1 => 0..4u16, 1 => any::<u16>()];
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let fields = |n| prop::collection::vec(field(), 0..n);
    prop_oneof![
        3 => (id(), fields(12)).prop_map(|(id, fields)| Part::Template(id, fields)),
        1 => (id(), fields(3), fields(6)).prop_map(|(id, scopes, fields)| Part::Options(id, scopes, fields)),
        4 => (id(), bytes()).prop_map(|(id, bytes)| Part::Set(id, bytes)),
        1 => (id(), any::<u16>(), bytes()).prop_map(|(id, len, bytes)| Part::Broken(id, len, bytes)),
    ]
}

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let message = (any::<bool>(), any::<u32>(), 0..3u32, prop::collection::vec(part(), 0..6));
    let message = message.prop_map(|(v9, number, domain, parts)| {
        let empty = if v9 { Message::v9(number, SECS, number, domain) } else { Message::ipfix(SECS, number, domain) };
        let message = parts.into_iter().fold(empty, |message, part| match part {
            Part::Template(id, fields) => message.template(id, &fields),
            Part::Options(id, scopes, fields) => message.options(id, &scopes, &fields),
            Part::Set(id, bytes) => message.set(id, &bytes),
            Part::Broken(id, len, bytes) => message.raw_set(id, len, &bytes),
        });
        message.build()
    });
    let noise = prop::collection::vec(any::<u8>(), 0..300);
    let fixed = (prop_oneof![Just(5u8), Just(7u8)], prop::collection::vec(any::<u8>(), 20..300))
        .prop_map(|(version, rest)| [&[0, version][..], &rest].concat());
    prop_oneof![6 => message, 1 => noise, 1 => fixed]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn counts_agree_whatever_comes_in(datagrams in prop::collection::vec((0..3u8, datagram()), 1..20)) {
        let (mut decoder, mut out) = (Decoder::default(), FlowBuilder::new());
        let (mut flows, mut batches) = (0, 0);
        let now = Micros::from_secs(i64::from(SECS));
        for (i, (host, datagram)) in datagrams.iter().enumerate() {
            let peer = Peer { ip: Ip::v4([192, 0, 2, *host]), port: 2055 };
            let before = out.len();
            let report = decoder.decode(peer, now + i as i64, datagram, &mut out);
            prop_assert_eq!(out.len() - before, report.flows as usize);
            flows += u64::from(report.flows);
            if i % 7 == 6 {
                batches += out.finish(now + i as i64).num_rows() as u64;
            }
        }
        let batch = out.finish(now + 100);
        prop_assert_eq!(batch.schema(), FLOW.schema());
        for row in 0..batch.num_rows() {
            guardian_model::row_json(&batch, row);
        }
        prop_assert_eq!(batches + batch.num_rows() as u64, flows);
        prop_assert_eq!(decoder.exporters().map(|stats| stats.counters.flows).sum::<u64>(), flows);
        let heard = decoder.exporters().map(|stats| stats.counters.datagrams).sum::<u64>();
        let unknown = decoder.totals().errors.total();
        prop_assert!(heard + unknown <= decoder.totals().datagrams);
    }

    #[test]
    fn what_was_encoded_is_decoded(
        records in prop::collection::vec((any::<u32>(), any::<u128>(), any::<u16>(), any::<u64>(), 0..0xff_ffffu32), 1..40),
        v9 in any::<bool>(),
    ) {
        let fields = [(0, 8, 4), (0, 28, 16), (0, 7, 2), (0, 1, 8), (0, 2, 3)];
        let encoded: Vec<_> = records
            .iter()
            .map(|(src, dst, port, bytes, packets)| {
                [
                    &src.to_be_bytes()[..],
                    &dst.to_be_bytes(),
                    &port.to_be_bytes(),
                    &bytes.to_be_bytes(),
                    &packets.to_be_bytes()[1..],
                ]
                .concat()
            })
            .collect();
        let message = if v9 { Message::v9(0, SECS, 0, 1) } else { Message::ipfix(SECS, 0, 1) };
        let mut rig = Rig::new();
        rig.send(message.template(256, &fields).data(256, &encoded).build());
        let rows = rig.rows();
        prop_assert_eq!(rows.len(), records.len());
        for (row, (src, dst, port, bytes, packets)) in rows.iter().zip(&records) {
            let (src, dst) = (Ip::v4(src.to_be_bytes()).to_string(), Ip(dst.to_be_bytes()).to_string());
            let names = ["src_ip", "dst_ip", "src_port", "raw_bytes", "raw_packets"];
            prop_assert_eq!(cells(row, &names), json!([src, dst, port, bytes, packets]));
        }
    }
}
