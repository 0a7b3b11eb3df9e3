//! Every limit of the crate in one place.

/// Bytes of one file of a publisher, as it is downloaded. The largest in use has less than one GiB.
pub const DOWNLOAD_BYTES_MAX: u64 = 4 << 30;
/// Bytes of a document's beginning, by which it is recognised.
pub const HEAD_BYTES: usize = 64 << 10;
/// Bytes of a file's beginning, by which it is seen what it is. A block of bzip2 is read whole or not at all, and has less.
pub const FILE_HEAD_BYTES: usize = 1 << 20;
/// Bytes of one compressed file, decompressed. Canonical's statements have about ten GB.
pub const UNPACKED_BYTES_MAX: u64 = 256 << 30;
/// KiB that reading one xz file takes: a dictionary of 128 MiB, twice what `xz -9` asks for.
pub const XZ_MEMORY_KIB_MAX: u32 = (128 << 10) + 1_024;
/// Archives and compressions around one document: a compressed file in a compressed archive in an archive.
pub const WRAPPINGS_MAX: usize = 4;
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
/// Components of one bill of materials.
pub const COMPONENTS_MAX: usize = 1_000_000;
/// Bytes of all layers of an image, decompressed.
pub const IMAGE_BYTES_MAX: u64 = 64 << 30;
/// Bytes of the databases of package managers in an image, of all its layers.
pub const IMAGE_HELD_BYTES_MAX: u64 = 2 << 30;
/// Files in an image.
pub const IMAGE_ENTRIES_MAX: usize = 20_000_000;
/// Layers of an image.
pub const IMAGE_LAYERS_MAX: usize = 1_024;
/// Manifests, configurations and layers in an archive.
pub const IMAGE_DOCUMENTS_MAX: usize = 4_096;
/// Bytes of one lock file, and of one document of an image.
pub const LOCK_BYTES_MAX: u64 = 128 << 20;
