//! The peer: the crate `netflow_parser`, which makes structures of datagrams.

use netflow_parser::{NetflowPacket, NetflowParser};

use super::load::Load;

/// The peer's parser.
pub(crate) struct Theirs(NetflowParser);

impl Theirs {
    /// A parser that knows the templates of a load.
    pub(crate) fn new(load: &Load) -> Self {
        let mut parser = NetflowParser::default();
        if let Some(templates) = &load.templates {
            assert!(parser.parse_bytes(templates).error.is_none(), "the peer knows the templates");
        }
        Self(parser)
    }

    /// Parses one datagram into the peer's structures. Returns the flows of the datagram.
    pub(crate) fn datagram(&mut self, datagram: &[u8]) -> u64 {
        let parsed = std::hint::black_box(self.0.parse_bytes(datagram));
        parsed.packets.iter().map(flows_of).sum()
    }
}

fn flows_of(packet: &NetflowPacket) -> u64 {
    use netflow_parser::variable_versions::{ipfix, v9};
    match packet {
        NetflowPacket::V5(packet) => packet.flowsets.len() as u64,
        NetflowPacket::V9(packet) => packet
            .flowsets
            .iter()
            .map(|set| match &set.body {
                v9::FlowSetBody::Data(data) => data.fields.len() as u64,
                _ => 0,
            })
            .sum(),
        NetflowPacket::IPFix(packet) => packet
            .flowsets
            .iter()
            .map(|set| match &set.body {
                ipfix::FlowSetBody::Data(data) => data.fields.len() as u64,
                _ => 0,
            })
            .sum(),
        _ => 0,
    }
}
