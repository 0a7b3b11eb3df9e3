//! What is known of files with several names. A hard link is the same file again: within a scan it is read once, however
//! many names lead to it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use guardian_inventory::owned::Algorithm;

/// Files that are kept in mind; what exceeds them is read once for each name.
const FILES_MAX: usize = 8_192;

/// The digests of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) blake3: [u8; 32],
    pub(super) sha256: [u8; 32],
    /// Those by other algorithms that packages want.
    pub(super) others: Vec<(Algorithm, Vec<u8>)>,
}

impl Made {
    fn by(&self, algorithm: Algorithm) -> Option<&[u8]> {
        match algorithm {
            Algorithm::Sha256 => Some(&self.sha256),
            _ => self.others.iter().find(|(of, _)| *of == algorithm).map(|(_, bytes)| bytes.as_slice()),
        }
    }

    /// Whether it is one of the contents that packages say, where they do.
    pub(super) fn fits(&self, said: &[(Algorithm, &[u8])]) -> bool {
        said.is_empty() || said.iter().any(|(of, bytes)| self.by(*of) == Some(bytes))
    }
}

/// What came of reading a file: nothing yet, or what it was and its digests. Whoever reads the file holds it, and the
/// others wait for it.
pub(super) type Slot = Arc<Mutex<Option<(Metadata, Made)>>>;

/// The files with several names of one scan.
#[derive(Debug, Default)]
pub(super) struct Linked {
    /// By device and inode, with how many names are still to come.
    files: Mutex<HashMap<(u64, u64), (u64, Slot)>>,
}

impl Linked {
    /// The place of a file; none for one with a single name. It is forgotten with the last of its names.
    pub(super) fn of(&self, metadata: &Metadata) -> Option<Slot> {
        if metadata.nlink() < 2 {
            return None;
        }
        let key = (metadata.dev(), metadata.ino());
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = files.len() >= FILES_MAX;
        let mut entry = match files.entry(key) {
            Entry::Vacant(_) if is_full => return None,
            Entry::Vacant(entry) => entry.insert_entry((metadata.nlink(), Slot::default())),
            Entry::Occupied(entry) => entry,
        };
        let (left, slot) = entry.get_mut();
        *left -= 1;
        let (is_last, slot) = (*left == 0, Arc::clone(slot));
        if is_last {
            entry.remove();
        }
        Some(slot)
    }
}

/// What is known of the file if it is still what it was then, with all digests that are wanted.
pub(super) fn known<'a>(
    slot: Option<&'a (Metadata, Made)>,
    metadata: &Metadata,
    said: &[(Algorithm, &[u8])],
) -> Option<&'a Made> {
    slot.filter(|(then, made)| unchanged(then, metadata) && said.iter().all(|(of, _)| made.by(*of).is_some()))
        .map(|(_, made)| made)
}

/// Whether a file was not written to in between.
pub(super) fn unchanged(before: &Metadata, after: &Metadata) -> bool {
    let of = |m: &Metadata| (m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
    of(before) == of(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn made(others: Vec<(Algorithm, Vec<u8>)>) -> Made {
        Made { blake3: [1; 32], sha256: [2; 32], others }
    }

    #[test]
    fn a_file_is_kept_until_its_last_name() {
        let place = tempfile::tempdir().unwrap();
        let names = ["a", "b", "c"].map(|name| place.path().join(name));
        fs::write(&names[0], "x").unwrap();
        let linked = Linked::default();
        assert!(linked.of(&names[0].metadata().unwrap()).is_none(), "it has one name");
        fs::hard_link(&names[0], &names[1]).unwrap();
        fs::hard_link(&names[0], &names[2]).unwrap();
        let slots = names.map(|name| linked.of(&name.metadata().unwrap()).unwrap());
        assert!(Arc::ptr_eq(&slots[0], &slots[1]) && Arc::ptr_eq(&slots[0], &slots[2]));
        assert!(linked.files.lock().unwrap().is_empty());
    }

    #[test]
    fn what_changed_or_lacks_a_digest_is_read_again() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a");
        fs::write(&file, "x").unwrap();
        let then = file.metadata().unwrap();
        let kept = (then.clone(), made(vec![(Algorithm::Md5, vec![3; 16])]));
        assert!(known(None, &then, &[]).is_none());
        assert!(known(Some(&kept), &then, &[(Algorithm::Md5, &[9]), (Algorithm::Sha256, &[9])]).is_some());
        assert!(known(Some(&kept), &then, &[(Algorithm::Sha512, &[9])]).is_none(), "that digest was not made");
        fs::write(&file, "xy").unwrap();
        assert!(known(Some(&kept), &file.metadata().unwrap(), &[]).is_none(), "it is another content");
    }

    #[test]
    fn one_of_the_digests_that_packages_say_is_enough() {
        let made = made(vec![(Algorithm::Md5, vec![3; 16])]);
        assert!(made.fits(&[]));
        assert!(made.fits(&[(Algorithm::Md5, &[9; 16]), (Algorithm::Sha256, &[2; 32])]));
        assert!(made.fits(&[(Algorithm::Md5, &[3; 16])]));
        assert!(!made.fits(&[(Algorithm::Md5, &[2; 32]), (Algorithm::Sha256, &[3; 16])]));
    }
}
