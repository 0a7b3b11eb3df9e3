//! Programs from audit records. The records of one event share a serial number and come among those of others: `SYSCALL` says
//! who, `EXECVE` with which arguments, `CWD` where, and `PROCTITLE` or `EOE` that it was all. Pure; what is open is bounded in
//! number and time. `PROCTITLE` itself is never taken for arguments: after an exec it may still be that of the program before.

use std::collections::{HashMap, VecDeque};

use super::arguments::{Arguments, value_bytes};
use super::calls;
use crate::sources::logs::{parse_text, stamp};

/// Events of which not all came yet.
const OPEN_MAX: usize = 1_024;
/// How long an event waits for the rest of it, in milliseconds.
pub(crate) const OPEN_MS_MAX: u64 = 500;
/// Bytes of a text that are kept.
const TEXT_BYTES_MAX: usize = 4_096;

/// A process that became another program, as audit tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// The number of the event.
    pub serial: u64,
    /// When the call began, in microseconds since 1970; the kernel says it in milliseconds, of a clock that ticks.
    pub at: i64,
    /// The process.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// Its user.
    pub uid: Option<u32>,
    /// The user whose rights it has.
    pub euid: Option<u32>,
    /// Who signed in.
    pub login_uid: Option<u32>,
    /// The login session.
    pub session: Option<u32>,
    /// Its terminal.
    pub terminal: Option<String>,
    /// Its name for itself.
    pub name: String,
    /// Its program.
    pub image: Option<String>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// Its arguments, each with a zero behind it.
    pub arguments: Vec<u8>,
    /// Whether no record of it is missing.
    pub whole: bool,
}

type Key = (i64, u64);

#[derive(Debug, Default)]
struct Open {
    executed: Option<Executed>,
    /// Whether the call is one that starts programs, by its name or number.
    certain: bool,
    /// The call was refused: no program began.
    refused: bool,
    arguments: Option<Arguments>,
    cwd: Option<String>,
}

/// Puts records together.
#[derive(Debug, Default)]
pub struct Assembler {
    open: HashMap<Key, Open>,
    order: VecDeque<(Key, u64)>,
    /// Events of programs that lacked the record which says who it was.
    pub broken: u64,
}

impl Assembler {
    /// Takes a record by its type and its text (`audit(TIME:SERIAL): …`); what is done then, and what has to go for want of
    /// room, is added to `done`. False where it is none.
    pub fn take(&mut self, kind: &str, text: &str, now_ms: u64, done: &mut Vec<Executed>) -> bool {
        let Some((at, serial, rest)) = stamp(text) else { return false };
        let key = (at, serial);
        match kind {
            "SYSCALL" => self.call(text, now_ms, done),
            "EXECVE" => self.open(key, now_ms, done).arguments.get_or_insert_default().take(rest),
            "CWD" => {
                if let Some(open) = self.open.get_mut(&key) {
                    open.cwd = cwd(rest);
                }
            }
            // The last one of the kernel's, and the end as the kernel says it, which auditd does not write down.
            "PROCTITLE" | "EOE" => self.close(key, done),
            _ => {}
        }
        true
    }

    /// Ends what has waited long enough.
    pub fn tick(&mut self, now_ms: u64, done: &mut Vec<Executed>) {
        while let Some((key, since)) = self.order.front().copied() {
            if self.open.contains_key(&key) && now_ms.saturating_sub(since) < OPEN_MS_MAX {
                return;
            }
            self.order.pop_front();
            self.close(key, done);
        }
    }

    /// Events that are open.
    pub fn waiting(&self) -> usize {
        self.open.len()
    }

    fn open(&mut self, key: Key, now_ms: u64, done: &mut Vec<Executed>) -> &mut Open {
        if !self.open.contains_key(&key) {
            while self.open.len() >= OPEN_MAX || self.order.len() >= 2 * OPEN_MAX {
                let Some((oldest, _)) = self.order.pop_front() else { break };
                self.close(oldest, done);
            }
            self.order.push_back((key, now_ms));
        }
        self.open.entry(key).or_default()
    }

