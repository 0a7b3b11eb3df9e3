//! Merging incidents, undoing it, and the report.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use guardian_identity::Permission;
use guardian_model::IncidentId;
use guardian_respond::pdf;
use guardian_respond::report::{Sources, report};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::incident_view::{IncidentView, Place, locate};
use super::reports::{Press, language};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Incidents merged by one request.
const SOURCES_MAX: usize = 50;
/// Entries of a report's timeline.
const TIMELINE_MAX: usize = 5_000;
/// Entries read at once.
const PIECE: u64 = 500;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(merge)).routes(routes!(list)).routes(routes!(undo)).routes(routes!(make_report))
}

/// What to merge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergeRequest {
    /// The version of the target that the caller saw.
    pub(crate) version: i32,
    /// The incidents that become part of it, at most 50.
    pub(crate) from: Vec<Uuid>,
}

/// Merge other incidents into this one; nothing is lost, and it can be undone
#[utoipa::path(post, path = "/incidents/{id}/merge", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = MergeRequest,
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = IncidentView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn merge(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<MergeRequest>,
) -> ApiResult<Json<IncidentView>> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    if body.from.is_empty() || body.from.len() > SOURCES_MAX {
        return Err(ApiError::invalid(format!("`from`: 1 to {SOURCES_MAX} incidents")));
    }
    let sources: Vec<IncidentId> = body.from.into_iter().map(IncidentId).collect();
    let mut tx = place.begin(&state, &caller).await?;
    if let Err(error) = tx.merge_incidents(place.id(), body.version, &sources).await {
        drop(tx);
        return Err(ApiError::from(error).with_current(&place.view(&state).await?));
    }
    tx.commit().await?;
    Ok(Json(place.view(&state).await?))
}

/// How much a merge moved.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MovedView {
    /// Alerts.
    pub(crate) alerts: usize,
    /// Entries of the timeline.
    pub(crate) entries: usize,
    /// Tasks.
    pub(crate) tasks: usize,
    /// Files.
    pub(crate) evidence: usize,
    /// Entities that people added or wrote about.
    pub(crate) entities: usize,
}

/// That an incident was merged into another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MergeView {
    /// Identity.
    pub(crate) id: String,
    /// The incident that became part of this one.
    pub(crate) source: String,
    /// Its number.
    pub(crate) source_number: i64,
    /// Its title.
    pub(crate) source_title: String,
    /// When, RFC 3339.
    pub(crate) time: String,
    /// Who did it.
    pub(crate) actor: String,
    /// What moved.
    pub(crate) moved: MovedView,
    /// When it was undone, RFC 3339.
    pub(crate) undone: Option<String>,
    /// Who undid it.
    pub(crate) undone_by: Option<String>,
}

/// Merges of an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MergeList {
    /// Newest first.
    pub(crate) items: Vec<MergeView>,
}

/// List what was merged into an incident
#[utoipa::path(get, path = "/incidents/{id}/merges", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = MergeList), (status = 404, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<MergeList>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let scoped = state.catalog.scoped(&place.scope);
    let mut items = Vec::new();
    for one in scoped.incident_merges(place.id()).await? {
        let source = scoped.incident(one.source).await?;
        items.push(MergeView {
            id: one.id.to_string(),
            source: one.source.to_string(),
            source_number: source.number,
            source_title: source.title,
            time: one.time.to_string(),
            actor: one.actor,
            moved: MovedView {
                alerts: one.moved.alerts.len(),
                entries: one.moved.entries.len(),
                tasks: one.moved.tasks.len(),
                evidence: one.moved.evidence.len(),
                entities: one.moved.entities.len(),
            },
            undone: one.undone.map(|t| t.to_string()),
            undone_by: one.undone_by,
        });
    }
    Ok(Json(MergeList { items }))
}

/// Undo a merge: what it moved goes back
#[utoipa::path(post, path = "/incidents/{id}/merges/{merge}/undo", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))),
    params(("id" = String, Path, description = "Incident id or number"), ("merge" = String, Path, description = "Merge id")),
    responses((status = 200, body = IncidentView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn undo(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, merge)): Path<(String, String)>,
) -> ApiResult<Json<IncidentView>> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let merge: Uuid = merge.parse().map_err(|_| ApiError::not_found("merge"))?;
    let mut tx = place.begin(&state, &caller).await?;
    tx.undo_merge(place.id(), merge).await?;
    tx.commit().await?;
    Ok(Json(place.view(&state).await?))
}

/// In which form.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReportQuery {
    /// `json` (default), `markdown` or `pdf`.
    pub(crate) format: Option<String>,
    /// The language of a PDF: en (default) or de.
    pub(crate) language: Option<String>,
}

/// Write the post-incident report
#[utoipa::path(get, path = "/incidents/{id}/report", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number"), ReportQuery),
    responses((status = 200, description = "The report, as JSON, Markdown or PDF", body = Object, content_type = "application/json"),
        (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn make_report(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ReportQuery>,
) -> ApiResult<Response> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let format = query.format.as_deref().unwrap_or("json");
    if !matches!(format, "json" | "markdown" | "pdf") {
        return Err(ApiError::invalid(format!("`format`: `{format}` is not json, markdown or pdf")));
    }
    let language = language(query.language.as_deref())?;
    let made = build(&state, &caller, &place).await?;
    let mut tx = place.begin(&state, &caller).await?;
    tx.note("incident.report", guardian_catalog::Subject::Incident, &place.id().to_string(), serde_json::Value::Null);
    tx.commit().await?;
    if format == "pdf" {
        let (severity, status) = (place.incident.severity, place.incident.status);
        let name = format!("incident-{}.pdf", made.number);
        let press = Press::new(&state, &caller, place.tenant(), language).await?;
        return press.print(&name, move |sheet| pdf::incident(&made, severity, status.as_str(), sheet)).await;
    }
    if format == "markdown" {
        return Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], made.markdown()).into_response());
    }
    Ok(Json(made).into_response())
}

async fn build(state: &ApiState, caller: &Caller, place: &Place) -> ApiResult<guardian_respond::report::Report> {
    let scoped = state.catalog.scoped(&place.scope);
    let lookup = place.lookup(state).await?;
    let mut timeline = Vec::new();
    let mut at = None;
    loop {
        let (page, next) = scoped.incident_entries(place.id(), &[], true, at.as_ref(), PIECE).await?;
        timeline.extend(page);
        at = next;
        if at.is_none() || timeline.len() >= TIMELINE_MAX {
            break;
        }
    }
    Ok(report(&Sources {
        incident: &place.incident,
        alerts: &scoped.incident_alerts(place.id()).await?,
        timeline: &timeline,
        entities: &scoped.incident_entities(place.id()).await?,
        tasks: &scoped.incident_tasks(place.id()).await?,
        evidence: &scoped.incident_evidence(place.id()).await?,
        names: lookup.names(),
        policy: &lookup.policy,
        now: state.clock.now(),
        author: &caller.principal().name,
    }))
}
