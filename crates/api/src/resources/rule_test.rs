//! A rule over history: what would it have found? The same engine as live, over the stored rows in the order of receipt.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray as _, TimestampMicrosecondArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, max};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use axum::extract::State;
use futures::TryStreamExt as _;
use guardian_detect::fixture::{self, Shape};
use guardian_detect::{DetectConfig, Engine, Output};
use guardian_identity::Permission;
use guardian_lake::QueryLimits;
use guardian_model::{AlertKey, AlertState, Batch, Class, Micros, Scope, TenantId, row_json};
use guardian_rules::{Exception, RuleSet};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::parse_time;
use super::query::{objects, run};
use super::rule_exceptions::{checked, exception};
use super::rules::{check, refused};
use super::suppressions::yes;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// Rows that one test against history looks at.
const ROWS_MAX: u64 = 20_000_000;
/// Rows that are put in order at once: what is sorted is held in memory.
const SLICE_ROWS: u64 = 500_000;
/// Time that one test may take.
const TIME_MAX: Duration = Duration::from_secs(300);
/// Alerts that one test answers with.
const ALERTS_MAX: usize = 1_000;
/// Matching rows that one test answers with.
const MATCHES_MAX: usize = 200;
/// Steps of the histogram.
const STEPS: usize = 60;
/// Flows of a fixture that the engine takes at once.
const FIXTURE_BATCH: usize = 500;
/// Slices that may wait for the engine.
const WAITING_MAX: usize = 2;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(test)).routes(routes!(test_fixture))
}

/// What to test.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestRequest {
    /// Sigma YAML.
    pub(crate) source: String,
    /// Telemetry received at or after this time, RFC 3339.
    pub(crate) from: String,
    /// Telemetry received before this time, RFC 3339.
    pub(crate) to: String,
    /// Whether the exceptions to the rule hold; true by default.
    #[serde(default = "yes")]
    pub(crate) exceptions: bool,
    /// A filter to try out as one more exception.
    #[serde(default)]
    pub(crate) except: Option<String>,
}

/// What to test with flows that somebody made up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FixtureRequest {
    /// Sigma YAML.
    pub(crate) source: String,
    /// Patterns of flows, YAML; the manual's page on rules has the keys.
    pub(crate) fixture: String,
    /// Whether each direction comes as a flow of its own, as NetFlow v5 and v9 exporters tell it; false by default.
    #[serde(default)]
    pub(crate) one_way: bool,
    /// Whether the exceptions to the rule hold; false by default.
    #[serde(default)]
    pub(crate) exceptions: bool,
}

/// What happened in one step of time.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct TestStep {
    /// Beginning of the step, RFC 3339.
    pub(crate) start: String,
    /// Rows received.
    pub(crate) rows: u64,
    /// Rows that matched.
    pub(crate) matched: u64,
    /// Alerts that opened.
    pub(crate) alerts: u64,
}

/// What the rule would have found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestAnswer {
    /// Rows looked at.
    pub(crate) rows: u64,
    /// Rows that matched the rule, or one of the rules that a correlation builds on.
    pub(crate) matched: u64,
    /// Rows that exceptions took away.
    pub(crate) excepted: u64,
    /// Whether the limit of rows or of time cut the test short.
    pub(crate) truncated: bool,
    /// Milliseconds that it took.
    pub(crate) took_ms: f64,
    /// The alerts, at most 1,000: rule, entity, count, first and last event, sentence.
    #[schema(value_type = Vec<Object>)]
    pub(crate) alerts: Vec<Value>,
    /// How many alerts there were, at least.
    pub(crate) alerts_total: usize,
    /// The first matching rows, at most 200; null columns are left out.
    #[schema(value_type = Vec<Object>)]
    pub(crate) matches: Vec<Value>,
    /// Length of a step of the histogram.
    pub(crate) step_seconds: f64,
    /// 60 steps by time of receipt, oldest first.
    pub(crate) histogram: Vec<TestStep>,
}

