//! Incidents: list, board, make, look, edit, watch. Their parts are in the files beside this one.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{
    Incident, IncidentCursor, IncidentFilter, IncidentKind, IncidentOrder, IncidentOrigin, IncidentPatch,
    IncidentStatus, Joining, NewIncident, ReplayFilter, SlaDue, SlaFilter, Verdict,
};
use guardian_identity::Permission;
use guardian_model::{AlertId, Micros, Scope, Severity};
use guardian_respond::sla::SlaPolicy;
use guardian_respond::{IncidentSettings, templates};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alert_figures::{FacetView, facet_views};
use super::alerts::{parse_time, person, user_id, words};
use super::incident_view::{IncidentView, Lookup, Place, locate, nullable};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Incidents of one column of the board.
const COLUMN_MAX: u64 = 100;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(facets))
        .routes(routes!(board))
        .routes(routes!(get, update))
        .routes(routes!(watch, unwatch))
        .routes(routes!(add_watcher, remove_watcher))
}

/// Which incidents to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IncidentQuery {
    /// `open`, or any of new, triaged, contained, resolved, closed, reopened, separated by commas.
    pub(crate) status: Option<String>,
    /// Any of these severities, separated by commas.
    pub(crate) severity: Option<String>,
    /// At least this severity.
    pub(crate) severity_min: Option<String>,
    /// Any of these kinds, separated by commas.
    pub(crate) kind: Option<String>,
    /// User id of whoever leads the work, `me`, or `none`.
    pub(crate) owner: Option<String>,
    /// Only those that the caller watches.
    pub(crate) watching: Option<bool>,
    /// With this tag.
    pub(crate) tag: Option<String>,
    /// About an entity that contains this text.
    pub(crate) entity: Option<String>,
    /// With this ATT&CK technique or tactic.
    pub(crate) attack: Option<String>,
    /// `warning` or `breached`.
    pub(crate) sla: Option<String>,
    /// `include` (default), `exclude`, `only`, or the name of a replay.
    pub(crate) replay: Option<String>,
    /// With events at or after this time, RFC 3339.
    pub(crate) from: Option<String>,
    /// With events before this time, RFC 3339.
    pub(crate) to: Option<String>,
    /// Whose title, summary, resolution or number contains this text.
    pub(crate) search: Option<String>,
    /// `include` lists those that became part of another, too.
    pub(crate) merged: Option<String>,
    /// `newest` (default), `updated`, `severity`, `number`, `sla`, `title` or `status`, largest first; a dash before it
    /// turns the order around.
    pub(crate) sort: Option<String>,
    /// Most incidents to answer with, at most 500; on the board, of each column, at most 100.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`. Filter and order come from the cursor.
    pub(crate) cursor: Option<String>,
}

impl IncidentQuery {
    pub(crate) fn filter(&self, caller: &Caller) -> ApiResult<IncidentFilter> {
        let time = |name: &str, text: &Option<String>| text.as_deref().map(|t| parse_time(name, t)).transpose();
        let status = match self.status.as_deref() {
            Some("open") => IncidentStatus::open(),
            other => words(other)?,
        };
        let (owner, unowned) = person(caller, self.owner.as_deref())?;
        let watcher = self.watching.filter(|w| *w).map(|_| user_id(caller, "me")).transpose()?;
        let severity_min = self.severity_min.as_deref().map(str::parse::<Severity>).transpose();
        Ok(IncidentFilter {
            status,
            severity: words(self.severity.as_deref())?,
            severity_min: severity_min.map_err(ApiError::invalid)?,
            kind: words(self.kind.as_deref())?,
            owner,
            unowned,
            watcher,
            tag: self.tag.clone(),
            entity: self.entity.as_deref().map(|entity| caller.named(entity)),
            attack: self.attack.clone(),
            sla: self.sla.as_deref().map(str::parse::<SlaFilter>).transpose().map_err(ApiError::invalid)?,
            replay: match self.replay.as_deref() {
                None | Some("include") => ReplayFilter::Include,
                Some("exclude") => ReplayFilter::Exclude,
                Some("only") => ReplayFilter::Only,
                Some(name) => ReplayFilter::Named(name.to_owned()),
            },
            from: time("from", &self.from)?,
            to: time("to", &self.to)?,
            search: self.search.as_deref().map(|text| caller.searched(text)),
            merged: self.merged.as_deref() == Some("include"),
            ..IncidentFilter::default()
        })
    }

