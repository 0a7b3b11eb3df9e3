//! What the telemetry store knows of an address: with whom it talks, by which services, how much and when. It is read
//! beside everything else, because that is there at once and flows of a busy address take a while.

use std::cmp::Reverse;
use std::time::Duration;

use guardian_model::{Ip, Micros, Scope, TenantId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::kept::{Keep, Kept, Slots};
use super::query::{objects, run};
use crate::error::ApiResult;
use crate::state::ApiState;

/// Peers and ports named.
const TOP: usize = 20;
/// Steps of the traffic.
const STEPS: i64 = 60;
/// Beyond this span, sums by hour are fine enough.
const HOURLY: i64 = 2 * Micros::DAY;
/// Rows of one answer.
const ROWS_MAX: usize = 10_000;
/// Longest question, in seconds.
const SECONDS: u64 = 30;

/// Somebody that the entity talked to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PeerView {
    /// Address.
    pub(crate) value: String,
    /// Octets, both directions.
    pub(crate) bytes: u64,
    /// Flows.
    pub(crate) flows: u64,
}

/// A service that the entity used or offered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PortView {
    /// Destination port.
    pub(crate) port: u64,
    /// IP protocol number.
    pub(crate) protocol: u64,
    /// `offers` (others came to it) or `uses`.
    pub(crate) role: &'static str,
    /// Octets, both directions.
    pub(crate) bytes: u64,
    /// Flows.
    pub(crate) flows: u64,
}

/// Traffic of one step of time.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct TrafficStep {
    /// Beginning of the step, RFC 3339.
    pub(crate) start: String,
    /// Octets that it sent.
    pub(crate) bytes_out: u64,
    /// Octets that it received.
    pub(crate) bytes_in: u64,
    /// Flows.
    pub(crate) flows: u64,
}

/// What the telemetry store knows of an address in a span.
#[derive(Debug)]
pub(crate) struct AddressTraffic {
    /// Beginning of the span.
    pub(crate) from: Micros,
    /// End of the span.
    pub(crate) to: Micros,
    pub(crate) facts: serde_json::Map<String, Value>,
    pub(crate) flows: u64,
    pub(crate) bytes: u64,
    pub(crate) peers: Vec<PeerView>,
    pub(crate) ports: Vec<PortView>,
    pub(crate) traffic: Vec<TrafficStep>,
}

impl AddressTraffic {
    /// Nothing yet.
    pub(crate) fn none(from: Micros, to: Micros) -> Self {
        let step = |i| TrafficStep { start: (from + (to - from) / STEPS * i).to_string(), ..TrafficStep::default() };
        Self {
            from,
            to,
            facts: serde_json::Map::new(),
            flows: 0,
            bytes: 0,
            peers: Vec::new(),
            ports: Vec::new(),
            traffic: (0..STEPS).map(step).collect(),
        }
    }
}

/// An address of a tenant in a span, as it was asked for: without an end it is another span each moment.
type Key = (TenantId, Ip, Option<Micros>, Option<Micros>);

/// Traffic of addresses, kept until whoever asked has come for it.
pub(crate) type AddressSlots = Slots<Key, AddressTraffic>;

/// How long it is good for whoever asks for the same again.
const GOOD: Duration = Duration::from_secs(10);
/// What is read as fast as this is part of the first answer, whatever that is to wait.
const AT_ONCE: Duration = Duration::from_millis(40);

/// The traffic of an address, from a day before the end and until now by default; none where it is not there within
/// `patience`, and is being read.
pub(crate) async fn traffic_of(
    state: &ApiState,
    tenant: TenantId,
    ip: Ip,
    (from, to): (Option<Micros>, Option<Micros>),
    patience: Duration,
) -> ApiResult<Option<Kept<AddressTraffic>>> {
    let keep = Keep { good: GOOD, shown: GOOD, patience: patience.max(AT_ONCE), cheap: Duration::ZERO };
    let read = {
        let state = state.clone();
        async move {
            // One address at a time, so that whoever searches meanwhile does not wait behind all of them.
            let _turn = state.traffic.address_turn.lock().await;
            let (from, to) = span(&state, from, to);
            read(&state, &Scope::of(tenant), ip, from, to).await
        }
    };
    let kept = state.traffic.addresses.slot((tenant, ip, from, to)).get(state, keep, read).await?;
    // What is kept of an earlier answer is older than what is good while it is read again.
    Ok(kept.filter(|kept| state.clock.now() - kept.time <= GOOD.as_micros() as i64))
}

