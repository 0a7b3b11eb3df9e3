//! Alerts: list, look, decide.

use axum::extract::State;
use guardian_catalog::{
    Alert, AlertChange, AlertCursor, AlertDetail, AlertFilter, AlertOrder, AlertSort, AlertStatus, Presence,
    ReplayFilter, Verdict,
};
use guardian_identity::Permission;
use guardian_model::{AlertId, Micros, Severity, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Most alerts on one page.
const PAGE_MAX: u64 = 500;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(detail))
        .routes(routes!(acknowledge))
        .routes(routes!(close))
        .routes(routes!(reopen))
        .routes(routes!(assign))
        .routes(routes!(snooze))
        .routes(routes!(note))
}

/// An alert: findings of one rule about one entity in one window.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AlertView {
    /// Identity.
    pub(crate) id: String,
    /// Key by which findings in the telemetry store name it (`findings.alert_key`).
    pub(crate) key: String,
    /// Tenant.
    pub(crate) tenant: String,
    /// Rule that decided.
    pub(crate) rule_id: String,
    /// Content hash of that rule.
    pub(crate) rule_hash: String,
    /// Title of the rule.
    pub(crate) title: String,
    /// informational, low, medium, high or critical.
    pub(crate) severity: String,
    /// ATT&CK techniques and tactics.
    pub(crate) attack: Vec<String>,
    /// What to do next.
    pub(crate) next_steps: Vec<String>,
    /// Kind of the entity: ip, host, user, domain or other.
    pub(crate) entity_kind: String,
    /// The entity that the alert is about.
    pub(crate) entity: String,
    /// Site of the entity; empty is the main site.
    pub(crate) site: String,
    /// Grouping fields as name=value pairs.
    pub(crate) group: String,
    /// First event, RFC 3339.
    pub(crate) first_seen: String,
    /// Last event, RFC 3339.
    pub(crate) last_seen: String,
    /// Times the condition held.
    pub(crate) count: u64,
    /// What happened, in one sentence.
    pub(crate) summary: String,
    /// Why we think so.
    #[schema(value_type = Object)]
    pub(crate) measures: Map<String, Value>,
    /// new, acknowledged or closed.
    pub(crate) status: String,
    /// What it turned out to be, once closed.
    pub(crate) verdict: Option<String>,
    /// Why it was closed.
    pub(crate) reason: Option<String>,
    /// Note of whoever looks after it.
    pub(crate) note: Option<String>,
    /// User who looks after it.
    pub(crate) assignee: Option<String>,
    /// Until when nobody wants to see it, RFC 3339.
    pub(crate) snoozed_until: Option<String>,
    /// Suppression that closed it when it came.
    pub(crate) suppressed_by: Option<String>,
    /// Incident that it belongs to.
    pub(crate) incident: Option<String>,
    /// Alert that it was taken out of.
    pub(crate) split_from: Option<String>,
    /// Replay it came from; null for live traffic.
    pub(crate) replay: Option<String>,
    /// Whether it was found by looking back.
    pub(crate) retro: bool,
    /// When it came to the catalog, RFC 3339.
    pub(crate) created: String,
    /// When anything of it last changed, RFC 3339.
    pub(crate) updated: String,
    /// Number of its last change in the tenant's change log.
    pub(crate) seq: i64,
    /// The events behind it; only when one alert is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) evidence: Option<Vec<EvidenceView>>,
}

/// One event behind an alert.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EvidenceView {
    /// Batch of the event in the telemetry store.
    pub(crate) batch: u64,
    /// Row of the event in its batch.
    pub(crate) row: u32,
    /// The event's columns; null ones are left out.
    #[schema(value_type = Object)]
    pub(crate) event: Value,
}

impl From<Alert> for AlertView {
    fn from(alert: Alert) -> Self {
        Self {
            id: alert.id.to_string(),
            key: alert.key.to_string(),
            tenant: alert.tenant.to_string(),
            rule_id: alert.rule.id,
            rule_hash: alert.rule.hash,
            title: alert.rule.title,
            severity: alert.rule.severity.to_string(),
            attack: alert.rule.attack,
            next_steps: alert.rule.next_steps,
            entity_kind: alert.entity.kind.as_str().to_owned(),
            entity: alert.entity.value,
            site: alert.entity.site,
            group: alert.group_key,
            first_seen: alert.first_seen.to_string(),
            last_seen: alert.last_seen.to_string(),
            count: alert.count,
            summary: alert.summary,
            measures: alert.measures.into_iter().collect(),
            status: alert.status.as_str().to_owned(),
            verdict: alert.verdict.map(|v| v.as_str().to_owned()),
            reason: alert.reason,
            note: alert.note,
            assignee: alert.assignee.map(|a| a.to_string()),
            snoozed_until: alert.snoozed_until.map(|t| t.to_string()),
            suppressed_by: alert.suppressed_by.map(|id| id.to_string()),
            incident: alert.incident.map(|id| id.to_string()),
            split_from: alert.split_from.map(|id| id.to_string()),
            replay: alert.replay,
            retro: alert.retro,
            created: alert.created.to_string(),
            updated: alert.updated.to_string(),
            seq: alert.seq,
            evidence: None,
        }
    }
}

