//! Reads with a limit. Anything whose size somebody else decides (a body, a compressed stream, a file that an operator
//! points at) is read through here, so that a small input cannot become a large allocation.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The input is larger than the reader was told to accept.
#[derive(Debug, thiserror::Error)]
#[error("larger than the limit of {limit_bytes} bytes")]
pub struct TooLarge {
    /// The limit.
    pub limit_bytes: u64,
}

impl From<TooLarge> for io::Error {
    fn from(e: TooLarge) -> Self {
        Self::new(io::ErrorKind::FileTooLarge, e)
    }
}

/// Reads to the end, but fails with [`TooLarge`] (as [`io::ErrorKind::FileTooLarge`]) once more than `limit_bytes` came.
/// Wrap a decompressor in it and the limit holds for what comes out.
pub fn read_capped(reader: &mut impl Read, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(TooLarge { limit_bytes }.into());
    }
    Ok(bytes)
}

/// Reads a whole file of at most `limit_bytes`.
pub fn read_file_capped(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    read_capped(&mut File::open(path)?, limit_bytes)
}

/// Reads a whole UTF-8 file of at most `limit_bytes`.
pub fn read_text_capped(path: &Path, limit_bytes: u64) -> io::Result<String> {
    String::from_utf8(read_file_capped(path, limit_bytes)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_to_the_byte() {
        for (input, limit, ok) in [(0, 0, true), (5, 5, true), (6, 5, false), (1, 0, false)] {
            let result = read_capped(&mut io::repeat(7).take(input), limit);
            assert_eq!(result.is_ok(), ok, "{input} of {limit}");
            if let Err(e) = result {
                assert_eq!(e.kind(), io::ErrorKind::FileTooLarge);
            }
        }
        let error = read_capped(&mut io::repeat(0), 10).unwrap_err();
        assert!(error.to_string().contains("10 bytes"));
    }
}
