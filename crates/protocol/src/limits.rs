//! Every limit of the protocol in one place. Both sides hold them when they send and when they receive.

/// Body of a frame, in bytes. A batch that does not compress is still below it.
pub const FRAME_BYTES_MAX: usize = 1_280 << 10;
/// Body of the first frame of a connection, before the versions are agreed.
pub const GREETING_BYTES_MAX: usize = 64 << 10;
/// Values (elements of lists, nested messages) in one message.
pub const ITEMS_PER_MESSAGE_MAX: usize = 10_000;
/// How deep messages nest.
pub const DEPTH_MAX: usize = 8;
/// Bytes of one text field of a message.
pub const TEXT_BYTES_MAX: usize = 256 << 10;
/// A batch before compression, in bytes.
pub const BATCH_RAW_BYTES_MAX: usize = 1 << 20;
/// Classes of events in one batch.
pub const CLASSES_PER_BATCH_MAX: usize = 16;
/// Rows of one class in one batch.
pub const ROWS_MAX: usize = 65_536;
/// Columns of one class in one batch.
pub const COLUMNS_MAX: usize = 256;
/// Bytes of the name of a class.
pub const CLASS_NAME_BYTES_MAX: usize = 64;
/// Lanes of one agent: kinds of urgency, and backlogs that drain behind what happens now.
pub const LANES_MAX: u32 = 8;
/// Entries of one list of the inventory.
pub const LIST_ENTRIES_MAX: usize = 200_000;
/// Bytes of one list before compression.
pub const LIST_RAW_BYTES_MAX: usize = 64 << 20;
/// Bytes of one part of a list before compression.
pub const LIST_PART_BYTES_MAX: usize = 512 << 10;
/// Bytes of the name of a list.
pub const LIST_NAME_BYTES_MAX: usize = 32;
/// Lists of one host.
pub const LISTS_MAX: usize = 64;
