//! Shutting many hosts out, or taking them off the list.

use axum::extract::State;
use guardian_identity::Permission;
use guardian_model::Scope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// Hosts that one request may name.
const IDS_MAX: usize = 500;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(remove))
}

/// Which hosts, and what becomes of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveHosts {
    /// Their ids, at most 500.
    pub(crate) ids: Vec<Uuid>,
    /// What becomes of them.
    pub(crate) how: HostRemoval,
}

/// What becomes of hosts that are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HostRemoval {
    /// They are shut out, at once and for good, and stay on the list with their past.
    Revoke,
    /// They leave the list; their events stay.
    Delete,
}

/// What removing hosts did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RemovedHosts {
    /// Those that it changed; the others were shut out already, or are gone.
    pub(crate) changed: Vec<Uuid>,
}

/// Shut many hosts out, or take them off the list
#[utoipa::path(post, path = "/hosts/removal", tag = "hosts", request_body = RemoveHosts,
    extensions(("x-permission" = json!("hosts:manage"))),
    responses((status = 200, body = RemovedHosts), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<RemoveHosts>,
) -> ApiResult<Json<RemovedHosts>> {
    let tenant = caller.sensitive(Permission::HostsManage).await?;
    if body.ids.is_empty() || body.ids.len() > IDS_MAX {
        return Err(ApiError::invalid(format!("`ids`: 1 to {IDS_MAX} hosts")));
    }
    let scope = Scope::of(tenant);
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    let changed = match body.how {
        HostRemoval::Revoke => tx.revoke_hosts(&body.ids).await?,
        HostRemoval::Delete => tx.delete_hosts(&body.ids).await?,
    };
    tx.commit().await?;
    for id in &changed {
        state.fleet.end_session(*id);
        if body.how == HostRemoval::Delete {
            state.lake.forget_origin(id.as_bytes());
        }
    }
    Ok(Json(RemovedHosts { changed }))
}
