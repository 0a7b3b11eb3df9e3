//! Disk space and the durability calls that the standard library lacks.
//!
//! It must never decide what to delete or when to sync: that is the business of who owns the files.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::FallocateFlags;

/// Space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Size of the file system.
    pub total_bytes: u64,
    /// Bytes that nobody uses, including those reserved for root.
    pub free_bytes: u64,
    /// Bytes that this process may still write without being root.
    pub available_bytes: u64,
}

/// The space of the file system that `path` (which must exist) is on.
pub fn space(path: &Path) -> io::Result<DiskSpace> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    let unit = stat.fragment_size();
    Ok(DiskSpace {
        total_bytes: stat.blocks() * unit,
        free_bytes: stat.blocks_free() * unit,
        available_bytes: stat.blocks_available() * unit,
    })
}

/// Reserves `length` bytes from `offset` on disk without changing the file's length, so that later writes there cannot
/// fail for lack of space and `fdatasync` has less to record. File systems that cannot do this return
/// [`io::ErrorKind::Unsupported`]; the file is then as it was.
pub fn reserve(file: &File, offset: u64, length: u64) -> io::Result<()> {
    allocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, length)
}

/// Like [`reserve`], and extends the file to `offset + length` with zeros where it was shorter.
pub fn extend(file: &File, offset: u64, length: u64) -> io::Result<()> {
    allocate(file, FallocateFlags::empty(), offset, length)
}

fn allocate(file: &File, flags: FallocateFlags, offset: u64, length: u64) -> io::Result<()> {
    let too_large = |_| io::Error::new(io::ErrorKind::InvalidInput, "the range is beyond the largest file");
    let (offset, length) = (offset.try_into().map_err(too_large)?, length.try_into().map_err(too_large)?);
    Ok(nix::fcntl::fallocate(file, flags, offset, length)?)
}

/// Makes the file's content durable (`fdatasync`): its data and as much metadata as reading it back needs.
pub fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Makes the directory's entries durable: files created, renamed or removed in it before the call survive a crash.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn space_is_plausible_and_a_missing_path_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let space = space(directory.path()).unwrap();
        assert!(space.total_bytes >= space.free_bytes && space.free_bytes >= space.available_bytes);
        assert!(space.total_bytes > 1 << 20);
        assert_eq!(super::space(&directory.path().join("absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn reserving_takes_blocks_and_extending_takes_length() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("log")).unwrap();
        match reserve(&file, 0, 1 << 20) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return,
            other => other.unwrap(),
        }
        let data = file.metadata().unwrap();
        assert_eq!(data.len(), 0);
        assert!(data.blocks() * 512 >= 1 << 20);
        extend(&file, 0, 4096).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 4096);
        sync_data(&file).unwrap();
        sync_directory(directory.path()).unwrap();
        assert_eq!(reserve(&file, u64::MAX, 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
