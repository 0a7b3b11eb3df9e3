//! Everything that is known about one thing, on one timeline: an address, a machine, an account, a name.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use guardian_catalog::{
    Alert, AlertFilter, AlertSort, Incident, IncidentFilter, IncidentOrder, IncidentSort, ObservableKind, Presence,
};
use guardian_identity::Permission;
use guardian_model::{IncidentId, Ip, Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::{AlertView, parse_time};
use super::entity_traffic::{AddressTraffic, PeerView, PortView, TrafficStep, span, traffic_of};
use super::incident_view::{IncidentView, Lookup};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Alerts and incidents shown.
const SHOWN_MAX: u64 = 100;
/// Longest wait for flows, in seconds.
const WAIT_MAX: u64 = 30;

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
    /// Seconds to wait for its flows, at most 30, which is the default. With 0 the answer comes with what is known
    /// at once; where `flows_read` is null then, ask again.
    pub(crate) wait: Option<u64>,
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
    /// When its flows were read, RFC 3339; null while they are being read: facts, peers, ports and traffic are not
    /// there yet.
    pub(crate) flows_read: Option<String>,
    /// Whom it talked to, most octets first.
    pub(crate) peers: Vec<PeerView>,
    /// Services that it used and offered, most flows first.
    pub(crate) ports: Vec<PortView>,
    /// Traffic over time, in 60 steps.
    pub(crate) traffic: Vec<TrafficStep>,
    /// What happened, newest first.
    pub(crate) timeline: Vec<HappeningView>,
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
    let time = |name, text: Option<&str>| text.map(|text| parse_time(name, text)).transpose();
    let asked_for = (time("from", query.from.as_deref())?, time("to", query.to.as_deref())?);
    let (from, to) = span(&state, asked_for.0, asked_for.1);
    if from >= to {
        return Err(ApiError::invalid("the time range is empty"));
    }
    let wait = query.wait.unwrap_or(WAIT_MAX);
    if wait > WAIT_MAX {
        return Err(ApiError::invalid(format!("`wait` is at most {WAIT_MAX} seconds")));
    }
    // An address is written in its one canonical form, however the caller writes it; whoever sees pseudonyms names those.
    let asked = value;
    let value = caller.named(&asked);
    let address = if kind == ObservableKind::Ip { value.parse::<Ip>().ok() } else { None };
    if kind == ObservableKind::Ip && address.is_none() {
        return Err(ApiError::invalid(format!("`{asked}` is no IP address")));
    }
    let value = address.map_or(value, |ip| ip.to_string());
    let traffic = async {
        let Some(ip) = address.filter(|_| held.contains(Permission::FlowsRead)) else {
            return Ok((Arc::new(AddressTraffic::none(from, to)), Some(state.clock.now())));
        };
        let kept = traffic_of(&state, tenant, ip, asked_for, Duration::from_secs(wait)).await?;
        Ok(match kept {
            Some(kept) => (Arc::clone(&kept.figures), Some(kept.time)),
            None => (Arc::new(AddressTraffic::none(from, to)), None),
        })
    };
    let site = query.site.as_deref();
    let read_incidents = held.contains(Permission::IncidentsRead);
    let cases = cases(&state, &scope, tenant, &value, site, read_incidents);
    let ((traffic, flows_read), cases) = tokio::try_join!(traffic, cases)?;
    let Cases { alerts, alerts_total, incidents, incidents_total } = cases;
    let timeline = happenings(&alerts, &incidents);
    let lookup = Lookup::load(&state, &scope, tenant).await?;
    let now = state.clock.now();
    Ok(Json(EntityPage {
        kind: kind.to_string(),
        value,
        from: traffic.from.to_string(),
        to: traffic.to.to_string(),
        facts: Value::Object(traffic.facts.clone()),
        counts: EntityCounts {
            alerts: alerts_total,
            incidents: incidents_total,
            flows: traffic.flows,
            bytes: traffic.bytes,
        },
        alerts: alerts.into_iter().map(AlertView::from).collect(),
        incidents: incidents.into_iter().map(|i| IncidentView::new(i, &lookup, now)).collect(),
        flows_read: flows_read.map(|time| time.to_string()),
        peers: traffic.peers.clone(),
        ports: traffic.ports.clone(),
        traffic: traffic.traffic.clone(),
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
        // Ids are in the order of time.
        let ids = ids.into_keys().rev().take(SHOWN_MAX as usize).map(IncidentId).collect();
        let these = IncidentFilter { ids, merged: true, ..IncidentFilter::default() };
        if !these.ids.is_empty() {
            let newest = IncidentOrder { by: IncidentSort::Newest, ascending: false };
            incidents = scoped.incidents(&these, newest, None, SHOWN_MAX).await?.items;
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
