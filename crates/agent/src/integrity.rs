//! File integrity at work: a baseline first, then changes as they happen, and a scan each day as proof. What the package
//! manager did is told as that, and what was not as its package brought it before the first baseline.

mod scanning;
mod verdicts;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use guardian_inventory::owned::Owned;
use guardian_inventory::transaction::Transaction;
use guardian_sys::process::give_back_memory;
use tokio::sync::Notify;

use self::scanning::{Scanned, start_scan};
use self::verdicts::{FOUND, told_of};
use crate::apart::Apart;
use crate::files::{
    Baseline, BaselineError, Change, Differs, Folder, Found, Ledger, Live, Open, Policy, Property, Record, Root, Texts,
    What, Who, between, explain, look, package_manager_hint, since, window_of, without_rotation,
};
use crate::held::follows;
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
/// The same while a package manager writes: what its database does not say yet would be told as nobody's.
const SETTLED_PACKAGES_MAX: Duration = Duration::from_secs(300);
/// Paths that wait to be looked at; with more, a scan tells.
const WAITING_MAX: usize = 50_000;
/// Changes since the baseline that are remembered; with more, a scan makes a new one.
const REMEMBERED_MAX: usize = 100_000;
/// As good as never.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Names in the folder: the baseline, what packages said when it was made, under which policy it was made, what nobody has
/// approved since, and what package managers had written down.
pub(crate) const BASELINE: &str = "baseline";
pub(crate) const LEDGER: &str = "ledger";
pub(crate) const JUDGED: &str = "policy.json";
pub(crate) const OPEN: &str = "open";
pub(crate) const LOGGED: &str = "logged";
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
    /// Changes that nobody has approved yet.
    open: Mutex<Open>,
    /// There may be another baseline than the server was told of.
    pub(crate) made: Notify,
    /// Held by who writes down which baselines followed each other.
    pub(crate) chain: Mutex<()>,
}

impl Wishes {
    /// Changes that nobody has approved yet.
    pub(crate) fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn baseline(&self) -> PathBuf {
        self.folder.join(BASELINE)
    }

    fn ledger(&self) -> PathBuf {
        self.folder.join(LEDGER)
    }

    /// What was in the texts among them.
    fn texts(&self) -> PathBuf {
        self.folder.join("texts")
    }

    /// Under which policy the baseline was made.
    fn judged(&self) -> PathBuf {
        self.folder.join(JUDGED)
    }

    /// Changes since that nobody has approved.
    fn open(&self) -> PathBuf {
        self.folder.join(OPEN)
    }

    /// What was told already of files that are not as their packages brought them.
    fn deviations(&self) -> PathBuf {
        self.folder.join("deviations")
    }

    /// What package managers had written down when the baseline was made.
    fn logged(&self) -> PathBuf {
        self.folder.join(LOGGED)
    }

    fn policy(&self) -> &Policy {
        &self.watched.policy
    }

    /// This machine.
    fn root(&self) -> Root {
        Root::new(Path::new("/")).read_by(&self.apart)
    }

    /// What the databases of packages say now; what they said before where they cannot be read, so that changes are told
    /// and nothing explains them. Each file is handed over on the way.
    fn ledger_now(&self, root: &mut Root, each: &mut dyn FnMut(&Owned)) -> Ledger {
        let ledger = Ledger::read_with(root, each);
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

    /// What package managers wrote down since the baseline was made; nothing where it is not known what they had before.
    fn logged_since(&self, root: &mut Root) -> Vec<Transaction> {
        let Some(before) = numbers(&self.logged()) else { return Vec::new() };
        root.transactions().into_iter().filter(|one| !before.contains(&number_of(one))).collect()
    }
}

/// Numbers that were kept in a file; none where there is none.
fn numbers(file: &Path) -> Option<HashSet<u64>> {
    fs::read(file).ok().and_then(|bytes| postcard::from_bytes(&bytes).ok())
}

/// Stands for a transaction.
fn number_of(transaction: &Transaction) -> u64 {
    let hash = blake3::hash(&postcard::to_allocvec(transaction).unwrap_or_default());
    u64::from_le_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
}

/// Whether a path is among those that a policy looks at.
fn covers(policy: &Policy, path: &Path) -> bool {
    policy.roots.iter().any(|root| path.starts_with(root)) && policy.properties(path).is_some()
}

/// A path at which something happened.
#[derive(Clone, Debug)]
struct Waiting {
    who: Option<Arc<Who>>,
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
        let baseline = kept(&plan);
        let texts = Texts::open(&plan.texts())?;
        *plan.wishes.open() = Open::load(&plan.open()).unwrap_or_else(|error| {
            say(&format!("the open changes of files cannot be read, and none is open now: {error}"));
            Open::empty(&plan.open())
        });
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

