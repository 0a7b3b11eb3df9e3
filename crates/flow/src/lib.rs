//! Flow telemetry decoders: bytes in, columnar batches out.
//!
//! This crate must never do I/O, read a clock, or allocate per record. Time is passed in; hostile input is counted,
//! never an error that stops anything.

mod builder;
mod columns;

pub use builder::{EXTRA_BYTES_MAX, FlowBuilder, FlowRow, Origin, ROWS_DEFAULT, ROWS_MAX, Reverse, Source};
