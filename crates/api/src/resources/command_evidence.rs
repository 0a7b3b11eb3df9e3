//! Evidence that hosts collected at somebody's command: whether it is here, and what is in it.

use std::io::Read;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use guardian_catalog::{EvidencePack, PackState, Subject};
use guardian_fleet::PackError;
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::incident_evidence::download;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Bytes that are opened at once, and pieces of them that may wait for the network.
const PIECE: usize = 64 << 10;
const PIECES: usize = 4;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(content, remove))
}

/// What one host collected.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EvidencePackView {
    /// Id of the pack among those of its host.
    pub(crate) id: String,
    /// The command that collected it, or the live query that asked osquery for it; null where osquery brought it by itself.
    pub(crate) command: Option<String>,
    /// What osquery calls the carve; null where a command collected it.
    pub(crate) carve: Option<String>,
    /// Id of the host.
    pub(crate) host: String,
    /// Its name at that time.
    pub(crate) host_name: String,
    /// waiting (on the host, or on its way), kept, lost or removed.
    pub(crate) state: String,
    /// Length of the sealed pack, in bytes.
    pub(crate) bytes: u64,
    /// BLAKE3 of the sealed pack.
    pub(crate) hash: String,
    /// How many files are in it.
    pub(crate) entries: u64,
    /// Their length, in bytes.
    pub(crate) raw_bytes: u64,
    /// How many were left out, for the limit or because they could not be read; the manifest names them.
    pub(crate) left_out: u64,
    /// Why it is lost or was removed.
    pub(crate) text: String,
    /// When the host told of it, RFC 3339.
    pub(crate) told: String,
    /// When something last changed, RFC 3339.
    pub(crate) updated: String,
}

impl From<EvidencePack> for EvidencePackView {
    fn from(pack: EvidencePack) -> Self {
        Self {
            id: pack.id.to_string(),
            command: (!pack.command.is_nil()).then(|| pack.command.to_string()),
            carve: Some(pack.carve).filter(|carve| !carve.is_empty()),
            host: pack.host.to_string(),
            host_name: pack.host_name,
            state: pack.state.to_string(),
            bytes: pack.bytes,
            hash: pack.hash,
            entries: pack.entries,
            raw_bytes: pack.raw_bytes,
            left_out: pack.left_out,
            text: pack.text,
            told: pack.told.to_string(),
            updated: pack.updated.to_string(),
        }
    }
}

/// What hosts collected for a command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EvidencePackList {
    /// One for each host that collected something.
    pub(crate) items: Vec<EvidencePackView>,
}

fn command_id(id: &str) -> ApiResult<Uuid> {
    id.parse().map_err(|_| ApiError::not_found("command"))
}

async fn find(state: &ApiState, tenant: TenantId, (id, host): (&str, &str)) -> ApiResult<EvidencePack> {
    let host: Uuid = host.parse().map_err(|_| ApiError::not_found("host"))?;
    let found = state.catalog.scoped(&Scope::of(tenant)).evidence_packs(command_id(id)?, Some(host)).await?;
    found.into_iter().next().ok_or_else(|| ApiError::not_found("evidence"))
}

/// List the evidence that hosts collected for a command
#[utoipa::path(get, path = "/commands/{id}/evidence", tag = "commands", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Command id")),
    responses((status = 200, body = EvidencePackList), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<EvidencePackList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let scope = Scope::of(tenant);
    let command = state.catalog.scoped(&scope).command(command_id(&id)?).await?;
    let found = state.catalog.scoped(&scope).evidence_packs(command.id, None).await?;
    Ok(Json(EvidencePackList { items: found.into_iter().map(EvidencePackView::from).collect() }))
}

/// How evidence is taken.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EvidenceContentQuery {
    /// `opened` (default): a tar archive under zstd, whose last file `manifest.json` has the hashes of all others. `sealed`:
    /// as the host made it, for `guardian-agent open-evidence`.
    pub(crate) form: Option<String>,
}

fn pack_error(error: PackError) -> ApiError {
    let conflict = |kind: &'static str, error: &PackError| ApiError::new(StatusCode::CONFLICT, kind, error.to_string());
    match &error {
        PackError::Missing => ApiError::new(StatusCode::GONE, "missing", error.to_string()),
        PackError::OtherKey => conflict("other-key", &error),
        PackError::Broken => conflict("broken", &error),
        _ => ApiError::internal(error),
    }
}

