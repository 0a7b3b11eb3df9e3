//! Addresses are 16 bytes everywhere; IPv4 is IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2) and shown as IPv4.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An IPv4 or IPv6 address in 16 bytes, network order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ip(pub [u8; 16]);

impl Ip {
    /// The first 12 bytes of every IPv4-mapped address.
    pub const V4_PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

    /// From four bytes in network order.
    pub const fn v4(b: [u8; 4]) -> Self {
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3]])
    }

    /// Whether this is an IPv4-mapped address.
    pub fn is_v4(&self) -> bool {
        self.0[..12] == Self::V4_PREFIX
    }

    /// Whether it belongs to no public network: private and link-local addresses (RFC 1918, RFC 4193, RFC 3927, RFC 4291).
    pub fn is_private(&self) -> bool {
        match self.to_std() {
            IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
        }
    }

    /// The standard library's form, with mapped addresses unmapped.
    pub fn to_std(self) -> IpAddr {
        Ipv6Addr::from(self.0).to_canonical()
    }
}

impl From<IpAddr> for Ip {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Ipv4Addr> for Ip {
    fn from(v4: Ipv4Addr) -> Self {
        Self::v4(v4.octets())
    }
}

impl FromStr for Ip {
    type Err = AddrParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<IpAddr>().map(Self::from)
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_std().fmt(f)
    }
}

impl Serialize for Ip {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { self.0.serialize(s) }
    }
}

impl<'de> Deserialize<'de> for Ip {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 16]>::deserialize(d).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ip;

    #[test]
    fn display_is_at_the_edge() {
        for text in ["10.1.2.3", "2001:db8::1", "::1", "0.0.0.0"] {
            let ip: Ip = text.parse().expect("a valid address");
            assert_eq!(ip.to_string(), text);
            assert_eq!(ip.is_v4(), !text.contains(':'));
        }
    }
}
