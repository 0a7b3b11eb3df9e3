//! Flows: typed search and top-N, without SQL.

use axum::extract::State;
use guardian_expr::Expr;
use guardian_identity::Permission;
use guardian_model::{FLOW, Micros};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::parse_time;
use super::query::{objects, run};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::state::ApiState;

const PAGE_MAX: usize = 1_000;
const TOP_MAX: usize = 1_000;
const SECONDS: u64 = 60;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(search)).routes(routes!(top)).routes(routes!(histogram))
}

/// Which flows.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FlowQuery {
    /// Filter, such as `src_ip in 10.0.0.0/8 and dst_port in (22, 3389) and bytes > 10MB`.
    pub(crate) filter: Option<String>,
    /// Received at or after this time, RFC 3339; an hour ago by default.
    pub(crate) from: Option<String>,
    /// Received before this time, RFC 3339; now by default.
    pub(crate) to: Option<String>,
    /// Most flows to answer with, at most 1,000.
    pub(crate) limit: Option<usize>,
    /// Where the last page ended.
    pub(crate) cursor: Option<String>,
}

/// One page of flows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlowList {
    /// Newest first; null columns are left out.
    #[schema(value_type = Vec<Object>)]
    pub(crate) items: Vec<Value>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// Filter and place of a page: rows before (batch, row).
#[derive(Serialize, Deserialize)]
struct Cursor {
    condition: String,
    batch: u64,
    row: u64,
}

/// The WHERE text of a request; made of checked parts only.
fn condition(query: &FlowQuery, now: Micros) -> ApiResult<String> {
    let time = |name: &str, text: &Option<String>, default: Micros| {
        text.as_deref().map_or(Ok(default), |t| parse_time(name, t))
    };
    let from = time("from", &query.from, now - Micros::HOUR)?;
    let to = time("to", &query.to, now)?;
    let mut sql = format!("received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}'");
    if let Some(filter) = query.filter.as_deref().filter(|f| !f.trim().is_empty()) {
        let typed =
            Expr::parse(filter).and_then(|e| e.check(&FLOW, now)).map_err(|e| ApiError::invalid(e.render(filter)))?;
        sql = format!("{sql} AND ({})", typed.to_sql());
    }
    Ok(sql)
}

/// Search flows with a filter
#[utoipa::path(get, path = "/flows", tag = "telemetry", extensions(("x-permission" = json!("flows:read"))), params(FlowQuery),
    responses((status = 200, body = FlowList), (status = 422, body = Problem)))]
async fn search(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<FlowQuery>,
) -> ApiResult<Json<FlowList>> {
    let scope = caller.scope(Permission::FlowsRead).await?;
    let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let (condition, place) = match &query.cursor {
        Some(text) => {
            let cursor: Cursor = state.cursors.open(text)?;
            let place =
                format!(" AND (batch < {b} OR (batch = {b} AND \"row\" < {r}))", b = cursor.batch, r = cursor.row);
            (cursor.condition, place)
        }
        None => (condition(&query, state.clock.now())?, String::new()),
    };
    let sql = format!("SELECT * FROM flows WHERE {condition}{place} ORDER BY batch DESC, \"row\" DESC LIMIT {limit}");
    let items = objects(run(&state, &scope, &sql, limit, SECONDS).await?);
    let number = |item: &Value, key: &str| item.get(key).and_then(Value::as_u64).unwrap_or_default();
    let next_cursor = match items.last() {
        Some(last) if items.len() == limit => {
            Some(state.cursors.seal(&Cursor { condition, batch: number(last, "batch"), row: number(last, "row") })?)
        }
        _ => None,
    };
    Ok(Json(FlowList { items, next_cursor }))
}

/// What to rank by.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopQuery {
    /// Column to group by, such as `src_ip`, `dst_port` or `dst_country`.
    pub(crate) by: String,
    /// `bytes` (default), `packets` or `flows`.
    pub(crate) metric: Option<String>,
    /// How many, at most 1,000.
    pub(crate) n: Option<usize>,
    /// Filter, as in the search.
    pub(crate) filter: Option<String>,
    /// Received at or after this time, RFC 3339; an hour ago by default.
    pub(crate) from: Option<String>,
    /// Received before this time, RFC 3339; now by default.
    pub(crate) to: Option<String>,
}

/// A ranking.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopList {
    /// Largest first: the grouping column, bytes, packets and flows.
    #[schema(value_type = Vec<Object>)]
    pub(crate) items: Vec<Value>,
}

/// Rank flows by a column
#[utoipa::path(get, path = "/flows/top", tag = "telemetry", extensions(("x-permission" = json!("flows:read"))), params(TopQuery),
    responses((status = 200, body = TopList), (status = 422, body = Problem)))]
