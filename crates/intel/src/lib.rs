//! What is known about addresses: where they are, whose they are, and whether they are on a list of indicators.
//! Fills the enrichment columns of flow batches at batch speed.
//!
//! Files are read when they are opened or reloaded, never while a batch passes. This crate must never go to the
//! network: feeds are fetched elsewhere and arrive here as files.

mod cache;
mod config;
mod enrich;
mod geo;
mod indicators;
mod intervals;
mod labels;
mod list;
mod prefix;
mod store;

pub use config::{IndicatorList, IntelConfig, ListFormat};
pub use enrich::Enricher;
pub use geo::{DatabaseInfo, Place};
pub use indicators::{IndicatorSet, LISTS_MAX, ListId, Match};
pub use list::{ListProblem, ParsedList, parse_list};
pub use prefix::Prefix;
pub use store::{Intel, IntelError, ListInfo, Notice, Reload, Status};

#[cfg(test)]
mod tests;