impl From<AlertDetail> for AlertView {
    fn from(detail: AlertDetail) -> Self {
        let evidence = detail.evidence.into_iter();
        let evidence = evidence.map(|(at, event)| EvidenceView { batch: at.batch, row: at.row, event }).collect();
        Self { evidence: Some(evidence), ..detail.alert.into() }
    }
}

/// Which alerts to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    /// `open` (new or acknowledged), or any of new, acknowledged, closed, separated by commas.
    pub(crate) status: Option<String>,
    /// Any of these severities, separated by commas.
    pub(crate) severity: Option<String>,
    /// At least this severity.
    pub(crate) severity_min: Option<String>,
    /// Closed with any of these verdicts, separated by commas.
    pub(crate) verdict: Option<String>,
    /// Of this rule.
    pub(crate) rule: Option<String>,
    /// Whose entity contains this text.
    pub(crate) entity: Option<String>,
    /// With this ATT&CK technique or tactic.
    pub(crate) attack: Option<String>,
    /// User id of whoever looks after it, `me`, or `none`.
    pub(crate) assignee: Option<String>,
    /// Of this incident, or `none`.
    pub(crate) incident: Option<String>,
    /// Snoozed ones: `include` (default), `exclude` or `only`.
    pub(crate) snoozed: Option<String>,
    /// Those that a suppression closed: `exclude` (default), `include` or `only`.
    pub(crate) suppressed: Option<String>,
    /// Seen at or after this time, RFC 3339.
    pub(crate) from: Option<String>,
    /// Seen before this time, RFC 3339.
    pub(crate) to: Option<String>,
    /// `include` (default), `exclude`, `only`, or the name of a replay.
    pub(crate) replay: Option<String>,
    /// Whose title, summary, entity or group contains this text.
    pub(crate) search: Option<String>,
    /// `newest` (default), `severity`, `activity`, `count`, `status`, `title` or `entity`, largest first; a dash before
    /// it turns the order around.
    pub(crate) sort: Option<String>,
    /// Most alerts to answer with, at most 500.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`. Filter and order come from the cursor.
    pub(crate) cursor: Option<String>,
}

impl ListQuery {
    /// The filter as the catalog takes it; `caller` says who `me` is, and `now` what is snoozed.
    pub(crate) fn filter(&self, caller: &Caller, now: Micros) -> ApiResult<AlertFilter> {
        let time = |name: &str, text: &Option<String>| text.as_deref().map(|t| parse_time(name, t)).transpose();
        let status = match self.status.as_deref() {
            Some("open") => vec![AlertStatus::New, AlertStatus::Acknowledged],
            other => words(other)?,
        };
        let (assignee, unassigned) = person(caller, self.assignee.as_deref())?;
        let masked = caller.masks().is_some();
        let without_incident = self.incident.as_deref() == Some("none");
        let incident = self.incident.as_deref().filter(|_| !without_incident).map(str::parse).transpose();
        Ok(AlertFilter {
            status,
            severity: words(self.severity.as_deref())?,
            severity_min: self
                .severity_min
                .as_deref()
                .map(str::parse::<Severity>)
                .transpose()
                .map_err(ApiError::invalid)?,
            verdict: words(self.verdict.as_deref())?,
            rule_id: self.rule.clone(),
            // A pseudonym is somebody or nobody, never a part of a name.
            entity: self.entity.clone().filter(|_| !masked),
            entity_is: self.entity.as_deref().filter(|_| masked).map(|entity| caller.named(entity)),
            attack: self.attack.clone(),
            assignee,
            unassigned,
            incident: incident.map_err(|_| ApiError::invalid("`incident`: give the id of an incident, or `none`"))?,
            without_incident,
            snoozed: presence("snoozed", self.snoozed.as_deref(), Presence::Include)?,
            suppressed: presence("suppressed", self.suppressed.as_deref(), Presence::Exclude)?,
            now,
            from: time("from", &self.from)?,
            to: time("to", &self.to)?,
            replay: match self.replay.as_deref() {
                None | Some("include") => ReplayFilter::Include,
                Some("exclude") => ReplayFilter::Exclude,
                Some("only") => ReplayFilter::Only,
                Some(name) => ReplayFilter::Named(name.to_owned()),
            },
            search: self.search.clone(),
            titles_only: masked,
            ..AlertFilter::default()
        })
    }
}

