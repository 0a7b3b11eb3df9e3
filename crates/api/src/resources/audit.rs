//! The audit trail: list, export, verify, and the signed checkpoints.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use futures::Stream;
use guardian_catalog::{AUDIT_PAGE_MAX, AuditEntry, AuditFilter, Checkpoint, Subject, Verification};
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::parse_time;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::state::ApiState;

/// Checkpoints that are listed.
const CHECKPOINTS_MAX: u64 = 1_000;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(export))
        .routes(routes!(verify))
        .routes(routes!(checkpoints, make_checkpoint))
        .routes(routes!(key))
}

/// Who did something.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActorView {
    /// user, api_key, local_operator, system or anonymous.
    pub(crate) kind: String,
    /// Id of the user or key.
    pub(crate) id: Option<String>,
    /// Name.
    pub(crate) name: String,
}

/// One entry of the trail.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    /// Its number, from 1 without gaps.
    pub(crate) seq: i64,
    /// When, RFC 3339.
    pub(crate) time: String,
    /// Who.
    pub(crate) actor: ActorView,
    /// From where.
    pub(crate) ip: Option<String>,
    /// Id of the request, as its answer's `x-request-id` told it.
    pub(crate) request_id: Option<String>,
    /// What was done, dotted.
    pub(crate) action: String,
    /// To what sort of thing.
    pub(crate) subject: String,
    /// To which one.
    pub(crate) subject_id: String,
    /// The thing before; null where there was none.
    #[schema(value_type = Option<Object>, required = true)]
    pub(crate) before: Value,
    /// The thing after, or details; null where there are none.
    #[schema(value_type = Option<Object>, required = true)]
    pub(crate) after: Value,
    /// Hash of this entry and all before it.
    pub(crate) hash: String,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            seq: entry.seq,
            time: entry.time.to_string(),
            actor: ActorView { kind: entry.actor.kind.to_string(), id: entry.actor.id, name: entry.actor.name },
            ip: entry.actor.ip.map(|ip| ip.to_string()),
            request_id: entry.actor.request_id,
            action: entry.action,
            subject: entry.subject.to_string(),
            subject_id: entry.subject_id,
            before: entry.before,
            after: entry.after,
            hash: entry.hash,
        }
    }
}

/// Which entries.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditQuery {
    /// Actions that begin with this, such as `session.` or `user.create`.
    pub(crate) action: Option<String>,
    /// This sort of thing: user, alert, rule, …
    pub(crate) subject: Option<String>,
    /// This thing.
    pub(crate) subject_id: Option<String>,
    /// What this user or key did, by id.
    pub(crate) actor: Option<String>,
    /// What this sort of actor did: user, api_key, local_operator, system or anonymous.
    pub(crate) actor_kind: Option<String>,
    /// Whose action, subject id or actor name contains this text.
    pub(crate) search: Option<String>,
    /// From this time on, RFC 3339.
    pub(crate) from: Option<String>,
    /// Before this time, RFC 3339.
    pub(crate) to: Option<String>,
    /// Most entries to answer with, at most 500.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`. The filter comes from the cursor.
    pub(crate) cursor: Option<String>,
    /// For exports: csv (default) or jsonl.
    pub(crate) format: Option<String>,
}

impl AuditQuery {
    fn filter(&self) -> ApiResult<AuditFilter> {
        let time = |name: &str, text: &Option<String>| text.as_deref().map(|t| parse_time(name, t)).transpose();
        Ok(AuditFilter {
            action: self.action.clone(),
            subject: self.subject.as_deref().map(str::parse).transpose().map_err(ApiError::invalid)?,
            subject_id: self.subject_id.clone(),
            actor_id: self.actor.clone(),
            actor_kind: self.actor_kind.as_deref().map(str::parse).transpose().map_err(ApiError::invalid)?,
            search: self.search.clone(),
            from: time("from", &self.from)?,
            to: time("to", &self.to)?,
        })
    }
}

/// What a cursor carries.
#[derive(Serialize, Deserialize)]
struct Cursor {
    before: i64,
    filter: AuditFilter,
}

