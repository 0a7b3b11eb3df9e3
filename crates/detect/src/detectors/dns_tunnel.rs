//! DNS tunnelling by volume: name resolution that carries data. Ordinary queries are short and few; a tunnel sends
//! many long ones (or gets many long answers) between one host and one resolver. Works on sizes and counts alone, so it
//! needs no look into the packets, and must never count zone transfers (TCP answers) as tunnels.

use guardian_model::{Ip, Micros, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::large_upload::bytes_text;
use super::{Context, Descriptor, Detector, Firing, Measure, Size};
use crate::bounded::BoundedMap;
use crate::rows::{FlowRows, protocol};

pub(super) static DESCRIPTOR: Descriptor = Descriptor {
    id: "guardian.dns-tunnel",
    version: 1,
    title: "DNS tunnelling by volume",
    description: "One host exchanges unusually many and unusually large DNS messages with one resolver, as programs do \
        that carry other traffic inside names and answers.",
    level: Severity::High,
    tags: &["attack.command_and_control", "attack.exfiltration", "attack.t1071.004", "attack.t1572", "attack.t1048"],
    references: &["https://attack.mitre.org/techniques/T1071/004/", "https://www.rfc-editor.org/rfc/rfc1035"],
    falsepositives: &[
        "Mail or log servers that look up many long reverse names or block-list entries",
        "Security products that send file hashes as DNS names",
    ],
    next_steps: &[
        "Look at the names that the host asks for in the resolver's log: long random labels under one domain are data",
        "Find the program on the host; block the domain on the resolver",
        "Allow clients to use only your own resolvers",
    ],
    summary: "{src_ip} sent {queries} DNS queries of {query_bytes} bytes each to {dst_ip} in {span} s ({volume} in all)",
    alert_window: Micros::HOUR,
    parameters: |c| serde_json::to_value(&c.dns_tunnel).unwrap_or_default(),
    build: |c| Box::new(DnsTunnel::new(c.dns_tunnel.clone())),
};

/// Parameters of the detector of DNS tunnels. Sizes are those of IPv4 packets; IPv6 gets 20 bytes more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnsTunnelConfig {
    /// Time over which queries are added up, in seconds.
    pub window_secs: u32,
    /// Least queries within the window.
    pub queries_min: u64,
    /// Least bytes of queries and answers together within the window.
    pub bytes_min: u64,
    /// Least mean size of queries, in bytes.
    pub query_bytes_min: u64,
    /// Least multiple of the mean size of everybody else's queries, once enough of them were seen.
    pub others_factor: f64,
    /// Or: least mean size of UDP answers, in bytes ...
    pub answer_bytes_min: u64,
    /// ... of which there were at least so many bytes within the window.
    pub answer_volume_min: u64,
    /// Most pairs of client and resolver remembered per tenant and site.
    pub pairs_max: usize,
}

