//! What can go wrong with the system of record.

use sea_orm::{DbErr, SqlErr};
use thiserror::Error;

/// An error of the catalog. `NotFound` also stands for "not within your scope", so that nobody learns what others have.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The configuration cannot be used; the text says what to change.
    #[error("catalog configuration: {0}")]
    Config(String),
    /// The database could not be opened.
    #[error("cannot open the catalog at {url}: {source}")]
    Connect {
        /// The URL without its password.
        url: String,
        /// Why.
        source: DbErr,
    },
    /// A newer Guardian has changed the schema.
    #[error(
        "the catalog was written by a newer Guardian (its schema is at {found}, this program knows up to {known}): \
         start that version or a later one, or restore a backup made before the upgrade"
    )]
    DatabaseNewer {
        /// The newest migration that the database has and the program does not know.
        found: String,
        /// The newest migration of this program.
        known: String,
    },
    /// The schema could not be brought up to date; nothing of it was changed.
    #[error("cannot bring the catalog's schema up to date: {0}")]
    Migrate(DbErr),
    /// No connection came free in time: the catalog has more to do than it can.
    #[error("the catalog is busy; try again")]
    Busy,
    /// There is no such thing, or not for this scope.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The change does not go with the present state.
    #[error("{0}")]
    Conflict(String),
    /// Somebody changed it since the version that the caller saw.
    #[error("the {what} was changed meanwhile; it is at version {version}")]
    VersionConflict {
        /// What sort of thing.
        what: &'static str,
        /// The version it is at.
        version: i32,
    },
    /// A value is outside what the catalog takes.
    #[error("{0}")]
    Invalid(String),
    /// What is stored does not make sense; the text says where.
    #[error("the catalog holds something unreadable: {0}")]
    Corrupt(String),
    /// The database failed.
    #[error("catalog database: {0}")]
    Database(DbErr),
}

impl From<DbErr> for CatalogError {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(_)) = error.sql_err() {
            return Self::Conflict("it exists already".into());
        }
        match error {
            DbErr::ConnectionAcquire(_) => Self::Busy,
            other => Self::Database(other),
        }
    }
}

impl CatalogError {
    /// Refuses a change of what is no longer at the version that the caller saw.
    pub fn unless_at(what: &'static str, version: i32, seen: i32) -> Result<(), Self> {
        if version == seen { Ok(()) } else { Err(Self::VersionConflict { what, version }) }
    }

    /// A JSON text column that does not parse.
    pub(crate) fn json(what: &str) -> impl FnOnce(serde_json::Error) -> Self {
        move |error| Self::Corrupt(format!("{what}: {error}"))
    }
}
