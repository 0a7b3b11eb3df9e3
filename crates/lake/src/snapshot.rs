//! A copy of a lake as it is at one moment, made beside the server that writes it: Parquet files are linked, because
//! they never change, and the log is copied as far as it reads.
//!
//! The log comes first and the manifest afterwards: rows that were moved to files in between are in both, and opening a
//! lake takes them once. The other way round they could be in neither.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::LakeError;
use crate::store::manifest::{self, Manifest};
use crate::store::origins;
use crate::wal::{self, Reader};

/// Tries until all files of one manifest are caught before merging or retention removes them.
const TRIES: usize = 50;

/// Copies the lake in `dir` to `target`, which must be on the same file system for the links to be free; elsewhere files
/// are copied. Returns the files, relative to `target`. An empty or missing lake has none.
pub fn snapshot(dir: &Path, target: &Path) -> Result<Vec<PathBuf>, LakeError> {
    let mut files = Vec::new();
    if !dir.join("manifest").exists() {
        return Ok(files);
    }
    // Before the log: a mark may say less than the log holds, never more.
    let marks = origins::path(target);
    if link(&origins::path(dir), &marks)? {
        files.extend(marks.file_name().map(PathBuf::from));
    }
    let log = target.join("wal");
    fs::create_dir_all(&log).map_err(LakeError::io(format!("creating {}", log.display())))?;
    // A directory that is read while files are made in it may show a later one and not an earlier one: the second reading
    // has all that came before the last of the first.
    let last = wal::list(&dir.join("wal"))?.last().map(|segment| segment.first_id);
    let mut segments = wal::list(&dir.join("wal"))?;
    segments.retain(|segment| last.is_some_and(|last| segment.first_id <= last));
    // Newest first: a segment that is written on while a later one is begun holds all that came before by the time that
    // it is copied. The other way round there could be a gap, which looks as if something was taken out.
    for segment in segments.iter().rev() {
        match copy_segment(&segment.path, &log)? {
            Copied::Whole(name) => files.push(Path::new("wal").join(name)),
            Copied::Empty => {}
            // The oldest go first: those before it went too, and all in them is in files.
            Copied::Gone => break,
        }
    }
    for _ in 0..TRIES {
        let loaded = manifest::load(dir)?;
        if !loaded.found || loaded.damaged_lines > 0 {
            return Err(LakeError::Data(
                "the lake's manifest is damaged: start the server, which repairs it".to_owned(),
            ));
        }
        let summary = loaded.summary;
        let rollups = summary.files.iter().filter_map(|f| f.rollup.as_ref()).map(|r| &r.path);
        let paths: Vec<PathBuf> = summary.files.iter().map(|f| &f.path).chain(rollups).map(PathBuf::from).collect();
        let mut complete = true;
        for path in &paths {
            if !link(&dir.join(path), &target.join(path))? {
                complete = false;
                break;
            }
        }
        if complete {
            drop(Manifest::start(target, summary)?);
            files.extend(paths);
            files.push(PathBuf::from("manifest"));
            return Ok(files);
        }
    }
    Err(LakeError::Data("the lake's files change faster than they can be linked; try again".to_owned()))
}

/// What became of copying a segment.
enum Copied {
    /// It is there under this name.
    Whole(std::ffi::OsString),
    /// Nothing is in it.
    Empty,
    /// It was removed meanwhile: all in it is in files.
    Gone,
}

/// Copies a segment as far as it reads.
fn copy_segment(path: &Path, log: &Path) -> Result<Copied, LakeError> {
    let what = || format!("copying {}", path.display());
    let end = loop {
        match good_end(path) {
            Err(LakeError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(Copied::Gone),
            // The writer cuts a segment to its length when it is full, once: what was cut off held nothing.
            Err(LakeError::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {}
            end => break end?,
        }
    };
    let (Some(end), Some(name)) = (end, path.file_name()) else { return Ok(Copied::Empty) };
    let from = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Copied::Gone),
        file => file.map_err(LakeError::io(what()))?,
    };
    let mut to = File::create(log.join(name)).map_err(LakeError::io(what()))?;
    io::copy(&mut from.take(end), &mut to).map_err(LakeError::io(what()))?;
    Ok(Copied::Whole(name.to_owned()))
}

/// Where the last record of a segment ends; none without records.
fn good_end(path: &Path) -> Result<Option<u64>, LakeError> {
    let mut reader = Reader::open(path)?;
    let mut found = false;
    while reader.next()?.is_some() {
        found = true;
    }
    Ok(found.then_some(reader.good_end))
}

/// Links a file, or copies it across file systems; false if it is gone.
fn link(from: &Path, to: &Path) -> Result<bool, LakeError> {
    let what = || format!("linking {}", from.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(LakeError::io(what()))?;
    }
    match fs::hard_link(from, to).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Ok(()),
        io::ErrorKind::NotFound => Err(error),
        _ => fs::copy(from, to).map(drop),
    }) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LakeError::io(what())(error)),
    }
}
