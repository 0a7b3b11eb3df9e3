//! Encryption of a backup, piece by piece, so that it needs neither the whole in memory nor to be read twice. Each piece
//! is sealed with AES-256-GCM under its number and whether it is the last (the STREAM construction of Hoang, Reyhanitabar,
//! Rogaway and Vizár, 2015): pieces cannot be changed, moved, left out or cut off.
//!
//! The head is `GUARDBK1`, one byte that says where the key comes from, 16 bytes of salt, and 7 bytes for the nonce.

use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rand::TryRng as _;
use rand::rngs::SysRng;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"GUARDBK1";
const SALT: usize = 16;
const PREFIX: usize = 7;
const HEAD: usize = 8 + 1 + SALT + PREFIX;
/// Bytes in a piece, but for the last.
const PIECE: usize = 64 * 1024;
const TAG: usize = 16;
/// Longest key file, in bytes.
const KEY_BYTES_MAX: u64 = 64 * 1024;
/// A passphrase is tried by machines at leisure.
const PASSPHRASE_CHARS_MIN: usize = 12;

/// What a backup is encrypted with.
pub(crate) enum Lock {
    /// Something that a person knows.
    Passphrase(Zeroizing<String>),
    /// The content of a file: at least 32 random bytes.
    KeyFile(Zeroizing<Vec<u8>>),
}

impl Lock {
    /// From the first line of a file.
    pub(crate) fn passphrase(file: &Path) -> Result<Self> {
        let text = Zeroizing::new(read(file)?);
        let text = std::str::from_utf8(&text).context("a passphrase is text")?;
        let line = text.lines().next().unwrap_or_default();
        if line.chars().count() < PASSPHRASE_CHARS_MIN {
            bail!("a passphrase has at least {PASSPHRASE_CHARS_MIN} characters");
        }
        Ok(Self::Passphrase(Zeroizing::new(line.to_owned())))
    }

    /// From a file with random bytes.
    pub(crate) fn key_file(file: &Path) -> Result<Self> {
        let bytes = Zeroizing::new(read(file)?);
        if bytes.len() < 32 {
            bail!("{} is too short: a key has at least 32 bytes", file.display());
        }
        Ok(Self::KeyFile(bytes))
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Passphrase(_) => 1,
            Self::KeyFile(_) => 2,
        }
    }

    fn key(&self, salt: &[u8]) -> Result<LessSafeKey> {
        let mut key = Zeroizing::new([0; 32]);
        match self {
            Self::Passphrase(text) => key = guardian_identity::passphrase_key(text, salt)?,
            Self::KeyFile(bytes) => {
                let mut hasher = blake3::Hasher::new_derive_key("guardian backup key v1");
                hasher.update(salt).update(bytes);
                key.copy_from_slice(hasher.finalize().as_bytes());
            }
        }
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| anyhow::anyhow!("a key cannot be used"))?;
        Ok(LessSafeKey::new(key))
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let open = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    open.take(KEY_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn nonce(prefix: [u8; PREFIX], number: u32, last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..PREFIX].copy_from_slice(&prefix);
    bytes[PREFIX..PREFIX + 4].copy_from_slice(&number.to_be_bytes());
    bytes[NONCE_LEN - 1] = u8::from(last);
    Nonce::assume_unique_for_key(bytes)
}

/// Encrypts what is written. The last piece goes out when it is dropped or flushed for good.
pub(crate) struct Sealer<W: Write> {
    out: W,
    key: LessSafeKey,
    prefix: [u8; PREFIX],
    number: u32,
    piece: Vec<u8>,
    ended: bool,
}

impl<W: Write> Sealer<W> {
    pub(crate) fn new(mut out: W, lock: &Lock) -> Result<Self> {
        let mut random = [0; SALT + PREFIX];
        SysRng.try_fill_bytes(&mut random).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
        let (salt, rest) = random.split_at(SALT);
        let mut prefix = [0; PREFIX];
        prefix.copy_from_slice(rest);
        out.write_all(MAGIC)?;
        out.write_all(&[lock.kind()])?;
        out.write_all(&random)?;
        Ok(Self { out, key: lock.key(salt)?, prefix, number: 0, piece: Vec::with_capacity(PIECE + TAG), ended: false })
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let failed = || io::Error::other("the backup could not be encrypted");
        let nonce = nonce(self.prefix, self.number, last);
        self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.piece).map_err(|_| failed())?;
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        self.number = self.number.checked_add(1).ok_or_else(failed)?;
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.ended {
            return Err(io::Error::other("the backup has ended"));
        }
        if self.piece.len() == PIECE {
            self.seal(false)?;
        }
        let count = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Ends the stream: the archive flushes once, when it is complete.
    fn flush(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.ended, true) {
            self.seal(true)?;
        }
        self.out.flush()
    }
}