    fn order(&self) -> ApiResult<IncidentOrder> {
        self.sort.as_deref().unwrap_or("newest").parse().map_err(ApiError::invalid)
    }
}

/// What a cursor carries.
#[derive(Serialize, Deserialize)]
struct Cursor {
    place: IncidentCursor,
    filter: IncidentFilter,
}

/// One page of incidents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentList {
    /// The incidents.
    pub(crate) items: Vec<IncidentView>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List incidents
#[utoipa::path(get, path = "/incidents", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))), params(IncidentQuery),
    responses((status = 200, body = IncidentList), (status = 422, body = Problem), (status = 403, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<IncidentQuery>,
) -> ApiResult<Json<IncidentList>> {
    let scope = caller.scope(Permission::IncidentsRead).await?;
    let (filter, order, place) = match &query.cursor {
        Some(text) => {
            let cursor: Cursor = state.cursors.open(text)?;
            (cursor.filter, cursor.place.order, Some(cursor.place))
        }
        None => (query.filter(&caller)?, query.order()?, None),
    };
    let limit = query.limit.unwrap_or(50);
    let page = state.catalog.scoped(&scope).incidents(&filter, order, place.as_ref(), limit).await?;
    let next_cursor = page.next.map(|place| state.cursors.seal(&Cursor { place, filter })).transpose()?;
    let lookup = Lookup::load(&state, &scope, caller.current_tenant()).await?;
    let now = state.clock.now();
    let items = page.items.into_iter().map(|incident| IncidentView::new(incident, &lookup, now)).collect();
    Ok(Json(IncidentList { items, next_cursor }))
}

/// What a list of incidents can be narrowed to; a facet leaves its own part of the filter out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentFacetsView {
    /// All that match.
    pub(crate) total: u64,
    /// Worst first.
    pub(crate) severity: Vec<FacetView>,
    /// In the order of work.
    pub(crate) status: Vec<FacetView>,
    /// What sort.
    pub(crate) kind: Vec<FacetView>,
    /// User id and name; empty is nobody.
    pub(crate) owner: Vec<FacetView>,
    /// Most frequent first.
    pub(crate) tag: Vec<FacetView>,
    /// warning and breached.
    pub(crate) sla: Vec<FacetView>,
}

/// What a list of incidents can be narrowed to
#[utoipa::path(get, path = "/incidents/facets", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))), params(IncidentQuery),
    responses((status = 200, body = IncidentFacetsView), (status = 422, body = Problem)))]
async fn facets(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<IncidentQuery>,
) -> ApiResult<Json<IncidentFacetsView>> {
    let scope = caller.scope(Permission::IncidentsRead).await?;
    let facets = state.catalog.scoped(&scope).incident_facets(&query.filter(&caller)?).await?;
    let lookup = Lookup::load(&state, &scope, caller.current_tenant()).await?;
    let mut owner = facet_views(facets.owner);
    for one in &mut owner {
        if let Ok(user) = one.value.parse() {
            one.label = lookup.person(user).name;
        }
    }
    Ok(Json(IncidentFacetsView {
        total: facets.total,
        severity: facet_views(facets.severity),
        status: facet_views(facets.status),
        kind: facet_views(facets.kind),
        owner,
        tag: facet_views(facets.tag),
        sla: facet_views(facets.sla),
    }))
}

/// A column of the board.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BoardColumn {
    /// Status.
    pub(crate) status: String,
    /// Incidents in this status.
    pub(crate) count: u64,
    /// The first of them, in the order asked for.
    pub(crate) items: Vec<IncidentView>,
}

/// Incidents by status.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Board {
    /// In the order of work.
    pub(crate) columns: Vec<BoardColumn>,
}

/// Show incidents as a board, one column a status
#[utoipa::path(get, path = "/incidents/board", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))), params(IncidentQuery),
    responses((status = 200, body = Board), (status = 422, body = Problem)))]
async fn board(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<IncidentQuery>,
) -> ApiResult<Json<Board>> {
    let scope = caller.scope(Permission::IncidentsRead).await?;
    let scoped = state.catalog.scoped(&scope);
    let filter = query.filter(&caller)?;
    let order = query.order()?;
    let counts = scoped.incident_counts(&filter).await?;
    let lookup = Lookup::load(&state, &scope, caller.current_tenant()).await?;
    let (now, limit) = (state.clock.now(), query.limit.unwrap_or(50).min(COLUMN_MAX));
    let mut columns = Vec::new();
    for status in IncidentStatus::ALL {
        if !filter.status.is_empty() && !filter.status.contains(status) {
            continue;
        }
        let own = IncidentFilter { status: vec![*status], ..filter.clone() };
        let page = scoped.incidents(&own, order, None, limit).await?;
        columns.push(BoardColumn {
            status: status.to_string(),
            count: counts.iter().filter(|((s, _), _)| s == status).map(|(_, n)| n).sum(),
            items: page.items.into_iter().map(|i| IncidentView::new(i, &lookup, now)).collect(),
        });
    }
    Ok(Json(Board { columns }))
}

