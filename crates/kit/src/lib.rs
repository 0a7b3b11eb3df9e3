//! What every component stands on: configuration, clock, metrics, health, logging, life cycle, bounded queues, capped
//! reads and the one outbound HTTP client.
//!
//! This crate must never know telemetry columns, storage or protocols; those build on it.

pub mod capped;
pub mod clock;
pub mod component;
pub mod config;
pub mod egress;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod queue;
pub mod shutdown;
