//! What people keep: views of lists, and hunts. Own ones, and those that are shared within the tenant.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{Saved, SavedDraft, SavedKind};
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::incident_view::PersonRef;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(views, create_view))
        .routes(routes!(get_view, update_view, delete_view))
        .routes(routes!(hunts, create_hunt))
        .routes(routes!(get_hunt, update_hunt, delete_hunt))
}

/// A saved view of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewView {
    /// Identity.
    pub(crate) id: String,
    /// Grows with each change.
    pub(crate) version: i32,
    /// The list it belongs to, such as `alerts`.
    pub(crate) page: String,
    /// Its name.
    pub(crate) name: String,
    /// What the page made of it: filter, order, columns.
    #[schema(value_type = Object)]
    pub(crate) state: Value,
    /// Whether the whole tenant may use it.
    pub(crate) shared: bool,
    /// Whose it is.
    pub(crate) owner: Option<PersonRef>,
    /// Whether it is the caller's own.
    pub(crate) mine: bool,
    /// When it last changed, RFC 3339.
    pub(crate) updated: String,
}

/// Saved views.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewList {
    /// By name.
    pub(crate) items: Vec<ViewView>,
}

/// A view to save.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewBody {
    /// The version that the caller saw; only for changes.
    #[serde(default)]
    pub(crate) version: i32,
    /// The list it belongs to.
    pub(crate) page: String,
    /// Its name.
    pub(crate) name: String,
    /// What the page makes of it; at most 16 KiB of JSON.
    #[schema(value_type = Object)]
    pub(crate) state: Value,
    /// Whether the whole tenant may use it.
    #[serde(default)]
    pub(crate) shared: bool,
}

/// A saved hunt: a question to the telemetry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HuntView {
    /// Identity.
    pub(crate) id: String,
    /// Grows with each change.
    pub(crate) version: i32,
    /// Its name.
    pub(crate) name: String,
    /// What it looks for.
    pub(crate) description: String,
    /// `filter` or `sql`.
    pub(crate) mode: String,
    /// The filter or the statement.
    pub(crate) text: String,
    /// The time it looks at, such as `24h`.
    pub(crate) range: String,
    /// Whether the whole tenant may use it.
    pub(crate) shared: bool,
    /// Whose it is.
    pub(crate) owner: Option<PersonRef>,
    /// Whether it is the caller's own.
    pub(crate) mine: bool,
    /// When it last changed, RFC 3339.
    pub(crate) updated: String,
}

/// Saved hunts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HuntList {
    /// By name.
    pub(crate) items: Vec<HuntView>,
}

/// A hunt to save.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HuntBody {
    /// The version that the caller saw; only for changes.
    #[serde(default)]
    pub(crate) version: i32,
    /// Its name.
    pub(crate) name: String,
    /// What it looks for.
    #[serde(default)]
    pub(crate) description: String,
    /// `filter` or `sql`.
    pub(crate) mode: String,
    /// The filter or the statement.
    pub(crate) text: String,
    /// The time it looks at, such as `24h`.
    #[serde(default)]
    pub(crate) range: String,
    /// Whether the whole tenant may use it.
    #[serde(default)]
    pub(crate) shared: bool,
}

impl ViewBody {
    fn draft(self) -> SavedDraft {
        SavedDraft { name: self.name, page: self.page, shared: self.shared, content: self.state }
    }
}

impl HuntBody {
    fn draft(self) -> ApiResult<SavedDraft> {
        if !matches!(self.mode.as_str(), "filter" | "sql") {
            return Err(ApiError::invalid(format!("`mode`: `{}` is not filter or sql", self.mode)));
        }
        let content = json!({
            "description": self.description, "mode": self.mode, "text": self.text, "range": self.range,
        });
        Ok(SavedDraft { name: self.name, page: "hunt".into(), shared: self.shared, content })
    }
}

/// Whose, and whether it is the caller's own.
fn owner(saved: &Saved, caller: &Caller) -> (Option<PersonRef>, bool) {
    let person = saved.owner.map(|user| PersonRef { id: user.to_string(), name: saved.author.clone() });
    (person, saved.owner == caller.principal().user)
}

