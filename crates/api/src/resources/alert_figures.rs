//! Alerts counted: by severity and status, as facets beside a list, over time, put together in groups; and what stands
//! behind and beside one alert.

use axum::extract::State;
use guardian_catalog::{
    AlertBucket, AlertFacets, AlertFilter, AlertGroup, AlertGrouping, AlertSort, BUCKETS_MAX, FacetValue, Presence,
};
use guardian_identity::Permission;
use guardian_model::{Micros, Severity};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::{AlertView, ListQuery, alert_id, parse_time};
use super::query::{objects, run_small};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Findings shown for one alert.
const FINDINGS_MAX: usize = 200;
/// Alerts shown beside one.
const SIMILAR_MAX: u64 = 50;
/// Longest search in the telemetry store, in seconds.
const SECONDS: u64 = 30;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(counts))
        .routes(routes!(facets))
        .routes(routes!(histogram))
        .routes(routes!(groups))
        .routes(routes!(findings))
        .routes(routes!(similar))
}

/// How many alerts there are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertCountsView {
    /// All that match.
    pub(crate) total: u64,
    /// By severity.
    #[schema(value_type = Object)]
    pub(crate) by_severity: Map<String, Value>,
    /// By status.
    #[schema(value_type = Object)]
    pub(crate) by_status: Map<String, Value>,
}

/// Count alerts by severity and status
#[utoipa::path(get, path = "/alerts/counts", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))), params(ListQuery),
    responses((status = 200, body = AlertCountsView), (status = 422, body = Problem)))]
async fn counts(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> ApiResult<Json<AlertCountsView>> {
    let scope = caller.scope(Permission::AlertsRead).await?;
    let filter = query.filter(&caller, state.clock.now())?;
    let counts = state.catalog.scoped(&scope).alert_counts(&filter).await?;
    Ok(Json(AlertCountsView {
        total: counts.total,
        by_severity: counts.by_severity.into_iter().map(|(s, n)| (s.to_string(), n.into())).collect(),
        by_status: counts.by_status.into_iter().map(|(s, n)| (s.as_str().to_owned(), n.into())).collect(),
    }))
}

/// One value that a list can be narrowed to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FacetView {
    /// What to filter by.
    pub(crate) value: String,
    /// What to show; empty when the value says it all.
    pub(crate) label: String,
    /// How many.
    pub(crate) count: u64,
}

impl From<FacetValue> for FacetView {
    fn from(facet: FacetValue) -> Self {
        Self { value: facet.value, label: facet.label, count: facet.count }
    }
}

/// Facets as the API shows them.
pub(crate) fn facet_views(values: Vec<FacetValue>) -> Vec<FacetView> {
    values.into_iter().map(FacetView::from).collect()
}

/// What a list of alerts can be narrowed to; the 20 most frequent values of each. A facet leaves its own part of the
/// filter out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertFacetsView {
    /// All that match.
    pub(crate) total: u64,
    /// Worst first.
    pub(crate) severity: Vec<FacetView>,
    /// In the order of work.
    pub(crate) status: Vec<FacetView>,
    /// Rule id and title.
    pub(crate) rule: Vec<FacetView>,
    /// What the alerts are about.
    pub(crate) entity: Vec<FacetView>,
    /// User id; empty is nobody.
    pub(crate) assignee: Vec<FacetView>,
    /// ATT&CK techniques and tactics.
    pub(crate) attack: Vec<FacetView>,
}

impl From<AlertFacets> for AlertFacetsView {
    fn from(facets: AlertFacets) -> Self {
        Self {
            total: facets.total,
            severity: facet_views(facets.severity),
            status: facet_views(facets.status),
            rule: facet_views(facets.rule),
            entity: facet_views(facets.entity),
            assignee: facet_views(facets.assignee),
            attack: facet_views(facets.attack),
        }
    }
}

/// What a list of alerts can be narrowed to
#[utoipa::path(get, path = "/alerts/facets", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))), params(ListQuery),
    responses((status = 200, body = AlertFacetsView), (status = 422, body = Problem)))]
