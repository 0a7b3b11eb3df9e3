//! What the kernel's audit says of itself, and its rules (`linux/audit.h`). It needs `CAP_AUDIT_CONTROL` in the first namespaces
//! even to be asked. Rules that are not ours are never changed.

use std::io;
use std::time::{Duration, Instant};

use guardian_sys::netlink::{Family, Netlink};

use super::calls;

/// The name of our rules.
pub(crate) const KEY: &str = "guardian-exec";
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Answers to one question.
const ANSWERS_MAX: usize = 4_096;

const HEAD: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const GET: u16 = 1_000;
const SET: u16 = 1_001;
const ADD_RULE: u16 = 1_011;
const DELETE_RULE: u16 = 1_012;
const LIST_RULES: u16 = 1_013;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const FLAGS: u16 = 5;

const FILTER_TASK: u32 = 1;
const FILTER_EXIT: u32 = 4;
const FILTER_PREPEND: u32 = 0x10;
const ALWAYS: u32 = 2;
const NEVER: u32 = 0;
const FIELD_ARCH: u32 = 11;
const FIELD_KEY: u32 = 210;
const EQUAL: u32 = 0x4000_0000;
const ENABLED: u32 = 1;
/// Fields of a rule, and words of its set of calls.
const FIELDS_MAX: usize = 64;
/// Where the parts of a rule lie, in words of four bytes; the text begins behind the last.
const MASK: usize = 3;
const FIELDS: usize = MASK + 64;
const VALUES: usize = FIELDS + FIELDS_MAX;
const OPERATORS: usize = VALUES + FIELDS_MAX;
const TEXT_BYTES: usize = OPERATORS + FIELDS_MAX;
const WORDS: usize = TEXT_BYTES + 1;

/// How audit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// 0: off, 1: on, 2: on, and nothing can be changed until the machine starts anew.
    pub enabled: u32,
    /// Records that the kernel had no room for, ever.
    pub lost: u32,
}

/// Reads the answer to `AUDIT_GET`.
pub fn parse_status(payload: &[u8]) -> Option<Status> {
    Some(Status { enabled: word(payload, 1)?, lost: word(payload, 6)? })
}

/// What the rules have the kernel tell of programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Some calls that start programs.
    pub some: bool,
    /// All of the machine's own form.
    pub all: bool,
    /// Nothing of any process, whatever the other rules say (`never,task`).
    pub silenced: bool,
    /// Ours are among them.
    pub ours: bool,
}

impl Rules {
    /// Adds a rule as `AUDIT_LIST_RULES` tells it; what is cut off is left out. Rules in front win: one that has the kernel keep
    /// silent of some programs takes the word "all" from those behind it.
    pub fn add(&mut self, rule: &[u8]) {
        let at = |index: usize| word(rule, index);
        let (Some(filter), Some(action), Some(count)) = (at(0), at(1), at(2)) else { return };
        let fields: Vec<(u32, u32)> = (0..(count as usize).min(FIELDS_MAX))
            .filter_map(|field| Some((at(FIELDS + field)?, at(VALUES + field)?)))
            .collect();
        let narrow = fields.iter().any(|(field, _)| !matches!(*field, FIELD_ARCH | FIELD_KEY));
        match filter & !FILTER_PREPEND {
            FILTER_TASK => self.silenced |= action == NEVER && !narrow && !self.some,
            FILTER_EXIT if action == ALWAYS => {
                let arch = fields.iter().find(|(field, _)| *field == FIELD_ARCH).map(|(_, arch)| *arch);
                let has = |call: u32| at(MASK + call as usize / 32).is_some_and(|bits| bits >> (call % 32) & 1 == 1);
                let fits = |(known, _): &&(u32, [u32; 2])| arch.is_none_or(|arch| arch == *known);
                let Some((own, numbers)) = calls::here().iter().find(fits) else { return };
                if !numbers.iter().any(|call| has(*call)) {
                    return;
                }
                self.some = true;
                self.all |= !narrow && has(numbers[0]) && calls::here().first().is_some_and(|(first, _)| first == own);
                self.ours |= rule.get(4 * WORDS..).is_some_and(|text| text.starts_with(KEY.as_bytes()));
            }
            _ => {}
        }
    }
}

