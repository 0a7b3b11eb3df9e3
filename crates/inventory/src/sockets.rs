//! Sockets as the kernel lists them in `/proc/net`: tcp, tcp6, udp, udp6, unix (proc(5); `tcp_states.h` for the states).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::Found;
use crate::text::{clip, lines};

/// An internet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Socket {
    /// Address of this side.
    pub local: IpAddr,
    /// Port of this side.
    pub local_port: u16,
    /// Address of the other side; unspecified where there is none.
    pub remote: IpAddr,
    /// Port of the other side.
    pub remote_port: u16,
    /// State, by name; a UDP socket without a peer is `close`.
    pub state: &'static str,
    /// Who owns it.
    pub uid: u32,
    /// Number by which `/proc/PID/fd` names it; 0 when no process has it any more.
    pub inode: u64,
}

/// A Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnixSocket {
    /// 1 stream, 2 datagram, 5 sequenced packets.
    pub kind: u8,
    /// Whether it waits for connections.
    pub listens: bool,
    /// Number by which `/proc/PID/fd` names it.
    pub inode: u64,
    /// Its path, `@…` for an abstract name, empty for none.
    pub path: String,
}

const STATES: [&str; 13] = [
    "",
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "new_syn_recv",
];

/// The sockets of `/proc/net/tcp`, `tcp6`, `udp` or `udp6`.
pub fn parse(table: &[u8]) -> Found<Socket> {
    let mut found = Found::default();
    for (number, line) in lines(table).skip(1) {
        match socket(&line) {
            Some(socket) => found.push(socket),
            None => found.issue(number, "a line that is no socket"),
        }
    }
    found
}

fn socket(line: &str) -> Option<Socket> {
    let mut words = line.split_whitespace().skip(1);
    let (local, local_port) = endpoint(words.next()?)?;
    let (remote, remote_port) = endpoint(words.next()?)?;
    let state = usize::from_str_radix(words.next()?, 16).ok()?;
    let uid = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    let state = STATES.get(state).copied().unwrap_or_default();
    Some(Socket { local, local_port, remote, remote_port, state, uid, inode })
}

/// Words of 32 bits, each in the byte order of the machine, in hex; the port in network order.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word = |i: usize| Some(u32::from_str_radix(address.get(8 * i..8 * i + 8)?, 16).ok()?.to_ne_bytes());
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for i in 0..4 {
                bytes[4 * i..4 * i + 4].copy_from_slice(&word(i)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

/// The sockets of `/proc/net/unix`.
pub fn parse_unix(table: &[u8]) -> Found<UnixSocket> {
    /// The flag `__SO_ACCEPTCON`.
    const LISTENS: u32 = 1 << 16;
    let mut found = Found::default();
    for (number, line) in lines(table).skip(1) {
        let socket = (|| {
            let mut words = line.split_whitespace();
            let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
            let kind = u8::from_str_radix(words.next()?, 16).ok()?;
            let inode = words.nth(1)?;
            // A path may have spaces: it is all that follows the inode.
            let path = line.split_once(&format!(" {inode} ")).map_or("", |(_, path)| path);
            Some(UnixSocket { kind, listens: flags & LISTENS != 0, inode: inode.parse().ok()?, path: clip(path) })
        })();
        match socket {
            Some(socket) => found.push(socket),
            None => found.issue(number, "a line that is no socket"),
        }
    }
    found
}

/// The inode of `socket:[N]`, as a link in `/proc/PID/fd` reads.
pub fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}
