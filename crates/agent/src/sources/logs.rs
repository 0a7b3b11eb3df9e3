//! Logs: the journal, files with rotation, the audit log; and the logins that they tell of. Each message is a row of its
//! own; what is understood of it is a login beside it. How far was read is handed over with what was read, so that after a crash
//! nothing is missing and nothing is told twice.
//!
//! What lines mean is found out apart, by a process that can do nothing else. A line that this cannot cope with is told as it is.

mod audit;
mod auth;
mod journal;
mod meaning;
mod row;
mod syslog;
mod tail;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, mpsc::SyncSender};
use std::time::{Duration, Instant};

use guardian_protocol::Events;
use guardian_protocol::classes::{LOGINS, LOGS};
use guardian_sys::process;
use serde::{Deserialize, Serialize};

pub use audit::{Record, parse as parse_audit};
pub(crate) use audit::{parse_text, stamp};
pub use auth::{Auth, Login};
pub use journal::{Entry, parse as parse_journal};
pub use meaning::{Meaning, Piece, Pieces, Understood};
pub(crate) use row::address;
pub use syslog::{Line, parse as parse_syslog};
pub use tail::{Position, Tail};

use crate::apart::{Apart, Failure};
use crate::outbox::Outbox;
use crate::sources::batcher::{Batcher, WAIT_MAX};
use crate::spool::Mark;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// By what name it is kept where reading stands.
pub(crate) const SOURCE: &str = "logs";
/// Bytes of one file that are read before the next one has its turn, and how often lines are handed over within it.
const TURN_BYTES: usize = 1 << 20;
const TURN_HANDS: usize = 16;
/// Bytes of what an agent of before kept.
const PLACE_BYTES_MAX: u64 = 1 << 20;
/// Lines, and bytes of them, whose meaning is found out at once.
const PIECES_MAX: usize = 1_000;
const PIECES_BYTES_MAX: usize = 128 << 10;
/// Entries of the journal that may wait.
const ENTRIES_MAX: usize = 64;
/// Bytes of an entry of the journal.
const ENTRY_BYTES_MAX: usize = 256 << 10;
/// Pause before the journal is asked again after its reader ended.
const AGAIN: Duration = Duration::from_secs(5);

/// Form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// As syslog daemons write it, or any text.
    Syslog,
    /// As auditd writes it.
    Audit,
}

/// What is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether the journal is.
    pub journal: bool,
    /// Files, and their forms.
    pub files: Vec<(PathBuf, Form)>,
    /// Where reading stood, as the last mark says.
    pub place: Option<Vec<u8>>,
    /// Seconds by which the files' local time is ahead of UTC; none for this machine's, which changes with the season.
    pub offset_s: Option<i64>,
}

impl Options {
    /// What there is on this machine: the journal if its reader is there, else the files of a syslog daemon; the audit log.
    pub fn of_this_machine(place: Option<Vec<u8>>) -> Self {
        let journal = PathBuf::from("/run/systemd/journal/socket").exists() && journalctl().is_some();
        let texts = ["/var/log/auth.log", "/var/log/secure", "/var/log/syslog", "/var/log/messages"];
        let mut files = Vec::new();
        if !journal {
            files.extend(texts.map(PathBuf::from).into_iter().filter(|p| p.exists()).map(|p| (p, Form::Syslog)));
        }
        files.push(("/var/log/audit/audit.log".into(), Form::Audit));
        Self { journal, files, place, offset_s: None }
    }
}

