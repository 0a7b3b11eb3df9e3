//! What agents and server say to each other: messages, frames, batches of events, and the marks that make a resent
//! batch harmless.
//!
//! Everything here is values in, values out: bytes become messages and messages bytes. This crate must never open a
//! socket or a file, read a clock, or know a storage engine. Whoever is on the other side may have been taken over, so
//! every decoder is bounded by [`limits`] and never panics.

pub mod action;
pub mod answer;
mod batch;
pub mod classes;
mod columns;
mod frame;
mod json;
pub mod limits;
pub mod lists;
mod marks;
pub mod message;
pub mod policy;
pub mod release;
mod rows;
pub mod scanner;
mod upgrade;
mod wire;

pub use batch::{open, seal};
pub use columns::{Column, Events, Values};
pub use frame::{Frame, Frames, OPTIONAL_KIND_MIN, put_frame};
pub use marks::{Mark, Offer};
pub use message::{FromAgent, FromServer};
pub use rows::{Cell, Coding, Rows};
pub use wire::{Blob, WireError};

/// The name of the protocol in the TLS handshake (ALPN, RFC 7301).
pub const ALPN: &[u8] = b"guardian-agent/1";

/// The oldest version of the messages that this code speaks.
pub const VERSION_MIN: u32 = 1;
/// The newest version of the messages that this code speaks.
pub const VERSION_MAX: u32 = 1;

/// The version that two sides speak, given what each can; none where they have none in common.
pub fn negotiate(ours: (u32, u32), theirs: (u32, u32)) -> Option<u32> {
    let newest = ours.1.min(theirs.1);
    (newest >= ours.0.max(theirs.0)).then_some(newest)
}

#[cfg(test)]
mod tests {
    use super::negotiate;

    #[test]
    fn the_newest_common_version_is_spoken() {
        for (ours, theirs, spoken) in [
            ((1, 1), (1, 1), Some(1)),
            ((1, 3), (2, 9), Some(3)),
            ((2, 9), (1, 3), Some(3)),
            ((1, 2), (3, 4), None),
            ((3, 4), (1, 2), None),
            ((5, 4), (1, 9), None),
        ] {
            assert_eq!(negotiate(ours, theirs), spoken, "{ours:?} {theirs:?}");
        }
    }
}
