//! File integrity at work: a baseline first, then changes as they happen, and a scan each day as proof. What the package
//! manager did is told as that.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guardian_sys::process::give_back_memory;

use crate::apart::Apart;
use crate::files::{
    Baseline, BaselineError, Change, Comparison, Ledger, Live, Options, Policy, Property, Record, Root, Texts, Verdict,
    What, Who, Writer, between, explain, look, package_manager_hint, scan_until, since, window_of,
};
use crate::outbox::Outbox;
use crate::policy::Watched;
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
/// Scans that this process began.
static SCANS: AtomicU64 = AtomicU64::new(0);
/// As good as never.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Threads of a scan beside the machine's own work.
const SCAN_THREADS: usize = 2;
/// What the thread is told.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) watched: Watched,
    /// Where the baseline is.
    pub(crate) folder: PathBuf,
    /// What others want of it.
    pub(crate) wishes: Arc<Wishes>,
    /// Who reads the databases of packages.
    pub(crate) apart: Arc<Apart>,
}

/// What is wanted of file integrity while it works.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Files are watched at all.
    pub(crate) watched: AtomicBool,
    /// All files are to be read now.
    pub(crate) scan_now: AtomicBool,
    /// The same files, at another rate, at other times, or with other windows.
    pub(crate) tuned: Mutex<Option<Watched>>,
}

impl Plan {
    fn baseline(&self) -> PathBuf {
        self.folder.join("baseline")
    }

    fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    /// What was in the texts among them.
    fn texts(&self) -> PathBuf {
        self.folder.join("texts")
    }

    /// Under which policy the baseline was made.
    fn judged(&self) -> PathBuf {
        self.folder.join("policy.json")
    }

    fn policy(&self) -> &Policy {
        &self.watched.policy
    }

    /// This machine.
    fn root(&self) -> Root {
        Root::new(Path::new("/")).read_by(&self.apart)
    }

    /// What the databases of packages say now; what they said before where they cannot be read, so that changes are told
    /// and nothing explains them.
    fn ledger_now(&self, root: &mut Root) -> Ledger {
        let ledger = Ledger::read(root);
        if !root.incomplete {
            return ledger;
        }
        root.issues.iter().for_each(|issue| say(issue));
        self.ledger_before()
    }

    /// What they said when the baseline was made. It stays on the disk until it is needed: a machine's is megabytes long.
    fn ledger_before(&self) -> Ledger {
        fs::read(self.ledger()).ok().and_then(|bytes| Ledger::from_bytes(&bytes)).unwrap_or_default()
    }
}

/// Whether a path is among those that a policy looks at.
fn covers(policy: &Policy, path: &Path) -> bool {
    policy.roots.iter().any(|root| path.starts_with(root)) && policy.properties(path).is_some()
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
    /// The new baseline.
    fresh: PathBuf,
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
    /// The policy that the baseline was made under, where it was another one: what only one of both looks at is no change.
    before: Option<Policy>,
    texts: Texts,
    waiting: BTreeMap<PathBuf, Waiting>,
    remembered: HashMap<PathBuf, Remembered>,
    scanning: Option<Receiver<io::Result<Scanned>>>,
    scan_due: Instant,
    scan_stop: Arc<AtomicBool>,
    tell: Files,
}

impl Integrity {
    /// Begins to watch. What is on the disk is read when it runs.
    pub(crate) fn start(outbox: Outbox, plan: Plan) -> io::Result<Self> {
        fs::create_dir_all(&plan.folder)?;
        for entry in fs::read_dir(&plan.folder)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("baseline.new") {
                // A scan that did not come to its end.
                fs::remove_file(entry.path()).ok();
            }
        }
        let live = Live::new(plan.policy())?;
        if let Some(why) = &live.fallback {
            say(&format!("files are watched by inotify, which does not say who changes them ({why})"));
        }
        if live.unwatched > 0 {
            say(&format!("{} folders are not watched: raise fs.inotify.max_user_watches", live.unwatched));
        }
        let baseline = kept(&plan);
        let texts = Texts::open(&plan.texts())?;
        let before = fs::read(plan.judged()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let before = before.filter(|before| before != plan.policy());
        Ok(Self {
            plan,
            live,
            baseline,
            before,
            texts,
            waiting: BTreeMap::new(),
            remembered: HashMap::new(),
            scanning: None,
            // What changed while nobody watched is told first of all.
            scan_due: Instant::now(),
            scan_stop: Arc::default(),
            tell: Files::new(outbox),
        })
    }

