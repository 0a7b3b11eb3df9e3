//! The child: it confines itself before anything else, and then parses what it is handed.
//!
//! It must never do anything before it is confined but look up its own user.

use std::any::Any;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guardian_inventory::accounts;
use guardian_inventory::transaction::Transaction;
use guardian_protocol::lists::List;
use guardian_sys::channel::Channel;
use guardian_sys::confine::{Calls, Capability, Held, Room, confine};
use guardian_sys::process;
use postcard::ser_flavors::Size;
use postcard::serialize_with_flavor;

use super::message::{Item, Order, PART_BYTES, TEXT_BYTES_MAX, Task, Word};
use crate::files::{Installed, OUTPUT_BYTES_MAX, Reach, Root, Sort, Tool};
use crate::inventory::lists;
use crate::sources::logs::Pieces;

/// The user that exists for the agent where an administrator made one.
const USER_NAME: &str = "guardian-agent";
/// Otherwise a number that no system gives to anybody (systemd.io/UIDS-GIDS).
const USER: u32 = 1_900_000_001;
/// Address space of a child: the largest database that is read, and what is made of it.
const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Processor time of a child.
const CPU_S_MAX: u64 = 1_800;
/// Open files of a child.
const FILES_MAX: u64 = 32;
/// Names of a folder that are taken.
const NAMES_MAX: usize = 1_000_000;
/// Issues that are told.
const ISSUES_MAX: usize = 50;
/// Transactions in one message.
const TRANSACTIONS_PART: usize = 32;

/// Locks this process up so that it can read below these paths and do little else: no program, no network, no change to any
/// file. It must be called before there are threads; those that come later are locked up as well. Answers what holds.
pub fn confine_reader(readable: &[PathBuf], memory_bytes: u64, cpu_s: u64) -> io::Result<Held> {
    confine(&Room { readable: readable.to_vec(), calls: Calls::Read, memory_bytes, cpu_s, ..room() })
}

/// Locks this process up so that it can look at the whole machine and change nothing: it keeps the right to read every file,
/// and no program, no address and no other process is within its reach. Where it has to look `into_processes`, the file
/// system is not closed to it, and only its system calls keep it from writing.
pub(crate) fn confine_looker(into_processes: bool, memory_bytes: u64, cpu_s: u64, files: u64) -> io::Result<Held> {
    confine(&Room {
        keeps: &[Capability::ReadFiles, Capability::LookIntoProcesses],
        closed: !into_processes,
        readable: vec!["/".into()],
        calls: Calls::Look,
        memory_bytes,
        cpu_s,
        files,
        ..room()
    })
}

fn room() -> Room {
    let passwd = std::fs::read("/etc/passwd").unwrap_or_default();
    let own = accounts::parse_passwd(&passwd).entries.into_iter().find(|user| user.name == USER_NAME);
    Room {
        // A name that somebody gave to root is not meant.
        user: Some(own.map(|user| user.uid).filter(|uid| *uid != 0).unwrap_or(USER)),
        keeps: &[],
        closed: true,
        readable: Vec::new(),
        writable: Vec::new(),
        calls: Calls::Parse,
        memory_bytes: MEMORY_BYTES_MAX,
        cpu_s: CPU_S_MAX,
        files: FILES_MAX,
        file_bytes: 0,
        // The thread that starts a child may be gone before the child is; the channel says when the agent is.
        ends_with_parent: false,
    }
}

/// The work of a child: tasks, one after the other, until the other end is closed.
pub fn work() -> io::Result<()> {
    let talk = Talk(Arc::new(Mutex::new(Channel::of_standard_input()?)));
    // How far it stands behind others it has from whoever started it: a change that is to be explained does not wait.
    process::background_thread().ok();
    let held = confine(&room())?;
    talk.say(&Word::Ready { missing: held.missing().into_iter().map(str::to_owned).collect() })?;
    // What it says when it panics is told by the channel; there is no other way out.
    std::panic::set_hook(Box::new(|_| {}));
    while let Some(order) = talk.hear()? {
        let Order::Begin(task) = order else { return Err(unexpected()) };
        match catch_unwind(AssertUnwindSafe(|| talk.perform(&task))) {
            Ok(done) => done?,
            Err(panic) => return talk.say(&Word::GaveUp(reason(panic.as_ref()))),
        }
        process::give_back_memory();
    }
    Ok(())
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
    text.chars().take(TEXT_BYTES_MAX / 4).collect()
}

fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer to another question")
}

/// The child's end of the channel.
#[derive(Clone, Debug)]
struct Talk(Arc<Mutex<Channel>>);

