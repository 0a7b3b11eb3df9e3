//! The policy document: what an agent watches, how often, and what it keeps. One struct is what the server checks, merges
//! and sends, and what the agent runs.
//!
//! Every value may be absent, which means "not said here": a later document adds to an earlier one, value by value, and
//! named things (path sets, log files, windows) name by name. What nobody says is the agent's default.

mod check;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::check::time_s;
pub use self::value::{LEAVES, Value};

/// Names of one kind in a document.
pub const NAMED_MAX: usize = 64;
/// Paths, or rules, of one set.
pub const PATHS_MAX: usize = 512;
/// Longest path or pattern, in bytes.
pub const PATH_BYTES_MAX: usize = 1_024;
/// Longest statement of a scheduled query, in bytes.
pub const SQL_BYTES_MAX: usize = 16 << 10;
/// Longest name of a path set, log file or window, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The set of paths that is there unless a policy switches it off: what the distribution calls for.
pub const SYSTEM_SET: &str = "system";

/// What an agent does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// Which sources are on.
    #[serde(skip_serializing_if = "is_default")]
    pub sources: Sources,
    /// How often.
    #[serde(skip_serializing_if = "is_default")]
    pub intervals: Intervals,
    /// File integrity.
    #[serde(skip_serializing_if = "is_default")]
    pub files: Files,
    /// What waits for the server.
    #[serde(skip_serializing_if = "is_default")]
    pub spool: Spool,
    /// Logs.
    #[serde(skip_serializing_if = "is_default")]
    pub logs: Logs,
    /// Queries over the tables of the machine that are asked again and again, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub queries: BTreeMap<String, ScheduledQuery>,
    /// Times in which changes of files are expected, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub maintenance: BTreeMap<String, Window>,
    /// What the server does when the host falls silent.
    #[serde(skip_serializing_if = "is_default")]
    pub offline: Offline,
    /// What the agent may use of the machine.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: Limits,
}

/// Which sources are on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sources {
    /// Programs that are run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<bool>,
    /// And each process that is forked, also without a program of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forks: Option<bool>,
    /// Connections and listening ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<bool>,
    /// Messages and logins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<bool>,
    /// Changes of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<bool>,
    /// How the machine is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<bool>,
    /// What the machine has: lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<bool>,
}

/// How often, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intervals {
    /// The agent says that it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_s: Option<u32>,
    /// The machine's health is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_s: Option<u32>,
    /// The list of connections is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_s: Option<u32>,
}

/// File integrity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Files {
    /// Path sets by name. [`SYSTEM_SET`] is there unless it is switched off or said otherwise here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sets: BTreeMap<String, PathSet>,
    /// Most MiB a second that a scan of all files reads; 0 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_mib_per_s: Option<u32>,
    /// Hours after which all files are read as proof; 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_every_h: Option<u32>,
    /// Files longer than this many MiB are not hashed; 0 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_mib_max: Option<u32>,
}

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PathSet {
    /// Whether it is watched; it is unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Folders where scans begin. [`SYSTEM_SET`] without any has those of the distribution.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
    /// Rules; the last that fits a path decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<PathRule>,
    /// Whether what changes in texts is told line by line, with secrets masked: of all of them, or of none. Where nothing is said,
    /// of configuration and of what root runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<bool>,
}

impl PathSet {
    /// Whether it is watched.
    pub fn is_on(&self) -> bool {
        self.enabled.unwrap_or(true)
    }
}

/// How paths are treated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRule {
    /// Absolute path. It holds for what is below too. `*` stands for any part of one name, `**` for any number of folders.
    pub path: String,
    /// Properties whose change counts; none where the path is not looked at.
    pub watch: Vec<PathProperty>,
}

/// A property whose change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathProperty {
    /// What it is. It always counts.
    Kind,
    /// The content, by its hash; where it was not hashed, its length.
    Content,
    /// Permissions.
    Mode,
    /// Owner and group.
    Owner,
    /// The target of a symbolic link.
    Target,
    /// Extended attributes, access lists and capabilities.
    Attributes,
    /// The number in the file system: it changes when a file is replaced by another of the same content.
    Inode,
    /// How many names it has.
    Links,
    /// The time of the last change of the content.
    Modified,
    /// The length may only grow, as a log's does.
    Growing,
    /// The number of the device.
    Device,
}

/// What waits on the disk for the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Most MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mib_max: Option<u32>,
    /// What goes when there is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop: Option<DropOrder>,
}

/// What goes when the spool is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropOrder {
    /// The oldest.
    Oldest,
    /// What comes.
    Newest,
}

/// Logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// Files that are followed beside what the machine itself keeps, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub follow: BTreeMap<String, LogFile>,
}

/// A log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogFile {
    /// Absolute path.
    pub path: String,
    /// Its form.
    #[serde(default)]
    pub form: LogForm,
    /// Whether it is followed; it is unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Form of a log file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogForm {
    /// As syslog daemons write it, or any text.
    #[default]
    Syslog,
    /// As auditd writes it.
    Audit,
}

/// A query over the tables of the machine that is asked again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduledQuery {
    /// One `SELECT`.
    pub sql: String,
    /// How often, in seconds.
    pub every_s: u32,
    /// What of its answer is told.
    #[serde(default)]
    pub answer: QueryAnswer,
    /// Whether it is asked; it is unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// What is told of the answer to a scheduled query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryAnswer {
    /// Rows that came and rows that went since the answer before.
    #[default]
    Differential,
    /// All rows each time.
    Snapshot,
}

/// A time in which changes of files are expected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Window {
    /// Whether it holds; it does unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// From when on, RFC 3339; always if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Until when, RFC 3339, not included; for ever if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The hours of a week in which it holds; always if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly: Option<Weekly>,
    /// Paths that it is for, as in rules; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// The same hours on days of every week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weekly {
    /// Days on which it begins.
    pub days: Vec<Day>,
    /// When it begins, `HH:MM`.
    pub start: String,
    /// How long it is, in minutes; it may go over midnight, up to a day.
    pub minutes: u16,
    /// The zone's distance from UTC in minutes, east positive.
    #[serde(default)]
    pub utc_offset_minutes: i16,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "a day is a day")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// What the server does when the host falls silent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Offline {
    /// Whether it raises an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<bool>,
    /// Seconds beyond the three heartbeats that make a host count as offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_s: Option<u32>,
}

/// What the agent may use of the machine, with the processes that read for it; what responses start has limits of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most MiB of memory: with more, what uses it is ended and started anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Most hundredths of one processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u32>,
    /// Most MiB a second that are read from each disk, and written to it; 0 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_mib_per_s: Option<u32>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