    /// What keeps it from seeing everything as it happens; none where nothing does.
    pub(crate) fn lacking(&self) -> Option<String> {
        lacking(&self.live)
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
            if w.packages { !busy || age >= SETTLED_PACKAGES_MAX } else { quiet >= SETTLED || age >= SETTLED_MAX }
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
            let ledger = self.plan.ledger_now(&mut root, &mut |_| {});
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
        let counting = policy.properties(path).unwrap_or_default();
        // Of what may only grow, how long it was last is what counts.
        if change.is_some() || (counting.contains(&Property::Growing) && after.is_some()) {
            let change = change.and_then(|change| without_rotation(policy, change));
            self.remembered.insert(path.to_owned(), Remembered { now: after, at: now });
            return Ok(change);
        }
        self.plan.wishes.open().settle(policy, path, after.as_ref());
        Ok(None)
    }

    fn judge(
        &mut self,
        root: &mut Root,
        changes: &[Change],
        actors: &[Option<Arc<Who>>],
        after: &Ledger,
        source: &str,
    ) {
        let log = self.plan.logged_since(root);
        let verdicts = explain(root, &self.plan.ledger_before(), after, &log, changes);
        let at = crate::now();
        for (i, (change, verdict)) in changes.iter().zip(&verdicts).enumerate() {
            let mut told = told_of(verdict);
            if window_of(&self.plan.watched.windows, change, at.div_euclid(1_000_000)).is_some() {
                told.expected = Some(true);
            }
            let (who, diff) = (actors.get(i).and_then(Option::as_deref), self.text(change));
            self.plan.wishes.open().note(self.plan.policy(), change, told.expected == Some(true), at);
            let policy = self.plan.watched.set_of(&change.path);
            let Around { package, package_version, old_package_version, verdict, expected, .. } = told;
            let around = Around {
                who,
                package,
                package_version,
                old_package_version,
                verdict,
                expected,
                diff: diff.as_deref(),
                policy,
                source,
            };
            self.tell.tell(change, at, around);
        }
    }

    /// Tells of files that were not as their packages brought them before there was a baseline; of each deviation once. Those
    /// that came since were told when they came.
    fn deviate(&mut self, found: &[Found], more: u64, changes: &[Change]) -> io::Result<()> {
        let known = numbers(&self.plan.deviations()).unwrap_or_default();
        let since: HashSet<&Path> = changes.iter().map(|change| change.path.as_path()).collect();
        let came = |path: &Path| {
            since.contains(path) || self.remembered.contains_key(path) || self.plan.wishes.open().knows(path)
        };
        let news: Vec<&Found> = found.iter().filter(|one| !known.contains(&one.key()) && !came(&one.path)).collect();
        if !news.is_empty() || more > 0 {
            say(&format!("{} files are not as their packages brought them", news.len() as u64 + more));
        }
        for one in news {
            match deviation(self.plan.policy(), one) {
                Ok(Some(change)) => {
                    let around = Around {
                        package: Some(&one.package.name),
                        package_version: Some(&one.package.version),
                        verdict: FOUND,
                        expected: Some(false),
                        policy: self.plan.watched.set_of(&one.path),
                        source: "scan",
                        ..Around::default()
                    };
                    self.tell.tell(&change, crate::now(), around);
                }
                Ok(None) => {}
                Err(error) => say(&format!("{} cannot be looked at: {error}", one.path.display())),
            }
        }
        let all: HashSet<u64> = found.iter().map(Found::key).collect();
        fs::write(self.plan.deviations(), postcard::to_allocvec(&all).map_err(io::Error::other)?)
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
        let policy = self.plan.policy();
        let told = |change: &Change| {
            let now = match &change.what {
                What::Added(record) | What::Changed { after: record, .. } => Some(&**record),
                What::Removed(_) => None,
            };
            let known = self.remembered.get(&change.path);
            known.is_some_and(|known| between(policy, &change.path, known.now.clone(), now).is_none())
        };
        let both = |change: &&Change| {
            let path = &change.path;
            self.before.as_ref().is_none_or(|before| covers(before, path) && covers(policy, path))
        };
        let news = found.changes.iter().filter(|change| !told(change)).filter(both).cloned();
        let news: Vec<Change> = news.filter_map(|change| without_rotation(policy, change)).collect();
        if self.baseline.is_some() && !news.is_empty() {
            say(&format!("a scan found {} changes that nobody had told of", news.len() as u64 + found.more));
            self.judge(&mut self.plan.root(), &news, &[], &found.ledger, "scan");
        }
        if let Some((deviations, more)) = &found.deviations {
            self.deviate(deviations, *more, &found.changes)?;
        }
        self.take_over(&found)?;
        // What happened while the scan was under way may be newer than what it saw.
        self.remembered.retain(|_, known| known.at >= found.begun);
        drop((news, found));
        give_back_memory();
        Ok(())
    }

