//! What strangers wrote is read apart: package databases, archives, metadata of languages, certificates, listings of packet
//! filters, containers, units and schedules, accounts, keys, sudo rules, tunnels and lines of logs are parsed by a child of the same program
//! that gave up its user, its capabilities, the file system, the network, and every system call but a few. This side opens
//! files by path, and only those that the task is about; the child gets descriptors and answers with values, which are bounded
//! and checked here.
//!
//! A child that crashes, hangs or misbehaves costs one answer; it is counted and told, and the next task has a new one.
//! Children that nobody needs end, so that their memory goes back; one that was handed secrets ends with its task. A parser that is taken over can lie about what it read,
//! and can read what its task may read: nothing else. This module must never parse what a file says on this side.

mod allowed;
mod broker;
mod message;
mod worker;

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use guardian_inventory::owned::Owned;
use guardian_inventory::transaction::Transaction;
use guardian_protocol::limits::LIST_RAW_BYTES_MAX;
use guardian_protocol::lists::List;
use guardian_sys::channel::Channel;
use guardian_sys::pidfd::{self, Signal};
use guardian_sys::process;

use self::allowed::Allowed;
use self::broker::Broker;
use self::message::{Item, Order, PATH_BYTES_MAX, TEXT_BYTES_MAX, Task, Word};
use crate::files::Installed;
use crate::sources::logs::{Pieces, Understood};

pub(crate) use self::worker::confine_looker;
pub use self::worker::{confine_reader, work};

/// The hidden subcommand of the program that is a child.
pub const SUBCOMMAND: &str = "read-apart";
/// How long a child may take for all of a task.
const TASK_MAX: Duration = Duration::from_secs(3_600);
/// How long a child may be silent: one file is parsed within that.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A child that had nothing to do for so long ends.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Children that wait for work.
const IDLE_WORKERS_MAX: usize = 3;
/// Tasks that a child does before the next one has a new one, long before its time on the processor is over.
const TASKS_MAX: u32 = 5_000;
/// How long a child may be silent over lines of logs: what cannot be understood is told before anybody waits for it.
const LOGS_SILENCE_MAX: Duration = Duration::from_secs(10);
/// Bytes of what lines of logs mean: of so many at once, several times what they have.
const MEANINGS_BYTES_MAX: usize = 2 << 20;
/// Items of package databases in one answer of a task.
const ITEMS_MAX: u64 = 20_000_000;
/// Transactions in one answer of a task.
const TRANSACTIONS_MAX: usize = 200_000;
/// Issues that are taken.
const ISSUES_MAX: usize = 100;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no child.
    #[error("no process could be started that reads it: {0}")]
    NotStarted(io::Error),
    /// It ended before its answer.
    #[error("the process that read it ended early ({0})")]
    Crashed(String),
    /// It panicked.
    #[error("the process that read it gave up: {0}")]
    GaveUp(String),
    /// It said nothing for too long.
    #[error("the process that read it took too long and was ended")]
    Hung,
    /// It used more memory than all of the agent may.
    #[error("the process that read it was ended by the watchdog")]
    Oversized,
    /// It said what none of ours says.
    #[error("the process that read it was ended: {0}")]
    Misbehaved(&'static str),
}

const ODD_ITEM: Failure = Failure::Misbehaved("it named a package or a file that cannot be");

/// What is counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Children that were started.
    pub started: u64,
    /// Tasks without an answer.
    pub failed: u64,
    /// Files that children asked for beyond those of their task.
    pub refused: u64,
}

/// A child.
#[derive(Debug)]
struct Worker {
    child: Child,
    channel: Channel,
    /// The only task that it does; none where it does all that need none of their own.
    kept_for: Option<&'static str>,
    /// How many tasks it did.
    tasks: u32,
    idle_since: Instant,
}

/// A child as the watchdog knows it.
#[derive(Debug)]
struct Known {
    pid: u32,
    /// Names the process also after it ended, when its number may be another's.
    /// Linux before 5.3 has no such thing.
    process: Option<pidfd::Process>,
    /// The watchdog ended it.
    oversized: bool,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended by itself is what was wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Who reads apart. One is enough for a process.
#[derive(Debug)]
pub struct Apart {
    program: PathBuf,
    silence_max: Duration,
    idle: Mutex<Vec<Worker>>,
    /// Children at work or waiting.
    known: Mutex<Vec<Known>>,
    started: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    /// What the last failure was, and what the kernel lacks to confine children.
    last: Mutex<(Option<String>, Vec<String>)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Apart {
    /// With this program as the child, which is called with [`SUBCOMMAND`].
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            silence_max: SILENCE_MAX,
            idle: Mutex::default(),
            known: Mutex::default(),
            started: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }

    /// With the program that runs, whatever has come to lie in its place.
    pub fn of_this_program() -> Self {
        Self::new("/proc/self/exe".into())
    }

