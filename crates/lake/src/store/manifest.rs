//! The manifest: which Parquet files are live, and up to which batch each tenant's rows are in them.
//!
//! It is a log of changes, one line each: eight hexadecimal digits of CRC-32, a blank, and a JSON object. A change is
//! atomic, so a flush names its new files and how far it came in one line. Opening writes the sum of all changes as a
//! single line to a new file and renames it over the old one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use guardian_model::TenantId;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::LakeError;
use crate::keys::LakeKeys;

/// Changes after which the file is rewritten as one line.
const CHECKPOINT_EVERY: usize = 1_000;

/// A live Parquet file. The same JSON is in the file's own metadata (`guardian.file`), without size and checksum, so
/// that a lost manifest can be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileMeta {
    /// Path below the lake's directory.
    pub(crate) path: String,
    pub(crate) tenant: TenantId,
    pub(crate) class_uid: u32,
    /// Day of receipt, `YYYY-MM-DD`.
    pub(crate) day: String,
    pub(crate) rows: u64,
    #[serde(default)]
    pub(crate) bytes: u64,
    /// CRC-32 of the whole file.
    #[serde(default)]
    pub(crate) crc: u32,
    /// Smallest and largest batch id in it.
    pub(crate) ids: (u64, u64),
    /// Smallest and largest value of every time column, by column name.
    pub(crate) times: Vec<(String, i64, i64)>,
    /// Names of the replays whose rows are in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replays: Vec<String>,
    /// Files whose rows this one took over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaces: Vec<String>,
    /// Id of the lake key, where the file is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The minute roll-up of the same rows, where the class has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rollup: Option<RollupMeta>,
}

/// A roll-up file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RollupMeta {
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
    /// Id of the lake key, where the file is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

impl FileMeta {
    /// Fails where a lake key is missing that the file or its roll-up needs.
    pub(crate) fn check_keys(&self, keys: &LakeKeys) -> Result<(), LakeError> {
        let rollup = self.rollup.as_ref().and_then(|r| Some((&r.path, r.key.as_ref()?)));
        let needed = self.key.as_ref().map(|key| (&self.path, key)).into_iter().chain(rollup);
        needed.into_iter().try_for_each(|(path, key)| keys.check(path, key))
    }

    /// Smallest and largest value of a time column.
    pub(crate) fn time(&self, column: &str) -> Option<(i64, i64)> {
        self.times.iter().find(|(name, ..)| name == column).map(|&(_, low, high)| (low, high))
    }

    /// Bytes on disk, the roll-up's included.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.bytes + self.rollup.as_ref().map_or(0, |r| r.bytes)
    }
}

/// All rows of this tenant and class with ids up to `upto` are in Parquet files.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Flushed {
    pub(crate) tenant: TenantId,
    pub(crate) class_uid: u32,
    pub(crate) upto: u64,
}

/// One line of the manifest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Change {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) add: Vec<FileMeta>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) remove: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) flushed: Vec<Flushed>,
    /// Largest mark of a class (by uid) among the flushed rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) marks: Vec<(u32, u64)>,
    /// Ids below this may have been given out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reserved: Option<u64>,
    /// The log is kept from this id on for replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hold: Option<u64>,
}

/// The sum of all changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) files: Vec<FileMeta>,
    pub(crate) flushed: HashMap<(TenantId, u32), u64>,
    pub(crate) marks: HashMap<u32, u64>,
    pub(crate) reserved: u64,
    pub(crate) hold: Option<u64>,
}

impl Summary {
    fn apply(&mut self, change: Change) {
        if !change.remove.is_empty() {
            self.files.retain(|f| !change.remove.contains(&f.path));
        }
        self.files.extend(change.add);
        for Flushed { tenant, class_uid, upto } in change.flushed {
            let entry = self.flushed.entry((tenant, class_uid)).or_default();
            *entry = upto.max(*entry);
        }
        for (class_uid, mark) in change.marks {
            let entry = self.marks.entry(class_uid).or_default();
            *entry = mark.max(*entry);
        }
        self.reserved = self.reserved.max(change.reserved.unwrap_or(0));
        self.hold = change.hold.or(self.hold);
    }