async fn facets(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> ApiResult<Json<AlertFacetsView>> {
    let scope = caller.scope(Permission::AlertsRead).await?;
    let filter = query.filter(&caller, state.clock.now())?;
    Ok(Json(state.catalog.scoped(&scope).alert_facets(&filter).await?.into()))
}

/// How finely to count over time, beside the filter of the list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct Steps {
    /// Steps of time, at most 400; 60 by default.
    pub(crate) buckets: Option<i64>,
    /// As in the list.
    pub(crate) status: Option<String>,
    /// As in the list.
    pub(crate) severity: Option<String>,
    /// As in the list.
    pub(crate) severity_min: Option<String>,
    /// As in the list.
    pub(crate) rule: Option<String>,
    /// As in the list.
    pub(crate) entity: Option<String>,
    /// As in the list.
    pub(crate) assignee: Option<String>,
    /// As in the list.
    pub(crate) search: Option<String>,
    /// As in the list.
    pub(crate) replay: Option<String>,
    /// As in the list.
    pub(crate) suppressed: Option<String>,
    /// From this time on, RFC 3339; a day before `to` by default.
    pub(crate) from: Option<String>,
    /// Before this time, RFC 3339; now by default.
    pub(crate) to: Option<String>,
}

/// Alerts of one step of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BucketView {
    /// Beginning of the step, RFC 3339.
    pub(crate) start: String,
    /// Alerts of this severity.
    pub(crate) informational: u64,
    /// Alerts of this severity.
    pub(crate) low: u64,
    /// Alerts of this severity.
    pub(crate) medium: u64,
    /// Alerts of this severity.
    pub(crate) high: u64,
    /// Alerts of this severity.
    pub(crate) critical: u64,
    /// All of them.
    pub(crate) total: u64,
}

impl From<&AlertBucket> for BucketView {
    fn from(bucket: &AlertBucket) -> Self {
        Self {
            start: bucket.start.to_string(),
            informational: bucket.of(Severity::Informational),
            low: bucket.of(Severity::Low),
            medium: bucket.of(Severity::Medium),
            high: bucket.of(Severity::High),
            critical: bucket.of(Severity::Critical),
            total: bucket.total(),
        }
    }
}

/// Alerts over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Histogram {
    /// From this time on, RFC 3339.
    pub(crate) from: String,
    /// Before this time, RFC 3339.
    pub(crate) to: String,
    /// Length of a step.
    pub(crate) step_seconds: f64,
    /// The steps, oldest first; empty ones are there too.
    pub(crate) buckets: Vec<BucketView>,
}

/// Count alerts over time, by their last activity
#[utoipa::path(get, path = "/alerts/histogram", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))), params(Steps),
    responses((status = 200, body = Histogram), (status = 422, body = Problem)))]
async fn histogram(
    State(state): State<ApiState>,
    caller: Caller,
    Query(steps): Query<Steps>,
) -> ApiResult<Json<Histogram>> {
    let scope = caller.scope(Permission::AlertsRead).await?;
    let now = state.clock.now();
    let to = steps.to.as_deref().map_or(Ok(now), |t| parse_time("to", t))?;
    let from = steps.from.as_deref().map_or(Ok(to - Micros::DAY), |t| parse_time("from", t))?;
    let buckets = steps.buckets.unwrap_or(60).clamp(1, BUCKETS_MAX);
    let query = ListQuery {
        status: steps.status,
        severity: steps.severity,
        severity_min: steps.severity_min,
        rule: steps.rule,
        entity: steps.entity,
        assignee: steps.assignee,
        search: steps.search,
        replay: steps.replay,
        suppressed: steps.suppressed,
        ..ListQuery::default()
    };
    let filter = query.filter(&caller, now)?;
    let counted = state.catalog.scoped(&scope).alert_histogram(&filter, from, to, buckets).await?;
    Ok(Json(Histogram {
        from: from.to_string(),
        to: to.to_string(),
        step_seconds: (to - from) as f64 / buckets as f64 / 1e6,
        buckets: counted.iter().map(BucketView::from).collect(),
    }))
}

/// Alerts that have something in common.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupView {
    /// Rule id, entity, or incident id; null for alerts without an incident.
    pub(crate) value: Option<String>,
    /// Title of the rule; empty otherwise.
    pub(crate) label: String,
    /// How many.
    pub(crate) count: i64,
    /// How many of them nobody closed.
    pub(crate) open: i64,
    /// Severity of the worst.
    pub(crate) severity: String,
    /// First event, RFC 3339.
    pub(crate) first_seen: String,
    /// Last event, RFC 3339.
    pub(crate) last_seen: String,
}

impl From<AlertGroup> for GroupView {
    fn from(group: AlertGroup) -> Self {
        let severity = u8::try_from(group.severity).ok().and_then(Severity::from_id);
        Self {
            value: group.value,
            label: group.label,
            count: group.count,
            open: group.open,
            severity: severity.unwrap_or(Severity::Informational).to_string(),
            first_seen: Micros(group.first_seen).to_string(),
            last_seen: Micros(group.last_seen).to_string(),
        }
    }
}

/// Groups of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupList {
    /// The worst and largest first, at most 500.
    pub(crate) items: Vec<GroupView>,
}

