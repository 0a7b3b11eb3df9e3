//! A map with a limit, for state keyed by what arrives from outside. When it is full, the second-chance (CLOCK) rule
//! chooses what goes: keys seen once go before keys seen again, so a flood of forged keys cannot wash out real ones.
//! Everything observable is decided by the order of the calls, never by hashes, so that equal input gives equal state.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Slot<K, V> {
    key: K,
    value: V,
    again: bool,
}

/// A bounded map from `K` to `V`.
#[derive(Debug)]
pub(crate) struct BoundedMap<K, V> {
    limit: usize,
    index: HashTable<u32>,
    slots: Vec<Slot<K, V>>,
    hand: usize,
    hasher: RandomState,
    evicted: u64,
}

/// What snapshots keep of a [`BoundedMap`].
#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "K: Serialize, V: Serialize", deserialize = "K: DeserializeOwned, V: DeserializeOwned"))]
struct Image<K, V> {
    slots: Vec<Slot<K, V>>,
    hand: u64,
    evicted: u64,
}

impl<K: Hash + Eq + Clone, V> BoundedMap<K, V> {
    /// An empty map that holds at most `limit` keys (at least one).
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, u32::MAX as usize - 1),
            index: HashTable::new(),
            slots: Vec::new(),
            hand: 0,
            hasher: RandomState::default(),
            evicted: 0,
        }
    }

    /// Most keys it holds.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Number of keys held.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Keys that had to go because the map was full.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Bytes that the keys and values take, without what they point to.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<K, V>>() + self.index.capacity() * 5
    }

    /// The value of a key, without counting as a use.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        Some(&self.slots[self.find(key, |k| k == key)?].value)
    }

    /// The value of a key for change, without counting as a use.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key, |k| k == key)?;
        Some(&mut self.slots[at].value)
    }

    /// The place of the key that `equal` accepts. `query` must hash as that key does.
    pub(crate) fn find(&self, query: &impl Hash, equal: impl Fn(&K) -> bool) -> Option<usize> {
        let hash = self.hasher.hash_one(query);
        self.index.find(hash, |&i| equal(&self.slots[i as usize].key)).map(|&i| i as usize)
    }

    /// The pair at a place that [`Self::find`] or [`Self::insert`] gave, as a use of it. Places hold until the next
    /// insertion or [`Self::retain`].
    pub(crate) fn at(&mut self, place: usize) -> (&K, &mut V) {
        let slot = &mut self.slots[place];
        slot.again = true;
        (&slot.key, &mut slot.value)
    }

    /// Puts in a key that is not there; returns its place and the pair that had to go for it, if one had to.
    pub(crate) fn insert(&mut self, key: K, value: V) -> (usize, Option<(K, V)>) {
        let hash = self.hasher.hash_one(&key);
        let fresh = Slot { key, value, again: false };
        let (at, gone) = if self.slots.len() < self.limit {
            self.slots.push(fresh);
            (self.slots.len() - 1, None)
        } else {
            let at = self.victim();
            self.unlink(at);
            let old = std::mem::replace(&mut self.slots[at], fresh);
            self.evicted += 1;
            (at, Some((old.key, old.value)))
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, at as u32, |&i| hasher.hash_one(&slots[i as usize].key));
        (at, gone)
    }

    /// The value of a key, made when it is not there; the pair that had to go for it, if one had to, is returned too.
    pub(crate) fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> (&mut V, Option<(K, V)>) {
        if let Some(at) = self.find(key, |k| k == key) {
            return (self.at(at).1, None);
        }
        let (at, gone) = self.insert(key.clone(), make());
        (&mut self.slots[at].value, gone)
    }

    /// Removes every pair that `keep` refuses and hands it to `gone`, in slot order.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool, mut gone: impl FnMut(K, V)) {
        let before = self.slots.len();
        let mut kept = Vec::with_capacity(before);
        let mut hand = self.hand;
        for (i, mut slot) in std::mem::take(&mut self.slots).into_iter().enumerate() {
            if keep(&slot.key, &mut slot.value) {
                kept.push(slot);
            } else {
                hand -= usize::from(i < self.hand);
                gone(slot.key, slot.value);
            }
        }
        self.slots = kept;
        self.hand = hand;
        if self.slots.len() != before {
            self.reindex();
        }
    }

    /// All pairs in slot order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().map(|s| (&s.key, &s.value))
    }

    fn victim(&mut self) -> usize {
        loop {
            let at = self.hand % self.slots.len();
            self.hand = (at + 1) % self.slots.len();
            let slot = &mut self.slots[at];
            if !std::mem::take(&mut slot.again) {
                return at;
            }
        }
    }

    fn unlink(&mut self, at: usize) {
        let hash = self.hasher.hash_one(&self.slots[at].key);
        if let Ok(entry) = self.index.find_entry(hash, |&i| i as usize == at) {
            entry.remove();
        }
    }

    fn reindex(&mut self) {
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.clear();
        self.index.shrink_to(slots.len(), |&i| hasher.hash_one(&slots[i as usize].key));
        for (i, slot) in slots.iter().enumerate() {
            let hash = hasher.hash_one(&slot.key);
            self.index.insert_unique(hash, i as u32, |&i| hasher.hash_one(&slots[i as usize].key));
        }
    }
}

