//! Every limit of the crate in one place.

/// Bytes of one document, decompressed. The largest in use is Debian's tracker, about 70 MB.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 30;
/// Documents of one run.
pub const DOCUMENTS_MAX: usize = 4_000_000;
/// How deep folders and archives in folders are followed.
pub const DEPTH_MAX: usize = 24;
/// Bytes of one text that is kept; the rest is cut off at a character.
pub const TEXT_BYTES_MAX: usize = 1 << 10;
/// Aliases and references of one advisory.
pub const LIST_MAX: usize = 64;
/// Packages that one advisory speaks of.
pub const AFFECTED_MAX: usize = 20_000;
/// Versions that one statement lists, and ranges.
pub const VERSIONS_MAX: usize = 20_000;
/// Complaints that are kept with their words; more are counted.
pub const ISSUES_MAX: usize = 100;
/// Rows of one table of the store.
pub const ROWS_MAX: usize = 200_000_000;
/// Bytes of all texts of the store.
pub const TEXTS_BYTES_MAX: usize = 2 << 30;
/// Packages of the `requires` chain of one product tree that are followed.
pub const PRODUCT_DEPTH_MAX: usize = 4;