/// The span that is meant where an end of it is not told.
pub(crate) fn span(state: &ApiState, from: Option<Micros>, to: Option<Micros>) -> (Micros, Micros) {
    let to = to.unwrap_or_else(|| state.clock.now());
    (from.unwrap_or(to - Micros::DAY), to)
}

/// Both sides are asked apart, because `src_ip = x OR dst_ip = x` reads everything, and one after the other, because each
/// takes all the cores there are.
async fn read(state: &ApiState, scope: &Scope, ip: Ip, from: Micros, to: Micros) -> ApiResult<AddressTraffic> {
    let mut found = AddressTraffic::none(from, to);
    let as_source = side(state, scope, ip, true, from, to).await?;
    let as_target = side(state, scope, ip, false, from, to).await?;
    for (rows, outward) in [(&as_source, true), (&as_target, false)] {
        collect(&mut found, rows, outward, from, to);
    }
    // What is alike has an order too, so that asked twice the answer is the same.
    found.peers.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.value.cmp(&b.value)));
    found.peers.truncate(TOP);
    found.ports.sort_by_key(|p| (Reverse(p.flows), p.port, p.protocol, p.role));
    found.ports.truncate(TOP);
    Ok(found)
}

/// Volume, peers and ports of one side.
struct Side {
    volume: Vec<Value>,
    peers: Vec<Value>,
    ports: Vec<Value>,
}

async fn ask(state: &ApiState, scope: &Scope, sql: &str) -> ApiResult<Vec<Value>> {
    Ok(objects(run(state, scope, sql, ROWS_MAX, SECONDS).await?))
}

/// Where one's own address is, as the flows say.
fn facts_of(own: &str) -> String {
    format!("max({own}_country) AS country, max({own}_as) AS as_number, max({own}_as_org) AS as_name")
}

async fn side(state: &ApiState, scope: &Scope, ip: Ip, source: bool, from: Micros, to: Micros) -> ApiResult<Side> {
    let (own, other) = if source { ("src", "dst") } else { ("dst", "src") };
    // An `Ip` prints digits, letters of hexadecimal, dots and colons only.
    let which = format!("{own}_ip = '{ip}' AND received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}'");
    let unit = if to - from > HOURLY { "hour" } else { "minute" };
    // One reading for all three; whoever talked to so many that it does not fit is asked about one by one.
    let sums = "sum(bytes) AS b, sum(coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) AS rb, count(*) AS n, \
                min(received) AS first, max(received) AS last";
    let minute = format!("date_trunc('{unit}', received)");
    let facts = facts_of(own);
    let all = format!(
        "SELECT {minute} AS at, {other}_ip AS peer, dst_port AS port, protocol, {sums}, {facts} FROM flows WHERE {which} \
         GROUP BY GROUPING SETS (({minute}), ({other}_ip), (dst_port, protocol))"
    );
    let answer = run(state, scope, &all, ROWS_MAX, SECONDS).await?;
    let (volume, peers, ports) =
        if answer.truncated { apart(state, scope, &which, (own, other), unit).await? } else { parted(objects(answer)) };
    Ok(Side { volume, peers, ports })
}

type Parts = (Vec<Value>, Vec<Value>, Vec<Value>);

