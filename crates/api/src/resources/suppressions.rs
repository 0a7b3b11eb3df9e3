//! Suppressions: alerts that need nobody are closed as they come.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{Suppression, SuppressionDraft, Verdict};
use guardian_identity::Permission;
use guardian_model::{EntityKind, Scope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alerts::{alert_id, parse_time};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(suppress_like))
}

/// A suppression.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SuppressionView {
    /// Identity.
    pub(crate) id: String,
    /// Grows with each change.
    pub(crate) version: i32,
    /// Name for people.
    pub(crate) name: String,
    /// Alerts of this rule.
    pub(crate) rule_id: Option<String>,
    /// About this kind of entity.
    pub(crate) entity_kind: Option<String>,
    /// About this value, network, or text with `*`.
    pub(crate) entity: Option<String>,
    /// Of exactly this group.
    pub(crate) group: Option<String>,
    /// What the alerts turn out to be.
    pub(crate) verdict: String,
    /// Why.
    pub(crate) reason: String,
    /// It ends then, RFC 3339.
    pub(crate) expires: Option<String>,
    /// Whether it holds.
    pub(crate) enabled: bool,
    /// Alerts that it closed.
    pub(crate) hits: u64,
    /// When it last closed one, RFC 3339.
    pub(crate) last_hit: Option<String>,
    /// Who made it.
    pub(crate) author: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// When it last changed, RFC 3339.
    pub(crate) updated: String,
}

impl From<Suppression> for SuppressionView {
    fn from(s: Suppression) -> Self {
        Self {
            id: s.id.to_string(),
            version: s.version,
            name: s.draft.name,
            rule_id: s.draft.rule_id,
            entity_kind: s.draft.entity_kind.map(|k| k.as_str().to_owned()),
            entity: s.draft.entity,
            group: s.draft.group,
            verdict: s.draft.verdict.to_string(),
            reason: s.draft.reason,
            expires: s.draft.expires.map(|t| t.to_string()),
            enabled: s.draft.enabled,
            hits: s.hits,
            last_hit: s.last_hit.map(|t| t.to_string()),
            author: s.author,
            created: s.created.to_string(),
            updated: s.updated.to_string(),
        }
    }
}

/// What a suppression says: an alert matches if everything that is named fits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuppressionBody {
    /// The version that the caller saw; only for changes.
    #[serde(default)]
    pub(crate) version: Option<i32>,
    /// Name for people.
    pub(crate) name: String,
    /// Alerts of this rule.
    #[serde(default)]
    pub(crate) rule_id: Option<String>,
    /// About this kind of entity: ip, host, user, domain or other.
    #[serde(default)]
    pub(crate) entity_kind: Option<String>,
    /// About this value, a network such as `10.0.0.0/8`, or a text with `*` for anything.
    #[serde(default)]
    pub(crate) entity: Option<String>,
    /// Of exactly this group (`name=value` pairs).
    #[serde(default)]
    pub(crate) group: Option<String>,
    /// true_positive, false_positive, benign or duplicate.
    pub(crate) verdict: String,
    /// Why.
    pub(crate) reason: String,
    /// It ends then, RFC 3339; never without it.
    #[serde(default)]
    pub(crate) expires: Option<String>,
    /// Whether it holds; true by default.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
}

pub(crate) fn yes() -> bool {
    true
}

/// Kind of an entity by its name.
pub(crate) fn parse_kind(text: &str) -> ApiResult<EntityKind> {
    use EntityKind::{Domain, Host, Ip, Other, User};
    [Ip, Host, User, Domain, Other]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| ApiError::invalid(format!("`{text}` is no kind of entity: ip, host, user, domain or other")))
}

impl SuppressionBody {
    fn draft(self) -> ApiResult<SuppressionDraft> {
        Ok(SuppressionDraft {
            name: self.name,
            rule_id: self.rule_id,
            entity_kind: self.entity_kind.as_deref().map(parse_kind).transpose()?,
            entity: self.entity,
            group: self.group,
            verdict: self.verdict.parse::<Verdict>().map_err(ApiError::invalid)?,
            reason: self.reason,
            expires: self.expires.as_deref().map(|t| parse_time("expires", t)).transpose()?,
            enabled: self.enabled,
        })
    }
}

/// Suppressions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SuppressionList {
    /// Newest first.
    pub(crate) items: Vec<SuppressionView>,
}

fn parse_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("suppression"))
}