fn view(saved: Saved, caller: &Caller) -> ViewView {
    let (owner, mine) = owner(&saved, caller);
    ViewView {
        id: saved.id.to_string(),
        version: saved.version,
        page: saved.draft.page,
        name: saved.draft.name,
        state: saved.draft.content,
        shared: saved.draft.shared,
        owner,
        mine,
        updated: saved.updated.to_string(),
    }
}

fn hunt(saved: Saved, caller: &Caller) -> HuntView {
    let (owner, mine) = owner(&saved, caller);
    let text = |key: &str| saved.draft.content.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    HuntView {
        id: saved.id.to_string(),
        version: saved.version,
        description: text("description"),
        mode: text("mode"),
        text: text("text"),
        range: text("range"),
        name: saved.draft.name,
        shared: saved.draft.shared,
        owner,
        mine,
        updated: saved.updated.to_string(),
    }
}

fn parse_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("saved item"))
}

/// The tenant, after checking that the caller may keep this; sharing needs a permission of its own.
async fn allowed(caller: &Caller, kind: SavedKind, shared: bool) -> ApiResult<TenantId> {
    let tenant = match kind {
        SavedKind::View => caller.tenant(Permission::ViewsUse).await?,
        SavedKind::Hunt => caller.tenant(Permission::FlowsRead).await?,
    };
    if shared {
        caller.tenant(Permission::ViewsShare).await?;
    }
    Ok(tenant)
}

async fn all(state: &ApiState, caller: &Caller, kind: SavedKind, page: Option<&str>) -> ApiResult<Vec<Saved>> {
    let tenant = allowed(caller, kind, false).await?;
    Ok(state.catalog.scoped(&Scope::of(tenant)).saved(kind, caller.principal().user, page).await?)
}

async fn one(state: &ApiState, caller: &Caller, kind: SavedKind, id: &str) -> ApiResult<Saved> {
    let tenant = allowed(caller, kind, false).await?;
    let scope = Scope::of(tenant);
    Ok(state.catalog.scoped(&scope).saved_one(kind, caller.principal().user, parse_id(id)?).await?)
}

async fn create(state: &ApiState, caller: &Caller, kind: SavedKind, draft: SavedDraft) -> ApiResult<Saved> {
    let tenant = allowed(caller, kind, draft.shared).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let made = tx.create_saved(kind, &draft).await?;
    tx.commit().await?;
    Ok(made)
}

/// Changes one; the error of a stale version still lacks the present state.
async fn update(
    state: &ApiState,
    caller: &Caller,
    kind: SavedKind,
    id: &str,
    version: i32,
    draft: SavedDraft,
) -> ApiResult<Saved> {
    let tenant = allowed(caller, kind, draft.shared).await?;
    let others = caller.principal().permissions(tenant).contains(Permission::ViewsShare);
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let changed = tx.update_saved(kind, parse_id(id)?, version, &draft, others).await?;
    tx.commit().await?;
    Ok(changed)
}

async fn delete(state: &ApiState, caller: &Caller, kind: SavedKind, id: &str) -> ApiResult<StatusCode> {
    let tenant = allowed(caller, kind, false).await?;
    let others = caller.principal().permissions(tenant).contains(Permission::ViewsShare);
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.delete_saved(kind, parse_id(id)?, others).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which views.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ViewQuery {
    /// Of this list only.
    pub(crate) page: Option<String>,
}

/// List one's own views and those that are shared
#[utoipa::path(get, path = "/views", tag = "views", extensions(("x-permission" = json!("views:use"))), params(ViewQuery),
    responses((status = 200, body = ViewList), (status = 403, body = Problem)))]
async fn views(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ViewQuery>,
) -> ApiResult<Json<ViewList>> {
    let found = all(&state, &caller, SavedKind::View, query.page.as_deref()).await?;
    Ok(Json(ViewList { items: found.into_iter().map(|s| view(s, &caller)).collect() }))
}

