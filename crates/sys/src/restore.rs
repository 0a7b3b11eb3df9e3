//! Giving a file what it had: extended attributes and the flags of chattr(1). And making a file's name in a folder that is
//! open, without taking another's place.
#![expect(
    unsafe_code,
    reason = "extended attributes, inode flags and linkat by descriptor have no safe form in the standard library"
)]

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

/// `FS_IMMUTABLE_FL`: it cannot be changed or removed.
pub const IMMUTABLE: u32 = 0x10;
/// `FS_APPEND_FL`: it can only grow, and not be removed.
pub const APPEND_ONLY: u32 = 0x20;

fn c_string(name: &[u8]) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a name with a zero byte"))
}

/// Sets an extended attribute of an open file.
pub fn set_attribute(file: &File, name: &[u8], value: &[u8]) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: the name ends with a zero byte, and the value is as long as said; both are only read.
    let set = unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The flags of chattr(1) of an open file; none where its file system has none.
pub fn flags(file: &File) -> io::Result<Option<u32>> {
    let mut flags: libc::c_int = 0;
    // SAFETY: the call writes one number to the pointer (the kernel's file systems use `int` here, whatever the name says).
    let got = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
    if got == 0 {
        return Ok(Some(flags.cast_unsigned()));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOTTY | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS) => Ok(None),
        _ => Err(error),
    }
}

/// Sets the flags of chattr(1).
pub fn set_flags(file: &File, flags: u32) -> io::Result<()> {
    let flags: libc::c_int = flags.cast_signed();
    // SAFETY: the call reads one number from the pointer.
    let set = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes a file in an open folder, which must not have the name yet, for its owner alone.
pub fn create_in(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    let name = c_string(name.as_bytes())?;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the descriptor is open for as long as it is borrowed, and the name ends with a zero byte.
    let fd = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags, 0o600) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above has just opened it, and nobody else knows it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Gives a file of an open folder another name there. Without `replace` it fails where the name is taken.
pub fn rename_in(folder: BorrowedFd<'_>, from: &OsStr, to: &OsStr, replace: bool) -> io::Result<()> {
    let (from, to) = (c_string(from.as_bytes())?, c_string(to.as_bytes())?);
    let fd = folder.as_raw_fd();
    let flags = if replace { 0 } else { libc::RENAME_NOREPLACE };
    // SAFETY: the descriptor is open for as long as it is borrowed, and both names end with a zero byte.
    let renamed = unsafe { libc::renameat2(fd, from.as_ptr(), fd, to.as_ptr(), flags) };
    if renamed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Removes a file from an open folder.
pub fn remove_in(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let name = c_string(name.as_bytes())?;
    // SAFETY: the descriptor is open for as long as it is borrowed, and the name ends with a zero byte.
    if unsafe { libc::unlinkat(folder.as_raw_fd(), name.as_ptr(), 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn names_are_not_taken_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let open = File::open(folder.path()).unwrap();
        let (a, b) = (OsStr::new("a"), OsStr::new("b"));
        let file = create_in(open.as_fd(), a).unwrap();
        set_attribute(&file, b"user.note", b"x").ok();
        assert!(create_in(open.as_fd(), a).is_err());
        create_in(open.as_fd(), b).unwrap();
        assert_eq!(rename_in(open.as_fd(), a, b, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        rename_in(open.as_fd(), a, b, true).unwrap();
        remove_in(open.as_fd(), b).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
