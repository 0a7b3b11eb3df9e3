//! Files of the write-ahead log: naming, creation, and reading with damage skipped and counted.
//!
//! A segment is a head (16 bytes, or 256 where it is encrypted) and then records. Its name is the id from which its records count, so the order of
//! names is the order of records.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::record::{ALIGN, HEADER_BYTES, Header, MAGIC};
use super::seal::{Follows, SEALED_HEAD_BYTES, SEALED_MAGIC, SealedHead, SegmentCipher};
use crate::LakeError;
use crate::keys::LakeKeys;

/// What every segment that is not encrypted starts with: a word and a version.
const HEAD: [u8; 16] = *b"GUARDIANWAL\0\x01\0\0\0";
const SEARCH_BYTES: usize = 1 << 20;

/// A segment file on disk.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    /// No record in it has a smaller id.
    pub(crate) first_id: u64,
    /// Bytes allocated on disk.
    pub(crate) bytes: u64,
}

/// A segment to write to.
pub(crate) struct Fresh {
    pub(crate) segment: Segment,
    pub(crate) file: File,
    /// Where the first record goes.
    pub(crate) start: u64,
    /// What seals the records, where they are to be encrypted.
    pub(crate) cipher: Option<SegmentCipher>,
}

/// Creates a segment and reserves its space, so that a full disk shows when it is created and appending needs no
/// file-size updates. With keys it is an encrypted one.
pub(crate) fn create(
    dir: &Path,
    first_id: u64,
    bytes: u64,
    follows: Follows,
    keys: Option<&LakeKeys>,
) -> Result<Fresh, LakeError> {
    let name = format!("{first_id:020}.wal");
    let path = dir.join(&name);
    let (head, cipher) = match keys {
        Some(keys) => {
            let (head, cipher) = SealedHead::fresh(&name, follows, keys)?;
            (head.to_vec(), Some(cipher))
        }
        None => (HEAD.to_vec(), None),
    };
    let what = || format!("creating {}", path.display());
    let file = File::options().read(true).write(true).create_new(true).open(&path).map_err(LakeError::io(what()))?;
    let ready = reserve(&file, bytes)
        .and_then(|()| file.write_all_at(&head, 0))
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(dir)?.sync_all());
    if let Err(error) = ready {
        // Leaving an empty file behind would only take space; the error is what matters.
        fs::remove_file(&path).ok();
        return Err(LakeError::io(what())(error));
    }
    Ok(Fresh { segment: Segment { path, first_id, bytes }, file, start: head.len() as u64, cipher })
}

fn reserve(file: &File, bytes: u64) -> std::io::Result<()> {
    use nix::errno::Errno;
    use nix::fcntl::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, bytes as i64) {
        // Some file systems cannot reserve; appending then extends the file.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// All segments of a directory, oldest first.
pub(crate) fn list(dir: &Path) -> Result<Vec<Segment>, LakeError> {
    let what = || format!("reading {}", dir.display());
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(LakeError::io(what()))? {
        let entry = entry.map_err(LakeError::io(what()))?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|n| n.strip_suffix(".wal")).and_then(|n| n.parse().ok());
        if let Some(first_id) = id {
            let bytes = match entry.metadata() {
                // Removed while the directory was read.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                found => found.map_err(LakeError::io(what()))?.len(),
            };
            segments.push(Segment { path: entry.path(), first_id, bytes });
        }
    }
    segments.sort_unstable_by_key(|s| s.first_id);
    Ok(segments)
}

/// What reading a segment came upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Stretches that were skipped because no good record starts there, with good records behind them.
    pub(crate) holes: u64,
    /// Records whose body does not match its checksum or seal.
    pub(crate) bodies: u64,
    /// Bytes after the last good record that are not zero: a write that was cut off, or damage.
    pub(crate) tail_bytes: u64,
}

/// Reads the records of one segment in order.
pub(crate) struct Reader {
    file: File,
    path: PathBuf,
    len: u64,
    offset: u64,
    /// Where the last good record ended.
    pub(crate) good_end: u64,
    pub(crate) damage: Damage,
    seal: Seal,
}

/// Whether a segment is encrypted.
#[derive(Debug)]
enum Seal {
    Plain,
    /// Encrypted, and [`Reader::unlock`] was not called.
    Locked(SealedHead),
    Open(SegmentCipher),
    /// Encrypted, with a head that is damaged.
    Lost,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self, LakeError> {
        let file = File::open(path).map_err(LakeError::io(format!("opening {}", path.display())))?;
        let len = file.metadata().map_err(LakeError::io(format!("opening {}", path.display())))?.len();
        let mut reader = Self {
            file,
            path: path.to_owned(),
            len,
            offset: HEAD.len() as u64,
            good_end: (HEAD.len() as u64).min(len),
            damage: Damage::default(),
            seal: Seal::Plain,
        };
        let mut head = [0; HEAD.len()];
        let known = len >= HEAD.len() as u64 && reader.read(&mut head, 0).is_ok();
        if known && head == SEALED_MAGIC {
            reader.read_sealed_head()?;
        } else if !known || head != HEAD {
            // The records may still be good: each one proves itself.
            reader.damage.holes += u64::from(len > 0 && head != [0; HEAD.len()]);
        }
        Ok(reader)
    }