/// Test a rule against history: what would it have found?
///
/// The same engine as live, over the stored rows in the order of receipt; nothing is stored or alerted.
#[utoipa::path(post, path = "/rules/test", tag = "rules", extensions(("x-permission" = json!("rules:test"))), request_body = TestRequest,
    responses((status = 200, body = TestAnswer), (status = 422, body = Problem), (status = 403, body = Problem)))]
async fn test(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<TestRequest>,
) -> ApiResult<Json<TestAnswer>> {
    let tenant = caller.tenant(Permission::RulesTest).await?;
    let began = state.clock.monotonic();
    let (validation, set) = check(&body.source);
    if !validation.valid {
        return Err(refused("the rule text has errors", &validation));
    }
    let (from, to) = (parse_time("from", &body.from)?, parse_time("to", &body.to)?);
    if from >= to {
        return Err(ApiError::invalid("the time range is empty"));
    }
    let set = with_exceptions(&state, tenant, set, body.exceptions, body.except.as_deref()).await?;
    let scope = Scope::of(tenant);
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let mut classes: Vec<&'static Class> = Vec::new();
    for rule in set.rules() {
        if !classes.iter().any(|class| class.uid == rule.class.uid) {
            classes.push(rule.class);
        }
    }
    let mut work = Backtest::new(tenant, set, from, to);
    let working = tokio::task::spawn_blocking(move || work.run(receiver));
    let mut cut = false;
    // A correlation over several classes sees them one after the other.
    for class in classes {
        cut |= feed(&state, &scope, class, (from, to), began, &sender).await?;
    }
    drop(sender);
    let mut answer = working.await.map_err(ApiError::internal)??;
    answer.truncated |= cut;
    answer.took_ms = (state.clock.monotonic().saturating_sub(began)).as_secs_f64() * 1e3;
    Ok(Json(answer))
}

/// Test a rule against a fixture: made-up flows that it should find, or leave alone
///
/// The same engine as live; nothing is stored or alerted.
#[utoipa::path(post, path = "/rules/test/fixture", tag = "rules", extensions(("x-permission" = json!("rules:test"))), request_body = FixtureRequest,
    responses((status = 200, body = TestAnswer), (status = 422, body = Problem), (status = 403, body = Problem)))]
async fn test_fixture(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<FixtureRequest>,
) -> ApiResult<Json<TestAnswer>> {
    let tenant = caller.tenant(Permission::RulesTest).await?;
    let began = state.clock.monotonic();
    let (validation, set) = check(&body.source);
    if !validation.valid {
        return Err(refused("the rule text has errors", &validation));
    }
    let set = with_exceptions(&state, tenant, set, body.exceptions, None).await?;
    let (text, shape) = (body.fixture, if body.one_way { Shape::OneWay } else { Shape::Biflow });
    let working = tokio::task::spawn_blocking(move || {
        let fixture = fixture::parse(&text).map_err(|error| ApiError::invalid(error.to_string()))?;
        let batches = fixture.batches(tenant, shape, FIXTURE_BATCH);
        let to = batches.iter().map(|b| b.received).max().unwrap_or(fixture::BEGINNING) + 1;
        let mut work = Backtest::new(tenant, set, fixture::BEGINNING, to);
        batches.iter().for_each(|batch| work.take(batch));
        Ok::<_, ApiError>(work.end())
    });
    let mut answer = working.await.map_err(ApiError::internal)??;
    answer.took_ms = (state.clock.monotonic().saturating_sub(began)).as_secs_f64() * 1e3;
    Ok(Json(answer))
}

