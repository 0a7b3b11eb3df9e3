//! A million indicators against every flow: a bitmap says "surely not" for nearly all addresses with one memory
//! access, and only the rest are searched for.
//!
//! IPv4: one bit per /24 (2 MiB) that some indicator touches, then a binary search within the /16 over disjoint
//! intervals (6 bytes each, about two per indicator). IPv6: a bitmap over hashes of the first 48 bits, sized to the
//! set, before the same search over 18-byte intervals; networks shorter than /48 are few and searched directly.
//! The set is immutable; a reload builds a new one.

use guardian_model::Ip;

use crate::intervals::{Intervals, NONE, Span};
use crate::prefix::Prefix;

/// Position of a list in the set it was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId(pub u16);

/// An indicator that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Row within the batch.
    pub row: u32,
    /// The list that names it.
    pub list: ListId,
    /// Whether the destination is on the list, not the source.
    pub destination: bool,
}

/// Lists that one set can hold; the ids are 16 bits with one value taken.
pub const LISTS_MAX: usize = 1024;

/// Length from which IPv6 networks go through the bitmap.
const V6_LONG: u8 = 48;

/// Addresses and networks on lists, each with the best list that covers it.
#[derive(Clone, Debug)]
pub struct IndicatorSet {
    v4: Option<V4>,
    v6: Option<V6>,
    entries: usize,
}

#[derive(Clone, Debug)]
struct V4 {
    touched: Vec<u64>,
    index: Vec<u32>,
    table: Intervals<u32>,
}

#[derive(Clone, Debug)]
struct V6 {
    touched: Vec<u64>,
    shift: u32,
    long: Intervals<u128>,
    short: Intervals<u128>,
}

impl Default for IndicatorSet {
    fn default() -> Self {
        Self::build(std::iter::empty::<[Prefix; 0]>())
    }
}

impl IndicatorSet {
    /// Builds from lists in order of precedence: where several cover an address, the first one is named. Lists beyond
    /// [`LISTS_MAX`] are left out.
    pub fn build<L: IntoIterator<Item = Prefix>>(lists: impl IntoIterator<Item = L>) -> Self {
        let (mut v4, mut long, mut short) = (Vec::new(), Vec::new(), Vec::new());
        let mut entries = 0;
        for (rank, list) in lists.into_iter().take(LISTS_MAX).enumerate() {
            for prefix in list {
                entries += 1;
                let (first, host_bits) = (prefix.first(), 128 - u32::from(prefix.bits()));
                let last = first | 1u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
                let rank = rank as u16;
                if prefix.is_v4() {
                    v4.push(Span { first: first as u32, last: last as u32, rank });
                } else if prefix.bits() >= V6_LONG {
                    long.push(Span { first, last, rank });
                } else {
                    short.push(Span { first, last, rank });
                }
            }
        }
        let v4 = (!v4.is_empty()).then(|| V4::build(v4));
        let v6 = (!(long.is_empty() && short.is_empty())).then(|| V6::build(long, short));
        Self { v4, v6, entries }
    }

    /// The best list that covers an address.
    pub fn find(&self, ip: Ip) -> Option<ListId> {
        let rank = if ip.is_v4() {
            let [.., a, b, c, d] = ip.0;
            self.v4.as_ref().map_or(NONE, |v4| v4.find(u32::from_be_bytes([a, b, c, d])))
        } else {
            self.v6.as_ref().map_or(NONE, |v6| v6.find(u128::from_be_bytes(ip.0)))
        };
        (rank != NONE).then_some(ListId(rank))
    }

    /// Holds both address columns of a batch against the set (16 bytes an address, as many sources as destinations)
    /// and appends a match for each row that has one. Where both ends are listed, the better list wins, and between
    /// equals the destination.
    pub fn match_columns(&self, sources: &[u8], destinations: &[u8], out: &mut Vec<Match>) {
        if self.is_empty() {
            return;
        }
        let pairs = sources.as_chunks::<16>().0.iter().zip(destinations.as_chunks::<16>().0);
        for (row, (source, destination)) in pairs.enumerate() {
            let (source, destination) = (Ip(*source), Ip(*destination));
            // Both filters first: their memory accesses do not wait for each other, and nearly every row ends here.
            let (maybe_source, maybe_destination) = (self.may_hold(source), self.may_hold(destination));
            if !(maybe_source | maybe_destination) {
                continue;
            }
            let source = if maybe_source { self.find(source) } else { None };
            let destination = if maybe_destination { self.find(destination) } else { None };
            let row = row as u32;
            match (source, destination) {
                (Some(list), None) => out.push(Match { row, list, destination: false }),
                (Some(list), Some(other)) if list < other => out.push(Match { row, list, destination: false }),
                (_, Some(list)) => out.push(Match { row, list, destination: true }),
                (None, None) => {}
            }
        }
    }

