//! Networks in the one address form that Guardian has: 16 bytes, IPv4 mapped, prefix length out of 128.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use guardian_model::Ip;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bits that the IPv4-mapped form puts before an IPv4 prefix.
const V4_BITS: u8 = 96;

/// A network, or a single address. Written like `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    first: u128,
    bits: u8,
}

impl Prefix {
    /// The network of `bits` (out of 128, so 96 more than an IPv4 length) that holds `ip`. Bits beyond 128 are 128.
    pub fn new(ip: Ip, bits: u8) -> Self {
        let bits = bits.min(128);
        let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
        Self { first: u128::from_be_bytes(ip.0) & mask, bits }
    }

    /// The single address.
    pub fn host(ip: Ip) -> Self {
        Self::new(ip, 128)
    }

    /// Whether the address is in it.
    pub fn contains(&self, ip: Ip) -> bool {
        let differing = self.first ^ u128::from_be_bytes(ip.0);
        differing.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
    }

    /// Whether it lies within IPv4.
    pub fn is_v4(&self) -> bool {
        self.bits >= V4_BITS && Ip(self.first.to_be_bytes()).is_v4()
    }

    /// The length as people write it: out of 32 for IPv4, out of 128 for IPv6.
    pub fn len(&self) -> u8 {
        if self.is_v4() { self.bits - V4_BITS } else { self.bits }
    }

    /// Whether the length is zero, that is, it is everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first address, as a number.
    pub(crate) fn first(&self) -> u128 {
        self.first
    }

    /// The length out of 128.
    pub(crate) fn bits(&self) -> u8 {
        self.bits
    }
}

/// A text that is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a network such as 10.0.0.0/8")]
pub struct NotAPrefix;

impl FromStr for Prefix {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<Self, NotAPrefix> {
        let (ip, length) = text.split_once('/').map_or((text, None), |(ip, length)| (ip, Some(length)));
        let ip: std::net::IpAddr = ip.trim().parse().map_err(|_| NotAPrefix)?;
        let (most, extra) = if ip.is_ipv4() { (32, V4_BITS) } else { (128, 0) };
        let length = length.map_or(Ok(most), |l| l.trim().parse::<u8>().map_err(|_| NotAPrefix))?;
        if length > most {
            return Err(NotAPrefix);
        }
        Ok(Self::new(ip.into(), length + extra))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = Ip(self.first.to_be_bytes());
        if self.bits == 128 {
            return ip.fmt(f);
        }
        // A network wider than the mapped range must not be shown as IPv4.
        if self.is_v4() {
            write!(f, "{ip}/{}", self.len())
        } else {
            write!(f, "{}/{}", std::net::Ipv6Addr::from(self.first), self.bits)
        }
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl JsonSchema for Prefix {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "network" })
    }
}

/// What kind of address it is, as far as looking it up is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// May appear on the Internet.
    Global,
    /// Private, loopback, link-local and the like: no database knows it.
    Local,
    /// Multicast or broadcast: belongs to whoever sends to it.
    Group,
}

/// Tells addresses that are worth a lookup from those that are not (RFC 6890, RFC 4193, RFC 6598, RFC 5771).
pub(crate) fn reach(ip: Ip) -> Reach {
    let b = ip.0;
    if ip.is_v4() {
        return match (b[12], b[13]) {
            (224..=239, _) => Reach::Group,
            (255, 255) if b[14] == 255 && b[15] == 255 => Reach::Group,
            (0 | 10 | 127 | 240..=255, _) | (100, 64..=127) | (169, 254) | (172, 16..=31) | (192, 168) => Reach::Local,
            _ => Reach::Global,
        };
    }
    match (b[0], b[1]) {
        (0xff, _) => Reach::Group,
        (0 | 0xfc | 0xfd, _) | (0xfe, 0x80..) => Reach::Local,
        _ => Reach::Global,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows() {
        for (text, shown, length) in [
            ("10.1.2.3/8", "10.0.0.0/8", 8),
            ("192.0.2.1", "192.0.2.1", 32),
            ("0.0.0.0/0", "0.0.0.0/0", 0),
            ("2001:db8::1/32", "2001:db8::/32", 32),
            ("::/0", "::/0", 0),
            ("::ffff:0:0/90", "::ffc0:0:0/90", 90),
            ("fe80::1", "fe80::1", 128),
            ("::ffff:1.2.3.4", "1.2.3.4", 32),
        ] {
            let prefix: Prefix = text.parse().unwrap();
            assert_eq!((&*prefix.to_string(), prefix.len()), (shown, length), "{text}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "host", "1.2.3.4/"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn contains() {
        for (net, ip, inside) in [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "255.1.1.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "1.2.3.4", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("fd00::/8", "fd12::1", true),
        ] {
            assert_eq!(net.parse::<Prefix>().unwrap().contains(ip.parse().unwrap()), inside, "{net} {ip}");
        }
    }

    #[test]
    fn reaches() {
        for (ip, expected) in [
            ("8.8.8.8", Reach::Global),
            ("172.15.0.1", Reach::Global),
            ("2606:4700::1", Reach::Global),
            ("172.16.0.1", Reach::Local),
            ("192.168.0.1", Reach::Local),
            ("100.64.0.1", Reach::Local),
            ("0.0.0.0", Reach::Local),
            ("::1", Reach::Local),
            ("fe80::1", Reach::Local),
            ("fd00::1", Reach::Local),
            ("224.0.0.251", Reach::Group),
            ("255.255.255.255", Reach::Group),
            ("ff02::fb", Reach::Group),
        ] {
            assert_eq!(reach(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
