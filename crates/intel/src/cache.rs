//! What was found out about addresses lately: a direct-mapped table, so that a scan over the whole Internet costs
//! lookups but never memory.

use guardian_model::Ip;

/// Slots; a power of two. With 40 bytes each the table stays near a megabyte.
const SLOTS: usize = 1 << 15;

/// What enrichment needs to know about one address. Texts are label numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) country: u32,
    pub(crate) city: u32,
    /// 0 where unknown.
    pub(crate) asn: u32,
    pub(crate) as_org: u32,
    pub(crate) home: bool,
    pub(crate) group: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    ip: Ip,
    /// The age in which it was written; older ages are void.
    age: u32,
    known: Known,
}

#[derive(Debug)]
pub(crate) struct Cache {
    slots: Vec<Slot>,
    age: u32,
    pub(crate) misses: u64,
}

impl Default for Cache {
    fn default() -> Self {
        // The table is made when it is first used: most programs that open databases never enrich.
        Self { slots: Vec::new(), age: 1, misses: 0 }
    }
}

impl Cache {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.age = self.age.wrapping_add(1);
        if self.age == 0 {
            self.slots.clear();
            self.age = 1;
        }
    }

    pub(crate) fn get(&mut self, ip: Ip, look_up: impl FnOnce(Ip) -> Known) -> Known {
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); SLOTS];
        }
        let slot = &mut self.slots[place(ip)];
        if slot.age != self.age || slot.ip != ip {
            *slot = Slot { ip, age: self.age, known: look_up(ip) };
            self.misses += 1;
        }
        slot.known
    }
}

fn place(ip: Ip) -> usize {
    let value = u128::from_be_bytes(ip.0);
    let mixed = (value as u64 ^ (value >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - SLOTS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_until_cleared() {
        let mut cache = Cache::default();
        let known = |asn| Known { asn, ..Known::default() };
        let ip: Ip = "192.0.2.1".parse().unwrap();
        assert_eq!(cache.get(ip, |_| known(1)).asn, 1);
        assert_eq!(cache.get(ip, |_| known(2)).asn, 1);
        cache.clear();
        assert_eq!(cache.get(ip, |_| known(3)).asn, 3);
        assert_eq!(cache.misses, 2);
        // The zero address is not mistaken for an empty slot.
        assert_eq!(cache.get(Ip::default(), |_| known(4)).asn, 4);
    }
}
