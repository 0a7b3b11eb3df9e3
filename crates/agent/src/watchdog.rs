//! The watchdog: it sees that every part of the agent is alive and that all of them together keep to their limits, and has
//! what does not end and begin anew, counted. A child that reads for the agent is ended alone; a thread cannot be, so that
//! the agent as a whole begins anew, in the same process, and what it had not sent lies in the spool.
//!
//! It must never begin anew again and again: where that does not help it says so and leaves it.

mod beats;
mod group;
mod notes;

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use guardian_sys::process;

pub(crate) use self::beats::Beats;
pub use self::group::Bounds;
use self::group::Group;
use self::notes::Notes;
use crate::apart::Apart;
use crate::home::Home;
use crate::policy::Policies;
use crate::run::say;
use crate::spool::Spool;
use crate::spooler::Shared;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);
/// How often what was freed is given back to the system, beside where much was freed at once.
const GIVE_BACK: Duration = Duration::from_secs(60);
/// A look that comes so late means that the whole machine, or the whole process, stood still.
const STOOD_STILL: Duration = Duration::from_secs(10);
/// How often it sees whether the agent stops.
const STOPS: Duration = Duration::from_millis(100);
/// How long it is told that the agent was begun anew.
const TOLD_FOR: Duration = Duration::from_secs(24 * 3_600);
/// How long the spool may take to reach the disk before the agent begins anew.
const SYNC_MAX: Duration = Duration::from_secs(5);
/// The memory must be too much for so many looks: what is freed at once is no reason.
const LOOKS_OVER: u32 = 5;

/// Set for an agent that began anew.
const ANEW: &str = "GUARDIAN_AGENT_ANEW";

/// What it looks after.
pub(crate) struct Watchdog {
    home: Home,
    apart: Arc<Apart>,
    beats: Arc<Beats>,
    shared: Arc<Shared>,
    policies: Arc<Policies>,
    bounds: Mutex<Bounds>,
    /// Entered when there are limits.
    group: OnceLock<Group>,
    /// Parts that were started anew since the start, without the agent as a whole.
    parts: AtomicU64,
}

impl Watchdog {
    /// Keeps the agent to these bounds from now on.
    pub(crate) fn new(
        home: &Home,
        apart: &Arc<Apart>,
        beats: &Arc<Beats>,
        shared: &Arc<Shared>,
        policies: &Arc<Policies>,
    ) -> Self {
        Self {
            home: home.clone(),
            apart: Arc::clone(apart),
            beats: Arc::clone(beats),
            shared: Arc::clone(shared),
            policies: Arc::clone(policies),
            bounds: Mutex::default(),
            group: OnceLock::new(),
            parts: AtomicU64::new(0),
        }
    }

