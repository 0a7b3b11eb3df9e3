//! Hosts: machines with an agent.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{
    CatalogError, Host, HostAgent, HostChange, HostCursor, HostFilter, HostHealth, HostOrder, HostSort, HostStatus,
    HostTrouble,
};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::host_policy::HostPolicyState;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, change, remove)).routes(routes!(revoke))
}

/// Rows that an agent lost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostLossView {
    /// Class of the events.
    pub(crate) class: String,
    /// Rows.
    pub(crate) rows: u64,
    /// Where: spool, outbox, or a source.
    pub(crate) place: String,
}

/// How an agent is, as of its last heartbeat.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostHealthView {
    /// How far its clock is ahead of the server's, in microseconds.
    pub(crate) clock_skew_us: i64,
    /// Length of the round to the server and back, in microseconds.
    pub(crate) round_us: u64,
    /// Bytes that wait on its disk.
    pub(crate) spool_bytes: u64,
    /// Processor time that it used since it started, in microseconds.
    pub(crate) cpu_us: u64,
    /// Its resident memory, bytes.
    pub(crate) resident_bytes: u64,
    /// What it lost since it started.
    pub(crate) lost: Vec<HostLossView>,
    /// What is wrong with it.
    pub(crate) complaints: Vec<String>,
    /// Version of the policy it runs.
    pub(crate) policy_version: Option<u64>,
    /// BLAKE3 of that policy.
    pub(crate) policy_hash: Option<String>,
}

impl From<HostHealth> for HostHealthView {
    fn from(health: HostHealth) -> Self {
        let lost = health.lost.into_iter();
        Self {
            clock_skew_us: health.clock_skew_us,
            round_us: health.round_us,
            spool_bytes: health.spool_bytes,
            cpu_us: health.cpu_us,
            resident_bytes: health.resident_bytes,
            lost: lost.map(|l| HostLossView { class: l.class, rows: l.rows, place: l.place }).collect(),
            complaints: health.complaints,
            policy_version: health.policy_version,
            policy_hash: health.policy_hash,
        }
    }
}

/// A machine with an agent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostView {
    /// Id; the column `host_id` of its events.
    pub(crate) id: String,
    /// Grows with every change that a person makes.
    pub(crate) version: i32,
    /// Its name; the column `host` of its events.
    pub(crate) name: String,
    /// online, offline, never or revoked.
    pub(crate) status: String,
    /// linux, windows or other.
    pub(crate) platform: String,
    /// Distribution and release.
    pub(crate) os: String,
    /// Kernel release.
    pub(crate) kernel: String,
    /// Processor architecture.
    pub(crate) architecture: String,
    /// What speaks for it: guardian or osquery.
    pub(crate) agent: String,
    /// Version of the agent's program.
    pub(crate) agent_version: String,
    /// Where it last connected from.
    pub(crate) address: Option<String>,
    /// Its tags.
    pub(crate) tags: Vec<String>,
    /// Groups that somebody put it in.
    pub(crate) groups: Vec<String>,
    /// Groups whose expression it fits.
    pub(crate) matched_groups: Vec<String>,
    /// How it stands with its policy.
    pub(crate) policy: HostPolicyState,
    /// The token it came in by.
    pub(crate) enrollment_token: Option<String>,
    /// When it came in, RFC 3339.
    pub(crate) enrolled: String,
    /// When it was last heard, RFC 3339.
    pub(crate) last_seen: Option<String>,
    /// When it was shut out, RFC 3339.
    pub(crate) revoked: Option<String>,
    /// Number of its certificate, in hexadecimal digits; null where osquery speaks for it.
    pub(crate) certificate_serial: Option<String>,
    /// Until when its certificate is valid, RFC 3339; null where osquery speaks for it.
    pub(crate) certificate_not_after: Option<String>,
    /// How its agent is.
    pub(crate) health: HostHealthView,
}

impl HostView {
    fn new(host: Host, now: Micros) -> Self {
        Self {
            status: host.status(now).to_string(),
            policy: HostPolicyState::new(&host),
            id: host.id.to_string(),
            version: host.version,
            name: host.name,
            platform: host.platform,
            os: host.system,
            kernel: host.kernel,
            architecture: host.architecture,
            certificate_not_after: (host.agent == HostAgent::Guardian).then(|| host.not_after.to_string()),
            agent: host.agent.to_string(),
            agent_version: host.program,
            address: host.address,
            tags: host.tags,
            groups: host.groups,
            matched_groups: host.matched,
            enrollment_token: host.token.map(|t| t.to_string()),
            enrolled: host.enrolled.to_string(),
            last_seen: host.last_seen.map(|t| t.to_string()),
            revoked: host.revoked.map(|t| t.to_string()),
            certificate_serial: Some(host.serial).filter(|serial| !serial.is_empty()),
            health: host.health.into(),
        }
    }
}

/// Which hosts to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HostQuery {
    /// online, offline, never or revoked.
    pub(crate) status: Option<String>,
    /// linux, windows or other.
    pub(crate) platform: Option<String>,
    /// With this tag.
    pub(crate) tag: Option<String>,
    /// In this group, by name or by expression.
    pub(crate) group: Option<String>,
    /// With this version of the agent's program.
    pub(crate) agent_version: Option<String>,
    /// Whose agent complains or lost events: complaints, lost or any.
    pub(crate) trouble: Option<String>,
    /// Whose name, operating system, kernel or address contains this text.
    pub(crate) search: Option<String>,
    /// name (default), last_seen, enrolled, version or os; a leading `-` reverses.
    pub(crate) sort: Option<String>,
    /// Most hosts to answer with, at most 500.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`. Filter and order come from the cursor.
    pub(crate) cursor: Option<String>,
}

