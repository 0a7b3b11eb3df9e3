//! The alerts of an incident, with the reasons why each is there; splitting, related incidents, ATT&CK; bulk changes.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{
    IncidentAlert, IncidentChange, IncidentFilter, IncidentPatch, IncidentStatus, Joining, SlaDue, Verdict, Why,
};
use guardian_identity::Permission;
use guardian_model::{AlertId, IncidentId, Scope, Severity};
use guardian_respond::{IncidentSettings, attack};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alert_bulk::{BulkAnswer, IDS_MAX, UndoAnswer, UndoRequest};
use super::alerts::{AlertView, alert_id, user_id};
use super::incident_view::{IncidentView, Place, locate};
use super::incidents::IncidentQuery;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// Related incidents shown.
const RELATED_MAX: usize = 20;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(remove))
        .routes(routes!(split))
        .routes(routes!(related))
        .routes(routes!(techniques))
        .routes(routes!(bulk))
        .routes(routes!(undo))
}

/// One reason why an alert belongs to an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhyView {
    /// entity, time, stage, rule, start or person.
    pub(crate) factor: String,
    /// The reason in a sentence.
    pub(crate) text: String,
    /// Points.
    pub(crate) score: i32,
}

impl From<Why> for WhyView {
    fn from(why: Why) -> Self {
        Self { factor: why.factor, text: why.text, score: why.score }
    }
}

/// An alert of an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentAlertView {
    /// The alert.
    pub(crate) alert: AlertView,
    /// Since when it belongs to the incident, RFC 3339.
    pub(crate) joined: String,
    /// Who added it.
    pub(crate) joined_by: String,
    /// Points of the reasons together.
    pub(crate) score: i32,
    /// Why it is there.
    pub(crate) why: Vec<WhyView>,
}

impl From<IncidentAlert> for IncidentAlertView {
    fn from(one: IncidentAlert) -> Self {
        Self {
            alert: one.alert.into(),
            joined: one.joined.to_string(),
            joined_by: one.joined_by,
            score: one.score,
            why: one.why.into_iter().map(WhyView::from).collect(),
        }
    }
}

/// Alerts of an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentAlertList {
    /// Earliest event first.
    pub(crate) items: Vec<IncidentAlertView>,
}

/// List the alerts of an incident, each with why it is there
#[utoipa::path(get, path = "/incidents/{id}/alerts", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = IncidentAlertList), (status = 404, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<IncidentAlertList>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let alerts = state.catalog.scoped(&place.scope).incident_alerts(place.id()).await?;
    Ok(Json(IncidentAlertList { items: alerts.into_iter().map(IncidentAlertView::from).collect() }))
}

/// Alerts to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddAlerts {
    /// At most 1,000.
    pub(crate) alerts: Vec<Uuid>,
    /// Why.
    #[serde(default)]
    pub(crate) reason: String,
}

/// Add alerts to an incident
#[utoipa::path(post, path = "/incidents/{id}/alerts", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = AddAlerts,
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = IncidentView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn add(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<AddAlerts>,
) -> ApiResult<Json<IncidentView>> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    if body.alerts.len() > IDS_MAX {
        return Err(ApiError::invalid(format!("`alerts`: at most {IDS_MAX}")));
    }
    let joining: Vec<Joining> =
        body.alerts.iter().map(|alert| Joining::by_person(AlertId(*alert), &body.reason)).collect();
    let mut tx = place.begin(&state, &caller).await?;
    tx.join_alerts(place.id(), &joining).await?;
    tx.commit().await?;
    Ok(Json(place.view(&state).await?))
}

/// Take an alert out of an incident; it is free again
#[utoipa::path(delete, path = "/incidents/{id}/alerts/{alert}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))),
    params(("id" = String, Path, description = "Incident id or number"), ("alert" = String, Path, description = "Alert id")),
    responses((status = 200, body = IncidentView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, alert)): Path<(String, String)>,
) -> ApiResult<Json<IncidentView>> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let mut tx = place.begin(&state, &caller).await?;
    tx.leave_incident(place.id(), alert_id(&alert)?).await?;
    tx.commit().await?;
    Ok(Json(place.view(&state).await?))
}

/// What becomes an incident of its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Split {
    /// Alerts of the incident; at least one other stays.
    pub(crate) alerts: Vec<Uuid>,
    /// What to call the new incident.
    pub(crate) title: String,
}