/// The words of a list with commas.
pub(crate) fn words<T: std::str::FromStr<Err = String>>(text: Option<&str>) -> ApiResult<Vec<T>> {
    let words = text.into_iter().flat_map(|t| t.split(',')).map(str::trim).filter(|w| !w.is_empty());
    words.map(|word| word.parse().map_err(ApiError::invalid)).collect()
}

/// A person of a filter: an account, `me`, or nobody.
pub(crate) fn person(caller: &Caller, text: Option<&str>) -> ApiResult<(Option<UserId>, bool)> {
    match text {
        None | Some("") => Ok((None, false)),
        Some("none") => Ok((None, true)),
        Some(text) => Ok((Some(user_id(caller, text)?), false)),
    }
}

/// An account by id, or `me`.
pub(crate) fn user_id(caller: &Caller, text: &str) -> ApiResult<UserId> {
    if text == "me" {
        return caller.principal().user.ok_or_else(|| ApiError::invalid("`me` needs an account; this key has none"));
    }
    text.parse().map_err(|_| ApiError::invalid(format!("`{text}` is neither a user id nor `me`")))
}

fn presence(name: &str, text: Option<&str>, default: Presence) -> ApiResult<Presence> {
    match text {
        None => Ok(default),
        Some("include") => Ok(Presence::Include),
        Some("exclude") => Ok(Presence::Exclude),
        Some("only") => Ok(Presence::Only),
        Some(other) => Err(ApiError::invalid(format!("`{name}`: `{other}` is not include, exclude or only"))),
    }
}

/// Reads an RFC 3339 time of a request.
pub(crate) fn parse_time(name: &str, text: &str) -> ApiResult<Micros> {
    Micros::parse(text).ok_or_else(|| ApiError::invalid(format!("`{name}` is no RFC 3339 time: `{text}`")))
}

/// What a cursor carries: the place and the filter it belongs to.
#[derive(Serialize, Deserialize)]
struct Cursor {
    place: AlertCursor,
    filter: AlertFilter,
}

/// One page of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertList {
    /// The alerts.
    pub(crate) items: Vec<AlertView>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List alerts
///
/// Newest first unless asked otherwise. Pages neither repeat nor skip alerts, however many come in meanwhile.
#[utoipa::path(get, path = "/alerts", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))), params(ListQuery),
    responses((status = 200, body = AlertList), (status = 422, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> ApiResult<Json<AlertList>> {
    let scope = caller.scope(Permission::AlertsRead).await?;
    let (filter, order, place) = match &query.cursor {
        Some(text) => {
            let cursor: Cursor = state.cursors.open(text)?;
            (cursor.filter, cursor.place.order, Some(cursor.place))
        }
        None => {
            let order = query.sort.as_deref().unwrap_or("newest").parse::<AlertOrder>().map_err(ApiError::invalid)?;
            if order.by == AlertSort::Entity && caller.masks().is_some() {
                return Err(ApiError::forbidden("the order of names tells about them: it needs personal:read"));
            }
            (query.filter(&caller, state.clock.now())?, order, None)
        }
    };
    let limit = query.limit.unwrap_or(50).clamp(1, PAGE_MAX);
    let page = state.catalog.scoped(&scope).alerts(&filter, order, place.as_ref(), limit).await?;
    let next_cursor = page.next.map(|place| state.cursors.seal(&Cursor { place, filter })).transpose()?;
    Ok(Json(AlertList { items: page.items.into_iter().map(AlertView::from).collect(), next_cursor }))
}

/// Show one alert with the events behind it
#[utoipa::path(get, path = "/alerts/{id}", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))), params(("id" = String, Path, description = "Alert id")),
    responses((status = 200, body = AlertView), (status = 404, body = Problem)))]
async fn detail(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<AlertView>> {
    let scope = caller.scope(Permission::AlertsRead).await?;
    let detail = state.catalog.scoped(&scope).alert(alert_id(&id)?).await?;
    Ok(Json(detail.into()))
}

pub(crate) fn alert_id(text: &str) -> ApiResult<AlertId> {
    text.parse().map_err(|_| ApiError::not_found("alert"))
}

/// A remark.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Acknowledge {
    /// What to remember; empty leaves the note as it is.
    pub(crate) note: String,
}

