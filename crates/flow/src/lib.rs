//! Flow telemetry decoders: bytes in, columnar batches out.
//!
//! [`Decoder`] takes datagrams of NetFlow v5, v7, v9, IPFIX and sFlow; [`FlowBuilder`] collects rows of any source into
//! batches of the flow class. This crate must never do I/O, read a clock, or allocate per record. Time is passed in;
//! hostile input is counted, never an error that stops anything.

mod arrays;
mod builder;
mod columns;
mod decoder;
mod elements;
mod exporter;
mod limits;
mod message;
pub mod meter;
mod netflow5;
pub mod packet;
mod plan;
mod report;
mod rows;
mod run;
mod sampling;
mod sequence;
pub mod sflow;
mod snapshot;
mod template;
mod times;

pub use builder::{EXTRA_BYTES_MAX, FlowBuilder, FlowRow, Origin, ROWS_DEFAULT, ROWS_MAX, Reverse, Source};
pub use decoder::Decoder;
pub use elements::{Becomes, Clock, Edge, Element, IcmpPart, REVERSE_PEN, SamplingPart, elements};
pub use limits::Limits;
pub use meter::{EndReason, Meter, MeterConfig, MeterStats};
pub use packet::LinkType;
pub use plan::TemplateField;
pub use report::{Counters, Errors, ExporterStats, Peer, REASONS, Reason, Report, Totals, Waiting};
pub use sampling::Sampler;
pub use sequence::SequenceCounters;
pub use snapshot::{ExporterTemplates, SessionTemplates, TemplateStore};
pub use template::Definition;
