//! Rules: list, read, upload, validate, enable, test against history.

use arrow::array::AsArray as _;
use arrow::compute::{cast, max};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use futures::TryStreamExt as _;
use guardian_catalog::{Rule, RuleDraft, RuleOrigin};
use guardian_identity::Permission;
use guardian_lake::QueryLimits;
use guardian_model::{AlertState, Batch, FLOW, FlowField, Micros, TenantId};
use guardian_rules::{IssueLevel, RuleSet};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::parse_time;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// Rows that one test against history looks at.
const TEST_ROWS_MAX: u64 = 20_000_000;
/// Time that one test may take.
const TEST_TIME: std::time::Duration = std::time::Duration::from_secs(300);
/// Alerts that one test answers with.
const TEST_ALERTS_MAX: usize = 1_000;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, upload))
        .routes(routes!(validate))
        .routes(routes!(test))
        .routes(routes!(get, delete))
        .routes(routes!(enable))
        .routes(routes!(disable))
}

/// A rule and what it did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleView {
    /// Sigma id.
    pub(crate) id: String,
    /// Title.
    pub(crate) title: String,
    /// informational, low, medium, high or critical.
    pub(crate) severity: String,
    /// Whether it runs.
    pub(crate) enabled: bool,
    /// shipped or custom.
    pub(crate) origin: String,
    /// Number of its current version.
    pub(crate) version: i32,
    /// Content hash of the current version.
    pub(crate) hash: String,
    /// Rows that matched since the start.
    pub(crate) matched: u64,
    /// Times it fired since the start.
    pub(crate) fired: u64,
    /// What keeps it from working, such as a field that no telemetry has.
    pub(crate) issues: Vec<String>,
    /// The YAML text; only when one rule is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
}

/// Rules.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleList {
    /// By title.
    pub(crate) items: Vec<RuleView>,
}

fn issues_of(source: &str) -> Vec<String> {
    let parsed = guardian_rules::parse(source);
    let (_, more) = RuleSet::compile(parsed.documents);
    let all = parsed.issues.into_iter().chain(more).filter(|i| i.level == IssueLevel::Error);
    all.map(|i| format!("line {}: {}", i.line, i.message)).collect()
}

fn view(rule: Rule, source: &str, work: &HashMap<String, (u64, u64)>) -> RuleView {
    let (matched, fired) = work.get(&rule.rule_id).copied().unwrap_or_default();
    RuleView {
        id: rule.rule_id,
        title: rule.title,
        severity: rule.level,
        enabled: rule.enabled,
        origin: rule.origin.as_str().to_owned(),
        version: rule.version,
        hash: rule.hash,
        matched,
        fired,
        issues: issues_of(source),
        source: None,
    }
}

fn work(state: &ApiState, tenant: TenantId) -> HashMap<String, (u64, u64)> {
    state.rule_stats.activity(tenant).into_iter().map(|w| (w.rule_id, (w.matched, w.fired))).collect()
}

/// List the rules with what each did
#[utoipa::path(get, path = "/rules", tag = "rules", extensions(("x-permission" = json!("rules:read"))), responses((status = 200, body = RuleList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<RuleList>> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    let scope = guardian_model::Scope::of(tenant);
    let sources = state.catalog.scoped(&scope).rule_sources(tenant).await?;
    let work = work(&state, tenant);
    let items = sources.into_iter().map(|s| view(s.rule, &s.source, &work)).collect();
    Ok(Json(RuleList { items }))
}

/// Show one rule with its text
#[utoipa::path(get, path = "/rules/{id}", tag = "rules", extensions(("x-permission" = json!("rules:read"))), params(("id" = String, Path, description = "Sigma id")),
    responses((status = 200, body = RuleView), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<RuleView>> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    let scope = guardian_model::Scope::of(tenant);
    let found = state.catalog.scoped(&scope).rule(tenant, &id).await?;
    let shown = view(found.rule, &found.source, &work(&state, tenant));
    Ok(Json(RuleView { source: Some(found.source), ..shown }))
}

/// Rule text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleText {
    /// Sigma YAML; several documents (rules and the correlation over them) stay together. The last one names it.
    pub(crate) source: String,
    /// What to remember about this version.
    #[serde(default)]
    pub(crate) comment: String,
}

