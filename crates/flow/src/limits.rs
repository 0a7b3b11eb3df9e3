//! Every bound of the decoders in one place, and the account that holds an exporter to its share of memory.

use guardian_model::Micros;

/// How much the decoders keep and believe. What hits a limit is counted under [`crate::Reason::Limit`] or a counter
/// of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Exporter addresses known at a time.
    pub exporters_max: usize,
    /// Observation domains (and versions) of one exporter.
    pub domains_per_exporter_max: usize,
    /// Transport sessions (source ports) of one IPFIX domain.
    pub sessions_per_domain_max: usize,
    /// Templates of one session.
    pub templates_per_session_max: usize,
    /// Fields of one template.
    pub fields_per_template_max: usize,
    /// Samplers of one exporter.
    pub samplers_per_exporter_max: usize,
    /// Bytes of state of one exporter, held data included.
    pub state_bytes_per_exporter_max: usize,
    /// Bytes of state of all exporters. One datagram may overshoot it by one exporter's share.
    pub state_bytes_max: usize,
    /// Data sets of one session that wait for their template.
    pub held_sets_per_session_max: usize,
    /// Bytes of one session that wait for their template.
    pub held_bytes_per_session_max: usize,
    /// Data that waits longer than this is dropped, in microseconds.
    pub held_age_max: i64,
    /// Records taken from one datagram, or from one data set that waited for its template.
    pub records_per_datagram_max: usize,
    /// Event times further than this before the time of receipt are not believed, in microseconds.
    pub event_past_max: i64,
    /// Event times further than this after the time of receipt are not believed, in microseconds.
    pub event_future_max: i64,
    /// An exporter that has proven itself keeps its place for this long without a datagram, in microseconds.
    pub exporter_idle_max: i64,
    /// An exporter has proven itself once its flows span this time, in microseconds.
    pub exporter_proven_after: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            exporters_max: 4096,
            domains_per_exporter_max: 64,
            sessions_per_domain_max: 16,
            templates_per_session_max: 512,
            fields_per_template_max: 512,
            samplers_per_exporter_max: 256,
            state_bytes_per_exporter_max: 4 << 20,
            state_bytes_max: 64 << 20,
            held_sets_per_session_max: 256,
            held_bytes_per_session_max: 512 << 10,
            held_age_max: 30 * Micros::MINUTE,
            records_per_datagram_max: 4096,
            event_past_max: 7 * Micros::DAY,
            event_future_max: 10 * Micros::MINUTE,
            exporter_idle_max: 30 * Micros::MINUTE,
            exporter_proven_after: Micros::MINUTE,
        }
    }
}

/// What one exporter's state weighs, in bytes, and whether it may grow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget {
    pub(crate) used: usize,
    pub(crate) max: usize,
    /// No exporter may grow while all state together is at its limit.
    pub(crate) frozen: bool,
}

impl Budget {
    /// Takes `bytes` if they are there.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let fits = !self.frozen && self.used + bytes <= self.max;
        if fits {
            self.used += bytes;
        }
        fits
    }

    /// Gives `bytes` back.
    pub(crate) fn give(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}
