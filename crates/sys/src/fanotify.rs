//! Being told by the kernel what happens to files, and who did it (fanotify(7)): whole file systems at once, events with the
//! folder and the name, and the number of the process. Needs CAP_SYS_ADMIN, and CAP_DAC_READ_SEARCH to resolve folders.
//!
//! It must never answer permission events: an agent that stops must not stop the machine.
#![expect(unsafe_code, reason = "fanotify and file handles have no safe form in the standard library")]

use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// What happened, as bits (`FAN_*`).
pub mod mask {
    /// A file was written to, and whoever did it has closed it.
    pub const CLOSE_WRITE: u64 = libc::FAN_CLOSE_WRITE;
    /// A file was written to.
    pub const MODIFY: u64 = libc::FAN_MODIFY;
    /// Properties were changed.
    pub const ATTRIBUTES: u64 = libc::FAN_ATTRIB;
    /// A name was made.
    pub const CREATE: u64 = libc::FAN_CREATE;
    /// A name was removed.
    pub const DELETE: u64 = libc::FAN_DELETE;
    /// A name was moved away.
    pub const MOVED_FROM: u64 = libc::FAN_MOVED_FROM;
    /// A name was moved here.
    pub const MOVED_TO: u64 = libc::FAN_MOVED_TO;
    /// It happened to a folder.
    pub const FOLDER: u64 = libc::FAN_ONDIR;
    /// Events were lost.
    pub const OVERFLOW: u64 = libc::FAN_Q_OVERFLOW;
    /// Everything that file integrity asks for.
    pub const CHANGES: u64 = CLOSE_WRITE | ATTRIBUTES | CREATE | DELETE | MOVED_FROM | MOVED_TO | FOLDER;
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened, of [`mask`]. Several things that happened to one name can come together.
    pub mask: u64,
    /// Who did it; it may be gone by now. 0 for an overflow.
    pub pid: u32,
    /// The folder, where it still exists.
    pub folder: Option<PathBuf>,
    /// The name in the folder; empty for the folder itself.
    pub name: OsString,
}

/// A listener.
#[derive(Debug)]
pub struct Fanotify {
    fd: OwnedFd,
    /// A descriptor on each marked file system, by which handles are resolved.
    mounts: Vec<(libc::fsid_t, OwnedFd)>,
    buffer: Vec<u8>,
}

/// Bytes of one read; some hundreds of events.
const BUFFER_BYTES: usize = 64 << 10;
/// Length of the metadata at the head of each event.
const METADATA_BYTES: usize = size_of::<libc::fanotify_event_metadata>();
/// Type, padding and length at the head of each information record.
const INFO_HEAD_BYTES: usize = 4;
/// The file system's id behind it.
const FSID_BYTES: usize = 8;
/// Length and type of a file handle.
const HANDLE_HEAD_BYTES: usize = 8;
/// Longest file handle (`MAX_HANDLE_SZ`).
const HANDLE_BYTES_MAX: usize = 128;

impl Fanotify {
    /// A listener that watches nothing yet. Reading from it does not wait.
    pub fn new() -> io::Result<Self> {
        let flags = libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_REPORT_DFID_NAME;
        let files = (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_LARGEFILE).cast_unsigned();
        // SAFETY: the call takes two numbers and gives a descriptor or an error.
        let fd = unsafe { libc::fanotify_init(flags, files) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above has just opened it, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd, mounts: Vec::new(), buffer: vec![0; BUFFER_BYTES] })
    }

    /// Watches the whole file system that a folder is on.
    pub fn watch(&mut self, folder: &Path, mask: u64) -> io::Result<()> {
        let mount = crate::inspect::open_path(folder)?;
        let path = CString::new(folder.as_os_str().as_bytes())?;
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
        // SAFETY: the listener is open, and the path ends with a zero byte.
        let marked = unsafe { libc::fanotify_mark(self.fd.as_raw_fd(), flags, mask, libc::AT_FDCWD, path.as_ptr()) };
        if marked != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the descriptor is open, and the struct is ours and as large as the call expects.
        if unsafe { libc::fstatfs(mount.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has filled it.
        let id = unsafe { stat.assume_init() }.f_fsid;
        self.mounts.push((id, mount));
        Ok(())
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
        while let Some((event, tail)) = split_event(rest) {
            rest = tail;
            count += 1;
            each(self.event(event));
        }
        Ok(count)
    }

    fn event(&self, event: &[u8]) -> Event {
        // The layout of `struct fanotify_event_metadata`: the mask after 8 bytes, the process after 20.
        let mask = u64::from_ne_bytes(std::array::from_fn(|i| event[8 + i]));
        let pid = u32::from_ne_bytes(std::array::from_fn(|i| event[20 + i]));
        let mut found = Event { mask, pid, folder: None, name: OsString::new() };
        let mut info = &event[METADATA_BYTES.min(event.len())..];
        while let [kind, _, low, high, ..] = *info {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            let Some((record, tail)) = info.split_at_checked(length).filter(|_| length >= INFO_HEAD_BYTES) else {
                break;
            };
            info = tail;
            if matches!(kind, libc::FAN_EVENT_INFO_TYPE_DFID_NAME | libc::FAN_EVENT_INFO_TYPE_DFID) {
                let (folder, name) = self.resolve(&record[INFO_HEAD_BYTES..]);
                (found.folder, found.name) = (folder, name);
            }
        }
        found
    }

    /// The folder of a file handle and the name behind it.
    fn resolve(&self, record: &[u8]) -> (Option<PathBuf>, OsString) {
        let Some((id, handle)) = record.split_at_checked(FSID_BYTES) else { return (None, OsString::new()) };
        let length = handle.get(..4).map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]) as usize);
        let Some((handle, name)) = handle.split_at_checked(HANDLE_HEAD_BYTES + length) else {
            return (None, OsString::new());
        };
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        // The folder itself is told as `.`.
        let name = OsString::from_vec(if name == b"." { Vec::new() } else { name.to_vec() });
        // SAFETY: `fsid_t` is two words and nothing else.
        let same = |mount: &libc::fsid_t| unsafe { std::mem::transmute::<libc::fsid_t, [u8; 8]>(*mount) } == id;
        let mount = self.mounts.iter().find(|(mount, _)| same(mount)).map(|(_, fd)| fd.as_fd());
        (mount.and_then(|mount| open_handle(mount, handle)), name)
    }
}

