//! What a reader returns: what it could read, and what it could not.

use std::fmt;

use serde::Serialize;

use crate::limits::{ENTRIES_MAX, ISSUES_MAX};

/// What could be read, and what could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found<T> {
    /// The entries, in the order of the source.
    pub entries: Vec<T>,
    /// What could not be read, as far as there is room.
    pub issues: Vec<Issue>,
    /// Complaints for which there was no room.
    pub issues_more: u64,
    /// Entries for which there was no room.
    pub entries_more: u64,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// Line, row, or entry of the source, from 1; 0 for all of it.
    pub at: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// Nothing of the source could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {format}: {what}")]
pub struct Malformed {
    /// What it should be.
    pub format: &'static str,
    /// Why it is not.
    pub what: &'static str,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), issues: Vec::new(), issues_more: 0, entries_more: 0 }
    }
}

impl<T> Found<T> {
    pub(crate) fn push(&mut self, entry: T) {
        if self.entries.len() < ENTRIES_MAX {
            self.entries.push(entry);
        } else {
            self.entries_more += 1;
        }
    }

    pub(crate) fn issue(&mut self, at: usize, what: impl Into<String>) {
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(Issue { at: at as u64, what: what.into() });
        } else {
            self.issues_more += 1;
        }
    }

    pub(crate) fn full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX
    }
}
