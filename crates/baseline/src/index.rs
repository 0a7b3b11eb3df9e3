//! The hashes of all folders: as much of a baseline as is needed to say what changed since.

use serde::{Deserialize, Serialize};

use crate::{BaselineError, Root};

/// Folders of one baseline.
pub(crate) const FOLDERS_MAX: usize = 2_000_000;
const LEVEL: i32 = 3;
/// Bytes of an index before compression.
const RAW_BYTES_MAX: usize = 512 << 20;

/// A folder and the hash of its block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) path: Vec<u8>,
    pub(crate) hash: [u8; 32],
}

/// The folders of a baseline, in the order of their paths, with the hash of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index(pub(crate) Vec<Line>);

/// The root over folders, in the order of their paths.
pub(crate) fn root_of<'a>(lines: impl Iterator<Item = (&'a [u8], &'a [u8; 32])>) -> Root {
    let mut root = blake3::Hasher::new();
    for (path, hash) in lines {
        root.update(&(path.len() as u64).to_le_bytes());
        root.update(path);
        root.update(hash);
    }
    *root.finalize().as_bytes()
}

impl Index {
    /// The root that they come to.
    pub fn root(&self) -> Root {
        root_of(self.0.iter().map(|line| (line.path.as_slice(), &line.hash)))
    }

    /// For a file.
    pub fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        let raw = postcard::to_allocvec(&self.0).map_err(std::io::Error::other)?;
        zstd::bulk::compress(&raw, LEVEL)
    }

    /// From a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BaselineError> {
        let damaged = BaselineError::Malformed("its index is damaged");
        let Ok(raw) = zstd::bulk::decompress(bytes, RAW_BYTES_MAX.min(bytes.len().saturating_mul(1_000))) else {
            return Err(damaged);
        };
        let Ok(lines) = postcard::from_bytes::<Vec<Line>>(&raw) else { return Err(damaged) };
        if !lines.windows(2).all(|two| two[0].path < two[1].path) {
            return Err(BaselineError::Malformed("its index is not in order"));
        }
        Ok(Self(lines))
    }
}
