//! Beaconing: a program that calls home at regular intervals with small messages. For each (source, destination,
//! port, protocol) the intervals and sizes of the newest connections are measured as RITA does
//! (github.com/activecm/rita): Bowley's quartile skewness, the median absolute deviation about the median, and how much
//! of the observed span the beat explains. Must never keep more than the newest connections of a pair.

use guardian_model::{Ip, Micros, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Descriptor, Detector, Firing, Measure, Size};
use crate::bounded::BoundedMap;
use crate::rows::{Direction, FlowRows, Role, protocol, tcp};

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: "guardian.beaconing",
    version: 1,
    title: "Regular small connections to one destination (beaconing)",
    description: "A host of ours contacts one outside destination at regular intervals with messages of similar, small \
        size, as implants do that ask their operator for orders. Regularity tolerates jitter: intervals and sizes are \
        scored by quartile skewness and by median absolute deviation, together with the share of the observed span \
        that the beat explains.",
    level: Severity::Medium,
    tags: &["attack.command_and_control", "attack.t1071", "attack.t1571", "attack.t1029"],
    references: &["https://attack.mitre.org/techniques/T1071/", "https://github.com/activecm/rita"],
    falsepositives: &[
        "Software that polls a server: update checks, telemetry, monitoring, chat clients",
        "Time synchronisation with few servers",
    ],
    next_steps: &[
        "Find out what the destination is: owner, country, age of the name, indicator lists",
        "Find the program on the source that makes these connections",
        "If nobody knows it, isolate the source and keep its memory",
        "If it is wanted, close the alert as benign with the name of the program",
    ],
    summary: "{src_ip} contacted {dst_ip} port {dst_port} {connections} times, about every {interval}",
    alert_window: Micros::DAY,
    parameters: |c| serde_json::to_value(&c.beaconing).unwrap_or_default(),
    build: |c| Box::new(Beaconing::new(c.beaconing.clone())),
};

/// How much the score of connections to a port counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortWeight {
    /// IANA protocol number: 6 TCP, 17 UDP.
    pub protocol: u8,
    /// Destination port.
    pub port: u16,
    /// Factor for the score, 0 to 1.
    pub weight: f64,
}

/// Parameters of the beaconing detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BeaconingConfig {
    /// Connections that a pair must have made before it is judged.
    pub connections_min: usize,
    /// Newest connections of a pair that are kept and judged.
    pub connections_max: usize,
    /// Shortest span between the oldest and the newest of them, in seconds.
    pub span_min_secs: u32,
    /// Shortest typical (median) interval, in seconds.
    pub interval_min_secs: f64,
    /// Connections that begin within so many milliseconds of the one before are one sample.
    pub merge_within_millis: u32,
    /// Largest typical (median) size, in bytes sent: what sends more is a transfer, not a beat.
    pub size_max_bytes: u64,
    /// Score from which a pair is reported, 0 to 1.
    pub score_min: f64,
    /// A destination that at least so many other hosts talk to is popular.
    pub popular_sources_min: usize,
    /// Factor for the score of popular destinations, 0 to 1.
    pub popular_weight: f64,
    /// Factors for ports on which regular traffic is ordinary, such as time synchronisation and name resolution.
    pub port_weights: Vec<PortWeight>,
    /// Most pairs remembered per tenant and site.
    pub pairs_max: usize,
    /// A pair is forgotten when it was quiet for so long, in hours.
    pub forget_after_hours: u32,
}

