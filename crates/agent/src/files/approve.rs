//! Approving changes: a new version of a baseline that has them, and the statement about it that the server signs. And
//! maintenance windows, in which changes are expected. No clock, no keys: what is needed is passed in.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::policy::fits;
use super::{Baseline, BaselineError, Change, Folder, Kind, Record, What, Writer};

/// Changes that one approval takes.
const CHANGES_MAX: usize = 1_000_000;
/// What is signed begins with it, so that a signature is never worth anything elsewhere.
const CONTEXT: &[u8] = b"guardian file baseline v1\0";
/// Bytes of a statement.
const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// Why changes cannot be approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// The baseline cannot be read.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// The new one cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The baseline has something else there than what the change says it was before.
    #[error("the baseline is not what the change began with: {0}")]
    Stale(PathBuf),
    /// Two changes of one path.
    #[error("two changes of one path: {0}")]
    Twice(PathBuf),
    /// More than one approval takes.
    #[error("more than {CHANGES_MAX} changes")]
    TooMany,
}

/// Writes a new version of a baseline with these changes in it, and returns its root. A change whose beginning is not what
/// the baseline has is refused, and nothing is approved: what was looked at is not what would be approved.
pub fn apply(baseline: &Baseline, changes: &[Change], mut writer: Writer) -> Result<[u8; 32], ApproveError> {
    if changes.len() > CHANGES_MAX {
        return Err(ApproveError::TooMany);
    }
    let mut by_folder: BTreeMap<&Path, BTreeMap<&[u8], &What>> = BTreeMap::new();
    let (mut gone, mut came) = (BTreeSet::new(), BTreeSet::new());
    for change in changes {
        let (Some(parent), Some(name)) = (change.path.parent(), change.path.file_name()) else {
            return Err(ApproveError::Stale(change.path.clone()));
        };
        if by_folder.entry(parent).or_default().insert(name.as_bytes(), &change.what).is_some() {
            return Err(ApproveError::Twice(change.path.clone()));
        }
        let (was, is) = match &change.what {
            What::Added(is) => (None, Some(is.kind)),
            What::Removed(was) => (Some(was.kind), None),
            What::Changed { before, after, .. } => (Some(before.kind), Some(after.kind)),
        };
        if was == Some(Kind::Folder) && is != Some(Kind::Folder) {
            gone.insert(change.path.as_path());
        }
        if is == Some(Kind::Folder) && was != Some(Kind::Folder) {
            came.insert(change.path.as_path());
        }
    }
    for folder in baseline.folders() {
        let mut folder = folder?;
        came.remove(folder.path.as_path());
        if let Some(changes) = by_folder.remove(folder.path.as_path()) {
            enter(&mut folder, &changes)?;
        }
        // A folder that is gone must be empty by now: what was in it is gone by changes of its own.
        if gone.contains(folder.path.as_path()) {
            if let Some(left) = folder.entries.first() {
                return Err(ApproveError::Stale(folder.path_of(left)));
            }
            continue;
        }
        writer.add(&folder)?;
    }
    // Folders that the baseline did not have, with what is in them.
    let new: BTreeSet<&Path> = came.into_iter().chain(by_folder.keys().copied()).collect();
    for path in new {
        let mut folder = Folder { path: path.to_owned(), entries: Vec::new(), error: None };
        if let Some(changes) = by_folder.get(path) {
            enter(&mut folder, changes)?;
        }
        writer.add(&folder)?;
    }
    Ok(writer.finish()?)
}

/// Puts changes into a folder.
fn enter(folder: &mut Folder, changes: &BTreeMap<&[u8], &What>) -> Result<(), ApproveError> {
    for (name, what) in changes {
        let place = folder.entries.binary_search_by(|record| record.name.as_slice().cmp(name));
        let there = place.ok().map(|at| &folder.entries[at]);
        let (was, is): (Option<&Record>, Option<&Record>) = match what {
            What::Added(is) => (None, Some(is)),
            What::Removed(was) => (Some(was), None),
            What::Changed { before, after, .. } => (Some(before), Some(after)),
        };
        if there != was {
            return Err(ApproveError::Stale(super::record::join(&folder.path, name)));
        }
        match (place, is) {
            (Ok(at), Some(is)) => folder.entries[at] = is.clone(),
            (Ok(at), None) => drop(folder.entries.remove(at)),
            (Err(at), Some(is)) => folder.entries.insert(at, is.clone()),
            (Err(_), None) => {}
        }
    }
    Ok(())
}

/// What the server says of a version of a baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Whose it is: the agent's identifier.
    pub agent: String,
    /// Number of the version; each is one more than the one before.
    pub version: u64,
    /// Root of the baseline.
    pub root: [u8; 32],
    /// Hash of the ledger of packages that goes with it; zeros for none.
    pub ledger: [u8; 32],
    /// Hash of the statement before this one; zeros for the first.
    pub previous: [u8; 32],
    /// When it was approved, in seconds since the epoch.
    pub approved_s: i64,
    /// Who approved it.
    pub approved_by: String,
    /// Why, in words.
    pub reason: String,
    /// How many changes were approved with it.
    pub changes: u64,
}

/// A statement with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The bytes of the statement.
    pub manifest: Vec<u8>,
    /// Ed25519 over [`Manifest::to_sign`] of those bytes.
    pub signature: Vec<u8>,
}

