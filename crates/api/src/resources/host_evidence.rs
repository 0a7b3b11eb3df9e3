//! Evidence of one host: what commands collected there, and archives of files that osquery brought.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use guardian_catalog::EvidencePack;
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::command_evidence::{EvidenceContentQuery, EvidencePackView, EvidenceRemoval, removed, taken};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Packs that are listed.
const PACKS_MAX: u64 = 1_000;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(content, remove))
}

/// What there is of one host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostEvidenceList {
    /// The newest first, at most 1,000.
    pub(crate) items: Vec<EvidencePackView>,
}

async fn find(state: &ApiState, tenant: TenantId, (host, pack): (&str, &str)) -> ApiResult<EvidencePack> {
    let host: Uuid = host.parse().map_err(|_| ApiError::not_found("host"))?;
    let pack: Uuid = pack.parse().map_err(|_| ApiError::not_found("evidence"))?;
    Ok(state.catalog.scoped(&Scope::of(tenant)).host_pack(host, pack).await?)
}

/// List the evidence of a host
///
/// What commands collected there, and what osquery brought because a live query asked for it (`carves`).
#[utoipa::path(get, path = "/hosts/{id}/evidence", tag = "hosts", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id")),
    responses((status = 200, body = HostEvidenceList), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<HostEvidenceList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let host = super::hosts::find(&state, tenant, &id).await?;
    let found = state.catalog.scoped(&Scope::of(tenant)).host_packs(host.id, PACKS_MAX).await?;
    Ok(Json(HostEvidenceList { items: found.into_iter().map(EvidencePackView::from).collect() }))
}

/// Take evidence of a host
///
/// Sensitive: a session must have proved itself lately. Taking it is in the audit trail.
#[utoipa::path(get, path = "/hosts/{id}/evidence/{pack}", tag = "hosts",
    extensions(("x-permission" = json!("hosts:command"))),
    params(("id" = String, Path, description = "Host id"), ("pack" = String, Path, description = "Id of the pack"),
        EvidenceContentQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/zstd"), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 410, body = Problem),
        (status = 422, body = Problem)))]
async fn content(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, pack)): Path<(String, String)>,
    Query(query): Query<EvidenceContentQuery>,
) -> ApiResult<Response> {
    let tenant = caller.sensitive(Permission::HostsCommand).await?;
    let pack = find(&state, tenant, (&id, &pack)).await?;
    taken(&state, &caller, &pack, &query).await
}

/// Remove evidence of a host; that it was there stays
///
/// Sensitive: a session must have proved itself lately.
#[utoipa::path(delete, path = "/hosts/{id}/evidence/{pack}", tag = "hosts",
    extensions(("x-permission" = json!("hosts:command"))),
    params(("id" = String, Path, description = "Host id"), ("pack" = String, Path, description = "Id of the pack"),
        EvidenceRemoval),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 410, body = Problem),
        (status = 422, body = Problem)))]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, pack)): Path<(String, String)>,
    Query(query): Query<EvidenceRemoval>,
) -> ApiResult<StatusCode> {
    let tenant = caller.sensitive(Permission::HostsCommand).await?;
    let pack = find(&state, tenant, (&id, &pack)).await?;
    removed(&state, &caller, &pack, &query.reason).await
}
