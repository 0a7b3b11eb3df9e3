//! Settings of the lake. The doc comments become the configuration reference.

use std::path::PathBuf;

use guardian_kit::config::{ByteSize, Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where telemetry is stored, how soon it is durable, and how much of it is kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LakeConfig {
    /// Directory of the lake. It is created when it is missing; one server at a time may use it.
    pub dir: PathBuf,
    /// Encrypt the files that are written from now on, with the keys of `guardian keys`. Files of before are encrypted
    /// as they are merged; both are read side by side, whatever is set here. Queries then never write to the disk: those
    /// that need more than `query_memory` fail.
    pub encryption: bool,
    /// Longest time that accepted telemetry waits to be durable on disk.
    pub commit_interval: Duration,
    /// Size of one file of the write-ahead log; the space is reserved when the file is created.
    pub wal_segment: ByteSize,
    /// Telemetry that may wait to become durable before reception is slowed down.
    pub wal_queue: ByteSize,
    /// Largest size of the write-ahead log. Beyond it the oldest files go even if detection would still want to
    /// replay them after a restart (counted as `guardian_lake_wal_hold_overruns_total`).
    pub wal_max: ByteSize,
    /// Rows of one tenant and class at which they are written to a Parquet file.
    pub flush_rows: usize,
    /// Age at which rows are written to a Parquet file though there are few. Until then they are in memory and in
    /// the write-ahead log, and queries see them.
    pub flush_after: Duration,
    /// Memory for rows that are not yet in Parquet files; beyond it reception is slowed down.
    pub hot_max: ByteSize,
    /// Rows that merged Parquet files aim at.
    pub compact_rows: usize,
    /// Rows a second that compaction may rewrite, so that it does not compete with reception.
    pub compact_rows_per_second: usize,
    /// How long telemetry is kept, by the day it was received.
    pub keep: Duration,
    /// Most disk space that the lake uses; the oldest days go first.
    pub max_size: ByteSize,
    /// Most of the disk that the lake uses, in percent of its size; the smaller of this and `max_size` holds.
    pub max_disk_percent: u8,
    /// Disk space to leave free. Below it the oldest days are removed, and when nothing is left to remove the lake
    /// becomes read-only before the disk is full. On disks smaller than 20 times this, 5 % of the disk holds instead.
    pub min_free: ByteSize,
    /// Memory that one query may use.
    pub query_memory: ByteSize,
    /// Longest time that one query may take.
    pub query_time: Duration,
    /// Most rows that one query may return.
    pub query_rows: usize,
    /// Queries that run at the same time; more wait for their turn.
    pub query_slots: usize,
    /// Threads that queries use; 0 is one for each processor.
    pub query_threads: usize,
}

impl Default for LakeConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("lake"),
            encryption: false,
            commit_interval: Duration::millis(20),
            wal_segment: ByteSize::mib(64),
            wal_queue: ByteSize::mib(64),
            wal_max: ByteSize::gib(4),
            flush_rows: 1_000_000,
            flush_after: Duration::secs(60),
            hot_max: ByteSize::mib(768),
            compact_rows: 2_000_000,
            compact_rows_per_second: 500_000,
            keep: Duration::days(90),
            max_size: ByteSize::gib(50),
            max_disk_percent: 80,
            min_free: ByteSize::gib(1),
            query_memory: ByteSize::mib(512),
            query_time: Duration::secs(60),
            query_rows: 1_000_000,
            query_slots: 4,
            query_threads: 0,
        }
    }
}
