//! The program from outside: what a user types, sees, and can rely on.
#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod app;
mod bad_input;
mod capture;
mod crash;
mod enrich;
mod exporters;
mod first_minutes;
mod http;
mod incidents;
mod live;
mod reference;
mod rules;
mod triage;
mod wire;