    fn call(&mut self, text: &str, now_ms: u64, done: &mut Vec<Executed>) {
        let Some(record) = parse_text("SYSCALL", text) else { return };
        let named = record.get("SYSCALL").map(|name| matches!(name, "execve" | "execveat"));
        let number = || {
            let arch = u32::from_str_radix(record.get("arch")?, 16).ok()?;
            calls::is_exec(arch, record.get("syscall")?.parse().ok()?)
        };
        // Where it is not known which call this is, the record with arguments tells.
        let certain = named.or_else(number);
        if certain == Some(false) {
            return;
        }
        let any = |key| record.get(key).and_then(|value| value.parse::<u32>().ok());
        let bounded = |text: &str| text.chars().take(TEXT_BYTES_MAX / 4).collect::<String>();
        let executed = any("pid").filter(|pid| *pid > 0).map(|pid| Executed {
            serial: record.serial,
            at: record.at,
            pid,
            parent: any("ppid").unwrap_or_default(),
            uid: record.number("uid"),
            euid: record.number("euid"),
            login_uid: record.number("auid"),
            session: record.number("ses"),
            terminal: record.get("tty").map(terminal),
            name: record.get("comm").map(bounded).unwrap_or_default(),
            image: record.get("exe").map(bounded),
            ..Executed::default()
        });
        let refused = record.get("success") == Some("no");
        let open = self.open((record.at, record.serial), now_ms, done);
        open.executed = executed;
        open.refused = refused;
        open.certain = certain.is_some();
    }

    fn close(&mut self, key: Key, done: &mut Vec<Executed>) {
        let Some(open) = self.open.remove(&key) else { return };
        if open.refused {
            return;
        }
        let Some(arguments) = open.arguments else {
            let executed = open.executed.filter(|_| open.certain);
            done.extend(executed.map(|executed| Executed { cwd: open.cwd, ..executed }));
            return;
        };
        let (bytes, whole) = arguments.finish();
        match open.executed {
            Some(executed) => {
                let whole = whole && open.cwd.is_some();
                done.push(Executed { arguments: bytes, whole, cwd: open.cwd, ..executed });
            }
            None => self.broken += 1,
        }
    }
}

/// The working directory out of what stands behind the stamp.
fn cwd(rest: &str) -> Option<String> {
    let value = rest.trim_start_matches(' ').strip_prefix("cwd=")?;
    let value = value.split('\u{1d}').next().unwrap_or_default().trim_end();
    let bytes = value_bytes(value);
    let path = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]).into_owned();
    path.starts_with('/').then_some(path)
}

