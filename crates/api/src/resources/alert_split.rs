//! Splitting a grouped alert: events that tell another story become an alert of their own, and go back if that was wrong.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_identity::Permission;
use guardian_model::EventRef;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::{AlertView, alert_id};
use crate::auth::Caller;
use crate::error::{ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(split)).routes(routes!(join_back))
}

/// One event of an alert's evidence.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventName {
    /// Its batch.
    pub(crate) batch: u64,
    /// Its row in the batch.
    pub(crate) row: u32,
}

/// What to take out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SplitBody {
    /// Events of the alert's evidence, but not all of it.
    pub(crate) events: Vec<EventName>,
    /// Note of the new alert.
    #[serde(default)]
    pub(crate) note: String,
}

/// Both alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SplitView {
    /// The alert without the events.
    pub(crate) alert: AlertView,
    /// The alert of the events.
    pub(crate) split: AlertView,
}

/// Take events out of an alert into one of their own
///
/// Detection goes on telling of the group; what was taken out stays out.
#[utoipa::path(post, path = "/alerts/{id}/split", tag = "alerts", extensions(("x-permission" = json!("alerts:triage"))), request_body = SplitBody,
    params(("id" = String, Path, description = "Alert id")),
    responses((status = 201, body = SplitView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn split(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<SplitBody>,
) -> ApiResult<(StatusCode, Json<SplitView>)> {
    let scope = caller.scope(Permission::AlertsTriage).await?;
    let id = alert_id(&id)?;
    let scoped = state.catalog.scoped(&scope);
    let tenant = scoped.alert(id).await?.alert.tenant;
    let events: Vec<EventRef> = body.events.iter().map(|e| EventRef { batch: e.batch, row: e.row }).collect();
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    let done = tx.split_alert(id, &events, &body.note).await?;
    tx.commit().await?;
    let alert = scoped.alert(id).await?.into();
    Ok((StatusCode::CREATED, Json(SplitView { alert, split: scoped.alert(done.taken.id).await?.into() })))
}

/// Put the events of a split alert back where they came from
#[utoipa::path(post, path = "/alerts/{id}/join-back", tag = "alerts", extensions(("x-permission" = json!("alerts:triage"))),
    params(("id" = String, Path, description = "Id of the alert that was taken out")),
    responses((status = 200, body = AlertView), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn join_back(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<AlertView>> {
    let scope = caller.scope(Permission::AlertsTriage).await?;
    let id = alert_id(&id)?;
    let scoped = state.catalog.scoped(&scope);
    let tenant = scoped.alert(id).await?.alert.tenant;
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    let whole = tx.join_back(id).await?;
    tx.commit().await?;
    Ok(Json(scoped.alert(whole.id).await?.into()))
}
