//! One decision about many alerts, and taking it back.

use axum::extract::State;
use guardian_catalog::{AlertChange, AlertFilter, Presence, Verdict};
use guardian_identity::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alerts::{Assign, Close, ListQuery, Note, Snooze, parse_time, user_id};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// Ids that one request may name; larger selections are filters.
pub(crate) const IDS_MAX: usize = 1_000;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(bulk)).routes(routes!(undo))
}

/// Which alerts, and what to do with them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkRequest {
    /// The filter of the list, without order, limit and cursor; alerts that suppressions closed are left out unless it
    /// says otherwise.
    #[serde(default)]
    pub(crate) filter: Option<ListQuery>,
    /// These alerts only, at most 1,000.
    #[serde(default)]
    pub(crate) ids: Vec<Uuid>,
    /// Number of the last change that the person has seen: alerts that changed later are left alone.
    pub(crate) as_of: i64,
    /// What to do.
    pub(crate) change: BulkChange,
}

/// One decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum BulkChange {
    /// Somebody is looking.
    Acknowledge {},
    /// They are settled.
    Close(Close),
    /// They are not settled after all.
    Reopen {},
    /// Somebody is to look after them.
    Assign(Assign),
    /// Put them aside.
    Snooze(Snooze),
    /// Replace their notes.
    Note(Note),
}

impl BulkChange {
    fn resolve(self, caller: &Caller) -> ApiResult<AlertChange> {
        Ok(match self {
            Self::Acknowledge {} => AlertChange::Acknowledge,
            Self::Close(close) => AlertChange::Close {
                verdict: close.verdict.parse::<Verdict>().map_err(ApiError::invalid)?,
                reason: close.reason,
            },
            Self::Reopen {} => AlertChange::Reopen,
            Self::Assign(assign) => {
                AlertChange::Assign(assign.assignee.as_deref().map(|text| user_id(caller, text)).transpose()?)
            }
            Self::Snooze(snooze) => {
                AlertChange::Snooze(snooze.until.as_deref().map(|t| parse_time("until", t)).transpose()?)
            }
            Self::Note(note) => AlertChange::Note(note.note),
        })
    }
}

/// What a bulk change did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkAnswer {
    /// How many were changed.
    pub(crate) changed: u64,
    /// Whether there may be more: send the same request again.
    pub(crate) more: bool,
    /// Takes it back within an hour; null when nothing changed.
    pub(crate) undo: Option<Uuid>,
}

/// Decide about many alerts at once
///
/// At most 5,000 are changed by one request; alerts for which the decision makes no sense are left alone.
#[utoipa::path(post, path = "/alerts/bulk", tag = "alerts", extensions(("x-permission" = json!("alerts:triage"))), request_body = BulkRequest,
    responses((status = 200, body = BulkAnswer), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn bulk(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<BulkRequest>,
) -> ApiResult<Json<BulkAnswer>> {
    let tenant = caller.tenant(Permission::AlertsTriage).await?;
    if body.filter.is_none() && body.ids.is_empty() {
        return Err(ApiError::invalid("name the alerts: `filter`, `ids` or both"));
    }
    if body.ids.len() > IDS_MAX {
        return Err(ApiError::invalid(format!("`ids`: at most {IDS_MAX}; describe more by a filter")));
    }
    let filter = match &body.filter {
        Some(query) => query.filter(&caller, state.clock.now())?,
        None => AlertFilter { suppressed: Presence::Include, ..AlertFilter::default() },
    };
    let filter = AlertFilter { ids: body.ids.into_iter().map(guardian_model::AlertId).collect(), ..filter };
    let change = body.change.resolve(&caller)?;
    let scope = guardian_model::Scope::of(tenant);
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    let done = tx.change_alerts(&filter, body.as_of, &change).await?;
    tx.commit().await?;
    Ok(Json(BulkAnswer { changed: done.changed, more: done.more, undo: done.undo }))
}

/// Which bulk change to take back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UndoRequest {
    /// The `undo` of its answer.
    pub(crate) undo: Uuid,
}

/// What taking back did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UndoAnswer {
    /// Back as before.
    pub(crate) changed: u64,
    /// Decided about by somebody since, and left alone.
    pub(crate) kept: u64,
}

/// Take a bulk change of alerts back
#[utoipa::path(post, path = "/alerts/bulk/undo", tag = "alerts", extensions(("x-permission" = json!("alerts:triage"))), request_body = UndoRequest,
    responses((status = 200, body = UndoAnswer), (status = 404, body = Problem)))]
async fn undo(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<UndoRequest>,
) -> ApiResult<Json<UndoAnswer>> {
    let tenant = caller.tenant(Permission::AlertsTriage).await?;
    let scope = guardian_model::Scope::of(tenant);
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    let undone = tx.undo_alerts(body.undo).await?;
    tx.commit().await?;
    Ok(Json(UndoAnswer { changed: undone.changed, kept: undone.kept }))
}