impl Default for BeaconingConfig {
    fn default() -> Self {
        let port = |protocol, port, weight| PortWeight { protocol, port, weight };
        Self {
            connections_min: 24,
            connections_max: 64,
            span_min_secs: 90,
            interval_min_secs: 2.0,
            merge_within_millis: 1_000,
            size_max_bytes: 64 << 10,
            score_min: 0.75,
            popular_sources_min: 5,
            popular_weight: 0.85,
            port_weights: vec![
                port(protocol::UDP, 123, 0.7),
                port(protocol::UDP, 53, 0.75),
                port(protocol::TCP, 53, 0.75),
                port(protocol::TCP, 853, 0.75),
            ],
            pairs_max: 50_000,
            forget_after_hours: 48,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Pair {
    src: Ip,
    dst: Ip,
    port: u16,
    protocol: u8,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct History {
    /// Newest connections as (start, bytes), unordered; a ring once full.
    samples: Vec<(i64, u32)>,
    next: u32,
    /// Connections since the pair is known, merged ones not counted.
    connections: u64,
    since: i64,
    last_start: i64,
    last_end: i64,
    last_port: u16,
    /// Samples since the pair was last judged.
    unjudged: u32,
    /// The last judgement and the factor it was weighed with, while it is positive.
    verdict: Option<(Score, f64)>,
}

/// The measures of a pair, each in 0 to 1, and what they come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Score {
    interval_skew: f64,
    interval_dispersion: f64,
    size_skew: f64,
    size_dispersion: f64,
    smallness: f64,
    coverage: f64,
    /// All of them, weighted; before the weights of port and popularity.
    total: f64,
    interval_median: f64,
    interval_deviation: f64,
    size_median: f64,
}

struct Beaconing {
    config: BeaconingConfig,
    pairs: BoundedMap<Pair, History>,
    late: u64,
}

impl Beaconing {
    fn new(config: BeaconingConfig) -> Self {
        Self { pairs: BoundedMap::new(config.pairs_max), config, late: 0 }
    }
}

/// The factor for a pair's score, by its port and by how popular its destination is.
fn weight(config: &BeaconingConfig, context: &Context<'_>, pair: &Pair) -> f64 {
    let ports = config.port_weights.iter().find(|w| w.protocol == pair.protocol && w.port == pair.port);
    let others = context.prevalence.rarity(pair.src, pair.dst).map_or(0, |r| r.other_sources);
    let popular = others >= config.popular_sources_min;
    ports.map_or(1.0, |w| w.weight) * if popular { config.popular_weight } else { 1.0 }
}

/// Whether a row is a new connection that our side made to the outside.
fn is_call(rows: &FlowRows<'_>, row: usize) -> bool {
    matches!(rows.direction(row), Direction::Outbound | Direction::Unknown)
        && matches!(rows.protocol[row], protocol::TCP | protocol::UDP)
        && rows.role(row) == Role::Initiator
}

impl Detector for Beaconing {
    fn row(&mut self, context: &Context<'_>) -> Option<Firing> {
        let (rows, row) = (context.rows, context.row);
        if !is_call(rows, row) {
            return None;
        }
        let protocol = rows.protocol[row];
        let pair = Pair { src: rows.src(row), dst: rows.dst(row), port: rows.dst_port[row], protocol };
        let (start, end) = (rows.start[row], rows.end[row]);
        let (history, _) =
            self.pairs.entry(&pair, || History { since: start, last_start: i64::MIN, ..History::default() });
        if is_continuation(history, rows, row) {
            history.last_end = history.last_end.max(end);
            return None;
        }
        (history.last_end, history.last_port) = (history.last_end.max(end), rows.src_port[row]);
        let merge = i64::from(self.config.merge_within_millis) * 1_000;
        if history.last_start.abs_diff(start) < merge as u64 {
            return None;
        }
        if start < history.last_start.saturating_sub(Micros::HOUR) {
            self.late += 1;
            return None;
        }
        history.add(start, u32::try_from(rows.bytes[row]).unwrap_or(u32::MAX), self.config.connections_max);
        if !history.judge(&self.config, context, &pair) {
            return None;
        }
        let (score, factor) = history.verdict?;
        Some(Firing {
            first_seen: Micros(history.since),
            group: vec![
                ("src_ip", pair.src.to_string()),
                ("dst_ip", pair.dst.to_string()),
                ("dst_port", pair.port.to_string()),
                ("protocol", pair.protocol.to_string()),
            ],
            entity: pair.src,
            measures: score.measures(history.connections, factor),
        })
    }

    fn expire(&mut self, watermark: Micros) {
        let keep = i64::from(self.config.forget_after_hours) * Micros::HOUR;
        self.pairs.retain(|_, h| watermark.0.saturating_sub(h.last_end) < keep, |_, _| {});
    }

    fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&(self.late, self.pairs.save()?))
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), postcard::Error> {
        let (late, pairs): (u64, Vec<u8>) = postcard::from_bytes(bytes)?;
        (self.late, self.pairs) = (late, BoundedMap::load(self.config.pairs_max, &pairs)?);
        Ok(())
    }

    fn size(&self) -> Size {
        let samples: usize = self.pairs.iter().map(|(_, h)| h.samples.capacity() * size_of::<(i64, u32)>()).sum();
        Size {
            groups: self.pairs.len() as u64,
            evicted: self.pairs.evicted(),
            late: self.late,
            bytes: (self.pairs.bytes() + samples) as u64,
        }
    }
}

/// Whether a row goes on with the connection before it: exporters cut long flows at their active timeout, and those
/// pieces would look like a perfect beat.
fn is_continuation(history: &History, rows: &FlowRows<'_>, row: usize) -> bool {
    const GAP_MAX: i64 = Micros::MINUTE;
    if rows.protocol[row] == protocol::TCP && rows.tcp_flags[row] != 0 {
        return rows.tcp_flags[row] & tcp::SYN == 0;
    }
    let gap = rows.start[row].saturating_sub(history.last_end);
    history.connections > 0 && history.last_port == rows.src_port[row] && gap < GAP_MAX
}

impl History {
    fn add(&mut self, start: i64, bytes: u32, limit: usize) {
        let limit = limit.max(4);
        if self.samples.len() < limit {
            self.samples.push((start, bytes));
        } else {
            let at = self.next as usize % limit;
            self.samples[at] = (start, bytes);
            self.next = ((at + 1) % limit) as u32;
        }
        self.connections += 1;
        self.unjudged += 1;
        self.since = self.since.min(start);
        self.last_start = self.last_start.max(start);
    }

