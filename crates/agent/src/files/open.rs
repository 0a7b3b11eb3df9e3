//! Changes since the approved state that nobody has approved yet. What is approved is the baseline without them: of each path it
//! is kept how it was when it was last approved and how it is, so that what comes back by itself is open no more.
//!
//! What the database of packages explains, and what happens in a maintenance window, needs nobody: it never comes here.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Change, Policy, Record, What, between};

/// Changes that are kept open; more are counted, and approved with the rest.
const OPEN_MAX: usize = 20_000;
/// Bytes of the file that keeps them.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A path that is not as it was approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    was: Option<Record>,
    is: Option<Record>,
    /// When it was first told, and when last, in UTC microseconds.
    since: i64,
    last: i64,
    /// When it was approved. It stays until the baseline has it, so that a restart does not find it again.
    approved: Option<i64>,
}

/// As it is kept.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    changes: Vec<(Vec<u8>, Pending)>,
    more: u64,
}

/// What an approval came to, or would come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approved {
    /// The paths.
    pub paths: Vec<PathBuf>,
    /// Changes beyond those that could be kept, which are approved with all others.
    pub more: u64,
    /// How many stay open.
    pub left: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Open {
    file: PathBuf,
    changes: BTreeMap<PathBuf, Pending>,
    more: u64,
}

impl Open {
    /// What was kept in a file; nothing where there is none. A damaged one is an error, and so is one that is far too long.
    pub fn load(file: &Path) -> io::Result<Self> {
        let mut open = Self { file: file.to_owned(), ..Self::default() };
        let bytes = match fs::metadata(file) {
            Ok(about) if about.len() > FILE_BYTES_MAX => return Err(io::ErrorKind::InvalidData.into()),
            Ok(_) => fs::read(file)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(open),
            Err(e) => return Err(e),
        };
        let kept: Kept = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
        open.more = kept.more;
        open.changes =
            kept.changes.into_iter().map(|(path, pending)| (OsString::from_vec(path).into(), pending)).collect();
        Ok(open)
    }

