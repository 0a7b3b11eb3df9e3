//! File integrity at work: a baseline first, then changes as they happen, and a scan each day as proof. What the package
//! manager did is told as that.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::files::{
    Baseline, BaselineError, Change, Comparison, Ledger, Live, Options, Policy, Record, Root, Verdict, What, Who,
    Writer, between, explain, look, package_manager_hint, scan, since,
};
use crate::outbox::Outbox;
use crate::run::say;
use crate::sources::files::{Around, Files};

/// How long one look for changes waits.
const LOOK: Duration = Duration::from_millis(200);
/// A path is looked at when nothing happened to it for so long: a file is rarely written at once.
const SETTLED: Duration = Duration::from_millis(500);
/// The same where a package manager writes: its database says what it did when it is done.
const SETTLED_PACKAGES: Duration = Duration::from_secs(5);
/// And not longer than so long after the first touch, whatever happens.
const SETTLED_MAX: Duration = Duration::from_secs(60);
/// Paths that wait to be looked at; with more, a scan tells.
const WAITING_MAX: usize = 50_000;
/// Changes since the baseline that are remembered; with more, a scan makes a new one.
const REMEMBERED_MAX: usize = 100_000;
/// Changes that one scan tells.
const FOUND_MAX: usize = 100_000;
/// How often all files are read as proof.
const PROOF_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Threads of a scan beside the machine's own work.
const SCAN_THREADS: usize = 2;
/// What rows name as the policy.
const POLICY: &str = "linux";

/// What the thread is told.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) policy: Policy,
    /// Bytes a second that a scan reads; 0 for no limit.
    pub(crate) bytes_per_second: u64,
    /// Where the baseline is.
    pub(crate) folder: PathBuf,
}

impl Plan {
    fn baseline(&self) -> PathBuf {
        self.folder.join("baseline")
    }

    fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }
}

/// A path at which something happened.
#[derive(Clone, Debug)]
struct Waiting {
    who: Option<Who>,
    first: Instant,
    last: Instant,
    /// A package manager did it, by its name.
    packages: bool,
}

/// A change that was told, so that it is not told again.
#[derive(Clone, Debug)]
struct Remembered {
    now: Option<Record>,
    at: Instant,
}

/// What a scan found.
struct Scanned {
    begun: Instant,
    changes: Vec<Change>,
    /// Changes beyond those.
    more: u64,
    ledger: Ledger,
}

/// The source. One thread drives it; scans have threads of their own.
pub(crate) struct Integrity {
    plan: Plan,
    live: Live,
    baseline: Option<Baseline>,
    ledger: Ledger,
    waiting: BTreeMap<PathBuf, Waiting>,
    remembered: HashMap<PathBuf, Remembered>,
    scanning: Option<Receiver<io::Result<Scanned>>>,
    scan_due: Instant,
    tell: Files,
}

impl Integrity {
    /// Begins to watch. What is on the disk is read when it runs.
    pub(crate) fn start(outbox: Outbox, plan: Plan) -> io::Result<Self> {
        fs::create_dir_all(&plan.folder)?;
        let live = Live::new(&plan.policy)?;
        if let Some(why) = &live.fallback {
            say(&format!("files are watched by inotify, which does not say who changes them ({why})"));
        }
        if live.unwatched > 0 {
            say(&format!("{} folders are not watched: raise fs.inotify.max_user_watches", live.unwatched));
        }
        let (baseline, ledger) = kept(&plan);
        Ok(Self {
            plan,
            live,
            baseline,
            ledger,
            waiting: BTreeMap::new(),
            remembered: HashMap::new(),
            scanning: None,
            // What changed while nobody watched is told first of all.
            scan_due: Instant::now(),
            tell: Files::new(outbox),
        })
    }

