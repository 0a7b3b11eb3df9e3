//! Evidence: files of an incident, with their hashes and who had them in hand.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use guardian_catalog::{Custody, CustodyAction, Evidence, EvidenceDetail, NewEvidence};
use guardian_identity::Permission;
use guardian_respond::StoreError;
use serde::{Deserialize, Serialize};
use tokio_util::io::ReaderStream;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::incident_view::{Place, locate};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, upload))
        .routes(routes!(get, remove))
        .routes(routes!(content))
        .routes(routes!(verify))
        // The store has its own limit, and counts while it writes.
        .layer(DefaultBodyLimit::disable())
}

/// One entry of a chain of custody.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustodyView {
    /// When, RFC 3339.
    pub(crate) time: String,
    /// Who.
    pub(crate) actor: String,
    /// Their account or key.
    pub(crate) actor_id: Option<String>,
    /// From where.
    pub(crate) ip: Option<String>,
    /// received, downloaded, verified or removed.
    pub(crate) action: String,
    /// SHA-256 of the bytes as they were then.
    pub(crate) sha256: String,
    /// Anything to add.
    pub(crate) detail: String,
}

impl From<Custody> for CustodyView {
    fn from(c: Custody) -> Self {
        Self {
            time: c.time.to_string(),
            actor: c.actor,
            actor_id: c.actor_id,
            ip: c.ip,
            action: c.action.to_string(),
            sha256: c.sha256,
            detail: c.detail,
        }
    }
}

/// A file of an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EvidenceFileView {
    /// Identity.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) description: String,
    /// Its media type, as the sender said.
    pub(crate) media_type: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// SHA-256 of its bytes.
    pub(crate) sha256: String,
    /// When it came in, RFC 3339.
    pub(crate) added: String,
    /// Who brought it.
    pub(crate) added_by: String,
    /// When its bytes were removed, RFC 3339.
    pub(crate) removed: Option<String>,
    /// Why.
    pub(crate) removed_reason: Option<String>,
    /// Who had it in hand, in order; only when one file is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) custody: Option<Vec<CustodyView>>,
}

impl From<Evidence> for EvidenceFileView {
    fn from(e: Evidence) -> Self {
        Self {
            id: e.id.to_string(),
            name: e.name,
            description: e.description,
            media_type: e.media_type,
            size: e.size,
            sha256: e.sha256,
            added: e.added.to_string(),
            added_by: e.added_by,
            removed: e.removed.map(|t| t.to_string()),
            removed_reason: e.removed_reason,
            custody: None,
        }
    }
}

/// Files of an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EvidenceFileList {
    /// In the order they came, removed ones included.
    pub(crate) items: Vec<EvidenceFileView>,
}

fn evidence_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("evidence"))
}

fn store_error(error: StoreError) -> ApiError {
    match error {
        StoreError::TooLarge => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", error.to_string()),
        StoreError::Missing => ApiError::new(StatusCode::GONE, "missing", error.to_string()),
        StoreError::Io(_) => ApiError::internal(error),
    }
}

async fn find(state: &ApiState, place: &Place, id: &str) -> ApiResult<EvidenceDetail> {
    Ok(state.catalog.scoped(&place.scope).evidence(place.id(), evidence_id(id)?).await?)
}

/// List the files of an incident
#[utoipa::path(get, path = "/incidents/{id}/evidence", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number")),
    responses((status = 200, body = EvidenceFileList), (status = 404, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<EvidenceFileList>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let found = state.catalog.scoped(&place.scope).incident_evidence(place.id()).await?;
    Ok(Json(EvidenceFileList { items: found.into_iter().map(EvidenceFileView::from).collect() }))
}

/// What a file is called.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadQuery {
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    #[serde(default)]
    pub(crate) description: String,
}

/// Add a file to an incident
///
/// The body is the file, at most 256 MiB; its Content-Type is kept. What is answered names its SHA-256.
#[utoipa::path(post, path = "/incidents/{id}/evidence", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))),
    params(("id" = String, Path, description = "Incident id or number"), UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = EvidenceFileView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem)))]
async fn upload(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<(StatusCode, Json<EvidenceFileView>)> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let file = Uuid::now_v7();
    let mut upload = state.evidence.begin(place.tenant(), file).await.map_err(store_error)?;
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|e| ApiError::invalid(format!("the upload broke off: {e}")))?;
        upload.write(&piece).await.map_err(store_error)?;
    }
    let (size, sha256) = upload.finish().await.map_err(store_error)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let new = NewEvidence {
        id: file,
        name: query.name,
        description: query.description,
        media_type: kind.unwrap_or("application/octet-stream").to_owned(),
        size,
        sha256,
    };
    let stored = keep(&state, &caller, &place, &new).await;
    if stored.is_err() {
        state.evidence.remove(place.tenant(), file).await.map_err(store_error)?;
    }
    Ok((StatusCode::CREATED, Json(stored?.into())))
}

async fn keep(state: &ApiState, caller: &Caller, place: &Place, new: &NewEvidence) -> ApiResult<Evidence> {
    let mut tx = place.begin(state, caller).await?;
    let evidence = tx.add_evidence(place.id(), new).await?;
    tx.commit().await?;
    Ok(evidence)
}

