//! Incidents: list, board, make, look, edit, watch. Their parts are in the files beside this one.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{
    Incident, IncidentCursor, IncidentFilter, IncidentKind, IncidentOrder, IncidentOrigin, IncidentPatch,
    IncidentStatus, Joining, NewIncident, ReplayFilter, SlaClock, SlaDue, SlaFilter, Tx, Verdict,
};
use guardian_identity::Permission;
use guardian_model::{AlertId, IncidentId, Micros, Scope, Severity, TenantId, UserId};
use guardian_respond::attack;
use guardian_respond::sla::{self, SlaPolicy};
use guardian_respond::{IncidentSettings, templates};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alert_figures::{FacetView, facet_views};
use super::alerts::{parse_time, person, user_id, words};
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

/// A person by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PersonRef {
    /// User id.
    pub(crate) id: String,
    /// Name for people; the id of an account that is gone.
    pub(crate) name: String,
}

/// What views of incidents are made with: names of accounts, and the deadlines that hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookup {
    names: BTreeMap<UserId, String>,
    /// Sign-in names, for mentions.
    sign_in: BTreeMap<String, UserId>,
    pub(crate) policy: SlaPolicy,
}

impl Lookup {
    /// For the tenants of `scope`; the deadlines are those of `tenant`.
    pub(crate) async fn load(state: &ApiState, scope: &Scope, tenant: TenantId) -> ApiResult<Self> {
        let scoped = state.catalog.scoped(scope);
        let mut lookup = Self::default();
        for (user, _) in scoped.users().await? {
            lookup.sign_in.insert(user.name, user.id);
            lookup.names.insert(user.id, user.display_name);
        }
        lookup.policy = IncidentSettings::load(&scoped, tenant).await?.0.sla;
        Ok(lookup)
    }

    pub(crate) fn person(&self, user: UserId) -> PersonRef {
        let id = user.to_string();
        PersonRef { name: self.names.get(&user).cloned().unwrap_or_else(|| id.clone()), id }
    }

    /// Names of all accounts.
    pub(crate) fn names(&self) -> &BTreeMap<UserId, String> {
        &self.names
    }

    /// Whom a text mentions.
    pub(crate) fn mentioned(&self, text: &str) -> Vec<UserId> {
        guardian_respond::mentions::names(text).iter().filter_map(|name| self.sign_in.get(name).copied()).collect()
    }
}

/// A clock of an incident.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ClockView {
    /// Deadline, RFC 3339; null when there is none.
    pub(crate) due: Option<String>,
    /// When the work was done, RFC 3339.
    pub(crate) done_at: Option<String>,
    /// none, running, warning, breached, met or missed.
    pub(crate) state: &'static str,
}

/// The clocks of an incident.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SlaView {
    /// Until somebody looks.
    pub(crate) acknowledge: ClockView,
    /// Until it does no more harm.
    pub(crate) contain: ClockView,
    /// Until its cause is removed.
    pub(crate) resolve: ClockView,
}

/// How many things an incident has.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CountsView {
    /// Alerts.
    pub(crate) alerts: u32,
    /// Entities.
    pub(crate) entities: u32,
    /// Tasks.
    pub(crate) tasks: u32,
    /// Tasks that are done or not needed.
    pub(crate) tasks_done: u32,
    /// Comments.
    pub(crate) comments: u32,
    /// Files.
    pub(crate) evidence: u32,
}

/// An incident.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct IncidentView {
    /// Identity.
    pub(crate) id: String,
    /// Tenant.
    pub(crate) tenant: String,
    /// Number within the tenant, for people.
    pub(crate) number: i64,
    /// Grows with each edit of what people edit.
    pub(crate) version: i32,
    /// What it is called.
    pub(crate) title: String,
    /// What is known, in Markdown.
    pub(crate) summary: String,
    /// general, reconnaissance, brute_force, malware, command_and_control, exfiltration, denial_of_service or policy.
    pub(crate) kind: String,
    /// informational, low, medium, high or critical.
    pub(crate) severity: String,
    /// new, triaged, contained, resolved, closed or reopened.
    pub(crate) status: String,
    /// The states that may follow.
    pub(crate) next_status: Vec<String>,
    /// Who leads the work.
    pub(crate) owner: Option<PersonRef>,
    /// Who wants to hear of it.
    pub(crate) watchers: Vec<PersonRef>,
    /// Words to find it by.
    pub(crate) tags: Vec<String>,
    /// manual, alerts or correlation.
    pub(crate) origin: String,
    /// The replay whose alerts it holds.
    pub(crate) replay: Option<String>,
    /// What it turned out to be.
    pub(crate) verdict: Option<String>,
    /// How it ended, in Markdown.
    pub(crate) resolution: Option<String>,
    /// First event, RFC 3339.
    pub(crate) first_seen: String,
    /// Last event, RFC 3339.
    pub(crate) last_seen: String,
    /// Since when it is an incident, RFC 3339.
    pub(crate) created: String,
    /// Who made it.
    pub(crate) created_by: String,
    /// When anything of it last changed, RFC 3339.
    pub(crate) updated: String,
    /// When somebody first looked, RFC 3339.
    pub(crate) triaged_at: Option<String>,
    /// When it did no more harm, RFC 3339.
    pub(crate) contained_at: Option<String>,
    /// When its cause was removed, RFC 3339.
    pub(crate) resolved_at: Option<String>,
    /// When it was closed, RFC 3339.
    pub(crate) closed_at: Option<String>,
    /// The incident that it became part of.
    pub(crate) merged_into: Option<String>,
    /// ATT&CK techniques and tactics of its alerts.
    pub(crate) attack: Vec<String>,
    /// Tactics, in the order of an attack.
    pub(crate) stages: Vec<String>,
    /// Deadlines.
    pub(crate) sla: SlaView,
    /// How many things it has.
    pub(crate) counts: CountsView,
    /// Number of its last change in the tenant's change log.
    pub(crate) seq: i64,
}