/// An incident to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateIncident {
    /// What it is called; the worst alert's title without it.
    #[serde(default)]
    pub(crate) title: String,
    /// What is known, in Markdown.
    #[serde(default)]
    pub(crate) summary: String,
    /// What sort; general by default.
    #[serde(default)]
    pub(crate) kind: Option<String>,
    /// How bad; as the worst alert without it, or medium.
    #[serde(default)]
    pub(crate) severity: Option<String>,
    /// User id of whoever leads the work, or `me`.
    #[serde(default)]
    pub(crate) owner: Option<String>,
    /// Words to find it by.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// The alerts that it begins with, at most 1,000.
    #[serde(default)]
    pub(crate) alerts: Vec<Uuid>,
    /// Template whose tasks it begins with.
    #[serde(default)]
    pub(crate) template: Option<Uuid>,
}

/// Make an incident, from alerts or from nothing
#[utoipa::path(post, path = "/incidents", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = CreateIncident,
    responses((status = 201, body = IncidentView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<CreateIncident>,
) -> ApiResult<(StatusCode, Json<IncidentView>)> {
    let tenant = caller.tenant(Permission::IncidentsWrite).await?;
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    if body.alerts.len() > super::alert_bulk::IDS_MAX {
        return Err(ApiError::invalid("`alerts`: at most 1,000; add more afterwards"));
    }
    let mut alerts = Vec::with_capacity(body.alerts.len());
    for id in &body.alerts {
        alerts.push(scoped.alert(AlertId(*id)).await?.alert);
    }
    let worst = alerts.iter().max_by_key(|a| a.rule.severity);
    let severity = match body.severity.as_deref() {
        Some(text) => text.parse::<Severity>().map_err(ApiError::invalid)?,
        None => worst.map_or(Severity::Medium, |a| a.rule.severity),
    };
    let title = match (body.title.trim(), worst) {
        ("", Some(alert)) => format!("{}: {}", alert.rule.title, alert.entity),
        (title, _) => title.to_owned(),
    };
    let kind = body.kind.as_deref().map_or(Ok(IncidentKind::General), str::parse).map_err(ApiError::invalid)?;
    let owner = body.owner.as_deref().map(|text| user_id(&caller, text)).transpose()?;
    let (settings, _) = IncidentSettings::load(&scoped, tenant).await?;
    let template = match body.template {
        Some(id) => Some(super::incident_templates::find(&state, tenant, id).await?),
        None => None,
    };
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    let replayed = !alerts.is_empty() && alerts.iter().all(|a| a.replay.is_some());
    let due = if replayed { SlaDue::default() } else { settings.sla.due(severity, tx.now()) };
    let new = NewIncident {
        title,
        summary: body.summary,
        kind,
        severity,
        owner,
        tags: body.tags,
        origin: if alerts.is_empty() { IncidentOrigin::Manual } else { IncidentOrigin::Alerts },
        due,
        alerts: alerts.iter().map(|a| Joining::by_person(a.id, "")).collect(),
    };
    let incident = tx.create_incident(&new).await?;
    if let Some(template) = template {
        tx.add_tasks(incident.id, &templates::tasks(&template, incident.created)).await?;
    }
    tx.commit().await?;
    let place = Place { scope, incident };
    Ok((StatusCode::CREATED, Json(place.view(&state).await?)))
}

/// Show one incident
#[utoipa::path(get, path = "/incidents/{id}", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = IncidentView), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<IncidentView>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let lookup = place.lookup(&state).await?;
    Ok(Json(IncidentView::new(place.incident, &lookup, state.clock.now())))
}

/// What to change; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpdateIncident {
    /// The version that the caller saw.
    pub(crate) version: i32,
    /// What it is called.
    pub(crate) title: Option<String>,
    /// What is known, in Markdown.
    pub(crate) summary: Option<String>,
    /// What sort.
    pub(crate) kind: Option<String>,
    /// How bad; new deadlines follow from it.
    pub(crate) severity: Option<String>,
    /// User id of whoever leads the work, `me`, or null for nobody.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    pub(crate) owner: Option<Option<String>>,
    /// Words to find it by.
    pub(crate) tags: Option<Vec<String>>,
    /// Where it stands.
    pub(crate) status: Option<String>,
    /// What it turned out to be; needed to resolve or close it.
    pub(crate) verdict: Option<String>,
    /// How it ended, in Markdown; needed to resolve or close it.
    pub(crate) resolution: Option<String>,
}

