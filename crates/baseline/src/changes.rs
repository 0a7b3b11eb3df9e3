//! What a baseline has that another does not, as a file: the two roots, then each folder that differs, in the order of
//! paths, with its block as it stands in the baseline, or the word that it is gone. A whole baseline is what changed since
//! none.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Write};

use crate::block::Block;
use crate::{Baseline, BaselineError, Index, Root};

const MAGIC: &[u8; 8] = b"GRDNFIC1";
const END: u8 = 0;
const FOLDER: u8 = 1;
const GONE: u8 = 2;
/// Bytes of a path.
const PATH_BYTES_MAX: usize = 64 << 10;
/// Stands for no baseline.
const NONE: Root = [0; 32];

/// Writes what changed in `baseline` since the one with this index; all of it without one.
pub fn write_changes(baseline: &Baseline, since: Option<&Index>, out: File) -> Result<(), BaselineError> {
    let none = Index::default();
    let mut old = since.unwrap_or(&none).0.iter().peekable();
    let mut writer = Out::begin(out, since.map(Index::root), *baseline.root())?;
    baseline.blocks(&mut |path, hash, block| {
        while let Some(gone) = old.next_if(|line| line.path.as_slice() < path) {
            writer.gone(&gone.path)?;
        }
        let same = old.next_if(|line| line.path == path).is_some_and(|line| &line.hash == hash);
        if same { Ok(()) } else { writer.folder(path, hash, block, baseline.file()) }
    })?;
    for gone in old {
        writer.gone(&gone.path)?;
    }
    Ok(writer.finish()?)
}

/// A file of changes that is being written.
pub(crate) struct Out(BufWriter<File>);

impl Out {
    pub(crate) fn begin(out: File, base: Option<Root>, root: Root) -> io::Result<Self> {
        let mut out = BufWriter::new(out);
        out.write_all(MAGIC)?;
        out.write_all(&base.unwrap_or(NONE))?;
        out.write_all(&root)?;
        Ok(Self(out))
    }

    fn item(&mut self, kind: u8, path: &[u8]) -> io::Result<()> {
        self.0.write_all(&[kind])?;
        self.0.write_all(&(path.len() as u32).to_le_bytes())?;
        self.0.write_all(path)
    }

    pub(crate) fn gone(&mut self, path: &[u8]) -> io::Result<()> {
        self.item(GONE, path)
    }

    pub(crate) fn folder(
        &mut self,
        path: &[u8],
        hash: &[u8; 32],
        block: Block,
        from: &File,
    ) -> Result<(), BaselineError> {
        self.item(FOLDER, path)?;
        self.0.write_all(hash)?;
        self.0.write_all(&block.raw_length.to_le_bytes())?;
        self.0.write_all(&block.length.to_le_bytes())?;
        Ok(self.0.write_all(&block.packed(from)?)?)
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.0.write_all(&[END])?;
        self.0.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

/// One folder in a file of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its path.
    pub path: Vec<u8>,
    /// The hash of its block and where that is; none where the folder is gone.
    pub(crate) block: Option<([u8; 32], Block)>,
}

/// A file of changes that is open for reading.
#[derive(Debug)]
pub struct Changes {
    reader: BufReader<File>,
    at: u64,
    length: u64,
    base: Option<Root>,
    root: Root,
    last: Option<Vec<u8>>,
    ended: bool,
}

impl Changes {
    /// Reads the head of a file.
    pub fn open(file: File) -> Result<Self, BaselineError> {
        let length = file.metadata()?.len();
        let (base, root) = (NONE, NONE);
        let mut changes =
            Self { reader: BufReader::new(file), at: 0, length, base: None, root, last: None, ended: false };
        let mut head = ([0; 8], base, root);
        changes.fill(&mut head.0)?;
        changes.fill(&mut head.1)?;
        changes.fill(&mut head.2)?;
        if &head.0 != MAGIC {
            return Err(BaselineError::Malformed("these are no changes"));
        }
        changes.base = Some(head.1).filter(|base| *base != NONE);
        changes.root = head.2;
        Ok(changes)
    }

    /// The root of the baseline that these are changes of; none for a whole one.
    pub const fn base(&self) -> Option<Root> {
        self.base
    }

    /// The root that they lead to.
    pub const fn root(&self) -> Root {
        self.root
    }

    pub(crate) fn file(&self) -> &File {
        self.reader.get_ref()
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), BaselineError> {
        let cut_off = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BaselineError::Malformed("it is cut off"),
            _ => BaselineError::Io(error),
        };
        self.reader.read_exact(buffer).map_err(cut_off)?;
        self.at += buffer.len() as u64;
        Ok(())
    }

    fn number<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], BaselineError> {
        let mut bytes = [0; BYTES];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next folder; its block is passed over.
    pub fn next(&mut self) -> Result<Option<Item>, BaselineError> {
        if self.ended {
            return Ok(None);
        }
        let kind = self.number::<1>()?[0];
        if kind == END {
            self.ended = true;
            let whole = self.at == self.length;
            return if whole { Ok(None) } else { Err(BaselineError::Malformed("there are bytes behind its end")) };
        }
        let length = u32::from_le_bytes(self.number()?) as usize;
        if length > PATH_BYTES_MAX || !matches!(kind, FOLDER | GONE) {
            return Err(BaselineError::Malformed("an entry of it is damaged"));
        }
        let mut path = vec![0; length];
        self.fill(&mut path)?;
        if self.last.as_ref().is_some_and(|last| *last >= path) {
            return Err(BaselineError::Malformed("its folders are not in order"));
        }
        self.last = Some(path.clone());
        if kind == GONE {
            return Ok(Some(Item { path, block: None }));
        }
        let hash = self.number()?;
        let raw_length = u64::from_le_bytes(self.number()?);
        let length = u64::from_le_bytes(self.number()?);
        let block = Block { offset: self.at, length, raw_length };
        let after = self.at.checked_add(length).filter(|after| *after < self.length);
        let (Some(after), Ok(skip)) = (after, i64::try_from(length)) else {
            return Err(BaselineError::Malformed("it is cut off"));
        };
        self.reader.seek_relative(skip)?;
        self.at = after;
        Ok(Some(Item { path, block: Some((hash, block)) }))
    }
}