/// One thing that is wrong with a text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IssueView {
    /// error or warning.
    pub(crate) level: &'static str,
    /// Line of the text, from 1.
    pub(crate) line: usize,
    /// Column, from 1.
    pub(crate) column: usize,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: String,
}

/// What a check found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Validation {
    /// Whether the text can run.
    pub(crate) valid: bool,
    /// Rules in it that can run.
    pub(crate) rules: usize,
    /// What is wrong or odd.
    pub(crate) issues: Vec<IssueView>,
}

fn check(source: &str) -> (Validation, RuleSet) {
    let parsed = guardian_rules::parse(source);
    let (set, more) = RuleSet::compile(parsed.documents);
    let issues: Vec<_> = parsed
        .issues
        .into_iter()
        .chain(more)
        .map(|i| IssueView {
            level: if i.level == IssueLevel::Error { "error" } else { "warning" },
            line: i.line,
            column: i.column,
            message: i.message,
            help: i.help,
        })
        .collect();
    let valid = !set.rules().is_empty() && issues.iter().all(|i| i.level != "error");
    (Validation { valid, rules: set.rules().len(), issues }, set)
}

/// Check a rule text without storing it
#[utoipa::path(post, path = "/rules/validate", tag = "rules", extensions(("x-permission" = json!("rules:read"))), request_body = RuleText,
    responses((status = 200, body = Validation), (status = 403, body = Problem)))]
async fn validate(caller: Caller, Json(body): Json<RuleText>) -> ApiResult<Json<Validation>> {
    caller.tenant(Permission::RulesRead).await?;
    Ok(Json(check(&body.source).0))
}

/// Store a rule: a new one, or a new version of a known one; it runs from the next batch on
#[utoipa::path(post, path = "/rules", tag = "rules", extensions(("x-permission" = json!("rules:write"))), request_body = RuleText,
    responses((status = 201, body = RuleView), (status = 422, body = Problem), (status = 403, body = Problem)))]
async fn upload(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<RuleText>,
) -> ApiResult<(StatusCode, Json<RuleView>)> {
    let tenant = caller.tenant(Permission::RulesWrite).await?;
    let (validation, _) = check(&body.source);
    let parsed = guardian_rules::parse(&body.source);
    let Some(main) = parsed.documents.last().filter(|_| validation.valid) else {
        let issues = validation.issues.iter().map(|i| json!(i)).collect();
        return Err(ApiError::invalid("the rule text has errors; nothing was stored").with_issues(issues));
    };
    let draft = RuleDraft {
        rule_id: main.id.clone(),
        title: main.title.clone(),
        level: main.level.to_string(),
        origin: RuleOrigin::Custom,
        source: body.source.clone(),
        hash: main.hash.clone(),
        comment: Some(body.comment).filter(|c| !c.is_empty()),
        enabled: true,
    };
    let scope = guardian_model::Scope::of(tenant);
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    let rule = tx.put_rule(&draft).await?;
    tx.commit().await?;
    state.rule_stats.reload();
    Ok((StatusCode::CREATED, Json(view(rule, &body.source, &work(&state, tenant)))))
}

/// Delete a custom rule; its alerts stay
#[utoipa::path(delete, path = "/rules/{id}", tag = "rules", extensions(("x-permission" = json!("rules:write"))), params(("id" = String, Path, description = "Sigma id")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::RulesWrite).await?;
    let scope = guardian_model::Scope::of(tenant);
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    tx.delete_rule(&id).await?;
    tx.commit().await?;
    state.rule_stats.reload();
    Ok(StatusCode::NO_CONTENT)
}

/// Let a rule run
#[utoipa::path(post, path = "/rules/{id}/enable", tag = "rules", extensions(("x-permission" = json!("rules:write"))), params(("id" = String, Path, description = "Sigma id")),
    responses((status = 200, body = RuleView), (status = 404, body = Problem)))]
async fn enable(state: State<ApiState>, caller: Caller, id: Path<String>) -> ApiResult<Json<RuleView>> {
    switch(state, caller, id, true).await
}

/// Stop a rule; it keeps its versions and alerts
#[utoipa::path(post, path = "/rules/{id}/disable", tag = "rules", extensions(("x-permission" = json!("rules:write"))), params(("id" = String, Path, description = "Sigma id")),
    responses((status = 200, body = RuleView), (status = 404, body = Problem)))]