fn word(bytes: &[u8], index: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(4 * index..4 * index + 4)?.try_into().ok()?))
}

/// The rules that have the kernel tell of each program.
pub(crate) fn exec_rules() -> Vec<Vec<u8>> {
    let rule = |(arch, numbers): &(u32, [u32; 2])| {
        let mut words = vec![0u32; WORDS];
        (words[0], words[1], words[2]) = (FILTER_EXIT, ALWAYS, 2);
        for call in numbers {
            words[MASK + *call as usize / 32] |= 1 << (call % 32);
        }
        (words[FIELDS], words[VALUES], words[OPERATORS]) = (FIELD_ARCH, *arch, EQUAL);
        (words[FIELDS + 1], words[VALUES + 1], words[OPERATORS + 1]) = (FIELD_KEY, KEY.len() as u32, EQUAL);
        words[TEXT_BYTES] = KEY.len() as u32;
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        bytes.extend(KEY.as_bytes());
        bytes
    };
    calls::here().iter().map(rule).collect()
}

/// One message out of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

/// The messages of a datagram. What is cut off is left out.
pub(crate) fn messages(datagram: &[u8], mut each: impl FnMut(Message<'_>)) {
    let mut rest = datagram;
    while rest.len() >= HEAD {
        let length = word(rest, 0).unwrap_or(0) as usize;
        if length < HEAD || length > rest.len() {
            return;
        }
        let kind = u16::from_ne_bytes([rest[4], rest[5]]);
        let sequence = word(rest, 2).unwrap_or(0);
        each(Message { kind, sequence, payload: &rest[HEAD..length] });
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
}

fn request(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEAD + payload.len());
    message.extend(((HEAD + payload.len()) as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(payload);
    message
}

/// A conversation with the kernel's audit.
#[derive(Debug)]
pub struct Control {
    socket: Netlink,
    sequence: u32,
}

impl Control {
    /// Begins, and asks how audit is: an error where that is not permitted.
    pub fn open() -> io::Result<Self> {
        let mut control = Self { socket: Netlink::open(Family::Audit, 0)?, sequence: 0 };
        control.status()?;
        Ok(control)
    }

    /// How audit is.
    pub fn status(&mut self) -> io::Result<Status> {
        let answer = self.ask(GET, &[], Some(GET))?;
        let status = answer.first().and_then(|payload| parse_status(payload));
        status.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// What the rules say.
    pub fn rules(&mut self) -> io::Result<Rules> {
        let mut rules = Rules::default();
        self.ask(LIST_RULES, &[], Some(DONE))?.iter().for_each(|rule| rules.add(rule));
        Ok(rules)
    }

    /// Adds our rules, in front of none: an administrator's word comes first.
    pub fn add(&mut self) -> io::Result<()> {
        let rules = exec_rules();
        if rules.is_empty() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "its rules are not known for this processor"));
        }
        for rule in rules {
            match self.ask(ADD_RULE, &rule, None) {
                // An agent that was killed has left them.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Takes our rules away.
    pub fn remove(&mut self) -> io::Result<()> {
        for rule in exec_rules() {
            match self.ask(DELETE_RULE, &rule, None) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Switches audit on or off.
    pub fn enable(&mut self, on: bool) -> io::Result<()> {
        let payload: Vec<u8> =
            [ENABLED, u32::from(on), 0, 0, 0, 0, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        self.ask(SET, &payload, None).map(drop)
    }

    /// Asks, and takes what comes until the message that `ends` it, or, where there is none, until the kernel says that it has done it.
    fn ask(&mut self, kind: u16, payload: &[u8], ends: Option<u16>) -> io::Result<Vec<Vec<u8>>> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let (own, begun) = (self.sequence, Instant::now());
        self.socket.send(&request(kind, own, payload))?;
        let (mut answers, mut ended): (Vec<Vec<u8>>, Option<io::Result<()>>) = (Vec::new(), None);
        while begun.elapsed() < ANSWER_MAX {
            if !self.socket.wait(ANSWER_MAX.saturating_sub(begun.elapsed()))? {
                break;
            }
            while let Some(datagram) = self.socket.receive()? {
                messages(datagram, |message| {
                    if message.sequence != own {
                        return;
                    }
                    match message.kind {
                        ERROR => match word(message.payload, 0).map(u32::cast_signed) {
                            Some(0) if ends.is_some() => {}
                            Some(0) => ended = Some(Ok(())),
                            Some(code) => ended = Some(Err(io::Error::from_raw_os_error(code.saturating_neg()))),
                            None => ended = Some(Err(io::ErrorKind::InvalidData.into())),
                        },
                        other => {
                            if other == kind && answers.len() < ANSWERS_MAX {
                                answers.push(message.payload.to_vec());
                            }
                            if Some(other) == ends {
                                ended = Some(Ok(()));
                            }
                        }
                    }
                });
                if let Some(result) = ended {
                    return result.map(|()| answers);
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel's audit does not answer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rule: &[u8], at: usize, value: u32) -> Vec<u8> {
        let mut rule = rule.to_vec();
        rule[4 * at..4 * at + 4].copy_from_slice(&value.to_ne_bytes());
        rule
    }

    fn of(rules: &[Vec<u8>]) -> Rules {
        let mut all = Rules::default();
        rules.iter().for_each(|rule| all.add(rule));
        all
    }

    #[test]
    fn rules_are_understood() {
        let Some(ours) = exec_rules().first().cloned() else { return };
        assert_eq!(ours.len(), 1_040 + KEY.len(), "as the kernel has it");
        let whole = Rules { some: true, all: true, silenced: false, ours: true };
        assert_eq!(of(std::slice::from_ref(&ours)), whole);
        let foreign = Rules { ours: false, ..whole };
        assert_eq!(of(&[ours[..4 * WORDS].to_vec()]), foreign);
        // Of one user alone, of another call, of another processor, on another occasion, never.
        let narrow = of(&[with(&ours, FIELDS + 1, 1)]);
        assert!(narrow.some && !narrow.all);
        for (at, value) in [(MASK + 1, 0), (VALUES, 7), (0, 5), (1, NEVER)] {
            let mut rule = with(&ours, at, value);
            if at == MASK + 1 {
                rule[4 * MASK..4 * FIELDS].fill(0);
            }
            assert!(!of(&[rule]).some, "{at}");
        }
        let mut never = vec![0; 4 * WORDS];
        never[0] = FILTER_TASK as u8;
        assert!(of(&[never.clone(), ours.clone()]).silenced);
        for end in 0..ours.len() {
            let cut = of(&[ours[..end].to_vec()]);
            assert!(end > 4 * MASK || !cut.some, "{end}");
        }
    }

    #[test]
    fn answers_are_read_and_cut_ones_left_out() {
        // As Linux 6.18 answered `AUDIT_GET`: what it did, and how it is.
        let status = [0u32, 1, 1, 0, 0, 64, 3, 0, 127, 15_000, 0];
        let payload: Vec<u8> = status.into_iter().flat_map(u32::to_ne_bytes).collect();
        assert_eq!(parse_status(&payload), Some(Status { enabled: 1, lost: 3 }));
        assert_eq!(parse_status(&payload[..27]), None);
        let message = request(GET, 5, &payload);
        let mut twice = message.clone();
        twice.extend(&message);
        let mut count = 0;
        messages(&twice, |m| {
            assert_eq!((m.kind, m.sequence, m.payload), (GET, 5, payload.as_slice()));
            count += 1;
        });
        assert_eq!(count, 2);
        for end in 0..message.len() {
            messages(&message[..end], |_| panic!("{end}"));
        }
    }
}
