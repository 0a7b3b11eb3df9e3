//! Rules: list, read, upload, validate, enable.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{Rule, RuleDraft, RuleOrigin};
use guardian_identity::Permission;
use guardian_model::TenantId;
use guardian_rules::{Issue, IssueLevel, RuleSet};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, upload))
        .routes(routes!(validate))
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
    /// Rows that matched since the start; of a correlation, rows that it counts.
    pub(crate) matched: u64,
    /// Times it fired since the start.
    pub(crate) fired: u64,
    /// Exceptions to it that hold.
    pub(crate) exceptions: usize,
    /// When it last changed, RFC 3339.
    pub(crate) updated: String,
    /// What keeps it from working, such as a field that no telemetry has.
    pub(crate) issues: Vec<String>,
    /// The YAML text; only when one rule is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// Flows to test it with; only when one shipped rule is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fixtures: Option<Vec<FixtureView>>,
}

/// Flows that a rule is tested with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FixtureView {
    /// Whether the rule finds something in them.
    pub(crate) found: bool,
    /// Patterns of flows, YAML.
    pub(crate) text: &'static str,
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

pub(crate) fn view(rule: Rule, source: &str, work: &HashMap<String, (u64, u64)>) -> RuleView {
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
        exceptions: 0,
        updated: rule.updated.to_string(),
        issues: issues_of(source),
        source: None,
        fixtures: None,
    }
}

pub(crate) fn work(state: &ApiState, tenant: TenantId) -> HashMap<String, (u64, u64)> {
    state.rule_stats.activity(tenant).into_iter().map(|w| (w.rule_id, (w.matched, w.fired))).collect()
}

/// How many exceptions to each rule hold.
async fn excepted(state: &ApiState, tenant: TenantId) -> ApiResult<HashMap<String, usize>> {
    let scope = guardian_model::Scope::of(tenant);
    let now = state.clock.now();
    let mut counts = HashMap::new();
    for exception in state.catalog.scoped(&scope).rule_exceptions(tenant, None).await? {
        if exception.draft.enabled && exception.draft.expires.is_none_or(|end| now < end) {
            *counts.entry(exception.rule_id).or_default() += 1;
        }
    }
    Ok(counts)
}

/// List the rules with what each did
#[utoipa::path(get, path = "/rules", tag = "rules", extensions(("x-permission" = json!("rules:read"))), responses((status = 200, body = RuleList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<RuleList>> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    let scope = guardian_model::Scope::of(tenant);
    let sources = state.catalog.scoped(&scope).rule_sources(tenant).await?;
    let work = work(&state, tenant);
    let mut excepted = excepted(&state, tenant).await?;
    let items = sources.into_iter().map(|s| {
        let exceptions = excepted.remove(&s.rule.rule_id).unwrap_or_default();
        RuleView { exceptions, ..view(s.rule, &s.source, &work) }
    });
    let items = items.collect();
    Ok(Json(RuleList { items }))
}

/// Show one rule with its text
#[utoipa::path(get, path = "/rules/{id}", tag = "rules", extensions(("x-permission" = json!("rules:read"))), params(("id" = String, Path, description = "Sigma id")),
    responses((status = 200, body = RuleView), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<RuleView>> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    let scope = guardian_model::Scope::of(tenant);
    let found = state.catalog.scoped(&scope).rule(tenant, &id).await?;
    let exceptions = excepted(&state, tenant).await?.remove(&id).unwrap_or_default();
    let fixtures = guardian_detect::shipped::find(&id).map(|rule| {
        let fixture = |found, text| FixtureView { found, text };
        vec![fixture(true, rule.positive), fixture(false, rule.negative)]
    });
    let shown = view(found.rule, &found.source, &work(&state, tenant));
    Ok(Json(RuleView { source: Some(found.source), fixtures, exceptions, ..shown }))
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
#[derive(Clone, Debug, Serialize, ToSchema)]
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

impl From<Issue> for IssueView {
    fn from(i: Issue) -> Self {
        Self {
            level: if i.level == IssueLevel::Error { "error" } else { "warning" },
            line: i.line,
            column: i.column,
            message: i.message,
            help: i.help,
        }
    }
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

pub(crate) fn check(source: &str) -> (Validation, RuleSet) {
    let parsed = guardian_rules::parse(source);
    let (set, more) = RuleSet::compile(parsed.documents);
    let issues: Vec<_> = parsed.issues.into_iter().chain(more).map(IssueView::from).collect();
    let valid = !set.rules().is_empty() && issues.iter().all(|i| i.level != "error");
    (Validation { valid, rules: set.rules().len(), issues }, set)
}

/// The refusal of a text with errors.
pub(crate) fn refused(detail: &str, validation: &Validation) -> ApiError {
    ApiError::invalid(detail).with_issues(validation.issues.iter().map(|i| json!(i)).collect())
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
        return Err(refused("the rule text has errors; nothing was stored", &validation));
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
    state.rule_stats.reload().await;
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
    state.rule_stats.reload().await;
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
    state.rule_stats.reload().await;
    let found = state.catalog.scoped(&scope).rule(tenant, &id).await?;
    Ok(Json(view(found.rule, &found.source, &work(&state, tenant))))
}
