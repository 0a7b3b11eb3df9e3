//! One folder in a file: its records, compressed, behind one another as postcard writes them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use serde::{Deserialize as _, Serialize};

use crate::{BaselineError, Record};

const LEVEL: i32 = 1;

/// Where the block of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) raw_length: u64,
}

#[derive(Serialize)]
struct Out<'a> {
    path: &'a [u8],
    entries: &'a [Record],
    error: Option<&'a str>,
}

/// A folder before compression.
pub(crate) fn raw(path: &[u8], entries: &[Record], error: Option<&str>) -> io::Result<Vec<u8>> {
    postcard::to_allocvec(&Out { path, entries, error }).map_err(io::Error::other)
}

pub(crate) fn pack(raw: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(raw, LEVEL)
}

impl Block {
    /// Its bytes, compressed.
    pub(crate) fn packed(&self, file: &File) -> Result<Vec<u8>, BaselineError> {
        let too_long = || BaselineError::Malformed("a part of it is too long");
        let end = self.offset.checked_add(self.length).ok_or_else(too_long)?;
        if end > file.metadata()?.len() {
            return Err(too_long());
        }
        let mut packed = vec![0; usize::try_from(self.length).map_err(|_| too_long())?];
        file.read_exact_at(&mut packed, self.offset)?;
        Ok(packed)
    }

    /// Its bytes, if they are at most `most`.
    pub(crate) fn raw(&self, file: &File, most: usize) -> Result<Vec<u8>, BaselineError> {
        let fits = usize::try_from(self.raw_length).ok().filter(|length| *length <= most);
        let length = fits.ok_or(BaselineError::Malformed("a part of it is too long"))?;
        let damaged = |_| BaselineError::Malformed("a part of it is damaged");
        zstd::bulk::decompress(&self.packed(file)?, length).map_err(damaged)
    }
}

/// The records of a folder, one at a time.
pub(crate) struct Records<'a> {
    pub(crate) path: &'a [u8],
    left: u64,
    rest: &'a [u8],
}

fn damaged<E>(_: E) -> BaselineError {
    BaselineError::Malformed("a folder is damaged")
}

impl<'a> Records<'a> {
    /// Reads what stands before the records.
    pub(crate) fn new(raw: &'a [u8]) -> Result<Self, BaselineError> {
        let (path, rest) = postcard::take_from_bytes(raw).map_err(damaged)?;
        let (left, rest) = postcard::take_from_bytes(rest).map_err(damaged)?;
        Ok(Self { path, left, rest })
    }

    /// The next record.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, BaselineError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut reader = postcard::Deserializer::from_bytes(self.rest);
        let record = Record::deserialize(&mut reader).map_err(damaged)?;
        self.rest = reader.finalize().map_err(damaged)?;
        Ok(Some(record))
    }

    /// Why the folder could not be read, behind the last record.
    pub(crate) fn error(self) -> Result<Option<String>, BaselineError> {
        let (error, rest): (Option<String>, _) = postcard::take_from_bytes(self.rest).map_err(damaged)?;
        if rest.is_empty() { Ok(error) } else { Err(damaged(())) }
    }
}