    fn to_change(&self) -> Change {
        let flushed = self.flushed.iter();
        Change {
            add: self.files.clone(),
            remove: Vec::new(),
            flushed: flushed.map(|(&(tenant, class_uid), &upto)| Flushed { tenant, class_uid, upto }).collect(),
            marks: self.marks.iter().map(|(&class_uid, &mark)| (class_uid, mark)).collect(),
            reserved: Some(self.reserved),
            hold: self.hold,
        }
    }
}

/// The manifest, open for appending.
#[derive(Debug)]
pub(crate) struct Manifest {
    dir: PathBuf,
    file: File,
    /// Changes since the last checkpoint.
    lines: usize,
    /// Kept up to date, for the next checkpoint.
    summary: Summary,
}

/// What reading a manifest gave.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) summary: Summary,
    /// A line before the last one is damaged: changes are missing, and files must be looked at themselves.
    pub(crate) damaged_lines: u64,
    /// The last line was cut off, which a crash does; the change had not happened.
    pub(crate) torn: bool,
    /// There is a manifest at all.
    pub(crate) found: bool,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("manifest")
}

/// Reads the manifest of a lake.
pub(crate) fn load(dir: &Path) -> Result<Loaded, LakeError> {
    let bytes = match fs::read(path(dir)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Loaded::default()),
        Err(error) => return Err(LakeError::io(format!("reading {}", path(dir).display()))(error)),
    };
    let mut loaded = Loaded { found: true, ..Loaded::default() };
    let complete = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    loaded.torn = complete < bytes.len();
    for line in bytes[..complete].split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        match parse(line) {
            Some(change) => loaded.summary.apply(change),
            None => loaded.damaged_lines += 1,
        }
    }
    Ok(loaded)
}

fn parse(line: &[u8]) -> Option<Change> {
    let (crc, json) = line.split_at_checked(9)?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?.strip_suffix(' ')?, 16).ok()?;
    if crc32fast::hash(json) != crc {
        return None;
    }
    serde_json::from_slice(json).ok()
}

fn line(change: &Change) -> Result<Vec<u8>, LakeError> {
    let json = serde_json::to_vec(change).map_err(LakeError::data)?;
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

impl Manifest {
    /// Starts from a known state, which is written as a checkpoint.
    pub(crate) fn start(dir: &Path, summary: Summary) -> Result<Self, LakeError> {
        let file = checkpoint(dir, &summary)?;
        Ok(Self { dir: dir.to_owned(), file, lines: 0, summary })
    }

    /// Makes a change durable. When this fails the change has not happened.
    pub(crate) fn commit(&mut self, change: Change) -> Result<(), LakeError> {
        let what = || format!("writing {}", path(&self.dir).display());
        let before = self.file.metadata().map_err(LakeError::io(what()))?.len();
        let written = self.file.write_all(&line(&change)?).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Takes a half-written line back, so that the next one does not hang on it.
            if let Err(error) = self.file.set_len(before) {
                tracing::error!(%error, "the manifest has a cut-off line");
            }
            return Err(LakeError::io(what())(error));
        }
        self.summary.apply(change);
        self.lines += 1;
        if self.lines >= CHECKPOINT_EVERY {
            self.file = checkpoint(&self.dir, &self.summary)?;
            self.lines = 0;
        }
        Ok(())
    }

    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }
}

fn checkpoint(dir: &Path, summary: &Summary) -> Result<File, LakeError> {
    let target = path(dir);
    let fresh = dir.join("manifest.tmp");
    let what = || format!("writing {}", target.display());
    let mut file = File::create(&fresh).map_err(LakeError::io(what()))?;
    file.write_all(&line(&summary.to_change())?)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&fresh, &target))
        .and_then(|()| File::open(dir)?.sync_all())
        .and_then(|()| File::options().append(true).open(&target))
        .map_err(LakeError::io(what()))
}
