//! Peers of WireGuard, as the kernel has them (`linux/wireguard.h`) and as programs that do its work say (the cross-platform
//! interface, <https://www.wireguard.com/xplatform/>). Private and shared keys are passed over where they stand, and never kept.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::limits::LIST_MAX;
use crate::netlink::{address, attribute, attributes, dump, half, long, name, request};
use crate::text::lines;

/// Number of the family that knows the numbers of others.
const CONTROL: u16 = 0x10;
const FAMILY: &[u8] = b"wireguard\0";
/// Peers of one interface that are kept.
const PEERS_MAX: usize = 10_000;
const KEY_BYTES: usize = 32;
/// A session that is older is not used any more (section 6.1 of the paper: Reject-After-Time).
const SESSION_S: u64 = 180;

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name; empty where a program was asked.
    pub name: String,
    /// Its public key.
    pub key: String,
    /// The port it listens on; 0 for none.
    pub port: u16,
    /// Its peers.
    pub peers: Vec<Peer>,
}

/// A peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its public key.
    pub key: String,
    /// Where it was last.
    pub endpoint: Option<SocketAddr>,
    /// What is sent to it, and taken from it.
    pub networks: Vec<String>,
    /// When keys were agreed upon last, in seconds since 1970; 0 for never.
    pub handshake: u64,
    /// Octets that came.
    pub received: u64,
    /// Octets that were sent.
    pub sent: u64,
    /// Seconds after which it is greeted; 0 for never.
    pub keepalive: u16,
}

impl Peer {
    /// `live`, `idle`, or `never` where nobody ever answered.
    pub fn state(&self, now: u64) -> &'static str {
        match self.handshake {
            0 => "never",
            at if now.saturating_sub(at) <= SESSION_S => "live",
            _ => "idle",
        }
    }
}

/// Asks which number the family has.
pub fn family_request() -> Vec<u8> {
    request(CONTROL, &[&[3, 1, 0, 0][..], &attribute(2, FAMILY)].concat())
}

/// The number of the family, in an answer to that.
pub fn family(kind: u16, body: &[u8]) -> Option<u16> {
    let (_, value) = attributes(body.get(4..)?).find(|(attribute, _)| *attribute == 1)?;
    (kind == CONTROL).then(|| half(value, 0)).flatten()
}

/// Asks for an interface and its peers.
pub fn device_request(family: u16, interface: &str) -> Vec<u8> {
    let mut text = interface.as_bytes().to_vec();
    text.push(0);
    dump(family, &[&[0, 1, 0, 0][..], &attribute(2, &text)].concat())
}

fn key(value: &[u8]) -> Option<String> {
    (value.len() == KEY_BYTES).then(|| BASE64_STANDARD.encode(value))
}

/// Adds what a message says; an interface with many peers takes several.
pub fn add(device: &mut Device, body: &[u8]) {
    for (kind, value) in body.get(4..).map(attributes).into_iter().flatten() {
        match kind {
            2 => device.name = name(value),
            4 => device.key = key(value).unwrap_or_default(),
            6 => device.port = half(value, 0).unwrap_or(0),
            8 => attributes(value).for_each(|(_, peer)| add_peer(&mut device.peers, self::peer(peer))),
            _ => {}
        }
    }
}

fn add_peer(peers: &mut Vec<Peer>, peer: Peer) {
    if let Some(last) = peers.last_mut().filter(|last| last.key == peer.key) {
        // The networks of one peer may go on in the next message.
        let room = LIST_MAX.saturating_sub(last.networks.len());
        last.networks.extend(peer.networks.into_iter().take(room));
    } else if peers.len() < PEERS_MAX && !peer.key.is_empty() {
        peers.push(peer);
    }
}

fn peer(bytes: &[u8]) -> Peer {
    let mut peer = Peer::default();
    for (kind, value) in attributes(bytes) {
        match kind {
            1 => peer.key = key(value).unwrap_or_default(),
            4 => peer.endpoint = endpoint(value),
            5 => peer.keepalive = half(value, 0).unwrap_or(0),
            6 => peer.handshake = long(value, 0).unwrap_or(0),
            7 => peer.received = long(value, 0).unwrap_or(0),
            8 => peer.sent = long(value, 0).unwrap_or(0),
            9 => {
                peer.networks =
                    attributes(value).filter_map(|(_, network)| self::network(network)).take(LIST_MAX).collect()
            }
            _ => {}
        }
    }
    peer
}

/// `struct sockaddr_in` or `sockaddr_in6`.
fn endpoint(value: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([*value.get(2)?, *value.get(3)?]);
    match half(value, 0)? {
        2 => Some(SocketAddr::V4(SocketAddrV4::new(<[u8; 4]>::try_from(value.get(4..8)?).ok()?.into(), port))),
        10 => Some(SocketAddr::V6(SocketAddrV6::new(<[u8; 16]>::try_from(value.get(8..24)?).ok()?.into(), port, 0, 0))),
        _ => None,
    }
}

fn network(bytes: &[u8]) -> Option<String> {
    let of = |wanted| attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let (to, bits) = (address(of(2)?)?, *of(3)?.first()?);
    Some(format!("{to}/{bits}"))
}

