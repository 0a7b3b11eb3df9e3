//! The agent's engines on real files.

#[path = "it/files.rs"]
mod files;
