//! What the kernel itself says of a process in the moment in which it becomes another program: its arguments, also where it
//! lives too short for a look at `/proc`. A supplement to the connector's messages, which come right behind it. Where the kernel
//! does not allow it, or does not say how it is laid out, there is none, and [`Probe::start`] says why.

mod program;

use std::collections::{HashMap, VecDeque};
use std::io;

use guardian_sys::bpf::{Attached, Counter, Ring, Scratch, attach};

use crate::sources::kernel::{self, code::LICENSE};
use program::{COMMAND_BYTES, HEAD_BYTES, IMAGE_BYTES, Places, RECORD_BYTES_MAX, STRUCTURES, TEXT_AT};

/// Room for what was not taken yet: some three thousand short commands, two seconds of what two cores can start. The agent has
/// it in memory twice.
const RING_BYTES: u32 = 1 << 20;
/// Records that wait for the connector's message.
const WAITING_MAX: usize = 4_096;
/// Records of one process that wait.
const WAITING_EACH_MAX: usize = 16;

/// What was noted of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// The process.
    pub pid: u32,
    /// When, on the monotonic clock.
    pub at_ns: u64,
    /// Its user.
    pub uid: u32,
    /// The user whose rights it has.
    pub euid: u32,
    /// Effective capabilities.
    pub capabilities: u64,
    /// When it began, in nanoseconds since boot.
    pub start_ns: u64,
    /// Who signed in, as the kernel has it.
    pub login_uid: u32,
    /// The login session, as the kernel has it.
    pub session: u32,
    /// Its parent.
    pub parent: u32,
    /// The program, by the name by which it was found; for a script what runs it.
    pub image: String,
    /// Its arguments, each with a zero behind it; cut at 4,096 bytes.
    pub arguments: Vec<u8>,
}

/// Reads a record; none where it is not one.
pub fn parse(record: &[u8]) -> Option<Noted> {
    if record.len() < HEAD_BYTES {
        return None;
    }
    let half = |at: usize| Some(u32::from_ne_bytes(record.get(at..at + 4)?.try_into().ok()?));
    let word = |at: usize| Some(u64::from_ne_bytes(record.get(at..at + 8)?.try_into().ok()?));
    let command = (half(56)? as usize).min(COMMAND_BYTES);
    // A negative length says that the path could not be read.
    let path = half(60).map(u32::cast_signed).and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(IMAGE_BYTES);
    let path = record.get(TEXT_AT..TEXT_AT + path)?;
    Some(Noted {
        pid: (word(0)? >> 32) as u32,
        at_ns: word(8)?,
        uid: word(16)? as u32,
        capabilities: word(24)?,
        start_ns: word(32)?,
        login_uid: half(40)?,
        session: half(44)?,
        parent: half(48)?,
        euid: half(52)?,
        image: String::from_utf8_lossy(path.split(|b| *b == 0).next().unwrap_or_default()).into_owned(),
        arguments: record.get(HEAD_BYTES..HEAD_BYTES + command)?.to_vec(),
    })
}

/// Records that wait for the connector's message, oldest first for each process. Bounded.
#[derive(Debug, Default)]
struct Waiting {
    of: HashMap<u32, VecDeque<Noted>>,
    count: usize,
    order: VecDeque<u32>,
    /// Records that had to go for want of room.
    dropped: u64,
}

impl Waiting {
    fn put(&mut self, noted: Noted) {
        while self.count >= WAITING_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.drop_first(oldest);
        }
        let pid = noted.pid;
        let own = self.of.entry(pid).or_default();
        if own.len() >= WAITING_EACH_MAX {
            own.pop_front();
            self.count -= 1;
            self.dropped += 1;
        }
        own.push_back(noted);
        self.count += 1;
        self.order.push_back(pid);
        // Whoever was taken is still in the order; it is bounded as well.
        while self.order.len() > 2 * WAITING_MAX {
            self.order.pop_front();
        }
    }

    fn drop_first(&mut self, pid: u32) {
        let Some(own) = self.of.get_mut(&pid) else { return };
        if own.pop_front().is_some() {
            self.count -= 1;
            self.dropped += 1;
        }
        if own.is_empty() {
            self.of.remove(&pid);
        }
    }

    /// The newest record of a process that is not newer than a message; those before it go.
    fn take(&mut self, pid: u32, at_ns: u64) -> Option<Noted> {
        let own = self.of.get_mut(&pid)?;
        let mut found = None;
        while own.front().is_some_and(|noted| noted.at_ns <= at_ns) {
            found = own.pop_front();
            self.count -= 1;
        }
        if own.is_empty() {
            self.of.remove(&pid);
        }
        found
    }

    fn forget(&mut self, pid: u32) {
        if let Some(own) = self.of.remove(&pid) {
            self.count -= own.len();
        }
    }
}

