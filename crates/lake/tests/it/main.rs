//! The lake from outside: what was acknowledged is there exactly once, whatever happened, and queries see it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod corruption;
mod crash;
mod data;
mod disk_full;
mod encryption;
mod files;
mod origins;
mod replay;
mod rollup;
mod snapshot;
mod sql;