/// Make some alerts of an incident an incident of their own
#[utoipa::path(post, path = "/incidents/{id}/split", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = Split,
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 201, body = IncidentView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn split(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Split>,
) -> ApiResult<(StatusCode, Json<IncidentView>)> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let scoped = state.catalog.scoped(&place.scope);
    let (settings, _) = IncidentSettings::load(&scoped, place.tenant()).await?;
    let alerts: Vec<AlertId> = body.alerts.iter().map(|alert| AlertId(*alert)).collect();
    let due = if place.incident.replay.is_some() {
        SlaDue::default()
    } else {
        settings.sla.due(place.incident.severity, state.clock.now())
    };
    let mut tx = place.begin(&state, &caller).await?;
    let incident = tx.split_incident(place.id(), &alerts, &body.title, due).await?;
    tx.commit().await?;
    let made = Place { scope: place.scope, incident };
    Ok((StatusCode::CREATED, Json(made.view(&state).await?)))
}

/// An incident that has something in common with another.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RelatedView {
    /// The incident.
    pub(crate) incident: IncidentView,
    /// What both are about.
    pub(crate) shared: Vec<String>,
    /// How much they have in common: larger is more.
    pub(crate) score: u64,
}

/// Related incidents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RelatedList {
    /// Those with most in common first, at most 20.
    pub(crate) items: Vec<RelatedView>,
}

/// Show incidents about the same things
#[utoipa::path(get, path = "/incidents/{id}/related", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = RelatedList), (status = 404, body = Problem)))]
async fn related(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<RelatedList>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let scoped = state.catalog.scoped(&place.scope);
    let entities = scoped.incident_entities(place.id()).await?;
    let indicators: Vec<&String> = entities.iter().filter(|e| e.indicator).map(|e| &e.value).collect();
    let values: Vec<String> = entities.iter().map(|e| e.value.clone()).collect();
    let mut found: Vec<(u64, Vec<String>, Uuid)> = Vec::new();
    for (other, shared) in scoped.incidents_about(&values, Some(place.id())).await? {
        // An indicator in common says more than an address that many alerts name.
        let score = shared.iter().map(|value| if indicators.contains(&value) { 3 } else { 1 }).sum();
        found.push((score, shared, other));
    }
    found.sort_by_key(|(score, _, id)| std::cmp::Reverse((*score, *id)));
    let lookup = place.lookup(&state).await?;
    let now = state.clock.now();
    let mut items = Vec::new();
    for (score, shared, other) in found.into_iter().take(RELATED_MAX * 2) {
        let incident = scoped.incident(IncidentId(other)).await?;
        if incident.merged_into.is_none() && items.len() < RELATED_MAX {
            items.push(RelatedView { incident: IncidentView::new(incident, &lookup, now), shared, score });
        }
    }
    Ok(Json(RelatedList { items }))
}

/// A technique of an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TechniqueView {
    /// Its number, such as `t1046`.
    pub(crate) id: String,
    /// Alerts that name it.
    pub(crate) alerts: u64,
}

/// A tactic with the techniques that serve it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TacticView {
    /// Its name in tags, such as `discovery`.
    pub(crate) id: &'static str,
    /// Its name for people.
    pub(crate) name: &'static str,
    /// Alerts at this stage.
    pub(crate) alerts: u64,
    /// Techniques, most alerts first.
    pub(crate) techniques: Vec<TechniqueView>,
}

/// An incident in ATT&CK.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttackView {
    /// All tactics, in the order of an attack, also those without alerts.
    pub(crate) tactics: Vec<TacticView>,
}

/// Puts the techniques of some tag lists under their tactics; each list counts `n` alerts.
pub(crate) fn attack_view<'a>(lists: impl IntoIterator<Item = (&'a [String], u64)>) -> AttackView {
    let mut tactics: Vec<TacticView> = attack::TACTICS
        .iter()
        .map(|t| TacticView { id: t.id, name: t.name, alerts: 0, techniques: Vec::new() })
        .collect();
    for (tags, n) in lists {
        let stages = attack::stages(tags);
        for stage in &stages {
            if let Some(tactic) = tactics.get_mut(*stage) {
                tactic.alerts += n;
            }
        }
        for tag in tags.iter().filter(|tag| attack::is_technique(tag)) {
            // A technique stands under the rule's own tactic, or under the one it usually serves.
            let place = attack::stage(tag).filter(|s| stages.contains(s)).or_else(|| stages.first().copied());
            let Some(tactic) = place.and_then(|stage| tactics.get_mut(stage)) else { continue };
            match tactic.techniques.iter_mut().find(|t| t.id == *tag) {
                Some(known) => known.alerts += n,
                None => tactic.techniques.push(TechniqueView { id: tag.clone(), alerts: n }),
            }
        }
    }
    for tactic in &mut tactics {
        tactic.techniques.sort_by_key(|t| std::cmp::Reverse(t.alerts));
    }
    AttackView { tactics }
}