    /// Works until it is told to stop.
    pub(crate) fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            self.step(LOOK)?;
        }
        self.scan_stop.store(true, Ordering::Relaxed);
        self.tell.flush();
        Ok(())
    }

    /// Takes up another rate, other times and other windows, without reading all files again.
    fn tune(&mut self) {
        let tuned = self.plan.wishes.tuned.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(tuned) = tuned else { return };
        if tuned.scan_every != self.plan.watched.scan_every {
            self.scan_due = Instant::now() + tuned.scan_every.unwrap_or(NEVER);
        }
        self.plan.watched = tuned;
    }

    fn step(&mut self, wait: Duration) -> io::Result<()> {
        self.tune();
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
        if self.scanning.is_none() && self.plan.wishes.scan_now.swap(false, Ordering::AcqRel) {
            self.scan_due = now;
        }
        if self.scanning.is_none() && now >= self.scan_due {
            self.scan_due = now + self.plan.watched.scan_every.unwrap_or(NEVER);
            self.scanning = Some(start_scan(&self.plan, &self.texts, &self.scan_stop)?);
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
            let mut root = self.plan.root();
            let ledger = self.plan.ledger_now(&mut root);
            let source = if self.live.fallback.is_some() { "inotify" } else { "fanotify" };
            self.judge(&mut root, &changes, &actors, &ledger, source);
            drop((root, ledger));
            // The databases of all packages were read for it.
            give_back_memory();
        }
    }

    /// What changed at a path since it was told last, or since the baseline.
    fn change(&mut self, path: &Path, now: Instant) -> Result<Option<Change>, BaselineError> {
        let policy = self.plan.policy();
        if self.before.as_ref().is_some_and(|before| !covers(before, path)) {
            // What it was is not known before the first scan under this policy is done.
            return Ok(None);
        }
        let after = look(policy, path)?;
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
        let verdicts = explain(root, &self.plan.ledger_before(), after, &[], changes);
        let at = crate::now();
        for (i, (change, verdict)) in changes.iter().zip(&verdicts).enumerate() {
            let (package, mut expected) = explained(verdict);
            if window_of(&self.plan.watched.windows, change, at.div_euclid(1_000_000)).is_some() {
                expected = Some(true);
            }
            let who = actors.get(i).and_then(Option::as_ref);
            let policy = self.plan.watched.set_of(&change.path);
            let diff = self.text(change);
            self.tell.tell(change, at, Around { who, package, expected, diff: diff.as_deref(), policy, source });
        }
    }

    /// What changed in a text, line by line.
    fn text(&self, change: &Change) -> Option<String> {
        let new = match &change.what {
            What::Changed { properties, .. } if !properties.contains(&Property::Content) => return None,
            What::Added(_) => true,
            What::Changed { .. } | What::Removed(_) => false,
        };
        if !self.plan.watched.shows_text(&change.path) {
            return None;
        }
        let told = self.texts.change(&change.path, new).unwrap_or_else(|error| {
            say(&format!("what changed in {} cannot be kept: {error}", change.path.display()));
            None
        })?;
        let end = if told.cut { "\n(and more)" } else { "" };
        Some(told.unified + end)
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
        let both = |change: &&Change| {
            let path = &change.path;
            self.before.as_ref().is_none_or(|before| covers(before, path) && covers(self.plan.policy(), path))
        };
        let news: Vec<Change> = found.changes.iter().filter(|change| !told(change)).filter(both).cloned().collect();
        if self.baseline.is_some() && !news.is_empty() {
            say(&format!("a scan found {} changes that nobody had told of", news.len() as u64 + found.more));
            self.judge(&mut self.plan.root(), &news, &[], &found.ledger, "scan");
        }
        fs::rename(&found.fresh, self.plan.baseline())?;
        fs::write(self.plan.ledger(), found.ledger.to_bytes())?;
        fs::write(self.plan.judged(), serde_json::to_vec(self.plan.policy())?)?;
        self.before = None;
        self.baseline = kept(&self.plan);
        // What happened while the scan was under way may be newer than what it saw.
        self.remembered.retain(|_, known| known.at >= found.begun);
        drop((news, found));
        give_back_memory();
        Ok(())
    }
}

