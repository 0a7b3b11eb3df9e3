//! What watches the machine, each source on a thread of its own. What this machine does not let us see is told and left
//! out; the rest goes on.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::home::Home;
use crate::integrity::{Integrity, Plan};
use crate::outbox::Outbox;
use crate::run::{Settings, say};
use crate::sources::connections::Connections;
use crate::sources::health::Health;
use crate::sources::logs::{self, Logs};
use crate::sources::processes::{self, Processes};
use crate::spooler::Shared;

/// A source at work: it ends when it is told to stop, or with what went wrong.
type Run = Box<dyn FnOnce(&Shared) -> io::Result<()> + Send>;

/// Starts all sources.
pub(crate) fn start(
    outbox: &Outbox,
    settings: &Settings,
    home: &Home,
    shared: &Arc<Shared>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let mut health = Health::start(outbox.clone(), settings.health_every);
    let mut logs = Logs::start(outbox, logs::Options::of_this_machine(Some(home.logs())));
    let mut sources: Vec<(&'static str, Run)> = vec![
        ("health", Box::new(move |shared| Ok(health.run(&shared.stop)))),
        ("logs", Box::new(move |shared| logs.run(&shared.stop))),
    ];
    match Processes::start(outbox.clone(), processes::Options::default()) {
        Ok(mut processes) => sources.push(("processes", Box::new(move |shared| processes.run(&shared.stop)))),
        Err(error) => say(&format!("processes are not watched ({error}): that needs CAP_NET_ADMIN")),
    }
    match Connections::start(outbox.clone(), settings.sockets_every) {
        Ok(mut connections) => sources.push(("connections", Box::new(move |shared| connections.run(&shared.stop)))),
        Err(error) => say(&format!("connections are not watched ({error}): that needs CAP_NET_ADMIN")),
    }
    if let Some(policy) = &settings.files {
        let plan =
            Plan { policy: policy.clone(), bytes_per_second: settings.scan_bytes_per_second, folder: home.files() };
        match Integrity::start(outbox.clone(), plan) {
            Ok(mut integrity) => sources.push(("files", Box::new(move |shared| integrity.run(&shared.stop)))),
            Err(error) => say(&format!("files are not watched: {error}")),
        }
    }
    sources.into_iter().map(|(name, run)| thread(name, run, shared)).collect()
}

fn thread(name: &'static str, run: Run, shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name(name.into()).spawn(move || {
        if let Err(error) = run(&shared) {
            say(&format!("{name} are no longer watched: {error}"));
        }
    })
}