impl Default for DnsTunnelConfig {
    fn default() -> Self {
        Self {
            window_secs: 300,
            queries_min: 150,
            bytes_min: 60_000,
            query_bytes_min: 130,
            others_factor: 1.4,
            answer_bytes_min: 600,
            answer_volume_min: 500_000,
            pairs_max: 20_000,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Pair {
    client: Ip,
    server: Ip,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Volume {
    since: i64,
    first_seen: i64,
    last_seen: i64,
    queries: u64,
    query_bytes: u64,
    answers: u64,
    answer_bytes: u64,
}

/// Queries of everybody, for comparison; halved when full, so that the present counts more.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Everybody {
    queries: u64,
    bytes: u64,
}

struct DnsTunnel {
    config: DnsTunnelConfig,
    pairs: BoundedMap<Pair, Volume>,
    /// Who answered queries lately: a resolver that forwards what its clients ask is not the tunnel's end.
    servers: BoundedMap<Ip, i64>,
    everybody: Everybody,
}

const PORT: u16 = 53;
/// What an IPv6 header is longer than an IPv4 one.
const V6_EXTRA: u64 = 20;

impl DnsTunnel {
    fn new(config: DnsTunnelConfig) -> Self {
        Self {
            pairs: BoundedMap::new(config.pairs_max),
            servers: BoundedMap::new(config.pairs_max),
            everybody: Everybody::default(),
            config,
        }
    }

    /// What a resolver asks on behalf of its clients is no measure of what hosts ask: a tunnel that goes through it
    /// would be measured by itself.
    fn found_resolver(&mut self, server: Ip) {
        for (pair, volume) in self.pairs.iter().filter(|(pair, _)| pair.client == server) {
            let bytes = without_extra(pair, volume.queries, volume.query_bytes);
            self.everybody.queries = self.everybody.queries.saturating_sub(volume.queries);
            self.everybody.bytes = self.everybody.bytes.saturating_sub(bytes);
        }
    }

    /// Whether the volume is a tunnel's.
    fn holds(&self, pair: &Pair, volume: &Volume) -> bool {
        let (config, extra) = (&self.config, if pair.client.is_v4() { 0 } else { V6_EXTRA });
        if volume.queries < config.queries_min || volume.query_bytes + volume.answer_bytes < config.bytes_min {
            return false;
        }
        let mean = volume.query_bytes / volume.queries;
        let others = Everybody {
            queries: self.everybody.queries.saturating_sub(volume.queries),
            bytes: self.everybody.bytes.saturating_sub(volume.query_bytes),
        };
        let longer = others.queries < config.queries_min
            || mean as f64 >= config.others_factor * (others.bytes as f64 / others.queries as f64);
        let long_queries = mean >= config.query_bytes_min + extra && longer;
        let long_answers = volume.answer_bytes >= config.answer_volume_min
            && volume.answer_bytes / volume.answers.max(1) >= config.answer_bytes_min + extra;
        long_queries || long_answers
    }
}

/// Bytes of queries as if they had IPv4 headers.
fn without_extra(pair: &Pair, queries: u64, bytes: u64) -> u64 {
    if pair.client.is_v4() { bytes } else { bytes.saturating_sub(V6_EXTRA * queries) }
}

/// What one row adds: who asked whom, and the four sums.
fn exchange(rows: &FlowRows<'_>, row: usize) -> Option<(Pair, [u64; 4])> {
    if !matches!(rows.protocol[row], protocol::UDP | protocol::TCP) {
        return None;
    }
    let udp = rows.protocol[row] == protocol::UDP;
    let (bytes, packets) = (rows.bytes[row], rows.packets[row]);
    if rows.dst_port[row] == PORT {
        let pair = Pair { client: rows.src(row), server: rows.dst(row) };
        let answers = if udp { rows.rev_packets(row).zip(rows.rev_bytes(row)) } else { None }.unwrap_or((0, 0));
        Some((pair, [packets, bytes, answers.0, answers.1]))
    } else if rows.src_port[row] == PORT && udp {
        Some((Pair { client: rows.dst(row), server: rows.src(row) }, [0, 0, packets, bytes]))
    } else {
        None
    }
}

impl Detector for DnsTunnel {
    fn row(&mut self, context: &Context<'_>) -> Option<Firing> {
        let (rows, row, time) = (context.rows, context.row, context.time.0);
        if rows.dst_port[row] != PORT && rows.src_port[row] != PORT {
            return None;
        }
        let (pair, [queries, query_bytes, answers, answer_bytes]) = exchange(rows, row)?;
        let window = i64::from(self.config.window_secs.max(1)) * Micros::SECOND;
        let start = rows.start[row].min(time);
        let fresh = || Volume { since: time, first_seen: start, last_seen: time, ..Volume::default() };
        if self.servers.get(&pair.server).is_none() {
            self.found_resolver(pair.server);
        }
        *self.servers.entry(&pair.server, || time).0 = time;
        let (volume, _) = self.pairs.entry(&pair, fresh);
        if time.saturating_sub(volume.since) >= window {
            *volume = fresh();
        }
        volume.first_seen = volume.first_seen.min(start);
        volume.last_seen = volume.last_seen.max(time);
        volume.queries += queries;
        volume.query_bytes = volume.query_bytes.saturating_add(query_bytes);
        volume.answers += answers;
        volume.answer_bytes = volume.answer_bytes.saturating_add(answer_bytes);
        let volume = *volume;
        let forwarded = self.servers.get(&pair.client).is_some();
        if !forwarded {
            self.everybody.add(queries, without_extra(&pair, queries, query_bytes));
        }
        if forwarded || !self.holds(&pair, &volume) {
            return None;
        }
        Some(firing(&pair, &volume))
    }

    fn expire(&mut self, watermark: Micros) {
        let keep = 2 * i64::from(self.config.window_secs) * Micros::SECOND;
        self.pairs.retain(|_, v| watermark.0.saturating_sub(v.last_seen) < keep, |_, _| {});
        self.servers.retain(|_, last| watermark.0.saturating_sub(*last) < Micros::DAY, |_, _| {});
    }

    fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&(self.pairs.save()?, self.servers.save()?, self.everybody))
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), postcard::Error> {
        let (pairs, servers, everybody): (Vec<u8>, Vec<u8>, _) = postcard::from_bytes(bytes)?;
        self.pairs = BoundedMap::load(self.config.pairs_max, &pairs)?;
        self.servers = BoundedMap::load(self.config.pairs_max, &servers)?;
        self.everybody = everybody;
        Ok(())
    }

    fn size(&self) -> Size {
        Size {
            groups: self.pairs.len() as u64,
            evicted: self.pairs.evicted() + self.servers.evicted(),
            late: 0,
            bytes: (self.pairs.bytes() + self.servers.bytes()) as u64,
        }
    }
}

impl Everybody {
    fn add(&mut self, queries: u64, bytes: u64) {
        const FULL: u64 = 200_000;
        self.queries = self.queries.saturating_add(queries);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.queries > FULL {
            (self.queries, self.bytes) = (self.queries / 2, self.bytes / 2);
        }
    }
}

fn firing(pair: &Pair, volume: &Volume) -> Firing {
    let span = (volume.last_seen - volume.first_seen).max(Micros::SECOND) / Micros::SECOND;
    Firing {
        first_seen: Micros(volume.first_seen),
        group: vec![("src_ip", pair.client.to_string()), ("dst_ip", pair.server.to_string())],
        entity: pair.client,
        measures: vec![
            ("queries", Measure::Count(volume.queries)),
            ("query_bytes", Measure::Count(volume.query_bytes / volume.queries.max(1))),
            ("answers", Measure::Count(volume.answers)),
            ("answer_bytes", Measure::Count(volume.answer_bytes / volume.answers.max(1))),
            ("span", Measure::Count(span as u64)),
            ("volume", Measure::Text(bytes_text(volume.query_bytes.saturating_add(volume.answer_bytes)))),
        ],
    }
}
