//! What waits on the disk for the server. It survives restarts of the agent and of the machine, is bounded, and counts what
//! it had to drop.
//!
//! One lane is a folder of segments, each named by the sequence of its first record. A record is written before its batch
//! is sent; a tail that a crash left torn is cut off at the next start. Sequences are reserved ahead in a file of its own,
//! synced, so that a number that was ever given out is never given again, even when its record was lost.

mod lane;
mod marks;
mod segment;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use guardian_protocol::message::{Batch, Loss};
use serde::{Deserialize, Serialize};

pub use self::lane::{Cursor, Lane, Waiting};

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The disk failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A batch does not fit into a frame.
    #[error(transparent)]
    Wire(#[from] guardian_protocol::WireError),
}

impl SpoolError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }
}

/// What goes when the spool is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drop {
    /// The oldest: what happens now is worth more.
    #[default]
    Oldest,
    /// What comes: the beginning of a story is worth more.
    Newest,
}

/// How far a source has read when rows of it were handed over. It is written with them, in one piece: either both are there after
/// a crash or neither is, so that what is read again then was not told, and what was told is not read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The source.
    pub source: String,
    /// The place, as the source writes it.
    pub place: Vec<u8>,
}

/// The spool of an agent.
#[derive(Debug)]
pub struct Spool {
    epoch: u64,
    lane: Lane,
}

impl Spool {
    /// Opens the spool in `dir`, and makes it with the random number `fresh_epoch` if there is none.
    pub fn open(dir: &Path, fresh_epoch: u64, bytes_max: u64, drop: Drop) -> Result<Self, SpoolError> {
        fs::create_dir_all(dir).map_err(SpoolError::io(format!("making {}", dir.display())))?;
        let path = dir.join("epoch");
        let epoch = match fs::read_to_string(&path) {
            Ok(text) => u64::from_str_radix(text.trim(), 16).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(SpoolError::io(format!("reading {}", path.display()))(error)),
        };
        let epoch = match epoch {
            Some(epoch) => epoch,
            None => {
                // Whatever lies there was numbered under a number that is gone.
                fs::remove_dir_all(dir.join("0")).ok();
                write_whole(&path, format!("{fresh_epoch:016x}\n").as_bytes())?;
                fresh_epoch
            }
        };
        Ok(Self { epoch, lane: Lane::open(dir.join("0"), 0, bytes_max, drop)? })
    }

    /// The random number of this spool.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Writes a batch behind the others, and gives it its sequence. What was lost since the last one goes with it.
    pub fn append(&mut self, batch: Batch, rows: u32) -> Result<u64, SpoolError> {
        self.lane.append(batch, rows, None)
    }

    /// As [`Self::append`], with how far the source of the rows has read by them.
    pub fn append_marked(&mut self, batch: Batch, rows: u32, mark: Option<Mark>) -> Result<u64, SpoolError> {
        self.lane.append(batch, rows, mark)
    }

    /// Keeps how far a source has read where there are no rows to tell.
    pub fn keep_mark(&mut self, mark: Mark) -> Result<(), SpoolError> {
        self.lane.keep_mark(mark)
    }

    /// How far a source has read by what was written here; none where it never said.
    pub fn mark(&self, source: &str) -> Option<Vec<u8>> {
        self.lane.mark(source)
    }

    /// Counts rows that never reached the spool; the next batch says so.
    pub fn lose(&mut self, class: &str, rows: u64, place: &str) {
        self.lane.lose(class, rows, place);
    }

    /// Everything that was lost since this spool was opened.
    pub fn lost(&self) -> &[Loss] {
        self.lane.lost()
    }

    /// Changes how much may wait, and what goes when there is more. It holds from the next batch on.
    pub fn bound(&mut self, bytes_max: u64, drop: Drop) {
        self.lane.bound(bytes_max, drop);
    }

    /// Makes what was written survive a power failure.
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        self.lane.sync()
    }

    /// The frame of the next record behind a cursor; none while there is none.
    pub fn next(&mut self, cursor: &mut Cursor) -> Result<Option<Waiting>, SpoolError> {
        self.lane.next(cursor)
    }

    /// Forgets what is safe on the server.
    pub fn acknowledge(&mut self, sequence: u64) {
        self.lane.acknowledge(sequence);
    }

    /// The lane.
    pub const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Ends in order: what was reserved and not given out is given back.
    pub fn close(&mut self) -> Result<(), SpoolError> {
        self.lane.close()
    }
}

/// Writes a file at once and whole, and syncs it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), SpoolError> {
    let fresh: PathBuf = path.with_extension("new");
    let written = fs::File::create(&fresh)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&fresh, path));
    written.map_err(SpoolError::io(format!("writing {}", path.display())))
}
