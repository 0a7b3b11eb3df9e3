//! The kernel's audit as a source of programs: from the records that it sends to whoever listens (`AUDIT_NLGRP_READLOG`, which
//! takes nothing from auditd), else from the log that auditd writes. What it tells depends on the machine's rules; those are
//! changed only where that was asked for, and ours are taken away at the end.

mod arguments;
mod assemble;
mod calls;
mod control;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guardian_sys::netlink::{self, Family, Netlink};

pub use assemble::{Assembler, Executed};
pub use control::{Control, Rules, Status, parse_status};

use crate::sources::logs::Tail;

/// The group of the records.
const GROUP: u32 = 1;
/// Room for records that wait: some ten thousand programs.
const WAITING_BYTES: usize = 16 << 20;
/// Records that are taken in one go, and bytes of the log.
const ROUND: usize = 4_096;
const TURN_BYTES: usize = 1 << 20;
/// How often it is asked what was lost, and which rules there are.
const LOSSES_EVERY: Duration = Duration::from_secs(1);
const RULES_EVERY: Duration = Duration::from_secs(30);
/// What an administrator may do for it.
const ADVICE: &str =
    "`auditctl -a always,exit -F arch=b64 -S execve,execveat` or `guardian-agent run --audit-rules` changes that";

/// Where records come from.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether rules are added that have the kernel tell of each program, until the end.
    pub add_rules: bool,
    /// Whether the kernel may be listened to.
    pub group: bool,
    /// The log that auditd writes.
    pub log: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { add_rules: false, group: true, log: "/var/log/audit/audit.log".into() }
    }
}

#[derive(Debug)]
enum Way {
    Group(Netlink),
    Log(Tail),
}

/// What is put back at the end.
#[derive(Clone, Copy, Debug, Default)]
struct Changed {
    rules: bool,
    enabled: bool,
}

/// The source of records. Whoever has it takes from it often.
#[derive(Debug)]
pub struct Audit {
    way: Way,
    assembler: Assembler,
    control: Option<Control>,
    changed: Changed,
    /// Why rules were not added though they are wanted.
    refused: Option<String>,
    status: Option<Status>,
    rules: Option<Rules>,
    /// Whether a program was told of.
    heard: bool,
    /// What was lost and not told yet.
    lost: u64,
    dropped: u32,
    broken: u64,
    begun: Instant,
    looked: Instant,
    listed: Instant,
}

