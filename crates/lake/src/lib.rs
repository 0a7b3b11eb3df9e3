//! The embedded telemetry store: a write-ahead log with group commit, rows in memory that queries see at once,
//! Parquet files by tenant, class and day of receipt, and SQL over all of it together.
//!
//! It must never acknowledge what is not on disk, show a row twice, or show a tenant's rows to another's scope.

mod codec;
mod config;
mod counters;
mod error;
mod keys;
mod lake;
mod replay;
mod snapshot;
mod sql;
mod store;
mod wal;

pub use config::LakeConfig;
pub use error::LakeError;
pub use keys::LakeKeys;
pub use lake::{Appended, Durable, Lake, LakeStats, Once};
pub use replay::Replay;
pub use snapshot::snapshot;
pub use sql::{ColumnInfo, QueryLimits, QueryStats, QueryStream, TableInfo, describe};
pub use store::Cleared;