/// What a program says of its interface when it is asked `get=1`.
pub fn parse_answer(answer: &[u8]) -> Device {
    let mut device = Device::default();
    let mut peer: Option<Peer> = None;
    for (_, line) in lines(answer) {
        let Some((name, value)) = line.trim().split_once('=') else { continue };
        if name == "public_key" {
            if let Some(done) = peer.take() {
                add_peer(&mut device.peers, done);
            }
            peer = hex_key(value).map(|key| Peer { key, ..Peer::default() });
            continue;
        }
        match (name, &mut peer) {
            ("listen_port", _) => device.port = value.parse().unwrap_or(0),
            ("endpoint", Some(peer)) => peer.endpoint = value.parse().ok(),
            ("allowed_ip", Some(peer)) if peer.networks.len() < LIST_MAX => peer.networks.extend(prefix(value)),
            ("last_handshake_time_sec", Some(peer)) => peer.handshake = value.parse().unwrap_or(0),
            ("rx_bytes", Some(peer)) => peer.received = value.parse().unwrap_or(0),
            ("tx_bytes", Some(peer)) => peer.sent = value.parse().unwrap_or(0),
            ("persistent_keepalive_interval", Some(peer)) => peer.keepalive = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    if let Some(done) = peer {
        add_peer(&mut device.peers, done);
    }
    device
}

fn prefix(text: &str) -> Option<String> {
    let (to, bits) = text.split_once('/')?;
    let (to, bits) = (to.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
    Some(format!("{to}/{bits}"))
}

fn hex_key(text: &str) -> Option<String> {
    let digits = |at: usize| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..KEY_BYTES).map_while(digits).collect();
    if text.len() == 2 * KEY_BYTES { key(&bytes) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as the kernel codes it, with both keys that are not for us.
    fn made() -> Vec<u8> {
        let v4 = [&2u16.to_ne_bytes()[..], &51_820u16.to_be_bytes(), &[203, 0, 113, 7], &[0; 8]].concat();
        let network = [attribute(1, &2u16.to_ne_bytes()), attribute(2, &[10, 9, 0, 0]), attribute(3, &[16])].concat();
        let peer = [
            attribute(1, &[7; 32]),
            attribute(2, b"a secret shared by both of them!"),
            attribute(4, &v4),
            attribute(5, &25u16.to_ne_bytes()),
            attribute(6, &[1_000u64.to_ne_bytes(), 5u64.to_ne_bytes()].concat()),
            attribute(7, &9u64.to_ne_bytes()),
            attribute(8, &8u64.to_ne_bytes()),
            attribute(0x8009, &attribute(0x8000, &network)),
        ]
        .concat();
        let device = [
            attribute(2, b"wg0\0"),
            attribute(3, b"a secret of nobody but ourselves"),
            attribute(4, &[1; 32]),
            attribute(6, &51_821u16.to_ne_bytes()),
            attribute(0x8008, &attribute(0x8000, &peer)),
        ];
        [vec![0, 1, 0, 0], device.concat()].concat()
    }

    #[test]
    fn peers_are_read_and_secrets_are_not() {
        let mut device = Device::default();
        add(&mut device, &made());
        let peer = &device.peers[0];
        assert_eq!((&*device.name, device.port, device.peers.len()), ("wg0", 51_821, 1));
        assert_eq!(peer.key, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        assert_eq!((peer.endpoint.unwrap().to_string(), peer.keepalive), ("203.0.113.7:51820".into(), 25));
        assert_eq!(
            (&*peer.networks, peer.handshake, peer.received, peer.sent),
            (&["10.9.0.0/16".to_owned()][..], 1_000, 9, 8)
        );
        assert_eq!([900, 1_180, 1_181].map(|now| peer.state(now)), ["live", "live", "idle"]);
        assert_eq!(Peer::default().state(5), "never");
        let said = format!("{device:?}");
        assert!(!said.contains(&BASE64_STANDARD.encode(b"a secret of nobody but ourselves")));
        assert!(!said.contains(&BASE64_STANDARD.encode(b"a secret shared by both of them!")));
        // Networks that go on in the next message.
        add(&mut device, &made());
        assert_eq!((device.peers.len(), device.peers[0].networks.len()), (1, 2));
    }

    #[test]
    fn what_is_cut_off_or_changed_does_no_harm() {
        let whole = made();
        for length in 0..whole.len() {
            add(&mut Device::default(), &whole[..length]);
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] = 0xff;
            let mut device = Device::default();
            add(&mut device, &bytes);
            assert!(device.peers.len() <= 1);
        }
        assert_eq!(family(CONTROL, &[&[1, 2, 0, 0][..], &attribute(1, &29u16.to_ne_bytes())].concat()), Some(29));
        assert_eq!((family(CONTROL, &[1]), family(3, &[0; 12])), (None, None));
    }

    #[test]
    fn programs_are_understood() {
        let said = format!(
            "private_key={0}\nlisten_port=12912\npublic_key={1}\npreshared_key={0}\nendpoint=[fd00::1]:51820\n\
             last_handshake_time_sec=77\nrx_bytes=5\ntx_bytes=6\nallowed_ip=fd01::/64\nallowed_ip=x\n\
             public_key=zz\nallowed_ip=10.0.0.0/8\npublic_key={1}0\nerrno=0\n\n",
            "ab".repeat(32),
            "07".repeat(32)
        );
        let device = parse_answer(said.as_bytes());
        assert_eq!(
            (device.port, device.peers.len(), &*device.peers[0].networks),
            (12_912, 1, &["fd01::/64".to_owned()][..])
        );
        assert_eq!(device.peers[0].endpoint.unwrap().to_string(), "[fd00::1]:51820");
        assert!(!format!("{device:?}").contains("abab"));
    }
}