impl Talk {
    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, word: &Word) -> io::Result<()> {
        self.channel().send(&word.to_bytes(), None, None)
    }

    fn hear_with_file(&self) -> io::Result<Option<(Order, Option<File>)>> {
        let mut channel = self.channel();
        let Some(came) = channel.receive(None)? else { return Ok(None) };
        let order = Order::of_bytes(came.bytes).ok_or_else(unexpected)?;
        Ok(Some((order, came.file)))
    }

    fn hear(&self) -> io::Result<Option<Order>> {
        Ok(self.hear_with_file()?.map(|(order, _)| order))
    }

    fn ask(&self, word: &Word) -> io::Result<(Order, Option<File>)> {
        self.say(word)?;
        self.hear_with_file()?.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    fn perform(&self, task: &Task) -> io::Result<()> {
        let mut root = Root::through(Box::new(self.clone()));
        match task {
            Task::List(name) => {
                let source = lists::find(name).ok_or_else(unexpected)?;
                let mut list = List::default();
                (source.read)(&mut root, &mut list);
                self.say_all(&list.lines())?;
            }
            Task::Owned => self.owned(&mut root)?,
            Task::Logs => {
                let pieces: Pieces = postcard::from_bytes(&self.input()?).map_err(|_| unexpected())?;
                self.say_all(&postcard::to_allocvec(&pieces.understood()).map_err(|_| unexpected())?)?;
            }
            Task::Transactions => {
                // What was asked for by whom is of no use here, and may be long.
                let short = |one: Transaction| Transaction { command: String::new(), by: String::new(), ..one };
                let all: Vec<Transaction> =
                    root.transactions().into_iter().map(short).filter(super::is_short).collect();
                for part in all.chunks(TRANSACTIONS_PART) {
                    self.say(&Word::Transactions(part.to_vec()))?;
                }
            }
        }
        let issues = root.issues.into_iter().take(ISSUES_MAX);
        self.say(&Word::Done { issues: issues.map(|text| text.chars().take(TEXT_BYTES_MAX / 8).collect()).collect() })
    }

    fn say_all(&self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(PART_BYTES).try_for_each(|part| self.say(&Word::Part(part.to_vec())))
    }

    /// What the task is about.
    fn input(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut next = Some(self.ask(&Word::Input)?.0);
        while let Some(Order::Input { part, last }) = next {
            all.extend(part);
            if last {
                return Ok(all);
            }
            next = self.hear()?;
        }
        Err(unexpected())
    }

    fn owned(&self, root: &mut Root) -> io::Result<()> {
        let mut last: Option<Installed> = None;
        let (mut items, mut bytes, mut left_out) = (Vec::new(), 0, 0_u64);
        let mut said = Ok(());
        root.owned_as_said(&mut |installed, owned| {
            if said.is_err() {
                return;
            }
            if !super::fits(installed) {
                left_out += 1;
                return;
            }
            if last.as_ref() != Some(installed) {
                last = Some(installed.clone());
                bytes += installed.name.len() + installed.version.len() + 32;
                items.push(Item::Package(installed.clone()));
            }
            let item = match owned {
                None => Item::Nothing,
                Some(owned) => Item::File(owned),
            };
            let length = serialize_with_flavor(&item, Size::default()).unwrap_or(usize::MAX);
            if length > PART_BYTES / 4 {
                left_out += 1;
                return;
            }
            bytes += length;
            items.push(item);
            if bytes >= PART_BYTES {
                bytes = 0;
                said = self.say(&Word::Owned(std::mem::take(&mut items)));
            }
        });
        said?;
        if left_out > 0 {
            root.issues.push(format!("{left_out} files are described at a length that none has"));
        }
        if items.is_empty() { Ok(()) } else { self.say(&Word::Owned(items)) }
    }
}

impl Reach for Talk {
    fn open(&mut self, path: &str) -> io::Result<(File, u64)> {
        match self.ask(&Word::Open(path.to_owned()))? {
            (Order::File { length }, Some(file)) => Ok((file, length)),
            (Order::No(error), _) => Err(io::Error::from_raw_os_error(error)),
            _ => Err(unexpected()),
        }
    }

    fn entries(&mut self, path: &str) -> Vec<(String, Sort)> {
        let mut all = Vec::new();
        let mut next = self.ask(&Word::Entries(path.to_owned())).map(|(order, _)| Some(order));
        while let Ok(Some(Order::Entries { entries, last })) = next {
            all.extend(entries);
            if last || all.len() > NAMES_MAX {
                break;
            }
            next = self.hear();
        }
        all
    }

    fn resolve(&mut self, path: &Path) -> PathBuf {
        match self.ask(&Word::Resolve(path.as_os_str().as_bytes().to_vec())) {
            Ok((Order::Place(place), _)) => std::ffi::OsString::from_vec(place).into(),
            _ => path.to_owned(),
        }
    }

    fn output(&mut self, tool: Tool) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        let mut next = self.ask(&Word::Output(tool)).map(|(order, _)| Some(order));
        while let Ok(Some(Order::Output { part, last })) = next {
            all.extend(part);
            if last || all.len() > OUTPUT_BYTES_MAX {
                return Some(all);
            }
            next = self.hear();
        }
        None
    }
}