    fn may_hold(&self, ip: Ip) -> bool {
        if ip.is_v4() {
            let [.., a, b, c, _] = ip.0;
            self.v4.as_ref().is_some_and(|v4| v4.touches(u32::from_be_bytes([0, a, b, c])))
        } else {
            self.v6.as_ref().is_some_and(|v6| v6.may_hold(u128::from_be_bytes(ip.0)))
        }
    }

    /// Entries put in, before those that coincide were merged.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Memory that it occupies, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let v4 = self.v4.as_ref().map_or(0, |v4| v4.touched.len() * 8 + v4.index.len() * 4 + v4.table.memory_bytes());
        let v6 = self.v6.as_ref();
        v4 + v6.map_or(0, |v6| v6.touched.len() * 8 + v6.long.memory_bytes() + v6.short.memory_bytes())
    }
}

impl V4 {
    fn build(spans: Vec<Span<u32>>) -> Self {
        let mut touched = vec![0u64; 1 << 18];
        for span in &spans {
            for net in span.first >> 8..=span.last >> 8 {
                touched[net as usize >> 6] |= 1 << (net & 63);
            }
        }
        let table = Intervals::build(spans);
        // index[h] is how many intervals begin before h << 16.
        let mut index = Vec::with_capacity((1 << 16) + 1);
        let mut at = 0;
        for high in 0..=1u64 << 16 {
            while table.starts.get(at).is_some_and(|start| u64::from(*start) < high << 16) {
                at += 1;
            }
            index.push(at as u32);
        }
        Self { touched, index, table }
    }

    fn touches(&self, net: u32) -> bool {
        self.touched[net as usize >> 6] >> (net & 63) & 1 != 0
    }

    fn find(&self, address: u32) -> u16 {
        if !self.touches(address >> 8) {
            return NONE;
        }
        let high = (address >> 16) as usize;
        self.table.find_within(address, self.index[high] as usize, self.index[high + 1] as usize)
    }
}

impl V6 {
    fn build(long: Vec<Span<u128>>, short: Vec<Span<u128>>) -> Self {
        // Sixteen bits an entry keep false alarms near 6%; the floor is one cache line.
        let bits = (long.len().max(32) * 16).next_power_of_two();
        let mut touched = vec![0u64; bits / 64];
        let shift = 64 - bits.trailing_zeros();
        for span in &long {
            let bit = slot(span.first, shift);
            touched[bit >> 6] |= 1 << (bit & 63);
        }
        Self { touched, shift, long: Intervals::build(long), short: Intervals::build(short) }
    }

    fn touches(&self, address: u128) -> bool {
        let bit = slot(address, self.shift);
        self.touched[bit >> 6] >> (bit & 63) & 1 != 0
    }

    fn may_hold(&self, address: u128) -> bool {
        self.touches(address) || !self.short.starts.is_empty()
    }

    fn find(&self, address: u128) -> u16 {
        let long = if self.touches(address) { self.long.find(address) } else { NONE };
        long.min(self.short.find(address))
    }
}

