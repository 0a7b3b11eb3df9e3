//! Logs that are rotated. Where a policy lets files only grow, a new file is no news, and one that was put aside under a name of
//! its own ("syslog.1") has not shrunk; what was cut short or is gone is told.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::Path;

use super::{Change, Policy, Property, Record, What};

/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// The change without what rotation explains; none where nothing is left. Other files are as they were.
pub fn without_rotation(policy: &Policy, change: Change) -> Option<Change> {
    let counting = policy.properties(&change.path).unwrap_or_default();
    let log = counting.contains(&Property::Growing) && !counting.contains(&Property::Content);
    if !log {
        return Some(change);
    }
    let what = match change.what {
        What::Added(_) => return None,
        What::Removed(was) if put_aside(&change.path, &was) => return None,
        What::Changed { before, after, mut properties } => {
            if properties.contains(&Property::Growing) && put_aside(&change.path, &before) {
                properties.retain(|property| *property != Property::Growing);
            }
            if properties.is_empty() {
                return None;
            }
            What::Changed { before, after, properties }
        }
        removed => removed,
    };
    Some(Change { path: change.path, what })
}

/// Whether what was in a log lies beside it under a longer name: the same file, or one that is no shorter and was last
/// written no earlier (a copy, before the log was cut).
fn put_aside(path: &Path, was: &Record) -> bool {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
    let aside = |entry: &fs::DirEntry| {
        let other = entry.file_name();
        let rest = other.as_bytes().strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| matches!(rest.first(), Some(b'.' | b'-' | b'@')))
    };
    let holds = |entry: fs::DirEntry| {
        if entry.ino() == was.inode {
            return true;
        }
        let Ok(about) = entry.metadata() else { return false };
        let written = about.mtime().saturating_mul(1_000_000_000).saturating_add(about.mtime_nsec());
        // One that was packed since is shorter.
        let packed =
            [".gz", ".xz", ".zst", ".bz2"].iter().any(|end| entry.file_name().as_bytes().ends_with(end.as_bytes()));
        about.is_file() && written >= was.modified_ns && (packed || about.len() >= was.size)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    entries.filter(aside).any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Rule, Watch, between, look};

    fn policy(root: &Path) -> Policy {
        let watch = Watch::Properties(vec![Property::Mode, Property::Owner, Property::Growing]);
        let rules = vec![Rule { path: root.to_str().unwrap().to_owned(), watch }];
        Policy { roots: vec![root.to_owned()], rules, hash_bytes_max: 0 }
    }

    #[test]
    fn logs_grow_and_are_rotated_without_a_word_but_are_not_cut_or_removed() {
        let place = tempfile::tempdir().unwrap();
        let (log, aside) = (place.path().join("auth.log"), place.path().join("auth.log.1"));
        let policy = policy(place.path());
        let now = || look(&policy, &log).unwrap();
        let told = |was: &Option<Record>| {
            let change = between(&policy, &log, was.clone(), now().as_ref())?;
            without_rotation(&policy, change).map(|change| change.what)
        };
        assert_eq!(told(&None), None);
        fs::write(&log, "one line\n").unwrap();
        assert_eq!(told(&None), None, "a new log is no news");
        let first = now();
        fs::write(&log, "one line\nand another\n").unwrap();
        assert_eq!(told(&first), None, "it grew");
        let was = now();
        fs::rename(&log, &aside).unwrap();
        assert_eq!(told(&was), None, "it was put aside");
        fs::write(&log, "new\n").unwrap();
        assert_eq!(told(&was), None, "and begun anew");
        let was = now();
        fs::write(&log, "").unwrap();
        let Some(What::Changed { properties, .. }) = told(&was) else { panic!("cut") };
        assert_eq!(properties, [Property::Growing]);
        fs::remove_file(&log).unwrap();
        assert!(matches!(told(&was), Some(What::Removed(_))));
    }

    #[test]
    fn a_log_that_was_copied_before_it_was_cut_is_rotated() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("messages");
        let policy = policy(place.path());
        fs::write(&log, "one line\n").unwrap();
        let was = look(&policy, &log).unwrap();
        fs::copy(&log, place.path().join("messages-20261122")).unwrap();
        fs::write(&log, "").unwrap();
        let change = between(&policy, &log, was, look(&policy, &log).unwrap().as_ref()).unwrap();
        assert_eq!(without_rotation(&policy, change), None);
    }
}
