//! The running agent: sources, spool and conversation, in one process that is cut so that it can become three.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::facts::Facts;
use crate::home::Home;
use crate::outbox::Outbox;
use crate::sources::{logs, processes};
use crate::spool::{Drop, Spool};
use crate::spooler::{self, Shared};
use crate::status::Status;
use crate::talk::Talk;
use crate::vitals;

/// Settings of a running agent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often the machine's health is measured.
    pub health_every: Duration,
    /// Most bytes that may wait on the disk.
    pub spool_bytes_max: u64,
    /// What goes when there are more.
    pub drop: Drop,
}

impl Default for Settings {
    fn default() -> Self {
        Self { health_every: Duration::from_secs(15), spool_bytes_max: 512 << 20, drop: Drop::Oldest }
    }
}

/// Tells the journal, or whoever started the agent.
#[expect(clippy::print_stderr, reason = "the journal reads standard error")]
pub fn say(text: &str) {
    eprintln!("guardian-agent: {text}");
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
    let measuring = vitals::start(outbox.clone(), settings.health_every, Arc::clone(&shared))?;
    let mut sources = vec![measuring];
    sources.extend(watching(outbox, &home, &shared)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopping) = watch::channel(false);
    let status = Status {
        pid: std::process::id(),
        host: identity.host.clone(),
        server: identity.server.clone(),
        ..Status::default()
    };
    let talk =
        Talk { home, identity, shared: Arc::clone(&shared), facts: Facts::read(), stop: stopping, status };
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

/// Starts what watches the machine, each on a thread of its own. What this machine does not let us see is told and left
/// out; the rest goes on.
fn watching(outbox: Outbox, home: &Home, shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    let mut started = Vec::new();
    let source = |name: &'static str, mut run: Box<dyn FnMut(&Shared) -> io::Result<()> + Send>| {
        let shared = Arc::clone(shared);
        std::thread::Builder::new().name(name.into()).spawn(move || {
            if let Err(error) = run(&shared) {
                say(&format!("{name} are no longer watched: {error}"));
            }
        })
    };
    match processes::Processes::start(outbox.clone(), processes::Options::default()) {
        Ok(mut watched) => started.push(source("processes", Box::new(move |shared| watched.run(&shared.stop)))?),
        Err(error) => say(&format!("processes are not watched ({error}): the agent needs CAP_NET_ADMIN")),
    }
    let mut logs = logs::Logs::start(&outbox, logs::Options::of_this_machine(Some(home.logs())));
    started.push(source("logs", Box::new(move |shared| logs.run(&shared.stop)))?);
    Ok(started)
}
