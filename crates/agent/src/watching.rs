//! What watches the machine, each source on a thread of its own. What this machine does not let us see is told and left
//! out; the rest goes on. New settings stop and start those sources alone whose own settings are others.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::apart::Apart;
use crate::files::Policy;
use crate::home::Home;
use crate::integrity::{Integrity, Plan, Wishes};
use crate::inventory::{Inventory, Told};
use crate::outbox::Outbox;
use crate::policy::{Policies, Settings};
use crate::run::say;
use crate::sources::connections::Connections;
use crate::sources::health::{Health, Parts};
use crate::sources::logs::{self, Logs};
use crate::sources::processes::{self, Processes, Recent};
use crate::sources::queries::Queries;
use crate::spooler::Shared;
use crate::watchdog::Watchdog;

/// How often it is looked whether the agent stops.
const LOOK: Duration = Duration::from_millis(100);
/// Longest wait for sources to stop.
const PATIENCE: Duration = Duration::from_secs(5);
/// A source that ended by itself is started anew after this time, and after twice as long each time it ends soon again.
const ANEW_AFTER: Duration = Duration::from_secs(10);
const ANEW_AFTER_MAX: Duration = Duration::from_secs(1_800);

/// A source at work: it ends when it is told to stop, or with what went wrong.
type Run = Box<dyn FnOnce(&AtomicBool) -> io::Result<()> + Send>;
/// Whether two settings are the same to a source.
type Same = fn(&Settings, &Settings) -> bool;
/// Starts a source; none where the settings switch it off.
type Start = fn(&Watching, &Settings) -> io::Result<Option<Run>>;

/// The sources: name, what its settings are, how it begins.
const ALL: &[(&str, Same, Start)] = &[
    ("health", |a, b| (a.health, a.health_every) == (b.health, b.health_every), health),
    ("logs", |a, b| (a.logs, &a.follow) == (b.logs, &b.follow), logs),
    ("processes", |a, b| (a.processes, a.forks, a.audit_rules) == (b.processes, b.forks, b.audit_rules), processes),
    ("connections", |a, b| (a.connections, a.sockets_every) == (b.connections, b.sockets_every), connections),
    ("files", |a, b| paths(a) == paths(b), files),
    ("inventory", |a, b| a.inventory == b.inventory, lists),
    ("queries", |a, b| a.queries == b.queries, queries),
];

/// What of file integrity cannot change while it works.
fn paths(settings: &Settings) -> Option<(&Policy, &[(PathBuf, String)])> {
    settings.files.as_ref().map(|watched| (&watched.policy, watched.sets.as_slice()))
}

/// What watches, and who is told of it.
pub(crate) struct Watching {
    pub(crate) outbox: Outbox,
    pub(crate) home: Home,
    pub(crate) shared: Arc<Shared>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) wishes: Arc<Wishes>,
    /// Which lists of the inventory were read.
    pub(crate) lists: Arc<Told>,
    /// Who reads what strangers wrote.
    pub(crate) apart: Arc<Apart>,
    /// Who counts what had to be started anew, and bounds everything.
    pub(crate) watchdog: Arc<Watchdog>,
    /// Which programs run, for sources that know numbers of processes.
    pub(crate) recent: Arc<Recent>,
}

/// A source that was started.
struct Source {
    name: &'static str,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    begun: Instant,
    /// How long it rests if it ends by itself.
    rest: Duration,
    ended: Option<Instant>,
}

impl Watching {
    /// Starts all sources, and a thread that starts and stops them as settings come. The thread ends with all of them when
    /// the agent stops.
    pub(crate) fn start(self, settings: Settings, orders: Receiver<Settings>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("sources".into()).spawn(move || self.run(settings, &orders))
    }