/// Show an incident in ATT&CK
#[utoipa::path(get, path = "/incidents/{id}/attack", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = AttackView), (status = 404, body = Problem)))]
async fn techniques(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<AttackView>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let alerts = state.catalog.scoped(&place.scope).incident_alerts(place.id()).await?;
    Ok(Json(attack_view(alerts.iter().map(|a| (a.alert.rule.attack.as_slice(), 1)))))
}

/// Which incidents, and what to do with them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncidentBulk {
    /// The filter of the list, without order, limit and cursor.
    #[serde(default)]
    pub(crate) filter: Option<IncidentQuery>,
    /// These incidents only, at most 1,000.
    #[serde(default)]
    pub(crate) ids: Vec<Uuid>,
    /// Number of the last change that the person has seen: incidents that changed later are left alone.
    pub(crate) as_of: i64,
    /// What to do.
    pub(crate) change: IncidentBulkChange,
}

/// One change of many incidents.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum IncidentBulkChange {
    /// Move them on.
    Status {
        /// Where they stand.
        status: String,
        /// What they turned out to be.
        #[serde(default)]
        verdict: Option<String>,
        /// How they ended.
        #[serde(default)]
        resolution: Option<String>,
    },
    /// Give them to somebody.
    Assign {
        /// User id, `me`, or null for nobody.
        owner: Option<String>,
    },
    /// Judge them anew. Deadlines stay as they are.
    Severity {
        /// How bad.
        severity: String,
    },
    /// Add and remove tags.
    Tag {
        /// To add.
        #[serde(default)]
        add: Vec<String>,
        /// To remove.
        #[serde(default)]
        remove: Vec<String>,
    },
}

impl IncidentBulkChange {
    fn resolve(self, caller: &Caller) -> ApiResult<IncidentChange> {
        let patch = match self {
            Self::Tag { add, remove } => return Ok(IncidentChange::Tag { add, remove }),
            Self::Status { status, verdict, resolution } => IncidentPatch {
                status: Some(status.parse::<IncidentStatus>().map_err(ApiError::invalid)?),
                verdict: verdict.as_deref().map(str::parse::<Verdict>).transpose().map_err(ApiError::invalid)?,
                resolution,
                ..IncidentPatch::default()
            },
            Self::Assign { owner } => IncidentPatch {
                owner: Some(owner.as_deref().map(|text| user_id(caller, text)).transpose()?),
                ..IncidentPatch::default()
            },
            Self::Severity { severity } => IncidentPatch {
                severity: Some(severity.parse::<Severity>().map_err(ApiError::invalid)?),
                ..IncidentPatch::default()
            },
        };
        Ok(IncidentChange::Patch(patch))
    }
}

/// Change many incidents at once
#[utoipa::path(post, path = "/incidents/bulk", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = IncidentBulk,
    responses((status = 200, body = BulkAnswer), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn bulk(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<IncidentBulk>,
) -> ApiResult<Json<BulkAnswer>> {
    let tenant = caller.tenant(Permission::IncidentsWrite).await?;
    if body.filter.is_none() && body.ids.is_empty() || body.ids.len() > IDS_MAX {
        return Err(ApiError::invalid(format!("name the incidents: `filter`, `ids` (at most {IDS_MAX}) or both")));
    }
    let filter = body.filter.as_ref().map(|query| query.filter(&caller)).transpose()?.unwrap_or_default();
    let filter = IncidentFilter { ids: body.ids.into_iter().map(IncidentId).collect(), ..filter };
    let change = body.change.resolve(&caller)?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let done = tx.change_incidents(&filter, body.as_of, &change).await?;
    tx.commit().await?;
    Ok(Json(BulkAnswer { changed: done.changed, more: done.more, undo: done.undo }))
}

/// Take a bulk change of incidents back
#[utoipa::path(post, path = "/incidents/bulk/undo", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = UndoRequest,
    responses((status = 200, body = UndoAnswer), (status = 404, body = Problem)))]
async fn undo(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<UndoRequest>,
) -> ApiResult<Json<UndoAnswer>> {
    let tenant = caller.tenant(Permission::IncidentsWrite).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let undone = tx.undo_incidents(body.undo).await?;
    tx.commit().await?;
    Ok(Json(UndoAnswer { changed: undone.changed, kept: undone.kept }))
}