impl UpdateIncident {
    fn patch(self, caller: &Caller, incident: &Incident, policy: &SlaPolicy, now: Micros) -> ApiResult<IncidentPatch> {
        let severity = self.severity.as_deref().map(str::parse::<Severity>).transpose().map_err(ApiError::invalid)?;
        let status = self.status.as_deref().map(str::parse).transpose().map_err(ApiError::invalid)?;
        let owner = match self.owner {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(Some(user_id(caller, &text)?)),
        };
        Ok(IncidentPatch {
            title: self.title,
            summary: self.summary,
            kind: self.kind.as_deref().map(str::parse).transpose().map_err(ApiError::invalid)?,
            severity,
            owner,
            tags: self.tags,
            status,
            verdict: self.verdict.as_deref().map(str::parse::<Verdict>).transpose().map_err(ApiError::invalid)?,
            resolution: self.resolution,
            due: deadlines(incident, severity, status, policy, now),
        })
    }
}

/// New deadlines where a change asks for them: another severity counts from the beginning, a reopening from now.
pub(crate) fn deadlines(
    incident: &Incident,
    severity: Option<Severity>,
    status: Option<IncidentStatus>,
    policy: &SlaPolicy,
    now: Micros,
) -> Option<SlaDue> {
    if incident.replay.is_some() {
        return None;
    }
    let level = severity.unwrap_or(incident.severity);
    if status == Some(IncidentStatus::Reopened) && incident.status != IncidentStatus::Reopened {
        return Some(SlaDue { acknowledge: incident.due.acknowledge, ..policy.due(level, now) });
    }
    (level != incident.severity).then(|| policy.due(level, incident.created))
}

/// Change an incident
#[utoipa::path(patch, path = "/incidents/{id}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = UpdateIncident,
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = IncidentView), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "Somebody changed it meanwhile (`version-conflict`, with the \
            incident as it is now in `current`), or the status cannot follow"),
        (status = 422, body = Problem)))]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<UpdateIncident>,
) -> ApiResult<Json<IncidentView>> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let policy = place.lookup(&state).await?.policy;
    let version = body.version;
    let patch = body.patch(&caller, &place.incident, &policy, state.clock.now())?;
    let mut tx = place.begin(&state, &caller).await?;
    if let Err(error) = tx.update_incident(place.id(), version, &patch).await {
        drop(tx);
        return Err(ApiError::from(error).with_current(&place.view(&state).await?));
    }
    tx.commit().await?;
    Ok(Json(place.view(&state).await?))
}

async fn set_watching(
    state: &ApiState,
    caller: &Caller,
    permission: Permission,
    id: &str,
    user: &str,
    watching: bool,
) -> ApiResult<StatusCode> {
    let place = locate(state, caller, permission, id).await?;
    let user = user_id(caller, user)?;
    let mut tx = place.begin(state, caller).await?;
    tx.watch_incident(place.id(), user, watching).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Watch an incident oneself
#[utoipa::path(put, path = "/incidents/{id}/watch", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 204), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn watch(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    set_watching(&state, &caller, Permission::IncidentsRead, &id, "me", true).await
}

/// Watch an incident no longer
#[utoipa::path(delete, path = "/incidents/{id}/watch", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 204), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn unwatch(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    set_watching(&state, &caller, Permission::IncidentsRead, &id, "me", false).await
}

/// Let somebody watch an incident
#[utoipa::path(put, path = "/incidents/{id}/watchers/{user}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))),
    params(("id" = String, Path, description = "Incident id or number"), ("user" = String, Path, description = "User id")),
    responses((status = 204), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn add_watcher(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    set_watching(&state, &caller, Permission::IncidentsWrite, &id, &user, true).await
}

/// Let somebody watch an incident no longer
#[utoipa::path(delete, path = "/incidents/{id}/watchers/{user}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))),
    params(("id" = String, Path, description = "Incident id or number"), ("user" = String, Path, description = "User id")),
    responses((status = 204), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn remove_watcher(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    set_watching(&state, &caller, Permission::IncidentsWrite, &id, &user, false).await
}
