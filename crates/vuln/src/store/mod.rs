//! The advisory store: one file that is mapped and read where it lies.
//!
//! A file has a header, and behind it tables of rows of 32-bit words (little-endian) and one of texts. Rows name texts by
//! number. Statements lie sorted by the hash of whose package they speak of, so that a package is found by halving, with
//! nothing read at the start but the header. A file is never changed: a new one is written beside it and takes its place
//! by name ([`folder`]), so that a reader keeps what it has opened and every day's knowledge can be asked again.
//!
//! Numbers of a file are believed only as far as they point into it: a damaged file has fewer rows, or empty texts.

pub mod folder;
mod read;
mod write;

pub use read::{AdvisoryRef, CveRef, EndRef, Opened, StatementRef, Store};
pub use write::{Builder, Built};

/// Marks a file of this kind.
const MAGIC: &[u8; 8] = b"GUARDVDB";
/// Form of the file; one with another number is built anew.
const VERSION: u32 = 2;

/// Bytes of the header: mark, version, checksum of the header, time, length, checksum of the rest, then offset and length
/// of every table.
const HEADER_BYTES: usize = 8 + 4 + 4 + 8 + 8 + 4 + 4 + TABLES * 16;

/// The tables, in their order.
#[derive(Clone, Copy, Debug)]
enum Table {
    /// Offsets of the texts, one more than there are.
    Offsets,
    /// The texts, one behind the other.
    Texts,
    /// Packages by hash: hash (2), ecosystem, name, first statement, statements.
    Keys,
    /// Statements: advisory, kind and status, module, reason, first range, ranges, first version, versions.
    Statements,
    /// Ranges: from, end, kind of end.
    Ranges,
    /// Numbers of texts: versions, aliases, vectors, references.
    Lists,
    /// Advisories: id, source and rating and flags, summary, published, modified, first of the lists, their lengths.
    Advisories,
    /// Advisories by every name they have: text, advisory.
    Names,
    /// What is known of a vulnerability, by CVE name: name, probability, percentile, added, due, flags, vector, first of the
    /// exploits in the lists, how many.
    Cves,
    /// Sources: name, documents, advisories, signals, malformed, empty.
    Sources,
}

const TABLES: usize = 10;

impl Table {
    /// Words of one row; texts are bytes.
    const fn words(self) -> usize {
        match self {
            Self::Offsets | Self::Lists | Self::Texts => 1,
            Self::Names => 2,
            Self::Ranges => 3,
            Self::Keys | Self::Sources => 6,
            Self::Advisories => 7,
            Self::Statements => 8,
            Self::Cves => 9,
        }
    }
}

/// The hash by which a package is found; the same on every machine.
fn key(ecosystem: &str, package: &str) -> u64 {
    // FNV-1a, finished by a multiplication that spreads it over all bits.
    let bytes = ecosystem.bytes().chain([0]).chain(package.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a source gave to a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Given {
    /// The source.
    pub source: String,
    /// Documents that were read.
    pub documents: u32,
    /// Advisories in them.
    pub advisories: u32,
    /// Signals in them, such as a probability of use.
    pub signals: u32,
    /// Records that could not be read.
    pub malformed: u32,
    /// Records with nothing for this store.
    pub empty: u32,
}

/// Why a file is no store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written; why, is the source.
    #[error("{0}")]
    File(std::path::PathBuf, #[source] std::io::Error),
    /// It is none, or of another version.
    #[error("{0}: {1}")]
    Malformed(std::path::PathBuf, &'static str),
    /// More than a store takes.
    #[error("too much for one store: {0}")]
    Full(&'static str),
}