    fn run(self, mut settings: Settings, orders: &Receiver<Settings>) {
        self.watchdog.bound(settings.bounds);
        let mut sources: Vec<Source> = ALL.iter().filter_map(|one| self.begin(one, &settings)).collect();
        while !self.shared.stop.load(Ordering::Acquire) {
            match orders.recv_timeout(LOOK) {
                Ok(next) => {
                    self.change(&mut sources, &settings, &next);
                    settings = next;
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The conversation is over, and the agent stops.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
            }
            self.begin_anew(&mut sources, &settings);
        }
        end(sources);
    }

    /// Starts sources anew that ended though nobody told them to.
    fn begin_anew(&self, sources: &mut Vec<Source>, settings: &Settings) {
        for source in sources.iter_mut() {
            if source.ended.is_none() && source.thread.is_finished() {
                source.ended = Some(Instant::now());
                self.watchdog.part_ended();
                // What worked for long had another reason than what ends each time.
                let soon = source.begun.elapsed() < ANEW_AFTER_MAX;
                source.rest = if soon { (source.rest * 2).min(ANEW_AFTER_MAX) } else { ANEW_AFTER };
            }
        }
        let rested = |source: &mut Source| source.ended.is_some_and(|at| at.elapsed() >= source.rest);
        let due: Vec<Source> = sources.extract_if(.., rested).collect();
        for source in due {
            let Some(one) = ALL.iter().find(|(name, ..)| *name == source.name) else { continue };
            say(&format!("{} are watched again", source.name));
            let begun = self.begin(one, settings);
            sources.extend(begun.map(|fresh| Source { rest: source.rest, ..fresh }));
        }
    }

    fn change(&self, sources: &mut Vec<Source>, before: &Settings, after: &Settings) {
        if before.bounds != after.bounds {
            self.watchdog.bound(after.bounds);
        }
        self.shared.with(|spool| spool.bound(after.spool_bytes_max, after.drop));
        if let Some(watched) = after.files.as_ref().filter(|_| before.files != after.files) {
            let tuned = Some(watched.clone()).filter(|_| paths(before) == paths(after));
            *self.wishes.tuned.lock().unwrap_or_else(PoisonError::into_inner) = tuned;
        }
        let changed: Vec<_> = ALL.iter().filter(|(_, same, _)| !same(before, after)).collect();
        let others = |source: &Source| changed.iter().all(|(name, ..)| *name != source.name);
        let (stay, go) = std::mem::take(sources).into_iter().partition(others);
        *sources = stay;
        end(go);
        sources.extend(changed.into_iter().filter_map(|one| self.begin(one, after)));
        self.policies.applied.notify_one();
    }

    fn begin(&self, (name, _, start): &(&'static str, Same, Start), settings: &Settings) -> Option<Source> {
        let name = *name;
        let stop = Arc::new(AtomicBool::new(false));
        let started = start(self, settings).and_then(|run| run.map(|run| self.thread(name, run, &stop)).transpose());
        let (complaint, source) = match started {
            Ok(Some(thread)) => {
                let (begun, rest) = (Instant::now(), ANEW_AFTER / 2);
                (None, Some(Source { name, stop, thread, begun, rest, ended: None }))
            }
            Ok(None) => (None, None),
            Err(error) => (Some(format!("{name} are not watched: {error}")), None),
        };
        complaint.iter().for_each(|text| say(text));
        self.policies.tell(name, complaint);
        source
    }

    fn thread(&self, name: &'static str, run: Run, stop: &Arc<AtomicBool>) -> io::Result<JoinHandle<()>> {
        let (stop, policies) = (Arc::clone(stop), Arc::clone(&self.policies));
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&stop)));
            if let Err(error) = ended.unwrap_or_else(|_| Err(io::Error::other("its thread panicked"))) {
                let text = format!("{name} are not watched for now: {error}");
                say(&text);
                policies.tell(name, Some(text));
            }
        })
    }
}

