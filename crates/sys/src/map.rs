//! Files as memory, for reading.
#![expect(unsafe_code, reason = "mapping a file is a system call that takes and gives pointers")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};

/// A file that is mapped for reading, private to the process.
///
/// Whoever maps a file promises that it is only ever replaced by another one under its name, never changed or cut off in
/// place: reading behind the end of a file that has become shorter ends the process.
#[derive(Debug)]
pub struct Map {
    address: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is only read, and belongs to this value until it is dropped.
unsafe impl Send for Map {}
// SAFETY: as above; reading from several threads at once is sound.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the whole file.
    pub fn new(file: &File) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if len == 0 {
            return Ok(Self { address: NonNull::dangling(), len: 0 });
        }
        // SAFETY: a new private mapping for reading, at an address of the kernel's choice, as long as the file is.
        let address =
            unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let address = NonNull::new(address.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self { address, len })
    }
}

impl std::ops::Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping has this many bytes, is readable, and lives as long as this value; an empty one is allowed to
        // dangle.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.len) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: the mapping was made with this address and length, and nothing borrows from it any more.
            let result = unsafe { libc::munmap(self.address.as_ptr().cast(), self.len) };
            debug_assert_eq!(result, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_read_as_memory() {
        let mut file = tempfile::tempfile().unwrap();
        assert!(Map::new(&file).unwrap().is_empty());
        file.write_all(b"whole content").unwrap();
        assert_eq!(&*Map::new(&file).unwrap(), b"whole content");
    }
}
