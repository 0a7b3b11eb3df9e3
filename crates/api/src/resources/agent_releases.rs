//! Releases of the agent's program: signed where no server reaches the key, and kept here for rollouts and for machines that
//! are enrolled anew.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::StreamExt as _;
use guardian_catalog::{AgentRelease, NewRelease};
use guardian_fleet::release::SignedManifest;
use guardian_fleet::{ReleaseError, read_release};
use guardian_identity::Permission;
use guardian_model::Scope;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(withdraw))
        // The manifest says how long the program is, and it is counted while it is written.
        .layer(DefaultBodyLimit::disable())
}

/// A release of the agent's program.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentReleaseView {
    /// Id.
    pub(crate) id: String,
    /// Its version.
    pub(crate) version: String,
    /// Operating system that it is for.
    pub(crate) platform: String,
    /// Processor architecture that it is for.
    pub(crate) architecture: String,
    /// Bytes of the program.
    pub(crate) size: u64,
    /// SHA-256 of the program.
    pub(crate) sha256: String,
    /// The Ed25519 key that signed it, base64: machines that have it pinned take the release.
    pub(crate) key: String,
    /// What is new.
    pub(crate) notes: String,
    /// Who brought it.
    pub(crate) author: String,
    /// When, RFC 3339.
    pub(crate) added: String,
    /// When it was withdrawn, RFC 3339.
    pub(crate) withdrawn: Option<String>,
}

impl From<AgentRelease> for AgentReleaseView {
    fn from(release: AgentRelease) -> Self {
        Self {
            id: release.id.to_string(),
            version: release.version,
            platform: release.platform,
            architecture: release.architecture,
            size: release.size,
            sha256: release.sha256,
            key: release.key,
            notes: release.notes,
            author: release.author,
            added: release.added.to_string(),
            withdrawn: release.withdrawn.map(|t| t.to_string()),
        }
    }
}

/// The releases of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentReleaseList {
    /// The newest first; withdrawn ones too.
    pub(crate) items: Vec<AgentReleaseView>,
}

impl From<ReleaseError> for ApiError {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Invalid(text) => Self::invalid(text),
            other => Self::internal(other),
        }
    }
}

/// List the releases of the agent
#[utoipa::path(get, path = "/agent-releases", tag = "releases", extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = AgentReleaseList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<AgentReleaseList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let releases = state.catalog.scoped(&Scope::of(tenant)).agent_releases(tenant).await?;
    Ok(Json(AgentReleaseList { items: releases.into_iter().map(AgentReleaseView::from).collect() }))
}

/// What was signed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddReleaseQuery {
    /// What `guardian-agent sign-release` wrote, base64url without padding (RFC 4648, section 5).
    pub(crate) signed: String,
}

/// Add a release of the agent
///
/// Sensitive: a session must have proved itself lately. The body is the program; it is kept only where it is what was signed.
/// Hosts get it by a rollout, and only those that have the key pinned.
#[utoipa::path(post, path = "/agent-releases", tag = "releases", params(AddReleaseQuery),
    extensions(("x-permission" = json!("hosts:upgrade"))),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = AgentReleaseView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn add(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<AddReleaseQuery>,
    body: Body,
) -> ApiResult<(StatusCode, Json<AgentReleaseView>)> {
    let tenant = caller.sensitive(Permission::HostsUpgrade).await?;
    let text = URL_SAFE_NO_PAD.decode(&query.signed).map_err(|_| ApiError::invalid("`signed` is no base64url"))?;
    let signed: SignedManifest =
        serde_json::from_slice(&text).map_err(|error| ApiError::invalid(format!("`signed`: {error}")))?;
    let manifest = read_release(&signed)?;
    let id = Uuid::now_v7();
    let releases = state.fleet.releases();
    let mut incoming = releases.begin(tenant, id, manifest.clone()).await?;
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|e| ApiError::invalid(format!("the upload broke off: {e}")))?;
        incoming.write(&piece).await?;
    }
    incoming.finish().await?;
    let new = NewRelease {
        id,
        version: manifest.version,
        platform: manifest.platform,
        architecture: manifest.architecture,
        size: manifest.size,
        sha256: manifest.sha256,
        signed: serde_json::to_string(&signed).map_err(ApiError::internal)?,
        key: STANDARD.encode(&signed.key.0),
        notes: manifest.notes,
    };
    let kept = keep(&state, &caller, tenant, &new).await;
    if kept.is_err() {
        releases.remove(tenant, id).await.map_err(ApiError::internal)?;
    }
    Ok((StatusCode::CREATED, Json(kept?.into())))
}

async fn keep(
    state: &ApiState,
    caller: &Caller,
    tenant: guardian_model::TenantId,
    new: &NewRelease,
) -> ApiResult<AgentRelease> {
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let release = tx.add_release(new).await?;
    tx.commit().await?;
    Ok(release)
}

/// Withdraw a release of the agent
///
/// Its program is removed; hosts that run it go on doing so. A release that a rollout needs stays.
#[utoipa::path(delete, path = "/agent-releases/{id}", tag = "releases",
    extensions(("x-permission" = json!("hosts:upgrade"))), params(("id" = String, Path, description = "Release id")),
    responses((status = 200, body = AgentReleaseView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn withdraw(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<AgentReleaseView>> {
    let tenant = caller.sensitive(Permission::HostsUpgrade).await?;
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found("release"))?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let release = tx.withdraw_release(id).await?;
    tx.commit().await?;
    state.fleet.releases().remove(tenant, id).await.map_err(ApiError::internal)?;
    Ok(Json(release.into()))
}