impl HostQuery {
    /// What the catalog is asked for.
    pub(crate) fn filter(&self, caller: &Caller) -> ApiResult<HostFilter> {
        let status = self.status.as_deref().map(str::parse::<HostStatus>).transpose();
        let trouble = self.trouble.as_deref().map(str::parse::<HostTrouble>).transpose();
        Ok(HostFilter {
            status: status.map_err(ApiError::invalid)?,
            platform: self.platform.clone(),
            tag: self.tag.clone(),
            group: self.group.clone(),
            program: self.agent_version.clone(),
            trouble: trouble.map_err(ApiError::invalid)?,
            search: self.search.as_deref().map(|text| caller.searched(text)),
        })
    }
}

/// What a cursor carries.
#[derive(Serialize, Deserialize)]
struct Cursor {
    filter: HostFilter,
    place: HostCursor,
}

/// One page of hosts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostList {
    /// The hosts.
    pub(crate) items: Vec<HostView>,
    /// How many match on all pages.
    pub(crate) total: u64,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List the hosts of the tenant
#[utoipa::path(get, path = "/hosts", tag = "hosts", params(HostQuery), extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = HostList), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<HostQuery>,
) -> ApiResult<Json<HostList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let (filter, place) = match &query.cursor {
        Some(text) => {
            let cursor: Cursor = state.cursors.open(text)?;
            (cursor.filter, Some(cursor.place))
        }
        None => (query.filter(&caller)?, None),
    };
    let order = match (&place, &query.sort) {
        (Some(place), _) => place.order,
        (None, Some(text)) => text.parse().map_err(ApiError::invalid)?,
        (None, None) => HostOrder { by: HostSort::Name, descending: false },
    };
    let scope = Scope::of(tenant);
    let page = state.catalog.scoped(&scope).hosts(&filter, order, place.as_ref(), query.limit.unwrap_or(50)).await?;
    let next_cursor = page.next.map(|place| state.cursors.seal(&Cursor { filter, place })).transpose()?;
    let now = state.clock.now();
    let items = page.items.into_iter().map(|host| HostView::new(host, now)).collect();
    Ok(Json(HostList { items, total: page.total, next_cursor }))
}

fn host_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("host"))
}

/// The host with this id.
pub(crate) async fn find(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<Host> {
    Ok(state.catalog.scoped(&Scope::of(tenant)).host(host_id(id)?).await?)
}

/// Show a host
#[utoipa::path(get, path = "/hosts/{id}", tag = "hosts", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id")),
    responses((status = 200, body = HostView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<HostView>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    Ok(Json(HostView::new(find(&state, tenant, &id).await?, state.clock.now())))
}

/// What to change of a host; absent members stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeHost {
    /// The version that was seen.
    pub(crate) version: i32,
    /// Its name; events that come from then on carry it.
    pub(crate) name: Option<String>,
    /// Its tags.
    pub(crate) tags: Option<Vec<String>>,
    /// Its groups.
    pub(crate) groups: Option<Vec<String>>,
}

/// Change a host
#[utoipa::path(patch, path = "/hosts/{id}", tag = "hosts", request_body = ChangeHost,
    extensions(("x-permission" = json!("hosts:manage"))),
    params(("id" = String, Path, description = "Host id")),
    responses((status = 200, body = HostView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ChangeHost>,
) -> ApiResult<Json<HostView>> {
    let tenant = caller.tenant(Permission::HostsManage).await?;
    let change = HostChange { name: body.name, tags: body.tags, groups: body.groups };
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    match tx.update_host(host_id(&id)?, body.version, &change).await {
        Err(CatalogError::VersionConflict { .. }) => {
            drop(tx);
            let now = state.clock.now();
            Err(ApiError::version_conflict(&HostView::new(find(&state, tenant, &id).await?, now)))
        }
        done => {
            let host = done?;
            tx.commit().await?;
            Ok(Json(HostView::new(host, state.clock.now())))
        }
    }
}

/// Shut a host out, at once and for good
///
/// Its certificate opens nothing any more, and a connection that stands ends. It stays on the list with its past.
#[utoipa::path(post, path = "/hosts/{id}/revoke", tag = "hosts", extensions(("x-permission" = json!("hosts:manage"))),
    params(("id" = String, Path, description = "Host id")),
    responses((status = 200, body = HostView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn revoke(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<HostView>> {
    let tenant = caller.sensitive(Permission::HostsManage).await?;
    let id = host_id(&id)?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let host = tx.revoke_host(id).await?;
    tx.commit().await?;
    state.fleet.end_session(id);
    Ok(Json(HostView::new(host, state.clock.now())))
}

/// Take a host off the list
///
/// Its certificate opens nothing any more. Its events stay as long as others do.
#[utoipa::path(delete, path = "/hosts/{id}", tag = "hosts", extensions(("x-permission" = json!("hosts:manage"))),
    params(("id" = String, Path, description = "Host id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn remove(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.sensitive(Permission::HostsManage).await?;
    let id = host_id(&id)?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.delete_host(id).await?;
    tx.commit().await?;
    state.fleet.end_session(id);
    state.lake.forget_origin(id.as_bytes());
    Ok(StatusCode::NO_CONTENT)
}
