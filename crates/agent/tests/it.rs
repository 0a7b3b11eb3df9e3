//! The agent's engines on real files.

#[path = "it/files.rs"]
mod files;
#[path = "it/foreign.rs"]
mod foreign;
#[path = "it/packages.rs"]
mod packages;