/// Take evidence that a host collected
///
/// Sensitive: a session must have proved itself lately. Taking it is in the audit trail.
#[utoipa::path(get, path = "/commands/{id}/hosts/{host}/evidence", tag = "commands",
    extensions(("x-permission" = json!("hosts:command"))),
    params(("id" = String, Path, description = "Command id"), ("host" = String, Path, description = "Host id"),
        EvidenceContentQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/zstd"), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 410, body = Problem),
        (status = 422, body = Problem)))]
async fn content(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, host)): Path<(String, String)>,
    Query(query): Query<EvidenceContentQuery>,
) -> ApiResult<Response> {
    let tenant = caller.sensitive(Permission::HostsCommand).await?;
    let pack = find(&state, tenant, (&id, &host)).await?;
    taken(&state, &caller, &pack, &query).await
}

/// A pack, as it is kept or opened. That it was taken is in the trail before a byte of it leaves.
pub(super) async fn taken(
    state: &ApiState,
    caller: &Caller,
    pack: &EvidencePack,
    query: &EvidenceContentQuery,
) -> ApiResult<Response> {
    let sealed = match query.form.as_deref() {
        None | Some("opened") => false,
        Some("sealed") => true,
        Some(_) => return Err(ApiError::invalid("`form` is `opened` or `sealed`")),
    };
    let (body, bytes, ending) = if sealed {
        let (file, bytes) = state.fleet.sealed_pack(pack).await.map_err(pack_error)?;
        (Body::from_stream(ReaderStream::new(file)), Some(bytes), "pack")
    } else {
        (opened(state.fleet.opened_pack(pack).await.map_err(pack_error)?), None, "tar.zst")
    };
    let mut tx = state.catalog.scoped(&Scope::of(pack.tenant)).begin(pack.tenant, caller.actor()).await?;
    let mut detail = serde_json::json!({"command": pack.command, "host": pack.host, "host_name": pack.host_name,
        "hash": pack.hash, "sealed": sealed});
    if !pack.carve.is_empty() {
        detail["carve"] = serde_json::json!(pack.carve);
    }
    tx.note("evidence.taken", Subject::CommandRun, &pack.id.to_string(), detail);
    tx.commit().await?;
    let name = format!("evidence-{}-{}.{ending}", pack.host_name, pack.id.simple());
    download(body, &name, if sealed { "application/octet-stream" } else { "application/zstd" }, bytes)
}

/// Opens piece by piece, as fast as the other side takes it. A pack that was changed breaks the answer off.
fn opened(mut pack: Box<dyn Read + Send>) -> Body {
    let (tell, pieces) = mpsc::channel::<std::io::Result<Bytes>>(PIECES);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let said = match pack.read(&mut piece) {
                Ok(0) => return,
                Ok(read) => {
                    piece.truncate(read);
                    tell.blocking_send(Ok(piece.into()))
                }
                Err(error) => {
                    tell.blocking_send(Err(error)).ok();
                    return;
                }
            };
            if said.is_err() {
                return;
            }
        }
    });
    Body::from_stream(futures::stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece, pieces))
    }))
}

/// Why evidence goes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvidenceRemoval {
    /// Why.
    pub(crate) reason: String,
}

/// Remove evidence that a host collected; that it was there stays
///
/// Sensitive: a session must have proved itself lately.
#[utoipa::path(delete, path = "/commands/{id}/hosts/{host}/evidence", tag = "commands",
    extensions(("x-permission" = json!("hosts:command"))),
    params(("id" = String, Path, description = "Command id"), ("host" = String, Path, description = "Host id"), EvidenceRemoval),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 410, body = Problem),
        (status = 422, body = Problem)))]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, host)): Path<(String, String)>,
    Query(query): Query<EvidenceRemoval>,
) -> ApiResult<StatusCode> {
    let tenant = caller.sensitive(Permission::HostsCommand).await?;
    let pack = find(&state, tenant, (&id, &host)).await?;
    removed(&state, &caller, &pack, &query.reason).await
}

/// Removes a pack. Its bytes go afterwards.
pub(super) async fn removed(
    state: &ApiState,
    caller: &Caller,
    pack: &EvidencePack,
    reason: &str,
) -> ApiResult<StatusCode> {
    if reason.trim().is_empty() {
        return Err(ApiError::invalid("`reason` says why it goes"));
    }
    if pack.state != PackState::Kept {
        return Err(ApiError::new(StatusCode::GONE, "missing", "the pack is not here"));
    }
    let mut tx = state.catalog.scoped(&Scope::of(pack.tenant)).begin(pack.tenant, caller.actor()).await?;
    tx.remove_pack(pack, reason).await?;
    tx.commit().await?;
    state.fleet.remove_pack(pack).await.map_err(ApiError::internal)?;
    Ok(StatusCode::NO_CONTENT)
}
