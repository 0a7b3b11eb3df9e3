//! Connections and listening ports with their process: the kernel's list of sockets each second, less often where that costs
//! too much, and what it says of each socket that goes, so that one that came and went in between is seen too.
//!
//! The list names the owner of a socket that is there; of one that came and went between two lists its addresses are known, and not
//! its process, which has let go of it by then. Where the kernel lets us run a program of ours within it, that notes the process of each
//! TCP connection as it comes to be, however short it lasts, and of each port that is listened on.

mod diag;
mod owner;
mod probe;
mod tracker;

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use guardian_protocol::Cell;
use guardian_protocol::classes::{CONNECTIONS, ConnectionColumn as C};
use guardian_sys::netlink::{self, Family, Netlink};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use diag::{Part, Socket, dump_message, parse};
pub use owner::{Owner, Owners};
pub use probe::{Became, By, Change, Probe, parse as parse_change};
pub use tracker::{Activity, Event, Noted, Seen, Tracker};

use crate::outbox::Outbox;
use crate::sources::batcher::{Batcher, WAIT_MAX, number, some_text, text};
use crate::sources::kernel;
use crate::sources::logs::address;
use crate::sources::names::Names;
use crate::sources::processes::{Recent, boot_id};

/// Room for what the kernel says of sockets that go.
const WAITING_BYTES: usize = 4 << 20;
/// How long one answer of the kernel may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The list is asked for again after this many times as long as it took: at most half a percent of a processor.
const REST: u32 = 200;
/// Messages after which rows that wait are looked at.
const ROUND: usize = 1_024;
/// What the kernel noted is taken at once, and then again after this time, so that many connections wake us no more than so often.
const BREATH: Duration = Duration::from_millis(4);

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Lists that were asked for.
    pub dumps: AtomicU64,
    /// Sockets that went.
    pub destroyed: AtomicU64,
    /// Times that the kernel said that messages did not fit.
    pub overflows: AtomicU64,
    /// Connections for which there was no room.
    pub untracked: AtomicU64,
    /// Connections and ports that the kernel noted as they came to be.
    pub noted: AtomicU64,
    /// What it noted and had no room for: those connections are seen by their end, or in a list, and may be without process.
    pub lost: AtomicU64,
}

/// The source. One thread drives it.
#[derive(Debug)]
pub struct Connections {
    ask: Netlink,
    hear: Netlink,
    tracker: Tracker,
    owners: Owners,
    names: Names,
    boot: String,
    every: Duration,
    dumped: Option<Instant>,
    /// What the last list took.
    took: Duration,
    counters: Arc<Counters>,
    batcher: Batcher,
    /// What has the kernel note connections, or why there is none.
    probe: Result<Probe, String>,
    drained: Instant,
}

impl Connections {
    /// Begins to listen; the list of sockets is asked for each time after `every`, or later where it costs much.
    pub fn start(outbox: Outbox, every: Duration) -> io::Result<Self> {
        let hear = Netlink::open(Family::SockDiag, diag::DESTROY_GROUPS)?;
        hear.reserve(WAITING_BYTES)?;
        // Short connections without their process are better than none.
        let probe = Probe::start().map_err(|error| error.to_string());
        Ok(Self {
            ask: Netlink::open(Family::SockDiag, 0)?,
            hear,
            tracker: Tracker::new(ephemeral_port_min()),
            owners: Owners::default(),
            names: Names::default(),
            boot: boot_id(),
            every,
            dumped: None,
            took: Duration::ZERO,
            counters: Arc::default(),
            batcher: Batcher::new(outbox, &CONNECTIONS),
            probe,
            drained: Instant::now(),
        })
    }

    /// Has it look where the source of processes tells what runs.
    pub fn share(&mut self, recent: Arc<Recent>) {
        self.owners.share(recent);
    }

    /// Why the kernel does not note connections itself; none where it does.
    pub fn unprobed(&self) -> Option<&str> {
        self.probe.as_ref().err().map(String::as_str)
    }

