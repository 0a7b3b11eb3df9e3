//! How far sources have read, by the records of a lane. The records of the segment that is being written carry marks; before a
//! segment is left behind, what its marks say is written to a file of its own.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::segment::{MARK_BYTES_MAX, Segment};
use super::{Mark, SpoolError, write_whole};

/// Sources that may say how far they have read.
const SOURCES_MAX: usize = 16;
/// Bytes of the file.
const FILE_BYTES_MAX: u64 = (SOURCES_MAX * MARK_BYTES_MAX) as u64;

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The last record that it knows of.
    after: u64,
    marks: Vec<Mark>,
}

/// The last mark of each source.
#[derive(Debug)]
pub(super) struct Marks {
    path: PathBuf,
    all: Vec<Mark>,
    /// The file says something else.
    changed: bool,
}

impl Marks {
    /// What the file says, and what records say that came after it.
    pub(super) fn open(dir: &Path, segments: &[Segment]) -> Self {
        let path = dir.join("marks");
        // Without the file, what is in segments holds; at worst something is told twice.
        let kept = read(&path).unwrap_or_default();
        let mut marks = Self { path, all: Vec::new(), changed: false };
        kept.marks.into_iter().for_each(|mark| marks.put(mark));
        let written = segments.iter().flat_map(|segment| &segment.marks);
        written.filter(|(sequence, _)| *sequence > kept.after).for_each(|(_, mark)| marks.put(mark.clone()));
        marks
    }

    /// Whether it can be kept.
    pub(super) fn fits(mark: &Mark) -> bool {
        mark.source.len() + mark.place.len() + 4 <= MARK_BYTES_MAX
    }

    pub(super) fn put(&mut self, mark: Mark) {
        if let Some(known) = self.all.iter_mut().find(|known| known.source == mark.source) {
            self.changed |= *known != mark;
            *known = mark;
        } else if self.all.len() < SOURCES_MAX {
            self.changed = true;
            self.all.push(mark);
        }
    }

    pub(super) fn get(&self, source: &str) -> Option<Vec<u8>> {
        self.all.iter().find(|mark| mark.source == source).map(|mark| mark.place.clone())
    }

    /// Writes down what holds after this record, unless the file says so.
    pub(super) fn save(&mut self, after: u64) -> Result<(), SpoolError> {
        if self.changed {
            let kept = Kept { after, marks: self.all.clone() };
            let bytes = postcard::to_allocvec(&kept).map_err(io::Error::other);
            write_whole(&self.path, &bytes.map_err(SpoolError::io("writing marks"))?)?;
            self.changed = false;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Option<Kept> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    postcard::from_bytes(&bytes).ok()
}
