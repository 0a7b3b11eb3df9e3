//! How the agent is, for whoever asks on the machine itself.

use serde::{Deserialize, Serialize};

/// How the agent is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The process.
    pub pid: u32,
    /// Id of the host on the server.
    pub host: String,
    /// The server.
    pub server: String,
    /// `connected`, `waiting` or `refused`.
    pub state: String,
    /// Since when it is in that state, UTC microseconds.
    pub since: i64,
    /// Why it is not connected.
    pub error: Option<String>,
    /// Rows that were written to the spool since the start.
    pub rows: u64,
    /// Bytes that wait.
    pub spool_bytes: u64,
    /// The last sequence given out, and the last that is safe on the server.
    pub sequences: (u64, u64),
    /// Rows lost since the start.
    pub lost: u64,
    /// How far the clock is ahead of the server's, in microseconds.
    pub clock_skew_us: i64,
    /// Length of the round to the server and back, in microseconds.
    pub round_us: u64,
    /// Changes of watched files that nobody has approved.
    pub files_open: u64,
    /// Since when the oldest of them is open, UTC microseconds; 0 where there is none.
    pub files_open_since: i64,
    /// By what processes are seen: `connector+bpf`, `connector+audit`, `connector`, `audit` or `none`.
    pub processes: String,
    /// Until when the certificate is valid.
    pub not_after: String,
    /// When this was written, UTC microseconds.
    pub updated: i64,
}