    /// Children may be silent for so long.
    #[must_use]
    pub fn patient(mut self, silence_max: Duration) -> Self {
        self.silence_max = silence_max;
        self
    }

    /// Whether a list of the inventory is read apart.
    pub fn reads(list: &str) -> bool {
        Allowed::of(list).is_some()
    }

    /// Reads a list of the inventory of a root.
    pub fn list(&self, root: &Path, name: &str) -> Result<List, Failure> {
        let mut lines = Vec::new();
        let task = Task::List(name.to_owned());
        self.run(&task, root, &[], &mut |word| match word {
            Word::Part(part) if lines.len() + part.len() <= 2 * LIST_RAW_BYTES_MAX => {
                lines.extend_from_slice(&part);
                Ok(())
            }
            _ => Err(Failure::Misbehaved("it answered what was not asked, or too much")),
        })?;
        let mut list = List::default();
        list.take(&lines).map_err(|_| self.misbehaved("it made a list that is none"))?;
        Ok(list)
    }

    /// Calls `each` with every file of every package of a root, with paths as the databases say them; answers what could not
    /// be read.
    pub(crate) fn owned(
        &self,
        root: &Path,
        each: &mut dyn FnMut(&Installed, Option<Owned>),
    ) -> Result<Vec<String>, Failure> {
        let (mut package, mut count): (Option<Installed>, u64) = (None, 0);
        self.run(&Task::Owned, root, &[], &mut |word| {
            let Word::Owned(items) = word else {
                return Err(Failure::Misbehaved("it answered what was not asked"));
            };
            count += items.len() as u64;
            if count > ITEMS_MAX {
                return Err(Failure::Misbehaved("it found more files than there can be"));
            }
            for item in items {
                let (owned, package) = match (item, package.as_ref()) {
                    (Item::Package(next), _) => {
                        if !fits(&next) {
                            return Err(ODD_ITEM);
                        }
                        package = Some(next);
                        continue;
                    }
                    (Item::Nothing, Some(package)) => (None, package),
                    (Item::File(owned), Some(package)) if is_path(&owned.path) => (Some(owned), package),
                    _ => return Err(ODD_ITEM),
                };
                each(package, owned);
            }
            Ok(())
        })
    }

    /// What the package managers of a root wrote down of what they did, and what could not be read.
    pub(crate) fn transactions(&self, root: &Path) -> Result<(Vec<Transaction>, Vec<String>), Failure> {
        let mut all = Vec::new();
        let issues = self.run(&Task::Transactions, root, &[], &mut |word| match word {
            Word::Transactions(part) if all.len() + part.len() <= TRANSACTIONS_MAX && part.iter().all(is_short) => {
                all.extend(part);
                Ok(())
            }
            _ => Err(Failure::Misbehaved("it answered what was not asked, or too much")),
        })?;
        Ok((all, issues))
    }

    /// What lines of logs mean.
    pub(crate) fn logs(&self, pieces: &Pieces) -> Result<Understood, Failure> {
        let input = postcard::to_allocvec(pieces).map_err(|_| Failure::Misbehaved("lines that cannot be sent"))?;
        let mut bytes = Vec::new();
        self.run(&Task::Logs, Path::new("/"), &input, &mut |word| match word {
            Word::Part(part) if bytes.len() + part.len() <= MEANINGS_BYTES_MAX => {
                bytes.extend_from_slice(&part);
                Ok(())
            }
            _ => Err(Failure::Misbehaved("it answered what was not asked, or too much")),
        })?;
        let understood = postcard::from_bytes::<Understood>(&bytes).ok();
        let understood = understood.filter(|understood| understood.can_be_of(pieces.pieces.len()));
        understood.ok_or_else(|| self.misbehaved("it says what those lines cannot mean"))
    }

    fn misbehaved(&self, how: &'static str) -> Failure {
        let failure = Failure::Misbehaved(how);
        self.note(&failure);
        failure
    }

    fn note(&self, failure: &Failure) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        locked(&self.last).0 = Some(failure.to_string());
    }

    /// Does a task, and hands over what it answers; its issues at the end.
    fn run(
        &self,
        task: &Task,
        root: &Path,
        input: &[u8],
        sink: &mut dyn FnMut(Word) -> Result<(), Failure>,
    ) -> Result<Vec<String>, Failure> {
        let allowed = Allowed::of(task.name()).ok_or(Failure::Misbehaved("there is no such task"))?;
        let done = self.take(allowed).and_then(|mut worker| {
            let mut broker = Broker::new(root, allowed, input);
            let done = self.work(&mut worker, task, &mut broker, sink);
            let pid = worker.child.id();
            match done {
                Ok(_) if !allowed.alone && worker.tasks < TASKS_MAX => self.put_back(worker),
                Ok(_) => self.forget(pid),
                Err(_) => drop(worker),
            }
            done.map_err(|failure| self.lost(pid, failure))
        });
        match &done {
            Ok(_) => locked(&self.last).0 = None,
            Err(failure) => self.note(failure),
        }
        done
    }

