//! What can go wrong in the lake, in words that tell an operator what to do.

use std::io;
use std::path::PathBuf;

/// Errors of the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// Another process has the directory open for writing.
    #[error("{} is in use by another process (its lock file is held); stop it, or open the lake read-only", .0.display())]
    Locked(PathBuf),
    /// Reading or writing a file failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The disk is full or failing: nothing new is accepted until that is over, queries go on.
    #[error("the lake is read-only: {0}")]
    ReadOnly(String),
    /// The lake was opened with `open_read_only`.
    #[error("the lake was opened read-only")]
    OpenedReadOnly,
    /// The lake was shut down, or its writer stopped, before this was done.
    #[error("the lake is closed")]
    Closed,
    /// A file is encrypted, and its key is not there or another one.
    #[error(
        "{file} is encrypted with the lake key {key}, {why}: start with the catalog and the master key of the \
         installation that wrote it (`guardian keys status` lists the keys); if they are lost, move the file out of the \
         lake's directory and start again, without its rows"
    )]
    Key {
        /// The file, below the lake's directory.
        file: String,
        /// Id of the key.
        key: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Stored or passed data does not follow its class.
    #[error("bad data: {0}")]
    Data(String),
    /// The SQL text is not allowed, does not parse, or names something unknown.
    #[error("{0}")]
    Sql(String),
    /// The query ran into one of its limits.
    #[error("{0}")]
    Limit(String),
    /// The query failed while running.
    #[error("the query failed: {0}")]
    Query(String),
}

impl LakeError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn data(error: impl std::fmt::Display) -> Self {
        Self::Data(error.to_string())
    }

    /// Whether the cause is a full disk or an exhausted quota or file-size limit.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_disk_full(source),
            _ => false,
        }
    }
}

/// Whether the error means that there is no room to write.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
