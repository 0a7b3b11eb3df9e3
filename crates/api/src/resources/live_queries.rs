//! Live queries: SQL over the tables of hosts, answered by the hosts themselves while somebody waits.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{
    COMMAND_PAGE_MAX, LIVE_QUERY_HOSTS_MAX, LiveQuery, LiveQueryHost, LiveQueryPart, NewLiveQuery, RunState,
};
use guardian_fleet::{asks_to_carve, live_tables};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::host_bulk::HostSelectionBody;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query, within};
use crate::state::ApiState;

/// How long a query waits for its hosts if nobody says: whoever asks is there now.
const WAIT_S: u32 = 300;
/// How long it may wait.
const WAIT_S_MAX: u32 = 86_400;
/// How long it may take on a host, and how long if nobody says.
const TIMEOUT_S_MAX: u32 = 600;
const TIMEOUT_S: u32 = 30;
/// Rows that a host answers with at most, and where nobody says.
const ROWS_MAX: u32 = 100_000;
const ROWS: u32 = 10_000;
/// Hosts of a tenant that may be asked at once.
const OPEN_MAX: u64 = 50_000;
/// Parts of an answer that one page looks through.
const PARTS_AT_ONCE: u64 = 16;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(tables))
        .routes(routes!(detail))
        .routes(routes!(cancel))
        .routes(routes!(hosts))
        .routes(routes!(rows))
}

/// A question to the tables of hosts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveQueryView {
    /// Id.
    pub(crate) id: String,
    /// The statement.
    pub(crate) sql: String,
    /// Why.
    pub(crate) reason: String,
    /// Who asked.
    pub(crate) author: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// Not begun later than this, RFC 3339.
    pub(crate) expires: String,
    /// How long it may take on a host, in seconds.
    pub(crate) timeout_s: u32,
    /// Rows that are wanted of a host at most.
    pub(crate) rows_max: u32,
    /// When it was called off, RFC 3339.
    pub(crate) cancelled: Option<String>,
    /// How many hosts it is for.
    pub(crate) hosts: u32,
    /// How many of them are queued, sent, running, done, failed, refused, expired or cancelled; those that are none are
    /// left out.
    pub(crate) states: BTreeMap<String, u64>,
    /// Whether no host has anything more to say.
    pub(crate) ended: bool,
    /// Rows that came.
    pub(crate) rows: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

impl From<LiveQuery> for LiveQueryView {
    fn from(query: LiveQuery) -> Self {
        Self {
            ended: query.ended(),
            id: query.id.to_string(),
            sql: query.sql,
            reason: query.reason,
            author: query.author,
            created: query.created.to_string(),
            expires: query.expires.to_string(),
            timeout_s: query.timeout_ms.div_ceil(1_000),
            rows_max: query.rows_max,
            cancelled: query.cancelled.map(|t| t.to_string()),
            hosts: query.hosts,
            states: query.states.into_iter().map(|(state, hosts)| (state.to_string(), hosts)).collect(),
            rows: query.rows,
            bytes: query.bytes,
        }
    }
}

/// How far a host has come with a live query.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveQueryHostView {
    /// Id of the host.
    pub(crate) host: String,
    /// Its name at that time.
    pub(crate) host_name: String,
    /// queued, sent, running, done, failed, refused, expired or cancelled.
    pub(crate) state: String,
    /// When the host was told, RFC 3339.
    pub(crate) sent: Option<String>,
    /// When it ended, RFC 3339.
    pub(crate) ended: Option<String>,
    /// Rows that came.
    pub(crate) rows: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Whether there would have been more than was wanted.
    pub(crate) more: bool,
    /// How long it took on the host, in milliseconds.
    pub(crate) took_ms: Option<u32>,
    /// Why it ended early.
    pub(crate) text: String,
}

impl From<LiveQueryHost> for LiveQueryHostView {
    fn from(run: LiveQueryHost) -> Self {
        Self {
            host: run.host.to_string(),
            host_name: run.host_name,
            state: run.state.to_string(),
            sent: run.sent.map(|t| t.to_string()),
            ended: run.ended.map(|t| t.to_string()),
            rows: run.rows,
            bytes: run.bytes,
            more: run.more,
            took_ms: run.took_ms,
            text: run.text,
        }
    }
}

