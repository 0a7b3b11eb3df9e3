//! Messages about sockets (sock_diag(7), `linux/inet_diag.h`). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `AF_INET`.
pub(crate) const INET: u8 = 2;
/// `AF_INET6`.
pub(crate) const INET6: u8 = 10;
/// Number of TCP.
pub(crate) const TCP: u8 = 6;
/// Number of UDP.
pub(crate) const UDP: u8 = 17;
/// The groups in which the kernel tells of sockets that go: TCP and UDP, IPv4 and IPv6.
pub(crate) const DESTROY_GROUPS: u32 = 0b1111;

const BY_FAMILY: u16 = 20;
const DONE: u16 = 3;
const ERROR: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
const HEAD: usize = 16;
const BODY: usize = 72;
/// `INET_DIAG_INFO`: `struct tcp_info`.
const INFO: u16 = 2;
/// `INET_DIAG_PROTOCOL`.
const PROTOCOL: u16 = 10;
/// Offsets of `tcpi_bytes_acked` and `tcpi_bytes_received`.
const ACKED: usize = 120;
const RECEIVED: usize = 128;
/// All states but `TIME_WAIT` and `NEW_SYN_RECV`: nobody owns these.
const STATES: u32 = 0xfff & !(1 << 6);

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// IANA protocol number; 0 where the message does not say.
    pub protocol: u8,
    /// State, as the kernel counts them.
    pub state: u8,
    /// This side.
    pub local: IpAddr,
    /// Port of this side.
    pub local_port: u16,
    /// The other side; unspecified where there is none.
    pub remote: IpAddr,
    /// Port of the other side.
    pub remote_port: u16,
    /// Number of the interface it is bound to; 0 for none.
    pub interface: u32,
    /// The kernel's name of the socket.
    pub cookie: u64,
    /// Owner.
    pub uid: u32,
    /// Number by which `/proc/PID/fd` names it; 0 when no process has it.
    pub inode: u64,
    /// Octets that were acknowledged by the other side, and that came.
    pub bytes: Option<(u64, u64)>,
}

/// The state in which a TCP socket waits for connections.
pub(crate) const LISTEN: u8 = 10;
/// The state of a UDP socket without a peer.
pub(crate) const CLOSE: u8 = 7;

impl Socket {
    /// The name of the state.
    pub const fn state_name(&self) -> &'static str {
        const NAMES: [&str; 13] = [
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
        if (self.state as usize) < NAMES.len() { NAMES[self.state as usize] } else { "" }
    }
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A socket.
    Socket(Socket),
    /// The list ends.
    End,
}

/// Asks for the sockets of a family and protocol.
pub fn dump_message(family: u8, protocol: u8) -> Vec<u8> {
    let mut message = vec![72, 0, 0, 0];
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(DUMP.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([family, protocol, 1 << (INFO - 1), 0]);
    message.extend(STATES.to_ne_bytes());
    message.extend([0; 48]);
    message
}

/// The parts of a datagram; what is cut off is left out.
pub fn parse(datagram: &[u8], mut each: impl FnMut(Part)) {
    let mut rest = datagram;
    while let Some(head) = rest.first_chunk::<HEAD>() {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if length < HEAD || length > rest.len() {
            return;
        }
        let body = &rest[HEAD..length];
        match u16::from_ne_bytes([head[4], head[5]]) {
            BY_FAMILY => {
                if let Some(socket) = socket(body) {
                    each(Part::Socket(socket));
                }
            }
            DONE | ERROR => each(Part::End),
            _ => {}
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
}

fn socket(body: &[u8]) -> Option<Socket> {
    let head = body.get(..BODY)?;
    let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let family = head[0];
    let ip = |at: usize| match family {
        INET => Some(IpAddr::V4(Ipv4Addr::new(head[at], head[at + 1], head[at + 2], head[at + 3]))),
        INET6 => {
            let bytes: [u8; 16] = head[at..at + 16].try_into().ok()?;
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    };
    let mut found = Socket {
        protocol: 0,
        state: head[1],
        local_port: port(4),
        remote_port: port(6),
        local: ip(8)?,
        remote: ip(24)?,
        interface: word(40),
        cookie: u64::from(word(44)) | u64::from(word(48)) << 32,
        uid: word(64),
        inode: word(68).into(),
        bytes: None,
    };
    attributes(&body[BODY..], &mut found);
    Some(found)
}

fn attributes(mut rest: &[u8], socket: &mut Socket) {
    while let Some(head) = rest.first_chunk::<4>() {
        let (length, kind) = (u16::from_ne_bytes([head[0], head[1]]) as usize, u16::from_ne_bytes([head[2], head[3]]));
        if length < 4 || length > rest.len() {
            return;
        }
        let value = &rest[4..length];
        let long = |at: usize| Some(u64::from_ne_bytes(value.get(at..at + 8)?.try_into().ok()?));
        match kind {
            INFO => socket.bytes = long(ACKED).zip(long(RECEIVED)),
            PROTOCOL => socket.protocol = value.first().copied().unwrap_or(0),
            _ => {}
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Vec<u8> {
        let mut message = Vec::new();
        let mut body = vec![INET, 1, 0, 0];
        body.extend(50_000u16.to_be_bytes());
        body.extend(443u16.to_be_bytes());
        body.extend([10, 0, 0, 5]);
        body.extend([0; 12]);
        body.extend([203, 0, 113, 9]);
        body.extend([0; 12]);
        body.extend(0u32.to_ne_bytes());
        body.extend(0x1234_5678_9abc_def0u64.to_ne_bytes());
        for word in [0u32, 0, 0, 1000, 777] {
            body.extend(word.to_ne_bytes());
        }
        let mut info = vec![0u8; 232];
        info[ACKED..ACKED + 8].copy_from_slice(&99u64.to_ne_bytes());
        info[RECEIVED..RECEIVED + 8].copy_from_slice(&1_234u64.to_ne_bytes());
        body.extend(236u16.to_ne_bytes());
        body.extend(INFO.to_ne_bytes());
        body.extend(info);
        body.extend(5u16.to_ne_bytes());
        body.extend(PROTOCOL.to_ne_bytes());
        body.extend([TCP, 0, 0, 0]);
        message.extend(((HEAD + body.len()) as u32).to_ne_bytes());
        message.extend(BY_FAMILY.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message
    }

    #[test]
    fn sockets_are_read() {
        let mut parts = Vec::new();
        parse(&recorded(), |part| parts.push(part));
        let [Part::Socket(socket)] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!((socket.local.to_string(), socket.local_port), ("10.0.0.5".into(), 50_000));
        assert_eq!((socket.remote.to_string(), socket.remote_port), ("203.0.113.9".into(), 443));
        assert_eq!((socket.cookie, socket.uid, socket.inode), (0x1234_5678_9abc_def0, 1000, 777));
        assert_eq!((socket.protocol, socket.bytes, socket.state_name()), (TCP, Some((99, 1_234)), "established"));
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        let whole = recorded();
        for length in 0..whole.len() {
            parse(&whole[..length], |part| panic!("{length}: {part:?}"));
        }
        let mut odd = whole;
        odd[HEAD + BODY] = 3;
        let mut count = 0;
        parse(&odd, |_| count += 1);
        assert_eq!(count, 1, "attributes that make no sense are passed over");
        assert_eq!(dump_message(INET, TCP).len(), 72);
    }
}