/// A terminal as `/dev` names it: audit leaves the stroke of `pts/5` out.
fn terminal(name: &str) -> String {
    match name.strip_prefix("pts") {
        Some(number) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("pts/{number}")
        }
        _ => name.chars().take(64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECORDED: &str = include_str!("../../../../fixtures/logs/exec.log");

    fn split(line: &str) -> (&str, &str) {
        line.strip_prefix("type=").and_then(|rest| rest.split_once(" msg=")).unwrap_or_else(|| panic!("{line}"))
    }

    fn all<'a>(lines: impl IntoIterator<Item = &'a str>) -> (Vec<Executed>, Assembler) {
        let (mut assembler, mut done) = (Assembler::default(), Vec::new());
        for line in lines {
            let (kind, text) = split(line);
            assert!(assembler.take(kind, text, 0, &mut done), "{line}");
        }
        (done, assembler)
    }

    fn commands(done: &[Executed]) -> Vec<String> {
        let text = |e: &Executed| String::from_utf8_lossy(&e.arguments).trim_end_matches('\0').replace('\0', "|");
        done.iter().map(text).collect()
    }

    #[test]
    fn recorded_events_become_programs() {
        let (done, assembler) = all(RECORDED.lines());
        assert_eq!((assembler.waiting(), assembler.broken), (0, 0));
        let commands = commands(&done);
        assert!(commands.contains(&"/bin/true|a b|1|2|3|ü".to_owned()), "{commands:?}");
        assert!(commands.iter().all(|c| !c.starts_with("/tmp/guardian-refused")), "what was refused is no program");
        let long = done.iter().zip(&commands).find(|(_, c)| c.contains("xxxx")).unwrap();
        assert_eq!((long.1.len(), long.0.whole), ("/bin/true|".len() + 9_000, true));
        let echo = &done[commands.iter().position(|c| c.starts_with("/bin/true|a b")).unwrap()];
        assert_eq!((echo.name.as_str(), echo.image.as_deref()), ("true", Some("/usr/bin/true")));
        assert_eq!((echo.cwd.as_deref(), echo.uid, echo.whole), (Some("/tmp"), Some(65_534), true));
        assert_eq!((echo.login_uid, echo.session, echo.terminal.as_deref()), (Some(1_000), Some(1), Some("pts/0")));
        assert!(echo.pid > 1 && echo.parent > 1 && echo.at > 1_795_000_000_000_000);
    }

    #[test]
    fn order_among_events_does_not_matter() {
        let (expected, _) = all(RECORDED.lines());
        // Each event's records in their order, and one of each event in turn.
        let mut events: Vec<(u64, VecDeque<&str>)> = Vec::new();
        for line in RECORDED.lines() {
            let serial = stamp(split(line).1).unwrap().1;
            match events.iter_mut().find(|(s, _)| *s == serial) {
                Some((_, lines)) => lines.push_back(line),
                None => events.push((serial, VecDeque::from([line]))),
            }
        }
        let mut mixed = Vec::new();
        while events.iter().any(|(_, lines)| !lines.is_empty()) {
            mixed.extend(events.iter_mut().filter_map(|(_, lines)| lines.pop_front()));
        }
        let (mut done, _) = all(mixed);
        done.sort_by_key(|e| e.serial);
        assert_eq!(done, expected);
    }

    #[test]
    fn what_does_not_come_is_not_waited_for_and_said() {
        let (mut assembler, mut done) = (Assembler::default(), Vec::new());
        let call = r#"audit(1.002:7): arch=c000003e syscall=59 success=yes ppid=2 pid=3 uid=0 tty=(none) comm="id" exe="/bin/id""#;
        assembler.take("SYSCALL", call, 0, &mut done);
        assembler.take("EXECVE", r#"audit(1.002:8): argc=1 a0="ls""#, 10, &mut done);
        assembler.tick(OPEN_MS_MAX - 1, &mut done);
        assert_eq!((done.len(), assembler.waiting()), (0, 2));
        assembler.tick(OPEN_MS_MAX + 10, &mut done);
        assert_eq!((done.len(), assembler.waiting(), assembler.broken), (1, 0, 1));
        assert_eq!((done[0].pid, done[0].arguments.len(), done[0].whole), (3, 0, false));
        assert!(!assembler.take("SYSCALL", "audit(1.2", 0, &mut done));
        // Another call, and one that no program follows from.
        for text in ["audit(1.003:9): arch=c000003e syscall=2 success=yes pid=3", &call.replace("yes", "no")] {
            assembler.take("SYSCALL", text, 0, &mut done);
            assembler.take("EOE", &text[..16], 0, &mut done);
        }
        assert_eq!((done.len(), assembler.waiting(), assembler.broken), (1, 0, 1));
    }

    #[test]
    fn what_is_open_is_bounded() {
        let (mut assembler, mut done) = (Assembler::default(), Vec::new());
        for serial in 0..5 * OPEN_MAX {
            assembler.take("EXECVE", &format!("audit(1.002:{serial}): argc=1 a0=\"x\""), 0, &mut done);
            assert!(assembler.waiting() <= OPEN_MAX && assembler.order.len() <= 2 * OPEN_MAX);
            if serial % 2 == 0 {
                assembler.take("EOE", &format!("audit(1.002:{serial}): "), 0, &mut done);
            }
        }
        assembler.tick(OPEN_MS_MAX, &mut done);
        assert_eq!((assembler.waiting(), assembler.order.len(), assembler.broken), (0, 0, 5 * OPEN_MAX as u64));
    }

    #[test]
    fn whatever_is_cut_off_or_changed_does_no_harm() {
        let (mut assembler, mut done) = (Assembler::default(), Vec::new());
        for line in RECORDED.lines().filter(|line| line.len() < 1_000).take(30) {
            let (kind, text) = split(line);
            for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
                assembler.take(kind, &text[..at], 0, &mut done);
                for other in ["\"", "=", " ", "\u{1d}", "[", "9"] {
                    let end = (at + 1..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
                    assembler.take(kind, &format!("{}{other}{}", &text[..at], &text[end..]), 0, &mut done);
                }
            }
        }
        assert!(assembler.waiting() <= OPEN_MAX);
    }

    proptest! {
        /// Whichever records are missing: no program is told twice, and none that was not there.
        #[test]
        fn missing_records_make_no_others(missing in proptest::collection::vec(any::<bool>(), 200)) {
            let (expected, _) = all(RECORDED.lines());
            let lines = RECORDED.lines().zip(missing.iter().chain(std::iter::repeat(&false)));
            let (mut done, mut assembler) = all(lines.filter(|(_, missing)| !**missing).map(|(line, _)| line));
            assembler.tick(OPEN_MS_MAX, &mut done);
            let mut serials: Vec<u64> = done.iter().map(|e| e.serial).collect();
            serials.sort_unstable();
            serials.dedup();
            prop_assert_eq!(serials.len(), done.len());
            for one in &done {
                let same = expected.iter().find(|e| e.serial == one.serial);
                prop_assert_eq!(same.map(|e| (e.pid, e.parent)), Some((one.pid, one.parent)));
                prop_assert!(!one.whole || same == Some(one));
            }
            prop_assert!(done.len() as u64 + assembler.broken <= expected.len() as u64);
        }
    }
}
