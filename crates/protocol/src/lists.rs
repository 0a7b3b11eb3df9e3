//! Lists of the inventory: what a host has of one sort, as entries under keys, with a hash over all of it. They travel
//! whole or as what changed, as lines of JSON: `["key",{…}]` is there, `["key"]` is there no more.
//!
//! A list without times and counters that always move is the same as long as nothing happens, and then costs nothing.

pub mod compare;
mod sorts;

use std::collections::BTreeMap;

use serde_json::Value;

pub use self::sorts::{SORTS, Sort, sort};

use crate::limits::{LIST_ENTRIES_MAX, LIST_NAME_BYTES_MAX, LIST_PART_BYTES_MAX, LIST_RAW_BYTES_MAX};
use crate::message::Inventory;
use crate::wire::{Blob, WireError};

/// The level of compression: lists are made seldom, and sent to many.
const LEVEL: i32 = 6;

/// One list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Entries as JSON objects, by key.
    entries: BTreeMap<String, String>,
    bytes: usize,
}

/// What is different between two lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListChange {
    /// The key.
    pub key: String,
    /// The entry before.
    pub before: Option<String>,
    /// The entry now.
    pub now: Option<String>,
}

/// Whether it can be the name of a list.
pub fn is_list_name(name: &str) -> bool {
    (1..=LIST_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

impl List {
    /// Adds an entry, or replaces the one under this key; whether there was room.
    pub fn put(&mut self, key: &str, entry: &Value) -> bool {
        self.put_text(key.to_owned(), entry.to_string())
    }

    fn put_text(&mut self, key: String, entry: String) -> bool {
        let more = key.len() + entry.len() + 8;
        if self.bytes + more > LIST_RAW_BYTES_MAX
            || (self.entries.len() >= LIST_ENTRIES_MAX && !self.entries.contains_key(&key))
        {
            return false;
        }
        self.bytes += more;
        let length = key.len() + 8;
        if let Some(before) = self.entries.insert(key, entry) {
            self.bytes -= before.len() + length;
        }
        true
    }

    fn remove(&mut self, key: &str) -> Option<String> {
        let before = self.entries.remove(key)?;
        self.bytes -= before.len() + key.len() + 8;
        Some(before)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and entries, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry.as_str()))
    }

    /// BLAKE3 over all keys and entries with their lengths.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("guardian inventory list v1");
        for (key, entry) in &self.entries {
            for text in [key, entry] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        *hasher.finalize().as_bytes()
    }

    /// The whole list as lines.
    pub fn lines(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes);
        self.entries.iter().for_each(|(key, entry)| line(&mut out, key, Some(entry)));
        out
    }

    /// What became of `before`, as lines.
    pub fn lines_since(&self, before: &Self) -> Vec<u8> {
        let mut out = Vec::new();
        for change in self.changes_since(before) {
            line(&mut out, &change.key, change.now.as_deref());
        }
        out
    }

    /// What became of `before`, in the order of the keys.
    pub fn changes_since(&self, before: &Self) -> Vec<ListChange> {
        let mut changes = Vec::new();
        for (key, entry) in &self.entries {
            let old = before.entries.get(key);
            if old != Some(entry) {
                changes.push(ListChange { key: key.clone(), before: old.cloned(), now: Some(entry.clone()) });
            }
        }
        for (key, entry) in before.entries.iter().filter(|(key, _)| !self.entries.contains_key(*key)) {
            changes.push(ListChange { key: key.clone(), before: Some(entry.clone()), now: None });
        }
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        changes
    }

    /// Takes lines: entries that are there, and keys that are there no more.
    pub fn take(&mut self, lines: &[u8]) -> Result<(), WireError> {
        for text in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let parts: Vec<Value> =
                serde_json::from_slice(text).map_err(|_| WireError::Malformed("a line of a list"))?;
            let mut parts = parts.into_iter();
            match (parts.next(), parts.next(), parts.next()) {
                (Some(Value::String(key)), None, None) => drop(self.remove(&key)),
                (Some(Value::String(key)), Some(entry @ Value::Object(_)), None) => {
                    if !self.put_text(key, entry.to_string()) {
                        return Err(WireError::Limit("the length of a list"));
                    }
                }
                _ => return Err(WireError::Malformed("a line of a list")),
            }
        }
        Ok(())
    }

    /// A list that was packed by [`pack`].
    pub fn open(packed: &[u8]) -> Result<Self, WireError> {
        let mut list = Self::default();
        list.take(&unpack(packed, LIST_RAW_BYTES_MAX)?)?;
        Ok(list)
    }
}

fn line(out: &mut Vec<u8>, key: &str, entry: Option<&str>) {
    out.push(b'[');
    out.extend_from_slice(Value::from(key).to_string().as_bytes());
    if let Some(entry) = entry {
        out.push(b',');
        out.extend_from_slice(entry.as_bytes());
    }
    out.extend_from_slice(b"]\n");
}

/// Lines in little room: their length, then what is left of them.
pub fn pack(lines: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut packed = (lines.len() as u32).to_le_bytes().to_vec();
    packed.extend(zstd::bulk::compress(lines, LEVEL).map_err(|_| WireError::Compression)?);
    Ok(packed)
}