/// The rules with the exceptions that hold in the test: the stored ones, and one to try out.
async fn with_exceptions(
    state: &ApiState,
    tenant: TenantId,
    set: RuleSet,
    stored: bool,
    except: Option<&str>,
) -> ApiResult<RuleSet> {
    let Some(main) = set.rules().last().map(|r| r.document.id.clone()) else { return Ok(set) };
    let mut all = Vec::new();
    if stored {
        let scope = Scope::of(tenant);
        let kept = state.catalog.scoped(&scope).rule_exceptions(tenant, Some(&main)).await?;
        // One that cannot work holds nothing back live either.
        all.extend(kept.iter().filter(|e| e.draft.enabled).filter_map(|e| exception(e).ok()));
    }
    if let Some(filter) = except.filter(|f| !f.trim().is_empty()) {
        let made = state.clock.now();
        let filter = checked(filter, made).map_err(ApiError::invalid)?;
        all.push(Exception { id: 0, rule_id: main, filter, made, expires: None });
    }
    let (set, wrong) = set.with_exceptions(all);
    match wrong.into_iter().next() {
        Some((_, problem)) => Err(ApiError::invalid(problem)),
        None => Ok(set),
    }
}

/// Reads the rows in slices of batch numbers, each in order, and hands them to the engine. Tells whether a limit cut it
/// short.
async fn feed(
    state: &ApiState,
    scope: &Scope,
    class: &'static Class,
    (from, to): (Micros, Micros),
    began: Duration,
    sender: &mpsc::Sender<(&'static Class, RecordBatch)>,
) -> ApiResult<bool> {
    let table = class.name;
    let within = format!("received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}'");
    let sql = format!("SELECT min(batch) AS low, max(batch) AS high, count(*) AS n FROM {table} WHERE {within}");
    let bounds = objects(run(state, scope, &sql, 1, TIME_MAX.as_secs()).await?);
    let number = |key: &str| bounds.first().and_then(|b| b.get(key)).and_then(Value::as_u64);
    let (Some(first), Some(last), Some(rows)) = (number("low"), number("high"), number("n")) else {
        return Ok(false);
    };
    let columns: Vec<_> = class.fields.iter().map(|f| format!("\"{}\"", f.name)).collect();
    let columns = columns.join(", ");
    let slices = rows.div_ceil(SLICE_ROWS).max(1);
    let step = (last - first + 1).div_ceil(slices).max(1);
    let (mut at, mut sent) = (first, 0);
    while at <= last {
        let left = TIME_MAX.saturating_sub(state.clock.monotonic().saturating_sub(began));
        if left.is_zero() || sent >= ROWS_MAX {
            return Ok(true);
        }
        let end = at.saturating_add(step);
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE {within} AND batch >= {at} AND batch < {end} ORDER BY batch, \"row\""
        );
        let limits = QueryLimits { rows: Some((ROWS_MAX - sent) as usize), time: Some(left), ..QueryLimits::default() };
        let mut stream = state.lake.query(scope, &sql, limits).await?;
        while let Some(batch) = stream.try_next().await? {
            sent += batch.num_rows() as u64;
            if sender.send((class, batch)).await.is_err() {
                // The engine gave up, and says why.
                return Ok(false);
            }
        }
        at = end;
    }
    Ok(sent >= ROWS_MAX)
}

/// The engine with what the answer collects.
struct Backtest {
    tenant: TenantId,
    set: Arc<RuleSet>,
    engine: Engine,
    from: Micros,
    to: Micros,
    number: u64,
    found: HashMap<AlertKey, AlertState>,
    dropped: usize,
    answer: TestAnswer,
}

impl Backtest {
    fn new(tenant: TenantId, set: RuleSet, from: Micros, to: Micros) -> Self {
        let detectors = guardian_detect::detectors::ALL.iter().map(|d| d.id.to_owned()).collect();
        let config = DetectConfig { disabled_detectors: detectors, ..Default::default() };
        let set = Arc::new(set);
        let step = (to - from) as f64 / STEPS as f64;
        let start = |i: usize| (from + (step * i as f64) as i64).to_string();
        let answer = TestAnswer {
            rows: 0,
            matched: 0,
            excepted: 0,
            truncated: false,
            took_ms: 0.0,
            alerts: Vec::new(),
            alerts_total: 0,
            matches: Vec::new(),
            step_seconds: step / 1e6,
            histogram: (0..STEPS).map(|i| TestStep { start: start(i), ..TestStep::default() }).collect(),
        };
        let engine = Engine::new(config, Arc::clone(&set));
        Self { tenant, set, engine, from, to, number: 0, found: HashMap::new(), dropped: 0, answer }
    }

