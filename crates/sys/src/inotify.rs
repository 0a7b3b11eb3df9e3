//! Being told by the kernel what happens in folders (inotify(7)): one watch a folder, without who did it. It is what
//! remains where fanotify is not permitted.
#![expect(unsafe_code, reason = "inotify has no safe form in the standard library")]

use std::collections::HashMap;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What happened, as bits (`IN_*`).
pub mod mask {
    /// A file was written to, and whoever did it has closed it.
    pub const CLOSE_WRITE: u32 = libc::IN_CLOSE_WRITE;
    /// Properties were changed.
    pub const ATTRIBUTES: u32 = libc::IN_ATTRIB;
    /// A name was made.
    pub const CREATE: u32 = libc::IN_CREATE;
    /// A name was removed.
    pub const DELETE: u32 = libc::IN_DELETE;
    /// A name was moved away.
    pub const MOVED_FROM: u32 = libc::IN_MOVED_FROM;
    /// A name was moved here.
    pub const MOVED_TO: u32 = libc::IN_MOVED_TO;
    /// It happened to a folder.
    pub const FOLDER: u32 = libc::IN_ISDIR;
    /// Events were lost.
    pub const OVERFLOW: u32 = libc::IN_Q_OVERFLOW;
    /// Everything that file integrity asks for.
    pub const CHANGES: u32 = CLOSE_WRITE | ATTRIBUTES | CREATE | DELETE | MOVED_FROM | MOVED_TO;
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened, of [`mask`].
    pub mask: u32,
    /// The folder; none for an overflow.
    pub folder: Option<PathBuf>,
    /// The name in the folder; empty for the folder itself.
    pub name: OsString,
}

/// A listener.
#[derive(Debug)]
pub struct Inotify {
    fd: OwnedFd,
    folders: HashMap<i32, PathBuf>,
    buffer: Vec<u8>,
}

/// Bytes of one read; some hundreds of events.
const BUFFER_BYTES: usize = 64 << 10;
/// Watch, mask, cookie and length at the head of each event.
const HEAD_BYTES: usize = 16;

impl Inotify {
    /// A listener that watches nothing yet. Reading from it does not wait.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call takes a number and gives a descriptor or an error.
        let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above has just opened it, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, folders: HashMap::new(), buffer: vec![0; BUFFER_BYTES] })
    }

    /// Watches a folder, not what is below it.
    pub fn watch(&mut self, folder: &Path) -> io::Result<()> {
        let path = CString::new(folder.as_os_str().as_bytes())?;
        let wanted = mask::CHANGES | libc::IN_ONLYDIR | libc::IN_DONT_FOLLOW | libc::IN_EXCL_UNLINK;
        // SAFETY: the listener is open, and the path ends with a zero byte.
        let watch = unsafe { libc::inotify_add_watch(self.fd.as_raw_fd(), path.as_ptr(), wanted) };
        if watch < 0 {
            return Err(io::Error::last_os_error());
        }
        self.folders.insert(watch, folder.to_owned());
        Ok(())
    }

    /// Folders that are watched.
    pub fn watched(&self) -> usize {
        self.folders.len()
    }

    /// Takes the events that wait and calls `each` with them; returns how many there were.
    pub fn read(&mut self, mut each: impl FnMut(Event)) -> io::Result<usize> {
        // SAFETY: the buffer is ours and as long as said.
        let length = unsafe { libc::read(self.fd.as_raw_fd(), self.buffer.as_mut_ptr().cast(), self.buffer.len()) };
        let Ok(length) = usize::try_from(length) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(0) } else { Err(error) };
        };
        let (mut rest, mut count) = (&self.buffer[..length], 0);
        while let Some((head, tail)) = rest.split_first_chunk::<HEAD_BYTES>() {
            let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| head[at + i]));
            let (watch, mask) = (word(0).cast_signed(), word(4));
            let Some((name, tail)) = tail.split_at_checked(word(12) as usize) else { break };
            rest = tail;
            if mask & libc::IN_IGNORED != 0 {
                self.folders.remove(&watch);
                continue;
            }
            count += 1;
            let name = OsStr::from_bytes(name.split(|b| *b == 0).next().unwrap_or_default());
            let folder = self.folders.get(&watch).cloned();
            each(Event { mask, folder, name: OsString::from_vec(name.as_bytes().to_vec()) });
        }
        Ok(count)
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits until something can be read from a descriptor, or the time is over; returns whether there is something.
pub fn wait(fd: impl AsFd, timeout: Duration) -> io::Result<bool> {
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let mut poll = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the struct is ours, and there is one.
    let ready = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    match ready {
        0 => Ok(false),
        1.. => Ok(true),
        _ => match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::Interrupted => Ok(false),
            e => Err(e),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn changes_are_told_with_their_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        let mut inotify = Inotify::new().unwrap();
        inotify.watch(folder.path()).unwrap();
        inotify.watch(&folder.path().join("inner")).unwrap();
        assert!(!wait(&inotify, Duration::ZERO).unwrap());
        fs::write(folder.path().join("inner/file"), "x").unwrap();
        fs::rename(folder.path().join("inner/file"), folder.path().join("file")).unwrap();
        fs::remove_dir(folder.path().join("inner")).unwrap();
        assert!(wait(&inotify, Duration::from_secs(5)).unwrap());
        let mut told = Vec::new();
        inotify.read(|event| told.push((event.mask, event.folder.map(|f| f.join(event.name))))).unwrap();
        for (mask, path) in [
            (mask::CREATE, "inner/file"),
            (mask::CLOSE_WRITE, "inner/file"),
            (mask::MOVED_FROM, "inner/file"),
            (mask::MOVED_TO, "file"),
            (mask::DELETE | mask::FOLDER, "inner"),
        ] {
            assert!(told.contains(&(mask, Some(folder.path().join(path)))), "{path} {told:?}");
        }
        assert_eq!(inotify.watched(), 1);
    }
}
