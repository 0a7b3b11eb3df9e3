//! Detection: findings from batches and time. The Sigma runtime over `guardian-rules`, the behavioural detectors, and
//! the grouping of what they conclude into alerts.
//!
//! Everything here is pure with explicit state: equal batches in equal order give equal findings, alerts and counts,
//! however the rows are cut into batches. It must never read a clock, do I/O or be async.

mod bounded;
mod config;
pub mod detectors;
mod engine;
mod evidence;
pub mod fixture;
mod fixture_events;
mod fixture_rows;
mod grouping;
pub mod harness;
mod realm;
mod register;
pub mod rows;
pub mod shipped;
mod snapshot;
mod stats;
mod work;

use guardian_model::{AlertState, Finding};

pub use config::DetectConfig;
pub use engine::Engine;
pub use grouping::WINDOW_MAX;
pub use shipped::shipped;
pub use snapshot::{Restored, SNAPSHOT_VERSION, SnapshotError};
pub use stats::{RuleKind, RuleStats, Stats};

/// What a step of the engine has to tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// New alerts, and alerts whose count reached the next power of ten: to be appended to the lake.
    pub findings: Vec<Finding>,
    /// Absolute states of alerts that changed: to be stored in the catalog. Findings carry the state too.
    pub updates: Vec<AlertState>,
}
