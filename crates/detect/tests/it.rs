//! Every rule that ships and every detector against its fixtures, and the promises of the engine: the same answer
//! however rows are cut, over restarts and over swaps of rules.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "it/captures.rs"]
mod captures;
#[path = "it/engine.rs"]
mod engine;
#[path = "it/fixtures.rs"]
mod fixtures;
