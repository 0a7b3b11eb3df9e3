//! Everything that is known about one thing, on one timeline: an address, a machine, an account, a name.

use axum::extract::State;
use guardian_catalog::{Alert, AlertFilter, AlertSort, Incident, ObservableKind, Presence};
use guardian_identity::Permission;
use guardian_model::{IncidentId, Ip, Micros, Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::{AlertView, parse_time};
use super::incident_view::{IncidentView, Lookup};
use super::query::{objects, run};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Alerts and incidents shown.
const SHOWN_MAX: u64 = 100;
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

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(entity))
}

/// Which time, and where.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EntityQuery {
    /// From this time on, RFC 3339; a day ago by default.
    pub(crate) from: Option<String>,
    /// Before this time, RFC 3339; now by default.
    pub(crate) to: Option<String>,
    /// Of this site only; empty is the main one.
    pub(crate) site: Option<String>,
}

/// Somebody that the entity talked to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PeerView {
    /// Address.
    pub(crate) value: String,
    /// Octets, both directions.
    pub(crate) bytes: u64,
    /// Flows.
    pub(crate) flows: u64,
}

/// A service that the entity used or offered.
#[derive(Debug, Serialize, ToSchema)]
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

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HappeningView {
    /// When, RFC 3339.
    pub(crate) time: String,
    /// alert or incident.
    pub(crate) kind: &'static str,
    /// How bad.
    pub(crate) severity: String,
    /// What happened.
    pub(crate) text: String,
    /// Id of the alert or incident.
    #[serde(rename = "ref")]
    pub(crate) reference: String,
}

/// How much is known.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct EntityCounts {
    /// Alerts, of all time.
    pub(crate) alerts: u64,
    /// Incidents, of all time.
    pub(crate) incidents: u64,
    /// Flows in the span.
    pub(crate) flows: u64,
    /// Octets in the span, both directions.
    pub(crate) bytes: u64,
}

/// Everything that is known about one thing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityPage {
    /// What sort of thing.
    pub(crate) kind: String,
    /// Its value.
    pub(crate) value: String,
    /// From this time on, RFC 3339.
    pub(crate) from: String,
    /// Before this time, RFC 3339.
    pub(crate) to: String,
    /// Country, autonomous system, first and last flow, as far as they are known.
    #[schema(value_type = Object)]
    pub(crate) facts: Value,
    /// How much is known.
    pub(crate) counts: EntityCounts,
    /// Alerts about it, most recent activity first, at most 100.
    pub(crate) alerts: Vec<AlertView>,
    /// Incidents about it, newest first, at most 100.
    pub(crate) incidents: Vec<IncidentView>,
    /// Whom it talked to, most octets first.
    pub(crate) peers: Vec<PeerView>,
    /// Services that it used and offered, most flows first.
    pub(crate) ports: Vec<PortView>,
    /// Traffic over time, in 60 steps.
    pub(crate) traffic: Vec<TrafficStep>,
    /// What happened, newest first.
    pub(crate) timeline: Vec<HappeningView>,
}

/// What the telemetry store knows of an address.
#[derive(Default)]
struct Flows {
    facts: serde_json::Map<String, Value>,
    flows: u64,
    bytes: u64,
    peers: Vec<PeerView>,
    ports: Vec<PortView>,
    traffic: Vec<TrafficStep>,
}