impl Audit {
    /// Begins to listen, or to follow the log.
    pub fn open(options: &Options) -> io::Result<Self> {
        let way = match options.group.then(listen).unwrap_or_else(|| Err(io::Error::other("it is not wanted"))) {
            Ok(socket) => Way::Group(socket),
            Err(error) => Way::Log(follow(&options.log, &error)?),
        };
        let mut control = Control::open();
        let (mut changed, mut refused) = (Changed::default(), None);
        if options.add_rules {
            let added = match &mut control {
                Ok(control) => add(control, &mut changed),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            refused = added.err().map(|error| format!("rules cannot be added: {error}"));
        }
        let now = Instant::now();
        let mut audit = Self {
            way,
            assembler: Assembler::default(),
            control: control.ok(),
            changed,
            refused,
            status: None,
            rules: None,
            heard: false,
            lost: 0,
            dropped: 0,
            broken: 0,
            begun: now,
            looked: now,
            listed: now,
        };
        audit.ask();
        audit.list();
        Ok(audit)
    }

    /// To be woken by; none where a file is followed.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.way {
            Way::Group(socket) => Some(socket.as_fd()),
            Way::Log(_) => None,
        }
    }

    /// Where records come from, for people.
    pub const fn place(&self) -> &'static str {
        match self.way {
            Way::Group(_) => "the kernel",
            Way::Log(_) => "the log of auditd",
        }
    }

    /// Whether programs are told of, as far as that is known.
    pub fn tells(&self) -> bool {
        match (&self.rules, &self.status) {
            (Some(rules), Some(status)) => self.heard || (rules.some && !rules.silenced && status.enabled != 0),
            _ => self.heard,
        }
    }

    /// What is missing so that each program is told of.
    pub fn lacking(&self) -> Option<String> {
        if let Some(why) = &self.refused {
            return Some(why.clone());
        }
        let why = match (&self.status, &self.rules) {
            (Some(status), _) if status.enabled == 0 => "audit is switched off (`auditctl -e 1`)",
            (_, Some(rules)) if rules.silenced => "a rule `never,task` keeps audit from telling of any process",
            (_, Some(rules)) if !rules.some => "no rule of audit has the kernel tell of programs",
            (_, Some(rules)) if !rules.all => "the rules of audit have the kernel tell of some programs only",
            (_, None) if !self.heard => {
                "audit's rules may not be asked about (that needs CAP_AUDIT_CONTROL), and it told of no program so far"
            }
            _ => return None,
        };
        Some(format!("{why}; {ADVICE}"))
    }

    /// Takes what came, in the order in which it was done.
    pub fn take(&mut self, done: &mut Vec<Executed>) -> io::Result<()> {
        let now_ms = self.begun.elapsed().as_millis() as u64;
        let before = done.len();
        let assembler = &mut self.assembler;
        match &mut self.way {
            Way::Group(socket) => {
                for _ in 0..ROUND {
                    match socket.receive() {
                        Ok(Some(datagram)) => record(assembler, datagram, now_ms, done),
                        Ok(None) => break,
                        // The socket counts them.
                        Err(error) if netlink::lost(&error) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            // A file that cannot be read now is tried again.
            Way::Log(tail) => drop(tail.read(TURN_BYTES, |line| {
                if let Some((kind, text)) = split(line) {
                    assembler.take(kind, text, now_ms, done);
                }
                true
            })),
        }
        self.assembler.tick(now_ms, done);
        self.heard |= done.len() > before;
        if self.looked.elapsed() >= LOSSES_EVERY {
            self.ask();
        }
        if self.listed.elapsed() >= RULES_EVERY {
            self.list();
        }
        Ok(())
    }

    /// Records that were lost since this was asked last: those that did not fit into our socket, and those that the kernel had no
    /// room for. Of a log, also events without the record that says who it was.
    pub fn lost(&mut self) -> u64 {
        match &self.way {
            Way::Group(socket) => {
                let dropped = socket.dropped().unwrap_or(self.dropped);
                self.lost += u64::from(dropped.wrapping_sub(self.dropped));
                self.dropped = dropped;
            }
            Way::Log(_) => {
                self.lost += self.assembler.broken - self.broken;
                self.broken = self.assembler.broken;
            }
        }
        std::mem::take(&mut self.lost)
    }

    fn ask(&mut self) {
        self.looked = Instant::now();
        let Some(status) = self.control.as_mut().and_then(|control| control.status().ok()) else { return };
        if let Some(before) = self.status {
            // Somebody may have had it begin anew.
            let more = if status.lost >= before.lost { status.lost - before.lost } else { status.lost };
            self.lost += u64::from(more);
        }
        self.status = Some(status);
    }

    fn list(&mut self) {
        self.listed = Instant::now();
        self.rules = self.control.as_mut().and_then(|control| control.rules().ok());
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        let Some(control) = &mut self.control else { return };
        // Where that fails, the rules bear our name.
        if self.changed.rules {
            control.remove().ok();
        }
        if self.changed.enabled {
            control.enable(false).ok();
        }
    }
}

fn listen() -> io::Result<Netlink> {
    let socket = Netlink::open(Family::Audit, GROUP)?;
    socket.reserve(WAITING_BYTES)?;
    Ok(socket)
}

fn follow(path: &Path, refused: &io::Error) -> io::Result<Tail> {
    match File::open(path) {
        Ok(_) => Ok(Tail::new(path, None)),
        Err(error) => {
            let text = format!(
                "the kernel's audit cannot be listened to ({refused}; that needs CAP_AUDIT_READ), and {}: {error}",
                path.display()
            );
            Err(io::Error::new(error.kind(), text))
        }
    }
}

/// Has the kernel tell of each program; `changed` says what is to be undone, also where the rest fails.
fn add(control: &mut Control, changed: &mut Changed) -> io::Result<()> {
    let status = control.status()?;
    changed.rules = true;
    control.add()?;
    if status.enabled == 0 {
        control.enable(true)?;
        changed.enabled = true;
    }
    Ok(())
}

/// The type and the text of a line of the log.
fn split(line: &str) -> Option<(&str, &str)> {
    // `node=…` may stand before.
    let line = line.find("type=").map(|at| &line[at + 5..])?;
    line.split_once(" msg=")
}

/// Takes a datagram: it has one record, whose head says in some kernels how long the text is and in others how long all of it.
fn record(assembler: &mut Assembler, datagram: &[u8], now_ms: u64, done: &mut Vec<Executed>) {
    const HEAD: usize = 16;
    let (Some(kind), Some(text)) = (datagram.get(4..6), datagram.get(HEAD..)) else { return };
    let kind = match u16::from_ne_bytes([kind[0], kind[1]]) {
        1300 => "SYSCALL",
        1307 => "CWD",
        1309 => "EXECVE",
        1320 => "EOE",
        1327 => "PROCTITLE",
        _ => return,
    };
    let text = String::from_utf8_lossy(text);
    assembler.take(kind, text.trim_end_matches('\0'), now_ms, done);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_records() {
        let (mut assembler, mut done) = (Assembler::default(), Vec::new());
        let datagram = |kind: u16, text: &str| {
            let mut datagram = vec![0; 16];
            datagram[4..6].copy_from_slice(&kind.to_ne_bytes());
            datagram.extend(text.as_bytes());
            datagram.push(0);
            datagram
        };
        let records = [
            datagram(
                1300,
                r#"audit(1.002:7): arch=c000003e syscall=59 success=yes ppid=2 pid=3 comm="id" exe="/bin/id""#,
            ),
            datagram(1309, r#"audit(1.002:7): argc=1 a0="id""#),
            datagram(1307, r#"audit(1.002:7): cwd="/tmp""#),
            datagram(1320, "audit(1.002:7): "),
        ];
        for whole in &records {
            for end in 0..16 {
                record(&mut assembler, &whole[..end], 0, &mut done);
            }
            record(&mut assembler, whole, 0, &mut done);
        }
        assert_eq!((done.len(), done[0].pid, done[0].whole), (1, 3, true));
        assert_eq!(done[0].arguments, b"id\0");
    }

    #[test]
    fn lines_of_the_log_are_records() {
        assert_eq!(split("node=web type=EOE msg=audit(1.002:7): "), Some(("EOE", "audit(1.002:7): ")));
        assert_eq!(split("type=EOE"), None);
    }

    #[test]
    fn where_nothing_may_be_read_it_is_said() {
        let options = Options { group: false, log: "/nonexistent/audit.log".into(), add_rules: false };
        let error = Audit::open(&options).unwrap_err().to_string();
        assert!(error.contains("CAP_AUDIT_READ") && error.contains("/nonexistent/audit.log"), "{error}");
    }
}