async fn disable(state: State<ApiState>, caller: Caller, id: Path<String>) -> ApiResult<Json<RuleView>> {
    switch(state, caller, id, false).await
}

async fn switch(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    enabled: bool,
) -> ApiResult<Json<RuleView>> {
    let tenant = caller.tenant(Permission::RulesWrite).await?;
    let scope = guardian_model::Scope::of(tenant);
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    tx.enable_rule(&id, enabled).await?;
    tx.commit().await?;
    state.rule_stats.reload();
    let found = state.catalog.scoped(&scope).rule(tenant, &id).await?;
    Ok(Json(view(found.rule, &found.source, &work(&state, tenant))))
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
}

/// What the rule would have found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestAnswer {
    /// Flow rows looked at.
    pub(crate) rows: u64,
    /// Whether the limit of rows cut the test short.
    pub(crate) truncated: bool,
    /// The alerts, at most 1,000: rule, entity, count, first and last event, sentence.
    #[schema(value_type = Vec<Object>)]
    pub(crate) alerts: Vec<Value>,
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
    let (validation, set) = check(&body.source);
    if !validation.valid {
        let issues = validation.issues.iter().map(|i| json!(i)).collect();
        return Err(ApiError::invalid("the rule text has errors").with_issues(issues));
    }
    let (from, to) = (parse_time("from", &body.from)?, parse_time("to", &body.to)?);
    let scope = guardian_model::Scope::of(tenant);
    let columns: Vec<_> = FLOW.fields.iter().map(|f| format!("\"{}\"", f.name)).collect();
    let sql = format!(
        "SELECT {} FROM flows WHERE received >= TIMESTAMP '{from}' AND received < TIMESTAMP '{to}' ORDER BY batch, \"row\"",
        columns.join(", ")
    );
    let limits = QueryLimits { rows: Some(TEST_ROWS_MAX as usize), time: Some(TEST_TIME), ..QueryLimits::default() };
    let mut stream = state.lake.query(&scope, &sql, limits).await?;
    let detectors = guardian_detect::detectors::ALL.iter().map(|d| d.id.to_owned()).collect();
    let config = guardian_detect::DetectConfig { disabled_detectors: detectors, ..Default::default() };
    let mut engine = guardian_detect::Engine::new(config, std::sync::Arc::new(set));
    let (mut rows, mut number) = (0, 0);
    let mut found: HashMap<guardian_model::AlertKey, AlertState> = HashMap::new();
    let mut keep = |output: guardian_detect::Output| {
        for state in output.findings.into_iter().map(|f| f.alert).chain(output.updates) {
            if found.len() < TEST_ALERTS_MAX || found.contains_key(&state.key) {
                found.insert(state.key, state);
            }
        }
    };
    while let Some(batch) = stream.try_next().await? {
        rows += batch.num_rows() as u64;
        number += 1;
        keep(engine.process(number, &conform(tenant, &batch)?));
    }
    keep(engine.tick(to));
    let mut alerts: Vec<_> = found.into_values().collect();
    alerts.sort_by_key(|a| a.first_seen);
    let alerts = alerts.into_iter().map(|a| {
        json!({
            "rule_id": a.rule.id, "title": a.rule.title, "severity": a.rule.severity.as_str(),
            "entity": a.entity.value, "group": a.group_key, "count": a.count, "summary": a.summary,
            "first_seen": a.first_seen.to_string(), "last_seen": a.last_seen.to_string(),
        })
    });
    Ok(Json(TestAnswer { rows, truncated: rows >= TEST_ROWS_MAX, alerts: alerts.collect() }))
}

/// Rows that came out of SQL, in the columns of their class again.
fn conform(tenant: TenantId, rows: &RecordBatch) -> ApiResult<Batch> {
    let schema = FLOW.schema();
    let columns = rows.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(ApiError::internal)?;
    let rows = RecordBatch::try_new(schema, columns).map_err(ApiError::internal)?;
    let received = rows.column(FlowField::Received.index()).as_primitive::<TimestampMicrosecondType>();
    let received = Micros(max(received).unwrap_or_default());
    Ok(Batch { tenant, class: &FLOW, received, rows })
}
