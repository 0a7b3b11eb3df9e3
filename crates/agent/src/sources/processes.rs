//! Processes: the kernel's process connector says what happened, `/proc` who it is, at once, before it is gone. Where the kernel
//! lets us run a program of ours within it, that says with which arguments, however short the process lives. Without it, a process
//! that was gone already still gives a row, with what the connector said and what is known of its parent.

mod connector;
mod hash;
mod look;
mod probe;
mod recent;
mod row;
mod table;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use guardian_protocol::classes::PROCESSES;
use guardian_sys::netlink::{self, Family, Netlink};

pub use connector::{Event, Sequences, What, listen_message, parse};
pub use look::{Known, Stream, look};
pub use probe::{Noted, Probe, parse as parse_record};
pub use recent::Recent;
pub use table::Table;

use crate::outbox::Outbox;
use crate::sources::batcher::{Batcher, WAIT_MAX};
use crate::sources::kernel;
use crate::sources::names::Names;
use hash::Hashes;
pub(crate) use hash::hex;

/// Room for messages of the kernel that wait: some ten thousand of them.
const WAITING_BYTES: usize = 16 << 20;
/// How far before others the thread runs.
const HURRY: i32 = -15;
/// Messages after which rows that wait are looked at.
const ROUND: usize = 256;

/// What is told.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether each fork is a row; what is executed is one anyway.
    pub forks: bool,
    /// Whether each end is a row.
    pub exits: bool,
    /// Programs up to this size are hashed.
    pub hash_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { forks: false, exits: true, hash_bytes_max: 64 << 20 }
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages of the kernel.
    pub messages: AtomicU64,
    /// Messages that the kernel made and that did not come, by its own numbers.
    pub lost: AtomicU64,
    /// Processes that executed something and were gone before they could be looked at.
    pub vanished: AtomicU64,
    /// Processes of which the kernel itself noted the arguments.
    pub noted: AtomicU64,
    /// Programs that were hashed.
    pub hashed: AtomicU64,
}

/// The source. One thread drives it.
#[derive(Debug)]
pub struct Processes {
    socket: Netlink,
    sequences: Sequences,
    table: Table,
    hashes: Hashes,
    names: Names,
    boot: String,
    options: Options,
    counters: Arc<Counters>,
    batcher: Batcher,
    /// What has the kernel note arguments, or why there is none.
    probe: Result<Probe, String>,
    /// Who else wants to know of processes.
    recent: Arc<Recent>,
}

impl Processes {
    /// Begins to listen, and looks at the processes that are there. It needs `CAP_NET_ADMIN` in the first namespaces.
    pub fn start(outbox: Outbox, options: Options) -> io::Result<Self> {
        let socket = Netlink::open(Family::Connector, connector::GROUP)?;
        socket.reserve(WAITING_BYTES)?;
        socket.send(&listen_message())?;
        // Messages without arguments for short processes are better than none.
        let probe = Probe::start().map_err(|error| error.to_string());
        let mut table = Table::default();
        table.scan();
        Ok(Self {
            socket,
            sequences: Sequences::default(),
            table,
            hashes: Hashes::new(options.hash_bytes_max),
            names: Names::default(),
            boot: boot_id(),
            options,
            counters: Arc::default(),
            batcher: Batcher::new(outbox, &PROCESSES),
            probe,
            recent: Arc::default(),
        })
    }

    /// Has others know which programs run.
    pub fn share(&mut self, recent: Arc<Recent>) {
        self.recent = recent;
    }

    /// Whether the kernel notes arguments itself; else those of very short processes may be missing.
    pub fn is_probing(&self) -> bool {
        self.probe.is_ok()
    }

    /// Why the kernel does not note arguments itself; none where it does.
    pub fn unprobed(&self) -> Option<&str> {
        self.probe.as_ref().err().map(String::as_str)
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Lets the calling thread, which is to drive this, run before ordinary ones: a short command lives for less than a
    /// millisecond, and has to be looked at within it. Where that is not permitted, more of them are gone when looked at.
    pub fn hurry() -> bool {
        guardian_sys::process::nice_thread(HURRY).is_ok()
    }

    /// Works until it is told to stop.
    pub fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        Self::hurry();
        while !stop.load(Ordering::Relaxed) {
            self.step(WAIT_MAX / 2)?;
        }
        self.batcher.flush();
        Ok(())
    }