/// Which live queries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LiveQueryQuery {
    /// Most queries to answer with, at most 500.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`.
    pub(crate) cursor: Option<String>,
}

/// One page of live queries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveQueryList {
    /// Newest first.
    pub(crate) items: Vec<LiveQueryView>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List live queries
#[utoipa::path(get, path = "/live-queries", tag = "live-queries", params(LiveQueryQuery),
    extensions(("x-permission" = json!("hosts:query"))),
    responses((status = 200, body = LiveQueryList), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<LiveQueryQuery>,
) -> ApiResult<Json<LiveQueryList>> {
    let tenant = caller.tenant(Permission::HostsQuery).await?;
    let before: Option<Uuid> = query.cursor.as_deref().map(|cursor| state.cursors.open(cursor)).transpose()?;
    let limit = query.limit.unwrap_or(50).clamp(1, COMMAND_PAGE_MAX);
    let found = state.catalog.scoped(&Scope::of(tenant)).live_queries(before, limit).await?;
    let last = found.last().map(|query| query.id).filter(|_| found.len() as u64 == limit);
    let next_cursor = last.map(|last| state.cursors.seal(&last)).transpose()?;
    Ok(Json(LiveQueryList { items: found.into_iter().map(LiveQueryView::from).collect(), next_cursor }))
}

/// What is asked, and whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLiveQueryBody {
    /// One `SELECT` over the tables of hosts, in the SQL of SQLite.
    pub(crate) sql: String,
    /// Which hosts.
    pub(crate) hosts: HostSelectionBody,
    /// Why, for the audit trail.
    #[serde(default)]
    pub(crate) reason: String,
    /// How long it waits for hosts that are not there, in seconds; 300 if nothing is said, a day at most.
    #[serde(default)]
    pub(crate) wait_s: Option<u32>,
    /// How long it may take on a host, in seconds; 30 if nothing is said, 600 at most.
    #[serde(default)]
    pub(crate) timeout_s: Option<u32>,
    /// Rows that are wanted of a host at most; 10,000 if nothing is said, 100,000 at most.
    #[serde(default)]
    pub(crate) rows_max: Option<u32>,
}

/// Ask hosts by SQL
///
/// Sensitive: a session must have proved itself lately. Each host reads its own tables, and can do nothing else. Rows come in
/// parts as hosts answer; the live stream says so with changes of the subjects `live_query` and `live_query_host`. Answers
/// are kept for seven days. A statement that asks osquery for files (`carves` with `carve = 1`) needs hosts:command as well;
/// they come as evidence of the host.
#[utoipa::path(post, path = "/live-queries", tag = "live-queries",
    request_body = NewLiveQueryBody, extensions(("x-permission" = json!("hosts:query"))),
    responses((status = 201, body = LiveQueryView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<NewLiveQueryBody>,
) -> ApiResult<(StatusCode, Json<LiveQueryView>)> {
    let tenant = caller.sensitive(Permission::HostsQuery).await?;
    if asks_to_carve(&body.sql) {
        // It brings files, as the command `collect` does.
        caller.tenant(Permission::HostsCommand).await?;
    }
    let wait_s = within(body.wait_s, WAIT_S, WAIT_S_MAX, "wait_s")?;
    let timeout_s = within(body.timeout_s, TIMEOUT_S, TIMEOUT_S_MAX, "timeout_s")?;
    let rows_max = within(body.rows_max, ROWS, ROWS_MAX, "rows_max")?;
    let hosts = body.hosts.hosts(&state, &caller, tenant, LIVE_QUERY_HOSTS_MAX).await?;
    if hosts.is_empty() {
        return Err(ApiError::invalid("no host fits"));
    }
    let new = NewLiveQuery {
        sql: body.sql,
        reason: body.reason,
        expires: Micros(state.clock.now().0 + i64::from(wait_s) * Micros::SECOND),
        timeout_ms: timeout_s * 1_000,
        rows_max,
    };
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    if tx.open_live_query_hosts().await? + hosts.len() as u64 > OPEN_MAX {
        let text = format!("more than {OPEN_MAX} hosts would be asked at once: wait, or call something off");
        return Err(ApiError::new(StatusCode::CONFLICT, "too-many-live-queries", text));
    }
    let query = tx.create_live_query(&new, &hosts).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(query.into())))
}

