//! Baselines of files of one host, as the server keeps them: what its files were at which time, and the proof.

use axum::extract::State;
use data_encoding::HEXLOWER;
use guardian_catalog::{BASELINE_PAGE_MAX, CatalogError, HostBaseline};
use guardian_fleet::{BaselineError, Difference, FileRecord, History, is_signed};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Files of one answer.
const FILES_MAX: usize = 10_000;
/// Bytes of a path.
const PATH_BYTES_MAX: usize = 4_096;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(proof)).routes(routes!(files)).routes(routes!(changes))
}

/// Which baselines.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BaselineQuery {
    /// Only those with a lower number: the last one of the page before.
    pub(crate) below: Option<u64>,
    /// Baselines on the page, at most 500.
    pub(crate) limit: Option<u64>,
}

/// The baseline of files of a host at one time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostBaselineView {
    /// Counts the baselines of a host, from 1.
    pub(crate) number: u64,
    /// BLAKE3 over its folders, hexadecimal: its name.
    pub(crate) root: String,
    /// The root of the one before it; absent for the first.
    pub(crate) previous: Option<String>,
    /// BLAKE3 of the policy it was made under, hexadecimal.
    pub(crate) policy: String,
    /// When it was made, by the host's clock, RFC 3339.
    pub(crate) made: String,
    /// When it came, RFC 3339.
    pub(crate) received: String,
    /// Its folders.
    pub(crate) folders: u64,
    /// Folders in it that are not as in the one before.
    pub(crate) folders_changed: u64,
    /// Folders that the one before has and it has not.
    pub(crate) folders_gone: u64,
    /// Bytes that keeping it takes.
    pub(crate) bytes: u64,
    /// It does not follow the one before: somebody removed or changed the host's own.
    pub(crate) replaced: bool,
    /// Its files can be told. Of old ones only what is here is kept.
    pub(crate) kept: bool,
    /// What the server signed, line by line.
    pub(crate) statement: String,
    /// The signature over it: Ed25519, hexadecimal.
    pub(crate) signature: String,
    /// The key that the signature is checked with, hexadecimal.
    pub(crate) public_key: String,
}

impl HostBaselineView {
    fn new(baseline: HostBaseline, kept: &[u64]) -> Self {
        Self {
            statement: baseline.statement(),
            number: baseline.number,
            kept: kept.contains(&baseline.number),
            root: baseline.root,
            previous: Some(baseline.previous).filter(|root| !root.is_empty()),
            policy: baseline.policy,
            made: baseline.made.to_string(),
            received: baseline.received.to_string(),
            folders: baseline.folders,
            folders_changed: baseline.changed,
            folders_gone: baseline.gone,
            bytes: baseline.bytes,
            replaced: baseline.replaced,
            signature: baseline.signature,
            public_key: baseline.public_key,
        }
    }
}

/// Baselines of a host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostBaselineList {
    /// The newest first.
    pub(crate) items: Vec<HostBaselineView>,
}

/// What a check came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BaselineProof {
    /// The signature is that of the key beside it, over the statement.
    pub(crate) signature_valid: bool,
    /// What is kept comes to the root that was signed, block by block; absent where nothing is kept.
    pub(crate) content_valid: Option<bool>,
    /// The root that the baseline before it has here is the one that this one names; absent where there is none.
    pub(crate) follows: Option<bool>,
    /// What was signed.
    pub(crate) statement: String,
    /// The signature, hexadecimal.
    pub(crate) signature: String,
    /// The key, hexadecimal.
    pub(crate) public_key: String,
}

/// Which files of a baseline.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct BaselineFileQuery {
    /// A folder, or one file.
    pub(crate) path: String,
}

/// A file as it was.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BaselineFile {
    /// Its path.
    pub(crate) path: String,
    /// regular, folder, link, pipe, socket, block or character.
    #[schema(value_type = String)]
    pub(crate) kind: guardian_fleet::FileKind,
    /// Permissions in octal digits.
    pub(crate) mode: String,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Length in bytes.
    pub(crate) size: u64,
    /// When its content changed last, RFC 3339.
    pub(crate) modified: String,
    /// Number within its file system.
    pub(crate) inode: u64,
    /// SHA-256 of the content, hexadecimal.
    pub(crate) sha256: Option<String>,
    /// BLAKE3 of the content, hexadecimal.
    pub(crate) blake3: Option<String>,
    /// Target of a symbolic link.
    pub(crate) target: Option<String>,
    /// Extended attributes, access lists and capabilities: `name=value`.
    pub(crate) attributes: Vec<String>,
    /// Why its content could not be read.
    pub(crate) error: Option<String>,
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl BaselineFile {
    fn new(path: &[u8], record: &FileRecord) -> Self {
        let attributes = record.attributes_text().into_iter().map(|(name, value)| format!("{name}={value}"));
        Self {
            path: lossy(path),
            kind: record.kind,
            mode: format!("{:04o}", record.mode & 0o7777),
            uid: record.uid,
            gid: record.gid,
            size: record.size,
            modified: Micros(record.modified_ns / 1_000).to_string(),
            inode: record.inode,
            sha256: record.sha256.map(|hash| HEXLOWER.encode(&hash)),
            blake3: record.blake3.map(|hash| HEXLOWER.encode(&hash)),
            target: Some(lossy(&record.target)).filter(|target| !target.is_empty()),
            attributes: attributes.collect(),
            error: record.error.clone(),
        }
    }
}

