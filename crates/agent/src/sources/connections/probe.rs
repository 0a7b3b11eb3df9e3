//! What the kernel itself says of TCP connections in the moment in which they come to be: between which ends, and which process
//! asked for them, however short they last. A supplement to the list of sockets, which has what was there before and what no
//! process asks for. Where the kernel does not allow it, or does not say how it is laid out, there is none, and [`Probe::start`]
//! says why.

mod program;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;

use guardian_sys::bpf::{Attached, Counter, Ring, attach};

use super::diag::{CLOSE, INET, INET6, LISTEN, Socket, TCP};
use crate::sources::kernel::{self, code::LICENSE};
use program::{
    COMMAND_BYTES, ESTABLISHED, NAME_BYTES, Places, RECORD_BYTES, SOCKET_BYTES, STRUCTURES, SYN_SENT, TEXT_AT,
};

/// Room for what was not taken yet: some 2,800 connections that were made, twice as many that were accepted.
const RING_BYTES: u32 = 2 << 20;
/// Sockets that are connecting.
const OPENING_MAX: usize = 16_384;

/// The process that connects or listens, as the kernel noted it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct By {
    /// Its number.
    pub pid: u32,
    /// When it began, in nanoseconds since boot.
    pub start_ns: u64,
    /// Its user.
    pub uid: u32,
    /// Who signed in, as the kernel has it.
    pub login_uid: u32,
    /// Its name for itself.
    pub name: String,
    /// Its arguments, each with a zero behind it; cut at 512 bytes.
    pub arguments: Vec<u8>,
}

/// What became of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// A process has it connect.
    Connecting,
    /// A process listens on it.
    Listening,
    /// It is connected.
    Connected {
        /// Whether this side asked for it.
        initiated: bool,
    },
    /// It was connecting, and nobody answered, or nobody wanted it.
    Refused,
}

/// A socket in another state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place in the kernel's memory: a name for as long as it is there.
    pub place: u64,
    /// When, on the monotonic clock.
    pub at_ns: u64,
    /// What became of it.
    pub became: Became,
    /// Its ends; neither cookie nor inode are known.
    pub socket: Socket,
    /// Who did it.
    pub by: Option<By>,
}

/// Reads a record; none where it is not one.
pub fn parse(record: &[u8]) -> Option<Change> {
    let head = record.get(..SOCKET_BYTES)?;
    let half = |at: usize| Some(u32::from_ne_bytes(record.get(at..at + 4)?.try_into().ok()?));
    let word = |at: usize| Some(u64::from_ne_bytes(record.get(at..at + 8)?.try_into().ok()?));
    let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let four = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(&head[at..at + 4]).ok()?)));
    let six = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(&head[at..at + 16]).ok()?).to_canonical());
    let (after, before) = (u8::try_from(half(32)?).ok()?, u8::try_from(half(36)?).ok()?);
    let became = match (before, after) {
        (_, SYN_SENT) => Became::Connecting,
        (_, LISTEN) => Became::Listening,
        (before, ESTABLISHED) => Became::Connected { initiated: before == SYN_SENT },
        (SYN_SENT, CLOSE) => Became::Refused,
        _ => return None,
    };
    let (local, remote) = match u8::try_from(u16::from_ne_bytes([head[40], head[41]])).ok()? {
        INET => (four(56)?, four(60)?),
        INET6 => (six(64)?, six(80)?),
        _ => return None,
    };
    let own = matches!(became, Became::Connecting | Became::Listening);
    let socket = Socket {
        protocol: TCP,
        // What came to nothing is told as what it was.
        state: if became == Became::Refused { SYN_SENT } else { after },
        local,
        local_port: port(42),
        remote: if became == Became::Listening { unspecified(local) } else { remote },
        remote_port: if became == Became::Listening { 0 } else { port(44) },
        interface: half(48)?,
        cookie: 0,
        uid: half(52)?,
        inode: 0,
        bytes: None,
    };
    let by = if own { Some(by(record, (word(16)? >> 32) as u32, half(24)?)?) } else { None };
    Some(Change { place: word(0)?, at_ns: word(8)?, became, socket, by })
}