/// Show everything that is known about an address, machine, account or name
#[utoipa::path(get, path = "/entities/{kind}/{value}", tag = "entities", extensions(("x-permission" = json!("alerts:read"))),
    params(("kind" = String, Path, description = "ip, host, user, domain, hash, url, email, file or other"),
        ("value" = String, Path, description = "Its value"), EntityQuery),
    responses((status = 200, body = EntityPage), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn entity(
    State(state): State<ApiState>,
    caller: Caller,
    Path((kind, value)): Path<(String, String)>,
    Query(query): Query<EntityQuery>,
) -> ApiResult<Json<EntityPage>> {
    let tenant = caller.tenant(Permission::AlertsRead).await?;
    let scope = Scope::of(tenant);
    let held = caller.principal().permissions(tenant);
    let kind = kind.parse::<ObservableKind>().map_err(ApiError::invalid)?;
    let now = state.clock.now();
    let to = query.to.as_deref().map_or(Ok(now), |t| parse_time("to", t))?;
    let from = query.from.as_deref().map_or(Ok(to - Micros::DAY), |t| parse_time("from", t))?;
    if from >= to {
        return Err(ApiError::invalid("the time range is empty"));
    }
    // An address is written in its one canonical form, however the caller writes it; whoever sees pseudonyms names those.
    let asked = value;
    let value = caller.named(&asked);
    let address = if kind == ObservableKind::Ip { value.parse::<Ip>().ok() } else { None };
    if kind == ObservableKind::Ip && address.is_none() {
        return Err(ApiError::invalid(format!("`{asked}` is no IP address")));
    }
    let value = address.map_or(value, |ip| ip.to_string());
    let flows_of = async {
        match address.filter(|_| held.contains(Permission::FlowsRead)) {
            Some(ip) => flows(&state, &scope, ip, from, to).await,
            None => Ok(Flows::default()),
        }
    };
    let site = query.site.as_deref();
    let read_incidents = held.contains(Permission::IncidentsRead);
    let (flows, cases) = tokio::try_join!(flows_of, cases(&state, &scope, tenant, &value, site, read_incidents))?;
    let Cases { alerts, alerts_total, incidents, incidents_total } = cases;
    let timeline = happenings(&alerts, &incidents);
    let lookup = Lookup::load(&state, &scope, tenant).await?;
    Ok(Json(EntityPage {
        kind: kind.to_string(),
        value,
        from: from.to_string(),
        to: to.to_string(),
        facts: Value::Object(flows.facts),
        counts: EntityCounts {
            alerts: alerts_total,
            incidents: incidents_total,
            flows: flows.flows,
            bytes: flows.bytes,
        },
        alerts: alerts.into_iter().map(AlertView::from).collect(),
        incidents: incidents.into_iter().map(|i| IncidentView::new(i, &lookup, now)).collect(),
        peers: flows.peers,
        ports: flows.ports,
        traffic: flows.traffic,
        timeline,
    }))
}

/// Alerts and incidents about the entity.
struct Cases {
    alerts: Vec<Alert>,
    alerts_total: u64,
    incidents: Vec<Incident>,
    incidents_total: u64,
}

async fn cases(
    state: &ApiState,
    scope: &Scope,
    tenant: TenantId,
    value: &str,
    site: Option<&str>,
    read_incidents: bool,
) -> ApiResult<Cases> {
    let scoped = state.catalog.scoped(scope);
    let about =
        AlertFilter { entity_is: Some(value.to_owned()), suppressed: Presence::Include, ..AlertFilter::of(tenant) };
    let alerts_total = scoped.alert_counts(&about).await?.total;
    let mut alerts = scoped.alerts(&about, AlertSort::Activity, None, SHOWN_MAX).await?.items;
    alerts.retain(|a| site.is_none_or(|site| a.entity.site == site));
    let (mut incidents, mut incidents_total) = (Vec::new(), 0);
    if read_incidents {
        let ids = scoped.incidents_about(&[value.to_owned()], None).await?;
        incidents_total = ids.len() as u64;
        for id in ids.into_keys().rev().take(SHOWN_MAX as usize) {
            incidents.push(scoped.incident(IncidentId(id)).await?);
        }
    }
    Ok(Cases { alerts, alerts_total, incidents, incidents_total })
}

/// What happened, newest first.
fn happenings(alerts: &[Alert], incidents: &[Incident]) -> Vec<HappeningView> {
    let alert = |a: &Alert| {
        let view = HappeningView {
            time: a.last_seen.to_string(),
            kind: "alert",
            severity: a.rule.severity.to_string(),
            text: a.summary.clone(),
            reference: a.id.to_string(),
        };
        (a.last_seen, view)
    };
    let incident = |i: &Incident| {
        let view = HappeningView {
            time: i.created.to_string(),
            kind: "incident",
            severity: i.severity.to_string(),
            text: format!("#{} {}", i.number, i.title),
            reference: i.id.to_string(),
        };
        (i.created, view)
    };
    let mut all: Vec<_> = alerts.iter().map(alert).chain(incidents.iter().map(incident)).collect();
    all.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
    all.into_iter().map(|(_, view)| view).collect()
}

/// Both sides are asked apart, because `src_ip = x OR dst_ip = x` reads everything.
async fn flows(state: &ApiState, scope: &Scope, ip: Ip, from: Micros, to: Micros) -> ApiResult<Flows> {
    let mut found = Flows {
        traffic: (0..STEPS)
            .map(|i| TrafficStep { start: (from + (to - from) / STEPS * i).to_string(), ..TrafficStep::default() })
            .collect(),
        ..Flows::default()
    };
    let (as_source, as_target) =
        tokio::try_join!(side(state, scope, ip, true, from, to), side(state, scope, ip, false, from, to))?;
    for (rows, outward) in [(&as_source, true), (&as_target, false)] {
        collect(&mut found, rows, outward, from, to);
    }
    found.peers.sort_by_key(|p| std::cmp::Reverse(p.bytes));
    found.peers.truncate(TOP);
    found.ports.sort_by_key(|p| std::cmp::Reverse(p.flows));
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
    peers.sort_by_key(|row| std::cmp::Reverse(whole(row, "b")));
    ports.sort_by_key(|row| std::cmp::Reverse(whole(row, "n")));
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
         WHERE {which} GROUP BY 1 ORDER BY 2 DESC LIMIT {TOP}"
    );
    let ports = format!(
        "SELECT dst_port AS port, protocol, sum(bytes + coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) AS b, count(*) AS n FROM flows \
         WHERE {which} AND dst_port IS NOT NULL GROUP BY 1, 2 ORDER BY 4 DESC LIMIT {TOP}"
    );
    tokio::try_join!(ask(state, scope, &volume), ask(state, scope, &peers), ask(state, scope, &ports))
}

fn collect(found: &mut Flows, rows: &Side, outward: bool, from: Micros, to: Micros) {
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
