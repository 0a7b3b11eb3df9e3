//! The agent's engines: file integrity, and the sources of events. Each is driven by a thread of whoever uses it.
//!
//! The agent must never link the server's store, catalog or API: it has to stay small.

pub mod files;
pub mod outbox;
pub mod sources;