    /// None in this file.
    pub fn empty(file: &Path) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    /// Writes them down.
    pub fn save(&self) -> io::Result<()> {
        let changes = self.changes.iter();
        let kept = Kept {
            changes: changes.map(|(path, one)| (path.as_os_str().as_bytes().to_vec(), one.clone())).collect(),
            more: self.more,
        };
        let bytes = postcard::to_allocvec(&kept).map_err(io::Error::other)?;
        let fresh = self.file.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.file)
    }

    /// A change was told, at this time. One that is expected needs nobody, and settles what was open at its path.
    pub fn note(&mut self, policy: &Policy, change: &Change, expected: bool, at: i64) {
        let (before, after) = match &change.what {
            What::Added(is) => (None, Some(&**is)),
            What::Removed(was) => (Some(&**was), None),
            What::Changed { before, after, .. } => (Some(&**before), Some(&**after)),
        };
        let full = self.changes.len() >= OPEN_MAX;
        match self.changes.entry(change.path.clone()) {
            Entry::Vacant(_) if expected => {}
            Entry::Vacant(_) if full => self.more += 1,
            Entry::Vacant(room) => {
                let (was, is) = (before.cloned(), after.cloned());
                room.insert(Pending { was, is, since: at, last: at, approved: None });
            }
            Entry::Occupied(mut there) => {
                let known = there.get_mut();
                let approved = if known.approved.is_some() { &known.is } else { &known.was };
                if expected || between(policy, &change.path, approved.clone(), after).is_none() {
                    there.remove();
                    return;
                }
                let since = if known.approved.is_some() { at } else { known.since };
                *known = Pending { was: approved.clone(), is: after.cloned(), since, last: at, approved: None };
            }
        }
    }

    /// A path was looked at without a change that is to be told: where it is as it was approved, it is open no more.
    pub fn settle(&mut self, policy: &Policy, path: &Path, now: Option<&Record>) {
        let back = |one: &Pending| one.approved.is_none() && between(policy, path, one.was.clone(), now).is_none();
        if self.changes.get(path).is_some_and(back) {
            self.changes.remove(path);
        }
    }

    /// The paths that are open and were told before a time, in their order.
    pub fn told_before(&self, at: i64) -> Vec<PathBuf> {
        let before = self.changes.iter().filter(|(_, one)| one.approved.is_none() && one.last < at);
        before.map(|(path, _)| path.clone()).collect()
    }

    /// Whether something is kept of a path, be it open or approved.
    pub fn knows(&self, path: &Path) -> bool {
        self.changes.contains_key(path)
    }

    fn fitting<'a>(&'a self, below: Option<&'a Path>, until: i64) -> impl Iterator<Item = &'a PathBuf> {
        let fits = move |(path, one): &(&PathBuf, &Pending)| {
            one.approved.is_none() && one.last <= until && below.is_none_or(|below| path.starts_with(below))
        };
        self.changes.iter().filter(fits).map(|(path, _)| path)
    }

    /// What would be approved: all that was told until a moment, or what of it is below a path.
    pub fn would_approve(&self, below: Option<&Path>, until: i64) -> Approved {
        let paths: Vec<PathBuf> = self.fitting(below, until).cloned().collect();
        let more = if below.is_none() { self.more } else { 0 };
        let left = self.count() - paths.len() as u64 - more;
        Approved { paths, more, left }
    }

    /// Approves it. It is kept only by [`Open::save`].
    pub fn approve(&mut self, below: Option<&Path>, until: i64, at: i64) -> Approved {
        let approved = self.would_approve(below, until);
        for path in &approved.paths {
            if let Some(one) = self.changes.get_mut(path) {
                one.approved = Some(at);
            }
        }
        self.more -= approved.more;
        approved
    }

    /// A scan that began at this time is the baseline now: what was approved before is in it. What is not looked at any more
    /// is open no longer.
    pub fn taken_over(&mut self, begun: i64, covered: impl Fn(&Path) -> bool) {
        self.changes.retain(|path, one| one.approved.is_none_or(|approved| approved >= begun) && covered(path));
    }

    /// How many are open.
    pub fn count(&self) -> u64 {
        self.changes.values().filter(|one| one.approved.is_none()).count() as u64 + self.more
    }

    /// Since when the oldest is open, in UTC microseconds.
    pub fn oldest(&self) -> Option<i64> {
        self.changes.values().filter(|one| one.approved.is_none()).map(|one| one.since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Kind;

    fn record(mode: u32) -> Record {
        Record { mode, ..Record::new(b"x".to_vec(), Kind::Regular) }
    }

    fn change(path: &str, from: u32, to: u32) -> Change {
        let (before, after) = (Box::new(record(from)), Box::new(record(to)));
        let properties = vec![super::super::Property::Mode];
        Change { path: path.into(), what: What::Changed { before, after, properties } }
    }

    #[test]
    fn what_is_approved_is_what_was_there_at_that_moment() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("open");
        let policy = Policy::default();
        let mut open = Open::load(&file).unwrap();
        open.note(&policy, &change("/etc/a", 1, 2), false, 10);
        open.note(&policy, &change("/etc/b", 1, 2), false, 20);
        open.note(&policy, &change("/usr/c", 1, 2), false, 10);
        open.note(&policy, &change("/usr/expected", 1, 2), true, 10);
        assert_eq!((open.count(), open.oldest()), (3, Some(10)));

        let etc = Path::new("/etc");
        let would = open.would_approve(Some(etc), 15);
        assert_eq!((would.paths.as_slice(), would.left), (&[PathBuf::from("/etc/a")][..], 2));
        assert_eq!(open.count(), 3, "nothing was done");
        assert_eq!(open.approve(Some(etc), 15, 30), would);
        open.save().unwrap();
        let mut open = Open::load(&file).unwrap();
        assert_eq!(open.count(), 2);

        // A restart finds the approved change again, because the baseline has not got it: it stays approved.
        open.note(&policy, &change("/etc/a", 1, 2), false, 40);
        assert_eq!(open.count(), 2);
        // Another one begins with what was approved; back there, it is open no more.
        open.note(&policy, &change("/etc/a", 2, 3), false, 50);
        assert_eq!(open.count(), 3);
        open.note(&policy, &change("/etc/a", 3, 2), false, 60);
        assert_eq!(open.count(), 2);
        // What comes back by itself, and what a package puts right.
        open.note(&policy, &change("/etc/b", 2, 1), false, 70);
        open.note(&policy, &change("/usr/c", 2, 7), true, 70);
        assert_eq!((open.count(), open.oldest()), (0, None));
    }

    #[test]
    fn what_is_back_when_somebody_looks_is_open_no_more() {
        let mut open = Open::empty(Path::new("/nowhere"));
        let policy = Policy::default();
        open.note(&policy, &change("/a", 1, 2), false, 10);
        open.note(&policy, &change("/b", 1, 2), false, 20);
        assert_eq!(open.told_before(15), [PathBuf::from("/a")]);
        open.settle(&policy, Path::new("/a"), Some(&record(3)));
        open.settle(&policy, Path::new("/b"), None);
        assert_eq!(open.count(), 2);
        open.settle(&policy, Path::new("/a"), Some(&record(1)));
        assert_eq!(open.count(), 1);
    }

    #[test]
    fn the_baseline_takes_over_what_was_approved() {
        let mut open = Open::empty(Path::new("/nowhere"));
        let policy = Policy::default();
        for path in ["/a", "/b", "/gone"] {
            open.note(&policy, &change(path, 1, 2), false, 10);
        }
        open.approve(Some(Path::new("/a")), 10, 20);
        open.taken_over(15, |path| path != Path::new("/gone"));
        assert!(open.knows(Path::new("/a")), "it was approved while the scan ran");
        open.taken_over(25, |_| true);
        assert!(!open.knows(Path::new("/a")) && open.knows(Path::new("/b")));
        assert_eq!(open.count(), 1);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut open = Open::empty(Path::new("/nowhere"));
        let policy = Policy::default();
        for i in 0..OPEN_MAX + 3 {
            open.note(&policy, &change(&format!("/{i}"), 1, 2), false, 10);
        }
        assert_eq!(open.count(), OPEN_MAX as u64 + 3);
        assert_eq!(open.would_approve(Some(Path::new("/7")), 10).left, OPEN_MAX as u64 + 2);
        let approved = open.approve(None, 10, 20);
        assert_eq!((approved.paths.len(), approved.more, approved.left), (OPEN_MAX, 3, 0));
    }
}
