//! Changes as they happen: by fanotify, which also knows who, else by inotify. What comes out is which paths to look at;
//! what they are now is compared with the baseline, so that a hundred writes to a file are one change.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use guardian_sys::{fanotify, inotify};

use super::{Policy, Who};

/// Paths that one call returns; beyond it a scan is the better way.
const PATHS_MAX: usize = 10_000;
/// Processes that are remembered, so that each is held once.
const KNOWN_MAX: usize = 512;
/// Folders that inotify is asked to watch; the kernel's own limit may be lower.
const FOLDERS_MAX: usize = 200_000;

/// A path at which something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The path.
    pub path: PathBuf,
    /// Who did it last, where it is known.
    pub who: Option<Arc<Who>>,
    /// Whether the name came to be: it was made, or moved here.
    pub named: bool,
}

/// What one call returns.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The paths, each once, in the order in which they were first touched.
    pub touched: Vec<Touched>,
    /// Whether something was lost, so that only a scan can tell.
    pub lost: bool,
}

#[derive(Debug)]
enum Source {
    Fanotify(fanotify::Fanotify),
    Inotify(inotify::Inotify),
}

/// A watch over a policy's files.
#[derive(Debug)]
pub struct Live {
    source: Source,
    policy: Policy,
    /// Who was named lately.
    known: HashMap<u32, Arc<Who>>,
    /// Why fanotify is not used.
    pub fallback: Option<String>,
    /// Folders that could not be watched.
    pub unwatched: u64,
}

impl Live {
    /// Begins to watch, by fanotify if that is possible.
    pub fn new(policy: &Policy) -> io::Result<Self> {
        match Self::by_fanotify(policy) {
            Ok(live) => Ok(live),
            Err(e) => Self::by_inotify(policy, Some(e.to_string())),
        }
    }

    fn by_fanotify(policy: &Policy) -> io::Result<Self> {
        let mut source = fanotify::Fanotify::new()?;
        let mut unwatched = 0;
        for root in existing(policy) {
            match source.watch(&root, fanotify::mask::CHANGES) {
                Ok(()) => {}
                // Older kernels cannot name what is in memory alone: that is no reason to know less of all the rest.
                Err(_) if root.starts_with("/run") => unwatched += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            source: Source::Fanotify(source),
            policy: policy.clone(),
            known: HashMap::new(),
            fallback: None,
            unwatched,
        })
    }

    /// Begins to watch by inotify, whatever else is possible.
    pub fn by_inotify(policy: &Policy, fallback: Option<String>) -> io::Result<Self> {
        let source = Source::Inotify(inotify::Inotify::new()?);
        let mut live = Self { source, policy: policy.clone(), known: HashMap::new(), fallback, unwatched: 0 };
        for root in existing(policy) {
            live.watch_below(&root, &mut |_| {});
        }
        Ok(live)
    }

    /// Watches a folder and those below, and hands every entry on the way to `seen`: what was put into a new folder before
    /// it was watched has no event.
    fn watch_below(&mut self, root: &Path, seen: &mut dyn FnMut(PathBuf)) {
        let Source::Inotify(inotify) = &mut self.source else { return };
        let mut waiting = vec![root.to_owned()];
        while let Some(folder) = waiting.pop() {
            if self.policy.properties(&folder).is_none() {
                continue;
            }
            if inotify.watched() >= FOLDERS_MAX || inotify.watch(&folder).is_err() {
                self.unwatched += 1;
                continue;
            }
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    waiting.push(entry.path());
                }
                seen(entry.path());
            }
        }
    }

    /// Waits for something to happen, not longer than `timeout`, and returns it.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Told> {
        let ready = match &self.source {
            Source::Fanotify(source) => inotify::wait(source.as_fd(), timeout)?,
            Source::Inotify(source) => inotify::wait(source.as_fd(), timeout)?,
        };
        let mut told = Gathered { before: std::mem::take(&mut self.known), ..Gathered::default() };
        if ready {
            self.gather(&mut told)?;
        }
        let Gathered { told, known, mut before, .. } = told;
        if before.len() + known.len() > KNOWN_MAX {
            before.clear();
        }
        before.extend(known);
        self.known = before;
        Ok(told)
    }

    fn gather(&mut self, told: &mut Gathered) -> io::Result<()> {
        let (policy, mut new_folders) = (&self.policy, Vec::new());
        let asked =
            |path: &Path| policy.roots.iter().any(|root| path.starts_with(root)) && policy.properties(path).is_some();
        match &mut self.source {
            Source::Fanotify(source) => {
                source.read(|event| {
                    told.told.lost |= event.mask & fanotify::mask::OVERFLOW != 0;
                    let named = event.mask & (fanotify::mask::CREATE | fanotify::mask::MOVED_TO) != 0;
                    if let Some(path) = path(event.folder, &event.name).filter(|path| asked(path)) {
                        told.add(path, event.pid, named);
                    }
                })?;
            }
            Source::Inotify(source) => {
                source.read(|event| {
                    told.told.lost |= event.mask & inotify::mask::OVERFLOW != 0;
                    let named = event.mask & (inotify::mask::CREATE | inotify::mask::MOVED_TO) != 0;
                    if let Some(path) = path(event.folder, &event.name).filter(|path| asked(path)) {
                        if named && event.mask & inotify::mask::FOLDER != 0 {
                            new_folders.push(path.clone());
                        }
                        told.add(path, 0, named);
                    }
                })?;
            }
        }
        for folder in new_folders {
            self.watch_below(&folder, &mut |path| told.add(path, 0, true));
        }
        Ok(())
    }
}

fn existing(policy: &Policy) -> impl Iterator<Item = PathBuf> {
    policy.roots.iter().filter(|root| root.symlink_metadata().is_ok_and(|m| m.is_dir())).cloned()
}

fn path(folder: Option<PathBuf>, name: &std::ffi::OsStr) -> Option<PathBuf> {
    let folder = folder?;
    Some(if name.as_bytes().is_empty() { folder } else { folder.join(name) })
}

#[derive(Default)]
struct Gathered {
    told: Told,
    places: HashMap<PathBuf, usize>,
    /// Processes are asked for once, as soon as they are named.
    known: HashMap<u32, Arc<Who>>,
    /// Those of the times before: who changes a thousand files is held once.
    before: HashMap<u32, Arc<Who>>,
}

impl Gathered {
    fn add(&mut self, path: PathBuf, pid: u32, named: bool) {
        let Self { known, before, .. } = self;
        let ask = || {
            let now = Who::of(pid);
            before.get(&pid).filter(|same| ***same == now).cloned().unwrap_or_else(|| Arc::new(now))
        };
        let who = (pid != 0).then(|| Arc::clone(known.entry(pid).or_insert_with(ask)));
        if let Some(place) = self.places.get(&path) {
            let touched = &mut self.told.touched[*place];
            touched.named |= named;
            touched.who = who.or_else(|| touched.who.take());
        } else if self.told.touched.len() < PATHS_MAX {
            self.places.insert(path.clone(), self.told.touched.len());
            self.told.touched.push(Touched { path, who, named });
        } else {
            self.told.lost = true;
        }
    }
}
