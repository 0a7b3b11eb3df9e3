//! Large upload to a rare destination: data leaving to a place that hardly anybody talks to. What a source sends to
//! each external destination is added up and compared with an absolute floor, with the rest of what the source
//! sends, and with what it sends on an ordinary day. Must never count what a server of ours hands to its visitors.

use guardian_model::{Ip, Micros, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Descriptor, Detector, Firing, Measure, Size};
use crate::bounded::BoundedMap;
use crate::rows::{Direction, Role};

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: "guardian.large-upload",
    version: 1,
    title: "Large upload to a rare destination",
    description: "A host of ours sent much data to an outside destination that few or no other hosts talk to and that \
        it did not talk to on earlier days, and this was a large part of everything it sent.",
    level: Severity::High,
    tags: &["attack.exfiltration", "attack.t1048", "attack.t1567"],
    references: &["https://attack.mitre.org/techniques/T1048/", "https://attack.mitre.org/techniques/T1567/"],
    falsepositives: &[
        "The first backup or synchronisation to a new provider",
        "Somebody sends a large file to a customer for the first time",
    ],
    next_steps: &[
        "Ask the user or owner of the source whether the upload was theirs",
        "Find out what the destination is: owner, country, service",
        "Find the program on the source and the files it read before",
        "If nobody knows of it, block the destination and isolate the source",
    ],
    summary: "{src_ip} sent {sent} to {dst_ip}, which {others} of our other hosts talk to",
    alert_window: 6 * Micros::HOUR,
    parameters: |c| serde_json::to_value(&c.large_upload).unwrap_or_default(),
    build: |c| Box::new(LargeUpload::new(c.large_upload.clone())),
};

/// Parameters of the detector of large uploads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LargeUploadConfig {
    /// Least bytes sent to the destination within the window.
    pub bytes_min: u64,
    /// Least share of everything the source sent outside within the window, 0 to 1.
    pub share_min: f64,
    /// Least multiple of what the source sends outside on an ordinary day, once an earlier day is known.
    pub usual_day_factor: f64,
    /// Time over which bytes are added up, in hours.
    pub window_hours: u32,
    /// Most other sources that may talk to a rare destination.
    pub other_sources_max: usize,
    /// A destination that the source already knew so many hours before is not rare for it.
    pub known_after_hours: u32,
    /// Least mean packet size, in bytes: acknowledgements of a download are smaller, uploads larger.
    pub packet_bytes_min: u64,
    /// Flows of fewer bytes are not added up.
    pub flow_bytes_min: u64,
    /// Most pairs of source and destination remembered per tenant and site.
    pub pairs_max: usize,
    /// Most sources remembered per tenant and site.
    pub sources_max: usize,
}