/// Files of a baseline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BaselineFileList {
    /// By name, at most 10,000.
    pub(crate) items: Vec<BaselineFile>,
    /// There are more.
    pub(crate) more: bool,
    /// Why the folder could not be read.
    pub(crate) error: Option<String>,
}

/// Between which baselines.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BaselineChangeQuery {
    /// Number of the older baseline; the one before without it.
    pub(crate) since: Option<u64>,
    /// Only files at this path or below it.
    pub(crate) path: Option<String>,
}

/// A file that differs between two baselines.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BaselineChange {
    /// Its path.
    pub(crate) path: String,
    /// added, removed or changed.
    pub(crate) change: &'static str,
    /// What differs: kind, content, mode, owner, target, attributes, device, or size where it shrank and is not hashed.
    pub(crate) properties: Vec<&'static str>,
    /// As it was.
    pub(crate) before: Option<BaselineFile>,
    /// As it is in the newer one.
    pub(crate) now: Option<BaselineFile>,
}

impl From<Difference> for BaselineChange {
    fn from(difference: Difference) -> Self {
        let file = |record: &FileRecord| BaselineFile::new(&difference.path, record);
        let change = match (&difference.before, &difference.now) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        Self {
            change,
            properties: difference.properties(),
            before: difference.before.as_ref().map(file),
            now: difference.now.as_ref().map(file),
            path: lossy(&difference.path),
        }
    }
}

/// Files that differ between two baselines.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BaselineChangeList {
    /// By folder, at most 10,000.
    pub(crate) items: Vec<BaselineChange>,
    /// There are more.
    pub(crate) more: bool,
}

/// The host and what is kept of its baselines.
async fn history(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<(Uuid, History)> {
    let host = super::hosts::find(state, tenant, id).await?;
    Ok((host.id, state.fleet.baseline_history(tenant, host.id)))
}

async fn one(state: &ApiState, tenant: TenantId, id: &str, number: &str) -> ApiResult<(HostBaseline, History)> {
    let (host, history) = history(state, tenant, id).await?;
    let number: u64 = number.parse().map_err(|_| ApiError::not_found("baseline"))?;
    Ok((state.catalog.scoped(&Scope::of(tenant)).host_baseline(host, number).await?, history))
}

/// Does what reads the disk beside everything else.
async fn reading<T: Send + 'static>(work: impl FnOnce() -> Result<T, BaselineError> + Send + 'static) -> ApiResult<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(error))?;
    done.map_err(|error| match error {
        BaselineError::Missing => CatalogError::NotFound("baseline with its files").into(),
        other => ApiError::internal(other),
    })
}

/// List the baselines of files of a host
///
/// The server keeps what each host's files were, signed, so that who breaks into a host cannot rewrite that.
#[utoipa::path(get, path = "/hosts/{id}/baselines", tag = "hosts", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id"), BaselineQuery),
    responses((status = 200, body = HostBaselineList), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<BaselineQuery>,
) -> ApiResult<Json<HostBaselineList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let (host, history) = history(&state, tenant, &id).await?;
    let limit = query.limit.unwrap_or(100).clamp(1, BASELINE_PAGE_MAX);
    let found = state.catalog.scoped(&Scope::of(tenant)).host_baselines(host, query.below, limit).await?;
    let kept = reading(move || Ok(history.numbers()?)).await?;
    let items = found.into_iter().map(|baseline| HostBaselineView::new(baseline, &kept)).collect();
    Ok(Json(HostBaselineList { items }))
}

