//! Processes: the kernel's process connector says what happened, `/proc` who it is, at once, before it is gone. Where the kernel
//! lets us run a program of ours within it, that says with which arguments, however short the process lives. Without it the
//! kernel's audit says so of those that were gone, where its rules have it tell of programs; and where the connector is refused
//! too, audit alone makes the rows. A process of which nobody says more than the connector still gives a row, with what the
//! connector said and what is known of its parent.

mod audit;
mod connector;
mod hash;
mod join;
mod look;
mod probe;
mod recent;
mod row;
mod table;
mod ways;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use guardian_protocol::classes::PROCESSES;
use guardian_sys::netlink::{self, Family, Netlink};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use audit::{
    Assembler, Audit, Control as AuditControl, Executed, Options as AuditOptions, Rules as AuditRules,
    Status as AuditStatus, parse_status,
};
pub use connector::{Event, Sequences, What, listen_message, parse};
pub use look::{Known, Stream, look};
pub use probe::{Noted, Probe, parse as parse_record};
pub use recent::Recent;
pub use table::Table;
pub use ways::Ways;

use crate::outbox::Outbox;
use crate::sources::batcher::{Batcher, WAIT_MAX};
use crate::sources::kernel;
use crate::sources::names::Names;
use hash::Hashes;
use join::Join;
use row::{Extra, Row};
use ways::There;

/// Room for messages of the kernel that wait: some ten thousand of them.
const WAITING_BYTES: usize = 16 << 20;
/// How far before others the thread runs.
const HURRY: i32 = -15;
/// Messages after which rows that wait are looked at.
const ROUND: usize = 256;
/// How often a file is looked at that nobody wakes us for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often processes that are gone are forgotten, where nobody tells of ends.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// What is told, and what may be asked for it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether each fork is a row; what is executed is one anyway.
    pub forks: bool,
    /// Whether each end is a row.
    pub exits: bool,
    /// Programs up to this size are hashed.
    pub hash_bytes_max: u64,
    /// Whether the connector may be asked.
    pub connector: bool,
    /// Whether a program of ours may run in the kernel.
    pub probe: bool,
    /// Where audit's records come from, if they are needed.
    pub audit: AuditOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            forks: false,
            exits: true,
            hash_bytes_max: 64 << 20,
            connector: true,
            probe: true,
            audit: AuditOptions::default(),
        }
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages of the kernel.
    pub messages: AtomicU64,
    /// Messages that the kernel made and that did not come, by its own numbers.
    pub lost: AtomicU64,
    /// Arguments that the kernel noted and that did not come: those of their processes may be missing.
    pub ring_lost: AtomicU64,
    /// Records of audit that did not come.
    pub audit_lost: AtomicU64,
    /// Processes that executed something and were gone before they could be looked at.
    pub vanished: AtomicU64,
    /// Processes of which the kernel itself noted the arguments.
    pub noted: AtomicU64,
    /// Processes of which audit told that they executed something.
    pub audited: AtomicU64,
    /// Programs that were hashed.
    pub hashed: AtomicU64,
}

/// The connector's messages.
#[derive(Debug)]
struct Connector {
    socket: Netlink,
    sequences: Sequences,
}

impl Connector {
    fn open() -> io::Result<Self> {
        let socket = Netlink::open(Family::Connector, connector::GROUP)?;
        socket.reserve(WAITING_BYTES)?;
        socket.send(&listen_message())?;
        Ok(Self { socket, sequences: Sequences::default() })
    }
}

/// The source. One thread drives it.
#[derive(Debug)]
pub struct Processes {
    /// Each of the three, or why there is none.
    connector: Result<Connector, String>,
    probe: Result<Probe, String>,
    audit: Result<Audit, String>,
    join: Join,
    table: Table,
    hashes: Hashes,
    names: Names,
    boot: String,
    options: Options,
    counters: Arc<Counters>,
    batcher: Batcher,
    /// Who else wants to know of processes.
    recent: Arc<Recent>,
    begun: Instant,
    swept: Instant,
}

fn unwanted<T>() -> io::Result<T> {
    Err(io::Error::other("it is not wanted"))
}

