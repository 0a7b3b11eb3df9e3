//! Input that is broken or means harm: counted, never believed, never a reason to stop.

use guardian_flow::{Limits, Reason};
use guardian_model::Micros;

use super::{Rig, SECS};
use crate::encode::{Field, Message, header_v5, iana, record_v5};
use crate::record;

fn v9(sequence: u32) -> Message {
    Message::v9(1000, SECS, sequence, 1)
}

fn ipfix(sequence: u32) -> Message {
    Message::ipfix(SECS, sequence, 1)
}

const FIELDS: [Field; 2] = [iana(12, 4), iana(1, 4)];

#[test]
fn table() {
    let data = || record![1u32, 2u32];
    let good = |message: Message| message.template(256, &FIELDS).data(256, &[data()]);
    let cases: Vec<(&str, Vec<u8>, Option<Reason>, u32)> = vec![
        ("nothing", vec![], Some(Reason::Truncated), 0),
        ("one byte", vec![0], Some(Reason::Truncated), 0),
        ("no version of ours", vec![0, 6, 0, 0], Some(Reason::Version), 0),
        ("half a header", vec![0, 9, 0, 1, 2], Some(Reason::Truncated), 0),
        ("an empty message", v9(0).build(), None, 0),
        ("a sound one", good(v9(0)).build(), None, 1),
        ("a set of no length", good(v9(0)).raw_set(256, 0, &data()).build(), Some(Reason::Set), 1),
        ("a set of three bytes", good(ipfix(0)).raw_set(256, 3, &data()).build(), Some(Reason::Set), 1),
        ("a set that claims too much", good(v9(0)).raw_set(256, 500, &data()).build(), Some(Reason::Set), 1),
        ("a reserved set", good(ipfix(0)).set(77, &data()).data(256, &[data()]).build(), Some(Reason::ReservedSet), 2),
        (
            "a set without a whole record",
            v9(0).template(256, &FIELDS).set(256, &[1, 2, 3]).build(),
            Some(Reason::Record),
            0,
        ),
        ("a template without fields", v9(0).template(256, &[]).build(), Some(Reason::Template), 0),
        ("a template with a reserved id", v9(0).template(255, &FIELDS).build(), Some(Reason::Template), 0),
        ("a record of no length", ipfix(0).template(256, &[iana(12, 0)]).build(), Some(Reason::Template), 0),
        ("65,535 fields", v9(0).set(0, &record![256u16, 65_535u16, 12u16, 4u16]).build(), Some(Reason::Template), 0),
        (
            "a template of variable length in v9",
            v9(0).template(256, &[iana(12, 65_535)]).build(),
            Some(Reason::Template),
            0,
        ),
        (
            "records longer than any set",
            ipfix(0).template(256, &[iana(12, 60_000), iana(8, 60_000)]).build(),
            Some(Reason::Template),
            0,
        ),
        (
            "more scopes than fields",
            ipfix(0).set(3, &record![256u16, 1u16, 9u16, 12u16, 4u16]).build(),
            Some(Reason::Template),
            0,
        ),
        (
            "a string that runs over the end",
            ipfix(0).template(256, &[iana(12, 4), iana(82, 65_535)]).set(256, &record![1u32, 200u8, 0u8]).build(),
            Some(Reason::Record),
            0,
        ),
    ];
    for (name, datagram, error, flows) in cases {
        let report = Rig::new().send(datagram);
        assert_eq!((report.error, report.flows), (error, flows), "{name}");
    }
}

#[test]
fn a_message_that_claims_another_length() {
    for (claimed, flows) in [(10, 1), (5_000, 1), (0, 1)] {
        let mut datagram = ipfix(0).template(256, &FIELDS).data(256, &[record![1u32, 2u32]]).build();
        datagram[2..4].copy_from_slice(&u16::to_be_bytes(claimed));
        let report = Rig::new().send(datagram);
        assert_eq!((report.error, report.flows), (Some(Reason::Length), flows), "{claimed}");
    }
}

#[test]
fn a_cut_at_every_byte_is_survived() {
    let v9 = v9(0).template(256, &FIELDS).options(257, &[iana(1, 4)], &[iana(34, 4)]).data(256, &[record![1u32, 2u32]]);
    let ipfix = ipfix(0).template(256, &[iana(12, 4), iana(82, 65_535)]).data(256, &[record![1u32, 3u8, 7u8, 8u16]]);
    let mut v5 = header_v5(5, 1, 0, SECS, 0, 0);
    v5.extend(record_v5(0, 0, 0, 1));
    for datagram in [v9.build(), ipfix.build(), v5] {
        let mut rig = Rig::new();
        for len in 0..datagram.len() {
            let flows = u64::from(rig.send(datagram[..len].to_vec()).flows);
            assert!(flows <= 1);
        }
        assert!(rig.decoder.totals().errors.total() > 0);
    }
}

#[test]
fn broken_datagrams_of_a_known_exporter_are_its_own() {
    let mut rig = Rig::new();
    rig.send(vec![0, 9]);
    assert_eq!(rig.decoder.totals().errors.get(Reason::Truncated), 1);
    rig.send(v9(0).build());
    rig.send(vec![0, 9]);
    assert_eq!(rig.stats().counters.errors.iter().collect::<Vec<_>>(), [(Reason::Truncated, 1)]);
}

#[test]
fn one_datagram_makes_a_bounded_number_of_rows() {
    let mut rig = Rig::new();
    rig.send(v9(0).template(256, &[iana(4, 1)]).build());
    let report = rig.send(v9(1).set(256, &vec![6; 60_000]).set(256, &[6; 100]).build());
    assert_eq!((report.flows, report.error), (4096, Some(Reason::Limit)));
}