    /// Works until it is told to stop.
    pub(crate) fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            self.step(LOOK)?;
        }
        self.tell.flush();
        Ok(())
    }

    fn step(&mut self, wait: Duration) -> io::Result<()> {
        let told = self.live.next(wait)?;
        let now = Instant::now();
        let mut lost = told.lost;
        for touched in told.touched {
            if touched.path.starts_with(&self.plan.folder) {
                continue;
            }
            let packages = touched.who.as_ref().is_some_and(|who| package_manager_hint(who).is_some());
            if self.waiting.len() >= WAITING_MAX && !self.waiting.contains_key(&touched.path) {
                lost = true;
                continue;
            }
            let fresh = Waiting { who: None, first: now, last: now, packages: false };
            let waiting = self.waiting.entry(touched.path).or_insert(fresh);
            waiting.last = now;
            waiting.packages |= packages;
            waiting.who = touched.who.or(waiting.who.take());
        }
        if lost || self.remembered.len() > REMEMBERED_MAX {
            self.scan_due = now;
        }
        self.scanned()?;
        if self.scanning.is_none() && now >= self.scan_due {
            self.scan_due = now + PROOF_EVERY;
            self.scanning = Some(start_scan(&self.plan)?);
        }
        self.settled(now);
        self.tell.tick();
        Ok(())
    }

    /// Tells of paths at which nothing happens any more.
    fn settled(&mut self, now: Instant) {
        if self.baseline.is_none() {
            return;
        }
        // One transaction is judged as a whole.
        let packages = self.waiting.values().filter(|w| w.packages).map(|w| w.last).max();
        let busy = packages.is_some_and(|last| now.duration_since(last) < SETTLED_PACKAGES);
        let ready = |w: &Waiting| {
            let (age, quiet) = (now.duration_since(w.first), now.duration_since(w.last));
            age >= SETTLED_MAX || if w.packages { !busy } else { quiet >= SETTLED }
        };
        let due: Vec<(PathBuf, Waiting)> = self.waiting.extract_if(.., |_, w| ready(w)).collect();
        let mut changes = Vec::new();
        let mut actors = Vec::new();
        for (path, waiting) in due {
            match self.change(&path, now) {
                Ok(Some(change)) => {
                    changes.push(change);
                    actors.push(waiting.who);
                }
                Ok(None) => {}
                Err(error) => say(&format!("{} cannot be looked at: {error}", path.display())),
            }
        }
        if !changes.is_empty() {
            let mut root = Root::new(Path::new("/"));
            let ledger = Ledger::read(&mut root);
            let source = if self.live.fallback.is_some() { "inotify" } else { "fanotify" };
            self.judge(&mut root, &changes, &actors, &ledger, source);
        }
    }

    /// What changed at a path since it was told last, or since the baseline.
    fn change(&mut self, path: &Path, now: Instant) -> Result<Option<Change>, BaselineError> {
        let after = look(&self.plan.policy, path)?;
        let policy = &self.plan.policy;
        let change = match (self.remembered.get(path), &self.baseline) {
            (Some(known), _) => between(policy, path, known.now.clone(), after.as_ref()),
            (None, Some(baseline)) => since(baseline, policy, path, after.as_ref())?,
            (None, None) => None,
        };
        if change.is_some() {
            self.remembered.insert(path.to_owned(), Remembered { now: after, at: now });
        }
        Ok(change)
    }

    fn judge(&mut self, root: &mut Root, changes: &[Change], actors: &[Option<Who>], after: &Ledger, source: &str) {
        let verdicts = explain(root, &self.ledger, after, &[], changes);
        let at = crate::now();
        for (i, (change, verdict)) in changes.iter().zip(&verdicts).enumerate() {
            let (package, expected) = explained(verdict);
            let who = actors.get(i).and_then(Option::as_ref);
            self.tell.tell(change, at, Around { who, package, expected, diff: None, policy: POLICY, source });
        }
    }

    /// Takes over what a scan found.
    fn scanned(&mut self) -> io::Result<()> {
        let Some(scanning) = &self.scanning else { return Ok(()) };
        let found = match scanning.try_recv() {
            Ok(found) => found,
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the scan ended early")),
        };
        self.scanning = None;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                say(&format!("a scan of all files failed: {error}"));
                self.scan_due = Instant::now() + Duration::from_secs(3600);
                return Ok(());
            }
        };
        let told = |change: &Change| {
            let now = match &change.what {
                What::Added(record) | What::Changed { after: record, .. } => Some(&**record),
                What::Removed(_) => None,
            };
            self.remembered.get(&change.path).is_some_and(|known| known.now.as_ref() == now)
        };
        let news: Vec<Change> = found.changes.iter().filter(|change| !told(change)).cloned().collect();
        if self.baseline.is_some() && !news.is_empty() {
            say(&format!("a scan found {} changes that nobody had told of", news.len() as u64 + found.more));
            self.judge(&mut Root::new(Path::new("/")), &news, &[], &found.ledger, "scan");
        }
        fs::rename(self.plan.folder.join("baseline.new"), self.plan.baseline())?;
        fs::write(self.plan.ledger(), found.ledger.to_bytes())?;
        (self.baseline, self.ledger) = kept(&self.plan);
        // What happened while the scan was under way may be newer than what it saw.
        self.remembered.retain(|_, known| known.at >= found.begun);
        Ok(())
    }
}