fn by(record: &[u8], pid: u32, uid: u32) -> Option<By> {
    let record = record.get(..RECORD_BYTES)?;
    let half = |at: usize| Some(u32::from_ne_bytes(record.get(at..at + 4)?.try_into().ok()?));
    let name = &record[112..112 + NAME_BYTES];
    let length = (half(108)? as usize).min(COMMAND_BYTES);
    Some(By {
        pid,
        start_ns: u64::from_ne_bytes(record.get(96..104)?.try_into().ok()?),
        uid,
        login_uid: half(104)?,
        name: String::from_utf8_lossy(name.split(|b| *b == 0).next().unwrap_or_default()).into_owned(),
        arguments: record[TEXT_AT..TEXT_AT + length].to_vec(),
    })
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Who has which socket connect, until it is connected or is not. Bounded: the oldest go.
#[derive(Debug, Default)]
struct Opening {
    of: HashMap<u64, (u64, By)>,
    order: VecDeque<(u64, u64)>,
}

impl Opening {
    fn put(&mut self, place: u64, at_ns: u64, by: By) {
        while self.of.len() >= OPENING_MAX || self.order.len() >= 2 * OPENING_MAX {
            let Some((place, at_ns)) = self.order.pop_front() else { break };
            // The same place may be another socket's by now.
            if self.of.get(&place).is_some_and(|(at, _)| *at == at_ns) {
                self.of.remove(&place);
            }
        }
        self.of.insert(place, (at_ns, by));
        self.order.push_back((place, at_ns));
    }

    /// Takes a change; what is news comes back, with who did it where that is known, and since when.
    fn take(&mut self, change: Change) -> Option<(Change, u64)> {
        let place = change.place;
        match change.became {
            Became::Connecting => {
                self.put(place, change.at_ns, change.by?);
                None
            }
            Became::Connected { initiated: true } | Became::Refused => {
                let (since, by) = self.of.remove(&place).map_or((change.at_ns, None), |(at, by)| (at, Some(by)));
                Some((Change { by, ..change }, since))
            }
            Became::Connected { initiated: false } | Became::Listening => {
                let since = change.at_ns;
                Some((change, since))
            }
        }
    }
}

/// The program in the kernel, and what it has noted.
#[derive(Debug)]
pub struct Probe {
    ring: Ring,
    lost: Counter,
    opening: Opening,
    _attached: Attached,
}

impl Probe {
    /// Has the kernel run the program for sockets of the calling thread's network namespace. It needs `CAP_BPF` and
    /// `CAP_PERFMON`, and a kernel that says how it is laid out.
    pub fn start() -> io::Result<Self> {
        let places = kernel::places(STRUCTURES, Places::of)?;
        let namespace = std::fs::metadata("/proc/thread-self/ns/net").ok().map(|about| about.ino() as u32);
        let (ring, lost) = (Ring::new(RING_BYTES)?, Counter::new()?);
        let code = program::program(&places, namespace, ring.fd(), lost.fd());
        let attached = attach(&code, "guardian_conn", LICENSE, "inet_sock_set_state")?;
        Ok(Self { ring, lost, opening: Opening::default(), _attached: attached })
    }

    /// What was noted since: changes, each with when it began, on the monotonic clock.
    pub fn drain(&mut self) -> Vec<(Change, u64)> {
        let (mut changes, opening) = (Vec::new(), &mut self.opening);
        self.ring.drain(|record| changes.extend(parse(record).and_then(|change| opening.take(change))));
        changes
    }

    /// Records for which there was no room.
    pub fn lost(&self) -> u64 {
        self.lost.get().unwrap_or(0)
    }
}

impl AsFd for Probe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(place: u64, before: u8, after: u8, own: bool) -> Vec<u8> {
        let mut record = vec![0; if own { RECORD_BYTES } else { SOCKET_BYTES }];
        let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &place.to_ne_bytes());
        put(8, &77u64.to_ne_bytes());
        put(16, &(5u64 << 32 | 99).to_ne_bytes());
        put(24, &33u32.to_ne_bytes());
        put(32, &u32::from(after).to_ne_bytes());
        put(36, &u32::from(before).to_ne_bytes());
        put(40, &u16::from(INET).to_ne_bytes());
        put(42, &50_000u16.to_be_bytes());
        put(44, &443u16.to_be_bytes());
        put(56, &[10, 0, 0, 5, 203, 0, 113, 9]);
        if own {
            put(96, &8u64.to_ne_bytes());
            put(108, &9u32.to_ne_bytes());
            put(112, b"curl");
            put(TEXT_AT, b"curl\0-sS\0");
        }
        record
    }

    #[test]
    fn who_connects_is_told_when_it_is_connected() {
        let mut opening = Opening::default();
        let connecting = parse(&record(9, CLOSE, SYN_SENT, true)).unwrap();
        assert_eq!(connecting.became, Became::Connecting);
        assert_eq!(opening.take(connecting), None);
        let later = Change { at_ns: 99, ..parse(&record(9, SYN_SENT, ESTABLISHED, false)).unwrap() };
        let (change, since) = opening.take(later.clone()).unwrap();
        let by = change.by.unwrap();
        assert_eq!((by.pid, by.uid, by.start_ns, &*by.name, &*by.arguments), (5, 33, 8, "curl", &b"curl\0-sS\0"[..]));
        assert_eq!((since, change.at_ns, change.became), (77, 99, Became::Connected { initiated: true }));
        assert_eq!((change.socket.local.to_string(), change.socket.local_port), ("10.0.0.5".into(), 50_000));
        assert_eq!((change.socket.remote.to_string(), change.socket.remote_port), ("203.0.113.9".into(), 443));
        // Nobody is known any more for another socket at the same place.
        assert_eq!(opening.take(later).unwrap().0.by, None);
        let accepted = parse(&record(8, 3, ESTABLISHED, false)).unwrap();
        assert_eq!(accepted.became, Became::Connected { initiated: false });
    }

    #[test]
    fn listening_has_no_other_side_and_refused_ones_are_told_as_they_were() {
        let listening = parse(&record(1, CLOSE, LISTEN, true)).unwrap();
        assert_eq!((listening.became, listening.socket.remote_port), (Became::Listening, 0));
        assert!(listening.socket.remote.is_unspecified() && listening.by.is_some());
        let refused = parse(&record(1, SYN_SENT, CLOSE, false)).unwrap();
        assert_eq!((refused.became, refused.socket.state_name()), (Became::Refused, "syn_sent"));
        assert_eq!(parse(&record(1, ESTABLISHED, CLOSE, false)), None);
    }

    #[test]
    fn whatever_is_cut_off_or_changed_does_no_harm() {
        let whole = record(9, CLOSE, SYN_SENT, true);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] = 0xff;
            if let Some(by) = parse(&bytes).and_then(|change| change.by) {
                assert!(by.arguments.len() <= COMMAND_BYTES);
            }
        }
    }

    #[test]
    fn what_is_connecting_is_bounded() {
        let mut opening = Opening::default();
        for place in 0..3 * OPENING_MAX as u64 {
            opening.put(place, place, By::default());
        }
        assert_eq!((opening.of.len(), opening.order.len()), (OPENING_MAX, OPENING_MAX));
        for at_ns in 0..5 * OPENING_MAX as u64 {
            opening.put(7, at_ns, By::default());
        }
        assert!(opening.of.len() <= OPENING_MAX && opening.order.len() <= 2 * OPENING_MAX);
        assert!(opening.of.contains_key(&7));
    }
}
