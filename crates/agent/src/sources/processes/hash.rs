//! Hashes of programs, remembered by what the file system knows of the file: each program is read once.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// Programs that are remembered.
const PROGRAMS_MAX: usize = 16_384;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The hashes.
#[derive(Debug)]
pub(crate) struct Hashes {
    known: HashMap<Key, String>,
    bytes_max: u64,
}

impl Hashes {
    /// None yet; larger programs have none.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { known: HashMap::new(), bytes_max }
    }

    /// SHA-256 of the program of a process, in hexadecimal.
    pub(crate) fn of(&mut self, pid: u32, hashed: &AtomicU64) -> Option<String> {
        // The link leads to the file itself, also where its name is gone.
        let mut file = File::open(format!("/proc/{pid}/exe")).ok()?;
        let m = file.metadata().ok()?;
        if !m.is_file() || m.len() > self.bytes_max {
            return None;
        }
        let key = Key {
            device: m.dev(),
            inode: m.ino(),
            size: m.len(),
            modified: (m.mtime(), m.mtime_nsec()),
            changed: (m.ctime(), m.ctime_nsec()),
        };
        if let Some(known) = self.known.get(&key) {
            return Some(known.clone());
        }
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer).ok()? {
                0 => break,
                length => hasher.update(&buffer[..length]),
            }
        }
        hashed.fetch_add(1, Ordering::Relaxed);
        let text = HEXLOWER.encode(&hasher.finalize());
        if self.known.len() >= PROGRAMS_MAX {
            self.known.clear();
        }
        self.known.insert(key, text.clone());
        Some(text)
    }
}