    fn work(
        &self,
        worker: &mut Worker,
        task: &Task,
        broker: &mut Broker<'_>,
        sink: &mut dyn FnMut(Word) -> Result<(), Failure>,
    ) -> Result<Vec<String>, Failure> {
        worker.tasks += 1;
        let begun = Instant::now();
        let until = |within: Duration| Some((Instant::now() + within).min(begun + TASK_MAX));
        let silence = if *task == Task::Logs { self.silence_max.min(LOGS_SILENCE_MAX) } else { self.silence_max };
        let begin = Order::Begin(task.clone()).to_bytes();
        worker.channel.send(&begin, None, until(silence)).map_err(|error| worker.failure(&error))?;
        loop {
            let word = match worker.hear(until(silence))? {
                Word::Done { mut issues } => {
                    self.refused.fetch_add(broker.refused, Ordering::Relaxed);
                    issues.truncate(ISSUES_MAX);
                    issues.iter_mut().for_each(|issue| *issue = shortened(issue));
                    return Ok(issues);
                }
                Word::GaveUp(text) => return Err(Failure::GaveUp(shortened(&text))),
                word => word,
            };
            if let Some(word) = broker.answer(&worker.channel, word, until(silence)).map_err(|e| worker.failure(&e))? {
                sink(word)?;
            }
        }
    }

    /// A child that waits, or a new one.
    fn take(&self, allowed: &'static Allowed) -> Result<Worker, Failure> {
        let kept_for = allowed.kept_for();
        let next = || {
            let mut idle = locked(&self.idle);
            let at = idle.iter().rposition(|worker| worker.kept_for == kept_for)?;
            Some(idle.remove(at))
        };
        while !allowed.alone
            && let Some(mut worker) = next()
        {
            if matches!(worker.child.try_wait(), Ok(None)) {
                return Ok(worker);
            }
            self.forget(worker.child.id());
        }
        let mut worker = self.start(kept_for).map_err(Failure::NotStarted)?;
        let pid = worker.child.id();
        let process = pidfd::Process::open(pid).ok();
        locked(&self.known).push(Known { pid, process, oversized: false });
        let until = Some(Instant::now() + self.silence_max);
        match worker.hear(until) {
            Ok(Word::Ready { missing }) => {
                locked(&self.last).1 = missing.iter().map(|text| shortened(text)).take(ISSUES_MAX).collect();
                Ok(worker)
            }
            other => {
                let failure = other.err().unwrap_or(Failure::Misbehaved("it did not say that it is ready"));
                Err(self.lost(pid, failure))
            }
        }
    }

    fn start(&self, kept_for: Option<&'static str>) -> io::Result<Worker> {
        let (channel, theirs) = Channel::pair()?;
        let mut command = Command::new(&self.program);
        command.arg0("guardian-agent").arg(SUBCOMMAND).env_clear().current_dir("/");
        let child = command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        self.started.fetch_add(1, Ordering::Relaxed);
        Ok(Worker { child, channel, kept_for, tasks: 0, idle_since: Instant::now() })
    }

    /// Why there is no answer of a child.
    fn lost(&self, pid: u32, failure: Failure) -> Failure {
        let mut known = locked(&self.known);
        let oversized = known.iter().any(|one| one.pid == pid && one.oversized);
        known.retain(|one| one.pid != pid);
        if oversized { Failure::Oversized } else { failure }
    }

    fn forget(&self, pid: u32) {
        locked(&self.known).retain(|one| one.pid != pid);
    }

    fn put_back(&self, mut worker: Worker) {
        worker.idle_since = Instant::now();
        let mut idle = locked(&self.idle);
        idle.push(worker);
        let over = idle.len().saturating_sub(IDLE_WORKERS_MAX);
        let over: Vec<Worker> = idle.drain(..over).collect();
        drop(idle);
        over.iter().for_each(|worker| self.forget(worker.child.id()));
    }

    /// Ends children that nobody needs. To be called each second or so.
    pub fn tick(&self) {
        let over: Vec<Worker> =
            locked(&self.idle).extract_if(.., |worker| worker.idle_since.elapsed() >= IDLE_MAX).collect();
        over.iter().for_each(|worker| self.forget(worker.child.id()));
    }

    /// Ends all children that wait.
    pub fn end(&self) {
        let all = std::mem::take(&mut *locked(&self.idle));
        all.iter().for_each(|worker| self.forget(worker.child.id()));
    }

