//! Correlations: sliding windows on event time, per group.

mod fired;

pub use fired::Fired;

/// Evidence rows kept from the start of a group's window.
pub const EVIDENCE_FIRST_MAX: usize = 10;
/// Evidence rows kept from the end of a group's window.
pub const EVIDENCE_LAST_MAX: usize = 10;