    /// Makes what a scan saw the baseline. What is open is kept first: it is no longer found by comparing from then on.
    fn take_over(&mut self, found: &Scanned) -> io::Result<()> {
        let policy = self.plan.policy();
        let fresh = Baseline::open(&found.fresh).map_err(io::Error::other)?;
        {
            let mut open = self.plan.wishes.open();
            open.taken_over(found.begun_us, |path| covers(policy, path));
            // What was put back while nobody watched is no change to the last baseline.
            let mut folder: Option<Folder> = None;
            for path in open.told_before(found.begun_us) {
                let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
                if folder.as_ref().is_none_or(|folder| folder.path != parent) {
                    folder = fresh.folder(parent).map_err(io::Error::other)?;
                }
                // Of what could not be read nothing is known.
                if folder.as_ref().is_none_or(|folder| folder.error.is_none()) {
                    let mut entries = folder.iter().flat_map(|folder| &folder.entries);
                    open.settle(policy, &path, entries.find(|record| record.name == name.as_bytes()));
                }
            }
            open.save()?;
        }
        let before = self.baseline.as_ref().map(|baseline| *baseline.root());
        let root = *fresh.root();
        // Before the exchange: a baseline that nothing leads to would be called one that somebody put there.
        follows(&self.plan.folder, &self.plan.wishes, before, root)?;
        fs::rename(&found.fresh, self.plan.baseline())?;
        fs::write(self.plan.ledger(), found.ledger.to_bytes())?;
        fs::write(self.plan.logged(), postcard::to_allocvec(&found.logged).map_err(io::Error::other)?)?;
        fs::write(self.plan.judged(), serde_json::to_vec(self.plan.policy())?)?;
        self.before = None;
        self.baseline = Some(fresh);
        self.plan.wishes.made.notify_one();
        Ok(())
    }
}

/// A file that is not as its package brought it, as the change that somebody made once; none where it is as it should be by
/// now, or is not looked at.
fn deviation(policy: &Policy, found: &Found) -> io::Result<Option<Change>> {
    let path = found.path.clone();
    let what = match look(policy, &path)? {
        Some(now) => {
            let mut properties: Vec<Property> = Vec::new();
            for property in found.differs.iter().filter_map(|one| verdicts::property(*one)) {
                if !properties.contains(&property) {
                    properties.push(property);
                }
            }
            What::Changed { before: Box::new(found.before(&now)), after: Box::new(now), properties }
        }
        None if found.differs.contains(&Differs::Missing) => What::Removed(Box::new(Record::missing(&path))),
        None => return Ok(None),
    };
    Ok(Some(Change { path, what }))
}

/// What keeps a watch from seeing everything, and who did it.
fn lacking(live: &Live) -> Option<String> {
    let fallback = live.fallback.as_ref();
    let blind = fallback.map(|why| format!("files are watched by inotify, which does not say who changes them: {why}"));
    // Without a fallback they lie in memory alone, and an older kernel cannot name what is in them.
    let remedy = if fallback.is_some() { ": raise fs.inotify.max_user_watches" } else { "" };
    let unwatched = (live.unwatched > 0)
        .then(|| format!("{} folders are not watched, and only scans see what changes there{remedy}", live.unwatched));
    let all: Vec<String> = blind.into_iter().chain(unwatched).collect();
    (!all.is_empty()).then(|| all.join("; "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_watch_lacks_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let policy = Policy { roots: vec![dir.path().to_owned()], ..Policy::default() };
        let blind = Live::by_inotify(&policy, Some("Operation not permitted".to_owned())).unwrap();
        let said = lacking(&blind).unwrap();
        assert!(said.contains("inotify") && said.contains("Operation not permitted"), "{said}");
        let mut whole = Live::by_inotify(&policy, None).unwrap();
        assert_eq!(lacking(&whole), None);
        whole.unwatched = 3;
        assert!(lacking(&whole).unwrap().starts_with("3 folders are not watched"));
    }
}
