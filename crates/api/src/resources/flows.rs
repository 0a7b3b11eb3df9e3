//! Flows: typed search and top-N, without SQL.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use guardian_expr::Expr;
use guardian_identity::Permission;
use guardian_model::{Class, FLOW, Micros, Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::parse_time;
use super::kept::{Keep, Slots};
use super::query::{objects, run, run_small};
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

/// Filter and place of a page: rows before (batch, row), none of them in a batch before the lowest.
#[derive(Serialize, Deserialize)]
struct Cursor {
    condition: String,
    lowest: u64,
    batch: u64,
    row: u64,
}

/// Batches that are looked through first, newest first; then so many times more at most.
const BATCHES_FIRST: u64 = 2;
const BATCHES_FACTOR: u64 = 1_024;
/// So many batches are few: looking through them is a small question.
const BATCHES_SMALL: u64 = 16;

/// The time that is asked about: the last hour without any.
fn bounds(from: &Option<String>, to: &Option<String>, now: Micros) -> ApiResult<(Micros, Micros)> {
    let time = |name: &str, text: &Option<String>, default: Micros| {
        text.as_deref().map_or(Ok(default), |t| parse_time(name, t))
    };
    Ok((time("from", from, now - Micros::HOUR)?, time("to", to, now)?))
}

/// The WHERE text of a request for rows of a class; made of checked parts only.
pub(crate) fn condition(
    class: &'static Class,
    filter: Option<&str>,
    (from, to): (Micros, Micros),
    now: Micros,
) -> ApiResult<String> {
    let mut sql = format!("received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}'");
    if let Some(filter) = filter.filter(|f| !f.trim().is_empty()) {
        let typed =
            Expr::parse(filter).and_then(|e| e.check(class, now)).map_err(|e| ApiError::invalid(e.render(filter)))?;
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
    let cursor = match &query.cursor {
        Some(text) => Some(state.cursors.open::<Cursor>(text)?),
        None => first(&state, &scope, &query)?,
    };
    // Nothing was received in that time.
    let Some(cursor) = cursor else { return Ok(Json(FlowList { items: Vec::new(), next_cursor: None })) };
    let Cursor { condition, lowest, batch, row } = &cursor;
    let items = newest(&state, &scope, "flows", condition, (*lowest, *batch, *row), limit).await?;
    let next_cursor = match items.last() {
        Some(last) if items.len() == limit => {
            let (batch, row) = (number(last, "batch"), number(last, "row"));
            Some(state.cursors.seal(&Cursor { batch, row, ..cursor })?)
        }
        _ => None,
    };
    Ok(Json(FlowList { items, next_cursor }))
}

/// Where a search begins: after the last row of the time that is asked about. None when there is no row.
fn first(state: &ApiState, scope: &Scope, query: &FlowQuery) -> ApiResult<Option<Cursor>> {
    let now = state.clock.now();
    let (from, to) = bounds(&query.from, &query.to, now)?;
    let condition = condition(&FLOW, query.filter.as_deref(), (from, to), now)?;
    let batches = state.lake.batches(scope, &FLOW, from, to);
    Ok(batches.map(|(lowest, highest)| Cursor { condition, lowest, batch: highest.saturating_add(1), row: 0 }))
}

/// A whole number of a row; 0 where it has none.
pub(crate) fn number(item: &Value, key: &str) -> u64 {
    item.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// The newest rows of a table before (batch, row), none of them in a batch before the lowest. Rows are sorted as they came,
/// so that few batches have to be read where matches are frequent, and none is read twice where they are rare.
pub(crate) async fn newest(
    state: &ApiState,
    scope: &Scope,
    table: &str,
    condition: &str,
    (lowest, batch, row): (u64, u64, u64),
    limit: usize,
) -> ApiResult<Vec<Value>> {
    let mut place = format!("(batch < {batch} OR (batch = {batch} AND \"row\" < {row}))");
    let (mut high, mut count) = (batch, BATCHES_FIRST);
    let mut items = Vec::new();
    let deadline = state.clock.monotonic() + Duration::from_secs(SECONDS);
    loop {
        let low = high.saturating_sub(count).max(lowest);
        let wanted = limit - items.len();
        let sql = format!(
            "SELECT * FROM {table} WHERE {condition} AND batch >= {low} AND {place} \
             ORDER BY batch DESC, \"row\" DESC LIMIT {wanted}"
        );
        let left = deadline.saturating_sub(state.clock.monotonic()).as_secs();
        let answer = if count <= BATCHES_SMALL {
            run_small(state, scope, &sql, wanted, left).await?
        } else {
            run(state, scope, &sql, wanted, left).await?
        };
        let found = objects(answer);
        let next = batches_next(count, found.len(), wanted);
        items.extend(found);
        if items.len() >= limit || low <= lowest {
            return Ok(items);
        }
        place = format!("batch < {low}");
        (high, count) = (low, next);
    }
}

/// How many batches to read next, where `count` batches had `found` of the `wanted` matches: half more than should do.
fn batches_next(count: u64, found: usize, wanted: usize) -> u64 {
    let most = count.saturating_mul(BATCHES_FACTOR);
    let missing = wanted.saturating_sub(found) as u64;
    match found as u64 {
        0 => most,
        found => (count.saturating_mul(missing) / found).saturating_mul(3).div_ceil(2).clamp(1, most),
    }
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
    let now = state.clock.now();
    let condition = condition(&FLOW, query.filter.as_deref(), bounds(&query.from, &query.to, now)?, now)?;
    let sql = format!(
        "SELECT \"{column}\", sum(bytes + coalesce(rev_bytes, CAST(0 AS BIGINT UNSIGNED))) AS total_bytes, \
         sum(packets + coalesce(rev_packets, CAST(0 AS BIGINT UNSIGNED))) AS total_packets, count(*) AS total_flows \
         FROM flows WHERE {condition} GROUP BY \"{column}\" ORDER BY total_{metric} DESC, \"{column}\" LIMIT {n}"
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

/// Flows over time. What takes long to count is kept for a hundredth of the range: `from` and `to` tell which one it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
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
#[derive(Clone, Debug, Serialize, ToSchema)]
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
/// Rows of roll-ups that make the buckets: with hours, more than ten years.
const MINUTES_MAX: usize = 100_000;

/// The shortest step that makes at most `buckets` of the range.
pub(crate) fn step(range_micros: i64, buckets: u64) -> u64 {
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
    let (from, to) = bounds(&query.from, &query.to, now)?;
    let step_seconds = step(to - from, query.buckets.unwrap_or(60));
    let filter = query.filter.as_deref().map(str::trim).unwrap_or_default();
    if step_seconds % 60 == 0 && filter.is_empty() {
        let buckets = by_minute(&state, &scope, from, to, step_seconds).await?;
        return Ok(Json(FlowHistogram { from: from.to_string(), to: to.to_string(), step_seconds, buckets }));
    }
    let condition = condition(&FLOW, Some(filter), (from, to), now)?;
    // A range that ends now is the same question every moment.
    let live = now - to < Micros::MINUTE;
    let range = (if live { 0 } else { from.0 }, to - from);
    let key = (scope.tenants().to_vec(), scope.masks().is_some(), filter.to_owned(), step_seconds, range);
    let good = Duration::from_micros(u64::try_from((to - from) / 100).unwrap_or_default()).min(GOOD_MAX);
    let keep = Keep { good, shown: good * 2, patience: Duration::from_secs(SECONDS), cheap: CHEAP };
    let count = {
        let state = state.clone();
        async move {
            let sql = format!(
                "SELECT date_bin(INTERVAL '{step_seconds} seconds', received) AS bucket, {SUMS} FROM flows \
                 WHERE {condition} GROUP BY 1 ORDER BY 1"
            );
            let limit = usize::try_from(BUCKETS_MAX).unwrap_or(usize::MAX) + 2;
            let start = |row: &Value| row.get("bucket").and_then(Value::as_str).unwrap_or_default().to_owned();
            let rows = objects(run(&state, &scope, &sql, limit, SECONDS).await?);
            let buckets = rows.iter().map(|row| FlowHistogramBucket { start: start(row), ..counted(row) }).collect();
            Ok(FlowHistogram { from: from.to_string(), to: to.to_string(), step_seconds, buckets })
        }
    };
    let kept = state.traffic.histograms.slot(key).get(&state, keep, count).await?;
    let kept = kept.ok_or_else(|| ApiError::invalid("counting takes too long; ask about a shorter time"))?;
    Ok(Json(FlowHistogram::clone(&kept.figures)))
}

/// Histograms by tenants, whether they are masked, filter, step, and start and length of the range; the start is 0 where
/// it ends now.
pub(crate) type Histograms = Slots<(Vec<TenantId>, bool, String, u64, (i64, i64)), FlowHistogram>;

/// Histograms that took less are counted each time.
const CHEAP: Duration = Duration::from_millis(100);
/// Others are kept for a hundredth of their range, at most so long.
const GOOD_MAX: Duration = Duration::from_secs(60);

/// What a bucket counts.
const SUMS: &str = "count(*) AS total_flows, \
                    sum(bytes) AS total_bytes, sum(rev_bytes) AS total_rev_bytes";

/// A bucket without its start.
fn counted(row: &Value) -> FlowHistogramBucket {
    let number = |key: &str| row.get(key).and_then(Value::as_u64).unwrap_or_default();
    let bytes = number("total_bytes") + number("total_rev_bytes");
    FlowHistogramBucket { start: String::new(), flows: number("total_flows"), bytes }
}

/// Every flow of whole minutes, which roll-ups answer however many there are: the first and the last minute are counted
/// whole.
async fn by_minute(
    state: &ApiState,
    scope: &Scope,
    from: Micros,
    to: Micros,
    step_seconds: u64,
) -> ApiResult<Vec<FlowHistogramBucket>> {
    let unit = if step_seconds % 3_600 == 0 { "hour" } else { "minute" };
    let (from, to) = (from.floor(Micros::MINUTE), (to + (Micros::MINUTE - 1)).floor(Micros::MINUTE));
    let sql = format!(
        "SELECT date_trunc('{unit}', received) AS minute, {SUMS} FROM flows \
         WHERE received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}' GROUP BY 1"
    );
    let width = i64::try_from(step_seconds).unwrap_or(i64::MAX).saturating_mul(Micros::SECOND);
    let mut buckets = BTreeMap::<Micros, FlowHistogramBucket>::new();
    for row in &objects(run_small(state, scope, &sql, MINUTES_MAX, SECONDS).await?) {
        let Some(minute) = row.get("minute").and_then(Value::as_str).and_then(Micros::parse) else { continue };
        let (start, more) = (minute.floor(width), counted(row));
        let fresh = || FlowHistogramBucket { start: start.to_string(), flows: 0, bytes: 0 };
        let bucket = buckets.entry(start).or_insert_with(fresh);
        bucket.flows += more.flows;
        bucket.bytes += more.bytes;
    }
    Ok(buckets.into_values().collect())
}

#[cfg(test)]
mod tests {
    use guardian_model::Micros;

    use super::{batches_next, step};

    #[test]
    fn a_search_reads_what_should_do() {
        for (count, found, wanted, next) in [
            (2, 0, 500, 2_048),
            (2, 3, 500, 497),
            (128, 183, 497, 329),
            (128, 127, 128, 2),
            (16, 400, 500, 6),
            (u64::MAX, 0, 1, u64::MAX),
        ] {
            assert_eq!(batches_next(count, found, wanted), next, "{found} of {wanted} in {count}");
        }
    }

    #[test]
    fn steps_are_those_of_a_clock() {
        let hours = |n: i64| Micros::HOUR * n;
        assert_eq!([1, 6, 24, 24 * 7].map(|n| step(hours(n), 60)), [60, 600, 1_800, 21_600]);
        assert_eq!(step(0, 60), 1);
        assert_eq!(step(hours(24 * 365 * 3), 60), 19 * 86_400);
    }
}
