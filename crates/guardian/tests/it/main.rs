//! The program from outside: what a user types, sees, and can rely on.
#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod app;
mod bad_input;
mod crash;
mod first_minutes;
mod reference;