/// A column of a table of hosts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LiveColumnView {
    /// Its name.
    pub(crate) name: String,
    /// text, integer or bigint.
    pub(crate) kind: String,
    /// What it says.
    pub(crate) about: String,
    /// Whether a condition on it makes the work shorter.
    pub(crate) helps: bool,
}

/// A table of hosts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LiveTableView {
    /// Its name.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) about: String,
    /// Whether a statement has to give a condition on a column that helps.
    pub(crate) needs: bool,
    /// Its columns, in order.
    pub(crate) columns: Vec<LiveColumnView>,
}

/// The tables of hosts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LiveTableList {
    /// By name.
    pub(crate) items: Vec<LiveTableView>,
}

/// List the tables that hosts can be asked for
///
/// They have the names and the columns of osquery's tables. Older agents may lack some.
#[utoipa::path(get, path = "/live-queries/tables", tag = "live-queries",
    extensions(("x-permission" = json!("hosts:query"))),
    responses((status = 200, body = LiveTableList), (status = 403, body = Problem)))]
async fn tables(caller: Caller) -> ApiResult<Json<LiveTableList>> {
    caller.tenant(Permission::HostsQuery).await?;
    let items = live_tables().and_then(serde_json::from_value).map_err(ApiError::internal)?;
    Ok(Json(LiveTableList { items }))
}

async fn find(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<LiveQuery> {
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found("live query"))?;
    Ok(state.catalog.scoped(&Scope::of(tenant)).live_query(id).await?)
}