    /// Ends all children, also those at work.
    pub(crate) fn end_all(&self) {
        for process in locked(&self.known).iter().filter_map(|one| one.process.as_ref()) {
            // One that has ended is what is wanted.
            process.signal(Signal::Kill).ok();
        }
        self.end();
    }

    /// The children, by their numbers, with how much memory each uses.
    pub fn children(&self) -> Vec<(u32, u64)> {
        let known: Vec<u32> = locked(&self.known).iter().map(|one| one.pid).collect();
        known.into_iter().map(|pid| (pid, process::resident_bytes_of(pid).unwrap_or_default())).collect()
    }

    /// Ends a child that uses too much.
    pub fn end_oversized(&self, pid: u32) {
        let mut known = locked(&self.known);
        let Some(one) = known.iter_mut().find(|one| one.pid == pid) else { return };
        // One that has ended meanwhile is what is wanted.
        one.oversized |= one.process.as_ref().is_some_and(|process| process.signal(Signal::Kill).is_ok());
    }

    /// What is counted.
    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { started: of(&self.started), failed: of(&self.failed), refused: of(&self.refused) }
    }

    /// What is wrong, for whoever looks after the machine.
    pub fn complaint(&self) -> Option<String> {
        let last = locked(&self.last);
        let failed = last.0.iter().map(|text| format!("what strangers wrote could not be read: {text}"));
        let missing = (!last.1.is_empty())
            .then(|| format!("what strangers wrote is read with less around it: {}", last.1.join("; ")));
        let all: Vec<String> = failed.chain(missing).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Worker {
    fn hear(&mut self, until: Option<Instant>) -> Result<Word, Failure> {
        let heard = self.channel.receive(until).map(|came| came.map(|came| Word::of_bytes(came.bytes)));
        match heard {
            Ok(Some(Some(word))) => Ok(word),
            Ok(Some(None)) => Err(Failure::Misbehaved("it said what cannot be read")),
            Ok(None) => Err(self.ended()),
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn failure(&mut self, error: &io::Error) -> Failure {
        match error.kind() {
            ErrorKind::TimedOut => Failure::Hung,
            ErrorKind::InvalidData => Failure::Misbehaved("it said more than fits into a message"),
            _ => self.ended(),
        }
    }

    /// How it ended, which is known a moment after its socket is closed.
    fn ended(&mut self) -> Failure {
        for _ in 0..100 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Failure::Crashed(status.to_string());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Failure::Crashed("it hung up".to_owned())
    }
}

/// The files that a child of a task would be handed for what it says, which may be anything: for tests.
#[doc(hidden)]
pub fn handed_over(task: &str, root: &Path, said: &[&[u8]]) -> Vec<PathBuf> {
    let Some(allowed) = Allowed::of(task) else { return Vec::new() };
    let mut broker = Broker::new(root, allowed, &[]);
    let files = said.iter().filter_map(|bytes| match Word::of_bytes(bytes)? {
        Word::Open(path) => {
            let (file, _) = broker.open(&path).ok()?;
            std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
        }
        Word::Entries(path) => {
            broker.entries(&path);
            None
        }
        Word::Resolve(path) => {
            broker.resolve(&path);
            None
        }
        Word::Part(part) => {
            List::default().take(&part).ok();
            postcard::from_bytes::<Understood>(&part).ok().filter(|understood| understood.can_be_of(1));
            None
        }
        _ => None,
    });
    files.collect()
}

/// What this side would answer a child is read as well: for tests.
#[doc(hidden)]
pub fn is_order(bytes: &[u8]) -> bool {
    Order::of_bytes(bytes).is_some()
}

/// What a program that reads strangers' files says, fit to be told: bounded, on one line, without control characters.
pub(crate) fn shortened(text: &str) -> String {
    let one_line = text.chars().map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c });
    one_line.filter(|c| !c.is_control()).take(TEXT_BYTES_MAX / 4).collect()
}

fn fits(package: &Installed) -> bool {
    [&package.name, &package.arch, &package.version].iter().all(|text| text.len() <= TEXT_BYTES_MAX)
}

fn is_short(transaction: &Transaction) -> bool {
    let Transaction { at, name, arch, old, new, command, by, .. } = transaction;
    let texts = [at, name, arch, old, new, command, by];
    texts.iter().all(|text| text.len() <= TEXT_BYTES_MAX / 8)
}

fn is_path(path: &[u8]) -> bool {
    path.first() == Some(&b'/') && path.len() <= PATH_BYTES_MAX && !path.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_say_becomes_one_bounded_line() {
        assert_eq!(shortened("error: no\n\t--> line 3\u{1b}[2J\u{9b}x\0"), "error: no  --> line 3[2Jx");
        assert_eq!(shortened(&"ä".repeat(TEXT_BYTES_MAX)).chars().count(), TEXT_BYTES_MAX / 4);
    }
}
