//! The running agent: sources, spool and conversation, in one process that is cut so that it can become three.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::facts::Facts;
use crate::files::Policy;
use crate::home::Home;
use crate::inventory::{Folder, Inventory, Telling, Told};
use crate::outbox::Outbox;
use crate::spool::{Drop, Spool};
use crate::spooler::{self, Shared};
use crate::status::Status;
use crate::talk::Talk;
use crate::watching;

/// Settings of a running agent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often the machine's health is measured.
    pub health_every: Duration,
    /// How often the list of sockets is asked for; what ends meanwhile is told by the kernel.
    pub sockets_every: Duration,
    /// Which files are watched; none where none are.
    pub files: Option<Policy>,
    /// Bytes a second that a scan of all files reads; 0 for no limit.
    pub scan_bytes_per_second: u64,
    /// Whether an inventory is taken.
    pub inventory: bool,
    /// Most bytes that may wait on the disk.
    pub spool_bytes_max: u64,
    /// What goes when there are more.
    pub drop: Drop,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            health_every: Duration::from_secs(15),
            sockets_every: Duration::from_secs(10),
            files: Some(Policy::of_this_machine()),
            scan_bytes_per_second: 32 << 20,
            inventory: true,
            spool_bytes_max: 512 << 20,
            drop: Drop::Oldest,
        }
    }
}

/// Tells the journal, or whoever started the agent.
#[expect(clippy::print_stderr, reason = "the journal reads standard error")]
pub fn say(text: &str) {
    eprintln!("guardian-agent: {text}");
}

/// Starts the thread that reads lists; what tells the server of them is the answer.
fn take_inventory(home: &Home, shared: &Arc<Shared>, sources: &mut Vec<JoinHandle<()>>) -> std::io::Result<Telling> {
    let told = Arc::new(Told::default());
    let mut inventory = Inventory::start(home.inventory(), Arc::clone(&told))?;
    let stop = Arc::clone(shared);
    let work = move || {
        if let Err(error) = inventory.run(&stop.stop) {
            say(&format!("no inventory is taken any more: {error}"));
        }
    };
    sources.push(std::thread::Builder::new().name("inventory".into()).spawn(work)?);
    Ok(Telling::new(Folder::open(home.inventory())?, told))
}

/// Runs until a signal ends it.
pub fn run(path: &Path, settings: &Settings) -> anyhow::Result<()> {
    let home = Home::open(path)?;
    let _running = home.lock()?;
    let Some(identity) = home.identity()? else {
        anyhow::bail!("this machine is not enrolled: guardian-agent enroll --server URL --token TOKEN");
    };
    let spool = Spool::open(&home.spool(), rand::random(), settings.spool_bytes_max, settings.drop)?;
    let shared = Shared::new(spool);
    let (outbox, inbox) = Outbox::new();
    let spooling = spooler::start(inbox, Arc::clone(&shared))?;
    let mut sources = watching::start(&outbox, settings, &home, &shared)?;
    let inventory = if settings.inventory { Some(take_inventory(&home, &shared, &mut sources)?) } else { None };
    // The sources' ends alone keep the spool open.
    drop(outbox);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopping) = watch::channel(false);
    let status = Status {
        pid: std::process::id(),
        host: identity.host.clone(),
        server: identity.server.clone(),
        ..Status::default()
    };
    let talk =
        Talk { home, identity, shared: Arc::clone(&shared), facts: Facts::read(), stop: stopping, status, inventory };
    runtime.block_on(async {
        let talking = tokio::spawn(talk.run());
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        say("stopping");
        // Sources first, then what they said goes to the disk, and what can be sent is.
        shared.stop.store(true, Ordering::Release);
        let threads = tokio::task::spawn_blocking(move || {
            let sources = sources.into_iter().map(JoinHandle::join).fold(Ok(()), Result::and);
            spooling.join().and(sources)
        });
        let ended = threads.await?;
        // An error means that the conversation is over already.
        stop.send(true).ok();
        talking.await?;
        ended.map_err(|_| anyhow::anyhow!("a thread of the agent panicked"))
    })
}
