//! Looking at files without leaving traces: opening relative to a folder that is already open, without following links
//! and without touching access times; extended attributes; whether a file is in the page cache; dropping it from there.
//!
//! It must never change a file.
#![expect(
    unsafe_code,
    reason = "openat, the extended attributes and preadv2 have no safe form in the standard library"
)]

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

/// Longest list of the names of extended attributes that the kernel gives (`XATTR_LIST_MAX`).
const LIST_BYTES_MAX: usize = 64 << 10;
/// Longest value of an extended attribute (`XATTR_SIZE_MAX`).
const VALUE_BYTES_MAX: usize = 64 << 10;

fn c_string(name: &OsStr) -> io::Result<CString> {
    CString::new(name.as_bytes()).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a name with a zero byte"))
}

fn open(folder: BorrowedFd<'_>, name: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open for as long as it is borrowed, and the name ends with a zero byte.
    let fd = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above has just opened it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens for reading without following a link at the end, without waiting (a pipe in the place of a file), and without
/// touching the access time where that is permitted.
fn open_quietly(folder: BorrowedFd<'_>, name: &OsStr, more: libc::c_int) -> io::Result<OwnedFd> {
    let name = c_string(name)?;
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY | more;
    match open(folder, &name, flags | libc::O_NOATIME) {
        // Only the owner and root may ask for it.
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => open(folder, &name, flags),
        opened => opened,
    }
}

/// Opens a file of a folder for reading. The caller looks at what it is: it may be anything but a link.
pub fn open_file(folder: impl AsFd, name: &OsStr) -> io::Result<File> {
    open_quietly(folder.as_fd(), name, 0).map(File::from)
}

/// As `open_how` of linux/openat2.h.
#[repr(C)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Opens a file by a path on which there is no link at all, for reading: an error says that there is one. Before Linux 5.6
/// only a link at the end is one.
pub fn open_without_links(path: &std::path::Path) -> io::Result<File> {
    const RESOLVE_NO_SYMLINKS: u64 = 4;
    let name = c_string(path.as_os_str())?;
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    for more in [libc::O_NOATIME, 0] {
        let how = How { flags: (flags | more) as u64, mode: 0, resolve: RESOLVE_NO_SYMLINKS };
        // SAFETY: the path ends with a zero byte, and the struct is of the length that is given; both are only read.
        let fd = unsafe {
            libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, name.as_ptr(), &raw const how, size_of::<How>())
        };
        if let Ok(fd @ 0..) = libc::c_int::try_from(fd) {
            // SAFETY: the call above has just opened it, and nobody else knows it.
            return Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // Only the owner and root may ask for the access time to stay.
            Some(libc::EPERM) if more != 0 => {}
            Some(libc::ENOSYS) => return open_file(nix::fcntl::AT_FDCWD, path.as_os_str()),
            _ => return Err(error),
        }
    }
    Err(io::ErrorKind::PermissionDenied.into())
}

/// Opens a folder of a folder.
pub fn open_folder(folder: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    open_quietly(folder.as_fd(), name, libc::O_DIRECTORY)
}

/// Opens a folder by its path; links on the way are followed, one at the end is not.
pub fn open_path(path: &std::path::Path) -> io::Result<OwnedFd> {
    open_folder(nix::fcntl::AT_FDCWD, path.as_os_str())
}

/// Calls `call` for the length of what it would give, then for that; again where it has grown between.
fn grown(limit: usize, call: impl Fn(*mut libc::c_void, usize) -> libc::ssize_t) -> io::Result<Vec<u8>> {
    loop {
        let length = call(std::ptr::null_mut(), 0);
        let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
        if length == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0u8; length.min(limit)];
        match usize::try_from(call(bytes.as_mut_ptr().cast(), bytes.len())) {
            Ok(length) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.raw_os_error() != Some(libc::ERANGE) || length >= limit {
                    return Err(error);
                }
            }
        }
    }
}

fn attributes_with(
    list: impl Fn(*mut libc::c_void, usize) -> libc::ssize_t,
    get: impl Fn(&CStr, *mut libc::c_void, usize) -> libc::ssize_t,
) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names = match grown(LIST_BYTES_MAX, list) {
        Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut all = Vec::new();
    for name in names.split_inclusive(|b| *b == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        match grown(VALUE_BYTES_MAX, |buffer, length| get(name, buffer, length)) {
            Ok(value) => all.push((name.to_bytes().to_vec(), value)),
            // It was removed between, or is not for us to read.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENODATA | libc::EPERM | libc::EACCES)) => {}
            Err(e) => return Err(e),
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// The extended attributes of an open file or folder, sorted by name; none where the file system has none.
pub fn attributes(file: impl AsFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let file = file.as_fd();
    let fd = file.as_raw_fd();
    attributes_with(
        // SAFETY: the descriptor is open for as long as it is borrowed; the buffer is as long as said.
        |buffer, length| unsafe { libc::flistxattr(fd, buffer.cast(), length) },
        // SAFETY: as above, and the name ends with a zero byte.
        |name, buffer, length| unsafe { libc::fgetxattr(fd, name.as_ptr(), buffer, length) },
    )
}

/// Whether the beginning of a file is in the page cache, as far as the file system can say without reading.
pub fn is_cached(file: &File) -> bool {
    let mut byte = 0u8;
    let part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: the part points at one byte of ours; the call reads at most that much, at a place of its own.
    unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, 0, libc::RWF_NOWAIT) == 1 }
}

/// Tells the kernel that the file will be read from front to back.
pub fn will_read_once(file: &File) {
    // SAFETY: advice changes nothing but what is in the page cache.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_SEQUENTIAL) };
}

/// Drops what the file has in the page cache, but for pages that are mapped or not yet written.
pub fn drop_cached(file: &File) {
    // SAFETY: as above.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_link_on_the_way_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        fs::create_dir(real.join("folder")).unwrap();
        fs::write(real.join("folder/file"), "content").unwrap();
        symlink("folder", real.join("link")).unwrap();
        let mut text = String::new();
        io::Read::read_to_string(&mut open_without_links(&real.join("folder/file")).unwrap(), &mut text).unwrap();
        assert_eq!(text, "content");
        assert_eq!(open_without_links(&real.join("link/file")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(open_without_links(&real.join("folder/none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn links_are_not_followed_and_attributes_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"content").unwrap();
        symlink("file", folder.path().join("link")).unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        let open = open_path(folder.path()).unwrap();
        assert!(open_file(&open, "link".as_ref()).is_err());
        assert!(open_folder(&open, "file".as_ref()).is_err());
        assert!(open_folder(&open, "inner".as_ref()).is_ok());
        let file = open_file(&open, "file".as_ref()).unwrap();
        assert_eq!(file.metadata().unwrap().ino(), fs::metadata(&path).unwrap().ino());
        let name = c_string(path.as_os_str()).unwrap();
        // SAFETY: both names end with a zero byte, and the value is three bytes long.
        let set = unsafe { libc::setxattr(name.as_ptr(), c"user.note".as_ptr(), c"abc".as_ptr().cast(), 3, 0) };
        let expected = if set == 0 { vec![(b"user.note".to_vec(), b"abc".to_vec())] } else { Vec::new() };
        assert_eq!(attributes(&file).unwrap(), expected);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_does_not_hold_us_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let open = open_path(folder.path()).unwrap();
        assert!(open_file(&open, "pipe".as_ref()).is_ok());
    }

    #[test]
    fn what_was_just_written_is_cached_until_it_is_dropped() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        file.sync_all().unwrap();
        will_read_once(&file);
        assert!(is_cached(&file));
        drop_cached(&file);
    }
}
