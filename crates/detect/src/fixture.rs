//! Fixtures: flows or events of hosts in a compact text form, for tests of rules. A fixture is a YAML list of patterns; each pattern makes
//! one or many flows. Pure and the same everywhere: even jitter comes from the row numbers.
//!
//! ```yaml
//! # 200 ports in two seconds, nothing answers but resets
//! - {src: 198.51.100.7, dst: 10.0.0.9, sport: 40000, dport: 1..200, every: 0.01, flags: S, bytes: 44,
//!    rev_flags: RA, rev_bytes: 40, rev_packets: 1}
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `at` | seconds after the fixture's beginning, 0 if absent |
//! | `repeat` | number of flows; the length of the longest range if absent |
//! | `every`, `jitter` | seconds between starts, 0.01 if absent; largest deviation as a fraction of it |
//! | `src`, `dst` | address, or a range of its last part: `10.0.0.1..50`; ranges are walked round and round |
//! | `sport`, `dport` | port or range; source ports count up from 40000 if absent |
//! | `proto` | `tcp` (if absent), `udp`, `icmp`, `icmp6` or a number; `icmp: 8/0` gives type and code |
//! | `flags`, `bytes`, `packets`, `duration` | letters of `FSRPAUEC`; numbers or ranges; seconds |
//! | `rev_flags`, `rev_bytes`, `rev_packets` | what came back |
//! | `direction`, `indicator`, `site`, `replay`, `source` | enrichment; direction follows from private addresses if absent; an indicator means the address outside |
//!
//! Events name their class; every other key is a column by its SQL or Sigma name, with a value, a range of numbers or
//! addresses, or a list that is walked round and round. `at`, `repeat`, `every` and `jitter` are as above. A fixture has
//! either flows or events.
//!
//! ```yaml
//! - {class: processes, image: /bin/sh, parent_image: /usr/sbin/nginx, command_line: sh -c id, user: www-data}
//! - {class: logins, service: sshd, success: false, user: [root, admin], src_ip: 203.0.113.9, repeat: 30, every: 2}
//! ```

use std::fmt;

use guardian_model::{Batch, FLOW, Ip, Micros, TenantId};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::fixture_events;
use crate::fixture_rows::{self, Row};

/// Time at which fixtures begin: 2026-01-05T09:00:00Z, a Monday.
pub const BEGINNING: Micros = Micros(1_767_603_600_000_000);
/// Most flows of one fixture.
pub const ROWS_MAX: usize = 200_000;

/// In which shape the flows arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One row for both directions, as our own meter and RFC 5103 exporters make them.
    Biflow,
    /// One row for each direction, as NetFlow v5 and v9 exporters make them.
    OneWay,
}

impl Shape {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Biflow, Self::OneWay];
}

/// What is wrong with a fixture.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// Not the form described above.
    #[error("not a fixture: {0}")]
    Form(String),
    /// A pattern that makes no sense.
    #[error("pattern {pattern}: {what}")]
    Pattern {
        /// Position of the pattern, from 1.
        pattern: usize,
        /// What is wrong.
        what: String,
    },
    /// More than [`ROWS_MAX`] flows.
    #[error("more than {ROWS_MAX} flows")]
    TooMany,
}

/// Flows made from patterns, in order of their ends, or events in order.
#[derive(Debug)]
pub struct Fixture {
    rows: Vec<Row>,
    events: Vec<fixture_events::Row>,
}

