//! Address prefixes over the 16-byte form, and sets of them as disjoint ranges.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use guardian_model::Ip;

/// The IPv4-mapped range `::ffff:0:0/96`.
const V4_FIRST: u128 = 0xffff_0000_0000;
const V4_LAST: u128 = 0xffff_ffff_ffff;

/// A prefix: all addresses that share the first `bits` bits of the 16-byte form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    first: u128,
    bits: u8,
}

impl Cidr {
    /// One address.
    pub fn single(ip: Ip) -> Self {
        Self { first: u128::from_be_bytes(ip.0), bits: 128 }
    }

    /// The prefix of `bits` bits (of the 16-byte form) that holds the address; more than 128 bits are 128.
    pub fn new(ip: Ip, bits: u8) -> Self {
        let bits = bits.min(128);
        Self { first: u128::from_be_bytes(ip.0) & mask(bits), bits }
    }

    /// Whether it is one address.
    pub const fn is_single(self) -> bool {
        self.bits == 128
    }

    /// The first address.
    pub const fn ip(self) -> Ip {
        Ip(self.first.to_be_bytes())
    }

    /// Whether the address is inside.
    pub fn contains(self, ip: Ip) -> bool {
        let value = u128::from_be_bytes(ip.0);
        self.ranges().any(|(a, b)| (a..=b).contains(&value))
    }

    /// First and last address, as numbers. An IPv6 prefix that spans the IPv4-mapped block leaves that block out:
    /// who writes `::/0` means IPv6.
    fn ranges(self) -> impl Iterator<Item = (u128, u128)> {
        let last = self.first | !mask(self.bits);
        let spans_v4 = self.bits < 96 && self.first <= V4_FIRST && last >= V4_LAST;
        let parts = if spans_v4 {
            [Some((self.first, V4_FIRST - 1)), Some((V4_LAST + 1, last))]
        } else {
            [Some((self.first, last)), None]
        };
        parts.into_iter().flatten().filter(|(a, b)| a <= b)
    }
}

const fn mask(bits: u8) -> u128 {
    if bits == 0 { 0 } else { u128::MAX << (128 - bits) }
}

impl FromStr for Cidr {
    type Err = String;

    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address. Bits after the prefix must be zero, so that a slip of the
    /// pen is not read as something else.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().map_err(|_| format!("`{text}` is not an address or prefix"))?;
        let max = if ip.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => max,
            Some(length) => length
                .parse::<u8>()
                .ok()
                .filter(|n| *n <= max && !length.starts_with('+'))
                .ok_or_else(|| format!("`{text}`: a prefix length of 0 to {max} is expected after the slash"))?,
        };
        let cidr = Self::new(ip.into(), 128 - max + length);
        if cidr.ip() != Ip::from(ip) {
            return Err(format!("`{text}` has bits set after its prefix: did you mean `{cidr}`?"));
        }
        Ok(cidr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v4 = self.ip().is_v4() && self.bits >= 96;
        match self.bits {
            128 => write!(f, "{}", self.ip()),
            bits if v4 => write!(f, "{}/{}", self.ip(), bits - 96),
            bits => write!(f, "{}/{bits}", std::net::Ipv6Addr::from(self.first)),
        }
    }
}

/// Disjoint, sorted ranges of addresses.
#[derive(Debug)]
pub(crate) struct IpRanges {
    ranges: Box<[(u128, u128)]>,
}

/// Up to so many ranges are compared one by one, which the processor predicts better than a search.
const LINEAR_MAX: usize = 4;

impl IpRanges {
    pub(crate) fn new(prefixes: &[Cidr]) -> Self {
        let mut ranges: Vec<_> = prefixes.iter().flat_map(|c| c.ranges()).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged.into() }
    }

    #[inline]
    pub(crate) fn contains(&self, address: u128) -> bool {
        if self.ranges.len() <= LINEAR_MAX {
            return self.ranges.iter().any(|(first, last)| address.wrapping_sub(*first) <= last - first);
        }
        let after = self.ranges.partition_point(|(first, _)| *first <= address);
        after > 0 && address <= self.ranges[after - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::{Cidr, IpRanges};

    #[test]
    fn prefixes_read_show_and_contain() {
        let cases = [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.168.1.1", "192.168.1.1", "192.168.1.2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001::1", "10.0.0.1"),
        ];
        for (text, inside, outside) in cases {
            let cidr: Cidr = text.parse().expect(text);
            assert_eq!(cidr.to_string(), text);
            assert!(cidr.contains(inside.parse().expect(inside)), "{text} {inside}");
            assert!(!cidr.contains(outside.parse().expect(outside)), "{text} {outside}");
        }
        for bad in ["10.0.0.1/8", "10.0.0.0/33", "10.0.0/8", "x", "10.0.0.0/+8", "::/129", "10.0.0.0/"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
        assert_eq!(
            "10.0.0.1/8".parse::<Cidr>().unwrap_err(),
            "`10.0.0.1/8` has bits set after its prefix: did you mean `10.0.0.0/8`?"
        );
    }

    #[test]
    fn ranges_merge_and_search() {
        let prefixes: Vec<Cidr> = (0..20).map(|i| format!("10.{}.0.0/16", i * 2).parse().expect("a prefix")).collect();
        let ranges = IpRanges::new(&prefixes);
        for i in 0..40_u8 {
            let ip = guardian_model::Ip::v4([10, i, 3, 4]);
            assert_eq!(ranges.contains(u128::from_be_bytes(ip.0)), i % 2 == 0, "10.{i}");
        }
        assert!(!ranges.contains(0));
    }
}