    /// Takes what waits, or waits for it.
    pub fn step(&mut self, wait: Duration) -> io::Result<()> {
        if self.socket.wait(wait)? {
            let mut events = Vec::new();
            for _ in 0..ROUND {
                match self.socket.receive() {
                    Ok(Some(datagram)) => parse(datagram, |event| events.push(event)),
                    Ok(None) => break,
                    // The numbers of the messages that come next say how many.
                    Err(error) if netlink::lost(&error) => {}
                    Err(error) => return Err(error),
                }
                // Whoever has just begun may be gone soon: look before the next message is taken.
                for event in events.drain(..) {
                    self.event(&event);
                }
            }
        }
        self.batcher.tick();
        Ok(())
    }

    fn event(&mut self, event: &Event) {
        self.counters.messages.fetch_add(1, Ordering::Relaxed);
        let lost = self.sequences.note(event.cpu, event.sequence);
        if lost > 0 {
            self.counters.lost.fetch_add(lost, Ordering::Relaxed);
            self.batcher.lose(&PROCESSES, lost);
        }
        let Some(what) = event.what else { return };
        let mut at = kernel::time(event.at_ns);
        match what {
            What::Fork { parent, pid } => {
                self.table.fork(parent, pid);
                self.remember(pid);
                if self.options.forks {
                    self.row("fork", pid, at, row::Extra::default());
                }
            }
            What::Exec { pid } => self.executed(pid, event.at_ns, at),
            What::User { pid, real, effective } => {
                if self.table.user(pid, real, effective) {
                    self.row("set_user", pid, at, row::Extra::default());
                }
            }
            What::Trace { pid, tracer } => {
                let target = self.table.get(pid).and_then(|e| e.known.image.clone());
                let extra = row::Extra { target: Some((pid, target)), ..row::Extra::default() };
                self.row("trace", tracer, at, extra);
            }
            What::Core { pid } => self.row("core", pid, at, row::Extra::default()),
            What::Exit { pid, status } => {
                if self.options.exits && self.table.get(pid).is_some_and(|e| e.executed) {
                    at = at.max(0);
                    self.row("exit", pid, at, row::Extra { status: Some(status), ..row::Extra::default() });
                }
                self.table.exit(pid);
                if let Ok(probe) = &mut self.probe {
                    probe.forget(pid);
                }
            }
        }
    }

    fn executed(&mut self, pid: u32, at_ns: u64, at: i64) {
        // Whoever is on the way out has numbers still, and neither program nor arguments nor parent.
        let mut seen = look(pid).filter(|known| known.image.is_some() || known.command.is_some());
        let noted = self.probe.as_mut().ok().and_then(|probe| probe.take(pid, at_ns));
        if noted.is_some() {
            self.counters.noted.fetch_add(1, Ordering::Relaxed);
            // Whoever has executed something else since was seen as that.
            if self.probe.as_mut().is_ok_and(|probe| probe.moved_on(pid)) {
                seen = None;
            }
        }
        let complete = seen.is_some();
        if !complete {
            self.counters.vanished.fetch_add(1, Ordering::Relaxed);
        }
        let sha256 = seen.as_ref().and_then(|_| self.hashes.of(pid, &self.counters.hashed));
        self.table.exec(pid, seen, noted.as_ref(), sha256);
        self.remember(pid);
        let extra = row::Extra { complete: Some(complete), noted: noted.is_some(), ..row::Extra::default() };
        self.row("exec", pid, at, extra);
    }

    fn remember(&self, pid: u32) {
        if let Some(entry) = self.table.get(pid) {
            self.recent.put(pid, Arc::clone(&entry.known));
        }
    }

    fn row(&mut self, activity: &str, pid: u32, at: i64, extra: row::Extra) {
        row::push(
            &mut self.batcher,
            &mut self.names,
            &self.table,
            &row::Row { activity, pid, at, boot: &self.boot, extra },
        );
    }
}

/// Id of this boot.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