/// Save a view of a list
#[utoipa::path(post, path = "/views", tag = "views", extensions(("x-permission" = json!("views:use"))), request_body = ViewBody,
    responses((status = 201, body = ViewView), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn create_view(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<ViewBody>,
) -> ApiResult<(StatusCode, Json<ViewView>)> {
    let made = create(&state, &caller, SavedKind::View, body.draft()).await?;
    Ok((StatusCode::CREATED, Json(view(made, &caller))))
}

/// Show a saved view
#[utoipa::path(get, path = "/views/{id}", tag = "views", extensions(("x-permission" = json!("views:use"))), params(("id" = String, Path, description = "View id")),
    responses((status = 200, body = ViewView), (status = 404, body = Problem)))]
async fn get_view(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<ViewView>> {
    Ok(Json(view(one(&state, &caller, SavedKind::View, &id).await?, &caller)))
}

/// Change a saved view
#[utoipa::path(patch, path = "/views/{id}", tag = "views", extensions(("x-permission" = json!("views:use"))), request_body = ViewBody,
    params(("id" = String, Path, description = "View id")),
    responses((status = 200, body = ViewView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn update_view(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ViewBody>,
) -> ApiResult<Json<ViewView>> {
    let version = body.version;
    match update(&state, &caller, SavedKind::View, &id, version, body.draft()).await {
        Ok(changed) => Ok(Json(view(changed, &caller))),
        Err(error) => Err(error.with_current(&view(one(&state, &caller, SavedKind::View, &id).await?, &caller))),
    }
}

/// Forget a saved view
#[utoipa::path(delete, path = "/views/{id}", tag = "views", extensions(("x-permission" = json!("views:use"))), params(("id" = String, Path, description = "View id")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete_view(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    delete(&state, &caller, SavedKind::View, &id).await
}

/// List one's own hunts and those that are shared
#[utoipa::path(get, path = "/hunts", tag = "views", extensions(("x-permission" = json!("flows:read"))),
    responses((status = 200, body = HuntList), (status = 403, body = Problem)))]
async fn hunts(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<HuntList>> {
    let found = all(&state, &caller, SavedKind::Hunt, None).await?;
    Ok(Json(HuntList { items: found.into_iter().map(|s| hunt(s, &caller)).collect() }))
}

/// Save a hunt
#[utoipa::path(post, path = "/hunts", tag = "views", extensions(("x-permission" = json!("flows:read"))), request_body = HuntBody,
    responses((status = 201, body = HuntView), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn create_hunt(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<HuntBody>,
) -> ApiResult<(StatusCode, Json<HuntView>)> {
    caller.tenant(Permission::FlowsRead).await?;
    let made = create(&state, &caller, SavedKind::Hunt, body.draft()?).await?;
    Ok((StatusCode::CREATED, Json(hunt(made, &caller))))
}

/// Show a saved hunt
#[utoipa::path(get, path = "/hunts/{id}", tag = "views", extensions(("x-permission" = json!("flows:read"))), params(("id" = String, Path, description = "Hunt id")),
    responses((status = 200, body = HuntView), (status = 404, body = Problem)))]
async fn get_hunt(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<HuntView>> {
    Ok(Json(hunt(one(&state, &caller, SavedKind::Hunt, &id).await?, &caller)))
}

/// Change a saved hunt
#[utoipa::path(patch, path = "/hunts/{id}", tag = "views", extensions(("x-permission" = json!("flows:read"))), request_body = HuntBody,
    params(("id" = String, Path, description = "Hunt id")),
    responses((status = 200, body = HuntView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn update_hunt(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<HuntBody>,
) -> ApiResult<Json<HuntView>> {
    caller.tenant(Permission::FlowsRead).await?;
    let version = body.version;
    match update(&state, &caller, SavedKind::Hunt, &id, version, body.draft()?).await {
        Ok(changed) => Ok(Json(hunt(changed, &caller))),
        Err(error) => Err(error.with_current(&hunt(one(&state, &caller, SavedKind::Hunt, &id).await?, &caller))),
    }
}

/// Forget a saved hunt
#[utoipa::path(delete, path = "/hunts/{id}", tag = "views", extensions(("x-permission" = json!("flows:read"))), params(("id" = String, Path, description = "Hunt id")),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn delete_hunt(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    delete(&state, &caller, SavedKind::Hunt, &id).await
}