    fn read_sealed_head(&mut self) -> Result<(), LakeError> {
        let mut head = [0; SEALED_HEAD_BYTES];
        self.offset = SEALED_HEAD_BYTES as u64;
        self.good_end = self.offset.min(self.len);
        if self.len >= self.offset {
            self.read(&mut head, 0)?;
        }
        self.seal = SealedHead::decode(&head).map_or(Seal::Lost, Seal::Locked);
        self.damage.holes += u64::from(matches!(self.seal, Seal::Lost));
        Ok(())
    }

    /// Makes the bodies of an encrypted segment readable. Without the key that is refused.
    pub(crate) fn unlock(&mut self, keys: &LakeKeys) -> Result<(), LakeError> {
        if let Seal::Locked(head) = &self.seal {
            let name = self.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            self.seal = Seal::Open(head.unlock(&name, keys)?);
        }
        Ok(())
    }

    /// What an encrypted segment says of the one before it; to be asked before [`Reader::unlock`] proves it.
    pub(crate) fn follows(&self) -> Follows {
        match &self.seal {
            Seal::Locked(head) => head.follows,
            _ => None,
        }
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> Result<(), LakeError> {
        self.file.read_exact_at(buffer, at).map_err(LakeError::io(format!("reading {} at {at}", self.path.display())))
    }

    /// The next header and the offset of its body, without reading the body.
    pub(crate) fn next(&mut self) -> Result<Option<(Header, u64)>, LakeError> {
        if self.offset + HEADER_BYTES as u64 > self.len {
            return Ok(None);
        }
        let found = match self.header_at(self.offset)? {
            Some(header) => Some((header, self.offset)),
            None => self.search(self.offset + ALIGN)?,
        };
        let Some((header, at)) = found else {
            self.damage.tail_bytes += self.count_tail()?;
            self.offset = self.len;
            return Ok(None);
        };
        self.damage.holes += u64::from(at != self.offset);
        self.offset = at + header.record_bytes();
        self.good_end = self.offset.min(self.len);
        Ok(Some((header, at + HEADER_BYTES as u64)))
    }

    /// Reads a body into `buffer`; false (and counted) where it does not match its checksum or seal.
    pub(crate) fn body(&mut self, header: &Header, at: u64, buffer: &mut Vec<u8>) -> Result<bool, LakeError> {
        buffer.clear();
        buffer.resize(header.body_len as usize, 0);
        self.read(buffer, at)?;
        let good = crc32fast::hash(buffer) == header.body_crc
            && match &self.seal {
                Seal::Plain => !header.sealed,
                Seal::Open(cipher) => header.sealed && cipher.open(*header, at - HEADER_BYTES as u64, buffer),
                Seal::Locked(_) | Seal::Lost => false,
            };
        self.damage.bodies += u64::from(!good);
        Ok(good)
    }

    /// A header whose whole record lies within the file.
    fn header_at(&self, at: u64) -> Result<Option<Header>, LakeError> {
        let mut bytes = [0; HEADER_BYTES];
        self.read(&mut bytes, at)?;
        Ok(Header::decode(&bytes).filter(|h| at + HEADER_BYTES as u64 + u64::from(h.body_len) <= self.len))
    }

    fn search(&self, from: u64) -> Result<Option<(Header, u64)>, LakeError> {
        let mut window = vec![0; SEARCH_BYTES];
        let mut at = from;
        while at + HEADER_BYTES as u64 <= self.len {
            let length = SEARCH_BYTES.min((self.len - at) as usize);
            self.read(&mut window[..length], at)?;
            for (i, word) in window[..length].chunks_exact(ALIGN as usize).enumerate() {
                let here = at + i as u64 * ALIGN;
                if word[..4] == MAGIC
                    && here + HEADER_BYTES as u64 <= self.len
                    && let Some(header) = self.header_at(here)?
                {
                    return Ok(Some((header, here)));
                }
            }
            at += (length as u64 / ALIGN).max(1) * ALIGN;
        }
        Ok(None)
    }

    fn count_tail(&self) -> Result<u64, LakeError> {
        let mut window = vec![0; SEARCH_BYTES];
        let (mut at, mut last) = (self.offset, None);
        while at < self.len {
            let length = SEARCH_BYTES.min((self.len - at) as usize);
            self.read(&mut window[..length], at)?;
            if let Some(i) = window[..length].iter().rposition(|b| *b != 0) {
                last = Some(at + i as u64);
            }
            at += length as u64;
        }
        Ok(last.map_or(0, |last| last + 1 - self.offset))
    }
}
