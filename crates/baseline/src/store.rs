//! A baseline on the disk: one compressed block a folder, in any order, an index by path behind them, in parts, and a table of
//! those. It is written while a scan runs and read folder by folder, so that neither holds a machine's files in memory; of an
//! open one the table alone is.
//!
//! The root is one hash over all folders in the order of their paths. It names the baseline: the server keeps and signs it,
//! and a baseline whose blocks do not come to it was changed.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::block::{self, Block, Records, pack};
use crate::index::{Index, Line};
use crate::{BaselineError, Folder, Root};

const MAGIC: &[u8; 8] = b"GRDNFIM2";
/// Folders of a part of the index; the last part may have fewer.
const PART_FOLDERS: usize = 64;
/// Offset and lengths of the table, the root, and the magic number again.
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

/// A part of the index, as the table names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part {
    /// Path of its first folder.
    first: Vec<u8>,
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

fn add_to_root(root: &mut blake3::Hasher, entries: &[Entry]) {
    for entry in entries {
        root.update(&(entry.path.len() as u64).to_le_bytes());
        root.update(&entry.path);
        root.update(&entry.hash);
    }
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
        let (mut root, mut table) = (blake3::Hasher::new(), Vec::new());
        for entries in self.index.chunks(PART_FOLDERS) {
            add_to_root(&mut root, entries);
            let raw = postcard::to_allocvec(entries).map_err(io::Error::other)?;
            let packed = pack(&raw)?;
            self.file.write_all(&packed)?;
            let (length, raw_length) = (packed.len() as u64, raw.len() as u64);
            let (first, hash) = (entries[0].path.clone(), *blake3::hash(&raw).as_bytes());
            table.push(Part { first, offset: self.at, length, raw_length, hash });
            self.at += length;
        }
        let root = *root.finalize().as_bytes();
        let raw = postcard::to_allocvec(&table).map_err(io::Error::other)?;
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
    table: Vec<Part>,
    folders: usize,
    root: Root,
    /// The part that was read last: whoever asks for one folder often asks for the next.
    last: Mutex<Option<(usize, Arc<[Entry]>)>>,
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
        let table = Block { offset: number(0), length: number(1), raw_length: number(2) };
        let raw = table.raw(&file, RAW_BYTES_MAX)?;
        let table: Vec<Part> =
            postcard::from_bytes(&raw).map_err(|_| BaselineError::Malformed("its index is damaged"))?;
        let mut baseline = Self { file, table, folders: 0, root, last: Mutex::default() };
        baseline.folders = baseline.check()?;
        Ok(baseline)
    }

    /// Reads the index through; how many folders there are.
    fn check(&self) -> Result<usize, BaselineError> {
        let not_in_order = BaselineError::Malformed("its index is not in order");
        let (mut root, mut folders, mut before) = (blake3::Hasher::new(), 0, None::<Vec<u8>>);
        for (number, part) in self.table.iter().enumerate() {
            let entries = self.part(number)?;
            let is_last = number + 1 == self.table.len();
            let whole = entries.len() == PART_FOLDERS || (is_last && (1..PART_FOLDERS).contains(&entries.len()));
            let follows = entries.first().is_some_and(|entry| {
                entry.path == part.first && before.as_ref().is_none_or(|before| *before < entry.path)
            });
            if !whole || !follows || !entries.windows(2).all(|two| two[0].path < two[1].path) {
                return Err(not_in_order);
            }
            add_to_root(&mut root, &entries);
            folders += entries.len();
            before = entries.last().map(|entry| entry.path.clone());
        }
        if root.finalize().as_bytes() != &self.root {
            return Err(BaselineError::Changed("its index".to_owned()));
        }
        Ok(folders)
    }

    /// A part of the index.
    fn part(&self, number: usize) -> Result<Arc<[Entry]>, BaselineError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, entries)) = last.as_ref().filter(|(known, _)| *known == number) {
            return Ok(Arc::clone(entries));
        }
        let part = self.table.get(number).ok_or(BaselineError::Malformed("it has no such folder"))?;
        let block = Block { offset: part.offset, length: part.length, raw_length: part.raw_length };
        let raw = block.raw(&self.file, RAW_BYTES_MAX)?;
        if blake3::hash(&raw).as_bytes() != &part.hash {
            return Err(BaselineError::Changed("its index".to_owned()));
        }
        let entries: Vec<Entry> =
            postcard::from_bytes(&raw).map_err(|_| BaselineError::Malformed("its index is damaged"))?;
        let entries: Arc<[Entry]> = entries.into();
        *last = Some((number, Arc::clone(&entries)));
        Ok(entries)
    }

    /// The hash over all folders.
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// Number of folders.
    pub const fn len(&self) -> usize {
        self.folders
    }

    /// Whether it has no folder.
    pub const fn is_empty(&self) -> bool {
        self.folders == 0
    }

    /// Position of a folder in the order of paths.
    pub fn position(&self, path: &Path) -> Result<Option<usize>, BaselineError> {
        let path = path.as_os_str().as_bytes();
        let behind = self.table.partition_point(|part| part.first.as_slice() <= path);
        let Some(number) = behind.checked_sub(1) else { return Ok(None) };
        let within = self.part(number)?.binary_search_by(|entry| entry.path.as_slice().cmp(path)).ok();
        Ok(within.map(|within| number * PART_FOLDERS + within))
    }

    /// The folder at a position.
    pub fn at(&self, position: usize) -> Result<Folder, BaselineError> {
        let part = self.part(position / PART_FOLDERS)?;
        let entry = part.get(position % PART_FOLDERS).ok_or(BaselineError::Malformed("it has no such folder"))?;
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
    pub fn index(&self) -> Result<Index, BaselineError> {
        let mut lines = Vec::with_capacity(self.folders);
        self.blocks(&mut |path, hash, _| {
            lines.push(Line { path: path.to_vec(), hash: *hash });
            Ok(())
        })?;
        Ok(Index(lines))
    }

    /// Hands over each folder with its hash and its block, in the order of paths.
    pub(crate) fn blocks(
        &self,
        each: &mut dyn FnMut(&[u8], &[u8; 32], Block) -> Result<(), BaselineError>,
    ) -> Result<(), BaselineError> {
        for number in 0..self.table.len() {
            for entry in self.part(number)?.iter() {
                each(&entry.path, &entry.hash, entry.block())?;
            }
        }
        Ok(())
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// A folder by its path.
    pub fn folder(&self, path: &Path) -> Result<Option<Folder>, BaselineError> {
        self.position(path)?.map(|position| self.at(position)).transpose()
    }

    /// Every folder, in the order of paths.
    pub fn folders(&self) -> impl Iterator<Item = Result<Folder, BaselineError>> + '_ {
        (0..self.folders).map(|position| self.at(position))
    }
}
