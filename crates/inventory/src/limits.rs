//! Every limit of the readers in one place.

/// Entries that one reader returns.
pub const ENTRIES_MAX: usize = 200_000;
/// Complaints that one reader returns; more are counted.
pub const ISSUES_MAX: usize = 100;
/// Bytes of one text that is kept; the rest is cut off at a character.
pub const TEXT_BYTES_MAX: usize = 4 << 10;
/// Texts of one list of one entry, such as the licences of a package.
pub const LIST_MAX: usize = 256;
/// Bytes of one row of a database, such as the header of an rpm package with all its file names.
pub const ROW_BYTES_MAX: usize = 64 << 20;
/// Bytes of all rows of a database.
pub const ROWS_BYTES_MAX: usize = 1 << 30;
/// Files inside an archive that are looked at.
pub const ARCHIVE_ENTRIES_MAX: usize = 100_000;
/// Bytes of one file inside an archive that is read as text.
pub const ARCHIVE_TEXT_BYTES_MAX: u64 = 1 << 20;
/// Bytes of an archive inside an archive.
pub const ARCHIVE_NESTED_BYTES_MAX: u64 = 128 << 20;
/// Bytes of all archives inside one archive, together.
pub const ARCHIVE_NESTED_TOTAL_BYTES_MAX: u64 = 512 << 20;
/// How deep archives in archives are followed.
pub const ARCHIVE_DEPTH_MAX: usize = 3;
/// Elements of one element of XML that is held.
pub const XML_ELEMENTS_MAX: usize = 1 << 20;
/// How deep elements of XML are nested.
pub const XML_DEPTH_MAX: usize = 128;
/// Attributes of one element.
pub const XML_ATTRIBUTES_MAX: usize = 256;
/// Bytes of one text of XML.
pub const XML_TEXT_BYTES_MAX: usize = 1 << 20;
/// Bytes of what `cargo auditable` puts into a program, decompressed.
pub const AUDIT_BYTES_MAX: u64 = 16 << 20;
