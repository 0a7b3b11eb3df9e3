//! Looking for damage before a query comes upon it: after a start every file is read once, slowly, and held against
//! its checksum. Compressed pages can be damaged in ways that decode to wrong values, which only the checksum tells.

use std::sync::Arc;
use std::time::Duration;

use super::state::LiveFile;
use super::{Store, Writing};
use crate::LakeError;

/// Time between two files.
const EVERY: Duration = Duration::from_millis(500);

/// Files that are still to be looked at.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    left: Option<Vec<std::sync::Weak<LiveFile>>>,
    after: Duration,
}

impl Store {
    /// Checks one file of those that were there at the start.
    pub(super) fn scrub_step(&self, writing: &Writing) -> Result<(), LakeError> {
        let mut pace = writing.files.lock();
        let now = self.clock.monotonic();
        if now < pace.scrub.after {
            return Ok(());
        }
        pace.scrub.after = now + EVERY;
        let left = pace.scrub.left.get_or_insert_with(|| self.state.read().all_files().map(Arc::downgrade).collect());
        // Files that were merged away meanwhile were read for that.
        let next = std::iter::from_fn(|| left.pop()).find_map(|file| file.upgrade());
        let Some(file) = next else { return Ok(()) };
        self.quarantine_damaged(std::slice::from_ref(&file), false).map(|_| ())
    }
}
