//! Baselines of one machine, one after the other: each a file with what changed since the one before, under its number. What
//! is kept can be checked against its root at any time. When there are many, the oldest two become one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::block::{Block, Records};
use crate::changes::Out;
use crate::index::{FOLDERS_MAX, root_of};
use crate::{BaselineError, Changes, Difference, Folder, Folders, Root};

/// A folder before compression: some two hundred thousand files. A longer one is not taken from a machine.
const RAW_BYTES_MAX: usize = 32 << 20;
const ENDING: &str = "changes";

/// The baselines of one machine in a folder.
#[derive(Clone, Debug)]
pub struct History {
    folder: PathBuf,
}

/// What was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Folders of the baseline.
    pub folders: u64,
    /// Folders that came, with this change.
    pub changed: u64,
    /// Files in those.
    pub files: u64,
    /// Folders that went.
    pub gone: u64,
    /// Bytes of the change.
    pub bytes: u64,
}

/// Where each folder of one baseline is: in the file with this number.
type State = BTreeMap<Vec<u8>, (u64, [u8; 32], Block)>;

impl History {
    /// The baselines in a folder, which need not be there yet.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:010}.{ENDING}"))
    }

    /// Numbers of what is kept, ascending.
    pub fn numbers(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let number: Option<u64> =
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if path.extension().is_some_and(|ending| ending == ENDING) {
                numbers.extend(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Bytes of all that is kept.
    pub fn bytes(&self) -> io::Result<u64> {
        let of = |number: &u64| fs::metadata(self.file(*number)).map_or(0, |data| data.len());
        Ok(self.numbers()?.iter().map(of).sum())
    }

    fn open(&self, number: u64) -> Result<Changes, BaselineError> {
        match File::open(self.file(number)) {
            Ok(file) => Changes::open(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BaselineError::Missing),
            Err(error) => Err(error.into()),
        }
    }

    /// The folders of a baseline, put together from the first file on.
    fn state(&self, number: u64) -> Result<State, BaselineError> {
        let mut state = State::new();
        if number == 0 {
            return Ok(state);
        }
        let numbers = self.numbers()?;
        if !numbers.contains(&number) {
            return Err(BaselineError::Missing);
        }
        for each in numbers.into_iter().filter(|each| *each <= number) {
            let mut changes = self.open(each)?;
            if changes.base().is_none() {
                // Those before it were made one with it.
                state.clear();
            }
            changes.apply(each, &mut state)?;
        }
        Ok(state)
    }

    /// The root of a baseline, as the hashes of its folders come to it.
    pub fn root(&self, number: u64) -> Result<Root, BaselineError> {
        Ok(root(&self.state(number)?))
    }

    /// The root of a baseline, as its folders come to it. Each block is read and hashed.
    pub fn verified(&self, number: u64) -> Result<Root, BaselineError> {
        let state = self.state(number)?;
        let mut open = Opened { history: self, file: None };
        for (path, (at, hash, block)) in &state {
            let raw = open.raw(*at, *block)?;
            if blake3::hash(&raw).as_bytes() != hash {
                return Err(BaselineError::Changed(String::from_utf8_lossy(path).into_owned()));
            }
        }
        Ok(root(&state))
    }

    /// Takes a file of changes over as the baseline `number`, behind `last` (0 for none), if everything in it is as it
    /// says: its blocks are what their hashes say, its folders hold records in order, and all come to its root. What is
    /// whole needs no baseline before it.
    pub fn take(&self, part: &Path, number: u64, last: u64) -> Result<Taken, BaselineError> {
        let mut changes = Changes::open(File::open(part)?)?;
        let mut state = self.state(last)?;
        match changes.base() {
            Some(base) if base != root(&state) => return Err(BaselineError::Changed("its beginning".to_owned())),
            Some(_) => {}
            None if last == 0 => {}
            // Whole, behind others: it replaces all folders, so that what it lacks is gone.
            None => return self.take_whole(part, number, last),
        }
        let mut taken = changes.apply(number, &mut state)?;
        if root(&state) != changes.root() {
            return Err(BaselineError::Changed("its folders do not come to its root".to_owned()));
        }
        let mut changes = Changes::open(File::open(part)?)?;
        while let Some(item) = changes.next()? {
            let Some((hash, block)) = item.block else { continue };
            taken.files += checked(&item.path, &hash, &block.raw(changes.file(), RAW_BYTES_MAX)?)?;
        }
        taken.bytes = fs::metadata(part)?.len();
        fs::create_dir_all(&self.folder)?;
        fs::rename(part, self.file(number))?;
        File::open(&self.folder)?.sync_all()?;
        Ok(taken)
    }

    /// Writes a whole baseline as what changed since the last one, and takes that over.
    fn take_whole(&self, part: &Path, number: u64, last: u64) -> Result<Taken, BaselineError> {
        let (mut whole, old) = (Changes::open(File::open(part)?)?, self.state(last)?);
        let mut new = State::new();
        whole.apply(number, &mut new)?;
        let shorter = part.with_extension("since");
        let mut out = Out::begin(File::create(&shorter)?, Some(root(&old)), whole.root())?;
        let all: BTreeSet<&Vec<u8>> = old.keys().chain(new.keys()).collect();
        for path in all {
            match (old.get(path), new.get(path)) {
                (Some((_, was, _)), Some((_, is, _))) if was == is => {}
                (_, Some((_, hash, block))) => out.folder(path, hash, *block, whole.file())?,
                (_, None) => out.gone(path)?,
            }
        }
        out.finish()?;
        let taken = self.take(&shorter, number, last);
        fs::remove_file(part)?;
        if taken.is_err() {
            fs::remove_file(&shorter).ok();
        }
        taken
    }

    /// Makes of the oldest ones one, until at most `most` are left and they take at most `bytes`; how many went.
    pub fn shorten(&self, most: usize, bytes: u64) -> Result<usize, BaselineError> {
        let mut numbers = self.numbers()?;
        let mut gone = 0;
        while numbers.len() > 1 && (numbers.len() > most.max(1) || self.bytes()? > bytes) {
            let (first, second) = (numbers[0], numbers[1]);
            let state = self.state(second)?;
            let (old, new) = (self.open(first)?, self.open(second)?);
            let part = self.folder.join("shorter.part");
            let mut out = Out::begin(File::create(&part)?, None, new.root())?;
            for (path, (at, hash, block)) in &state {
                let from = if *at == first { old.file() } else { new.file() };
                out.folder(path, hash, *block, from)?;
            }
            out.finish()?;
            fs::rename(&part, self.file(second))?;
            fs::remove_file(self.file(first))?;
            numbers.remove(0);
            gone += 1;
        }
        Ok(gone)
    }

    /// One folder of a baseline.
    pub fn entries(&self, number: u64, path: &[u8]) -> Result<Option<Folder>, BaselineError> {
        let state = self.state(number)?;
        let Some((at, _, block)) = state.get(path) else { return Ok(None) };
        let raw = block.raw(self.open(*at)?.file(), RAW_BYTES_MAX)?;
        let mut records = Records::new(&raw)?;
        let mut entries = Vec::new();
        while let Some(record) = records.next()? {
            entries.push(record);
        }
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
        Ok(Some(Folder { path, entries, error: records.error()? }))
    }

    /// Hands over each file that differs between two baselines, in the order of folders, until `each` has enough.
    pub fn compare(&self, old: u64, new: u64, each: &mut dyn FnMut(Difference) -> bool) -> Result<(), BaselineError> {
        let (before, now) = (self.state(old)?, self.state(new)?);
        let paths: BTreeSet<&Vec<u8>> = before.keys().chain(now.keys()).collect();
        let mut open = Opened { history: self, file: None };
        let mut more = true;
        for path in paths {
            let (was, is) = (before.get(path), now.get(path));
            if was.map(|w| w.1) == is.map(|i| i.1) {
                continue;
            }
            let was = was.map(|(at, _, block)| open.raw(*at, *block)).transpose()?;
            let is = is.map(|(at, _, block)| open.raw(*at, *block)).transpose()?;
            let folders = Folders { before: was.as_deref(), now: is.as_deref() };
            folders.compare(path, &mut |difference| {
                more = each(difference);
                more
            })?;
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// The file that was read last.
struct Opened<'a> {
    history: &'a History,
    file: Option<(u64, File)>,
}

impl Opened<'_> {
    fn raw(&mut self, number: u64, block: Block) -> Result<Vec<u8>, BaselineError> {
        if self.file.as_ref().is_none_or(|(at, _)| *at != number) {
            self.file = Some((number, File::open(self.history.file(number))?));
        }
        let Some((_, file)) = &self.file else { return Err(BaselineError::Missing) };
        block.raw(file, RAW_BYTES_MAX)
    }
}

fn root(state: &State) -> Root {
    root_of(state.iter().map(|(path, (_, hash, _))| (path.as_slice(), hash)))
}

/// Looks at the block of a folder that somebody sent; how many files are in it.
fn checked(path: &[u8], hash: &[u8; 32], raw: &[u8]) -> Result<u64, BaselineError> {
    if blake3::hash(raw).as_bytes() != hash {
        return Err(BaselineError::Changed(String::from_utf8_lossy(path).into_owned()));
    }
    let mut records = Records::new(raw)?;
    if records.path != path {
        return Err(BaselineError::Changed(String::from_utf8_lossy(path).into_owned()));
    }
    let (mut count, mut last): (u64, Option<Vec<u8>>) = (0, None);
    while let Some(record) = records.next()? {
        if last.as_ref().is_some_and(|last| *last >= record.name) {
            return Err(BaselineError::Malformed("the files of a folder are not in order"));
        }
        last = Some(record.name);
        count += 1;
    }
    records.error()?;
    Ok(count)
}

impl Changes {
    /// Puts its folders into a state.
    fn apply(&mut self, number: u64, state: &mut State) -> Result<Taken, BaselineError> {
        let mut taken = Taken::default();
        while let Some(item) = self.next()? {
            match item.block {
                Some((hash, block)) => {
                    taken.changed += 1;
                    state.insert(item.path, (number, hash, block));
                }
                None => {
                    taken.gone += 1;
                    state.remove(&item.path);
                }
            }
            if state.len() > FOLDERS_MAX {
                return Err(BaselineError::Malformed("it has too many folders"));
            }
        }
        taken.folders = state.len() as u64;
        Ok(taken)
    }
}