    /// Judges the samples if it is time, and says whether the verdict is positive. Judging sorts the samples, so it is
    /// done every fourth connection, and while the verdict is positive after an eighth of the samples have changed.
    fn judge(&mut self, config: &BeaconingConfig, context: &Context<'_>, pair: &Pair) -> bool {
        let due = if self.verdict.is_some() { self.samples.len() / 8 } else { 4 };
        if self.unjudged as usize >= due.max(1) && self.samples.len() >= config.connections_min {
            self.unjudged = 0;
            let factor = weight(config, context, pair);
            self.verdict = self.score(config).filter(|s| s.total * factor >= config.score_min).map(|s| (s, factor));
        }
        self.verdict.is_some()
    }

    /// The scores of the samples; `None` when they cannot be judged (too few, too close, too short a span) or are large.
    fn score(&self, config: &BeaconingConfig) -> Option<Score> {
        if self.samples.len() < config.connections_min.max(4) {
            return None;
        }
        let mut starts: Vec<i64> = self.samples.iter().map(|s| s.0).collect();
        starts.sort_unstable();
        let mut intervals: Vec<f64> = starts.windows(2).map(|w| (w[1] - w[0]) as f64 / Micros::SECOND as f64).collect();
        let mut sizes: Vec<f64> = self.samples.iter().map(|s| f64::from(s.1)).collect();
        intervals.sort_unstable_by(f64::total_cmp);
        sizes.sort_unstable_by(f64::total_cmp);
        let span: f64 = intervals.iter().sum();
        let (interval_median, size_median) = (quantile(&intervals, 0.5), quantile(&sizes, 0.5));
        if span < f64::from(config.span_min_secs)
            || interval_median < config.interval_min_secs
            || size_median > config.size_max_bytes as f64
        {
            return None;
        }
        let (interval_deviation, size_deviation) =
            (deviation(&intervals, interval_median), deviation(&sizes, size_median));
        let mut score = Score {
            interval_skew: 1.0 - bowley(&intervals).abs(),
            interval_dispersion: 1.0 - (interval_deviation / interval_median).min(1.0),
            size_skew: 1.0 - bowley(&sizes).abs(),
            size_dispersion: 1.0 - (size_deviation / size_median.max(1.0)).min(1.0),
            smallness: 1.0 - (size_median / config.size_max_bytes.max(1) as f64).min(1.0),
            coverage: (intervals.len() as f64 * interval_median / span).min(1.0),
            total: 0.0,
            interval_median,
            interval_deviation,
            size_median,
        };
        score.total = score.weighted();
        Some(score)
    }
}

impl Score {
    /// The combined score. Intervals say most; a skewed handful of sizes says little. When the beat explains little
    /// of the span (bursts with pauses between them) the rest cannot make up for it.
    fn weighted(&self) -> f64 {
        let sum = 0.15 * self.interval_skew
            + 0.35 * self.interval_dispersion
            + 0.05 * self.size_skew
            + 0.20 * self.size_dispersion
            + 0.05 * self.smallness
            + 0.20 * self.coverage;
        sum * (0.5 + self.coverage).min(1.0)
    }
}

impl Score {
    fn measures(&self, connections: u64, weight: f64) -> Vec<(&'static str, Measure)> {
        vec![
            ("connections", Measure::Count(connections)),
            ("interval", Measure::Text(seconds_text(self.interval_median))),
            ("interval_median_secs", Measure::Number(self.interval_median)),
            ("interval_deviation_secs", Measure::Number(self.interval_deviation)),
            ("size_median_bytes", Measure::Number(self.size_median)),
            ("score", Measure::Number(self.total * weight)),
            ("interval_skew_score", Measure::Number(self.interval_skew)),
            ("interval_dispersion_score", Measure::Number(self.interval_dispersion)),
            ("size_skew_score", Measure::Number(self.size_skew)),
            ("size_dispersion_score", Measure::Number(self.size_dispersion)),
            ("coverage_score", Measure::Number(self.coverage)),
        ]
    }
}

/// An interval as people say it.
fn seconds_text(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A quantile of sorted values, linear between neighbours.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// Bowley's measure of skewness: 0 for symmetric quartiles, towards ±1 for skewed ones; 0 where they coincide.
fn bowley(sorted: &[f64]) -> f64 {
    let (low, mid, high) = (quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75));
    let range = high - low;
    // Quartiles closer than a tenth of the median are equal for our purpose: their skewness is noise.
    if range <= mid.abs() * 0.1 { 0.0 } else { (low + high - 2.0 * mid) / range }
}

/// Median absolute deviation about the median.
fn deviation(values: &[f64], median: f64) -> f64 {
    let mut distances: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
    distances.sort_unstable_by(f64::total_cmp);
    quantile(&distances, 0.5)
}

#[cfg(test)]
mod tests {
    use super::{BeaconingConfig, History, bowley, deviation, quantile};

