//! The room over a catalog and stores that the tests write: what is judged when, and what is told.
#![expect(clippy::unwrap_used, reason = "tests")]

mod room;
mod support;