/// Volume, peers and ports out of one answer that has them all.
fn parted(rows: Vec<Value>) -> Parts {
    let whole = |row: &Value, key: &str| row.get(key).and_then(Value::as_u64).unwrap_or_default();
    let has = |row: &Value, key: &str| row.get(key).is_some_and(|value| !value.is_null());
    let (mut volume, mut peers, mut ports): Parts = (Vec::new(), Vec::new(), Vec::new());
    for mut row in rows {
        if has(&row, "at") {
            volume.push(row);
        } else {
            let both = whole(&row, "b") + whole(&row, "rb");
            if let Some(bytes) = row.get_mut("b") {
                *bytes = both.into();
            }
            match (has(&row, "peer"), has(&row, "port")) {
                (true, _) => peers.push(row),
                (false, true) => ports.push(row),
                // Without ports, as ICMP is.
                (false, false) => {}
            }
        }
    }
    peers.sort_by_cached_key(|row| (Reverse(whole(row, "b")), row["peer"].to_string()));
    ports.sort_by_key(|row| (Reverse(whole(row, "n")), whole(row, "port"), whole(row, "protocol")));
    peers.truncate(TOP);
    ports.truncate(TOP);
    (volume, peers, ports)
}

/// Volume, peers and ports, each asked for by itself.
async fn apart(
    state: &ApiState,
    scope: &Scope,
    which: &str,
    (own, other): (&str, &str),
    unit: &str,
) -> ApiResult<Parts> {
    let facts = facts_of(own);
    let volume = format!(
        "SELECT date_trunc('{unit}', received) AS at, sum(bytes) AS b, \
         sum(coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) AS rb, count(*) AS n, min(received) AS first, max(received) AS last, {facts} \
         FROM flows WHERE {which} GROUP BY 1"
    );
    let peers = format!(
        "SELECT {other}_ip AS peer, sum(bytes + coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) AS b, count(*) AS n FROM flows \
         WHERE {which} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {TOP}"
    );
    let ports = format!(
        "SELECT dst_port AS port, protocol, sum(bytes + coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) AS b, count(*) AS n FROM flows \
         WHERE {which} AND dst_port IS NOT NULL GROUP BY 1, 2 ORDER BY 4 DESC, 1, 2 LIMIT {TOP}"
    );
    tokio::try_join!(ask(state, scope, &volume), ask(state, scope, &peers), ask(state, scope, &ports))
}

fn collect(found: &mut AddressTraffic, rows: &Side, outward: bool, from: Micros, to: Micros) {
    let whole = |row: &Value, key: &str| row.get(key).and_then(Value::as_u64).unwrap_or_default();
    let width = ((to - from) / STEPS).max(1);
    for row in &rows.volume {
        let (sent, back, flows) = (whole(row, "b"), whole(row, "rb"), whole(row, "n"));
        found.flows += flows;
        found.bytes += sent + back;
        for fact in ["country", "as_number", "as_name"] {
            if let Some(value) = row.get(fact).filter(|value| !value.is_null()) {
                found.facts.entry(fact).or_insert_with(|| value.clone());
            }
        }
        for (key, earlier) in [("first", true), ("last", false)] {
            let name = if earlier { "first_seen" } else { "last_seen" };
            let Some(new) = row.get(key).and_then(Value::as_str) else { continue };
            let old = found.facts.get(name).and_then(Value::as_str);
            if old.is_none_or(|old| if earlier { new < old } else { new > old }) {
                found.facts.insert(name.to_owned(), new.into());
            }
        }
        let Some(at) = row.get("at").and_then(Value::as_str).and_then(Micros::parse) else { continue };
        let step = ((at - from) / width).clamp(0, STEPS - 1) as usize;
        if let Some(step) = found.traffic.get_mut(step) {
            step.flows += flows;
            step.bytes_out += if outward { sent } else { back };
            step.bytes_in += if outward { back } else { sent };
        }
    }
    for row in &rows.peers {
        let value = row.get("peer").and_then(Value::as_str).unwrap_or_default();
        match found.peers.iter_mut().find(|p| p.value == value) {
            Some(known) => {
                known.bytes += whole(row, "b");
                known.flows += whole(row, "n");
            }
            None => {
                found.peers.push(PeerView { value: value.to_owned(), bytes: whole(row, "b"), flows: whole(row, "n") })
            }
        }
    }
    found.ports.extend(rows.ports.iter().map(|row| PortView {
        port: whole(row, "port"),
        protocol: whole(row, "protocol"),
        role: if outward { "uses" } else { "offers" },
        bytes: whole(row, "b"),
        flows: whole(row, "n"),
    }));
}
