//! Socket options that neither the standard library nor `socket2` offers, through one typed door.
//!
//! It must never be given a type with padding or pointers whose validity it cannot vouch for; its callers pass plain
//! integers and the kernel's own `repr(C)` structs.
#![expect(unsafe_code, reason = "setsockopt and getsockopt take untyped pointers")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets an option whose value is the plain integer or `repr(C)` struct `value`.
pub(crate) fn set<T: Copy>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the length describe exactly the borrowed value, which outlives the call, and the kernel
    // only reads from it.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Plain data that every bit pattern is a valid value of, so that the kernel may fill it.
///
/// # Safety
/// Implementors must be valid for any content of their bytes, all zeros included.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: any bits are an integer.
unsafe impl Plain for i32 {}
// SAFETY: any bits are nine integers.
unsafe impl Plain for [u32; 9] {}
// SAFETY: any bits are three integers.
unsafe impl Plain for libc::tpacket_stats_v3 {}

/// Reads an option; bytes that the kernel does not fill are zero.
pub(crate) fn get<T: Plain>(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe the value, to which the kernel writes at most `length` bytes.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was zeroed and then perhaps overwritten, and `Plain` says that any bytes are a valid value.
    Ok(unsafe { value.assume_init() })
}
