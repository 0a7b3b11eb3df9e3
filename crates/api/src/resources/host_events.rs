//! What happened on one host, and how it is over time: for the page of a host. These are reads of one host's own events,
//! by the permission to see hosts; hunting through everybody's is another matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use guardian_identity::Permission;
use guardian_model::{CONNECTION, Class, FILE, HEALTH, LOG, LOGIN, Micros, PROCESS, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alerts::parse_time;
use super::flows::{condition, newest, number, step};
use super::hosts::find;
use super::query::{objects, run};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Events on a page at most.
const PAGE_MAX: usize = 1_000;
/// Steps of a picture over time at most.
const STEPS_MAX: u64 = 200;
/// Steps of a picture over time, if nobody says otherwise.
const STEPS: u64 = 60;
/// Measured values of one answer.
const POINTS_MAX: usize = 20_000;
/// Longest question, in seconds.
const SECONDS: u64 = 30;

/// What agents send, and which of it deserves a look.
const CLASSES: &[(&Class, &str)] = &[
    (&PROCESS, "elevated"),
    (&CONNECTION, "activity = 'listen'"),
    (&FILE, "expected = false"),
    (&LOGIN, "NOT success"),
    (&LOG, "severity <= 3"),
];

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(activity)).routes(routes!(health))
}

/// The host that is asked about, and what the caller may see of it.
async fn about(state: &ApiState, caller: &Caller, id: &str) -> ApiResult<(Uuid, Scope)> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let host = find(state, tenant, id).await?;
    let scope = Scope::of(tenant);
    let scope = match caller.masks() {
        Some(masks) => scope.masked(Arc::clone(masks)),
        None => scope,
    };
    Ok((host.id, scope))
}

/// The time that is asked about: the last day without any.
fn bounds(from: Option<&str>, to: Option<&str>, now: Micros) -> ApiResult<(Micros, Micros)> {
    let to = to.map_or(Ok(now), |t| parse_time("to", t))?;
    let from = from.map_or(Ok(to - Micros::DAY), |t| parse_time("from", t))?;
    if from >= to {
        return Err(ApiError::invalid("the time range is empty"));
    }
    Ok((from, to))
}

/// Which events of a host.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HostEventQuery {
    /// processes, connections, files, logins, logs or health; several with commas between them. All but health if absent.
    pub(crate) class: Option<String>,
    /// Filter over the columns of a class, such as `image like */nc and elevated = true`; one class must be named.
    pub(crate) filter: Option<String>,
    /// Received at or after this time, RFC 3339; a day ago by default.
    pub(crate) from: Option<String>,
    /// Received before this time, RFC 3339; now by default.
    pub(crate) to: Option<String>,
    /// Most events to answer with, at most 1,000; 100 by default.
    pub(crate) limit: Option<usize>,
    /// Where the last page ended: its `next_cursor`. Everything else but the limit comes from the cursor.
    pub(crate) cursor: Option<String>,
}

/// One page of events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostEventList {
    /// Newest first, as they were received; each has its `class`, and null columns are left out.
    #[schema(value_type = Vec<Object>)]
    pub(crate) items: Vec<Value>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// What is asked, and where the last page ended: rows before (batch, row).
#[derive(Clone, Serialize, Deserialize)]
struct Cursor {
    host: Uuid,
    classes: Vec<String>,
    filter: Option<String>,
    from: Micros,
    to: Micros,
    batch: u64,
    row: u64,
}

impl HostEventQuery {
    /// The first page.
    fn begin(&self, host: Uuid, now: Micros) -> ApiResult<Cursor> {
        let (from, to) = bounds(self.from.as_deref(), self.to.as_deref(), now)?;
        let named: Vec<String> = self.class.iter().flat_map(|text| text.split(',')).map(|c| c.trim().into()).collect();
        let classes = if named.is_empty() { CLASSES.iter().map(|(c, _)| c.name.to_owned()).collect() } else { named };
        let filter = self.filter.clone().filter(|text| !text.trim().is_empty());
        if filter.is_some() && classes.len() != 1 {
            return Err(ApiError::invalid("`filter` needs the one `class` whose columns it names"));
        }
        Ok(Cursor { host, classes, filter, from, to, batch: u64::MAX, row: 0 })
    }
}

fn class_named(name: &str) -> ApiResult<&'static Class> {
    let mut known = CLASSES.iter().map(|(class, _)| *class).chain([&HEALTH]);
    known.find(|class| class.name == name).ok_or_else(|| {
        ApiError::invalid(format!(
            "`class`: `{name}` is none of processes, connections, files, logins, logs and health"
        ))
    })
}