    /// Keeps to other bounds; what of them this machine cannot hold is said.
    pub(crate) fn bound(&self, bounds: Bounds) {
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner) = bounds;
        let unheld = self.group.get_or_init(Group::enter).bound(bounds);
        let limited = process::limit_data_bytes(bounds.last_resort_bytes());
        limited.unwrap_or_else(|error| say(&format!("memory is not limited by the kernel: {error}")));
        self.policies.complain("limits", (!unheld.is_empty()).then(|| unheld.join("; ")));
    }

    /// A part ended that should not have, and is started anew.
    pub(crate) fn part_ended(&self) {
        self.parts.fetch_add(1, Ordering::Relaxed);
    }

    /// How often parts, or all of the agent, were started anew.
    pub(crate) fn anew(&self) -> u64 {
        self.parts.load(Ordering::Relaxed) + self.apart.counts().failed + Notes::read(&self.home).count
    }

    /// Watches until the agent stops.
    pub(crate) fn start(self: Arc<Self>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("watchdog".into()).spawn(move || self.run())
    }

    fn run(&self) {
        let (mut looked, mut gave_back, mut over) = (Instant::now(), Instant::now(), 0);
        let told_until = self.tell_of_before();
        while !self.shared.stop.load(Ordering::Acquire) {
            if looked.elapsed() < LOOK {
                std::thread::sleep(STOPS);
                continue;
            }
            let stood_still = looked.elapsed() > STOOD_STILL;
            looked = Instant::now();
            if stood_still {
                self.beats.all_are_alive();
                continue;
            }
            self.apart.tick();
            if gave_back.elapsed() >= GIVE_BACK {
                gave_back = looked;
                process::give_back_memory();
            }
            self.policies.complain("apart", self.apart.complaint());
            if told_until.is_some_and(|until| looked > until) {
                self.policies.complain("watchdog", None);
            }
            over = if self.is_too_large() { over + 1 } else { 0 };
            let stuck = self.beats.stuck();
            let why = match stuck {
                Some(part) => Some(format!("{part} does not answer")),
                None if over >= LOOKS_OVER => Some("it uses more memory than its limit".to_owned()),
                None => None,
            };
            if let Some(why) = why {
                self.begin_anew(&why);
                over = 0;
            }
        }
        self.apart.end();
    }

    /// Tells that the agent was begun anew lately; until when.
    fn tell_of_before(&self) -> Option<Instant> {
        let notes = Notes::read(&self.home);
        let left = notes.last_within(TOLD_FOR, crate::now())?;
        self.policies.complain("watchdog", Some(notes.text()));
        Some(Instant::now() + left)
    }

    /// Whether this process alone uses too much. Children that do are ended here.
    fn is_too_large(&self) -> bool {
        let limit = self.bounds.lock().unwrap_or_else(PoisonError::into_inner).memory_bytes;
        let own = process::resident_bytes().unwrap_or_default();
        let mut children = self.apart.children();
        children.sort_unstable_by_key(|(_, bytes)| *bytes);
        let mut all = own + children.iter().map(|(_, bytes)| bytes).sum::<u64>();
        while limit > 0
            && all > limit
            && let Some((pid, bytes)) = children.pop()
        {
            say(&format!("a process that reads for the agent is ended: with it {} MiB are used", all >> 20));
            self.apart.end_oversized(pid);
            all -= bytes;
        }
        limit > 0 && own > limit
    }

    /// Has the agent begin anew, unless it did so lately.
    fn begin_anew(&self, why: &str) {
        let mut notes = Notes::read(&self.home);
        if !notes.may(crate::now()) {
            self.policies.complain("watchdog", Some(format!("{why}, and to begin anew did not help")));
            return;
        }
        say(&format!("{why}: the agent begins anew"));
        notes.add(why, crate::now());
        notes.write(&self.home).unwrap_or_else(|error| say(&format!("that cannot be noted: {error}")));
        self.sync();
        self.apart.end_all();
        let error = anew();
        say(&format!("the agent cannot begin anew, and ends: {error}"));
        std::process::exit(70);
    }

    /// What was read is on the disk, unless that is what hangs.
    fn sync(&self) {
        let (send, done) = sync_channel(1);
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().spawn(move || send.send(shared.with(Spool::sync)).ok());
        // Without it a second of what was read is lost, as at a power failure.
        if thread.is_ok() {
            done.recv_timeout(SYNC_MAX).ok();
        }
    }
}

/// Goes on as this program from its beginning, in this process; returns only where that is impossible.
fn anew() -> io::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    Command::new("/proc/self/exe").arg0(name).args(arguments).env(ANEW, "1").exec()
}

/// Ends what the program before this one left behind in the same process. To be called before anything is started.
pub(crate) fn end_leftovers() {
    if std::env::var_os(ANEW).is_none() {
        return;
    }
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    for pid in children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(nix::unistd::Pid::from_raw) {
        // They are our own, and nobody waits for them.
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).ok();
        nix::sys::wait::waitpid(pid, None).ok();
    }
}
