//! Incidents: which alerts belong together and why ([`correlate`]), when what has to be done ([`sla`]), what to do
//! ([`templates`]), what it means in ATT&CK ([`attack`]), the files that prove it ([`EvidenceStore`]) and the report that
//! closes it ([`report`]), also as PDF ([`pdf`]).
//!
//! Those are pure. [`Responder`] is the edge: it follows each tenant's change log, lets alerts join incidents, and watches
//! the deadlines. This crate must never decide who may do something, and what it does by itself never acts on replayed
//! data beyond grouping it.

pub mod attack;
pub mod correlate;
mod evidence;
pub mod mentions;
pub mod pdf;
pub mod report;
mod responder;
mod settings;
pub mod sla;
pub mod templates;

pub use evidence::{EVIDENCE_BYTES_MAX, EvidenceStore, StoreError, Upload};
pub use responder::{Responder, correlate_alerts, watch_deadlines};
pub use settings::{IncidentSettings, SETTINGS_KEY};
