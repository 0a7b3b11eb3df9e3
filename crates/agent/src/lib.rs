//! The agent's engines. What is here so far: file integrity.
//!
//! The agent must never link the server's store, catalog or API: it has to stay small.

pub mod files;
pub mod outbox;