impl Processes {
    /// Begins to listen, and looks at the processes that are there. It needs `CAP_NET_ADMIN` in the first namespaces, or what
    /// audit needs.
    pub fn start(outbox: Outbox, options: Options) -> io::Result<Self> {
        let connector = if options.connector { Connector::open() } else { unwanted() };
        let connector = connector.map_err(|error| format!("the proc connector: {error}, that needs CAP_NET_ADMIN"));
        let probe = if options.probe && connector.is_ok() { Probe::start() } else { unwanted() };
        let probe = probe.map_err(|error| format!("BPF: {error}"));
        let audit = if probe.is_err() { Audit::open(&options.audit) } else { unwanted() };
        let audit = audit.map_err(|error| error.to_string());
        if let (Err(why), Err(nor)) = (&connector, &audit) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{why}; {nor}")));
        }
        let mut table = Table::default();
        table.scan();
        let now = Instant::now();
        Ok(Self {
            connector,
            probe,
            audit,
            join: Join::default(),
            table,
            hashes: Hashes::new(options.hash_bytes_max),
            names: Names::default(),
            boot: boot_id(),
            options,
            counters: Arc::default(),
            batcher: Batcher::new(outbox, &PROCESSES),
            recent: Arc::default(),
            begun: now,
            swept: now,
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

    fn there(&self) -> There<'_> {
        let audit = self.audit.as_ref().map_err(String::as_str);
        There {
            connector: self.connector.as_ref().map(|_| ()).map_err(String::as_str),
            probe: self.probe.as_ref().map(|_| ()).map_err(String::as_str),
            audit: audit.map(|a| ways::Audit { tells: a.tells(), place: a.place(), lacking: a.lacking() }),
        }
    }

    /// By which ways processes are seen now: rules of audit come and go.
    pub fn ways(&self) -> Ways {
        self.there().ways()
    }

    /// What is not seen, and what would help; none where all is.
    pub fn lacking(&self) -> Option<String> {
        self.there().lacking()
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

    /// Works until it is told to stop; `told` hears by which ways, at first and whenever that changes.
    pub fn run(&mut self, stop: &AtomicBool, mut told: impl FnMut(Ways, Option<String>)) -> io::Result<()> {
        Self::hurry();
        let mut before = None;
        while !stop.load(Ordering::Relaxed) {
            self.step(WAIT_MAX / 2)?;
            if before != Some(self.ways()) {
                before = Some(self.ways());
                told(self.ways(), self.lacking());
            }
        }
        let mut rows = Vec::new();
        self.join.clear(&mut rows);
        self.push_all(rows);
        self.batcher.flush();
        Ok(())
    }

    /// Takes what waits, or waits for it.
    pub fn step(&mut self, wait: Duration) -> io::Result<()> {
        if self.wait(wait)? {
            self.hear()?;
            self.take_records()?;
        }
        self.lose_in_ring();
        let mut rows = Vec::new();
        self.join.tick(self.now_ms(), &mut rows);
        self.push_all(rows);
        if self.connector.is_err() && self.swept.elapsed() >= SWEEP_EVERY {
            self.swept = Instant::now();
            self.table.sweep();
        }
        self.batcher.tick();
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    /// Waits for a message or a record; false where none came in time.
    fn wait(&self, time: Duration) -> io::Result<bool> {
        let connector = self.connector.as_ref().ok().map(|connector| connector.socket.as_fd());
        let audit = self.audit.as_ref().ok();
        let fds: Vec<BorrowedFd<'_>> = connector.into_iter().chain(audit.and_then(Audit::fd)).collect();
        // A file wakes nobody; records that are there may wait for others still.
        let time = if audit.is_some() { time.min(LOOK_EVERY) } else { time };
        let mut fds: Vec<PollFd<'_>> = fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)) {
            Ok(ready) => Ok(ready > 0 || audit.is_some()),
            Err(nix::Error::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the connector's messages.
    fn hear(&mut self) -> io::Result<()> {
        let mut events = Vec::new();
        for _ in 0..ROUND {
            let Ok(connector) = &mut self.connector else { return Ok(()) };
            match connector.socket.receive() {
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
        Ok(())
    }

    /// Takes what audit tells.
    fn take_records(&mut self) -> io::Result<()> {
        let Ok(audit) = &mut self.audit else { return Ok(()) };
        let mut done = Vec::new();
        audit.take(&mut done)?;
        let lost = audit.lost();
        let mut rows = Vec::new();
        if lost > 0 {
            self.counters.audit_lost.fetch_add(lost, Ordering::Relaxed);
            self.batcher.lose_in_audit(&PROCESSES, lost);
            self.join.clear(&mut rows);
        }
        self.counters.audited.fetch_add(done.len() as u64, Ordering::Relaxed);
        for record in &done {
            if self.connector.is_err() {
                self.executed_by_audit(record);
            } else if self.join.recorded(record, self.now_ms(), &mut rows) {
                self.table.told_late(record);
            }
        }
        self.push_all(rows);
        Ok(())
    }

    /// Counts what the program in the kernel noted and had no room for.
    fn lose_in_ring(&mut self) {
        let Ok(probe) = &self.probe else { return };
        let lost = probe.lost();
        let before = self.counters.ring_lost.swap(lost, Ordering::Relaxed);
        self.batcher.lose_in_ring(&PROCESSES, lost.saturating_sub(before));
    }

    fn event(&mut self, event: &Event) {
        self.counters.messages.fetch_add(1, Ordering::Relaxed);
        let lost = self.connector.as_mut().map_or(0, |c| c.sequences.note(event.cpu, event.sequence));
        if lost > 0 {
            self.counters.lost.fetch_add(lost, Ordering::Relaxed);
            self.batcher.lose(&PROCESSES, lost);
            let mut rows = Vec::new();
            self.join.clear(&mut rows);
            self.push_all(rows);
        }
        let Some(what) = event.what else { return };
        let mut at = kernel::time(event.at_ns);
        match what {
            What::Fork { parent, pid } => {
                self.table.fork(parent, pid);
                self.remember(pid);
                if self.options.forks {
                    self.row("fork", pid, at, Extra::default());
                }
            }
            What::Exec { pid } => self.executed(pid, event.at_ns, at),
            What::User { pid, real, effective } => {
                if self.table.user(pid, real, effective) {
                    self.row("set_user", pid, at, Extra::default());
                }
            }
            What::Trace { pid, tracer } => {
                let target = self.table.get(pid).and_then(|e| e.known.image.clone());
                let extra = Extra { target: Some((pid, target)), ..Extra::default() };
                self.row("trace", tracer, at, extra);
            }
            What::Core { pid } => self.row("core", pid, at, Extra::default()),
            What::Exit { pid, status } => {
                if self.options.exits && self.table.get(pid).is_some_and(|e| e.executed) {
                    at = at.max(0);
                    self.row("exit", pid, at, Extra { status: Some(status), ..Extra::default() });
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
        let extra = Extra { complete: Some(complete), by: noted.map(|_| "bpf"), ..Extra::default() };
        let row = Row::of(&self.table, "exec", pid, at, extra);
        self.remember(pid);
        if !self.audit.as_ref().is_ok_and(Audit::tells) {
            return self.push(&row);
        }
        // What was seen is told at once; who is gone, or had given its arguments up, has to wait for what audit says.
        let seen = self.table.get(pid).is_some_and(|entry| entry.known.command.is_some());
        let mut rows = Vec::new();
        if let Some(record) = self.join.executed(row, seen, self.now_ms(), &mut rows) {
            self.table.told_late(&record);
        }
        self.push_all(rows);
    }

    /// Where audit alone tells that a process became another program.
    fn executed_by_audit(&mut self, record: &Executed) {
        let pid = record.pid;
        // Whoever runs another program by now is not the one that is told of.
        let seen = look(pid).filter(|known| known.image.is_some() && known.image == record.image);
        let complete = seen.is_some();
        if !complete {
            self.counters.vanished.fetch_add(1, Ordering::Relaxed);
        }
        self.table.meet(pid, record.parent);
        let sha256 = seen.as_ref().and_then(|_| self.hashes.of(pid, &self.counters.hashed));
        self.table.exec(pid, seen, None, sha256);
        self.table.told(record);
        self.remember(pid);
        let extra = Extra { complete: Some(complete), by: Some("audit"), ..Extra::default() };
        self.push(&Row::of(&self.table, "exec", pid, record.at, extra));
    }

    fn remember(&self, pid: u32) {
        if let Some(entry) = self.table.get(pid) {
            self.recent.put(pid, Arc::clone(&entry.known));
        }
    }

    /// Tells what the connector says, behind what waits of the same process.
    fn row(&mut self, activity: &'static str, pid: u32, at: i64, extra: Extra) {
        let row = Row::of(&self.table, activity, pid, at, extra);
        if let Some(row) = self.join.behind(pid, row) {
            self.push(&row);
        }
    }

    fn push(&mut self, row: &Row) {
        row::push(&mut self.batcher, &mut self.names, &self.boot, row);
    }

    fn push_all(&mut self, rows: Vec<Row>) {
        rows.iter().for_each(|row| self.push(row));
    }
}

/// Id of this boot.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
