//! What people see of an exporter: where it stands, what it sent, and what was lost of it.

use guardian_flow::ExporterStats;
use guardian_model::{Ip, Micros, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::udp::Refused;
use crate::worker::Origin;

/// Counters of one exporter, observation domain and protocol.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExporterStatus {
    /// Whose exporter it is.
    pub tenant: TenantId,
    /// Its site; empty is the main site.
    pub site: String,
    /// Its address.
    pub exporter: Ip,
    /// Observation domain, source id, engine or sub-agent.
    pub domain: u32,
    /// netflow5, netflow7, netflow9, ipfix or sflow.
    pub protocol: String,
    /// First datagram since its state was made.
    pub first_seen: Micros,
    /// Last datagram.
    pub last_seen: Micros,
    /// For people: `receiving`, or `waiting for its template, 12 records held`.
    pub state: String,
    /// Every counter by name; docs/loss.md explains each.
    pub counters: Map<String, Value>,
}

impl ExporterStatus {
    pub(crate) fn new(origin: &Origin, stats: &ExporterStats) -> Self {
        let c = &stats.counters;
        let mut counters = Map::new();
        let mut set = |key: &str, value: u64| {
            counters.insert(key.to_owned(), value.into());
        };
        set("packets", c.datagrams);
        set("bytes", c.bytes);
        set("flows", c.flows);
        set("lost", c.sequence.lost);
        set("reordered", c.sequence.reordered);
        set("duplicate", c.sequence.duplicate);
        set("resets", c.sequence.resets);
        set("errors", c.errors.total());
        for (reason, count) in c.errors.iter() {
            set(&format!("error_{}", reason.as_str()), count);
        }
        set("templates", stats.templates as u64);
        set("held_records", stats.waiting.records);
        set("held_sets", c.held_sets);
        set("dropped_sets", c.dropped_sets);
        set("options_records", c.options_records);
        set("other_records", c.other_records);
        set("counter_samples", c.counter_samples);
        set("unknown_samples", c.unknown_samples);
        set("clamped_times", c.clamped_times);
        set("sampling_rate", stats.sampling_rate.map_or(1, u64::from));
        Self {
            tenant: origin.tenant,
            site: origin.site.clone(),
            exporter: stats.exporter,
            domain: stats.domain,
            protocol: stats.source.as_str().to_owned(),
            first_seen: stats.first_seen,
            last_seen: stats.last_seen,
            state: stats.waiting_text().unwrap_or_else(|| "receiving".to_owned()),
            counters,
        }
    }

    /// Adds what reception refused of this exporter.
    pub(crate) fn refused(&mut self, refused: Refused) {
        self.counters.insert("queue_drops".to_owned(), refused.queue_drops.into());
        self.counters.insert("not_allowed".to_owned(), refused.not_allowed.into());
    }
}
