//! The running agent: sources, spool and conversation, in one process that is cut so that it can become three.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::apart::Apart;
use crate::commands::Commands;
use crate::facts::Facts;
use crate::held::Holding;
use crate::home::Home;
use crate::integrity::Wishes;
use crate::inventory::{Folder, Telling};
use crate::outbox::Outbox;
use crate::policy::{Local, Policies};
use crate::queries::questions::Questions;
use crate::response::Worker;
use crate::spool::Spool;
use crate::spooler::{self, Shared};
use crate::status::Status;
use crate::talk::Talk;
use crate::upgrade::Upgrader;
use crate::watchdog::{self, Beats, Watchdog};
use crate::watching::Watching;

/// Tells the journal, or whoever started the agent.
#[expect(clippy::print_stderr, reason = "the journal reads standard error")]
pub fn say(text: &str) {
    eprintln!("guardian-agent: {text}");
}

/// How often the conversation says that it is alive.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// Why the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A signal wanted it.
    Stopped,
    /// Another version is to be tried: see [`crate::upgrade::become_guard`].
    MakesRoom,
}

/// Waits for a reason to end.
async fn why_it_ends(leave: &Notify) -> io::Result<Ended> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(tokio::select! {
        _ = interrupt.recv() => Ended::Stopped,
        _ = terminate.recv() => Ended::Stopped,
        () = leave.notified() => Ended::MakesRoom,
    })
}

/// What runs beside the conversation.
struct Threads {
    worker: Option<Arc<Worker>>,
    sources: JoinHandle<()>,
    watched: JoinHandle<()>,
    spooling: JoinHandle<()>,
}

impl Threads {
    /// Waits for all of them, after they were told to stop.
    fn end(self) -> std::thread::Result<()> {
        if let Some(worker) = self.worker {
            worker.stop();
        }
        let (sources, watched) = (self.sources.join(), self.watched.join());
        self.spooling.join().and(sources).and(watched)
    }
}

/// Says that the conversation is alive.
async fn alive(beats: Arc<Beats>) {
    let mut every = tokio::time::interval(ALIVE_EVERY);
    loop {
        every.tick().await;
        beats.beat("the conversation with the server");
    }
}

/// Runs until a signal ends it, or another version is to be tried.
pub fn run(path: &Path, local: Local) -> anyhow::Result<Ended> {
    let home = Home::open(path)?;
    let _running = home.lock()?;
    watchdog::end_leftovers();
    let Some(identity) = home.identity()? else {
        anyhow::bail!("this machine is not enrolled: guardian-agent enroll --server URL --token TOKEN");
    };
    let (policies, settings, orders) = Policies::open(&home, local);
    let policies = Arc::new(policies);
    let spool = Spool::open(&home.spool(), rand::random(), settings.spool_bytes_max, settings.drop)?;
    let shared = Shared::new(spool);
    let (outbox, inbox) = Outbox::new();
    let spooling = spooler::start(inbox, Arc::clone(&shared))?;
    let heartbeat = settings.heartbeat;
    // It alone keeps the spool open.
    let wishes: Arc<Wishes> = Arc::default();
    let holding = Holding::new(home.files(), Arc::clone(&wishes));
    let commands = Commands::open(&home, &identity, Arc::clone(&wishes), &policies);
    let lists = Arc::default();
    let inventory = Telling::new(Folder::open(home.inventory())?, Arc::clone(&lists));
    let apart = Arc::new(Apart::of_this_program());
    let beats = Arc::clone(outbox.beats());
    let watchdog = Arc::new(Watchdog::new(&home, &apart, &beats, &shared, &policies));
    let watching = Watching {
        outbox,
        home: home.clone(),
        shared: Arc::clone(&shared),
        policies: Arc::clone(&policies),
        wishes,
        lists,
        apart,
        watchdog: Arc::clone(&watchdog),
        recent: Arc::default(),
    };
    let sources = watching.start(settings, orders)?;
    let threads = Threads { worker: commands.worker(), sources, watched: watchdog.start()?, spooling };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopping) = watch::channel(false);
    let (host, server) = (identity.host.clone(), identity.server.clone());
    let status = Status { pid: std::process::id(), host, server, ..Status::default() };
    let leave = Arc::new(Notify::new());
    let upgrader = Upgrader::open(&home, Arc::clone(&leave));
    let talk = Talk {
        home,
        identity,
        shared: Arc::clone(&shared),
        facts: Facts::read(),
        stop: stopping,
        status,
        policies,
        commands,
        questions: Questions::default(),
        heartbeat,
        inventory,
        holding,
        upgrader,
    };
    runtime.block_on(async {
        let talking = tokio::spawn(talk.run());
        let alive = tokio::spawn(alive(beats));
        let why = why_it_ends(&leave).await?;
        say("stopping");
        alive.abort();
        end(talking, threads, &shared, &stop).await?;
        Ok(why)
    })
}

/// Ends what runs: sources first, then what they said goes to the disk, and what can be sent is.
async fn end(
    talking: tokio::task::JoinHandle<()>,
    threads: Threads,
    shared: &Shared,
    stop: &watch::Sender<bool>,
) -> anyhow::Result<()> {
    shared.stop.store(true, Ordering::Release);
    let ended = tokio::task::spawn_blocking(move || threads.end()).await?;
    // An error means that the conversation is over already.
    stop.send(true).ok();
    talking.await?;
    ended.map_err(|_| anyhow::anyhow!("a thread of the agent panicked"))
}