/// Where the bit of an address is: a multiplicative hash of its first 48 bits.
fn slot(address: u128, shift: u32) -> usize {
    let high = (address >> 80) as u64;
    (high.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(lists: &[&[&str]]) -> IndicatorSet {
        let parsed: Vec<Vec<Prefix>> =
            lists.iter().map(|list| list.iter().map(|text| text.parse().unwrap()).collect()).collect();
        IndicatorSet::build(parsed)
    }

    #[test]
    fn semantics() {
        let set = set(&[
            &["192.0.2.7", "198.51.100.0/24", "2001:db8:1::/48", "2001:db8:2::5"],
            &["192.0.2.0/24", "198.51.100.9", "10.0.0.0/8", "2001:db8::/32"],
        ]);
        for (ip, list) in [
            ("192.0.2.7", Some(0)),
            ("192.0.2.8", Some(1)),
            ("192.0.3.0", None),
            // A more specific entry of a later list does not hide the earlier list.
            ("198.51.100.9", Some(0)),
            ("10.255.255.255", Some(1)),
            ("11.0.0.0", None),
            ("9.255.255.255", None),
            ("2001:db8:1::1", Some(0)),
            ("2001:db8:2::5", Some(0)),
            ("2001:db8:2::6", Some(1)),
            ("2001:db9::", None),
            ("::", None),
            ("255.255.255.255", None),
        ] {
            assert_eq!(set.find(ip.parse().unwrap()), list.map(ListId), "{ip}");
        }
        assert_eq!(set.len(), 8);
        assert_eq!(IndicatorSet::default().find("1.2.3.4".parse().unwrap()), None);
    }

    #[test]
    fn columns() {
        let set = set(&[&["192.0.2.1"], &["192.0.2.0/24"]]);
        let column = |ips: &[&str]| ips.iter().flat_map(|ip| ip.parse::<Ip>().unwrap().0).collect::<Vec<u8>>();
        let sources = column(&["192.0.2.1", "10.0.0.1", "10.0.0.1", "192.0.2.9", "192.0.2.9", "::1"]);
        let destinations = column(&["192.0.2.2", "192.0.2.1", "10.0.0.2", "10.0.0.1", "192.0.2.8", "::2"]);
        let mut found = Vec::new();
        set.match_columns(&sources, &destinations, &mut found);
        let found: Vec<(u32, u16, bool)> = found.iter().map(|m| (m.row, m.list.0, m.destination)).collect();
        assert_eq!(found, [(0, 0, false), (1, 0, true), (3, 1, false), (4, 1, true)]);
    }

    #[test]
    fn whole_spaces_and_ends() {
        let set = set(&[&["0.0.0.0/0"], &["::/0"]]);
        for (ip, list) in [("0.0.0.0", 0), ("255.255.255.255", 0), ("::", 1), ("ffff::ffff", 1)] {
            assert_eq!(set.find(ip.parse().unwrap()), Some(ListId(list)), "{ip}");
        }
    }

    /// Addresses of a small space, so that entries meet, nest and touch.
    fn address() -> impl Strategy<Value = Ip> {
        prop_oneof![
            (0u8..3, any::<u8>()).prop_map(|(c, d)| Ip::v4([10, 0, c, d])),
            any::<[u8; 4]>().prop_map(Ip::v4),
            (0u8..2, 0u8..2, any::<u8>()).prop_map(|(a, b, c)| {
                let mut ip = [0x20, 1, 0x0d, 0xb8, 0, a, 0, b, 0, 0, 0, 0, 0, 0, 0, c];
                ip[8] = b;
                Ip(ip)
            }),
        ]
    }

    fn prefix() -> impl Strategy<Value = Prefix> {
        (address(), 0u8..=32, any::<bool>()).prop_map(|(ip, cut, exact)| match (exact, ip.is_v4()) {
            (true, _) => Prefix::host(ip),
            (false, true) => Prefix::new(ip, 128 - cut),
            (false, false) => Prefix::new(ip, 128 - cut * 3),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agrees_with_a_plain_search(
            lists in prop::collection::vec(prop::collection::vec(prefix(), 0..20), 0..4),
            ips in prop::collection::vec(address(), 1..60),
        ) {
            let set = IndicatorSet::build(lists.clone());
            let ends = lists.iter().flatten().flat_map(|p| {
                let last = p.first() | 1u128.checked_shl(128 - u32::from(p.bits())).map_or(u128::MAX, |s| s - 1);
                [p.first(), p.first().wrapping_sub(1), last, last.wrapping_add(1)].map(|n| Ip(n.to_be_bytes()))
            });
            for ip in ips.iter().copied().chain(ends) {
                let naive = lists.iter().position(|list| list.iter().any(|p| p.contains(ip) && p.is_v4() == ip.is_v4()));
                prop_assert_eq!(set.find(ip).map(|l| usize::from(l.0)), naive, "{}", ip);
            }
        }
    }
}