/// One page of the trail.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditList {
    /// Newest first.
    pub(crate) items: Vec<AuditView>,
    /// How many match on all pages.
    pub(crate) total: u64,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List the audit trail of the tenant, newest first
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery), extensions(("x-permission" = json!("audit:read"))),
    responses((status = 200, body = AuditList), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> ApiResult<Json<AuditList>> {
    let tenant = caller.tenant(Permission::AuditRead).await?;
    let (filter, before) = match &query.cursor {
        Some(text) => {
            let cursor: Cursor = state.cursors.open(text)?;
            (cursor.filter, Some(cursor.before))
        }
        None => (query.filter()?, None),
    };
    let limit = query.limit.unwrap_or(50).clamp(1, AUDIT_PAGE_MAX);
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let mut entries = scoped.audit(tenant, &filter, before, limit + 1).await?;
    let more = entries.len() as u64 > limit;
    entries.truncate(limit as usize);
    let total = scoped.audit_count(tenant, &filter).await?;
    let last = entries.last().filter(|_| more).map(|entry| entry.seq);
    let next_cursor = last.map(|before| state.cursors.seal(&Cursor { before, filter })).transpose()?;
    Ok(Json(AuditList { items: entries.into_iter().map(AuditView::from).collect(), total, next_cursor }))
}

/// Export the audit trail as CSV or JSON lines
///
/// Every entry that matches, newest first, however many there are. The export is itself an entry.
#[utoipa::path(get, path = "/audit/export", tag = "audit", params(AuditQuery),
    extensions(("x-permission" = json!("audit:read"))),
    responses((status = 200, content_type = "text/csv", body = String), (status = 403, body = Problem),
        (status = 422, body = Problem)))]
async fn export(State(state): State<ApiState>, caller: Caller, Query(query): Query<AuditQuery>) -> ApiResult<Response> {
    let tenant = caller.tenant(Permission::AuditRead).await?;
    let filter = query.filter()?;
    let csv = match query.format.as_deref() {
        None | Some("csv") => true,
        Some("jsonl") => false,
        Some(other) => return Err(ApiError::invalid(format!("`format`: `{other}` is not csv or jsonl"))),
    };
    let scope = Scope::of(tenant);
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    tx.note(
        "audit.export",
        Subject::Audit,
        "",
        json!({ "filter": filter, "format": if csv { "csv" } else { "jsonl" } }),
    );
    tx.commit().await?;
    let (kind, name) =
        if csv { ("text/csv; charset=utf-8", "audit.csv") } else { ("application/jsonl", "audit.jsonl") };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(pages(state, tenant, filter, csv))).into_response())
}

const CSV_HEAD: &str =
    "seq,time,actor_kind,actor_id,actor_name,ip,request_id,action,subject,subject_id,before,after,hash\n";

/// The export page by page, so that its length does not matter. An error cuts it short, and the client sees that the
/// transfer did not end as it should.
fn pages(
    state: ApiState,
    tenant: TenantId,
    filter: AuditFilter,
    csv: bool,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    let head = if csv { CSV_HEAD } else { "" };
    let first = futures::stream::iter([Ok(Bytes::from_static(head.as_bytes()))]);
    let rest = futures::stream::try_unfold(Some(i64::MAX), move |before| {
        let (state, filter) = (state.clone(), filter.clone());
        async move {
            let Some(before) = before else { return Ok(None) };
            let scope = Scope::of(tenant);
            let page = state.catalog.scoped(&scope).audit(tenant, &filter, Some(before), AUDIT_PAGE_MAX).await;
            let page = page.map_err(std::io::Error::other)?;
            let next = page.last().filter(|_| page.len() as u64 == AUDIT_PAGE_MAX).map(|entry| entry.seq);
            let mut text = Vec::new();
            for entry in page {
                line(&mut text, entry.into(), csv)?;
            }
            Ok(Some((Bytes::from(text), next)))
        }
    });
    futures::StreamExt::chain(first, rest)
}

fn line(text: &mut Vec<u8>, entry: AuditView, csv: bool) -> std::io::Result<()> {
    if !csv {
        serde_json::to_writer(&mut *text, &entry)?;
        text.push(b'\n');
        return Ok(());
    }
    let json = |value: Value| if value.is_null() { String::new() } else { value.to_string() };
    let fields = [
        entry.seq.to_string(),
        entry.time,
        entry.actor.kind,
        entry.actor.id.unwrap_or_default(),
        entry.actor.name,
        entry.ip.unwrap_or_default(),
        entry.request_id.unwrap_or_default(),
        entry.action,
        entry.subject,
        entry.subject_id,
        json(entry.before),
        json(entry.after),
        entry.hash,
    ];
    let mut writer = csv::Writer::from_writer(text);
    writer.write_record(fields.into_iter().map(inert))?;
    writer.flush()
}

/// Spreadsheets take a field that begins with one of these for a formula, and names come from outside.
fn inert(field: String) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field }
}

/// What verifying the trail showed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerificationView {
    /// intact or broken.
    pub(crate) result: &'static str,
    /// How many entries there are, if it is intact.
    pub(crate) entries: Option<i64>,
    /// Hash of the last one, if it is intact.
    pub(crate) head: Option<String>,
    /// How many checkpoints agree with it.
    pub(crate) checkpoints: Option<u64>,
    /// The newest of them, if it is intact and there is one.
    pub(crate) last_checkpoint: Option<CheckpointView>,
    /// The first entry that is not as it was written, if it is broken.
    pub(crate) seq: Option<i64>,
    /// What is wrong with it.
    pub(crate) problem: Option<String>,
}