/// The newest events of one class before the cursor's place.
async fn of_class(
    state: &ApiState,
    scope: &Scope,
    class: &'static Class,
    cursor: &Cursor,
    limit: usize,
) -> ApiResult<Vec<Value>> {
    let Some((lowest, highest)) = state.lake.batches(scope, class, cursor.from, cursor.to) else {
        return Ok(Vec::new());
    };
    let range = (cursor.from, cursor.to);
    let condition = condition(class, cursor.filter.as_deref(), range, state.clock.now())?;
    let condition = format!("host_id = '{}' AND {condition}", cursor.host);
    let place = if cursor.batch > highest { (highest.saturating_add(1), 0) } else { (cursor.batch, cursor.row) };
    let mut items = newest(state, scope, class.name, &condition, (lowest, place.0, place.1), limit).await?;
    for item in &mut items {
        if let Some(object) = item.as_object_mut() {
            object.insert("class".to_owned(), class.name.into());
        }
    }
    Ok(items)
}

/// List what happened on a host
#[utoipa::path(get, path = "/hosts/{id}/events", tag = "hosts", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id"), HostEventQuery),
    responses((status = 200, body = HostEventList), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn events(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<HostEventQuery>,
) -> ApiResult<Json<HostEventList>> {
    let (host, scope) = about(&state, &caller, &id).await?;
    let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let cursor = match &query.cursor {
        Some(text) => state.cursors.open::<Cursor>(text)?,
        None => query.begin(host, state.clock.now())?,
    };
    if cursor.host != host {
        return Err(ApiError::invalid("the cursor belongs to another host"));
    }
    let classes = cursor.classes.iter().map(|name| class_named(name)).collect::<ApiResult<Vec<_>>>()?;
    let each = classes.into_iter().map(|class| of_class(&state, &scope, class, &cursor, limit));
    let mut items = futures::future::try_join_all(each).await?.concat();
    // Batches are numbered over all classes, so that this is one order of all that happened.
    items.sort_by_key(|item| std::cmp::Reverse((number(item, "batch"), number(item, "row"))));
    let more = items.len() >= limit;
    items.truncate(limit);
    let next_cursor = match items.last() {
        Some(last) if more => {
            let (batch, row) = (number(last, "batch"), number(last, "row"));
            Some(state.cursors.seal(&Cursor { batch, row, ..cursor })?)
        }
        _ => None,
    };
    Ok(Json(HostEventList { items, next_cursor }))
}

/// Which time of a host's life.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HostTimeQuery {
    /// From this time on, RFC 3339; a day ago by default.
    pub(crate) from: Option<String>,
    /// Before this time, RFC 3339; now by default.
    pub(crate) to: Option<String>,
    /// About how many steps, at most 200; 60 by default.
    pub(crate) steps: Option<u64>,
}

impl HostTimeQuery {
    fn bounds(&self, now: Micros) -> ApiResult<(Micros, Micros)> {
        bounds(self.from.as_deref(), self.to.as_deref(), now)
    }

    fn step_seconds(&self, (from, to): (Micros, Micros)) -> u64 {
        step(to - from, self.steps.unwrap_or(STEPS).clamp(1, STEPS_MAX))
    }
}

/// What happened in one step of time.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct HostActivityStep {
    /// Beginning of the step, RFC 3339.
    pub(crate) start: String,
    /// Events by class.
    pub(crate) events: BTreeMap<String, u64>,
}

/// What happened on a host over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostActivity {
    /// From this time on, RFC 3339.
    pub(crate) from: String,
    /// Before this time, RFC 3339.
    pub(crate) to: String,
    /// Length of a step.
    pub(crate) step_seconds: u64,
    /// By time of receipt; steps without events are left out.
    pub(crate) steps: Vec<HostActivityStep>,
    /// Events by class, in the whole time.
    pub(crate) totals: BTreeMap<String, u64>,
    /// Of these, what deserves a look: processes with the rights of another user, ports that were opened, changes of files
    /// that nothing explains, sign-ins that were refused, messages that tell of an error.
    pub(crate) notable: BTreeMap<String, u64>,
}