/// Tells all of them to stop, then waits for each, but not for ever: what reads a long list now is left to its end, and
/// begins nothing more.
fn end(sources: Vec<Source>) {
    sources.iter().for_each(|source| source.stop.store(true, Ordering::Release));
    let begun = Instant::now();
    for source in sources {
        while !source.thread.is_finished() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        if source.thread.is_finished() && source.thread.join().is_err() {
            say(&format!("the thread that watches {} panicked", source.name));
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every source begins alike")]
fn health(with: &Watching, settings: &Settings) -> io::Result<Option<Run>> {
    let begin = || -> Run {
        let mut health = Health::start(with.outbox.clone(), settings.health_every);
        let (apart, watchdog) = (Arc::clone(&with.apart), Arc::clone(&with.watchdog));
        let wishes = Arc::clone(&with.wishes);
        health.count(move || {
            let children = apart.children().into_iter().map(|(_, bytes)| bytes).sum();
            Parts { children_bytes: children, anew: watchdog.anew(), files_open: wishes.open().count() }
        });
        Box::new(move |stop| {
            health.run(stop);
            Ok(())
        })
    };
    Ok(settings.health.then(begin))
}

#[expect(clippy::unnecessary_wraps, reason = "every source begins alike")]
fn logs(with: &Watching, settings: &Settings) -> io::Result<Option<Run>> {
    let begin = || -> Run {
        let place = logs::place(with.shared.with(|spool| spool.mark(logs::SOURCE)), &with.home.logs());
        let mut options = logs::Options::of_this_machine(place);
        let more = settings.follow.iter().filter(|(path, _)| options.files.iter().all(|(known, _)| known != path));
        let more: Vec<_> = more.cloned().collect();
        options.files.extend(more);
        let mut logs = Logs::start(&with.outbox, Arc::clone(&with.apart), options);
        Box::new(move |stop| logs.run(stop))
    };
    Ok(settings.logs.then(begin))
}

fn lists(with: &Watching, settings: &Settings) -> io::Result<Option<Run>> {
    if !settings.inventory {
        return Ok(None);
    }
    let mut inventory =
        Inventory::start(with.home.inventory(), Arc::clone(&with.lists), Arc::clone(&with.apart), with.outbox.clone())?;
    Ok(Some(Box::new(move |stop| inventory.run(stop))))
}

fn queries(with: &Watching, settings: &Settings) -> io::Result<Option<Run>> {
    // Also without any, so that what others left is taken away.
    let mut queries = Queries::start(with.outbox.clone(), with.home.queries(), &settings.queries)?;
    let any = !settings.queries.is_empty();
    Ok(any.then(|| -> Run { Box::new(move |stop| queries.run(stop)) }))
}

/// Says what a refusal by the kernel usually means.
fn needs_capability(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{error}: that needs CAP_NET_ADMIN"))
}

fn processes(with: &Watching, settings: &Settings) -> io::Result<Option<Run>> {
    with.policies.complain("probe", None);
    with.policies.see("processes", "none");
    if !settings.processes {
        return Ok(None);
    }
    let audit = processes::AuditOptions { add_rules: settings.audit_rules, ..processes::AuditOptions::default() };
    let options = processes::Options { forks: settings.forks, audit, ..processes::Options::default() };
    let mut processes = Processes::start(with.outbox.clone(), options)?;
    processes.share(Arc::clone(&with.recent));
    let policies = Arc::clone(&with.policies);
    let told = move |ways: processes::Ways, lacking: Option<String>| {
        say(lacking.as_deref().unwrap_or("programs are seen by the proc connector, and their arguments by BPF"));
        policies.complain("probe", lacking);
        policies.see("processes", ways.as_str());
    };
    Ok(Some(Box::new(move |stop| processes.run(stop, told))))
}

fn connections(with: &Watching, settings: &Settings) -> io::Result<Option<Run>> {
    if !settings.connections {
        with.policies.complain("connection_probe", None);
        return Ok(None);
    }
    let mut connections = Connections::start(with.outbox.clone(), settings.sockets_every).map_err(needs_capability)?;
    connections.share(Arc::clone(&with.recent));
    let lacking = connections.unprobed().map(|why| {
        format!("connections are seen in lists of sockets alone, so that the shortest have no process: {why}")
    });
    lacking.iter().for_each(|text| say(text));
    with.policies.complain("connection_probe", lacking);
    Ok(Some(Box::new(move |stop| connections.run(stop))))
}

fn files(with: &Watching, settings: &Settings) -> io::Result<Option<Run>> {
    with.wishes.watched.store(false, Ordering::Release);
    with.policies.complain("fanotify", None);
    let Some(watched) = &settings.files else { return Ok(None) };
    let plan = Plan {
        watched: watched.clone(),
        folder: with.home.files(),
        wishes: Arc::clone(&with.wishes),
        apart: Arc::clone(&with.apart),
    };
    let mut integrity = Integrity::start(with.outbox.clone(), plan)?;
    let lacking = integrity.lacking();
    lacking.iter().for_each(|text| say(text));
    with.policies.complain("fanotify", lacking);
    with.wishes.watched.store(true, Ordering::Release);
    Ok(Some(Box::new(move |stop| integrity.run(stop))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Local;
    use crate::spool::Spool;

    #[test]
    fn a_source_that_panics_is_started_anew() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let (policies, settings, _orders) = Policies::open(&home, Local::default());
        let policies = Arc::new(policies);
        let spool = Spool::open(&home.spool(), 1, settings.spool_bytes_max, settings.drop).unwrap();
        let (shared, apart) = (Shared::new(spool), Arc::new(Apart::of_this_program()));
        let (outbox, _inbox) = Outbox::new();
        let watchdog = Arc::new(Watchdog::new(&home, &apart, outbox.beats(), &shared, &policies));
        let (wishes, lists, recent) = (Arc::default(), Arc::default(), Arc::default());
        let watching = Watching { outbox, home, shared, policies, wishes, lists, apart, watchdog, recent };
        let stop = Arc::new(AtomicBool::new(false));
        let thread = watching.thread("health", Box::new(|_| panic!("a flaw")), &stop).unwrap();
        let (begun, rest) = (Instant::now(), Duration::from_millis(10));
        let mut sources = vec![Source { name: "health", stop, thread, begun, rest, ended: None }];
        let complained = || watching.policies.state().complaints.join("; ");
        let until = Instant::now() + Duration::from_secs(20);
        while !complained().contains("its thread panicked") {
            assert!(Instant::now() < until);
        }
        // It rests a moment, and its thread says it before it has ended.
        while !complained().is_empty() {
            watching.begin_anew(&mut sources, &settings);
            assert!(Instant::now() < until);
        }
        assert_eq!((sources.len(), sources[0].name, watching.watchdog.anew()), (1, "health", 1));
        assert_eq!(sources[0].rest, Duration::from_millis(20), "next time it rests longer");
        assert_eq!(complained(), "", "it works again");
        end(sources);
    }
}
