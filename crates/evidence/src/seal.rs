//! Sealing of a stream, piece by piece: each is sealed with AES-256-GCM under its number and whether it is the last (the
//! STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015): pieces cannot be changed, moved, left out or cut
//! off without being noticed.

use std::io::{self, Read, Write};

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use crate::EvidenceError;
use crate::key::{HEAD, Lock, Unlock};

/// Bytes in a piece, but for the last.
const PIECE: usize = 64 << 10;
const TAG: usize = 16;

fn nonce(number: u32, last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[7..11].copy_from_slice(&number.to_be_bytes());
    bytes[11] = u8::from(last);
    // The key is new for each file, and the number for each piece.
    Nonce::assume_unique_for_key(bytes)
}

/// Seals what is written. [`Sealer::finish`] writes the last piece; without it the file cannot be opened to its end.
pub struct Sealer<W: Write> {
    out: W,
    key: LessSafeKey,
    number: u32,
    piece: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    /// Writes the head.
    pub fn new(mut out: W, lock: &Lock) -> Result<Self, EvidenceError> {
        let (head, key) = lock.begin()?;
        out.write_all(&head)?;
        Ok(Self { out, key, number: 0, piece: Vec::with_capacity(PIECE + TAG) })
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let failed = || io::Error::other("a piece could not be sealed");
        let nonce = nonce(self.number, last);
        self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.piece).map_err(|_| failed())?;
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        self.number = self.number.checked_add(1).ok_or_else(failed)?;
        Ok(())
    }

    /// Writes the last piece and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE {
            self.seal(false)?;
        }
        let count = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens what a [`Sealer`] wrote. A piece is given only after it was found to be sound.
pub struct Opener<R: Read> {
    input: R,
    key: LessSafeKey,
    number: u32,
    /// The piece that is read, with room for the first bytes of the next one.
    piece: Vec<u8>,
    given: usize,
    plain: usize,
    last: bool,
}

impl<R: Read> Opener<R> {
    /// Reads the head.
    pub fn new(mut input: R, unlock: &Unlock) -> Result<Self, EvidenceError> {
        let mut head = [0; HEAD];
        input.read_exact(&mut head).map_err(|_| EvidenceError::NoPack)?;
        let key = unlock.begin(&head)?;
        Ok(Self { input, key, number: 0, piece: Vec::new(), given: 0, plain: 0, last: false })
    }

    fn open(&mut self) -> io::Result<()> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "the pack was changed or cut off");
        // One byte more than a piece says whether another follows.
        let kept = self.piece.split_off(self.piece.len().min(self.plain + if self.number == 0 { 0 } else { TAG }));
        self.piece = kept;
        let wanted = (PIECE + TAG + 1).saturating_sub(self.piece.len()) as u64;
        self.input.by_ref().take(wanted).read_to_end(&mut self.piece)?;
        self.last = self.piece.len() <= PIECE + TAG;
        let length = self.piece.len().min(PIECE + TAG);
        let nonce = nonce(self.number, self.last);
        let plain = self.key.open_in_place(nonce, Aad::empty(), &mut self.piece[..length]).map_err(|_| broken())?;
        self.plain = plain.len();
        self.given = 0;
        self.number = self.number.checked_add(1).ok_or_else(broken)?;
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.plain {
            if self.last {
                return Ok(0);
            }
            self.open()?;
        }
        let count = out.len().min(self.plain - self.given);
        out[..count].copy_from_slice(&self.piece[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{PublicKey, SecretKey};

    fn sealed(content: &[u8]) -> Vec<u8> {
        let recipient = SecretKey::new([3; 32]).public();
        let mut sealer = Sealer::new(Vec::new(), &Lock::Public { recipient, fresh: SecretKey::new([5; 32]) }).unwrap();
        sealer.write_all(content).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut opener = Opener::new(bytes, &Unlock::Secret(SecretKey::new([3; 32]))).ok()?;
        let mut content = Vec::new();
        opener.read_to_end(&mut content).ok()?;
        Some(content)
    }

    #[test]
    fn whatever_its_length_it_comes_back_and_no_change_goes_unseen() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7] {
            let content: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let bytes = sealed(&content);
            assert!(opened(&bytes).as_deref() == Some(&content), "{length}");
            for cut in [1, TAG, bytes.len() / 2, bytes.len() - HEAD].into_iter().filter(|cut| *cut <= bytes.len()) {
                assert!(opened(&bytes[..bytes.len() - cut]).is_none(), "{length} less {cut}");
            }
            for at in [0, 8, 9, 41, HEAD, bytes.len() - 1] {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                assert!(opened(&changed).is_none(), "{length} changed at {at}");
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert!(opened(&longer).is_none());
        }
        // Pieces that are put in another order.
        let content = vec![7; 3 * PIECE];
        let mut bytes = sealed(&content);
        let piece = PIECE + TAG;
        let (first, second) = bytes[HEAD..HEAD + 2 * piece].split_at_mut(piece);
        first.swap_with_slice(second);
        assert!(opened(&bytes).is_none());
    }

    #[test]
    fn only_the_key_opens_it() {
        let bytes = sealed(b"secret");
        assert!(!bytes.windows(6).any(|w| w == b"secret"));
        let other = Opener::new(bytes.as_slice(), &Unlock::Secret(SecretKey::new([4; 32])));
        assert!(matches!(other, Err(EvidenceError::OtherKey)));
        let shared = Opener::new(bytes.as_slice(), &Unlock::Shared(zeroize::Zeroizing::new([3; 32])));
        assert!(matches!(shared, Err(EvidenceError::OtherKey)));
        let weak = Lock::Public { recipient: PublicKey([0; 32]), fresh: SecretKey::new([5; 32]) };
        assert!(matches!(Sealer::new(Vec::new(), &weak), Err(EvidenceError::Key)));
    }
}