/// Check a baseline of a host
///
/// The signature, and everything that is kept against the root that was signed.
#[utoipa::path(get, path = "/hosts/{id}/baselines/{number}/proof", tag = "hosts",
    extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id"), ("number" = String, Path, description = "Which baseline")),
    responses((status = 200, body = BaselineProof), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn proof(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, number)): Path<(String, String)>,
) -> ApiResult<Json<BaselineProof>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let (baseline, history) = one(&state, tenant, &id, &number).await?;
    let scoped = state.catalog.scoped(&Scope::of(tenant));
    let follows = if baseline.number > 1 {
        let before = scoped.host_baseline(baseline.host, baseline.number - 1).await?;
        Some(before.root == baseline.previous)
    } else {
        None
    };
    let (number, root) = (baseline.number, baseline.root.clone());
    let check = move || match history.verified(number) {
        Ok(found) => Ok(Some(HEXLOWER.encode(&found) == root)),
        Err(BaselineError::Missing) => Ok(None),
        Err(BaselineError::Io(error)) => Err(error.into()),
        Err(_) => Ok(Some(false)),
    };
    Ok(Json(BaselineProof {
        signature_valid: is_signed(&baseline),
        content_valid: reading(check).await?,
        follows,
        statement: baseline.statement(),
        signature: baseline.signature,
        public_key: baseline.public_key,
    }))
}

fn checked_path(path: &str) -> ApiResult<Vec<u8>> {
    if !path.starts_with('/') || path.len() > PATH_BYTES_MAX {
        return Err(ApiError::invalid("a path begins with / and has at most 4096 bytes"));
    }
    let path = path.trim_end_matches('/');
    Ok(if path.is_empty() { b"/".to_vec() } else { path.as_bytes().to_vec() })
}

/// List files of a host as they were
///
/// What is in a folder, or one file.
#[utoipa::path(get, path = "/hosts/{id}/baselines/{number}/files", tag = "hosts",
    extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id"), ("number" = String, Path, description = "Which baseline"),
        BaselineFileQuery),
    responses((status = 200, body = BaselineFileList), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn files(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, number)): Path<(String, String)>,
    Query(query): Query<BaselineFileQuery>,
) -> ApiResult<Json<BaselineFileList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let path = checked_path(&query.path)?;
    let (baseline, history) = one(&state, tenant, &id, &number).await?;
    let look = move || {
        let folder = history.entries(baseline.number, &path)?;
        let (folder, name) = match (folder, path.iter().rposition(|byte| *byte == b'/')) {
            (Some(folder), _) => (Some(folder), None),
            (None, Some(slash)) => (history.entries(baseline.number, &path[..slash.max(1)])?, Some(&path[slash + 1..])),
            (None, None) => (None, None),
        };
        let Some(folder) = folder else { return Ok(None) };
        let wanted = folder.entries.iter().filter(|record| name.is_none_or(|name| record.name == name));
        let mut items: Vec<BaselineFile> = wanted
            .take(FILES_MAX + 1)
            .map(|record| BaselineFile::new(folder.path_of(record).as_os_str().as_encoded_bytes(), record))
            .collect();
        let more = items.len() > FILES_MAX;
        items.truncate(FILES_MAX);
        Ok(Some(BaselineFileList { items, more, error: folder.error }))
    };
    let found = reading(look).await?.filter(|found| !found.items.is_empty() || found.error.is_some());
    found.map(Json).ok_or_else(|| ApiError::not_found("path in this baseline"))
}

/// List what differs between two baselines of a host
#[utoipa::path(get, path = "/hosts/{id}/baselines/{number}/changes", tag = "hosts",
    extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id"), ("number" = String, Path, description = "The newer baseline"),
        BaselineChangeQuery),
    responses((status = 200, body = BaselineChangeList), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn changes(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, number)): Path<(String, String)>,
    Query(query): Query<BaselineChangeQuery>,
) -> ApiResult<Json<BaselineChangeList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let path = query.path.as_deref().map(checked_path).transpose()?;
    let (baseline, history) = one(&state, tenant, &id, &number).await?;
    let since = query.since.unwrap_or(baseline.number - 1);
    if since >= baseline.number || since == 0 {
        return Err(ApiError::invalid("name an older baseline by `since`; before the first one there is none"));
    }
    let below = move |of: &[u8]| {
        path.as_ref().is_none_or(|path| {
            path == b"/" || of.strip_prefix(path.as_slice()).is_some_and(|rest| rest.first().is_none_or(|b| *b == b'/'))
        })
    };
    let look = move || {
        let mut items: Vec<BaselineChange> = Vec::new();
        history.compare(since, baseline.number, &mut |difference| {
            if below(&difference.path) {
                items.push(difference.into());
            }
            items.len() <= FILES_MAX
        })?;
        let more = items.len() > FILES_MAX;
        items.truncate(FILES_MAX);
        Ok(BaselineChangeList { items, more })
    };
    Ok(Json(reading(look).await?))
}
