//! Task templates, and what a tenant sets about incidents: deadlines and correlation.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{IncidentKind, IncidentTemplate, TemplateDraft, TemplateTask};
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use guardian_respond::{IncidentSettings, SETTINGS_KEY, templates};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, put, delete))
        .routes(routes!(settings, put_settings))
}

/// One task of a template.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemplateTaskView {
    /// What to do.
    pub(crate) title: String,
    /// How, in Markdown.
    #[serde(default)]
    pub(crate) description: String,
    /// Part of the work that it belongs to.
    #[serde(default)]
    pub(crate) phase: String,
    /// Until when, in minutes from the use of the template.
    #[serde(default)]
    pub(crate) due_minutes: Option<u32>,
}

/// Tasks that a kind of incident begins with.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TemplateView {
    /// Identity.
    pub(crate) id: String,
    /// Grows with each edit; 0 for a shipped one that was never edited.
    pub(crate) version: i32,
    /// Its name.
    pub(crate) name: String,
    /// The kind of incident it is for.
    pub(crate) kind: String,
    /// Whether it ships with Guardian and was never edited here.
    pub(crate) shipped: bool,
    /// Who last edited it.
    pub(crate) author: String,
    /// Its tasks.
    pub(crate) tasks: Vec<TemplateTaskView>,
}

impl From<IncidentTemplate> for TemplateView {
    fn from(template: IncidentTemplate) -> Self {
        let task = |t: TemplateTask| TemplateTaskView {
            title: t.title,
            description: t.description,
            phase: t.phase,
            due_minutes: t.due_minutes,
        };
        Self {
            id: template.id.to_string(),
            version: template.version,
            name: template.draft.name,
            kind: template.draft.kind.to_string(),
            shipped: template.version == 0,
            author: template.author,
            tasks: template.draft.tasks.into_iter().map(task).collect(),
        }
    }
}

/// Templates.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TemplateList {
    /// By kind and name, shipped ones included.
    pub(crate) items: Vec<TemplateView>,
}

/// A template to store.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemplateBody {
    /// The version that the caller saw; only for changes.
    #[serde(default)]
    pub(crate) version: i32,
    /// Its name.
    pub(crate) name: String,
    /// The kind of incident it is for.
    pub(crate) kind: String,
    /// Its tasks.
    pub(crate) tasks: Vec<TemplateTaskView>,
}

impl TemplateBody {
    fn draft(self) -> ApiResult<TemplateDraft> {
        let task = |t: TemplateTaskView| TemplateTask {
            phase: t.phase,
            title: t.title,
            description: t.description,
            due_minutes: t.due_minutes,
        };
        Ok(TemplateDraft {
            name: self.name,
            kind: self.kind.parse::<IncidentKind>().map_err(ApiError::invalid)?,
            tasks: self.tasks.into_iter().map(task).collect(),
        })
    }
}

async fn all(state: &ApiState, tenant: TenantId) -> ApiResult<Vec<IncidentTemplate>> {
    let own = state.catalog.scoped(&Scope::of(tenant)).incident_templates().await?;
    Ok(templates::all(tenant, own))
}

/// One template, shipped or own.
pub(crate) async fn find(state: &ApiState, tenant: TenantId, id: Uuid) -> ApiResult<IncidentTemplate> {
    let found = all(state, tenant).await?.into_iter().find(|t| t.id == id);
    found.ok_or_else(|| ApiError::not_found("template"))
}

fn parse_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("template"))
}

/// List the task templates, shipped ones included
#[utoipa::path(get, path = "/incident-templates", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    responses((status = 200, body = TemplateList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<TemplateList>> {
    let tenant = caller.tenant(Permission::IncidentsRead).await?;
    Ok(Json(TemplateList { items: all(&state, tenant).await?.into_iter().map(TemplateView::from).collect() }))
}