/// Where reading stood: by its mark, or by the file in which agents of before kept it.
pub(crate) fn place(marked: Option<Vec<u8>>, before: &Path) -> Option<Vec<u8>> {
    if marked.is_some() {
        // It is not needed any more, and may not be there.
        fs::remove_file(before).ok();
        return marked;
    }
    let mut bytes = Vec::new();
    fs::File::open(before).ok()?.take(PLACE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The journal's reader, by a path that only root can change.
fn journalctl() -> Option<PathBuf> {
    ["/usr/bin/journalctl", "/bin/journalctl"].into_iter().map(PathBuf::from).find(|p| p.exists())
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages.
    pub messages: AtomicU64,
    /// Logins among them.
    pub logins: AtomicU64,
    /// Lines of the journal or the audit log that were not understood.
    pub odd: AtomicU64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    cursor: Option<String>,
    files: BTreeMap<String, Position>,
}

/// Lines that were read and are not understood yet.
#[derive(Debug, Default)]
struct Waiting {
    pieces: Vec<Piece>,
    /// The file that each is of, by its place among the options.
    files: Vec<Option<usize>>,
    bytes: usize,
    since: Option<Instant>,
}

impl Waiting {
    fn push(&mut self, piece: Piece, file: Option<usize>) {
        self.bytes += piece.bytes();
        self.pieces.push(piece);
        self.files.push(file);
        self.since.get_or_insert_with(Instant::now);
    }

    const fn is_full(&self) -> bool {
        self.pieces.len() >= PIECES_MAX || self.bytes >= PIECES_BYTES_MAX
    }

    fn is_due(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= WAIT_MAX)
    }

    /// The first ones are understood.
    fn drop_first(&mut self, count: usize) {
        self.bytes -= self.pieces.drain(..count).map(|piece| piece.bytes()).sum::<usize>();
        self.files.drain(..count);
        if self.pieces.is_empty() {
            self.since = None;
        }
    }
}

/// The source. One thread drives it, and one more reads what the journal's reader writes.
#[derive(Debug)]
pub struct Logs {
    options: Options,
    state: State,
    tails: Vec<(Tail, Form)>,
    journal: Option<(Child, Receiver<Vec<u8>>)>,
    journal_again: Option<Instant>,
    auth: Auth,
    boot: String,
    /// How far this machine's local time is ahead of UTC now.
    offset_s: i64,
    counters: Arc<Counters>,
    apart: Arc<Apart>,
    /// When nobody could be found who understands lines, it is tried again then.
    apart_again: Option<Instant>,
    waiting: Waiting,
    outbox: Outbox,
    logs: Batcher,
    logins: Batcher,
    looked: Option<Instant>,
}

impl Logs {
    /// Begins to read from where it stood.
    pub fn start(outbox: &Outbox, apart: Arc<Apart>, options: Options) -> Self {
        let place = options.place.as_ref();
        let mut state: State = place.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        let tail = |(path, form): &(PathBuf, Form)| {
            let position = state.files.get(&path.to_string_lossy().into_owned()).cloned();
            (Tail::new(path, position), *form)
        };
        let tails: Vec<_> = options.files.iter().map(tail).collect();
        // Of a file that is not read any more nothing is known.
        state.files = options
            .files
            .iter()
            .zip(&tails)
            .map(|((path, _), (tail, _))| (name(path), tail.position().clone()))
            .collect();
        let logs = Self {
            tails,
            options,
            state,
            journal: None,
            journal_again: None,
            auth: Auth::default(),
            boot: super::processes::boot_id(),
            offset_s: process::utc_offset_s(),
            counters: Arc::default(),
            apart,
            apart_again: None,
            waiting: Waiting::default(),
            outbox: outbox.clone(),
            logs: Batcher::held(outbox.clone(), &LOGS),
            logins: Batcher::held(outbox.clone(), &LOGINS),
            looked: None,
        };
        // Of a file that was never read, what comes from now on is to be read: also by the agent that comes after one that is
        // killed before it reads anything.
        let mark = logs.mark();
        logs.outbox.send_marked(Vec::new(), mark);
        logs
    }

    /// What is counted.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Works until it is told to stop.
    pub fn run(&mut self, stop: &AtomicBool) -> io::Result<()> {
        while !stop.load(Ordering::Relaxed) {
            self.step(Duration::from_millis(50))?;
        }
        // Whoever reads after this one begins where this one ends; what could not be understood is read again.
        if self.understand() {
            let (rows, mark) = (self.rows(), self.mark());
            self.outbox.send_marked_durably(rows, mark);
        }
        Ok(())
    }

    /// Takes what there is; waits for the journal if there is nothing.
    pub fn step(&mut self, wait: Duration) -> io::Result<()> {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.looked = Some(Instant::now());
            self.files();
        }
        if self.options.journal {
            self.journal(wait);
        } else {
            std::thread::sleep(wait);
        }
        self.logs.tick();
        self.logins.tick();
        if self.waiting.is_due() || self.waiting.is_full() {
            self.hand_over();
        }
        Ok(())
    }

    fn rows(&mut self) -> Vec<Events> {
        [self.logs.take(), self.logins.take()].into_iter().flatten().collect()
    }

    /// Where reading stands.
    fn mark(&self) -> Mark {
        // Texts and numbers can always be written.
        Mark { source: SOURCE.to_owned(), place: serde_json::to_vec(&self.state).unwrap_or_default() }
    }

    /// Hands over all that was read, and how far that is; whether there is room for more.
    fn hand_over(&mut self) -> bool {
        if !self.understand() {
            return false;
        }
        let (rows, mark) = (self.rows(), self.mark());
        if !rows.is_empty() {
            // What does not fit is counted as lost, and not read again.
            self.outbox.send_marked(rows, mark);
        }
        true
    }

    /// Makes rows of what waits; whether nothing waits any more.
    fn understand(&mut self) -> bool {
        if self.apart_again.is_some_and(|at| at > Instant::now()) {
            return self.waiting.pieces.is_empty();
        }
        self.apart_again = None;
        let mut next = self.waiting.pieces.len();
        while !self.waiting.pieces.is_empty() {
            let some = self.waiting.pieces[..next].to_vec();
            let (now, offset_s) = (crate::now(), self.options.offset_s.unwrap_or(self.offset_s));
            let pieces = Pieces { now, offset_s, auth: self.auth.clone(), pieces: some };
            match self.apart.logs(&pieces) {
                Ok(understood) => {
                    self.auth = understood.auth;
                    for (at, meaning) in understood.meanings.iter().enumerate() {
                        self.meaning(at, meaning);
                    }
                }
                Err(Failure::NotStarted(_)) => {
                    self.apart_again = Some(Instant::now() + AGAIN);
                    return false;
                }
                Err(_) if next == 1 => {
                    // It is told, whatever it means.
                    let entry =
                        Entry { at: now, message: self.waiting.pieces[0].text(), genuine: false, ..Entry::default() };
                    self.meaning(0, &Meaning::Message(Box::new((entry, None))));
                    self.counters.odd.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => {
                    // One of them is the reason: the others are understood without it.
                    next /= 2;
                    continue;
                }
            }
            self.waiting.drop_first(next);
            self.logs.tick();
            next = self.waiting.pieces.len();
        }
        true
    }

    /// Makes rows of what a line means that waits.
    fn meaning(&mut self, at: usize, meaning: &Meaning) {
        self.counters.messages.fetch_add(1, Ordering::Relaxed);
        let file = self.waiting.files[at].map(|file| name(&self.options.files[file].0));
        match meaning {
            Meaning::Odd => {
                self.counters.odd.fetch_add(1, Ordering::Relaxed);
            }
            Meaning::Record(record) => {
                if let Piece::Line(_, text) = &self.waiting.pieces[at] {
                    row::audit(&mut self.logs, record, text, file.as_deref().unwrap_or_default(), &self.boot);
                }
            }
            Meaning::Message(both) => {
                let (entry, login) = &**both;
                let source = if file.is_some() { "file" } else { "journal" };
                row::log(&mut self.logs, entry, source, file.as_deref(), &self.boot);
                if let Some(login) = login {
                    self.counters.logins.fetch_add(1, Ordering::Relaxed);
                    row::login(&mut self.logins, login, entry, source);
                }
                if !entry.cursor.is_empty() {
                    self.state.cursor = Some(entry.cursor.clone());
                }
            }
        }
    }

    fn files(&mut self) {
        self.offset_s = process::utc_offset_s();
        let mut tails = std::mem::take(&mut self.tails);
        for (at, (tail, form)) in tails.iter_mut().enumerate() {
            let path = name(&self.options.files[at].0);
            // What did not fit is read at the next look.
            for _ in 0..TURN_HANDS {
                if self.waiting.is_full() && !self.hand_over() {
                    break;
                }
                let waiting = &mut self.waiting;
                let read = tail.read(TURN_BYTES, |line| {
                    waiting.push(Piece::Line(*form, line.to_owned()), Some(at));
                    !waiting.is_full()
                });
                self.state.files.insert(path.clone(), tail.position().clone());
                // A file that cannot be read now is tried again at the next look.
                if read.is_err() || !self.waiting.is_full() {
                    break;
                }
            }
        }
        self.tails = tails;
    }

    fn journal(&mut self, wait: Duration) {
        if self.journal.is_none() && self.journal_again.is_none_or(|at| at.elapsed() >= AGAIN) {
            self.journal_again = Some(Instant::now());
            self.journal = follow(self.state.cursor.as_deref()).ok();
        }
        if self.waiting.is_full() && !self.hand_over() {
            return std::thread::sleep(wait);
        }
        let Some((child, entries)) = &mut self.journal else { return std::thread::sleep(wait) };
        match entries.recv_timeout(wait) {
            Ok(entry) => self.waiting.push(Piece::Journal(entry), None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let _ = child.kill().is_ok();
                let _ = child.wait().is_ok();
                // The next one begins behind what was understood.
                if self.waiting.pieces.is_empty() || self.hand_over() {
                    self.journal = None;
                } else {
                    std::thread::sleep(wait);
                }
            }
        }
        let Some((_, entries)) = &self.journal else { return };
        while !self.waiting.is_full()
            && let Ok(entry) = entries.try_recv()
        {
            self.waiting.push(Piece::Journal(entry), None);
        }
    }
}

/// A path as a place names it.
fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.journal.take() {
            let _ = child.kill().is_ok();
            let _ = child.wait().is_ok();
        }
    }
}

/// Starts the journal's reader behind the cursor, or from now on.
fn follow(cursor: Option<&str>) -> io::Result<(Child, Receiver<Vec<u8>>)> {
    let program = journalctl().ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(["--output=json", "--follow", "--all", "--quiet", "--no-pager"]).env_clear();
    match cursor {
        Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
        None => command.arg("--lines=0"),
    };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (sender, receiver) = sync_channel(ENTRIES_MAX);
    std::thread::Builder::new().name("journal".into()).spawn(move || read_entries(output, &sender))?;
    Ok((child, receiver))
}

fn read_entries(output: impl io::Read, sender: &SyncSender<Vec<u8>>) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match io::Read::take(&mut reader, ENTRY_BYTES_MAX as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if !line.ends_with(b"\n") && reader.skip_until(b'\n').is_err() {
            return;
        }
        if sender.send(line.clone()).is_err() {
            return;
        }
    }
}