/// The lines that [`pack`] packed.
pub fn unpack(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, WireError> {
    let (length, packed) = packed.split_first_chunk::<4>().ok_or(WireError::Truncated)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > bytes_max {
        return Err(WireError::Limit("the length of a list"));
    }
    let lines = zstd::bulk::decompress(packed, length).map_err(|_| WireError::Compression)?;
    if lines.len() == length { Ok(lines) } else { Err(WireError::Compression) }
}

/// The messages that carry lines, in order; at least one.
pub fn parts(
    list: &str,
    base: Option<[u8; 32]>,
    hash: [u8; 32],
    time: i64,
    lines: &[u8],
) -> Result<Vec<Inventory>, WireError> {
    let mut cuts = vec![0];
    while lines.len() - cuts[cuts.len() - 1] > LIST_PART_BYTES_MAX {
        let from = cuts[cuts.len() - 1];
        let within = &lines[from..from + LIST_PART_BYTES_MAX];
        let end = within.iter().rposition(|b| *b == b'\n').ok_or(WireError::Limit("the length of an entry"))?;
        cuts.push(from + end + 1);
    }
    let ends = cuts[1..].iter().copied().chain([lines.len()]);
    let last = cuts.len() - 1;
    let part = |(at, (from, to)): (usize, (usize, usize))| {
        let raw = &lines[from..to];
        let entries = if raw.is_empty() { Vec::new() } else { pack(raw)? };
        Ok(Inventory {
            list: list.to_owned(),
            base: base.map(|base| Blob(base.to_vec())),
            hash: Blob(hash.to_vec()),
            part: at as u32,
            last: at == last,
            raw_bytes: raw.len() as u32,
            entries: Blob(entries),
            time,
        })
    };
    cuts.iter().copied().zip(ends).enumerate().map(part).collect()
}

/// The lines of one message.
pub fn lines_of(part: &Inventory) -> Result<Vec<u8>, WireError> {
    if part.entries.0.is_empty() { Ok(Vec::new()) } else { unpack(&part.entries.0, LIST_PART_BYTES_MAX) }
}

/// A message that says only which list there is: is it known?
pub fn announcement(list: &str, hash: [u8; 32], time: i64) -> Inventory {
    let hash = Blob(hash.to_vec());
    Inventory { list: list.to_owned(), base: Some(hash.clone()), hash, last: true, time, ..Inventory::default() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn list(entries: &[(&str, Value)]) -> List {
        let mut list = List::default();
        entries.iter().for_each(|(key, entry)| assert!(list.put(key, entry)));
        list
    }

    #[test]
    fn a_list_travels_whole_or_as_what_changed() {
        let before =
            list(&[("a", json!({"version": "1"})), ("b", json!({"text": "line\nline\t\"x\""})), ("c", json!({}))]);
        let now =
            list(&[("a", json!({"version": "2"})), ("b", json!({"text": "line\nline\t\"x\""})), ("d", json!({}))]);
        assert_ne!(before.hash(), now.hash());
        let whole = List::open(&pack(&now.lines()).unwrap()).unwrap();
        assert_eq!((&whole, whole.hash(), whole.bytes), (&now, now.hash(), now.bytes));
        let mut changed = before.clone();
        changed.take(&now.lines_since(&before)).unwrap();
        assert_eq!((&changed, changed.bytes), (&now, now.bytes));
        let changes = now.changes_since(&before);
        let words: Vec<_> = changes.iter().map(|c| (c.key.as_str(), c.before.is_some(), c.now.is_some())).collect();
        assert_eq!(words, [("a", true, true), ("c", true, false), ("d", false, true)]);
        assert!(now.lines_since(&now).is_empty());
    }

    #[test]
    fn long_lists_come_in_parts_that_are_bounded() {
        let mut long = List::default();
        for n in 0..30_000 {
            assert!(long.put(&format!("key {n}"), &json!({"value": "x".repeat(60), "n": n})));
        }
        let parts = parts("packages", None, long.hash(), 5, &long.lines()).unwrap();
        assert!(parts.len() > 3 && parts.iter().all(|p| p.raw_bytes as usize <= LIST_PART_BYTES_MAX));
        assert_eq!(parts.iter().filter(|p| p.last).count(), 1);
        let mut lines = Vec::new();
        parts.iter().for_each(|p| lines.extend(lines_of(p).unwrap()));
        let mut again = List::default();
        again.take(&lines).unwrap();
        assert_eq!(again.hash(), long.hash());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for lines in ["x", "[]", "[1]", "[\"a\",1]", "[\"a\",{},{}]", "[\"a\",{}"] {
            assert!(List::default().take(lines.as_bytes()).is_err(), "{lines}");
        }
        assert!(unpack(&[255, 255, 255, 255, 1], LIST_RAW_BYTES_MAX).is_err());
        assert!(
            is_list_name("packages") && !is_list_name("") && !is_list_name("a/b") && !is_list_name(&"a".repeat(99))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_lines_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            List::default().take(&bytes).ok();
            List::open(&bytes).ok();
        }
    }
}