impl Default for LargeUploadConfig {
    fn default() -> Self {
        Self {
            bytes_min: 50_000_000,
            share_min: 0.3,
            usual_day_factor: 1.0,
            window_hours: 24,
            other_sources_max: 2,
            known_after_hours: 24,
            packet_bytes_min: 400,
            flow_bytes_min: 2_000,
            pairs_max: 50_000,
            sources_max: 50_000,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Pair {
    src: Ip,
    dst: Ip,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sent {
    since: i64,
    first_seen: i64,
    last_seen: i64,
    bytes: u64,
    packets: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Source {
    since: i64,
    last_seen: i64,
    bytes: u64,
    /// Mean of earlier windows, recent ones counting more; meaningless while `windows` is 0.
    usual: f64,
    windows: u32,
}

struct LargeUpload {
    config: LargeUploadConfig,
    pairs: BoundedMap<Pair, Sent>,
    sources: BoundedMap<Ip, Source>,
}

/// Weight of a new window in a source's usual volume.
const USUAL_WEIGHT: f64 = 0.25;

impl LargeUpload {
    fn new(config: LargeUploadConfig) -> Self {
        Self { pairs: BoundedMap::new(config.pairs_max), sources: BoundedMap::new(config.sources_max), config }
    }

    fn window(&self) -> i64 {
        i64::from(self.config.window_hours.max(1)) * Micros::HOUR
    }

    /// Adds to the source's total and returns (total of the window, usual total of a window).
    fn add_source(&mut self, src: Ip, time: i64, bytes: u64) -> (u64, Option<f64>) {
        let window = self.window();
        let fresh = || Source { since: time, last_seen: time, bytes: 0, usual: 0.0, windows: 0 };
        let (source, _) = self.sources.entry(&src, fresh);
        if time.saturating_sub(source.since) >= window {
            source.usual = if source.windows == 0 {
                source.bytes as f64
            } else {
                source.usual + (source.bytes as f64 - source.usual) * USUAL_WEIGHT
            };
            (source.windows, source.since, source.bytes) = (source.windows.saturating_add(1), time, 0);
        }
        source.last_seen = source.last_seen.max(time);
        source.bytes = source.bytes.saturating_add(bytes);
        (source.bytes, (source.windows > 0).then_some(source.usual))
    }

    fn add_pair(&mut self, pair: &Pair, context: &Context<'_>) -> Sent {
        let (time, window, rows, row) = (context.time.0, self.window(), context.rows, context.row);
        let start = rows.start[row].min(time);
        let fresh = || Sent { since: time, first_seen: start, last_seen: time, bytes: 0, packets: 0 };
        let (sent, _) = self.pairs.entry(pair, fresh);
        if time.saturating_sub(sent.since) >= window {
            *sent = fresh();
        }
        sent.first_seen = sent.first_seen.min(start);
        sent.last_seen = sent.last_seen.max(time);
        sent.bytes = sent.bytes.saturating_add(rows.bytes[row]);
        sent.packets = sent.packets.saturating_add(rows.packets[row].max(1));
        sent.clone()
    }
}

impl Detector for LargeUpload {
    fn row(&mut self, context: &Context<'_>) -> Option<Firing> {
        let (rows, row) = (context.rows, context.row);
        let bytes = rows.bytes[row];
        if bytes < self.config.flow_bytes_min
            || rows.direction(row) != Direction::Outbound
            || rows.role(row) == Role::Responder
        {
            return None;
        }
        let pair = Pair { src: rows.src(row), dst: rows.dst(row) };
        let (total, usual) = self.add_source(pair.src, context.time.0, bytes);
        let sent = self.add_pair(&pair, context);
        let share = (sent.bytes as f64 / total.max(1) as f64).min(1.0);
        if sent.bytes < self.config.bytes_min
            || share < self.config.share_min
            || sent.bytes / sent.packets.max(1) < self.config.packet_bytes_min
            || usual.is_some_and(|u| (sent.bytes as f64) < u * self.config.usual_day_factor)
        {
            return None;
        }
        let rarity = context.prevalence.rarity(pair.src, pair.dst)?;
        let known = i64::from(self.config.known_after_hours) * Micros::HOUR;
        if rarity.other_sources > self.config.other_sources_max || context.time - rarity.since >= known {
            return None;
        }
        Some(Firing {
            first_seen: Micros(sent.first_seen),
            group: vec![("src_ip", pair.src.to_string()), ("dst_ip", pair.dst.to_string())],
            entity: pair.src,
            measures: measures(&sent, share, usual, rarity.other_sources),
        })
    }

    fn expire(&mut self, watermark: Micros) {
        let (pairs, sources) = (2 * self.window(), 14 * Micros::DAY);
        self.pairs.retain(|_, s| watermark.0.saturating_sub(s.last_seen) < pairs, |_, _| {});
        self.sources.retain(|_, s| watermark.0.saturating_sub(s.last_seen) < sources, |_, _| {});
    }

    fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&(self.pairs.save()?, self.sources.save()?))
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), postcard::Error> {
        let (pairs, sources): (Vec<u8>, Vec<u8>) = postcard::from_bytes(bytes)?;
        self.pairs = BoundedMap::load(self.config.pairs_max, &pairs)?;
        self.sources = BoundedMap::load(self.config.sources_max, &sources)?;
        Ok(())
    }

    fn size(&self) -> Size {
        Size {
            groups: self.pairs.len() as u64,
            evicted: self.pairs.evicted() + self.sources.evicted(),
            late: 0,
            bytes: (self.pairs.bytes() + self.sources.bytes()) as u64,
        }
    }
}

fn measures(sent: &Sent, share: f64, usual: Option<f64>, others: usize) -> Vec<(&'static str, Measure)> {
    let mut measures = vec![
        ("sent", Measure::Text(bytes_text(sent.bytes))),
        ("bytes", Measure::Count(sent.bytes)),
        ("share_of_sent", Measure::Number(share)),
        ("others", Measure::Text(if others == 0 { "none".to_owned() } else { others.to_string() })),
    ];
    if let Some(usual) = usual {
        measures.push(("usual_day_bytes", Measure::Count(usual as u64)));
    }
    measures
}

/// A volume as people say it, in decimal units.
pub(super) fn bytes_text(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if unit == "bytes" || value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::bytes_text;

    #[test]
    fn volumes_read_well() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_500, "1.5 kB"),
            (80_000_000, "80.0 MB"),
            (123_456_789_000, "123 GB"),
        ] {
            assert_eq!(bytes_text(bytes), text);
        }
    }
}