/// What to put alerts together by, beside the filter of the list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GroupQuery {
    /// `rule` (default), `entity` or `incident`.
    pub(crate) by: Option<String>,
    /// As in the list.
    pub(crate) status: Option<String>,
    /// As in the list.
    pub(crate) severity: Option<String>,
    /// As in the list.
    pub(crate) rule: Option<String>,
    /// As in the list.
    pub(crate) entity: Option<String>,
    /// As in the list.
    pub(crate) assignee: Option<String>,
    /// As in the list.
    pub(crate) incident: Option<String>,
    /// As in the list.
    pub(crate) search: Option<String>,
    /// As in the list.
    pub(crate) from: Option<String>,
    /// As in the list.
    pub(crate) to: Option<String>,
}

/// Put alerts together by what they have in common
#[utoipa::path(get, path = "/alerts/groups", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))), params(GroupQuery),
    responses((status = 200, body = GroupList), (status = 422, body = Problem)))]
async fn groups(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<GroupQuery>,
) -> ApiResult<Json<GroupList>> {
    let scope = caller.scope(Permission::AlertsRead).await?;
    let by = query.by.as_deref().unwrap_or("rule").parse::<AlertGrouping>().map_err(ApiError::invalid)?;
    let list = ListQuery {
        status: query.status,
        severity: query.severity,
        rule: query.rule,
        entity: query.entity,
        assignee: query.assignee,
        incident: query.incident,
        search: query.search,
        from: query.from,
        to: query.to,
        ..ListQuery::default()
    };
    let filter = list.filter(&caller, state.clock.now())?;
    let groups = state.catalog.scoped(&scope).alert_groups(&filter, by).await?;
    Ok(Json(GroupList { items: groups.into_iter().map(GroupView::from).collect() }))
}

/// Findings that were grouped into an alert.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingList {
    /// Newest first, at most 200: time, count, summary, measures.
    #[schema(value_type = Vec<Object>)]
    pub(crate) items: Vec<Value>,
}

/// Show the findings that an alert groups, from the telemetry store
#[utoipa::path(get, path = "/alerts/{id}/findings", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))), params(("id" = String, Path, description = "Alert id")),
    responses((status = 200, body = FindingList), (status = 404, body = Problem)))]
async fn findings(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<FindingList>> {
    let scope = caller.scope(Permission::AlertsRead).await?;
    let alert = state.catalog.scoped(&scope).alert(alert_id(&id)?).await?.alert;
    // A key is 32 hexadecimal digits, and so fit for the text of a query.
    let sql = format!(
        "SELECT time, received, \"count\", summary, measures, first_seen, last_seen, retro, replay \
         FROM findings WHERE alert_key = '{}' ORDER BY time DESC LIMIT {FINDINGS_MAX}",
        alert.key
    );
    let of_tenant = guardian_model::Scope::of(alert.tenant);
    let items = objects(run_small(&state, &of_tenant, &sql, FINDINGS_MAX, SECONDS).await?);
    Ok(Json(FindingList { items }))
}

/// Alerts beside another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimilarList {
    /// Newest first, at most 50.
    pub(crate) items: Vec<AlertView>,
}

/// Show other alerts of the same rule or about the same entity
#[utoipa::path(get, path = "/alerts/{id}/similar", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))), params(("id" = String, Path, description = "Alert id")),
    responses((status = 200, body = SimilarList), (status = 404, body = Problem)))]
async fn similar(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<SimilarList>> {
    let scope = caller.scope(Permission::AlertsRead).await?;
    let scoped = state.catalog.scoped(&scope);
    let alert = scoped.alert(alert_id(&id)?).await?.alert;
    let base = AlertFilter { tenant: Some(alert.tenant), suppressed: Presence::Include, ..AlertFilter::default() };
    let by_rule = AlertFilter { rule_id: Some(alert.rule.id.clone()), ..base.clone() };
    let by_entity = AlertFilter { entity_is: Some(alert.entity.value.clone()), ..base };
    let mut found = scoped.alerts(&by_entity, AlertSort::Activity, None, SIMILAR_MAX).await?.items;
    found.extend(scoped.alerts(&by_rule, AlertSort::Activity, None, SIMILAR_MAX).await?.items);
    found.sort_by_key(|a| std::cmp::Reverse((a.last_seen, a.id)));
    found.dedup_by_key(|a| a.id);
    found.retain(|a| a.id != alert.id);
    found.truncate(SIMILAR_MAX as usize);
    Ok(Json(SimilarList { items: found.into_iter().map(AlertView::from).collect() }))
}
