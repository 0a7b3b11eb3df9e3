//! Replays: recorded traffic through the running pipeline, tagged, and removable.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use futures::StreamExt as _;
use guardian_identity::Permission;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::{ApiState, ReplayStart, ReplayView};

/// Largest capture that is taken.
pub(crate) const UPLOAD_BYTES_MAX: u64 = 4 << 30;
/// Longest name of a replay.
const NAME_BYTES_MAX: usize = 1_024;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, start, clear)).routes(routes!(get, cancel))
}

/// How to replay.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartQuery {
    /// Tag of all that comes of it.
    pub(crate) name: String,
    /// A factor such as 1 or 20, or `max`.
    #[serde(default = "recorded")]
    pub(crate) speed: String,
    /// Keep the recorded times instead of moving them to now.
    #[serde(default)]
    pub(crate) original_time: bool,
}

fn recorded() -> String {
    "1".to_owned()
}

/// Start a replay
///
/// The body is a capture file, pcap or pcapng, of packets or of flow exports. All that comes of it carries the name as
/// its tag and never triggers a response.
#[utoipa::path(post, path = "/replays", tag = "replays", extensions(("x-permission" = json!("replay:run"))), params(StartQuery),
    request_body(content = Vec<u8>, content_type = "application/vnd.tcpdump.pcap"),
    responses((status = 201, body = ReplayView), (status = 422, body = Problem), (status = 413, body = Problem)))]
async fn start(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<StartQuery>,
    body: Body,
) -> ApiResult<(StatusCode, Json<ReplayView>)> {
    let tenant = caller.tenant(Permission::ReplayRun).await?;
    let name = query.name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err(ApiError::invalid("`name` must have 1 to 64 visible characters"));
    }
    let file = state.replays.spool().join(format!("{}.upload", uuid::Uuid::now_v7()));
    if let Err(error) = spool(&file, body).await {
        tokio::fs::remove_file(&file).await.ok();
        return Err(error);
    }
    let start = ReplayStart {
        tenant,
        name: name.to_owned(),
        speed: query.speed,
        original_time: query.original_time,
        file: file.clone(),
    };
    let view = match state.replays.start(start).await {
        Ok(view) => view,
        Err(reason) => {
            tokio::fs::remove_file(&file).await.ok();
            return Err(ApiError::invalid(reason));
        }
    };
    let scope = caller.scope(Permission::ReplayRun).await?;
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    tx.note("replay.start", guardian_catalog::Subject::Replay, &view.id, serde_json::json!({"name": name}));
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(view)))
}

async fn spool(path: &std::path::Path, body: Body) -> ApiResult<()> {
    let mut file = tokio::fs::File::create(path).await.map_err(ApiError::internal)?;
    let mut stream = body.into_data_stream();
    let mut total = 0_u64;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| ApiError::invalid(format!("the upload broke off: {e}")))?;
        total += chunk.len() as u64;
        if total > UPLOAD_BYTES_MAX {
            let detail = format!("a capture may have at most {} GiB; split it (editcap -c)", UPLOAD_BYTES_MAX >> 30);
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
        }
        file.write_all(&chunk).await.map_err(ApiError::internal)?;
    }
    file.flush().await.map_err(ApiError::internal)
}

/// Replays of this server's run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayList {
    /// Newest first.
    pub(crate) items: Vec<ReplayView>,
}

/// List replays
#[utoipa::path(get, path = "/replays", tag = "replays", extensions(("x-permission" = json!("replay:run"))), responses((status = 200, body = ReplayList)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<ReplayList>> {
    let scope = caller.scope(Permission::ReplayRun).await?;
    Ok(Json(ReplayList { items: state.replays.list(scope.tenants()) }))
}

/// Show how far a replay is
#[utoipa::path(get, path = "/replays/{id}", tag = "replays", extensions(("x-permission" = json!("replay:run"))), params(("id" = String, Path, description = "Replay id")),
    responses((status = 200, body = ReplayView), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<ReplayView>> {
    let scope = caller.scope(Permission::ReplayRun).await?;
    state.replays.get(scope.tenants(), &id).map(Json).ok_or_else(|| ApiError::not_found("replay"))
}

/// End a replay early; what it fed stays until it is cleared
#[utoipa::path(delete, path = "/replays/{id}", tag = "replays", extensions(("x-permission" = json!("replay:run"))), params(("id" = String, Path, description = "Replay id")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn cancel(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let scope = caller.scope(Permission::ReplayRun).await?;
    let found = state.replays.cancel(scope.tenants(), &id);
    if found { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found("replay")) }
}

/// Which replayed data to remove.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClearQuery {
    /// Only of the replay of this name.
    pub(crate) name: Option<String>,
}

/// What was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cleared {
    /// Rows of telemetry.
    pub(crate) rows: u64,
    /// Findings.
    pub(crate) findings: u64,
    /// Alerts.
    pub(crate) alerts: u64,
}

/// Remove replayed flows, findings and alerts; live data stays
#[utoipa::path(delete, path = "/replays", tag = "replays", extensions(("x-permission" = json!("replay:clear"))), params(ClearQuery),
    responses((status = 200, body = Cleared), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn clear(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ClearQuery>,
) -> ApiResult<Json<Cleared>> {
    let scope = caller.scope(Permission::ReplayClear).await?;
    if query.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
        return Err(ApiError::invalid(format!("`name`: the name of a replay has 1 to {NAME_BYTES_MAX} bytes")));
    }
    let mut alerts = 0;
    for tenant in scope.tenants() {
        let own = guardian_model::Scope::of(*tenant);
        let names = state.catalog.scoped(&own).replays().await?.into_iter().map(|(name, _)| name);
        let wanted = |name: &String| query.name.as_ref().is_none_or(|n| n == name);
        names.filter(wanted).for_each(|name| state.replays.forget(*tenant, &name));
        let mut tx = state.catalog.scoped(&scope).begin(*tenant, caller.actor()).await?;
        alerts += tx.clear_replay(query.name.as_deref()).await?;
        tx.commit().await?;
    }
    let (lake, name) = (state.lake.clone(), query.name);
    let cleared = tokio::task::spawn_blocking(move || lake.clear_replay(&scope, name.as_deref()))
        .await
        .map_err(ApiError::internal)??;
    Ok(Json(Cleared { rows: cleared.rows, findings: cleared.findings, alerts }))
}