/// The plain stream of a backup, encrypted or not.
pub(crate) fn opened<'a>(mut input: impl Read + 'a, lock: Option<&Lock>) -> Result<Box<dyn Read + 'a>> {
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic).context("this is no backup")?;
    if magic != *MAGIC {
        if lock.is_some() {
            bail!("this backup is not encrypted");
        }
        return Ok(Box::new(io::Cursor::new(magic).chain(input)));
    }
    let mut head = [0; HEAD - MAGIC.len()];
    input.read_exact(&mut head).context("the backup is cut off")?;
    let lock = match (head[0], lock) {
        (kind, Some(lock)) if kind == lock.kind() => lock,
        (1, _) => bail!("this backup is encrypted with a passphrase: give --passphrase-file"),
        (2, _) => bail!("this backup is encrypted with a key file: give --key-file"),
        _ => bail!("this backup is encrypted in a way that this program does not know"),
    };
    let mut prefix = [0; PREFIX];
    prefix.copy_from_slice(&head[1 + SALT..]);
    let key = lock.key(&head[1..=SALT])?;
    Ok(Box::new(Opener { input, key, prefix, number: 0, plain: Vec::new(), at: 0, ahead: Vec::new(), ended: false }))
}

struct Opener<R> {
    input: R,
    key: LessSafeKey,
    prefix: [u8; PREFIX],
    number: u32,
    plain: Vec<u8>,
    at: usize,
    /// The bytes that come next: whether there are any tells the last piece.
    ahead: Vec<u8>,
    ended: bool,
}

impl<R: Read> Opener<R> {
    fn fill(&mut self) -> io::Result<()> {
        let sealed = PIECE + TAG;
        let have = self.ahead.len();
        // One byte more than a piece: if it comes, this piece is not the last.
        (&mut self.input).take((sealed + 1 - have) as u64).read_to_end(&mut self.ahead)?;
        let last = self.ahead.len() <= sealed;
        let rest = if last { Vec::new() } else { self.ahead.split_off(sealed) };
        let mut piece = std::mem::replace(&mut self.ahead, rest);
        let wrong = |_| {
            let text = "the backup does not open: it was changed or cut off, or this is not its key";
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let opened = self.key.open_in_place(nonce(self.prefix, self.number, last), Aad::empty(), &mut piece);
        let length = opened.map_err(wrong)?.len();
        piece.truncate(length);
        self.number = self.number.wrapping_add(1);
        (self.plain, self.at, self.ended) = (piece, 0, last);
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() && !self.ended {
            self.fill()?;
        }
        let count = buffer.len().min(self.plain.len() - self.at);
        buffer[..count].copy_from_slice(&self.plain[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(text: &str) -> Lock {
        Lock::KeyFile(Zeroizing::new(text.as_bytes().to_vec()))
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut sealer = Sealer::new(&mut out, &lock("a")).unwrap();
        sealer.write_all(plain).unwrap();
        sealer.flush().unwrap();
        out
    }

    fn open(bytes: &[u8], lock: &Lock) -> Result<Vec<u8>> {
        let mut plain = Vec::new();
        opened(bytes, Some(lock))?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn a_backup_opens_whole_or_not_at_all() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let plain: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let whole = sealed(&plain);
            assert_eq!(open(&whole, &lock("a")).unwrap(), plain, "{length}");
            assert!(open(&whole, &lock("b")).is_err());
            for end in [HEAD, whole.len() - 1, HEAD + PIECE + TAG].into_iter().filter(|end| *end < whole.len()) {
                assert!(open(&whole[..end], &lock("a")).is_err(), "{length} cut at {end}");
            }
            let mut changed = whole.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(open(&changed, &lock("a")).is_err());
        }
        let whole = sealed(&vec![7; 3 * PIECE]);
        let (first, second) = (HEAD, HEAD + PIECE + TAG);
        let mut swapped = whole.clone();
        swapped[first..second].copy_from_slice(&whole[second..second + PIECE + TAG]);
        swapped[second..second + PIECE + TAG].copy_from_slice(&whole[first..second]);
        assert!(open(&swapped, &lock("a")).is_err(), "pieces have their places");
    }
}