impl IncidentView {
    pub(crate) fn new(incident: Incident, lookup: &Lookup, now: Micros) -> Self {
        let clock = |clock: SlaClock| ClockView {
            due: incident.due.of(clock).map(|t| t.to_string()),
            done_at: incident.done_at(clock).map(|t| t.to_string()),
            state: sla::state(&incident, clock, &lookup.policy, now).as_str(),
        };
        let time = |t: Option<Micros>| t.map(|t| t.to_string());
        let counts = incident.counts;
        Self {
            sla: SlaView {
                acknowledge: clock(SlaClock::Acknowledge),
                contain: clock(SlaClock::Contain),
                resolve: clock(SlaClock::Resolve),
            },
            id: incident.id.to_string(),
            tenant: incident.tenant.to_string(),
            number: incident.number,
            version: incident.version,
            kind: incident.kind.to_string(),
            severity: incident.severity.to_string(),
            status: incident.status.to_string(),
            next_status: incident.status.next().iter().map(ToString::to_string).collect(),
            owner: incident.owner.map(|user| lookup.person(user)),
            watchers: incident.watchers.iter().map(|user| lookup.person(*user)).collect(),
            origin: incident.origin.to_string(),
            verdict: incident.verdict.map(|v| v.to_string()),
            first_seen: incident.first_seen.to_string(),
            last_seen: incident.last_seen.to_string(),
            created: incident.created.to_string(),
            updated: incident.updated.to_string(),
            triaged_at: time(incident.triaged_at),
            contained_at: time(incident.contained_at),
            resolved_at: time(incident.resolved_at),
            closed_at: time(incident.closed_at),
            merged_into: incident.merged_into.map(|id| id.to_string()),
            stages: attack::stage_ids(&attack::stages(&incident.attack)).into_iter().map(str::to_owned).collect(),
            counts: CountsView {
                alerts: counts.alerts,
                entities: counts.entities,
                tasks: counts.tasks,
                tasks_done: counts.tasks_done,
                comments: counts.comments,
                evidence: counts.evidence,
            },
            title: incident.title,
            summary: incident.summary,
            tags: incident.tags,
            replay: incident.replay,
            resolution: incident.resolution,
            created_by: incident.created_by,
            attack: incident.attack,
            seq: incident.seq,
        }
    }
}

/// An incident of a request, and where it is.
pub(crate) struct Place {
    pub(crate) scope: Scope,
    pub(crate) incident: Incident,
}

/// Finds the incident that a path names, by id or by number, where the caller holds `permission`.
pub(crate) async fn locate(state: &ApiState, caller: &Caller, permission: Permission, text: &str) -> ApiResult<Place> {
    let scope = caller.scope(permission).await?;
    let scoped = state.catalog.scoped(&scope);
    let incident = match (text.parse::<IncidentId>(), text.parse::<i64>()) {
        (Ok(id), _) => scoped.incident(id).await?,
        (_, Ok(number)) => scoped.incident_by_number(caller.current_tenant(), number).await?,
        _ => return Err(ApiError::not_found("incident")),
    };
    Ok(Place { scope: Scope::of(incident.tenant), incident })
}

impl Place {
    pub(crate) fn id(&self) -> IncidentId {
        self.incident.id
    }

    pub(crate) fn tenant(&self) -> TenantId {
        self.incident.tenant
    }

    pub(crate) async fn lookup(&self, state: &ApiState) -> ApiResult<Lookup> {
        Lookup::load(state, &self.scope, self.tenant()).await
    }

    pub(crate) async fn begin(&self, state: &ApiState, caller: &Caller) -> ApiResult<Tx> {
        Ok(state.catalog.scoped(&self.scope).begin(self.tenant(), caller.actor()).await?)
    }

    /// The incident as it is now.
    pub(crate) async fn view(&self, state: &ApiState) -> ApiResult<IncidentView> {
        let incident = state.catalog.scoped(&self.scope).incident(self.id()).await?;
        Ok(IncidentView::new(incident, &self.lookup(state).await?, state.clock.now()))
    }
}

/// A field that may be left out, set, or set to null.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(d).map(Some)
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
