//! Hosts in figures: what the filters of a list offer.

use std::collections::BTreeMap;

use axum::extract::State;
use guardian_identity::Permission;
use guardian_model::Scope;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(figures))
}

/// How many hosts there are, of each sort.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostFiguresView {
    /// All of them.
    pub(crate) total: u64,
    /// By status: online, offline, never and revoked.
    pub(crate) statuses: BTreeMap<String, u64>,
    /// By what is wrong with their agents: complaints, lost and any.
    pub(crate) troubles: BTreeMap<String, u64>,
    /// By tag.
    pub(crate) tags: BTreeMap<String, u64>,
    /// By group.
    pub(crate) groups: BTreeMap<String, u64>,
    /// By distribution and release.
    pub(crate) os: BTreeMap<String, u64>,
    /// By version of the agent's program.
    pub(crate) agent_versions: BTreeMap<String, u64>,
}

/// Count the hosts of the tenant
#[utoipa::path(get, path = "/hosts/figures", tag = "hosts", extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = HostFiguresView), (status = 403, body = Problem)))]
async fn figures(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<HostFiguresView>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let figures = state.catalog.scoped(&Scope::of(tenant)).host_figures().await?;
    Ok(Json(HostFiguresView {
        total: figures.total,
        statuses: figures.statuses.into_iter().map(|(status, n)| (status.to_string(), n)).collect(),
        troubles: figures.troubles.into_iter().map(|(trouble, n)| (trouble.to_string(), n)).collect(),
        tags: figures.tags,
        groups: figures.groups,
        os: figures.systems,
        agent_versions: figures.programs,
    }))
}
