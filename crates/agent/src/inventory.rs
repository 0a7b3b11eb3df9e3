//! The inventory: what this machine has, read list by list on a thread of its own, and told to the server where it is
//! another than the one that it has.
//!
//! A list lies on the disk as it is (`NAME.now`) and as the server last said that it has it (`NAME.kept`), so that a
//! restart sends nothing again and what changed meanwhile goes as a difference. Memory holds one list at a time.

mod expiry;
mod keep;
pub mod lists;
mod tell;
mod told;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use guardian_protocol::lists::List;
use rand::RngExt as _;

pub(crate) use keep::Folder;
pub(crate) use tell::Telling;
pub(crate) use told::Told;

use self::lists::{ALL, Source};
use crate::apart::Apart;
use crate::files::Root;
use crate::outbox::Outbox;

/// How often it is looked whether something is due.
const STEP: Duration = Duration::from_millis(500);
/// How often watched files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// A change must have rested this long: package managers write many times.
const REST: Duration = Duration::from_secs(1);
/// Lists that are read so seldom take long to read.
const LONG: Duration = Duration::from_secs(12 * 3_600);
/// How far these threads stand behind others.
const NICE: i32 = 10;
/// Lists that take long to read wait for the machine to have started.
const LONG_AFTER: Duration = Duration::from_secs(120);

/// When a list is read next.
struct Plan {
    source: &'static Source,
    due: Instant,
    /// What its watched files looked like, and since when they look otherwise.
    looks: Vec<Look>,
    moved: Option<Instant>,
}

type Look = (i64, i64, u64, u64);

/// Reads lists, each when it is time.
pub(crate) struct Inventory {
    folder: Folder,
    told: Arc<Told>,
    apart: Arc<Apart>,
    outbox: Outbox,
    plans: Vec<Plan>,
    looked: Instant,
    /// A list that takes minutes is being read, by a thread that nobody waits for.
    busy: Arc<AtomicBool>,
}

impl Inventory {
    /// Begins with what lies in `folder`.
    pub(crate) fn start(folder: PathBuf, told: Arc<Told>, apart: Arc<Apart>, outbox: Outbox) -> io::Result<Self> {
        let folder = Folder::open(folder)?;
        let now = Instant::now();
        let plan = |(at, source): (usize, &'static Source)| {
            let after = if source.every >= LONG {
                LONG_AFTER.mul_f64(rand::rng().random_range(0.5..1.5))
            } else {
                STEP * at as u32 / 4
            };
            Plan { source, due: now + after, looks: looks(source), moved: None }
        };
        let plans = ALL.iter().enumerate().map(plan).collect();
        Ok(Self { folder, told, apart, outbox, plans, looked: now, busy: Arc::default() })
    }

    /// Works until it is told to stop.
    pub(crate) fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        // What can wait gives way to what cannot.
        guardian_sys::process::nice_thread(NICE).ok();
        while !stop.load(Ordering::Relaxed) {
            self.step()?;
            std::thread::sleep(STEP);
        }
        Ok(())
    }

    fn step(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if now.duration_since(self.looked) >= LOOK {
            self.looked = now;
            for plan in &mut self.plans {
                let looks = looks(plan.source);
                if looks != plan.looks {
                    plan.looks = looks;
                    plan.moved = Some(now);
                }
            }
        }
        let is_due = |plan: &Plan| plan.due <= now || plan.moved.is_some_and(|at| now.duration_since(at) >= REST);
        let Some(plan) = self.plans.iter_mut().find(|plan| is_due(plan)) else { return Ok(()) };
        let spread = rand::rng().random_range(0.9..1.1);
        (plan.due, plan.moved) = (now + plan.source.every.mul_f64(spread), None);
        let source = plan.source;
        if source.every < LONG {
            take(&self.folder, &self.told, &self.apart, &self.outbox, source);
        } else if !self.busy.swap(true, Ordering::AcqRel) {
            let (folder, told, busy) = (self.folder.clone(), Arc::clone(&self.told), Arc::clone(&self.busy));
            let (apart, outbox) = (Arc::clone(&self.apart), self.outbox.clone());
            let work = move || {
                guardian_sys::process::nice_thread(NICE).ok();
                // Where the system does not let it stand back it goes on all the same.
                guardian_sys::process::background_thread().ok();
                take(&folder, &told, &apart, &outbox, source);
                busy.store(false, Ordering::Release);
            };
            std::thread::Builder::new().name(source.name.into()).spawn(work)?;
        } else {
            plan.due = now + LONG_AFTER;
        }
        Ok(())
    }
}

/// Reads a list of this machine, and keeps it if it is another one.
fn take(folder: &Folder, told: &Told, apart: &Apart, outbox: &Outbox, source: &'static Source) {
    let root = Path::new("/");
    let list = match Apart::reads(source.name).then(|| apart.list(root, source.name)) {
        None => read(root, source),
        Some(Ok(list)) => list,
        // What was read before stands; the next reading tries again.
        Some(Err(failure)) => return crate::run::say(&format!("the list {}: {failure}", source.name)),
    };
    if source.name == expiry::LIST {
        expiry::tell(&list, outbox);
    }
    let time = crate::now();
    let hash = list.hash();
    if folder.hash(source.name) != Some(hash)
        && let Err(error) = folder.write(source.name, &list, hash)
    {
        // The disk may be full; the next reading tries again.
        return crate::run::say(&format!("the list {} cannot be kept: {error}", source.name));
    }
    told.note(source.name, hash, time);
}

/// A list of a root; `/` for this machine.
pub fn read(root: &Path, source: &Source) -> List {
    let mut list = List::default();
    (source.read)(&mut Root::new(root), &mut list);
    list
}

/// Every list of a root, by name.
pub fn read_all(root: &Path) -> HashMap<&'static str, List> {
    ALL.iter().map(|source| (source.name, read(root, source))).collect()
}

/// When files changed, how long they are, and which they are; what is not there looks like nothing.
fn looks(source: &Source) -> Vec<Look> {
    let look =
        |path: &&str| fs::metadata(path).map_or((0, 0, 0, 0), |m| (m.mtime(), m.mtime_nsec(), m.size(), m.ino()));
    source.watched.iter().map(look).collect()
}
