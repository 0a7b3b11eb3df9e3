//! A baseline on the disk: one compressed block a folder, in any order, and an index by path behind them. It is written
//! while a scan runs and read folder by folder, so that neither holds a machine's files in memory.
//!
//! The root is one hash over all folders in the order of their paths. It names the baseline: the server keeps and signs it,
//! and a baseline whose blocks do not come to it was changed.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::block::{self, Block, Records, pack};
use crate::index::{Index, Line, root_of};
use crate::{BaselineError, Folder, Root};

const MAGIC: &[u8; 8] = b"GRDNFIM1";
/// Offset and lengths of the index, the root, and the magic number again.
const FOOT_BYTES: usize = 8 + 8 + 8 + 32 + 8;
/// A block or index before compression; a folder of a million files takes about 150 MB.
const RAW_BYTES_MAX: usize = 512 << 20;
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    path: Vec<u8>,
    offset: u64,
    length: u64,
    raw_length: u64,
    hash: [u8; 32],
}

impl Entry {
    const fn block(&self) -> Block {
        Block { offset: self.offset, length: self.length, raw_length: self.raw_length }
    }
}

fn root_of_entries(index: &[Entry]) -> Root {
    root_of(index.iter().map(|entry| (entry.path.as_slice(), &entry.hash)))
}

/// Writes a baseline.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    at: u64,
    index: Vec<Entry>,
}

impl Writer {
    /// Begins in an empty file.
    pub fn new(file: File) -> io::Result<Self> {
        let mut file = BufWriter::new(file);
        file.write_all(MAGIC)?;
        Ok(Self { file, at: MAGIC.len() as u64, index: Vec::new() })
    }

    /// Adds a folder. Each path may be added once.
    pub fn add(&mut self, folder: &Folder) -> io::Result<()> {
        let path = folder.path.as_os_str().as_bytes();
        let raw = block::raw(path, &folder.entries, folder.error.as_deref())?;
        let packed = pack(&raw)?;
        self.file.write_all(&packed)?;
        self.index.push(Entry {
            path: path.to_vec(),
            offset: self.at,
            length: packed.len() as u64,
            raw_length: raw.len() as u64,
            hash: *blake3::hash(&raw).as_bytes(),
        });
        self.at += packed.len() as u64;
        Ok(())
    }

    /// Writes the index, syncs, and returns the root.
    pub fn finish(mut self) -> io::Result<Root> {
        self.index.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let root = root_of_entries(&self.index);
        let raw = postcard::to_allocvec(&self.index).map_err(io::Error::other)?;
        let packed = pack(&raw)?;
        self.file.write_all(&packed)?;
        for number in [self.at, packed.len() as u64, raw.len() as u64] {
            self.file.write_all(&number.to_le_bytes())?;
        }
        self.file.write_all(&root)?;
        self.file.write_all(MAGIC)?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(root)
    }
}

/// A baseline that is open for reading.
#[derive(Debug)]
pub struct Baseline {
    file: File,
    index: Vec<Entry>,
    root: Root,
}

impl Baseline {
    /// Opens a baseline. What it says is believed only as far as its root is.
    pub fn open(path: &Path) -> Result<Self, BaselineError> {
        let cut_off = BaselineError::Malformed("it is cut off");
        let file = File::open(path)?;
        let Some(foot_at) = file.metadata()?.len().checked_sub(FOOT_BYTES as u64) else { return Err(cut_off) };
        let mut foot = [0; FOOT_BYTES];
        file.read_exact_at(&mut foot, foot_at)?;
        let number = |i: usize| u64::from_le_bytes(std::array::from_fn(|b| foot[8 * i + b]));
        let root: Root = std::array::from_fn(|i| foot[24 + i]);
        if &foot[56..] != MAGIC || number(0).checked_add(number(1)) != Some(foot_at) {
            return Err(cut_off);
        }
        let index = Block { offset: number(0), length: number(1), raw_length: number(2) };
        let raw = index.raw(&file, RAW_BYTES_MAX)?;
        let index: Vec<Entry> =
            postcard::from_bytes(&raw).map_err(|_| BaselineError::Malformed("its index is damaged"))?;
        if !index.windows(2).all(|two| two[0].path < two[1].path) {
            return Err(BaselineError::Malformed("its index is not in order"));
        }
        if root_of_entries(&index) != root {
            return Err(BaselineError::Changed("its index".to_owned()));
        }
        Ok(Self { file, index, root })
    }

    /// The hash over all folders.
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// Number of folders.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it has no folder.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Position of a folder in the order of paths.
    pub fn position(&self, path: &Path) -> Option<usize> {
        self.index.binary_search_by(|entry| entry.path.as_slice().cmp(path.as_os_str().as_bytes())).ok()
    }

    /// The folder at a position.
    pub fn at(&self, position: usize) -> Result<Folder, BaselineError> {
        let entry = self.index.get(position).ok_or(BaselineError::Malformed("it has no such folder"))?;
        let raw = entry.block().raw(&self.file, RAW_BYTES_MAX)?;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(&entry.path));
        let changed = || BaselineError::Changed(path.display().to_string());
        if blake3::hash(&raw).as_bytes() != &entry.hash {
            return Err(changed());
        }
        let mut records = Records::new(&raw)?;
        if records.path != entry.path {
            return Err(changed());
        }
        let mut entries = Vec::new();
        while let Some(record) = records.next()? {
            entries.push(record);
        }
        Ok(Folder { error: records.error()?, path, entries })
    }

    /// The hashes of all folders.
    pub fn index(&self) -> Index {
        Index(self.index.iter().map(|entry| Line { path: entry.path.clone(), hash: entry.hash }).collect())
    }

    /// Each folder with its hash and its block, in the order of paths.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (&[u8], &[u8; 32], Block)> {
        self.index.iter().map(|entry| (entry.path.as_slice(), &entry.hash, entry.block()))
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// A folder by its path.
    pub fn folder(&self, path: &Path) -> Result<Option<Folder>, BaselineError> {
        self.position(path).map(|position| self.at(position)).transpose()
    }

    /// Every folder, in the order of paths.
    pub fn folders(&self) -> impl Iterator<Item = Result<Folder, BaselineError>> + '_ {
        (0..self.index.len()).map(|position| self.at(position))
    }
}