/// Show one file with its chain of custody
#[utoipa::path(get, path = "/incidents/{id}/evidence/{evidence}", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number"),
        ("evidence" = String, Path, description = "Evidence id")),
    responses((status = 200, body = EvidenceFileView), (status = 404, body = Problem)))]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, evidence)): Path<(String, String)>,
) -> ApiResult<Json<EvidenceFileView>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let detail = find(&state, &place, &evidence).await?;
    let custody = detail.custody.into_iter().map(CustodyView::from).collect();
    Ok(Json(EvidenceFileView { custody: Some(custody), ..detail.evidence.into() }))
}

/// Hashes the bytes as they are, and writes down who had them in hand. Answers the hash.
async fn take(
    state: &ApiState,
    caller: &Caller,
    place: &Place,
    evidence: &Evidence,
    action: CustodyAction,
) -> ApiResult<String> {
    if evidence.removed.is_some() {
        return Err(ApiError::new(StatusCode::GONE, "removed", "the bytes of this evidence were removed"));
    }
    let found = state.evidence.hash(place.tenant(), evidence.id).await.map_err(store_error)?;
    let detail = if found == evidence.sha256 { "" } else { "the bytes are not those that came in" };
    let mut tx = place.begin(state, caller).await?;
    tx.note_custody(place.id(), evidence.id, action, &found, detail).await?;
    tx.commit().await?;
    Ok(found)
}

/// Download a file
///
/// The bytes are held against their hash first; bytes that were tampered with are not handed out. Taking a copy is
/// written into the chain of custody.
#[utoipa::path(get, path = "/incidents/{id}/evidence/{evidence}/content", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number"),
        ("evidence" = String, Path, description = "Evidence id")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 410, body = Problem)))]
async fn content(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, evidence)): Path<(String, String)>,
) -> ApiResult<Response> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let evidence = find(&state, &place, &evidence).await?.evidence;
    let found = take(&state, &caller, &place, &evidence, CustodyAction::Downloaded).await?;
    if found != evidence.sha256 {
        let detail = format!("the bytes were changed: they hash to {found}, not to {}", evidence.sha256);
        return Err(ApiError::new(StatusCode::CONFLICT, "tampered", detail));
    }
    let file = state.evidence.open(place.tenant(), evidence.id).await.map_err(store_error)?;
    let body = Body::from_stream(ReaderStream::new(file));
    download(body, &evidence.name, "application/octet-stream", Some(evidence.size))
}

/// An answer that is kept as a file and never shown as a page. Where its name comes from a stranger, only letters, digits and
/// a few signs of it survive.
pub(crate) fn download(body: Body, name: &str, kind: &'static str, bytes: Option<u64>) -> ApiResult<Response> {
    let safe = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    let name: String = name.chars().map(safe).collect();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")).map_err(ApiError::internal)?;
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    if let Some(bytes) = bytes {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    Ok(response)
}

/// What a check of a file showed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verified {
    /// Whether the bytes are those that came in.
    pub(crate) intact: bool,
    /// SHA-256 of the bytes as they are.
    pub(crate) sha256: String,
    /// SHA-256 of the bytes that came in.
    pub(crate) expected: String,
}

/// Hold the bytes of a file against its hash; the check is written into the chain of custody
#[utoipa::path(post, path = "/incidents/{id}/evidence/{evidence}/verify", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Incident id or number"),
        ("evidence" = String, Path, description = "Evidence id")),
    responses((status = 200, body = Verified), (status = 404, body = Problem), (status = 410, body = Problem)))]
async fn verify(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, evidence)): Path<(String, String)>,
) -> ApiResult<Json<Verified>> {
    let place = locate(&state, &caller, Permission::IncidentsRead, &id).await?;
    let evidence = find(&state, &place, &evidence).await?.evidence;
    let sha256 = take(&state, &caller, &place, &evidence, CustodyAction::Verified).await?;
    Ok(Json(Verified { intact: sha256 == evidence.sha256, sha256, expected: evidence.sha256 }))
}

/// Why a file goes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveQuery {
    /// Why.
    pub(crate) reason: String,
}

/// Remove the bytes of a file; what it was and who had it in hand stays
#[utoipa::path(delete, path = "/incidents/{id}/evidence/{evidence}", tag = "incidents", extensions(("x-permission" = json!("incidents:write"))),
    params(("id" = String, Path, description = "Incident id or number"),
        ("evidence" = String, Path, description = "Evidence id"), RemoveQuery),
    responses((status = 204), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, evidence)): Path<(String, String)>,
    Query(query): Query<RemoveQuery>,
) -> ApiResult<StatusCode> {
    let place = locate(&state, &caller, Permission::IncidentsWrite, &id).await?;
    let evidence = evidence_id(&evidence)?;
    let mut tx = place.begin(&state, &caller).await?;
    tx.remove_evidence(place.id(), evidence, &query.reason).await?;
    tx.commit().await?;
    state.evidence.remove(place.tenant(), evidence).await.map_err(store_error)?;
    Ok(StatusCode::NO_CONTENT)
}
