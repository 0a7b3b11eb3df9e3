//! The timeline of an incident, and the comments on it.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{EntryKind, EntryPatch, IncidentEntry, NewEntry, PageKey};
use guardian_identity::Permission;
use guardian_model::IncidentId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alerts::{parse_time, words};
use super::incident_view::{Lookup, PersonRef, Place, locate};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, write)).routes(routes!(update, delete)).routes(routes!(comments, comment))
}

/// One entry of a timeline.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EntryView {
    /// Identity.
    pub(crate) id: String,
    /// Grows with each edit.
    pub(crate) version: i32,
    /// alert, note, action, comment, status, edit, evidence, task, entity, merge or sla.
    pub(crate) kind: String,
    /// When it happened, RFC 3339.
    pub(crate) event_time: String,
    /// When it was written, RFC 3339.
    pub(crate) created: String,
    /// Who wrote it.
    pub(crate) author: String,
    /// The author's account or key.
    pub(crate) author_id: Option<String>,
    /// What happened, in English; Markdown where people wrote it.
    pub(crate) text: String,
    /// Which sentence that is, so that it can be said in another language: opened, status_changed, edited, alert_joined,
    /// alert_removed, evidence_added, evidence_removed, task_over, entity_added, merged, merged_into, merge_undone,
    /// separated, split, deadline_near or deadline_passed. What it names is in `data`: `opened` has `origin` and
    /// `severity`, `status_changed` has `from`, `to` and `verdict`, `edited` a member with `from` and `to` for each field,
    /// `alert_…` have `title` (and `severity`, `entity`), `evidence_added` has `name`, `size` and `sha256`,
    /// `evidence_removed` has `name` and `reason`, `task_over` has `title` and `status`, `entity_added` has `kind` and
    /// `value`, `merged`, `merged_into`, `merge_undone`, `separated` and `split` have the `number` of the other incident,
    /// `deadline_…` have `clock`. Null for what people wrote, and where an older version did not write down enough.
    pub(crate) what: Option<String>,
    /// Whom it mentions.
    pub(crate) mentions: Vec<PersonRef>,
    /// Details, by kind; null where there are none.
    #[schema(value_type = Option<Object>, required = true)]
    pub(crate) data: Value,
    /// When it was last edited, RFC 3339.
    pub(crate) edited: Option<String>,
    /// Whether Guardian wrote it.
    pub(crate) automatic: bool,
}

impl EntryView {
    pub(crate) fn new(entry: IncidentEntry, lookup: &Lookup) -> Self {
        Self {
            what: entry.what().map(|what| what.to_string()),
            id: entry.id.to_string(),
            version: entry.version,
            kind: entry.kind.to_string(),
            event_time: entry.event_time.to_string(),
            created: entry.created.to_string(),
            author: entry.author,
            author_id: entry.author_id,
            text: entry.text,
            mentions: entry.mentions.iter().map(|user| lookup.person(*user)).collect(),
            data: entry.data,
            edited: entry.edited.map(|t| t.to_string()),
            automatic: entry.automatic,
        }
    }
}

/// Which entries.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TimelineQuery {
    /// Kinds of entries, separated by commas; all by default.
    pub(crate) kinds: Option<String>,
    /// `asc` (oldest event first, default) or `desc`.
    pub(crate) order: Option<String>,
    /// Most entries to answer with, at most 500.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended.
    pub(crate) cursor: Option<String>,
}

/// One page of a timeline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntryList {
    /// The entries, by event time.
    pub(crate) items: Vec<EntryView>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// What a cursor carries.
#[derive(Serialize, Deserialize)]
struct Cursor {
    incident: IncidentId,
    kinds: Vec<EntryKind>,
    ascending: bool,
    place: (PageKey, Uuid),
}

async fn page(
    state: &ApiState,
    place: &Place,
    kinds: Vec<EntryKind>,
    query: &TimelineQuery,
) -> ApiResult<Json<EntryList>> {
    let (kinds, ascending, at) = match &query.cursor {
        Some(text) => {
            let cursor: Cursor = state.cursors.open(text)?;
            if cursor.incident != place.id() {
                return Err(ApiError::invalid("this cursor belongs to another incident"));
            }
            (cursor.kinds, cursor.ascending, Some(cursor.place))
        }
        None => match query.order.as_deref() {
            None | Some("asc") => (kinds, true, None),
            Some("desc") => (kinds, false, None),
            Some(other) => return Err(ApiError::invalid(format!("`order`: `{other}` is not asc or desc"))),
        },
    };
    let scoped = state.catalog.scoped(&place.scope);
    let limit = query.limit.unwrap_or(100);
    let (entries, next) = scoped.incident_entries(place.id(), &kinds, ascending, at.as_ref(), limit).await?;
    let seal = |at| state.cursors.seal(&Cursor { incident: place.id(), kinds: kinds.clone(), ascending, place: at });
    let next_cursor = next.map(seal).transpose()?;
    let lookup = place.lookup(state).await?;
    Ok(Json(EntryList { items: entries.into_iter().map(|e| EntryView::new(e, &lookup)).collect(), next_cursor }))
}

