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

/// Bytes of a path in an action.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Addresses and networks that stay reachable from an isolated machine.
pub const KEEP_MAX: usize = 64;
/// Longest isolation or block that ends by itself, in seconds: a year.
pub const STANDING_SECONDS_MAX: u64 = 366 * 86_400;
/// Bytes of the text of a script.
pub const SCRIPT_BYTES_MAX: usize = TEXT_BYTES_MAX;
/// Arguments of a script, and hosts that one is for.
pub const SCRIPT_LIST_MAX: usize = 1_000;
/// Bytes of one argument of a script.
pub const ARGUMENT_BYTES_MAX: usize = 8_192;
/// Patterns of files that are collected, folders of a timeline, paths that are scanned.
pub const PATTERNS_MAX: usize = 256;
/// Bytes of the YARA rules of one command.
pub const RULES_BYTES_MAX: usize = TEXT_BYTES_MAX;
/// Bytes of the largest file that YARA rules may be asked to look through.
pub const SCANNED_BYTES_MAX: u64 = 512 << 20;
/// Largest pack of evidence, in bytes before compression.
pub const PACK_BYTES_MAX: u64 = 4 << 30;
/// Bytes of one part of a pack of evidence.
pub const PACK_PART_BYTES_MAX: usize = 512 << 10;
/// Bytes of what changed in a baseline of files.
pub const BASELINE_BYTES_MAX: u64 = 1 << 30;
/// Baselines of files that an agent makes while it does not hear the server, and tells.
pub const BASELINE_CHAIN_MAX: usize = 1_000;
/// Bytes of the steps that one outcome tells.
pub const STEPS_BYTES_MAX: usize = 256 << 10;
/// Bytes of output of one command that are kept; more is counted.
pub const OUTPUT_BYTES_MAX: usize = 512 << 10;
/// Longest time that a command may take, in milliseconds: six hours.
pub const TIMEOUT_MS_MAX: u32 = 6 * 3_600_000;
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
/// Bytes of a program of the agent that is released.
pub const PROGRAM_BYTES_MAX: u64 = 128 << 20;
/// Bytes of one part of a program.
pub const PROGRAM_PART_BYTES_MAX: usize = 128 << 10;
/// Bytes of what is signed about a release.
pub const MANIFEST_BYTES_MAX: usize = 16 << 10;
/// Bytes of a version.
pub const VERSION_BYTES_MAX: usize = 40;
/// Bytes of the statement of a live query.
pub const QUERY_BYTES_MAX: usize = 64 << 10;
/// Longest time that a live query may take, in milliseconds: ten minutes.
pub const QUERY_MS_MAX: u32 = 600_000;
/// Rows that one host answers a live query with.
pub const ANSWER_ROWS_MAX: u32 = 1_000_000;
/// Bytes that one host answers a live query with, before compression.
pub const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Bytes of one part of an answer before compression.
pub const ANSWER_PART_BYTES_MAX: usize = 512 << 10;
/// Columns of an answer.
pub const ANSWER_COLUMNS_MAX: usize = 512;
