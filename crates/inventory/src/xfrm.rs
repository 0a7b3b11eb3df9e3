//! What the kernel does of IPsec (`linux/xfrm.h`): states, which say how packets between two hosts are protected, and policies,
//! which say what is to be. Keys stand in the same messages and are passed over.

use std::net::IpAddr;

use crate::limits::LIST_MAX;
use crate::netlink::{address, attributes, dump, half, long, name, word};

const NEW_STATE: u16 = 16;
const GET_STATE: u16 = 18;
const NEW_POLICY: u16 = 19;
const GET_POLICY: u16 = 21;
const STATE_BYTES: usize = 224;
const POLICY_BYTES: usize = 168;
const TEMPLATE_BYTES: usize = 64;
/// Bytes of the name of an algorithm.
const NAME_BYTES: usize = 64;

/// Asks for all states.
pub fn states_request() -> Vec<u8> {
    dump(GET_STATE, &[])
}

/// Asks for all policies.
pub fn policies_request() -> Vec<u8> {
    dump(GET_POLICY, &[])
}

/// A state: one direction between two hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// From here.
    pub from: IpAddr,
    /// To there.
    pub to: IpAddr,
    /// esp, ah or comp.
    pub protocol: &'static str,
    /// transport, tunnel or beet.
    pub mode: &'static str,
    /// Its number on the wire.
    pub spi: u32,
    /// What ties it to policies.
    pub request: u32,
    /// Names of the algorithms.
    pub algorithms: Vec<String>,
    /// Whether it goes through UDP.
    pub over_udp: bool,
    /// Octets.
    pub bytes: u64,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// in, out or forward.
    pub direction: &'static str,
    /// Whose packets.
    pub from: String,
    /// Where to.
    pub to: String,
    /// allow or block.
    pub action: &'static str,
    /// How they are to be protected: protocol, mode and both ends; empty where they are not.
    pub by: Vec<String>,
}

fn ip(bytes: &[u8], at: usize, family: u16) -> Option<IpAddr> {
    let length = if family == 10 { 16 } else { 4 };
    address(bytes.get(at..at + length)?)
}

const fn protocol(number: u8) -> &'static str {
    match number {
        50 => "esp",
        51 => "ah",
        108 => "comp",
        _ => "other",
    }
}

const fn mode(number: u8) -> &'static str {
    match number {
        0 => "transport",
        1 => "tunnel",
        4 => "beet",
        5 => "iptfs",
        _ => "other",
    }
}

/// The state that a message has.
pub fn state(kind: u16, body: &[u8]) -> Option<State> {
    let head = body.get(..STATE_BYTES).filter(|_| kind == NEW_STATE)?;
    let family = half(head, 212)?;
    let mut state = State {
        from: ip(head, 80, family)?,
        to: ip(head, 56, family)?,
        protocol: protocol(head[76]),
        mode: mode(head[214]),
        spi: u32::from_be_bytes(head[72..76].try_into().ok()?),
        request: word(head, 208)?,
        algorithms: Vec::new(),
        over_udp: false,
        bytes: long(head, 160)?,
    };
    let mut truncated = None;
    for (kind, value) in attributes(&body[STATE_BYTES..]) {
        // The name stands before the key.
        let algorithm = value.get(..NAME_BYTES).map(name);
        match kind {
            // The same algorithm is told twice where its sum is cut.
            1 if truncated.is_none() => truncated = algorithm,
            20 => truncated = algorithm,
            2 | 3 | 18 if state.algorithms.len() < LIST_MAX => state.algorithms.extend(algorithm),
            4 => state.over_udp = true,
            _ => {}
        }
    }
    state.algorithms.extend(truncated);
    Some(state)
}

/// The policy that a message has.
pub fn policy(kind: u16, body: &[u8]) -> Option<Policy> {
    let head = body.get(..POLICY_BYTES).filter(|_| kind == NEW_POLICY)?;
    let family = half(head, 40)?;
    let direction = match head[160] {
        0 => "in",
        1 => "out",
        2 => "forward",
        // Those of single sockets are nobody's tunnel.
        _ => return None,
    };
    let templates = attributes(&body[POLICY_BYTES..]).filter(|(kind, _)| *kind == 5);
    let by =
        templates.flat_map(|(_, value)| value.chunks_exact(TEMPLATE_BYTES)).take(LIST_MAX).filter_map(|template| {
            let family = half(template, 24)?;
            let (from, to) = (ip(template, 28, family)?, ip(template, 0, family)?);
            Some(format!("{} {} {from} {to}", protocol(template[20]), mode(template[48])))
        });
    Some(Policy {
        direction,
        from: format!("{}/{}", ip(head, 16, family)?, head[43]),
        to: format!("{}/{}", ip(head, 0, family)?, head[42]),
        action: if head[161] == 0 { "allow" } else { "block" },
        by: by.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::attribute;

    fn made() -> Vec<u8> {
        let mut body = vec![0; STATE_BYTES];
        let mut put = |at: usize, bytes: &[u8]| body[at..at + bytes.len()].copy_from_slice(bytes);
        put(56, &[203, 0, 113, 9]);
        put(72, &0x1234u32.to_be_bytes());
        put(76, &[50]);
        put(80, &[192, 0, 2, 1]);
        put(160, &500u64.to_ne_bytes());
        put(208, &7u32.to_ne_bytes());
        put(212, &2u16.to_ne_bytes());
        put(214, &[1]);
        let mut algorithm = b"cbc(aes)".to_vec();
        algorithm.resize(NAME_BYTES, 0);
        algorithm.extend(128u32.to_ne_bytes());
        algorithm.extend(b"a key of sixteen");
        body.extend(attribute(2, &algorithm));
        body
    }

    #[test]
    fn states_are_read_without_their_keys() {
        let found = state(NEW_STATE, &made()).unwrap();
        assert_eq!((found.from.to_string(), found.to.to_string()), ("192.0.2.1".into(), "203.0.113.9".into()));
        assert_eq!(
            (found.protocol, found.mode, found.spi, found.request, found.bytes),
            ("esp", "tunnel", 0x1234, 7, 500)
        );
        assert_eq!(found.algorithms, ["cbc(aes)"]);
        assert_eq!(state(NEW_POLICY, &made()), None);
    }

    #[test]
    fn what_is_cut_off_or_changed_does_no_harm() {
        let whole = made();
        for length in 0..whole.len() {
            drop((state(NEW_STATE, &whole[..length]), policy(NEW_POLICY, &whole[..length])));
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] = 0xff;
            drop((state(NEW_STATE, &bytes), policy(NEW_POLICY, &bytes)));
        }
    }
}
