//! What is compressed: gzip, zstd, xz and bzip2 are told by their first bytes, Brotli, which has no mark, by its name.
//!
//! Everything comes as a stream. What a form may ask for in memory is bounded here, and how much comes out of one file;
//! how much of it is kept is the business of whoever reads.

use std::io::{self, BufRead, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use crate::limits::{UNPACKED_BYTES_MAX, XZ_MEMORY_KIB_MAX};

/// Bytes by which every form but Brotli is told.
pub(crate) const MARK_BYTES: usize = 10;
/// Bytes that are read of a compressed file at once.
const BUFFER_BYTES: usize = 64 << 10;

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz file format 1.2.
    Xz,
    /// Of bzip2 0.1 and later.
    Bzip2,
    /// RFC 7932.
    Brotli,
}

impl Form {
    /// By the first bytes.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            // A level, and the mark of a block, or that of the end where there is none: a text may begin with the letters.
            [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
                if rest.starts_with(b"1AY&SY") || rest.starts_with(b"\x17\x72\x45\x38\x50\x90") =>
            {
                Some(Self::Bzip2)
            }
            _ => None,
        }
    }

    /// By the first bytes or, for Brotli, by the name; with the name of what is inside.
    pub(crate) fn of_named<'a>(name: &'a str, head: &[u8]) -> Option<(Self, &'a str)> {
        let brotli = || Some((Self::Brotli, name.strip_suffix(".br")?));
        Self::of(head).map(|form| (form, name)).or_else(brotli)
    }

    /// A reader of what is inside.
    pub(crate) fn open<'a>(self, packed: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let inside: Box<dyn Read + 'a> = match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB_MAX)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
            Self::Brotli => Box::new(Brotli::new(packed)),
        };
        Ok(Box::new(Bounded { inside, left: UNPACKED_BYTES_MAX }))
    }

    /// A reader of what is inside, for what is not read in pieces of a size anyway.
    pub(crate) fn open_buffered<'a>(self, packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        self.open(io::BufReader::with_capacity(BUFFER_BYTES, packed))
    }
}

/// Fails where more comes out than may: what is cut off silently would be taken for the whole.
struct Bounded<R> {
    inside: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inside.read(into)?;
        let too_much = || io::Error::new(io::ErrorKind::FileTooLarge, "more comes out of it than is read of one file");
        self.left = self.left.checked_sub(read as u64).ok_or_else(too_much)?;
        Ok(read)
    }
}

/// Reads Brotli with windows as RFC 7932 has them, of 16 MiB at most: the reader of the crate takes larger ones too.
struct Brotli<R> {
    packed: R,
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total: usize,
    ended: bool,
}

impl<R: BufRead> Brotli<R> {
    fn new(packed: R) -> Self {
        let alloc = StandardAlloc::default;
        Self { packed, state: BrotliState::new_strict(alloc(), alloc(), alloc()), total: 0, ended: false }
    }
}

impl<R: BufRead> Read for Brotli<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let malformed = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        while !into.is_empty() && !self.ended {
            let input = self.packed.fill_buf()?;
            let (mut there, mut taken, mut room, mut written) = (input.len(), 0, into.len(), 0);
            let result = BrotliDecompressStream(
                &mut there,
                &mut taken,
                input,
                &mut room,
                &mut written,
                into,
                &mut self.total,
                &mut self.state,
            );
            let at_end = input.is_empty();
            self.packed.consume(taken);
            match result {
                BrotliResult::ResultSuccess => {
                    self.ended = true;
                    if !self.packed.fill_buf()?.is_empty() {
                        return Err(malformed("something stands behind the end of what Brotli compressed"));
                    }
                }
                BrotliResult::ResultFailure => return Err(malformed("it is not what Brotli compresses")),
                BrotliResult::NeedsMoreInput if at_end && written == 0 => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "what Brotli compressed is cut off"));
                }
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
pub(crate) mod tests;