/// Acknowledge an alert: somebody is looking
#[utoipa::path(post, path = "/alerts/{id}/acknowledge", tag = "alerts", extensions(("x-permission" = json!("alerts:triage"))), request_body = Acknowledge,
    params(("id" = String, Path, description = "Alert id")),
    responses((status = 200, body = AlertView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn acknowledge(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Acknowledge>,
) -> ApiResult<Json<AlertView>> {
    let note = (!body.note.is_empty()).then_some(AlertChange::Note(body.note));
    change(&state, &caller, &id, [AlertChange::Acknowledge].into_iter().chain(note).map(Ok)).await
}

/// A verdict.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Close {
    /// true_positive, false_positive, benign or duplicate.
    pub(crate) verdict: String,
    /// Why.
    pub(crate) reason: String,
}

/// Close an alert with a verdict and a reason
#[utoipa::path(post, path = "/alerts/{id}/close", tag = "alerts", extensions(("x-permission" = json!("alerts:triage"))), request_body = Close,
    params(("id" = String, Path, description = "Alert id")),
    responses((status = 200, body = AlertView), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn close(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Close>,
) -> ApiResult<Json<AlertView>> {
    let close = body.verdict.parse::<Verdict>().map_err(ApiError::invalid);
    change(&state, &caller, &id, [close.map(|verdict| AlertChange::Close { verdict, reason: body.reason })]).await
}

/// Reopen a closed alert
#[utoipa::path(post, path = "/alerts/{id}/reopen", tag = "alerts", extensions(("x-permission" = json!("alerts:triage"))),
    params(("id" = String, Path, description = "Alert id")),
    responses((status = 200, body = AlertView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn reopen(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<AlertView>> {
    change(&state, &caller, &id, [Ok(AlertChange::Reopen)]).await
}

/// Who is to look after an alert.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assign {
    /// User id, `me`, or null for nobody.
    pub(crate) assignee: Option<String>,
}

/// Give an alert to somebody, or to nobody
#[utoipa::path(post, path = "/alerts/{id}/assign", tag = "alerts", extensions(("x-permission" = json!("alerts:triage"))), request_body = Assign,
    params(("id" = String, Path, description = "Alert id")),
    responses((status = 200, body = AlertView), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn assign(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Assign>,
) -> ApiResult<Json<AlertView>> {
    let user = body.assignee.as_deref().map(|text| user_id(&caller, text)).transpose();
    change(&state, &caller, &id, [user.map(AlertChange::Assign)]).await
}

/// Until when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snooze {
    /// RFC 3339 time in the future; null wakes the alert at once.
    pub(crate) until: Option<String>,
    /// What to remember; empty leaves the note as it is.
    #[serde(default)]
    pub(crate) note: String,
}

/// Put an alert aside until a time
#[utoipa::path(post, path = "/alerts/{id}/snooze", tag = "alerts", extensions(("x-permission" = json!("alerts:triage"))), request_body = Snooze,
    params(("id" = String, Path, description = "Alert id")),
    responses((status = 200, body = AlertView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn snooze(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Snooze>,
) -> ApiResult<Json<AlertView>> {
    let until = body.until.as_deref().map(|t| parse_time("until", t)).transpose();
    let note = (!body.note.is_empty()).then_some(Ok(AlertChange::Note(body.note)));
    change(&state, &caller, &id, [until.map(AlertChange::Snooze)].into_iter().chain(note)).await
}

/// A note.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    /// The text; empty removes the note.
    pub(crate) note: String,
}

/// Replace the note of an alert
#[utoipa::path(post, path = "/alerts/{id}/note", tag = "alerts", extensions(("x-permission" = json!("alerts:triage"))), request_body = Note,
    params(("id" = String, Path, description = "Alert id")),
    responses((status = 200, body = AlertView), (status = 404, body = Problem)))]
async fn note(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Note>,
) -> ApiResult<Json<AlertView>> {
    change(&state, &caller, &id, [Ok(AlertChange::Note(body.note))]).await
}

/// Makes the changes. Those that make no sense are refused here, after the caller: who may not ask learns nothing else.
async fn change(
    state: &ApiState,
    caller: &Caller,
    id: &str,
    changes: impl IntoIterator<Item = ApiResult<AlertChange>>,
) -> ApiResult<Json<AlertView>> {
    let scope = caller.scope(Permission::AlertsTriage).await?;
    let id = alert_id(id)?;
    let scoped = state.catalog.scoped(&scope);
    let tenant = scoped.alert(id).await?.alert.tenant;
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    for change in changes {
        tx.change_alert(id, &change?).await?;
    }
    tx.commit().await?;
    Ok(Json(scoped.alert(id).await?.into()))
}