/// The baseline that was kept, and the packages of its time. A damaged one is told, and a new one made.
fn kept(plan: &Plan) -> (Option<Baseline>, Ledger) {
    let path = plan.baseline();
    if !path.exists() {
        return (None, Ledger::default());
    }
    let ledger = fs::read(plan.ledger()).ok().and_then(|bytes| Ledger::from_bytes(&bytes));
    match Baseline::open(&path) {
        Ok(baseline) => (Some(baseline), ledger.unwrap_or_default()),
        Err(error) => {
            say(&format!("the baseline of files cannot be used, and a new one is made: {error}"));
            (None, Ledger::default())
        }
    }
}

/// Reads everything, compares it with the baseline if there is one, and writes a new one beside it.
fn start_scan(plan: &Plan) -> io::Result<Receiver<io::Result<Scanned>>> {
    let (send, receive) = sync_channel(1);
    let plan = plan.clone();
    std::thread::Builder::new().name("scan".into()).spawn(move || {
        // Nobody listens any more where the agent is stopping.
        send.send(scan_all(&plan)).ok();
    })?;
    Ok(receive)
}

fn scan_all(plan: &Plan) -> io::Result<Scanned> {
    let begun = Instant::now();
    let ledger = Ledger::read(&mut Root::new(Path::new("/")));
    let old = plan.baseline().exists().then(|| Baseline::open(&plan.baseline()).ok()).flatten();
    let sink = Mutex::new(Sink {
        writer: Writer::new(File::create(plan.folder.join("baseline.new"))?)?,
        comparison: old.as_ref().map(|old| Comparison::new(old, &plan.policy)),
        changes: Vec::new(),
        more: 0,
        error: None,
    });
    let options = Options { threads: SCAN_THREADS, bytes_per_second: plan.bytes_per_second, fill_cache: false };
    scan(&plan.policy, options, &|folder| {
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let compared = sink.comparison.as_mut().map_or(Ok(Vec::new()), |comparison| comparison.folder(&folder));
        let done = compared.map_err(io::Error::other).and_then(|changes| {
            sink.keep(changes);
            sink.writer.add(&folder)
        });
        if let Err(error) = done {
            sink.error.get_or_insert(error);
        }
    });
    let mut sink = sink.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(comparison) = sink.comparison.take() {
        let gone = comparison.finish().map_err(io::Error::other)?;
        sink.keep(gone);
    }
    if let Some(error) = sink.error {
        return Err(error);
    }
    sink.writer.finish()?;
    Ok(Scanned { begun, changes: sink.changes, more: sink.more, ledger })
}

/// Where the folders of a scan go.
struct Sink<'a> {
    writer: Writer,
    comparison: Option<Comparison<'a>>,
    changes: Vec<Change>,
    more: u64,
    error: Option<io::Error>,
}

impl Sink<'_> {
    fn keep(&mut self, changes: Vec<Change>) {
        let room = FOUND_MAX - self.changes.len();
        self.more += changes.len().saturating_sub(room) as u64;
        self.changes.extend(changes.into_iter().take(room));
    }
}

/// The package that a verdict is about, and whether its transaction is the reason for the change.
fn explained(verdict: &Verdict) -> (Option<&str>, Option<bool>) {
    match verdict {
        Verdict::Explained(by) | Verdict::Partly(by, _) => (Some(by.package.name.as_str()), Some(true)),
        Verdict::Restored(by) | Verdict::Rewritten(by) | Verdict::Contradicted(by, _) | Verdict::Deviates(by, _) => {
            (Some(by.package.name.as_str()), Some(false))
        }
        Verdict::LeadsTo(by) => (Some(by.package.name.as_str()), None),
        Verdict::Moved => (None, None),
        Verdict::Unowned => (None, Some(false)),
    }
}