    /// Goes on without the program in the kernel.
    pub fn without_probe(&mut self) {
        self.probe = Err("it is not wanted".to_owned());
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Works until it is told to stop.
    pub fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            self.step(WAIT_MAX / 2)?;
        }
        self.batcher.flush();
        Ok(())
    }

    /// Takes what waits, or waits for it; asks for the list if it is time.
    pub fn step(&mut self, wait: Duration) -> io::Result<()> {
        let after = self.every.max(self.took * REST);
        if self.dumped.is_none_or(|at| at.elapsed() >= after) {
            let begun = Instant::now();
            self.dump()?;
            self.took = begun.elapsed();
            self.dumped = Some(begun);
        }
        if self.wait(wait)? {
            std::thread::sleep(BREATH.saturating_sub(self.drained.elapsed()));
            self.hear()?;
        }
        self.batcher.tick();
        Ok(())
    }

    /// Waits for word of a socket that comes or goes; false where none came in time.
    fn wait(&self, time: Duration) -> io::Result<bool> {
        let Ok(probe) = &self.probe else { return self.hear.wait(time) };
        let mut both = [self.hear.as_fd(), probe.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut both, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)) {
            Ok(ready) => Ok(ready > 0),
            Err(nix::Error::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes what the kernel noted.
    fn drain(&mut self) {
        let Ok(probe) = &mut self.probe else { return };
        let (changes, lost) = (probe.drain(), probe.lost());
        self.drained = Instant::now();
        let before = self.counters.lost.swap(lost, Ordering::Relaxed);
        self.batcher.lose_in_ring(&CONNECTIONS, lost.saturating_sub(before));
        self.counters.noted.fetch_add(changes.len() as u64, Ordering::Relaxed);
        for (change, since_ns) in changes {
            let (since, at) = (kernel::time(since_ns), kernel::time(change.at_ns));
            let owner = change.by.as_ref().map(|by| self.owners.named(by));
            let noted = Noted { became: change.became, socket: change.socket, owner, since, at };
            let events = self.tracker.noted(noted);
            self.tell(events);
        }
    }

    fn hear(&mut self) -> io::Result<()> {
        let now = crate::now();
        let mut gone = Vec::new();
        for _ in 0..ROUND {
            match self.hear.receive() {
                Ok(Some(datagram)) => parse(datagram, |part| {
                    if let Part::Socket(socket) = part {
                        gone.push(socket);
                    }
                }),
                Ok(None) => break,
                Err(error) if netlink::lost(&error) => {
                    self.counters.overflows.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        // Each of these came to be before it went.
        self.drain();
        self.counters.destroyed.fetch_add(gone.len() as u64, Ordering::Relaxed);
        for socket in gone {
            let events = self.tracker.destroyed(&socket, now);
            self.tell(events);
        }
        Ok(())
    }

    fn dump(&mut self) -> io::Result<()> {
        let now = crate::now();
        let mut sockets = Vec::new();
        for (family, protocol) in
            [(diag::INET, diag::TCP), (diag::INET6, diag::TCP), (diag::INET, diag::UDP), (diag::INET6, diag::UDP)]
        {
            self.ask.send(&dump_message(family, protocol))?;
            let asked = Instant::now();
            let mut whole = false;
            while !whole && asked.elapsed() < ANSWER_MAX && self.ask.wait(ANSWER_MAX)? {
                while let Some(datagram) = self.ask.receive()? {
                    parse(datagram, |part| match part {
                        Part::Socket(socket) => sockets.push(Socket { protocol, ..socket }),
                        Part::End => whole = true,
                    });
                }
            }
            if !whole {
                // Half a list would close what is not in it.
                return Ok(());
            }
        }
        self.counters.dumps.fetch_add(1, Ordering::Relaxed);
        // What came to be before it was in a list was noted before.
        self.drain();
        let new = self.tracker.unknown(&sockets);
        let owners = if new.is_empty() { Default::default() } else { self.owners.of(&new) };
        let events = self.tracker.dumped(sockets, &owners, now);
        self.counters.untracked.store(self.tracker.untracked, Ordering::Relaxed);
        self.tell(events);
        Ok(())
    }

    fn tell(&mut self, events: Vec<Event>) {
        for event in events {
            self.row(&event);
        }
    }

    fn row(&mut self, event: &Event) {
        let socket = &event.socket;
        let listens = matches!(event.activity, Activity::Listen | Activity::Unlisten);
        let (local, remote) =
            ((address(socket.local), socket.local_port), (address(socket.remote), socket.remote_port));
        let (from, to) = match (listens, event.initiated) {
            (true, _) => (None, local),
            (false, Some(false)) => (Some(remote), local),
            (false, _) => (Some(local), remote),
        };
        let owner = event.owner.as_deref();
        let user = Some(socket.uid)
            .filter(|_| event.seen != Seen::Ended)
            .and_then(|uid| self.names.user(uid))
            .map(str::to_owned);
        let interface = (socket.interface != 0).then(|| format!("if{}", socket.interface));
        let mut cells = [Cell::Null; C::COUNT];
        let mut set = |column: C, cell| cells[column as usize] = cell;
        set(C::Time, Cell::Time(event.at));
        set(C::Boot, text(&self.boot));
        set(C::Activity, Cell::Text(event.activity.as_str()));
        set(C::Protocol, Cell::Number(socket.protocol.into()));
        set(C::SrcIp, from.as_ref().map_or(Cell::Null, |f| Cell::Bytes(&f.0)));
        set(C::SrcPort, number(from.map(|f| f.1)));
        set(C::DstIp, Cell::Bytes(&to.0));
        set(C::DstPort, Cell::Number(to.1.into()));
        set(C::Initiated, event.initiated.filter(|_| !listens).map_or(Cell::Null, Cell::Bool));
        set(C::Start, Cell::Time(event.since));
        set(C::End, if event.ended { Cell::Time(event.at) } else { Cell::Null });
        set(C::State, text(socket.state_name()));
        set(C::BytesSent, number(socket.bytes.filter(|_| event.ended).map(|b| b.0)));
        set(C::BytesReceived, number(socket.bytes.filter(|_| event.ended).map(|b| b.1)));
        set(C::Interface, some_text(interface.as_deref()));
        set(C::Pid, number(owner.map(|o| o.pid)));
        set(C::StartTicks, number(owner.and_then(|o| o.known.start_ticks)));
        set(C::Name, some_text(owner.map(|o| o.known.name.as_str())));
        set(C::Image, some_text(owner.and_then(|o| o.known.image.as_deref())));
        set(C::CommandLine, some_text(owner.and_then(|o| o.known.command.as_deref())));
        set(C::Uid, number(Some(socket.uid).filter(|_| event.seen != Seen::Ended)));
        set(C::User, some_text(user.as_deref()));
        set(C::LoginUid, number(owner.and_then(|o| o.known.login_uid)));
        set(C::Unit, some_text(owner.and_then(|o| o.known.unit())));
        set(C::Container, some_text(owner.and_then(|o| o.known.container.as_deref())));
        set(C::Inode, number(Some(socket.inode).filter(|i| *i != 0)));
        set(C::Cookie, number(Some(socket.cookie).filter(|c| *c != 0)));
        set(C::Source, Cell::Text(event.seen.as_str()));
        self.batcher.push(&cells);
    }
}

/// The lowest port that the system gives to clients.
fn ephemeral_port_min() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32_768)
}
