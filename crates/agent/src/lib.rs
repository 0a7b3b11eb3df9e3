//! The agent: what it sees (sources, file integrity), what it keeps until the server has it (outbox, spool), how it
//! speaks (enrolment, connection), and what it does when it is told to (response).
//!
//! The agent must never link the server's store, catalog or API: it has to stay small. Sources know the outbox alone, the
//! connection knows the spool alone, so that each can become a process of its own.

pub mod apart;
mod commands;
pub mod connect;
pub mod enrol;
pub mod facts;
pub mod files;
mod held;
pub mod home;
pub mod imported;
pub mod install;
mod integrity;
pub mod inventory;
pub mod outbox;
pub mod policy;
pub mod queries;
pub mod response;
pub mod run;
pub mod simulate;
pub mod sources;
pub mod spool;
mod spooler;
pub mod status;
mod talk;
pub mod tls;
pub mod upgrade;
pub mod watchdog;
mod watching;

/// The time by the clock of the machine, in UTC microseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "the agent stands apart from the server's kit, and this is its one clock"
)]
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
