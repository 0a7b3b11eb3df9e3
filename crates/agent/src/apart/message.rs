//! What this side and a child say to each other. Both are of one version, because they are one program; that a child is
//! taken over is what every message is read with in mind.

use guardian_inventory::owned::Owned;
use guardian_inventory::transaction::Transaction;
use serde::{Deserialize, Serialize};

use crate::files::{Installed, Sort, Tool};

/// Longest path (linux/limits.h).
pub(super) const PATH_BYTES_MAX: usize = 4_096;
/// Longest text about something: a name, a version, an issue.
pub(super) const TEXT_BYTES_MAX: usize = 2_048;
/// Bytes of a long answer that go into one message, before what it is wrapped in.
pub(super) const PART_BYTES: usize = 32 << 10;

/// What a child is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Task {
    /// Read a list of the inventory.
    List(String),
    /// Say which files packages own.
    Owned,
    /// Say what package managers wrote down of what they did.
    Transactions,
    /// Say what lines of logs mean, which are handed over.
    Logs,
}

impl Task {
    /// By which it is known which files it is about.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::List(name) => name,
            Self::Owned => "owned",
            Self::Transactions => "transactions",
            Self::Logs => "logs",
        }
    }
}

/// To a child: a task, and answers to what it asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Do this.
    Begin(Task),
    /// The file comes with the message.
    File {
        /// How long it is.
        length: u64,
    },
    /// There is no such file, or it is none for this task: the number of the system's error.
    No(i32),
    /// What is in the folder; more follow unless it is the last part.
    Entries {
        /// Names, and what they stand for.
        entries: Vec<(String, Sort)>,
        /// Nothing follows.
        last: bool,
    },
    /// Where the path leads to.
    Place(Vec<u8>),
    /// What the program says.
    Output {
        /// A part of it.
        part: Vec<u8>,
        /// Nothing follows.
        last: bool,
    },
    /// The program is not there, or failed.
    NoOutput,
    /// What the task is about.
    Input {
        /// A part of it.
        part: Vec<u8>,
        /// Nothing follows.
        last: bool,
    },
}

/// From a child: what it asks for, and what it found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// It is confined and waits.
    Ready {
        /// What of that the kernel lacks.
        missing: Vec<String>,
    },
    /// It wants a file.
    Open(String),
    /// It wants to know what is in a folder.
    Entries(String),
    /// It wants to know where a path leads to.
    Resolve(Vec<u8>),
    /// It wants to know what a program says.
    Output(Tool),
    /// It wants what the task is about.
    Input,
    /// A part of the lines of a list, or of what lines mean.
    Part(Vec<u8>),
    /// Some of what packages own.
    Owned(Vec<Item>),
    /// Some of what package managers wrote down.
    Transactions(Vec<Transaction>),
    /// That was all.
    Done {
        /// What could not be read.
        issues: Vec<String>,
    },
    /// It panicked, and ends.
    GaveUp(String),
}

/// What the databases of packages say, one after the other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Item {
    /// What follows is about this package.
    Package(Installed),
    /// The package has no files.
    Nothing,
    /// One of its files.
    File(Owned),
}

impl Order {
    /// For the channel.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// From the channel; none where it is no order.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

impl Word {
    /// For the channel.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// From the channel; none where it is no word.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}