/// The baseline that was kept. A damaged one is told, and a new one made.
fn kept(plan: &Plan) -> Option<Baseline> {
    let path = plan.baseline();
    if !path.exists() {
        return None;
    }
    match Baseline::open(&path) {
        Ok(baseline) => Some(baseline),
        Err(error) => {
            say(&format!("the baseline of files cannot be used, and a new one is made: {error}"));
            None
        }
    }
}

/// Reads everything, compares it with the baseline if there is one, and writes a new one beside it.
fn start_scan(plan: &Plan, texts: &Texts, stop: &Arc<AtomicBool>) -> io::Result<Receiver<io::Result<Scanned>>> {
    let (send, receive) = sync_channel(1);
    let (plan, texts, stop) = (plan.clone(), texts.clone(), Arc::clone(stop));
    std::thread::Builder::new().name("scan".into()).spawn(move || {
        // Nobody listens any more where the agent is stopping.
        send.send(scan_all(&plan, &texts, &stop)).ok();
    })?;
    Ok(receive)
}

fn scan_all(plan: &Plan, texts: &Texts, stop: &AtomicBool) -> io::Result<Scanned> {
    let begun = Instant::now();
    // Nobody waits for it: the processor and the disk belong to others first.
    guardian_sys::process::idle_thread().ok();
    let ledger = plan.ledger_now(&mut plan.root());
    let old = plan.baseline().exists().then(|| Baseline::open(&plan.baseline()).ok()).flatten();
    // Of its own, because the scan of a source that was stopped may not be over.
    let fresh = plan.folder.join(format!("baseline.new-{}", SCANS.fetch_add(1, Ordering::Relaxed)));
    let sink = Mutex::new(Sink {
        writer: Writer::new(File::create(&fresh)?)?,
        comparison: old.as_ref().map(|old| Comparison::new(old, plan.policy())),
        changes: Vec::new(),
        more: 0,
        error: None,
    });
    let options =
        Options { threads: SCAN_THREADS, bytes_per_second: plan.watched.scan_bytes_per_second, fill_cache: false };
    scan_until(stop, plan.policy(), options, &|folder| {
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
    if stop.load(Ordering::Relaxed) {
        fs::remove_file(&fresh)?;
        return Err(io::Error::from(io::ErrorKind::Interrupted));
    }
    let mut sink = sink.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(comparison) = sink.comparison.take() {
        let gone = comparison.finish().map_err(io::Error::other)?;
        sink.keep(gone);
    }
    if let Some(error) = sink.error {
        return Err(error);
    }
    sink.writer.finish()?;
    let baseline = Baseline::open(&fresh).map_err(io::Error::other)?;
    // What is new is told with its text, and kept then.
    let new: HashSet<&Path> = match &old {
        Some(_) => sink.changes.iter().filter(|c| matches!(c.what, What::Added(_))).map(|c| &*c.path).collect(),
        None => HashSet::new(),
    };
    texts.fill(&baseline, |path| !new.contains(path) && plan.watched.shows_text(path), stop)?;
    Ok(Scanned { begun, fresh, changes: sink.changes, more: sink.more, ledger })
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