async fn top(State(state): State<ApiState>, caller: Caller, Query(query): Query<TopQuery>) -> ApiResult<Json<TopList>> {
    let scope = caller.scope(Permission::FlowsRead).await?;
    let column = FLOW.index_of(&query.by).map(|i| FLOW.fields[i].name).ok_or_else(|| {
        ApiError::invalid(format!("`by`: there is no column `{}`; the field reference lists them", query.by))
    })?;
    let metric = match query.metric.as_deref() {
        None | Some("bytes") => "bytes",
        Some("packets") => "packets",
        Some("flows") => "flows",
        Some(other) => return Err(ApiError::invalid(format!("`metric`: `{other}` is not bytes, packets or flows"))),
    };
    let n = query.n.unwrap_or(10).clamp(1, TOP_MAX);
    let which = FlowQuery { filter: query.filter, from: query.from, to: query.to, ..FlowQuery::default() };
    let condition = condition(&which, state.clock.now())?;
    let sql = format!(
        "SELECT \"{column}\", sum(bytes + coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) AS total_bytes, \
         sum(packets + coalesce(rev_packets, CAST(0 AS BIGINT UNSIGNED))) AS total_packets, count(*) AS total_flows \
         FROM flows WHERE {condition} GROUP BY \"{column}\" ORDER BY total_{metric} DESC LIMIT {n}"
    );
    Ok(Json(TopList { items: objects(run(&state, &scope, &sql, n, SECONDS).await?) }))
}

/// Which flows to count over time.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FlowHistogramQuery {
    /// Filter, as in the search.
    pub(crate) filter: Option<String>,
    /// Received at or after this time, RFC 3339; an hour ago by default.
    pub(crate) from: Option<String>,
    /// Received before this time, RFC 3339; now by default.
    pub(crate) to: Option<String>,
    /// About how many buckets, at most 400; 60 by default.
    pub(crate) buckets: Option<u64>,
}

/// Flows over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlowHistogram {
    /// Start of the range, RFC 3339.
    pub(crate) from: String,
    /// End of the range, RFC 3339.
    pub(crate) to: String,
    /// Length of a bucket.
    pub(crate) step_seconds: u64,
    /// By time; buckets without flows are left out.
    pub(crate) buckets: Vec<FlowHistogramBucket>,
}

/// What was received in one step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlowHistogramBucket {
    /// Its start, RFC 3339.
    pub(crate) start: String,
    /// Flows.
    pub(crate) flows: u64,
    /// Octets, both directions.
    pub(crate) bytes: u64,
}

/// Lengths that a bucket may have, in seconds: those that people read a clock by.
const STEPS: &[u64] = &[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];
const BUCKETS_MAX: u64 = 400;

/// The shortest step that makes at most `buckets` of the range.
fn step(range_micros: i64, buckets: u64) -> u64 {
    let seconds = u64::try_from(range_micros / 1_000_000).unwrap_or_default().max(1);
    let wanted = seconds.div_ceil(buckets.clamp(1, BUCKETS_MAX));
    STEPS.iter().copied().find(|step| *step >= wanted).unwrap_or_else(|| wanted.next_multiple_of(86_400))
}

/// Count flows over time
#[utoipa::path(get, path = "/flows/histogram", tag = "telemetry", extensions(("x-permission" = json!("flows:read"))), params(FlowHistogramQuery),
    responses((status = 200, body = FlowHistogram), (status = 422, body = Problem)))]
async fn histogram(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<FlowHistogramQuery>,
) -> ApiResult<Json<FlowHistogram>> {
    let scope = caller.scope(Permission::FlowsRead).await?;
    let now = state.clock.now();
    let time = |name: &str, text: &Option<String>, default: Micros| {
        text.as_deref().map_or(Ok(default), |t| parse_time(name, t))
    };
    let from = time("from", &query.from, now - Micros::HOUR)?;
    let to = time("to", &query.to, now)?;
    let step_seconds = step(to - from, query.buckets.unwrap_or(60));
    let which = FlowQuery {
        filter: query.filter,
        from: Some(from.to_string()),
        to: Some(to.to_string()),
        ..FlowQuery::default()
    };
    let condition = condition(&which, now)?;
    let sql = format!(
        "SELECT date_bin(INTERVAL '{step_seconds} seconds', received) AS bucket, count(*) AS total_flows, \
         sum(bytes + coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) AS total_bytes FROM flows WHERE {condition} GROUP BY 1 ORDER BY 1"
    );
    let limit = usize::try_from(BUCKETS_MAX).unwrap_or(usize::MAX) + 2;
    let number = |row: &Value, key: &str| row.get(key).and_then(Value::as_u64).unwrap_or_default();
    let bucket = |row: &Value| FlowHistogramBucket {
        start: row.get("bucket").and_then(Value::as_str).unwrap_or_default().to_owned(),
        flows: number(row, "total_flows"),
        bytes: number(row, "total_bytes"),
    };
    let rows = objects(run(&state, &scope, &sql, limit, SECONDS).await?);
    Ok(Json(FlowHistogram {
        from: from.to_string(),
        to: to.to_string(),
        step_seconds,
        buckets: rows.iter().map(bucket).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use guardian_model::Micros;

    use super::step;

    #[test]
    fn steps_are_those_of_a_clock() {
        let hours = |n: i64| Micros::HOUR * n;
        assert_eq!([1, 6, 24, 24 * 7].map(|n| step(hours(n), 60)), [60, 600, 1_800, 21_600]);
        assert_eq!(step(0, 60), 1);
        assert_eq!(step(hours(24 * 365 * 3), 60), 19 * 86_400);
    }
}