/// Show a live query
#[utoipa::path(get, path = "/live-queries/{id}", tag = "live-queries",
    extensions(("x-permission" = json!("hosts:query"))), params(("id" = String, Path, description = "Id of the query")),
    responses((status = 200, body = LiveQueryView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn detail(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<LiveQueryView>> {
    let tenant = caller.tenant(Permission::HostsQuery).await?;
    Ok(Json(find(&state, tenant, &id).await?.into()))
}

/// Call a live query off
///
/// Hosts that have not heard of it never will; those that are at it stop. What has come is kept.
#[utoipa::path(post, path = "/live-queries/{id}/cancel", tag = "live-queries",
    extensions(("x-permission" = json!("hosts:query"))), params(("id" = String, Path, description = "Id of the query")),
    responses((status = 200, body = LiveQueryView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<LiveQueryView>> {
    let tenant = caller.tenant(Permission::HostsQuery).await?;
    let before = find(&state, tenant, &id).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.cancel_live_query(before.id).await?;
    tx.commit().await?;
    Ok(Json(find(&state, tenant, &id).await?.into()))
}

/// Which hosts of a live query.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LiveQueryHostQuery {
    /// Those in this state.
    pub(crate) state: Option<String>,
    /// Most hosts to answer with, at most 500.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`. The state comes from the cursor.
    pub(crate) cursor: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct HostCursor {
    state: Option<RunState>,
    after: Option<Uuid>,
}

/// One page of the hosts of a live query.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveQueryHostList {
    /// The hosts.
    pub(crate) items: Vec<LiveQueryHostView>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List how far hosts have come with a live query
#[utoipa::path(get, path = "/live-queries/{id}/hosts", tag = "live-queries",
    params(LiveQueryHostQuery, ("id" = String, Path, description = "Id of the query")),
    extensions(("x-permission" = json!("hosts:query"))),
    responses((status = 200, body = LiveQueryHostList), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn hosts(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<LiveQueryHostQuery>,
) -> ApiResult<Json<LiveQueryHostList>> {
    let tenant = caller.tenant(Permission::HostsQuery).await?;
    let of = find(&state, tenant, &id).await?;
    let mut place: HostCursor = match &query.cursor {
        Some(cursor) => state.cursors.open(cursor)?,
        None => {
            let wanted = query.state.as_deref().map(str::parse::<RunState>).transpose();
            HostCursor { state: wanted.map_err(ApiError::invalid)?, after: None }
        }
    };
    let limit = query.limit.unwrap_or(100).clamp(1, COMMAND_PAGE_MAX);
    let scope = Scope::of(tenant);
    let found = state.catalog.scoped(&scope).live_query_hosts(of.id, place.state, place.after, limit).await?;
    place.after = found.last().map(|run| run.id);
    let next_cursor = if found.len() as u64 == limit { Some(state.cursors.seal(&place)?) } else { None };
    Ok(Json(LiveQueryHostList { items: found.into_iter().map(LiveQueryHostView::from).collect(), next_cursor }))
}

/// Which rows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LiveRowQuery {
    /// Those of this host.
    pub(crate) host: Option<String>,
    /// Most rows to answer with, at most 10,000.
    pub(crate) limit: Option<usize>,
    /// Where the last page ended: its `next_cursor`. The host comes from the cursor.
    pub(crate) cursor: Option<String>,
}

/// Where a page of rows ended: the next part, and how many of its rows were shown.
#[derive(Default, Serialize, Deserialize)]
struct RowCursor {
    host: Option<Uuid>,
    part: i64,
    skip: usize,
}

/// A row of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveRow {
    /// Id of the host that answered.
    pub(crate) host: String,
    /// Its name at that time.
    pub(crate) host_name: String,
    /// Names of the columns, as this host has them.
    pub(crate) columns: Vec<String>,
    /// The values: texts, numbers and nulls; bytes are hexadecimal.
    #[schema(value_type = Vec<Object>)]
    pub(crate) values: Vec<Value>,
}

/// One page of rows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveRowList {
    /// In the order in which they came.
    pub(crate) items: Vec<LiveRow>,
    /// Where the next page begins. While the query has not ended there always is one, and asking again brings what has come
    /// meanwhile; null when there is nothing more.
    pub(crate) next_cursor: Option<String>,
    /// Whether no host has anything more to say.
    pub(crate) ended: bool,
}

/// List the rows that hosts answered with
///
/// Needs `personal:read` too: rows may name people and addresses wherever the statement asked for them.
#[utoipa::path(get, path = "/live-queries/{id}/rows", tag = "live-queries",
    params(LiveRowQuery, ("id" = String, Path, description = "Id of the query")),
    extensions(("x-permission" = json!("hosts:query"))),
    responses((status = 200, body = LiveRowList), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn rows(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<LiveRowQuery>,
) -> ApiResult<Json<LiveRowList>> {
    let tenant = caller.tenant(Permission::HostsQuery).await?;
    caller.tenant(Permission::PersonalRead).await?;
    // Before the rows are looked up: what comes later is on the next page then.
    let of = find(&state, tenant, &id).await?;
    let mut place: RowCursor = match &query.cursor {
        Some(cursor) => state.cursors.open(cursor)?,
        None => {
            let host = query.host.as_deref().map(|id| id.parse().map_err(|_| ApiError::not_found("host")));
            RowCursor { host: host.transpose()?, part: 1, skip: 0 }
        }
    };
    let limit = query.limit.unwrap_or(1_000).clamp(1, 10_000);
    let scope = Scope::of(tenant);
    let catalog = state.catalog.scoped(&scope);
    let parts = catalog.live_query_parts(of.id, place.host, place.part, PARTS_AT_ONCE).await?;
    let wanted: Vec<Uuid> = parts.iter().map(|part| part.run).collect();
    let runs = catalog.live_query_runs(of.id, &wanted).await?;
    let looked_through = parts.len() as u64;
    let mut items = Vec::new();
    let mut full = false;
    for part in parts {
        let number = part.number;
        let Some(run) = runs.iter().find(|run| run.id == part.run) else { continue };
        let unpacked = unpack(part, run)?;
        let (skip, room) = (if number == place.part { place.skip } else { 0 }, limit - items.len());
        let left = unpacked.len().saturating_sub(skip);
        items.extend(unpacked.into_iter().skip(skip).take(room).map(|values| LiveRow {
            host: run.host.to_string(),
            host_name: run.host_name.clone(),
            columns: run.columns.clone(),
            values,
        }));
        if left > room {
            (place.part, place.skip, full) = (number, skip + room, true);
            break;
        }
        (place.part, place.skip) = (number + 1, 0);
    }
    let more = full || looked_through == PARTS_AT_ONCE || !of.ended();
    let next_cursor = more.then(|| state.cursors.seal(&place)).transpose()?;
    Ok(Json(LiveRowList { items, next_cursor, ended: of.ended() }))
}

fn unpack(part: LiveQueryPart, run: &LiveQueryHost) -> ApiResult<Vec<Vec<Value>>> {
    guardian_fleet::live_rows(part.raw_bytes, part.packed, run.columns.len()).map_err(ApiError::internal)
}
