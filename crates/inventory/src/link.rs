//! Interfaces that are tunnels, as the kernel says (rtnetlink(7), `linux/if_link.h`, `linux/if_tunnel.h`): which kind, and between
//! which ends.

use std::net::IpAddr;

use crate::netlink::{address, attributes, dump, name, word};

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const HEAD: usize = 16;

/// Asks for all interfaces.
pub fn request() -> Vec<u8> {
    dump(GET_LINK, &[0; HEAD])
}

/// A tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// As the kernel calls it: gretap, erspan, ip6gre, sit, ipip, vxlan, wireguard, tun and so on; of the last, `tap` where it is a
    /// whole Ethernet.
    pub kind: String,
    /// Whether it is switched on.
    pub up: bool,
    /// This end.
    pub local: Option<IpAddr>,
    /// The other end.
    pub remote: Option<IpAddr>,
    /// The number of the network in it, the key, or what else tells several apart.
    pub id: Option<u32>,
    /// The user whose it is.
    pub uid: Option<u32>,
}

/// Where a kind has its ends and its number: local, remote, both again for IPv6, number; 0 for none.
struct Places {
    local: [u16; 2],
    remote: [u16; 2],
    id: u16,
    /// The number is in the order of the network.
    network: bool,
}

const fn places(local: [u16; 2], remote: [u16; 2], id: u16, network: bool) -> Option<Places> {
    Some(Places { local, remote, id, network })
}

fn places_of(kind: &str) -> Option<Places> {
    match kind {
        "gre" | "gretap" | "erspan" | "ip6gre" | "ip6gretap" | "ip6erspan" => places([6, 6], [7, 7], 5, true),
        "ipip" | "sit" | "ip6tnl" => places([2, 2], [3, 3], 0, false),
        "vti" | "vti6" => places([4, 4], [5, 5], 3, true),
        "vxlan" => places([4, 17], [2, 16], 1, false),
        "geneve" => places([0, 0], [2, 7], 1, false),
        "xfrm" => places([0, 0], [0, 0], 2, false),
        "tun" | "wireguard" | "ppp" | "gtp" | "l2tpeth" | "bareudp" | "ovpn" | "amt" | "fou" => {
            places([0, 0], [0, 0], 0, false)
        }
        _ => None,
    }
}

/// The tunnel that a message is about; none where the interface is none.
pub fn tunnel(kind: u16, body: &[u8]) -> Option<Tunnel> {
    let head = body.get(..HEAD).filter(|_| kind == NEW_LINK)?;
    let mut tunnel = Tunnel { up: word(head, 8)? & 1 != 0, ..Tunnel::default() };
    let (mut data, mut sort) = (&[][..], String::new());
    for (kind, value) in attributes(&body[HEAD..]) {
        match kind {
            3 => tunnel.name = name(value),
            18 => {
                for (kind, value) in attributes(value) {
                    match kind {
                        1 => sort = name(value),
                        2 => data = value,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let places = places_of(&sort)?;
    for (kind, value) in attributes(data) {
        let is = |wanted: [u16; 2]| kind != 0 && wanted.contains(&kind);
        let known = || address(value).filter(|ip| !ip.is_unspecified());
        if is(places.local) {
            tunnel.local = known().or(tunnel.local);
        } else if is(places.remote) {
            tunnel.remote = known().or(tunnel.remote);
        } else if is([places.id; 2]) {
            let number = word(value, 0);
            tunnel.id = number.map(|n| if places.network { u32::from_be(n) } else { n }).filter(|n| *n != 0);
        } else if sort == "tun" && kind == 1 {
            tunnel.uid = word(value, 0);
        } else if sort == "tun" && kind == 3 && value.first() == Some(&2) {
            "tap".clone_into(&mut tunnel.kind);
        }
    }
    if tunnel.kind.is_empty() {
        tunnel.kind = sort;
    }
    Some(tunnel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::attribute;

    fn made(kind: &[u8], data: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![0; HEAD];
        body[8] = 1;
        body.extend(attribute(3, b"t0\0"));
        body.extend(attribute(18, &[attribute(1, kind), attribute(2, &data.concat())].concat()));
        body
    }

    #[test]
    fn tunnels_have_kinds_and_ends() {
        let body = made(
            b"gretap\0",
            &[attribute(5, &9u32.to_be_bytes()), attribute(6, &[10, 0, 0, 1]), attribute(7, &[10, 0, 0, 2])],
        );
        let found = tunnel(NEW_LINK, &body).unwrap();
        assert_eq!((&*found.kind, found.up, found.id), ("gretap", true, Some(9)));
        assert_eq!(found.local.zip(found.remote), Some(([10, 0, 0, 1].into(), [10, 0, 0, 2].into())));
        let body =
            made(b"vxlan\0", &[attribute(1, &7u32.to_ne_bytes()), attribute(16, &[1; 16]), attribute(4, &[0; 4])]);
        let found = tunnel(NEW_LINK, &body).unwrap();
        assert_eq!((found.id, found.local, found.remote), (Some(7), None, Some([1; 16].into())));
        let found =
            tunnel(NEW_LINK, &made(b"tun\0", &[attribute(1, &1_000u32.to_ne_bytes()), attribute(3, &[2])])).unwrap();
        assert_eq!((&*found.kind, found.uid), ("tap", Some(1_000)));
        assert_eq!(tunnel(NEW_LINK, &made(b"veth\0", &[])), None);
        for length in 0..body.len() {
            drop(tunnel(NEW_LINK, &body[..length]));
        }
    }
}
