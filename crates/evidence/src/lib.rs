//! Packs of evidence. An agent makes one of what it collects, and only who holds the key can open it: the machine it was
//! made on may belong to somebody else by now, and what is in it is as secret as what was on that machine.
//!
//! A pack is a tar archive under zstd under [`seal`], with a manifest as its last entry that has the hashes of all others.
//! Everything goes through a stream: neither side holds more than pieces. This crate must never open a file, read a clock,
//! or make random numbers: they are passed in.

mod key;
mod pack;
mod seal;

pub use key::{KEY_BYTES, Lock, PublicKey, SecretKey, Unlock};
pub use pack::{
    ENTRIES_MAX, Entry, LeftOut, MANIFEST_NAME, Made, Manifest, NAME_BYTES_MAX, Opened, Origin, PackWriter, open,
};
pub use seal::{Opener, Sealer};

/// Why a pack cannot be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Reading or writing failed, or what was read was changed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is no pack, or of a later version.
    #[error("it is no pack of evidence")]
    NoPack,
    /// It is for another key.
    #[error("it is sealed for another key")]
    OtherKey,
    /// A key that is none.
    #[error("the key is none")]
    Key,
    /// A bound is exceeded.
    #[error("{0} exceeds its limit")]
    Limit(&'static str),
    /// It has no manifest, so that something is missing at its end.
    #[error("it has no manifest")]
    NoManifest,
}