impl Manifest {
    /// The bytes of the statement.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// What the server signs, for the bytes of a statement.
    pub fn to_sign(manifest: &[u8]) -> Vec<u8> {
        [CONTEXT, manifest].concat()
    }

    /// Whether this one may follow `before` (none for the first an agent gets) on an agent: the same agent's, the next
    /// version, and it names the one before. An old statement, though it is signed, cannot come back.
    pub fn follows(&self, before: Option<&Signed>) -> bool {
        let Some(before) = before else { return true };
        let Ok(last) = postcard::from_bytes::<Self>(&before.manifest) else { return false };
        self.agent == last.agent
            && last.version.checked_add(1) == Some(self.version)
            && &self.previous == blake3::hash(&before.manifest).as_bytes()
    }
}

impl Signed {
    /// The statement, if its signature by this public key (32 bytes) holds.
    pub fn verify(&self, public_key: &[u8]) -> Option<Manifest> {
        if self.manifest.len() > MANIFEST_BYTES_MAX {
            return None;
        }
        let key = UnparsedPublicKey::new(&ED25519, public_key);
        key.verify(&Manifest::to_sign(&self.manifest), &self.signature).ok()?;
        postcard::from_bytes(&self.manifest).ok()
    }

    /// Whether it speaks of this agent and of this baseline.
    pub fn is_of(&self, public_key: &[u8], agent: &str, baseline: &Baseline) -> bool {
        self.verify(public_key).is_some_and(|manifest| manifest.agent == agent && &manifest.root == baseline.root())
    }
}

/// A time in which changes are expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// From when on it holds, in seconds since the epoch.
    pub from_s: i64,
    /// Until when, not included.
    pub until_s: i64,
    /// The hours of a week in which it holds; always where it is none.
    pub weekly: Option<Weekly>,
    /// Paths that it is for, as in rules of a policy; all where there are none.
    pub paths: Vec<String>,
}

/// The same hours on days of every week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekly {
    /// Days on which it begins: bit 0 for Monday, to bit 6 for Sunday.
    pub days: u8,
    /// When it begins, in minutes since midnight.
    pub start_minute: u16,
    /// How long it is, in minutes; it may go over midnight, up to a day.
    pub minutes: u16,
    /// The zone's distance from UTC in seconds, east positive, at the time that is asked about.
    pub utc_offset_s: i32,
}

const DAY_S: i64 = 86_400;

impl Weekly {
    fn holds(&self, at_s: i64) -> bool {
        let local = at_s.saturating_add(i64::from(self.utc_offset_s));
        let (day, second) = (local.div_euclid(DAY_S), local.rem_euclid(DAY_S));
        // The first of January 1970 was a Thursday.
        let begins = |day: i64| self.days >> (day + 3).rem_euclid(7) & 1 != 0;
        let start = i64::from(self.start_minute) * 60;
        let end = start + i64::from(self.minutes).min(24 * 60) * 60;
        (begins(day) && (start..end).contains(&second)) || (begins(day - 1) && (start..end).contains(&(second + DAY_S)))
    }
}

impl Window {
    /// Whether a change of a path at a time is expected.
    pub fn holds(&self, path: &Path, at_s: i64) -> bool {
        (self.from_s..self.until_s).contains(&at_s)
            && self.weekly.as_ref().is_none_or(|weekly| weekly.holds(at_s))
            && (self.paths.is_empty()
                || self.paths.iter().any(|pattern| fits(pattern.as_bytes(), path.as_os_str().as_bytes())))
    }
}

/// When a change happened, as far as the file tells: when its properties last changed, which its owner cannot set, else
/// when it was seen.
pub fn happened_s(change: &Change, seen_s: i64) -> i64 {
    match &change.what {
        What::Added(is) | What::Changed { after: is, .. } => is.changed_ns.div_euclid(1_000_000_000).min(seen_s),
        What::Removed(_) => seen_s,
    }
}

/// The first window in which a change that was seen at a time is expected.
pub fn window_of<'a>(windows: &'a [Window], change: &Change, seen_s: i64) -> Option<&'a Window> {
    let at_s = happened_s(change, seen_s);
    windows.iter().find(|window| window.holds(&change.path, at_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_over_midnight_and_in_their_zone() {
        // Saturdays from 22:30 for four hours, two hours east of UTC.
        let weekly = Weekly { days: 1 << 5, start_minute: 22 * 60 + 30, minutes: 240, utc_offset_s: 7_200 };
        let window = |paths: &[&str]| Window {
            name: "patches".into(),
            from_s: 0,
            until_s: i64::MAX,
            weekly: Some(weekly.clone()),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        };
        // 2026-11-21 was a Saturday; 20:30 UTC is 22:30 there.
        let start = 1_795_293_000;
        for (at, expected) in
            [(-1, false), (0, true), (4 * 3_600 - 1, true), (4 * 3_600, false), (7 * DAY_S, true), (DAY_S, false)]
        {
            assert_eq!(window(&[]).holds(Path::new("/usr/bin/x"), start + at), expected, "{at}");
        }
        assert!(window(&["/usr"]).holds(Path::new("/usr/bin/x"), start));
        assert!(!window(&["/etc", "/opt/*/conf"]).holds(Path::new("/usr/bin/x"), start));
        let once = Window { from_s: start, until_s: start + 60, weekly: None, ..window(&[]) };
        assert!(once.holds(Path::new("/x"), start) && !once.holds(Path::new("/x"), start + 60));
    }
}
