//! A million indicators against every flow: a bitmap says "surely not" for nearly all addresses with one memory
//! access and no branch, and only the rest are searched for.
//!
//! IPv4: one bit per /24 (2 MiB) that some indicator touches, then a binary search within the /16 over disjoint
//! intervals (6 bytes each, about two per indicator). IPv6: bits by a hash of the first 48 bits, sized to the set,
//! before the same search over 18-byte intervals; networks shorter than /48 are few and searched directly.
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

/// Rows that are filtered before any of them is searched for.
const CHUNK: usize = 256;

/// Addresses and networks on lists, each with the best list that covers it.
#[derive(Clone, Debug)]
pub struct IndicatorSet {
    filter: Filter,
    v4: V4,
    long: Intervals<u128>,
    short: Intervals<u128>,
    entries: usize,
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
        let filter = Filter::build(&v4, &long, !short.is_empty());
        Self { filter, v4: V4::build(v4), long: Intervals::build(long), short: Intervals::build(short), entries }
    }

    /// The best list that covers an address.
    pub fn find(&self, ip: Ip) -> Option<ListId> {
        let address = u128::from_be_bytes(ip.0);
        if self.filter.may_hold(address) { self.search(address) } else { None }
    }

    fn search(&self, address: u128) -> Option<ListId> {
        let rank = if is_v4(address) {
            self.v4.find(address as u32)
        } else {
            self.long.find(address).min(self.short.find(address))
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
        let (sources, destinations) = (sources.as_chunks().0, destinations.as_chunks().0);
        // The filter runs over many rows before the search begins: without a branch in between, its memory accesses
        // overlap, and nearly every row ends there.
        let mut maybe = [(0u32, false, 0u128); 2 * CHUNK];
        for (chunk, (sources, destinations)) in sources.chunks(CHUNK).zip(destinations.chunks(CHUNK)).enumerate() {
            let mut count = 0;
            for (row, (source, destination)) in sources.iter().zip(destinations).enumerate() {
                for (address, is_destination) in [(source, false), (destination, true)] {
                    let address = u128::from_be_bytes(*address);
                    maybe[count] = (row as u32, is_destination, address);
                    count += usize::from(self.filter.may_hold(address));
                }
            }
            let base = (chunk * CHUNK) as u32;
            for (row, destination, address) in &maybe[..count] {
                let Some(list) = self.search(*address) else { continue };
                let found = Match { row: base + row, list, destination: *destination };
                match out.last_mut().filter(|before| before.row == found.row) {
                    Some(source) if found.list <= source.list => *source = found,
                    Some(_) => {}
                    None => out.push(found),
                }
            }
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
        let tables = self.v4.table.memory_bytes() + self.long.memory_bytes() + self.short.memory_bytes();
        self.filter.words.len() * 8 + self.v4.index.len() * 4 + tables
    }
}

fn is_v4(address: u128) -> bool {
    address >> 32 == 0xffff
}

/// One bitmap for both families: first a bit for each IPv4 /24, then bits by hash for IPv6.
#[derive(Clone, Debug)]
struct Filter {
    words: Vec<u64>,
    /// Takes an IPv4 address to its bit: all ones, or 0 where there is no IPv4 part.
    v4_mask: usize,
    v6_base: usize,
    v6_shift: u32,
    /// Whether every IPv6 address passes, because there are networks too wide for the hash.
    v6_all: bool,
}

impl Filter {
    fn build(v4: &[Span<u32>], long: &[Span<u128>], v6_all: bool) -> Self {
        let (v4_mask, v6_base) = if v4.is_empty() { (0, 64) } else { ((1 << 24) - 1, 1 << 24) };
        // Sixteen bits an entry keep false alarms near 6%.
        let v6_bits = (long.len().max(32) * 16).next_power_of_two();
        let words = vec![0; (v6_base + v6_bits) / 64];
        let mut filter = Self { words, v4_mask, v6_base, v6_shift: 64 - v6_bits.trailing_zeros(), v6_all };
        for span in v4 {
            (span.first >> 8..=span.last >> 8).for_each(|net| filter.set(net as usize));
        }
        for span in long {
            filter.set(filter.bit(span.first));
        }
        filter
    }

    fn set(&mut self, bit: usize) {
        self.words[bit >> 6] |= 1 << (bit & 63);
    }

    fn bit(&self, address: u128) -> usize {
        let v4 = (address as u32 >> 8) as usize & self.v4_mask;
        // A multiplicative hash of the first 48 bits.
        let mixed = ((address >> 80) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let v6 = self.v6_base + (mixed >> self.v6_shift) as usize;
        if is_v4(address) { v4 } else { v6 }
    }

    fn may_hold(&self, address: u128) -> bool {
        let bit = self.bit(address);
        (self.words[bit >> 6] >> (bit & 63) & 1 != 0) | (self.v6_all & !is_v4(address))
    }
}

/// IPv4 intervals with the first one of each /16.
#[derive(Clone, Debug)]
struct V4 {
    index: Vec<u32>,
    table: Intervals<u32>,
}

impl V4 {
    fn build(spans: Vec<Span<u32>>) -> Self {
        let table = Intervals::build(spans);
        // index[h] is how many intervals begin before h << 16.
        let mut index = Vec::new();
        if !table.starts.is_empty() {
            index.reserve_exact((1 << 16) + 1);
            let mut at = 0;
            for high in 0..=1u64 << 16 {
                while table.starts.get(at).is_some_and(|start| u64::from(*start) < high << 16) {
                    at += 1;
                }
                index.push(at as u32);
            }
        }
        Self { index, table }
    }

    fn find(&self, address: u32) -> u16 {
        let high = (address >> 16) as usize;
        match self.index.get(high..high + 2) {
            Some([from, to]) => self.table.find_within(address, *from as usize, *to as usize),
            _ => NONE,
        }
    }
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