/// Count what happened on a host over time
#[utoipa::path(get, path = "/hosts/{id}/activity", tag = "hosts", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id"), HostTimeQuery),
    responses((status = 200, body = HostActivity), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn activity(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<HostTimeQuery>,
) -> ApiResult<Json<HostActivity>> {
    let (host, scope) = about(&state, &caller, &id).await?;
    let range = query.bounds(state.clock.now())?;
    let step_seconds = query.step_seconds(range);
    let (from, to) = range;
    let which = &format!("host_id = '{host}' AND received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}'");
    let (state, scope) = (&state, &scope);
    let each = CLASSES.iter().map(|(class, notable)| async move {
        let sql = format!(
            "SELECT date_bin(INTERVAL '{step_seconds} seconds', received) AS at, count(*) AS n, \
             sum(CASE WHEN {notable} THEN 1 ELSE 0 END) AS noted FROM {} WHERE {which} GROUP BY 1 ORDER BY 1",
            class.name
        );
        Ok::<_, ApiError>((class.name, objects(run(state, scope, &sql, POINTS_MAX, SECONDS).await?)))
    });
    let mut steps: BTreeMap<String, HostActivityStep> = BTreeMap::new();
    let (mut totals, mut notable) = (BTreeMap::new(), BTreeMap::new());
    for (class, rows) in futures::future::try_join_all(each).await? {
        let (mut all, mut noted) = (0, 0);
        for row in rows {
            let Some(at) = row.get("at").and_then(Value::as_str) else { continue };
            let step = steps.entry(at.to_owned()).or_default();
            at.clone_into(&mut step.start);
            step.events.insert(class.to_owned(), number(&row, "n"));
            all += number(&row, "n");
            noted += number(&row, "noted");
        }
        totals.insert(class.to_owned(), all);
        notable.insert(class.to_owned(), noted);
    }
    let steps = steps.into_values().collect();
    Ok(Json(HostActivity { from: from.to_string(), to: to.to_string(), step_seconds, steps, totals, notable }))
}

/// A measured value over one step of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostHealthPoint {
    /// Beginning of the step, RFC 3339.
    pub(crate) start: String,
    /// The mean of what was measured in it.
    pub(crate) mean: f64,
    /// The largest.
    pub(crate) max: u64,
}

/// One measured value over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostHealthSeries {
    /// What is measured.
    pub(crate) metric: String,
    /// Of which one: a file system, disk or interface.
    pub(crate) object: Option<String>,
    /// Its unit.
    pub(crate) unit: Option<String>,
    /// By time; steps without a measurement are left out.
    pub(crate) points: Vec<HostHealthPoint>,
}

/// How a host was over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostHealthOverTime {
    /// From this time on, RFC 3339.
    pub(crate) from: String,
    /// Before this time, RFC 3339.
    pub(crate) to: String,
    /// Length of a step.
    pub(crate) step_seconds: u64,
    /// By metric and object.
    pub(crate) series: Vec<HostHealthSeries>,
    /// Whether there was more than fits: ask about a shorter time or fewer steps.
    pub(crate) truncated: bool,
}

/// Show how a host was over time
#[utoipa::path(get, path = "/hosts/{id}/health", tag = "hosts", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id"), HostTimeQuery),
    responses((status = 200, body = HostHealthOverTime), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn health(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<HostTimeQuery>,
) -> ApiResult<Json<HostHealthOverTime>> {
    let (host, scope) = about(&state, &caller, &id).await?;
    let (from, to) = query.bounds(state.clock.now())?;
    let step_seconds = query.step_seconds((from, to));
    // What was measured while the server could not be reached came later, and belongs where it was measured.
    let sql = format!(
        "SELECT metric, object, unit, date_bin(INTERVAL '{step_seconds} seconds', \"time\") AS at, \
         avg(value) AS mean, max(value) AS most FROM health WHERE host_id = '{host}' AND received >= TIMESTAMP '{from}' \
         AND \"time\" >= TIMESTAMP '{from}' AND \"time\" < TIMESTAMP '{to}' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    );
    let answer = run(&state, &scope, &sql, POINTS_MAX, SECONDS).await?;
    let truncated = answer.truncated;
    let mut series: Vec<HostHealthSeries> = Vec::new();
    for row in objects(answer) {
        let text = |key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
        let (Some(metric), Some(start)) = (text("metric"), text("at")) else { continue };
        let (object, unit) = (text("object"), text("unit"));
        let mean = row.get("mean").and_then(Value::as_f64).unwrap_or_default();
        let point = HostHealthPoint { start, mean, max: number(&row, "most") };
        match series.last_mut() {
            Some(one) if one.metric == metric && one.object == object && one.unit == unit => one.points.push(point),
            _ => series.push(HostHealthSeries { metric, object, unit, points: vec![point] }),
        }
    }
    Ok(Json(HostHealthOverTime { from: from.to_string(), to: to.to_string(), step_seconds, series, truncated }))
}
