//! The one room in which telemetry flows: sources (UDP, capture, files) to decoding, enrichment, storage and detection.
//!
//! Sinks are small traits that the program wires; this crate must never know a storage engine, a database or HTTP.

pub mod capture_file;
mod collector;
mod columns;
mod config;
mod engines;
mod enrich;
mod live;
mod owners;
pub mod replay;
mod spine;
mod state;
mod status;
mod udp;
mod worker;

pub use collector::{CollectError, Collector, CollectorDeps, Exporters};
pub use config::{CollectConfig, ListenerConfig};
pub use engines::{ExceptionHits, TenantRules};
pub use enrich::{Enrich, Enrichers};
pub use owners::Owners;
pub use spine::{
    AlertSink, OnceBatch, SharedExceptionHits, SharedRuleStats, Spine, SpineDeps, SpineInput, SpineStats, Store,
    StoreError,
};
pub use state::StateDir;
pub use status::ExporterStatus;