/// Show one task template
#[utoipa::path(get, path = "/incident-templates/{id}", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    params(("id" = String, Path, description = "Template id")),
    responses((status = 200, body = TemplateView), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<TemplateView>> {
    let tenant = caller.tenant(Permission::IncidentsRead).await?;
    Ok(Json(find(&state, tenant, parse_id(&id)?).await?.into()))
}

/// Make a task template
#[utoipa::path(post, path = "/incident-templates", tag = "incidents", extensions(("x-permission" = json!("incidents:configure"))), request_body = TemplateBody,
    responses((status = 201, body = TemplateView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<TemplateBody>,
) -> ApiResult<(StatusCode, Json<TemplateView>)> {
    let tenant = caller.tenant(Permission::IncidentsConfigure).await?;
    let draft = body.draft()?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let made = tx.put_template(None, 0, &draft).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Change a task template; a shipped one becomes the tenant's own
#[utoipa::path(put, path = "/incident-templates/{id}", tag = "incidents", extensions(("x-permission" = json!("incidents:configure"))), request_body = TemplateBody,
    params(("id" = String, Path, description = "Template id")),
    responses((status = 200, body = TemplateView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn put(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<TemplateBody>,
) -> ApiResult<Json<TemplateView>> {
    let tenant = caller.tenant(Permission::IncidentsConfigure).await?;
    let id = parse_id(&id)?;
    find(&state, tenant, id).await?;
    let version = body.version;
    let draft = body.draft()?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    match tx.put_template(Some(id), version, &draft).await {
        Ok(stored) => {
            tx.commit().await?;
            Ok(Json(stored.into()))
        }
        Err(error) => {
            drop(tx);
            let current = TemplateView::from(find(&state, tenant, id).await?);
            Err(ApiError::from(error).with_current(&current))
        }
    }
}

/// Remove a task template; a shipped one of the same id shows again
#[utoipa::path(delete, path = "/incident-templates/{id}", tag = "incidents", extensions(("x-permission" = json!("incidents:configure"))),
    params(("id" = String, Path, description = "Template id")),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::IncidentsConfigure).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.delete_template(parse_id(&id)?).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a tenant sets about incidents.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsView {
    /// Grows with each change; 0 while the defaults hold. A change carries the version that the caller saw.
    pub(crate) version: i32,
    /// Deadlines: `critical`, `high`, `medium`, `low` and `informational`, each with `acknowledge_minutes`,
    /// `contain_minutes` and `resolve_minutes` (null for none), and `warn_percent`.
    #[schema(value_type = Object)]
    pub(crate) sla: Value,
    /// Correlation: `enabled`, `window_minutes`, `create_severity`, `join_score`, `include_replays`.
    #[schema(value_type = Object)]
    pub(crate) correlation: Value,
}

impl SettingsView {
    fn new(settings: &IncidentSettings, version: i32) -> ApiResult<Self> {
        let json = |value: Result<Value, serde_json::Error>| value.map_err(ApiError::internal);
        Ok(Self {
            version,
            sla: json(serde_json::to_value(&settings.sla))?,
            correlation: json(serde_json::to_value(&settings.correlation))?,
        })
    }
}

/// Show the deadlines and what is correlated
#[utoipa::path(get, path = "/incident-settings", tag = "incidents", extensions(("x-permission" = json!("incidents:read"))),
    responses((status = 200, body = SettingsView), (status = 403, body = Problem)))]
async fn settings(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<SettingsView>> {
    let tenant = caller.tenant(Permission::IncidentsRead).await?;
    let scope = Scope::of(tenant);
    let (settings, version) = IncidentSettings::load(&state.catalog.scoped(&scope), tenant).await?;
    Ok(Json(SettingsView::new(&settings, version)?))
}

/// Set the deadlines and what is correlated
///
/// New deadlines hold for incidents that are made from now on, or whose severity changes.
#[utoipa::path(put, path = "/incident-settings", tag = "incidents", extensions(("x-permission" = json!("incidents:configure"))), request_body = SettingsView,
    responses((status = 200, body = SettingsView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn put_settings(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<SettingsView>,
) -> ApiResult<Json<SettingsView>> {
    let tenant = caller.tenant(Permission::IncidentsConfigure).await?;
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let wrong = |what: &str, error: serde_json::Error| ApiError::invalid(format!("`{what}`: {error}"));
    let new = IncidentSettings {
        sla: serde_json::from_value(body.sla).map_err(|e| wrong("sla", e))?,
        correlation: serde_json::from_value(body.correlation).map_err(|e| wrong("correlation", e))?,
    };
    if let Some(problem) = new.problem() {
        return Err(ApiError::invalid(problem));
    }
    let (current, version) = IncidentSettings::load(&scoped, tenant).await?;
    if version != body.version {
        let detail = format!("the settings were changed meanwhile; they are at version {version}");
        let conflict = ApiError::new(StatusCode::CONFLICT, "version-conflict", detail);
        return Err(conflict.with_current(&SettingsView::new(&current, version)?));
    }
    let value = serde_json::to_value(&new).map_err(ApiError::internal)?;
    let mut tx = scoped.begin(tenant, caller.actor()).await?;
    let stored = tx.put_setting(SETTINGS_KEY, &value, Some(version)).await?;
    tx.commit().await?;
    Ok(Json(SettingsView::new(&new, stored.version)?))
}