impl AsFd for Fanotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn split_event(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    bytes.split_at_checked(length).filter(|_| length >= METADATA_BYTES)
}

fn open_handle(mount: BorrowedFd<'_>, handle: &[u8]) -> Option<PathBuf> {
    #[repr(C, align(8))]
    struct Handle([u8; HANDLE_HEAD_BYTES + HANDLE_BYTES_MAX]);
    let mut aligned = Handle([0; HANDLE_HEAD_BYTES + HANDLE_BYTES_MAX]);
    aligned.0.get_mut(..handle.len())?.copy_from_slice(handle);
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: the descriptor is open; the handle says its own length, which was checked to lie within the aligned copy.
    let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), aligned.0.as_mut_ptr().cast(), flags) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the call above has just opened it, and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let path = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    // A folder that was removed but is still open somewhere has no path any more.
    (!path.as_os_str().as_bytes().ends_with(b" (deleted)")).then_some(path)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn changes_are_told_with_their_path_and_who_made_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut fanotify = match Fanotify::new() {
            Ok(fanotify) => fanotify,
            // Not for this user, or not in this kernel.
            Err(e) if matches!(e.raw_os_error(), Some(libc::EPERM | libc::ENOSYS | libc::EINVAL)) => return,
            Err(e) => panic!("{e}"),
        };
        if let Err(e) = fanotify.watch(folder.path(), mask::CHANGES) {
            assert!(
                matches!(e.raw_os_error(), Some(libc::EPERM | libc::EOPNOTSUPP | libc::ENODEV | libc::EXDEV)),
                "{e}"
            );
            return;
        }
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("inner")).unwrap();
        fs::write(root.join("inner/file"), "x").unwrap();
        let mut child = std::process::Command::new("chmod").arg("600").arg(root.join("inner/file")).spawn().unwrap();
        child.wait().unwrap();
        fs::rename(root.join("inner/file"), root.join("other")).unwrap();
        fs::remove_file(root.join("other")).unwrap();
        let (mut told, begun) = (Vec::new(), Instant::now());
        while begun.elapsed() < Duration::from_secs(5) && !told.iter().any(|e: &Event| e.mask & mask::DELETE != 0) {
            fanotify
                .read(|event| {
                    if event.folder.as_ref().is_some_and(|f| f.starts_with(&root)) {
                        told.push(event);
                    }
                })
                .unwrap();
        }
        let by = |mask: u64, path: &str| {
            let found =
                told.iter().find(|e| e.mask & mask != 0 && e.folder.as_ref().unwrap().join(&e.name) == root.join(path));
            found.unwrap_or_else(|| panic!("{path} {told:?}")).pid
        };
        let us = std::process::id();
        assert_eq!(by(mask::CREATE, "inner"), us);
        assert_eq!(by(mask::CLOSE_WRITE, "inner/file"), us);
        assert_eq!(by(mask::ATTRIBUTES, "inner/file"), child.id());
        assert_eq!(by(mask::MOVED_FROM, "inner/file"), us);
        assert_eq!(by(mask::MOVED_TO, "other"), us);
        assert_eq!(by(mask::DELETE, "other"), us);
    }
}
