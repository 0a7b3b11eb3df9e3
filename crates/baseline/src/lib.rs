//! Baselines of files. A machine's is a block for each folder and a root over the hashes of all blocks, which names it; see
//! [`Baseline`]. A server keeps one after the other as what changed since the one before ([`Changes`]), so that it can say
//! what a machine looked like then, whatever became of the machine; see [`History`].
//!
//! What comes from a machine may have been made by whoever broke into it: lengths, orders and hashes are checked before
//! anything is believed, and one folder is in memory at a time.

mod attributes;
mod block;
mod changes;
mod differences;
mod history;
mod index;
mod record;
mod store;

pub use attributes::{acl_of_mode, acl_text, capabilities_text};
pub use changes::{Changes, Item, write_changes};
pub use differences::{Difference, Folders};
pub use history::{History, Taken};
pub use index::Index;
pub use record::{Folder, Kind, Record, join};
pub use store::{Baseline, Writer};

/// BLAKE3 over the folders of a baseline: its name.
pub type Root = [u8; 32];

/// Why a baseline cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The disk says no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is not a baseline, or it is cut off.
    #[error("not a baseline: {0}")]
    Malformed(&'static str),
    /// It does not come to the root that it should.
    #[error("the baseline was changed: {0}")]
    Changed(String),
    /// What is asked for is not kept.
    #[error("the baseline is not kept")]
    Missing,
}
