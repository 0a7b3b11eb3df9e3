//! An archive while it comes: its blocks on the disk, in any order, each sealed under a key that is in memory alone. What a
//! server that ended left behind is noise.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use guardian_evidence::{Lock, Made, Manifest, Origin, PackWriter};
use guardian_identity::{IdentityError, random_bytes};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// What is put behind each sealed block.
const TAG: u64 = 16;
/// What a file under zstd begins with (RFC 8878, section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The archive.
pub(super) struct Archive {
    file: File,
    key: LessSafeKey,
    blocks: u64,
    block_bytes: u64,
    bytes: u64,
    /// A bit for each block that is here.
    here: Vec<u64>,
    missing: u64,
}

/// A file that is not there yet, for nobody else.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It is kept, or was before.
    Kept,
    /// It is kept, and was the last one.
    Whole,
    /// There is no such block, or it has another length.
    Odd,
}

impl Archive {
    /// Begins one of so many blocks.
    pub(super) fn create(path: &Path, (blocks, block_bytes, bytes): (u64, u64, u64)) -> Result<Self, ArchiveError> {
        let key = UnboundKey::new(&AES_256_GCM, random_bytes::<32>()?.as_slice()).map_err(|_| ArchiveError::Sealed)?;
        let file = new_file(path)?;
        let here = vec![0; usize::try_from(blocks.div_ceil(64)).unwrap_or(usize::MAX)];
        Ok(Self { file, key: LessSafeKey::new(key), blocks, block_bytes, bytes, here, missing: blocks })
    }

    /// How many blocks are still to come.
    pub(super) fn missing(&self) -> u64 {
        self.missing
    }

    /// Keeps a block, once.
    pub(super) fn put(&mut self, number: u64, block: &[u8]) -> Result<Put, ArchiveError> {
        if number >= self.blocks || block.len() as u64 != self.length(number) {
            return Ok(Put::Odd);
        }
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.here[word] & bit != 0 {
            return Ok(Put::Kept);
        }
        let mut sealed = block.to_vec();
        let seal = self.key.seal_in_place_append_tag(nonce(number), Aad::empty(), &mut sealed);
        seal.map_err(|_| ArchiveError::Sealed)?;
        self.file.seek(SeekFrom::Start(number * (self.block_bytes + TAG)))?;
        self.file.write_all(&sealed)?;
        self.here[word] |= bit;
        self.missing -= 1;
        Ok(if self.missing == 0 { Put::Whole } else { Put::Kept })
    }

    /// Length of a block.
    fn length(&self, number: u64) -> u64 {
        if number + 1 == self.blocks { self.bytes - number * self.block_bytes } else { self.block_bytes }
    }

    fn block(&self, number: u64) -> Result<Vec<u8>, ArchiveError> {
        let length = self.length(number);
        let mut sealed = vec![0; (length + TAG) as usize];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(number * (self.block_bytes + TAG)))?;
        file.read_exact(&mut sealed)?;
        self.key.open_in_place(nonce(number), Aad::empty(), &mut sealed).map_err(|_| ArchiveError::Sealed)?;
        sealed.truncate(length as usize);
        Ok(sealed)
    }

    /// Makes a pack of evidence of it, once it is whole. It goes in as it came, so that its hash in the manifest is the one
    /// that osquery says.
    pub(super) fn pack(&self, out: File, lock: &Lock, manifest: Manifest, note: String) -> Result<Made, ArchiveError> {
        let first = self.block(0)?;
        let name = if first.starts_with(&ZSTD) { "carve.tar.zst" } else { "carve.tar" };
        let ended = manifest.ended;
        let mut pack = PackWriter::new(out, lock, manifest, self.bytes)?;
        let origin = Origin { modified: ended, note, ..Origin::default() };
        let mut blocks = Blocks { archive: self, next: 0, block: Vec::new(), at: 0 };
        pack.add(name, origin, self.bytes, &mut blocks)?;
        let (made, _, out) = pack.finish(ended)?;
        out.sync_all()?;
        Ok(made)
    }
}

/// Each number is used once under a key, and the key for one archive.
fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Reads an archive from its beginning.
struct Blocks<'a> {
    archive: &'a Archive,
    next: u64,
    block: Vec<u8>,
    at: usize,
}

impl Read for Blocks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            if self.next == self.archive.blocks {
                return Ok(0);
            }
            self.block = self.archive.block(self.next).map_err(io::Error::other)?;
            (self.next, self.at) = (self.next + 1, 0);
        }
        let count = out.len().min(self.block.len() - self.at);
        out[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Why an archive cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error("a block cannot be sealed or opened")]
    Sealed,
    #[error(transparent)]
    Random(#[from] IdentityError),
    #[error(transparent)]
    Evidence(#[from] guardian_evidence::EvidenceError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use guardian_evidence::{SecretKey, Unlock, open};

    use super::*;

    #[test]
    fn blocks_come_in_any_order_and_more_than_once_and_are_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("carve");
        let whole: Vec<u8> = (0..25_u8).collect();
        let mut archive = Archive::create(&path, (3, 10, 25)).unwrap();
        assert!(Archive::create(&path, (3, 10, 25)).is_err(), "never over another");
        let block = |number: usize| &whole[number * 10..whole.len().min(number * 10 + 10)];
        assert_eq!(archive.put(2, block(2)).unwrap(), Put::Kept);
        assert_eq!(archive.put(2, b"other").unwrap(), Put::Kept, "the first one counts");
        for (number, odd) in [(3, block(0)), (0, &[0; 9]), (0, &[0; 11]), (2, &[0; 10]), (u64::MAX, &[0; 10])] {
            assert_eq!(archive.put(number, odd).unwrap(), Put::Odd, "{number}");
        }
        assert_eq!((archive.put(0, block(0)).unwrap(), archive.missing()), (Put::Kept, 1));
        let laid = std::fs::read(&path).unwrap();
        assert!(!laid.windows(5).any(|part| part == &whole[..5]), "nothing lies open");
        assert_eq!(archive.put(1, block(1)).unwrap(), Put::Whole);

        let owner = SecretKey::new([7; 32]);
        let lock = Lock::Public { recipient: owner.public(), fresh: SecretKey::new([8; 32]) };
        let sealed = folder.path().join("pack");
        let manifest = Manifest { host: "web-1".into(), ended: 5, ..Manifest::default() };
        let made = archive.pack(File::create(&sealed).unwrap(), &lock, manifest, "as osquery made it".into()).unwrap();
        let bytes = std::fs::read(&sealed).unwrap();
        assert_eq!((made.bytes, made.blake3), (bytes.len() as u64, *blake3::hash(&bytes).as_bytes()));
        let mut found = Vec::new();
        let opened = open(bytes.as_slice(), &Unlock::Secret(owner), 1 << 20, |name, content| {
            assert_eq!(name, "carve.tar");
            content.read_to_end(&mut found).map(drop)
        })
        .unwrap();
        assert_eq!((found, opened.problems), (whole, Vec::<String>::new()));
        assert_eq!(opened.manifest.entries[0].origin.note, "as osquery made it");
    }
}
