//! What the agent sees: processes, logs and logins, connections, health, files. A source turns what the system says into
//! rows and hands them to the outbox; it never waits for the server and never keeps more than its bounds.

pub mod batcher;
pub mod connections;
pub mod files;
pub mod health;
pub mod kernel;
pub mod logs;
pub mod names;
pub mod processes;
pub mod queries;
