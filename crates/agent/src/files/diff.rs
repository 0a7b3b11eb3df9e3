//! What has changed between a baseline and a scan, folder by folder, as far as the policy lets it count.

use std::cmp::Ordering;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Baseline, BaselineError, Folder, Policy, Property, Record};
use guardian_baseline::join;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Path of the file.
    pub path: PathBuf,
    /// What happened to it.
    pub what: What,
}

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added(Box<Record>),
    /// It is gone.
    Removed(Box<Record>),
    /// It is another.
    Changed {
        /// As it was.
        before: Box<Record>,
        /// As it is.
        after: Box<Record>,
        /// Which properties differ, of those that count.
        properties: Vec<Property>,
    },
}

/// A comparison that is under way: the folders of a scan are handed to it in any order.
#[derive(Debug)]
pub struct Comparison<'a> {
    baseline: &'a Baseline,
    policy: &'a Policy,
    seen: Vec<bool>,
    /// Folders that could not be read: what is below them is unknown, not gone.
    unknown: Vec<PathBuf>,
}

impl<'a> Comparison<'a> {
    /// Begins to compare with a baseline.
    pub fn new(baseline: &'a Baseline, policy: &'a Policy) -> Self {
        Self { baseline, policy, seen: vec![false; baseline.len()], unknown: Vec::new() }
    }

    /// The changes in one folder of the scan.
    pub fn folder(&mut self, folder: &Folder) -> Result<Vec<Change>, BaselineError> {
        let position = self.baseline.position(&folder.path)?;
        if let Some(position) = position {
            self.seen[position] = true;
        }
        if folder.error.is_some() {
            self.unknown.push(folder.path.clone());
            return Ok(Vec::new());
        }
        let before = match position {
            Some(position) => self.baseline.at(position)?,
            None => Folder { path: folder.path.clone(), entries: Vec::new(), error: None },
        };
        Ok(self.entries(&folder.path, before, &folder.entries))
    }

    fn entries(&self, path: &Path, before: Folder, after: &[Record]) -> Vec<Change> {
        let mut changes = Vec::new();
        // What could not be read before has no baseline: that it is there now is no news.
        let known = before.error.is_none();
        let (mut old, mut new) = (before.entries.into_iter().peekable(), after.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(old), Some(new)) => old.name.cmp(&new.name),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return changes,
            };
            let (was, is) = (
                if order == Ordering::Greater { None } else { old.next() },
                if order == Ordering::Less { None } else { new.next() },
            );
            let name = was.as_ref().map(|r| &r.name).or(is.map(|r| &r.name));
            let Some(path) = name.map(|name| join(path, name)) else { return changes };
            if was.is_some() || known {
                changes.extend(between(self.policy, &path, was, is));
            }
        }
    }

    /// What is in folders that the scan did not come to any more. Call it when the scan has ended.
    pub fn finish(self) -> Result<Vec<Change>, BaselineError> {
        let mut changes = Vec::new();
        for position in (0..self.seen.len()).filter(|position| !self.seen[*position]) {
            let folder = self.baseline.at(position)?;
            let unknown = self.unknown.iter().any(|path| folder.path.starts_with(path));
            let asked = self.policy.roots.iter().any(|root| folder.path.starts_with(root));
            if !unknown && asked {
                let path = folder.path.clone();
                changes.extend(self.entries(&path, folder, &[]));
            }
        }
        Ok(changes)
    }
}

/// The change at one path since the baseline, given what is there now, as a watch tells it; for a folder that came or went,
/// what is below it is a matter for a scan of that folder.
pub fn since(
    baseline: &Baseline,
    policy: &Policy,
    path: &Path,
    after: Option<&Record>,
) -> Result<Option<Change>, BaselineError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
    let (known, before) = match baseline.folder(parent)? {
        Some(folder) => {
            let before = folder.entries.into_iter().find(|record| record.name == name.as_bytes());
            (folder.error.is_none(), before)
        }
        None => (true, None),
    };
    // What could not be read before has no baseline: that it is there now is no news.
    Ok(if before.is_some() || known { between(policy, path, before, after) } else { None })
}

/// The change of one path between two moments, as far as the policy lets it count.
pub fn between(policy: &Policy, path: &Path, before: Option<Record>, after: Option<&Record>) -> Option<Change> {
    let counting = policy.properties(path)?;
    let what = match (before, after) {
        (Some(was), Some(is)) => changed(was, is, counting)?,
        (Some(was), None) => What::Removed(Box::new(was)),
        (None, Some(is)) => What::Added(Box::new(is.clone())),
        (None, None) => return None,
    };
    Some(Change { path: path.to_owned(), what })
}

fn changed(was: Record, is: &Record, counting: &[Property]) -> Option<What> {
    let differs = |property: &Property| match property {
        Property::Kind => false,
        Property::Content => match ((was.blake3, is.blake3), (was.sha256, is.sha256)) {
            ((Some(was), Some(is)), _) => was != is,
            // A baseline that came from another checker has only the one that everybody makes.
            (_, (Some(was), Some(is))) => was != is,
            _ => was.size != is.size && was.kind == super::Kind::Regular,
        },
        Property::Mode => was.mode != is.mode,
        Property::Owner => (was.uid, was.gid) != (is.uid, is.gid),
        Property::Target => was.target != is.target,
        Property::Attributes => was.attributes != is.attributes,
        Property::Inode => was.inode != is.inode,
        Property::Links => was.links != is.links,
        Property::Modified => was.modified_ns != is.modified_ns,
        Property::Growing => is.size < was.size,
        Property::Device => was.device != is.device,
    };
    let mut properties: Vec<Property> = counting.iter().copied().filter(differs).collect();
    if was.kind != is.kind {
        properties.insert(0, Property::Kind);
    }
    (!properties.is_empty()).then(|| What::Changed { before: Box::new(was), after: Box::new(is.clone()), properties })
}
