//! The batch in work, as every part of the engine sees it. Borrowed data only; must never outlive one call.

use guardian_model::{Batch, EventRef};

use crate::grouping::RuleInfo;

/// One batch being processed.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    /// Its id: the first half of its rows' references.
    pub(crate) id: u64,
    pub(crate) batch: &'a Batch,
    /// Event time of each row, microseconds.
    pub(crate) times: &'a [i64],
    /// Time of receipt of each row, microseconds.
    pub(crate) received: &'a [i64],
    /// The register of rules and detectors.
    pub(crate) rules: &'a [RuleInfo],
}

impl Work<'_> {
    /// The reference of one of its rows.
    pub(crate) fn event(&self, row: u32) -> EventRef {
        EventRef { batch: self.id, row }
    }
}