/// The program in the kernel, and what it has noted.
#[derive(Debug)]
pub struct Probe {
    ring: Ring,
    _scratch: Scratch,
    lost: Counter,
    waiting: Waiting,
    _attached: Attached,
}

impl Probe {
    /// Has the kernel run the program. It needs `CAP_BPF` and `CAP_PERFMON`, and a kernel that says how it is laid out.
    pub fn start() -> io::Result<Self> {
        let places = kernel::places(STRUCTURES, Places::of)?;
        let (ring, lost) = (Ring::new(RING_BYTES)?, Counter::new()?);
        let scratch = Scratch::new(RECORD_BYTES_MAX as u32)?;
        let code = program::program(&places, ring.fd(), scratch.fd(), lost.fd());
        let attached = attach(&code, "guardian_exec", LICENSE, "sched_process_exec")?;
        Ok(Self { ring, _scratch: scratch, lost, waiting: Waiting::default(), _attached: attached })
    }

    fn drain(&mut self) {
        let waiting = &mut self.waiting;
        self.ring.drain(|record| {
            if let Some(noted) = parse(record) {
                waiting.put(noted);
            }
        });
    }

    /// What was noted when a process executed something, for the message of that time.
    pub fn take(&mut self, pid: u32, at_ns: u64) -> Option<Noted> {
        self.drain();
        self.waiting.take(pid, at_ns)
    }

    /// Whether a process has executed something else since: what `/proc` says of it then is of that.
    pub fn moved_on(&mut self, pid: u32) -> bool {
        self.drain();
        self.waiting.of.contains_key(&pid)
    }

    /// A process ended.
    pub fn forget(&mut self, pid: u32) {
        self.waiting.forget(pid);
    }

    /// Records for which there was no room, in the ring or among those that wait for the connector's message.
    pub fn lost(&self) -> u64 {
        self.lost.get().unwrap_or(0) + self.waiting.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(pid: u32, at_ns: u64, path: &[u8], arguments: &[u8]) -> Vec<u8> {
        let mut record = vec![0; HEAD_BYTES + arguments.len()];
        let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &(u64::from(pid) << 32 | 99).to_ne_bytes());
        put(8, &at_ns.to_ne_bytes());
        put(48, &7u32.to_ne_bytes());
        put(56, &(arguments.len() as u32).to_ne_bytes());
        put(60, &(path.len() as u32 + 1).to_ne_bytes());
        put(TEXT_AT, path);
        put(HEAD_BYTES, arguments);
        record
    }

    #[test]
    fn records_are_read_and_wrong_lengths_bounded() {
        let noted = parse(&record(5, 8, b"/bin/sh", b"sh\0-c\0id\0")).unwrap();
        assert_eq!((noted.pid, noted.at_ns, noted.parent, &*noted.image), (5, 8, 7, "/bin/sh"));
        assert_eq!(noted.arguments, b"sh\0-c\0id\0");
        let mut wrong = record(5, 8, b"/bin/sh", &[b'x'; COMMAND_BYTES]);
        assert_eq!(wrong.len(), RECORD_BYTES_MAX);
        wrong[56..64].fill(0xff);
        let noted = parse(&wrong).unwrap();
        assert_eq!((noted.image.len(), noted.arguments.len()), (0, COMMAND_BYTES));
        assert_eq!(parse(&wrong[..RECORD_BYTES_MAX - 1]), None, "it says that it has more than it has");
        assert_eq!(parse(&record(5, 8, b"/bin/sh", b"")[..HEAD_BYTES - 1]), None);
    }

    #[test]
    fn a_message_gets_the_newest_record_before_it() {
        let mut waiting = Waiting::default();
        let noted = |pid, at_ns| Noted { pid, at_ns, ..Noted::default() };
        for at_ns in [10, 20, 30] {
            waiting.put(noted(5, at_ns));
        }
        assert_eq!(waiting.take(5, 25).map(|n| n.at_ns), Some(20));
        assert_eq!(waiting.take(5, 25), None);
        assert_eq!(waiting.take(5, 99).map(|n| n.at_ns), Some(30));
        assert_eq!((waiting.count, waiting.of.len()), (0, 0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut waiting = Waiting::default();
        for pid in 0..3 * WAITING_MAX as u32 {
            waiting.put(Noted { pid, ..Noted::default() });
        }
        assert_eq!((waiting.count, waiting.of.len()), (WAITING_MAX, WAITING_MAX));
        assert_eq!(waiting.dropped, 2 * WAITING_MAX as u64);
        for at_ns in 0..100 {
            waiting.put(Noted { pid: u32::MAX, at_ns, ..Noted::default() });
        }
        assert_eq!(waiting.of[&u32::MAX].len(), WAITING_EACH_MAX);
        waiting.forget(u32::MAX);
        assert!(waiting.count <= WAITING_MAX && !waiting.of.contains_key(&u32::MAX));
    }
}
