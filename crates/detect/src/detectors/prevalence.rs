//! Which external destinations are rare: for each one, who talks to it and since when. Shared by the detectors, so
//! that each row is looked up once. Must never remember more than a few sources for a destination.

use guardian_model::{Ip, Micros};
use serde::{Deserialize, Serialize};

use crate::bounded::BoundedMap;
use crate::rows::{Direction, FlowRows};

/// Sources remembered for a destination; one with this many is popular in any sense we ask for.
const SOURCES_MAX: usize = 8;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Destination {
    last_seen: i64,
    /// A 32-bit digest of each source and the minute in which it first came.
    sources: Vec<(u32, u32)>,
}

/// Who talks to which external destination.
#[derive(Debug)]
pub struct Prevalence {
    destinations: BoundedMap<Ip, Destination>,
    limit: usize,
}

/// How common a destination is, for one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rarity {
    /// Other sources that talked to it, up to 7.
    pub other_sources: usize,
    /// When this source first talked to it.
    pub since: Micros,
}

/// FNV-1a over an address; equal on every machine because it is part of snapshots.
fn digest(ip: Ip) -> u32 {
    ip.0.iter().fold(0x811c_9dc5, |h, &b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

fn minute(time: Micros) -> u32 {
    u32::try_from(time.0.div_euclid(Micros::MINUTE)).unwrap_or(0)
}

impl Prevalence {
    /// Remembers at most `limit` destinations.
    pub fn new(limit: usize) -> Self {
        Self { destinations: BoundedMap::new(limit), limit }
    }

    /// Takes a row into account, if it leaves the home networks.
    pub fn observe(&mut self, rows: &FlowRows<'_>, row: usize, time: Micros) {
        if rows.direction(row) != Direction::Outbound {
            return;
        }
        let fresh = || Destination { last_seen: time.0, sources: Vec::new() };
        let (destination, _) = self.destinations.entry(&rows.dst(row), fresh);
        destination.last_seen = destination.last_seen.max(time.0);
        if destination.sources.len() < SOURCES_MAX {
            let source = digest(rows.src(row));
            if !destination.sources.iter().any(|(s, _)| *s == source) {
                destination.sources.push((source, minute(time)));
            }
        }
    }

    /// How common `destination` is for `source`; `None` for destinations that were not seen.
    pub fn rarity(&self, source: Ip, destination: Ip) -> Option<Rarity> {
        let seen = self.destinations.get(&destination)?;
        let source = digest(source);
        let own = seen.sources.iter().find(|(s, _)| *s == source);
        Some(Rarity {
            other_sources: seen.sources.len() - usize::from(own.is_some()),
            since: Micros(own.map_or(i64::MIN, |(_, m)| i64::from(*m) * Micros::MINUTE)),
        })
    }

    /// Forgets destinations that nobody talked to for `KEEP`.
    pub fn expire(&mut self, watermark: Micros) {
        const KEEP: i64 = 14 * Micros::DAY;
        self.destinations.retain(|_, d| watermark.0.saturating_sub(d.last_seen) < KEEP, |_, _| {});
    }

    /// The state as snapshot bytes.
    pub fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        self.destinations.save()
    }

    /// Takes over a state from snapshot bytes.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), postcard::Error> {
        self.destinations = BoundedMap::load(self.limit, bytes)?;
        Ok(())
    }

    /// Destinations that had to go because the limit was reached.
    pub fn evicted(&self) -> u64 {
        self.destinations.evicted()
    }

    /// Estimate of the bytes held.
    pub fn bytes(&self) -> usize {
        self.destinations.bytes() + self.destinations.len() * 16
    }
}
