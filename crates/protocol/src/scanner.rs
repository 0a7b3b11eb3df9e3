//! What an agent and the scanner beside it say to each other, over a pair of sockets that keeps the bounds of messages. The
//! scanner reads what strangers wrote: the agent takes from it no more than these types hold, and shortens what is long.

use serde::{Deserialize, Serialize};

/// Bytes of rules in one message.
pub const RULES_PART_BYTES: usize = 32 << 10;
/// Rules that are told of one file; more are counted.
pub const MATCHES_MAX: usize = 64;
/// Places that are told of one rule in one file.
pub const PLACES_MAX: usize = 8;
/// Bytes of a name, or of a value that a rule says about itself.
pub const WORD_BYTES_MAX: usize = 128;
/// What a rule says about itself that is told.
pub const ABOUT_MAX: usize = 4;

/// To the scanner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// A part of the rules.
    Rules {
        /// The text.
        part: Vec<u8>,
        /// Nothing follows.
        last: bool,
    },
    /// Look through the file that comes with the message.
    Scan {
        /// How much of it, at most.
        length: u64,
    },
}

/// From the scanner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// It is confined and waits for rules.
    Ready {
        /// What of that the kernel lacks.
        missing: Vec<String>,
    },
    /// The rules are understood.
    Compiled {
        /// How many.
        rules: u32,
    },
    /// The rules are not understood: where and why, in lines.
    Refused(String),
    /// What of the file matched.
    Found {
        /// Rules, the first [`MATCHES_MAX`].
        matches: Vec<Match>,
        /// Rules that matched and are not told.
        more: u32,
    },
    /// The file could not be read, or looking through it was given up.
    Unread(String),
}

/// A rule that matched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Its name.
    pub rule: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// What it says about itself: `description = …`.
    pub about: Vec<String>,
    /// Where: the pattern's name and the offset in the file.
    pub places: Vec<(String, u64)>,
}