    fn run(&mut self, mut rows: mpsc::Receiver<(&'static Class, RecordBatch)>) -> ApiResult<TestAnswer> {
        while let Some((class, rows)) = rows.blocking_recv() {
            self.take(&conform(self.tenant, class, &rows)?);
        }
        Ok(self.end())
    }

    /// What was found once there are no more rows.
    fn end(&mut self) -> TestAnswer {
        let output = self.engine.flush();
        self.keep(output);
        let mut alerts: Vec<_> = std::mem::take(&mut self.found).into_values().collect();
        alerts.sort_by_key(|a| (a.first_seen, a.key));
        let empty = Self::new(self.tenant, RuleSet::empty(), self.from, self.to).answer;
        let mut answer = std::mem::replace(&mut self.answer, empty);
        answer.alerts_total = alerts.len() + self.dropped;
        answer.alerts = alerts.into_iter().map(told).collect();
        answer
    }

    fn take(&mut self, batch: &Batch) {
        self.number += 1;
        self.answer.rows += batch.rows.num_rows() as u64;
        let matches = self.set.evaluate(batch);
        self.answer.excepted += matches.excepted().iter().sum::<u64>();
        let masks = (0..self.set.rules().len()).filter_map(|rule| matches.rows(rule).cloned());
        let matched = masks.reduce(|all: BooleanBuffer, rows| &all | &rows);
        let received = received_of(batch.class, &batch.rows);
        for row in 0..batch.rows.num_rows() {
            let step = self.step(received.map_or(batch.received, |r| Micros(r.value(row))));
            self.answer.histogram[step].rows += 1;
            if !matched.as_ref().is_some_and(|m| m.value(row)) {
                continue;
            }
            self.answer.matched += 1;
            self.answer.histogram[step].matched += 1;
            if self.answer.matches.len() < MATCHES_MAX {
                self.answer.matches.push(Value::Object(row_json(&batch.rows, row)));
            }
        }
        let output = self.engine.process(self.number, batch);
        self.keep(output);
    }

    fn step(&self, time: Micros) -> usize {
        let part = (time - self.from) as f64 / (self.to - self.from).max(1) as f64;
        ((part * STEPS as f64) as usize).min(STEPS - 1)
    }

    fn keep(&mut self, output: Output) {
        for finding in output.findings {
            if finding.alert.count == 1 {
                let step = self.step(finding.received);
                self.answer.histogram[step].alerts += 1;
                self.dropped += usize::from(self.found.len() >= ALERTS_MAX);
            }
            self.hold(finding.alert);
        }
        for alert in output.updates {
            self.hold(alert);
        }
    }

    fn hold(&mut self, alert: AlertState) {
        if self.found.len() < ALERTS_MAX || self.found.contains_key(&alert.key) {
            self.found.insert(alert.key, alert);
        }
    }
}

fn told(a: AlertState) -> Value {
    json!({
        "rule_id": a.rule.id, "title": a.rule.title, "severity": a.rule.severity.as_str(),
        "entity": a.entity.value, "group": a.group_key, "count": a.count, "summary": a.summary,
        "first_seen": a.first_seen.to_string(), "last_seen": a.last_seen.to_string(),
    })
}

/// Rows that came out of SQL, in the columns of their class again.
fn conform(tenant: TenantId, class: &'static Class, rows: &RecordBatch) -> ApiResult<Batch> {
    let schema = class.schema();
    let columns = rows.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(ApiError::internal)?;
    let rows = RecordBatch::try_new(schema, columns).map_err(ApiError::internal)?;
    let received = Micros(received_of(class, &rows).and_then(max).unwrap_or_default());
    Ok(Batch { tenant, class, received, rows })
}

/// When each row was received.
fn received_of<'a>(class: &Class, rows: &'a RecordBatch) -> Option<&'a TimestampMicrosecondArray> {
    rows.columns().get(class.index_of("received")?)?.as_primitive_opt::<TimestampMicrosecondType>()
}
