//! Where members lie in the kernel's own structures, from its type information (`/sys/kernel/btf/vmlinux`; BPF Type Format,
//! `Documentation/bpf/btf.rst` of Linux). Pure. It must never read outside what it was given, whatever stands in it.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
/// Members within members that have no name.
const DEPTH_MAX: u32 = 8;
/// Members that are looked at for one: the longest structures of the kernel have some hundred.
const MEMBERS_MAX: u32 = 100_000;

/// Types, found by their names.
#[derive(Debug)]
pub struct Layout<'a> {
    bytes: &'a [u8],
    /// Where each type begins, by its number less one.
    types: Vec<u32>,
    strings: &'a [u8],
    structures: HashMap<&'a [u8], u32>,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn section<'a>(bytes: &'a [u8], head: usize, at: usize) -> Option<&'a [u8]> {
    let from = head.checked_add(word(bytes, at)? as usize)?;
    bytes.get(from..from.checked_add(word(bytes, at + 4)? as usize)?)
}

impl<'a> Layout<'a> {
    /// Reads type information; none where it is not what it should be. Of structures, those whose names are asked for are kept.
    pub fn read(bytes: &'a [u8], wanted: &[&str]) -> Option<Self> {
        if u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let head = word(bytes, 4)? as usize;
        let (types, strings) = (section(bytes, head, 8)?, section(bytes, head, 16)?);
        let mut all = Self { bytes: types, types: Vec::new(), strings, structures: HashMap::new() };
        let mut at = 0;
        while at < types.len() {
            let (name, info) = (word(types, at)?, word(types, at + 4)?);
            let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            let more = match kind {
                1 | 14 | 17 => 4,
                3 => 12,
                STRUCT | UNION | 15 | 19 => 12 * count,
                6 | 13 => 8 * count,
                2 | 7..=12 | 16 | 18 => 0,
                // What comes behind a kind that is not known cannot be found.
                _ => return None,
            };
            if kind == STRUCT
                && let Some(text) = all.text(name)
                && wanted.iter().any(|wanted| wanted.as_bytes() == text)
            {
                all.structures.entry(text).or_insert(all.types.len() as u32 + 1);
            }
            all.types.push(u32::try_from(at).ok()?);
            at += 12 + more;
        }
        Some(all)
    }

    fn text(&self, at: u32) -> Option<&'a [u8]> {
        let rest = self.strings.get(at as usize..)?;
        rest.get(..rest.iter().position(|b| *b == 0)?)
    }

    /// Bytes from the beginning of a structure to a member of it, also where that lies within a member without a name.
    pub fn offset(&self, structure: &str, member: &str) -> Option<i32> {
        let id = *self.structures.get(structure.as_bytes())?;
        i32::try_from(self.find(id, member.as_bytes(), DEPTH_MAX, &mut 0)? / 8).ok()
    }

    /// The place of a member in bits.
    fn find(&self, id: u32, wanted: &[u8], depth: u32, looked: &mut u32) -> Option<u32> {
        let at = *self.types.get(id.checked_sub(1)? as usize)? as usize;
        let info = word(self.bytes, at + 4)?;
        if !matches!(info >> 24 & 0x1f, STRUCT | UNION) || depth == 0 {
            return None;
        }
        let flagged = info >> 31 == 1;
        for number in 0..(info & 0xffff) as usize {
            *looked += 1;
            if *looked > MEMBERS_MAX {
                return None;
            }
            let member = at + 12 + 12 * number;
            let (name, kind, place) =
                (word(self.bytes, member)?, word(self.bytes, member + 4)?, word(self.bytes, member + 8)?);
            // With bit fields, the upper byte says how many bits it has.
            let place = if flagged { place & 0x00ff_ffff } else { place };
            match self.text(name)? {
                text if text == wanted => return Some(place),
                [] => {
                    if let Some(inner) = self.find(kind, wanted, depth - 1, looked) {
                        return place.checked_add(inner);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type information of these types, with these names.
    fn image(types: impl IntoIterator<Item = u32>, strings: &[u8]) -> Vec<u8> {
        let types: Vec<u8> = types.into_iter().flat_map(u32::to_ne_bytes).collect();
        let mut bytes = Vec::from(MAGIC.to_ne_bytes());
        bytes.extend([1, 0]);
        for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(types);
        bytes.extend(strings);
        bytes
    }

    /// Type information with one structure: `struct task { int pid; struct { long mm; }; }`.
    fn made() -> Vec<u8> {
        let types = [
            // An integer of four bytes, and one of eight.
            vec![0, 1 << 24, 4, 32],
            vec![0, 1 << 24, 8, 64],
            // The structure without a name.
            vec![0, STRUCT << 24 | 1, 8, 10, 2, 0],
            // The one that is asked for.
            vec![1, STRUCT << 24 | 2, 16, 6, 1, 0, 0, 3, 64],
        ];
        image(types.concat(), b"\0task\0pid\0mm\0")
    }

    #[test]
    fn members_are_found_also_within_those_without_a_name() {
        let bytes = made();
        let layout = Layout::read(&bytes, &["task"]).unwrap();
        assert_eq!((layout.offset("task", "pid"), layout.offset("task", "mm")), (Some(0), Some(8)));
        assert_eq!((layout.offset("task", "none"), layout.offset("none", "pid")), (None, None));
    }

    #[test]
    fn a_structure_within_itself_is_given_up() {
        let mut types: Vec<u32> = vec![1, STRUCT << 24 | 1_000, 16];
        types.extend((0..1_000).flat_map(|_| [0, 1, 0]));
        let bytes = image(types, b"\0task\0");
        let begun = std::time::Instant::now();
        assert_eq!(Layout::read(&bytes, &["task"]).unwrap().offset("task", "pid"), None);
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn whatever_is_cut_off_or_changed_does_no_harm() {
        let whole = made();
        for length in 0..whole.len() {
            if let Some(layout) = Layout::read(&whole[..length], &["task"]) {
                layout.offset("task", "mm");
            }
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] = 0xff;
            if let Some(layout) = Layout::read(&bytes, &["task"]) {
                layout.offset("task", "mm");
            }
        }
    }
}
