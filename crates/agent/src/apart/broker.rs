//! Opens for a child what its task is about, and nothing else.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Instant;

use guardian_sys::channel::Channel;
use nix::errno::Errno;
use nix::unistd::geteuid;

use super::allowed::{Allowed, Answer};
use super::message::{Order, PART_BYTES, PATH_BYTES_MAX, Word};
use crate::files::{Root, Sort, Tool};
use crate::inventory::lists::libraries;

/// Names of one folder that are handed over.
const NAMES_MAX: usize = 1_000_000;

/// Files that were named at most.
const NAMED_MAX: usize = 100_000;

/// What goes into one message each, and whether it is the last: one at least.
fn parts(bytes: &[u8]) -> impl Iterator<Item = (Vec<u8>, bool)> {
    let count = bytes.len().div_ceil(PART_BYTES).max(1);
    (0..count).map(move |at| {
        let part = &bytes[at * PART_BYTES..bytes.len().min((at + 1) * PART_BYTES)];
        (part.to_vec(), at + 1 == count)
    })
}

/// The privileged side of one task.
pub(super) struct Broker<'a> {
    root: Root,
    allowed: &'static Allowed,
    /// The child was handed what somebody else than root could have written: from now on its word on what it needs counts
    /// no more.
    swayed: bool,
    /// What it asked for before that.
    named: HashSet<String>,
    /// What the task is about, where that is no file.
    input: &'a [u8],
    /// What was asked for beyond the task.
    pub(super) refused: u64,
}

impl<'a> Broker<'a> {
    /// For a task on a root, or about this.
    pub(super) fn new(root: &Path, allowed: &'static Allowed, input: &'a [u8]) -> Self {
        Self { root: Root::bare(root), allowed, swayed: false, named: HashSet::new(), input, refused: 0 }
    }

    /// Answers what a child asks for; what is no question is given back.
    pub(super) fn answer(&mut self, channel: &Channel, word: Word, until: Option<Instant>) -> io::Result<Option<Word>> {
        let send =
            |order: &Order, file: Option<&File>| channel.send(&order.to_bytes(), file.map(|file| file.as_fd()), until);
        match word {
            Word::Open(path) => match self.open(&path) {
                Ok((file, length)) => send(&Order::File { length }, Some(&file))?,
                Err(error) => send(&Order::No(error.raw_os_error().unwrap_or(Errno::EINVAL as i32)), None)?,
            },
            Word::Entries(path) => {
                let mut entries = self.entries(&path);
                entries.truncate(NAMES_MAX);
                let mut entries = entries.into_iter().peekable();
                loop {
                    let (mut part, mut bytes) = (Vec::new(), 0);
                    while bytes < PART_BYTES
                        && let Some(entry) = entries.next()
                    {
                        bytes += entry.0.len() + 4;
                        part.push(entry);
                    }
                    let last = entries.peek().is_none();
                    send(&Order::Entries { entries: part, last }, None)?;
                    if last {
                        break;
                    }
                }
            }
            Word::Resolve(path) => {
                let place = self.resolve(&path);
                send(&Order::Place(place), None)?;
            }
            Word::Output(tool) => match self.output(tool) {
                Some(output) => {
                    for (part, last) in parts(&output) {
                        send(&Order::Output { part, last }, None)?;
                    }
                }
                None => send(&Order::NoOutput, None)?,
            },
            Word::Input => {
                for (part, last) in parts(self.input) {
                    send(&Order::Input { part, last }, None)?;
                }
            }
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    /// Whether a path belongs to the task because root's own configuration names it.
    fn is_named(&mut self, path: &str) -> bool {
        if self.swayed {
            return self.named.contains(path);
        }
        let is = path.starts_with('/') && (self.allowed.named)(path) && self.named.len() < NAMED_MAX;
        if is {
            self.named.insert(path.to_owned());
        }
        is
    }

    /// Opens a file of the task, and says how long it is.
    pub(super) fn open(&mut self, path: &str) -> io::Result<(File, u64)> {
        let long = path.len() > PATH_BYTES_MAX;
        let listed = !long && path.starts_with('/') && (self.allowed.file)(path) != Answer::No;
        if !listed && (long || !self.is_named(path)) {
            self.refused += 1;
            return Err(Errno::EACCES.into());
        }
        let place = self.root.resolve(Path::new(path));
        let Some(shown) = place.to_str() else { return Err(Errno::ENOENT.into()) };
        let answer = if listed {
            self.allowed.answer(path, shown)
        } else if place.file_name() == Path::new(path).file_name() && (self.allowed.named)(shown) {
            // A link does not choose here either.
            Answer::Yes
        } else {
            Answer::No
        };
        if answer == Answer::No {
            // Somebody put a link there that leads out of the task.
            return Err(Errno::EACCES.into());
        }
        let (file, length) = self.root.open_place(&place)?;
        let mut start = [0; libraries::ELF.len()];
        if answer == Answer::IfProgram && (file.read_exact_at(&mut start, 0).is_err() || start != libraries::ELF) {
            return Err(Errno::ENOEXEC.into());
        }
        let about = file.metadata()?;
        // Whoever runs this is as good as root to those whom it runs for.
        let own = about.uid() == 0 || about.uid() == geteuid().as_raw();
        self.swayed |= !own || about.mode() & 0o022 != 0;
        Ok((file, length))
    }

    /// What is in a folder of the task.
    pub(super) fn entries(&mut self, path: &str) -> Vec<(String, Sort)> {
        if path.len() > PATH_BYTES_MAX || !((self.allowed.folder)(path) || self.is_named(path)) {
            self.refused += 1;
            return Vec::new();
        }
        self.root.entries(path)
    }

    /// Where links lead is told of paths alone that the task may ask for.
    pub(super) fn resolve(&mut self, path: &[u8]) -> Vec<u8> {
        let path = &path[..path.len().min(PATH_BYTES_MAX)];
        let known = std::str::from_utf8(path).is_ok_and(|path| {
            (self.allowed.file)(path) != Answer::No || (self.allowed.folder)(path) || self.is_named(path)
        });
        if !known {
            self.refused += 1;
            return path.to_vec();
        }
        self.root.resolve(Path::new(std::ffi::OsStr::from_bytes(path))).into_os_string().into_vec()
    }

    fn output(&mut self, tool: Tool) -> Option<Vec<u8>> {
        if !self.allowed.programs {
            self.refused += 1;
            return None;
        }
        tool.output()
    }
}