/// List the suppressions with what each closed
#[utoipa::path(get, path = "/suppressions", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))),
    responses((status = 200, body = SuppressionList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<SuppressionList>> {
    let tenant = caller.tenant(Permission::AlertsRead).await?;
    let found = state.catalog.scoped(&Scope::of(tenant)).suppressions().await?;
    Ok(Json(SuppressionList { items: found.into_iter().map(SuppressionView::from).collect() }))
}

/// Show one suppression
#[utoipa::path(get, path = "/suppressions/{id}", tag = "alerts", extensions(("x-permission" = json!("alerts:read"))),
    params(("id" = String, Path, description = "Suppression id")),
    responses((status = 200, body = SuppressionView), (status = 404, body = Problem)))]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<SuppressionView>> {
    let tenant = caller.tenant(Permission::AlertsRead).await?;
    Ok(Json(state.catalog.scoped(&Scope::of(tenant)).suppression(parse_id(&id)?).await?.into()))
}

/// Suppress alerts from now on
#[utoipa::path(post, path = "/suppressions", tag = "alerts", extensions(("x-permission" = json!("alerts:suppress"))), request_body = SuppressionBody,
    responses((status = 201, body = SuppressionView), (status = 422, body = Problem), (status = 403, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<SuppressionBody>,
) -> ApiResult<(StatusCode, Json<SuppressionView>)> {
    let tenant = caller.tenant(Permission::AlertsSuppress).await?;
    let draft = body.draft()?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let made = tx.create_suppression(&draft).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Change a suppression
#[utoipa::path(patch, path = "/suppressions/{id}", tag = "alerts", extensions(("x-permission" = json!("alerts:suppress"))), request_body = SuppressionBody,
    params(("id" = String, Path, description = "Suppression id")),
    responses((status = 200, body = SuppressionView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<SuppressionBody>,
) -> ApiResult<Json<SuppressionView>> {
    let tenant = caller.tenant(Permission::AlertsSuppress).await?;
    let id = parse_id(&id)?;
    let version = body.version.ok_or_else(|| ApiError::invalid("`version`: give the version that you saw"))?;
    let draft = body.draft()?;
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    match tx.update_suppression(id, version, &draft).await {
        Ok(changed) => {
            tx.commit().await?;
            Ok(Json(changed.into()))
        }
        Err(error) => {
            drop(tx);
            let current = SuppressionView::from(scoped.suppression(id).await?);
            Err(ApiError::from(error).with_current(&current))
        }
    }
}

/// End a suppression; what it closed stays closed
#[utoipa::path(delete, path = "/suppressions/{id}", tag = "alerts", extensions(("x-permission" = json!("alerts:suppress"))),
    params(("id" = String, Path, description = "Suppression id")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::AlertsSuppress).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.delete_suppression(parse_id(&id)?).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How much like an alert.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuppressLike {
    /// `rule_entity` (the same rule about the same entity), `rule_group`, `rule` or `entity`.
    pub(crate) scope: String,
    /// Why.
    pub(crate) reason: String,
    /// What such alerts turn out to be: true_positive, false_positive, benign or duplicate.
    pub(crate) verdict: String,
    /// It ends then, RFC 3339; never without it.
    #[serde(default)]
    pub(crate) expires: Option<String>,
    /// Whether to close the open alerts that match, too.
    #[serde(default)]
    pub(crate) close_existing: bool,
}

/// Suppress alerts like this one
#[utoipa::path(post, path = "/alerts/{id}/suppress", tag = "alerts", extensions(("x-permission" = json!("alerts:suppress"))), request_body = SuppressLike,
    params(("id" = String, Path, description = "Alert id")),
    responses((status = 201, body = SuppressionView), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn suppress_like(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<SuppressLike>,
) -> ApiResult<(StatusCode, Json<SuppressionView>)> {
    let tenant = caller.tenant(Permission::AlertsSuppress).await?;
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let alert = scoped.alert(alert_id(&id)?).await?.alert;
    let (rule, entity, group) = match body.scope.as_str() {
        "rule_entity" => (true, true, false),
        "rule_group" => (true, false, true),
        "rule" => (true, false, false),
        "entity" => (false, true, false),
        other => {
            return Err(ApiError::invalid(format!(
                "`scope`: `{other}` is not rule_entity, rule_group, rule or entity"
            )));
        }
    };
    let about = match (rule, entity || group) {
        (true, true) => format!("{} about {}", alert.rule.title, alert.entity),
        (true, false) => alert.rule.title.clone(),
        _ => alert.entity.to_string(),
    };
    let draft = SuppressionDraft {
        name: about,
        rule_id: rule.then_some(alert.rule.id),
        entity_kind: entity.then_some(alert.entity.kind),
        entity: entity.then_some(alert.entity.value),
        group: group.then_some(alert.group_key),
        verdict: body.verdict.parse::<Verdict>().map_err(ApiError::invalid)?,
        reason: body.reason,
        expires: body.expires.as_deref().map(|t| parse_time("expires", t)).transpose()?,
        enabled: true,
    };
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    let made = tx.create_suppression(&draft).await?;
    if body.close_existing {
        tx.apply_suppression(made.id).await?;
    }
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(scoped.suppression(made.id).await?.into())))
}
