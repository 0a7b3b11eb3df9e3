//! Datagrams as a busy router sends them, and our decoder with all it keeps between them.

use guardian_flow::{Decoder, FlowBuilder, Peer};
use guardian_model::{Ip, Micros};

use super::encode::{Field, Message, header_v5, iana, record_v5};
use crate::record;

/// Time of receipt of all datagrams.
pub(crate) const SECS: u32 = 1_767_225_600;
const UPTIME: u32 = 3_600_000;
/// Datagrams of one load: the addresses and ports in them differ.
const DATAGRAMS: u32 = 64;

/// A kind of traffic.
pub(crate) struct Load {
    /// Short name.
    pub(crate) name: &'static str,
    /// What a decoder must have seen before.
    pub(crate) templates: Option<Vec<u8>>,
    /// The datagrams, decoded over and over.
    pub(crate) datagrams: Vec<Vec<u8>>,
    /// Flows in all of them together.
    pub(crate) flows: u64,
}

/// The usual IPv4 fields of a router with NetFlow v9.
const V9: [Field; 20] = [
    iana(8, 4),
    iana(12, 4),
    iana(15, 4),
    iana(10, 4),
    iana(14, 4),
    iana(2, 4),
    iana(1, 4),
    iana(22, 4),
    iana(21, 4),
    iana(7, 2),
    iana(11, 2),
    iana(6, 1),
    iana(4, 1),
    iana(5, 1),
    iana(61, 1),
    iana(16, 4),
    iana(17, 4),
    iana(9, 1),
    iana(13, 1),
    iana(58, 2),
];

fn ipfix_fields() -> Vec<Field> {
    let absolute = |field: Field| match field.1 {
        22 => iana(152, 8),
        21 => iana(153, 8),
        61 => iana(136, 1),
        _ => field,
    };
    V9.iter().map(|field| absolute(*field)).collect()
}

fn record(i: u32, ipfix: bool) -> Vec<u8> {
    let mut out = record![
        0x0a00_0000u32 + (i * 7919) % 65_536,
        0xc0a8_0000u32 + (i * 104_729) % 65_536,
        0x0a00_00feu32,
        1 + i % 4,
        5 + i % 3,
        1 + i % 100,
        64 + i * 13 % 100_000,
    ];
    if ipfix {
        out.extend(record![u64::from(SECS) * 1000 - u64::from(i % 60_000), u64::from(SECS) * 1000 - 100]);
    } else {
        out.extend(record![UPTIME - i % 60_000, UPTIME - 100]);
    }
    let ports = record![32_768 + (i % 28_000) as u16, [443u16, 53, 80, 22, 8080][i as usize % 5]];
    out.extend(ports);
    let protocol = if i % 4 == 1 { 17u8 } else { 6 };
    out.extend(record![0x1bu8, protocol, 0u8, 1u8, 64_500 + i % 100, 13_335u32, 24u8, 20u8, (i % 8) as u16]);
    out
}

/// All loads.
pub(crate) fn loads() -> Vec<Load> {
    let v5 = (0..DATAGRAMS).map(|d| {
        let mut datagram = header_v5(5, 30, UPTIME, SECS, d * 30, 0);
        (0..30).for_each(|i| datagram.extend(record_v5(d * 30 + i, UPTIME - 9_000, UPTIME - 50, 6)));
        datagram
    });
    let v9 = (0..DATAGRAMS).map(|d| {
        let records: Vec<_> = (0..24).map(|i| record(d * 24 + i, false)).collect();
        Message::v9(UPTIME, SECS, d + 1, 7).data(256, &records).build()
    });
    let ipfix = (0..DATAGRAMS).map(|d| {
        let records: Vec<_> = (0..22).map(|i| record(d * 22 + i, true)).collect();
        Message::ipfix(SECS, d * 22, 7).data(256, &records).build()
    });
    let flows = |each: u32| u64::from(DATAGRAMS * each);
    vec![
        Load { name: "netflow5", templates: None, datagrams: v5.collect(), flows: flows(30) },
        Load {
            name: "netflow9",
            templates: Some(
                Message::v9(UPTIME, SECS, 0, 7).template(256, &V9).options(257, &[iana(1, 4)], &[iana(34, 4)]).build(),
            ),
            datagrams: v9.collect(),
            flows: flows(24),
        },
        Load {
            name: "ipfix",
            templates: Some(Message::ipfix(SECS, 0, 7).template(256, &ipfix_fields()).build()),
            datagrams: ipfix.collect(),
            flows: flows(22),
        },
    ]
}

/// Our decoder with everything it keeps between datagrams.
pub(crate) struct Ours {
    decoder: Decoder,
    out: FlowBuilder,
}

impl Ours {
    const PEER: Peer = Peer { ip: Ip::v4([192, 0, 2, 1]), port: 2055 };
    const NOW: Micros = Micros::from_secs(SECS as i64);

    /// A decoder that knows the templates of a load.
    pub(crate) fn new(load: &Load) -> Self {
        let mut ours = Self { decoder: Decoder::default(), out: FlowBuilder::new() };
        if let Some(templates) = &load.templates {
            ours.decoder.decode(Self::PEER, Self::NOW, templates, &mut ours.out);
        }
        ours
    }

    /// Decodes one datagram; finishes a batch when it is due. Returns the flows of the datagram.
    pub(crate) fn datagram(&mut self, datagram: &[u8]) -> u64 {
        let report = self.decoder.decode(Self::PEER, Self::NOW, datagram, &mut self.out);
        if self.out.is_full() {
            std::hint::black_box(self.out.finish(Self::NOW));
        }
        u64::from(report.flows)
    }
}
