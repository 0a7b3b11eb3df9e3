//! Domain vocabulary of Guardian: ids, time, severity, entities, findings, and the telemetry classes with their
//! field tables.
//!
//! This crate is at the bottom of the house. It must never do I/O, read a clock, or know a storage engine.

mod class;
mod display;
mod entity;
mod event;
mod finding;
mod flow;
mod host;
mod id;
mod ip;
mod pseudonym;
mod severity;
mod time;

pub use class::{Class, Field, KIND_METADATA_KEY, Kind};
pub use display::{cell_json, cell_text, row_json};
pub use entity::{Entity, EntityKind};
pub use event::{Batch, EventRef, Origin};
pub use finding::{AlertKey, AlertState, FINDING, Finding, FindingField, RuleRef, finding_batch};
pub use flow::{FLOW, FlowField};
pub use host::{
    CHANGE, CONNECTION, ChangeField, ConnectionField, FILE, FileField, HEALTH, HealthField, LOG, LOGIN, LogField,
    LoginField, PROCESS, ProcessField,
};
pub use id::{AlertId, IncidentId, Scope, TenantId, UserId};
pub use ip::Ip;
pub use pseudonym::{Pseudonyms, is_pseudonym};
pub use severity::Severity;
pub use time::Micros;

/// Every telemetry class. Adding a class is one file and one line here.
pub const ALL_CLASSES: &[&Class] = &[&FLOW, &FINDING, &PROCESS, &FILE, &CONNECTION, &LOGIN, &LOG, &HEALTH, &CHANGE];