impl From<Verification> for VerificationView {
    fn from(verification: Verification) -> Self {
        match verification {
            Verification::Intact { entries, checkpoints, head, last_checkpoint } => Self {
                result: "intact",
                entries: Some(entries),
                head: Some(head),
                checkpoints: Some(checkpoints),
                last_checkpoint: last_checkpoint.map(CheckpointView::from),
                seq: None,
                problem: None,
            },
            Verification::Broken { seq, problem } => Self {
                result: "broken",
                entries: None,
                head: None,
                checkpoints: None,
                last_checkpoint: None,
                seq: Some(seq),
                problem: Some(problem),
            },
        }
    }
}

/// Verify the audit trail
///
/// Reads every entry, compares the chain with its signed checkpoints, and names the first entry that is not as it was
/// written.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", extensions(("x-permission" = json!("audit:read"))),
    responses((status = 200, body = VerificationView), (status = 403, body = Problem)))]
async fn verify(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<VerificationView>> {
    let tenant = caller.tenant(Permission::AuditRead).await?;
    Ok(Json(state.identity.verify_audit(tenant, &[]).await?.into()))
}

/// A signed statement of what the head of the trail was.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckpointView {
    /// Tenant.
    pub(crate) tenant: String,
    /// Number of the last entry.
    pub(crate) seq: i64,
    /// Its hash.
    pub(crate) hash: String,
    /// When, RFC 3339 to the microsecond: it is part of what is signed.
    pub(crate) time: String,
    /// Which key signed.
    pub(crate) key_id: String,
    /// Ed25519 signature, hexadecimal.
    pub(crate) signature: String,
}

impl From<Checkpoint> for CheckpointView {
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            tenant: checkpoint.tenant.to_string(),
            seq: checkpoint.seq,
            hash: checkpoint.hash,
            time: checkpoint.time.to_string(),
            key_id: checkpoint.key_id,
            signature: checkpoint.signature,
        }
    }
}

/// Checkpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckpointList {
    /// Newest first, at most a thousand.
    pub(crate) items: Vec<CheckpointView>,
}

/// List the signed checkpoints of the trail
#[utoipa::path(get, path = "/audit/checkpoints", tag = "audit", extensions(("x-permission" = json!("audit:read"))),
    responses((status = 200, body = CheckpointList), (status = 403, body = Problem)))]
async fn checkpoints(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<CheckpointList>> {
    let tenant = caller.tenant(Permission::AuditRead).await?;
    let scope = Scope::of(tenant);
    let all = state.catalog.scoped(&scope).checkpoints(tenant, CHECKPOINTS_MAX).await?;
    Ok(Json(CheckpointList { items: all.into_iter().map(CheckpointView::from).collect() }))
}

/// Sign what the head of the trail is now
///
/// Keep the answer on another machine: it proves later that nothing before it was changed.
#[utoipa::path(post, path = "/audit/checkpoints", tag = "audit", extensions(("x-permission" = json!("audit:read"))),
    responses((status = 201, body = CheckpointView), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn make_checkpoint(
    State(state): State<ApiState>,
    caller: Caller,
) -> ApiResult<(StatusCode, Json<CheckpointView>)> {
    let tenant = caller.tenant(Permission::AuditRead).await?;
    let made = state.identity.checkpoint(tenant, caller.actor()).await?;
    let empty = || ApiError::new(StatusCode::CONFLICT, "conflict", "the trail is still empty");
    Ok((StatusCode::CREATED, Json(made.ok_or_else(empty)?.into())))
}

/// The key that signs checkpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditKeyView {
    /// Its id, as checkpoints name it.
    pub(crate) key_id: String,
    /// Ed25519.
    pub(crate) algorithm: &'static str,
    /// The public key, hexadecimal.
    pub(crate) public_key: String,
}

/// The public key that checkpoints are verified with
#[utoipa::path(get, path = "/audit/key", tag = "audit", extensions(("x-permission" = json!("audit:read"))),
    responses((status = 200, body = AuditKeyView), (status = 403, body = Problem)))]
async fn key(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<AuditKeyView>> {
    caller.tenant(Permission::AuditRead).await?;
    let key = state.identity.audit_key()?;
    let public_key = HEXLOWER.encode(&key.public);
    Ok(Json(AuditKeyView { key_id: key.id, algorithm: "Ed25519", public_key }))
}