/// Show the timeline of an incident
#[utoipa::path(get, path = "/incidents/{id}/timeline", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number"), TimelineQuery),
    responses((status = 200, body = EntryList), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<TimelineQuery>,
) -> ApiResult<Json<EntryList>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let kinds = words(query.kinds.as_deref())?;
    page(&state, &place, kinds, &query).await
}

/// Show the comments on an incident
#[utoipa::path(get, path = "/incidents/{id}/comments", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number"), TimelineQuery),
    responses((status = 200, body = EntryList), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn comments(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<TimelineQuery>,
) -> ApiResult<Json<EntryList>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    page(&state, &place, vec![EntryKind::Comment], &query).await
}

/// An entry to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteEntry {
    /// note or action.
    pub(crate) kind: String,
    /// Markdown; `@name` mentions somebody.
    pub(crate) text: String,
    /// When it happened, RFC 3339; now without it.
    #[serde(default)]
    pub(crate) event_time: Option<String>,
}

/// A comment to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteComment {
    /// Markdown; `@name` mentions somebody.
    pub(crate) text: String,
}

async fn add(
    state: &ApiState,
    caller: &Caller,
    id: &str,
    kind: ApiResult<EntryKind>,
    body: WriteEntry,
) -> ApiResult<(StatusCode, Json<EntryView>)> {
    let place = locate(state, caller, Permission::IncidentsWrite, id).await?;
    let lookup = place.lookup(state).await?;
    let new = NewEntry {
        kind: kind?,
        mentions: lookup.mentioned(&body.text),
        text: body.text,
        event_time: body.event_time.as_deref().map(|t| parse_time("event_time", t)).transpose()?,
    };
    let mut tx = place.begin(state, caller).await?;
    let entry = tx.add_entry(place.id(), &new).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(EntryView::new(entry, &lookup))))
}

/// Write a note or an action on the timeline
#[utoipa::path(post, path = "/incidents/{id}/timeline", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = WriteEntry,
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 201, body = EntryView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn write(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<WriteEntry>,
) -> ApiResult<(StatusCode, Json<EntryView>)> {
    let kind = match body.kind.as_str() {
        "note" => Ok(EntryKind::Note),
        "action" => Ok(EntryKind::Action),
        other => Err(ApiError::invalid(format!("`kind`: `{other}` is not note or action"))),
    };
    add(&state, &caller, &id, kind, body).await
}

/// Comment on an incident
#[utoipa::path(post, path = "/incidents/{id}/comments", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = WriteComment,
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 201, body = EntryView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn comment(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<WriteComment>,
) -> ApiResult<(StatusCode, Json<EntryView>)> {
    let body = WriteEntry { kind: String::new(), text: body.text, event_time: None };
    add(&state, &caller, &id, Ok(EntryKind::Comment), body).await
}

/// What to change of an entry; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateEntry {
    /// The version that the caller saw.
    pub(crate) version: i32,
    /// The text; only of what people wrote, by its author or an administrator.
    #[serde(default)]
    pub(crate) text: Option<String>,
    /// When it happened, RFC 3339.
    #[serde(default)]
    pub(crate) event_time: Option<String>,
}

fn may_change_anybodys(caller: &Caller, place: &Place) -> bool {
    caller.principal().permissions(place.tenant()).contains(Permission::IncidentsConfigure)
}

fn entry_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("entry"))
}

/// Correct an entry or a comment
#[utoipa::path(patch, path = "/incidents/{id}/timeline/{entry}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))), request_body = UpdateEntry,
    params(("id" = String, Path, description = "Incident id or number"), ("entry" = String, Path, description = "Entry id")),
    responses((status = 200, body = EntryView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, entry)): Path<(String, String)>,
    Json(body): Json<UpdateEntry>,
) -> ApiResult<Json<EntryView>> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let entry = entry_id(&entry)?;
    let lookup = place.lookup(&state).await?;
    let patch = EntryPatch {
        mentions: body.text.as_deref().map(|text| lookup.mentioned(text)).unwrap_or_default(),
        text: body.text,
        event_time: body.event_time.as_deref().map(|t| parse_time("event_time", t)).transpose()?,
    };
    let anybodys = may_change_anybodys(&caller, &place);
    let mut tx = place.begin(&state, &caller).await?;
    match tx.update_entry(place.id(), entry, body.version, &patch, anybodys).await {
        Ok(changed) => {
            tx.commit().await?;
            Ok(Json(EntryView::new(changed, &lookup)))
        }
        Err(error) => {
            drop(tx);
            let current = state.catalog.scoped(&place.scope).incident_entry(place.id(), entry).await?;
            Err(ApiError::from(error).with_current(&EntryView::new(current, &lookup)))
        }
    }
}

/// Remove an entry or a comment; the audit trail keeps its text
#[utoipa::path(delete, path = "/incidents/{id}/timeline/{entry}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))),
    params(("id" = String, Path, description = "Incident id or number"), ("entry" = String, Path, description = "Entry id")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, entry)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let anybodys = may_change_anybodys(&caller, &place);
    let mut tx = place.begin(&state, &caller).await?;
    tx.delete_entry(place.id(), entry_id(&entry)?, anybodys).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