    /// A small generator, so that the tables below are the same everywhere.
    fn noise(seed: &mut u64) -> f64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f64 / (1_u64 << 24) as f64
    }

    #[test]
    fn quartiles_as_textbooks_have_them() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        assert_eq!((quantile(&values, 0.25), quantile(&values, 0.5), quantile(&values, 0.75)), (2.5, 4.0, 5.5));
        assert_eq!((bowley(&values), deviation(&values, 4.0)), (0.0, 2.0));
        assert!(bowley(&[1.0, 1.0, 1.0, 2.0, 9.0, 30.0]) > 0.5);
    }

    #[test]
    fn beats_score_high_and_browsing_low() {
        type Next = fn(&mut u64) -> (f64, u32);
        let cases: [(&str, Next, bool); 6] = [
            ("a clock", |_| (60.0, 420), true),
            ("20 % jitter", |s| (48.0 + 24.0 * noise(s), 400 + (noise(s) * 20.0) as u32), true),
            ("50 % jitter, sizes vary", |s| (30.0 + 60.0 * noise(s), 400 + (noise(s) * 150.0) as u32), true),
            ("one order among the beats", |s| (60.0, if noise(s) < 0.05 { 9_000 } else { 420 }), true),
            ("visits at random times", |s| (-60.0 * (1.0 - noise(s)).ln(), 400 + (noise(s) * 4_000.0) as u32), false),
            (
                "pages and reading",
                |s| (if noise(s) < 0.7 { 1.0 + 2.0 * noise(s) } else { 20.0 + 200.0 * noise(s) }, 900),
                false,
            ),
        ];
        let config = BeaconingConfig::default();
        for (name, next, expected) in cases {
            for start in 0..20_u64 {
                let (mut seed, mut time, mut history) = (start * 77 + 5, 0.0, History::default());
                for _ in 0..30 {
                    let (interval, size) = next(&mut seed);
                    time += interval;
                    history.add((time * 1e6) as i64, size, config.connections_max);
                }
                let total = history.score(&config).map_or(0.0, |s| s.total);
                assert_eq!(total >= config.score_min, expected, "{name}: {total} with seed {start}");
            }
        }
    }
}