/// A number, a range or a name, kept as text.
#[derive(Clone, Debug)]
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Word;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or text")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Word, E> {
                Ok(Word(v.to_owned()))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Word, E> {
                Ok(Word(v.to_string()))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Word, E> {
                Ok(Word(v.to_string()))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Word, E> {
                Ok(Word(v.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pattern {
    #[serde(default)]
    at: f64,
    repeat: Option<usize>,
    #[serde(default = "every")]
    every: f64,
    #[serde(default)]
    jitter: f64,
    src: Word,
    dst: Word,
    sport: Option<Word>,
    dport: Option<Word>,
    proto: Option<Word>,
    icmp: Option<String>,
    flags: Option<String>,
    bytes: Option<Word>,
    packets: Option<Word>,
    #[serde(default)]
    duration: f64,
    rev_flags: Option<String>,
    rev_bytes: Option<Word>,
    rev_packets: Option<Word>,
    direction: Option<String>,
    indicator: Option<String>,
    site: Option<String>,
    replay: Option<String>,
    source: Option<String>,
}

fn every() -> f64 {
    0.01
}

/// Reads a fixture.
pub fn parse(text: &str) -> Result<Fixture, FixtureError> {
    if let Ok(patterns) = serde_saphyr::from_str::<Vec<fixture_events::Pattern>>(text)
        && patterns.first().is_some_and(|p| p.contains_key("class"))
    {
        return parse_events(&patterns);
    }
    let patterns: Vec<Pattern> = serde_saphyr::from_str(text).map_err(|e| FixtureError::Form(e.to_string()))?;
    let mut rows = Vec::new();
    for (i, pattern) in patterns.iter().enumerate() {
        let flows = pattern.flows().map_err(|what| FixtureError::Pattern { pattern: i + 1, what })?;
        rows.extend(flows);
        if rows.len() > ROWS_MAX {
            return Err(FixtureError::TooMany);
        }
    }
    rows.sort_by_key(|r| r.end);
    Ok(Fixture { rows, events: Vec::new() })
}

fn parse_events(patterns: &[fixture_events::Pattern]) -> Result<Fixture, FixtureError> {
    let mut events = Vec::new();
    for (i, pattern) in patterns.iter().enumerate() {
        let rows = fixture_events::rows(pattern).map_err(|what| FixtureError::Pattern { pattern: i + 1, what })?;
        events.extend(rows);
        if events.len() > ROWS_MAX {
            return Err(FixtureError::TooMany);
        }
    }
    events.sort_by_key(|r| r.time);
    Ok(Fixture { rows: Vec::new(), events })
}

impl Fixture {
    /// The flows as one batch, in the shape in which they were written: rows with `rev_` values are biflows.
    pub fn batch(&self, tenant: TenantId) -> Batch {
        batch_of(&self.rows, tenant)
    }

    /// The flows as batches of at most `rows_max` rows, in a shape; or the events, which have but one.
    pub fn batches(&self, tenant: TenantId, shape: Shape, rows_max: usize) -> Vec<Batch> {
        if !self.events.is_empty() {
            return fixture_events::batches(&self.events, tenant, rows_max);
        }
        let rows: Vec<Row> = match shape {
            Shape::Biflow => self.rows.clone(),
            Shape::OneWay => self.rows.iter().flat_map(Row::halves).collect(),
        };
        rows.chunks(rows_max.max(1)).map(|rows| batch_of(rows, tenant)).collect()
    }
}

fn batch_of(rows: &[Row], tenant: TenantId) -> Batch {
    let received = rows.iter().map(Row::received).max().unwrap_or(BEGINNING);
    Batch { tenant, class: &FLOW, received, rows: fixture_rows::record_batch(rows) }
}

impl Pattern {
    fn flows(&self) -> Result<Vec<Row>, String> {
        let (src, dst) = (addresses(&self.src.0)?, addresses(&self.dst.0)?);
        let dport = numbers(self.dport.as_ref(), 0)?;
        let sport = self.sport.as_ref().map(|w| numbers(Some(w), 0)).transpose()?;
        let (bytes, packets) = (numbers(self.bytes.as_ref(), 60)?, numbers(self.packets.as_ref(), 1)?);
        let biflow = self.rev_flags.is_some() || self.rev_bytes.is_some() || self.rev_packets.is_some();
        let (rev_bytes, rev_packets) = (numbers(self.rev_bytes.as_ref(), 0)?, numbers(self.rev_packets.as_ref(), 0)?);
        let protocol = protocol(self.proto.as_ref().map_or("tcp", |w| &w.0))?;
        let longest = src.len().max(dst.len()).max(dport.len()).max(sport.as_ref().map_or(1, Vec::len));
        let repeat = self.repeat.unwrap_or(longest);
        if repeat > ROWS_MAX {
            return Err(format!("repeat: at most {ROWS_MAX}"));
        }
        let (flags, rev_flags) = (flags(self.flags.as_deref())?, flags(self.rev_flags.as_deref())?);
        let icmp = self.icmp.as_deref().map(icmp).transpose()?;
        let has_ports = matches!(protocol, 6 | 17);
        let row = |i: usize| {
            let start = self.start(i);
            let (src, dst) = (src[i % src.len()], dst[i % dst.len()]);
            let sport = sport.as_ref().map_or(40_000 + (i as u64 % 20_000), |s| s[i % s.len()]);
            Row {
                start,
                end: start + (self.duration * Micros::SECOND as f64) as i64,
                src,
                dst,
                src_port: if has_ports { sport as u16 } else { 0 },
                dst_port: if has_ports { dport[i % dport.len()] as u16 } else { 0 },
                protocol,
                flags,
                bytes: bytes[i % bytes.len()],
                packets: packets[i % packets.len()],
                reverse: biflow
                    .then(|| (rev_bytes[i % rev_bytes.len()], rev_packets[i % rev_packets.len()], rev_flags)),
                icmp,
                direction: self.direction.clone().unwrap_or_else(|| direction(src, dst).to_owned()),
                indicator: self.indicator.clone(),
                indicator_ip: self.indicator.as_ref().map(|_| if is_home(dst) { src } else { dst }),
                site: self.site.clone(),
                replay: self.replay.clone(),
                source: self.source.clone().unwrap_or_else(|| "capture".to_owned()),
            }
        };
        Ok((0..repeat).map(row).collect())
    }

    fn start(&self, i: usize) -> Micros {
        instant(self.at, self.every, self.jitter, i)
    }
}

/// When the row of this number happens.
pub(crate) fn instant(at: f64, every: f64, jitter: f64, i: usize) -> Micros {
    // The row number, well mixed, stands in for chance (SplitMix64).
    let mut mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let chance = ((mixed ^ (mixed >> 31)) >> 40) as f64 / (1_u64 << 24) as f64 * 2.0 - 1.0;
    let seconds = at + every * (i as f64 + jitter * chance);
    BEGINNING + (seconds * Micros::SECOND as f64) as i64
}

fn numbers(word: Option<&Word>, default: u64) -> Result<Vec<u64>, String> {
    let Some(Word(text)) = word else { return Ok(vec![default]) };
    let number = |t: &str| t.trim().parse::<u64>().map_err(|_| format!("`{text}` is not a number or a range"));
    match text.split_once("..") {
        None => Ok(vec![number(text)?]),
        Some((low, high)) => {
            let (low, high) = (number(low)?, number(high)?);
            if low > high || high - low >= ROWS_MAX as u64 {
                return Err(format!("`{text}` is not a range"));
            }
            Ok((low..=high).collect())
        }
    }
}

pub(crate) fn addresses(text: &str) -> Result<Vec<Ip>, String> {
    let address = |t: &str| t.parse::<Ip>().map_err(|_| format!("`{t}` is not an address"));
    let Some((first, last)) = text.split_once("..") else { return Ok(vec![address(text)?]) };
    let first = address(first)?;
    let last: u8 = last.parse().map_err(|_| format!("`{text}`: a range ends with the last byte in decimal"))?;
    if last < first.0[15] {
        return Err(format!("`{text}` is not a range"));
    }
    let with_last = |byte| {
        let mut ip = first;
        ip.0[15] = byte;
        ip
    };
    Ok((first.0[15]..=last).map(with_last).collect())
}

fn protocol(text: &str) -> Result<u8, String> {
    match text {
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmp" => Ok(1),
        "icmp6" => Ok(58),
        number => number.parse().map_err(|_| format!("`{number}` is not a protocol")),
    }
}

fn icmp(text: &str) -> Result<(u8, u8), String> {
    let parts = text.split_once('/').and_then(|(t, c)| Some((t.parse().ok()?, c.parse().ok()?)));
    parts.ok_or_else(|| format!("`{text}` is not type/code"))
}

fn flags(text: Option<&str>) -> Result<u16, String> {
    text.unwrap_or("").chars().try_fold(0, |all, letter| {
        let bit = "FSRPAUEC".find(letter).ok_or_else(|| format!("`{letter}` is not a TCP flag"))?;
        Ok(all | 1 << bit)
    })
}

/// Private and link-local addresses (RFC 1918, RFC 4193, RFC 3927, RFC 4291).
fn is_home(ip: Ip) -> bool {
    match ip.to_std() {
        std::net::IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// The `direction` of a flow when the private ranges are the home networks.
pub fn direction(src: Ip, dst: Ip) -> &'static str {
    match (is_home(src), is_home(dst)) {
        (true, true) => "internal",
        (true, false) => "outbound",
        (false, true) => "inbound",
        (false, false) => "external",
    }
}

#[cfg(test)]
mod tests {
    use guardian_model::{TenantId, cell_text};

    use super::{Shape, parse};

    #[test]
    fn patterns_make_flows_in_both_shapes() {
        let text = "- {src: 198.51.100.7, dst: 10.0.0.1..3, dport: 22, flags: S, rev_flags: RA, rev_bytes: 40, rev_packets: 1}";
        let fixture = parse(text).unwrap();
        for (shape, rows) in [(Shape::Biflow, 3), (Shape::OneWay, 6)] {
            let batches = fixture.batches(TenantId::DEFAULT, shape, 4);
            assert_eq!(batches.iter().map(|b| b.rows.num_rows()).sum::<usize>(), rows);
        }
        let one_way = &fixture.batches(TenantId::DEFAULT, Shape::OneWay, 10)[0].rows;
        let cells =
            |name: &str| (0..2).map(|r| cell_text(one_way.column_by_name(name).unwrap(), r)).collect::<Vec<_>>();
        assert_eq!(cells("src_ip"), ["198.51.100.7", "10.0.0.1"]);
        assert_eq!(cells("direction"), ["inbound", "outbound"]);
        assert_eq!(cells("tcp_flags"), ["2", "20"]);
        assert_eq!(cells("rev_bytes"), ["", ""]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("- {src: 10.0.0.1}", "dst"),
            ("- {src: 10.0.0.300, dst: 10.0.0.1}", "not an address"),
            ("- {src: 10.0.0.3, dst: 10.0.0.1, flags: X}", "not a TCP flag"),
            ("- {src: 10.0.0.3, dst: 10.0.0.1, dport: 9..1}", "not a range"),
            ("- {src: 10.0.0.3, dst: 10.0.0.1, repeat: 90000000}", "at most"),
            ("- {src: 10.0.0.3, dst: 10.0.0.1, port: 9}", "port"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
