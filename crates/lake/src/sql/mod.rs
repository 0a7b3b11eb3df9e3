//! SQL over the lake, behind a gate: one query, its scope's rows only, within limits.
//!
//! Queries run on threads of their own, so that the API's are never kept busy; dropping a stream ends its query.

mod addresses;
mod functions;
mod gate;
mod guard;
mod hot;
mod mask;
mod rollup;
mod sealed;
mod session;
mod snapshot;
mod stream;
mod table;
mod when;

pub use session::{ColumnInfo, QueryLimits, TableInfo, describe};
pub use stream::{QueryStats, QueryStream};

pub(crate) use session::Engine;
