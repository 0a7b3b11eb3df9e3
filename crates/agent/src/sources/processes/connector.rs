//! Messages of the process connector (`linux/cn_proc.h`), and how many of them did not come. Pure.

use std::collections::HashMap;

/// The group of the process events; also the number of the connector's callback.
pub(crate) const GROUP: u32 = 1;

const NETLINK_HEAD: usize = 16;
const CONNECTOR_HEAD: usize = 20;
const EVENT_HEAD: usize = 16;
/// `NLMSG_DONE`, the type of the connector's messages.
const DONE: u16 = 3;
/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;
/// Processors whose numbers are kept.
const PROCESSORS_MAX: usize = 8_192;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The processor that it happened on.
    pub cpu: u32,
    /// Number of the message on that processor.
    pub sequence: u32,
    /// When, on the monotonic clock.
    pub at_ns: u64,
    /// What; none for what concerns a thread, or is of no interest.
    pub what: Option<What>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A process began as a copy of its parent.
    Fork {
        /// The parent.
        parent: u32,
        /// The new one.
        pid: u32,
    },
    /// A process became another program.
    Exec {
        /// The process.
        pid: u32,
    },
    /// A process became another user.
    User {
        /// The process.
        pid: u32,
        /// Its user.
        real: u32,
        /// The user whose rights it has.
        effective: u32,
    },
    /// A process is traced.
    Trace {
        /// The process.
        pid: u32,
        /// Who does.
        tracer: u32,
    },
    /// A process left its memory behind.
    Core {
        /// The process.
        pid: u32,
    },
    /// A process ended.
    Exit {
        /// The process.
        pid: u32,
        /// As wait(2) says it.
        status: u32,
    },
}

/// Asks the kernel for its messages.
pub fn listen_message() -> Vec<u8> {
    let length = (NETLINK_HEAD + CONNECTOR_HEAD + 4) as u32;
    let mut message = Vec::with_capacity(length as usize);
    message.extend(length.to_ne_bytes());
    message.extend(DONE.to_ne_bytes());
    message.extend([0; 10]);
    for word in [GROUP, GROUP, 0, 0] {
        message.extend(word.to_ne_bytes());
    }
    message.extend(4u16.to_ne_bytes());
    message.extend([0; 2]);
    message.extend(LISTEN.to_ne_bytes());
    message
}

