//! SQL hunting: one SELECT over the caller's tenants.

use std::time::Duration;

use axum::extract::State;
use guardian_identity::Permission;
use guardian_lake::QueryLimits;
use guardian_model::{Scope, cell_json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

const ROWS_MAX: usize = 100_000;
const SECONDS_MAX: u64 = 600;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(query))
}

/// A question in SQL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryRequest {
    /// One SELECT statement over `flows` and `findings`.
    pub(crate) sql: String,
    /// Most rows to answer with, at most 100,000.
    #[serde(default = "rows_default")]
    pub(crate) limit: usize,
    /// Seconds after which it is given up, at most 600.
    #[serde(default = "seconds_default")]
    pub(crate) timeout_seconds: u64,
}

fn rows_default() -> usize {
    1_000
}

fn seconds_default() -> u64 {
    60
}

/// A column of the answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ColumnView {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueryAnswer {
    /// The columns.
    pub columns: Vec<ColumnView>,
    /// The rows, in the order of the columns; addresses and times are text.
    #[schema(value_type = Vec<Vec<Object>>)]
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more rows than the limit.
    pub truncated: bool,
    /// How it was answered.
    pub stats: QueryStatsView,
}

/// How a query was answered.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct QueryStatsView {
    /// Milliseconds from the request to the last row.
    pub took_ms: f64,
    /// Whether minute roll-ups answered it.
    pub used_rollup: bool,
    /// Parquet files read.
    pub files: u64,
    /// Parquet files left out by what is known of them.
    pub files_pruned: u64,
}

/// Ask in SQL
///
/// One SELECT (WITH and EXPLAIN are fine) over the tables `flows` and `findings` of the caller's tenants.
#[utoipa::path(post, path = "/query", tag = "telemetry", extensions(("x-permission" = json!("flows:sql"))), request_body = QueryRequest,
    responses((status = 200, body = QueryAnswer), (status = 422, body = Problem), (status = 403, body = Problem)))]
async fn query(
    State(state): State<ApiState>,
    caller: Caller,
    Json(request): Json<QueryRequest>,
) -> ApiResult<Json<QueryAnswer>> {
    let scope = caller.scope(Permission::FlowsSql).await?;
    let tenant = caller.tenant(Permission::FlowsSql).await?;
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    tx.note("telemetry.query", guardian_catalog::Subject::Telemetry, "", serde_json::json!({"sql": request.sql}));
    tx.commit().await?;
    let answer = run(&state, &scope, &request.sql, request.limit, request.timeout_seconds).await?;
    Ok(Json(answer))
}

/// Runs a query and collects at most `limit` rows.
pub(crate) async fn run(
    state: &ApiState,
    scope: &Scope,
    sql: &str,
    limit: usize,
    timeout_seconds: u64,
) -> ApiResult<QueryAnswer> {
    answer(&state.lake, scope, sql, limit, timeout_seconds).await
}

/// As [`run`], for a question that reads little however much is stored: it does not wait behind those that read much.
pub(crate) async fn run_small(
    state: &ApiState,
    scope: &Scope,
    sql: &str,
    limit: usize,
    timeout_seconds: u64,
) -> ApiResult<QueryAnswer> {
    limited(&state.lake, scope, sql, limit, timeout_seconds, true).await
}

/// Runs a query on a lake and collects at most `limit` rows; also the way of the command line without a server.
pub async fn answer(
    lake: &guardian_lake::Lake,
    scope: &Scope,
    sql: &str,
    limit: usize,
    timeout_seconds: u64,
) -> ApiResult<QueryAnswer> {
    limited(lake, scope, sql, limit, timeout_seconds, false).await
}

async fn limited(
    lake: &guardian_lake::Lake,
    scope: &Scope,
    sql: &str,
    limit: usize,
    timeout_seconds: u64,
    small: bool,
) -> ApiResult<QueryAnswer> {
    let limit = limit.clamp(1, ROWS_MAX);
    let timeout = Duration::from_secs(timeout_seconds.clamp(1, SECONDS_MAX));
    let limits = QueryLimits { rows: Some(limit), time: Some(timeout), small, ..QueryLimits::default() };
    let (schema, batches, stats) = lake.query(scope, sql, limits).await?.collect_all().await?;
    let columns =
        schema.fields().iter().map(|f| ColumnView { name: f.name().clone(), kind: f.data_type().to_string() });
    let columns = columns.collect();
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|c| cell_json(c.as_ref(), row).unwrap_or(Value::Null));
            rows.push(cells.collect::<Vec<_>>());
        }
    }
    Ok(QueryAnswer {
        columns,
        rows,
        truncated: stats.truncated,
        stats: QueryStatsView {
            took_ms: stats.elapsed.as_secs_f64() * 1e3,
            used_rollup: stats.rollup,
            files: stats.files,
            files_pruned: stats.files_pruned,
        },
    })
}

/// Answers the rows as objects.
pub(crate) fn objects(answer: QueryAnswer) -> Vec<Value> {
    let names: Vec<String> = answer.columns.into_iter().map(|c| c.name).collect();
    let object =
        |row: Vec<Value>| Value::Object(names.iter().cloned().zip(row).filter(|(_, v)| !v.is_null()).collect());
    answer.rows.into_iter().map(object).collect()
}

impl From<ApiError> for String {
    fn from(error: ApiError) -> Self {
        error.detail().to_owned()
    }
}