#[test]
fn absurd_times_are_not_believed() {
    let mut rig = Rig::new();
    let fields = [iana(12, 4), iana(152, 8), iana(153, 8)];
    let far = record![1u32, 5u64, u64::MAX];
    rig.send(ipfix(0).template(256, &fields).data(256, &[far]).build());
    let now = rig.now.to_string();
    let row = &rig.rows()[0];
    assert_eq!((row["start"].as_str(), row["end"].as_str()), (Some(now.as_str()), Some(now.as_str())));
    assert_eq!(rig.stats().counters.clamped_times, 2);
}

#[test]
fn data_that_waits_is_bounded_by_number_bytes_and_age() {
    let limits = Limits { held_sets_per_session_max: 4, held_bytes_per_session_max: 4096, ..Limits::default() };
    let mut rig = Rig::with(limits);
    for i in 0..10 {
        rig.send(v9(i).data(256, &[record![u64::from(i)]]).build());
    }
    let stats = rig.stats();
    assert_eq!((stats.waiting.sets, stats.counters.dropped_sets), (4, 6));
    rig.send(v9(10).data(256, &[vec![0; 3000]]).build());
    assert!(rig.stats().waiting.bytes <= 4096);
    assert_eq!(rig.send(v9(11).data(256, &[vec![0; 5000]]).build()).error, Some(Reason::Limit));
    rig.now = rig.now + limits.held_age_max + 1;
    rig.send(v9(12).build());
    assert_eq!(rig.stats().waiting.sets, 0);
}

#[test]
fn templates_are_bounded() {
    let limits = Limits { templates_per_session_max: 10, fields_per_template_max: 3, ..Limits::default() };
    let mut rig = Rig::with(limits);
    for id in 300..350 {
        rig.now = rig.now + 1;
        rig.send(v9(u32::from(id)).template(id, &FIELDS).build());
    }
    assert_eq!(rig.stats().templates, 10, "the least recently used make room");
    let report = rig.send(v9(400).template(256, &[iana(12, 4); 4]).template(257, &FIELDS).build());
    assert_eq!((report.error, rig.stats().templates), (Some(Reason::Limit), 10));
}

#[test]
fn one_exporter_cannot_take_more_than_its_share() {
    let limits = Limits { state_bytes_per_exporter_max: 64 << 10, ..Limits::default() };
    let mut rig = Rig::with(limits);
    for i in 0..2000u32 {
        let message = Message::ipfix(SECS, 0, i % 50).template(256 + (i / 50) as u16, &[iana(12, 4); 20]);
        rig.send_from(1, (i % 97) as u16, message.data(999, &[vec![0; 500]]).build());
    }
    assert!(rig.decoder.state_bytes() <= 64 << 10);
    assert_eq!(rig.decoder.exporters().next().unwrap().exporter.to_string(), "192.0.2.1");
}

#[test]
fn forged_exporters_do_not_displace_live_ones() {
    let limits = Limits { exporters_max: 8, ..Limits::default() };
    let mut rig = Rig::with(limits);
    let live = |n: u32| v9(n).template(256, &FIELDS).data(256, &[record![1u32, 2u32]]).build();
    rig.send_from(200, 2055, live(0));
    rig.now = rig.now + 2 * Micros::MINUTE;
    rig.send_from(200, 2055, live(1));
    for i in 0..5000u32 {
        rig.now = rig.now + 1000;
        let peer = guardian_flow::Peer { ip: guardian_model::Ip::v4((0x0b00_0000 + i).to_be_bytes()), port: 1 };
        rig.decoder.decode(peer, rig.now, &v9(0).template(256, &FIELDS).build(), &mut rig.out);
    }
    assert_eq!(rig.decoder.exporters().count(), 8);
    assert_eq!(rig.decoder.totals().evicted_exporters, 5000 - 7);
    let report = rig.send_from(200, 2055, v9(2).data(256, &[record![1u32, 2u32]]).build());
    assert_eq!((report.flows, report.first_seen), (1, false), "its templates are still there");
}

#[test]
fn when_all_places_are_proven_new_ones_are_refused() {
    let limits = Limits { exporters_max: 2, ..Limits::default() };
    let mut rig = Rig::with(limits);
    let flow = |n| v9(n).template(256, &FIELDS).data(256, &[record![1u32, 2u32]]).build();
    for host in [1, 2] {
        rig.send_from(host, 1, flow(0));
    }
    rig.now = rig.now + 2 * Micros::MINUTE;
    for host in [1, 2] {
        rig.send_from(host, 1, flow(1));
    }
    assert_eq!(rig.send_from(3, 1, flow(0)).error, Some(Reason::ExporterRefused));
    rig.now = rig.now + limits.exporter_idle_max + 1;
    assert_eq!(rig.send_from(3, 1, flow(0)).error, None, "the others fell silent");
}

#[test]
fn domains_and_sessions_are_bounded() {
    let limits = Limits { domains_per_exporter_max: 5, sessions_per_domain_max: 3, ..Limits::default() };
    let mut rig = Rig::with(limits);
    for domain in 0..100 {
        rig.send(Message::ipfix(SECS, 0, domain).build());
    }
    assert_eq!(rig.decoder.exporters().count(), 5);
    for port in 0..100 {
        rig.send_from(1, port, Message::ipfix(SECS, 0, 99).template(256, &FIELDS).build());
    }
    assert_eq!(rig.decoder.exporters().map(|stats| stats.templates).sum::<usize>(), 3);
}