/// The messages of a datagram. What is cut off is left out.
pub fn parse(datagram: &[u8], mut each: impl FnMut(Event)) {
    let mut rest = datagram;
    while rest.len() >= NETLINK_HEAD {
        let length = word(rest, 0).unwrap_or(0) as usize;
        if length < NETLINK_HEAD || length > rest.len() {
            return;
        }
        if let Some(event) = message(&rest[NETLINK_HEAD..length]) {
            each(event);
        }
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn message(bytes: &[u8]) -> Option<Event> {
    let sequence = word(bytes, 8)?;
    if (word(bytes, 0)?, word(bytes, 4)?) != (GROUP, GROUP) {
        return None;
    }
    let event = bytes.get(CONNECTOR_HEAD..)?;
    let at_ns = u64::from_ne_bytes(event.get(8..EVENT_HEAD)?.try_into().ok()?);
    let data = &event[EVENT_HEAD..];
    let (kind, cpu) = (word(event, 0)?, word(event, 4)?);
    let field = |i: usize| word(data, 4 * i);
    // A thread has a number of its own beside that of its process; only the first thread speaks for the process.
    let (pid, process) = (field(0)?, field(1)?);
    let first = pid == process;
    let what = match kind {
        // The answer to somebody's wish to listen: it takes a number as the others do.
        0 => None,
        0x1 => {
            let (child, child_process) = (field(2)?, field(3)?);
            (child == child_process).then_some(What::Fork { parent: process, pid: child })
        }
        0x2 => Some(What::Exec { pid: process }),
        0x4 if first => Some(What::User { pid, real: field(2)?, effective: field(3)? }),
        0x100 => (field(3)? != 0).then_some(What::Trace { pid: process, tracer: field(3)? }),
        0x4000_0000 => Some(What::Core { pid: process }),
        0x8000_0000 if first => Some(What::Exit { pid, status: field(2)? }),
        _ => None,
    };
    Some(Event { cpu, sequence, at_ns, what })
}

/// The numbers of the messages on each processor: a gap is loss, exactly as long as it is.
#[derive(Debug, Default)]
pub struct Sequences {
    next: HashMap<u32, u32>,
}

impl Sequences {
    /// Notes a message; returns how many before it did not come.
    pub fn note(&mut self, cpu: u32, sequence: u32) -> u64 {
        if self.next.len() >= PROCESSORS_MAX && !self.next.contains_key(&cpu) {
            return 0;
        }
        let after = sequence.wrapping_add(1);
        let expected = self.next.insert(cpu, after).unwrap_or(sequence);
        let gap = sequence.wrapping_sub(expected);
        // A number before the expected one is no loss of four billion.
        if gap < u32::MAX / 2 { u64::from(gap) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as Linux 6.18 sent it when a shell executed `/bin/true`: 76 bytes, taken from the socket.
    fn recorded(kind: u32, sequence: u32, fields: &[u32]) -> Vec<u8> {
        let mut message = vec![76, 0, 0, 0, 3, 0, 0, 0];
        message.extend([0; 8]);
        for word in [1, 1, sequence, 0] {
            message.extend(u32::to_ne_bytes(word));
        }
        message.extend([40, 0, 0, 0]);
        message.extend(kind.to_ne_bytes());
        message.extend(1u32.to_ne_bytes());
        message.extend(64_050_709_273_626u64.to_ne_bytes());
        for i in 0..6 {
            message.extend(fields.get(i).copied().unwrap_or(0).to_ne_bytes());
        }
        message
    }

    fn one(bytes: &[u8]) -> Option<Event> {
        let mut events = Vec::new();
        parse(bytes, |event| events.push(event));
        events.first().copied()
    }

    #[test]
    fn messages_are_read() {
        let what = |kind, fields: &[u32]| one(&recorded(kind, 7, fields)).and_then(|e| e.what);
        assert_eq!(what(1, &[10, 10, 11, 11]), Some(What::Fork { parent: 10, pid: 11 }));
        assert_eq!(what(1, &[10, 10, 12, 10]), None, "a thread");
        assert_eq!(what(2, &[11, 11]), Some(What::Exec { pid: 11 }));
        assert_eq!(what(4, &[11, 11, 33, 0]), Some(What::User { pid: 11, real: 33, effective: 0 }));
        assert_eq!(what(0x100, &[11, 11, 10, 10]), Some(What::Trace { pid: 11, tracer: 10 }));
        assert_eq!(what(0x8000_0000, &[11, 11, 256, 17, 10, 10]), Some(What::Exit { pid: 11, status: 256 }));
        assert_eq!(what(0, &[]), None);
        let event = one(&recorded(0x200, 7, &[11, 11])).unwrap();
        assert_eq!((event.cpu, event.sequence, event.at_ns, event.what), (1, 7, 64_050_709_273_626, None));
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        let whole = recorded(2, 7, &[11, 11]);
        for length in 0..whole.len() {
            assert_eq!(one(&whole[..length]), None, "{length}");
        }
        let mut twice = whole.clone();
        twice.extend(&whole);
        let mut count = 0;
        parse(&twice, |_| count += 1);
        assert_eq!(count, 2);
        let message = listen_message();
        assert_eq!(message.len(), 40);
    }

    #[test]
    fn gaps_are_counted_for_each_processor() {
        let mut sequences = Sequences::default();
        let lost: Vec<u64> = [(0, 5), (1, 900), (0, 6), (0, 9), (1, 901), (0, 9), (1, 904)]
            .into_iter()
            .map(|(cpu, number)| sequences.note(cpu, number))
            .collect();
        assert_eq!(lost, [0, 0, 0, 2, 0, 0, 2]);
        assert_eq!((sequences.note(2, u32::MAX), sequences.note(2, 1)), (0, 1));
    }
}