impl<K, V> BoundedMap<K, V>
where
    K: Hash + Eq + Clone + Serialize + DeserializeOwned,
    V: Clone + Serialize + DeserializeOwned,
{
    /// The map as snapshot bytes.
    pub(crate) fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        let image = Image { slots: self.slots.clone(), hand: self.hand as u64, evicted: self.evicted };
        postcard::to_stdvec(&image)
    }

    /// A map from snapshot bytes. When the limit has shrunk since, the pairs beyond it are dropped and counted.
    pub(crate) fn load(limit: usize, bytes: &[u8]) -> Result<Self, postcard::Error> {
        Self::load_mapped(limit, bytes, Some)
    }

    /// Like [`Self::load`], with every key passed through `map_key`, which drops a pair by `None`. The keys it gives
    /// must be as distinct as those it gets.
    pub(crate) fn load_mapped(
        limit: usize,
        bytes: &[u8],
        map_key: impl Fn(K) -> Option<K>,
    ) -> Result<Self, postcard::Error> {
        let image: Image<K, V> = postcard::from_bytes(bytes)?;
        let mut map = Self::new(limit);
        map.slots = image.slots.into_iter().filter_map(|s| Some(Slot { key: map_key(s.key)?, ..s })).collect();
        let beyond = map.slots.len().saturating_sub(map.limit);
        map.slots.truncate(map.limit);
        map.hand = (image.hand as usize).min(map.slots.len());
        map.evicted = image.evicted + beyond as u64;
        map.reindex();
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::BoundedMap;

    #[test]
    fn keys_seen_once_go_first() {
        let mut map = BoundedMap::new(3);
        for key in [1, 2, 3, 1, 2] {
            *map.entry(&key, || 0).0 += 1;
        }
        // 3 was seen once and goes; 1 and 2 lost their second chance on the way.
        assert_eq!(map.entry(&4, || 0).1, Some((3, 1)));
        assert_eq!(map.entry(&5, || 0).1, Some((1, 2)));
        assert_eq!((map.len(), map.evicted()), (3, 2));
        assert_eq!((map.get(&2), map.get(&3)), (Some(&2), None));
    }

    #[test]
    fn a_restored_map_goes_on_like_the_original() {
        let mut one = BoundedMap::new(5);
        for key in 0..37_u32 {
            *one.entry(&(key * key % 11), || 0_u32).0 += key;
        }
        let mut two = BoundedMap::load(5, &one.save().unwrap()).unwrap();
        for key in 0..50_u32 {
            let gone = one.entry(&(key * 7 % 13), || 0).1;
            assert_eq!(two.entry(&(key * 7 % 13), || 0).1, gone);
        }
        assert!(one.iter().eq(two.iter()));
    }

    #[test]
    fn retain_keeps_the_index_in_step() {
        let mut map = BoundedMap::new(100);
        for key in 0..60_u32 {
            map.entry(&key, || key);
        }
        let mut gone = Vec::new();
        map.retain(|k, _| k % 3 == 0, |k, _| gone.push(k));
        assert_eq!((gone.len(), map.len()), (40, 20));
        assert!((0..60).all(|k| map.get(&k).is_some() == (k % 3 == 0)));
    }
}
