//! The versions of a rule: what it said, who changed it, and what the change was.

use axum::extract::State;
use guardian_catalog::{RuleDraft, RuleOrigin, RuleVersion};
use guardian_identity::Permission;
use guardian_model::Scope;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::rules::{RuleView, check, refused, view, work};
use crate::auth::Caller;
use crate::diff::{self, DiffLine};
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(versions)).routes(routes!(difference)).routes(routes!(restore))
}

/// One text of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleVersionView {
    /// Its number, from 1.
    pub(crate) version: i32,
    /// Content hash.
    pub(crate) hash: String,
    /// Who wrote it.
    pub(crate) author: String,
    /// What they said about it.
    pub(crate) comment: Option<String>,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// Whether it is the one that runs.
    pub(crate) current: bool,
    /// The YAML text.
    pub(crate) source: String,
}

/// The versions of a rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleVersionList {
    /// Newest first.
    pub(crate) items: Vec<RuleVersionView>,
}

/// List the versions of a rule with their texts
#[utoipa::path(get, path = "/rules/{id}/versions", tag = "rules", extensions(("x-permission" = json!("rules:read"))),
    params(("id" = String, Path, description = "Sigma id")),
    responses((status = 200, body = RuleVersionList), (status = 404, body = Problem)))]
async fn versions(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<RuleVersionList>> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let current = scoped.rule(tenant, &id).await?.rule.version;
    let view = |v: RuleVersion| RuleVersionView {
        current: v.version == current,
        version: v.version,
        hash: v.hash,
        author: v.author,
        comment: v.comment,
        created: v.created.to_string(),
        source: v.source,
    };
    Ok(Json(RuleVersionList { items: scoped.rule_versions(tenant, &id).await?.into_iter().map(view).collect() }))
}

/// Which versions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DiffQuery {
    /// The older version; the one before `to` by default.
    pub(crate) from: Option<i32>,
    /// The newer version; the current one by default.
    pub(crate) to: Option<i32>,
}

/// What changed between two versions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleDiff {
    /// The older version; 0 is nothing.
    pub(crate) from: i32,
    /// The newer version.
    pub(crate) to: i32,
    /// Lines that came.
    pub(crate) added: usize,
    /// Lines that went.
    pub(crate) removed: usize,
    /// All lines of both, in order.
    pub(crate) lines: Vec<DiffLine>,
}

/// Show what changed between two versions of a rule
#[utoipa::path(get, path = "/rules/{id}/diff", tag = "rules", extensions(("x-permission" = json!("rules:read"))),
    params(("id" = String, Path, description = "Sigma id"), DiffQuery),
    responses((status = 200, body = RuleDiff), (status = 404, body = Problem)))]
async fn difference(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<DiffQuery>,
) -> ApiResult<Json<RuleDiff>> {
    let tenant = caller.tenant(Permission::RulesRead).await?;
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let current = scoped.rule(tenant, &id).await?.rule.version;
    let versions = scoped.rule_versions(tenant, &id).await?;
    let to = query.to.unwrap_or(current);
    let from = query.from.unwrap_or(to.saturating_sub(1));
    let text = |number: i32| match versions.iter().find(|v| v.version == number) {
        Some(version) => Ok(version.source.as_str()),
        None if number == 0 => Ok(""),
        None => Err(ApiError::not_found("version")),
    };
    let lines = diff::lines(text(from)?, text(to)?);
    let count = |kind: &str| lines.iter().filter(|l| l.kind == kind).count();
    Ok(Json(RuleDiff { from, to, added: count("added"), removed: count("removed"), lines }))
}

/// Which version to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreBody {
    /// Its number.
    pub(crate) version: i32,
    /// What to remember about it.
    #[serde(default)]
    pub(crate) comment: String,
}

/// Go back to an earlier version of a rule; its text becomes the newest version
#[utoipa::path(post, path = "/rules/{id}/restore", tag = "rules", extensions(("x-permission" = json!("rules:write"))),
    params(("id" = String, Path, description = "Sigma id")), request_body = RestoreBody,
    responses((status = 200, body = RuleView), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn restore(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<RestoreBody>,
) -> ApiResult<Json<RuleView>> {
    let tenant = caller.tenant(Permission::RulesWrite).await?;
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let versions = scoped.rule_versions(tenant, &id).await?;
    let old = versions.into_iter().find(|v| v.version == body.version).ok_or_else(|| ApiError::not_found("version"))?;
    let (validation, _) = check(&old.source);
    let parsed = guardian_rules::parse(&old.source);
    let Some(main) = parsed.documents.last().filter(|main| validation.valid && main.id == id) else {
        return Err(refused("the version has errors by what is known today; nothing was changed", &validation));
    };
    let comment =
        if body.comment.trim().is_empty() { format!("back to version {}", body.version) } else { body.comment };
    let draft = RuleDraft {
        rule_id: main.id.clone(),
        title: main.title.clone(),
        level: main.level.to_string(),
        origin: RuleOrigin::Custom,
        hash: main.hash.clone(),
        comment: Some(comment),
        enabled: true,
        source: old.source,
    };
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    let rule = tx.put_rule(&draft).await?;
    tx.commit().await?;
    state.rule_stats.reload().await;
    Ok(Json(view(rule, &draft.source, &work(&state, tenant))))
}
