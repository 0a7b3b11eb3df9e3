//! Tenants: the customers of a provider, or the departments of a house.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{CatalogError, Tenant, TenantChange};
use guardian_identity::{Permission, Role};
use guardian_model::{Scope, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, change, remove))
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantView {
    /// Id.
    pub(crate) id: String,
    /// Grows with every change.
    pub(crate) version: i32,
    /// Short name.
    pub(crate) slug: String,
    /// Name for people.
    pub(crate) name: String,
    /// Whether nobody may work in it.
    pub(crate) disabled: bool,
    /// How many members it has.
    pub(crate) users: u64,
    /// Since when, RFC 3339.
    pub(crate) created: String,
    /// The caller's role there.
    pub(crate) role: Option<String>,
}

/// Tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantList {
    /// Oldest first.
    pub(crate) items: Vec<TenantView>,
}

/// The tenants that the caller may know of: their own, or all if they manage them.
async fn seen(state: &ApiState, caller: &Caller) -> ApiResult<Vec<TenantView>> {
    let principal = caller.principal();
    let all = principal.permissions(TenantId::DEFAULT).contains(Permission::TenantsManage);
    let scope = if all { state.catalog.system().everything().await? } else { principal.scope() };
    let scoped = state.catalog.scoped(&scope);
    let members = scoped.tenant_members().await?;
    let view = |t: Tenant| TenantView {
        users: members.iter().find(|(id, _)| *id == t.id).map_or(0, |(_, n)| *n),
        role: principal.role(t.id).map(str::to_owned),
        id: t.id.to_string(),
        version: t.version,
        slug: t.slug,
        name: t.name,
        disabled: t.disabled,
        created: t.created.to_string(),
    };
    Ok(scoped.tenant_list().await?.into_iter().map(view).collect())
}

/// List tenants
///
/// Those that the caller works in; all for whoever manages tenants.
#[utoipa::path(get, path = "/tenants", tag = "tenants", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = TenantList), (status = 401, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<TenantList>> {
    Ok(Json(TenantList { items: seen(&state, &caller).await? }))
}

async fn one(state: &ApiState, caller: &Caller, id: TenantId) -> ApiResult<TenantView> {
    let id = id.to_string();
    seen(state, caller).await?.into_iter().find(|t| t.id == id).ok_or_else(|| ApiError::not_found("tenant"))
}

fn tenant_id(text: &str) -> ApiResult<TenantId> {
    text.parse().map_err(|_| ApiError::not_found("tenant"))
}

/// Show a tenant
#[utoipa::path(get, path = "/tenants/{id}", tag = "tenants", extensions(("x-permission" = json!("session"))),
    params(("id" = String, Path, description = "Tenant id")),
    responses((status = 200, body = TenantView), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<TenantView>> {
    Ok(Json(one(&state, &caller, tenant_id(&id)?).await?))
}

/// A tenant to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTenant {
    /// Short name: 1 to 40 lower-case letters, digits and dashes.
    pub(crate) slug: String,
    /// Name for people.
    pub(crate) name: String,
}

/// Who may: whoever manages tenants in the installation's own tenant, and proved themselves lately.
async fn manager(state: &ApiState, caller: &Caller) -> ApiResult<()> {
    caller.installation(Permission::TenantsManage).await?;
    Ok(state.identity.require_recent(caller.principal())?)
}

/// Make a tenant
///
/// Whoever makes it becomes its administrator.
#[utoipa::path(post, path = "/tenants", tag = "tenants", request_body = CreateTenant,
    extensions(("x-permission" = json!("tenants:manage"))),
    responses((status = 201, body = TenantView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<CreateTenant>,
) -> ApiResult<(StatusCode, Json<TenantView>)> {
    manager(&state, &caller).await?;
    let own = Scope::of(TenantId::DEFAULT);
    let mut tx = state.catalog.scoped(&own).begin(TenantId::DEFAULT, caller.actor()).await?;
    let made = tx.create_tenant(&body.slug, &body.name).await?;
    tx.commit().await?;
    let mut role = None;
    if let Some(user) = caller.principal().session().and(caller.principal().user) {
        let both = Scope::of_all([caller.principal().home, made.id]);
        let mut tx = state.catalog.scoped(&both).begin(made.id, caller.actor()).await?;
        tx.set_membership(user, Some(Role::Admin.as_str())).await?;
        tx.commit().await?;
        role = Some(Role::Admin.to_string());
    }
    Ok((StatusCode::CREATED, Json(TenantView { role, ..one(&state, &caller, made.id).await? })))
}

/// What to change of a tenant; absent members stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeTenant {
    /// The version that was seen.
    pub(crate) version: i32,
    /// Short name.
    pub(crate) slug: Option<String>,
    /// Name for people.
    pub(crate) name: Option<String>,
    /// Whether nobody may work in it.
    pub(crate) disabled: Option<bool>,
}

/// Change a tenant
#[utoipa::path(patch, path = "/tenants/{id}", tag = "tenants", request_body = ChangeTenant,
    extensions(("x-permission" = json!("tenants:manage"))),
    params(("id" = String, Path, description = "Tenant id")),
    responses((status = 200, body = TenantView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ChangeTenant>,
) -> ApiResult<Json<TenantView>> {
    manager(&state, &caller).await?;
    let id = tenant_id(&id)?;
    let own = Scope::of(TenantId::DEFAULT);
    let mut tx = state.catalog.scoped(&own).begin(TenantId::DEFAULT, caller.actor()).await?;
    let change = TenantChange { slug: body.slug, name: body.name, disabled: body.disabled };
    match tx.update_tenant(id, body.version, &change).await {
        Err(CatalogError::VersionConflict { .. }) => {
            drop(tx);
            Err(ApiError::version_conflict(&one(&state, &caller, id).await?))
        }
        Err(error) => Err(error.into()),
        Ok(_) => {
            tx.commit().await?;
            Ok(Json(one(&state, &caller, id).await?))
        }
    }
}

/// Delete a disabled tenant
///
/// With everything that the catalog holds of it, accounts at home there included. Its audit trail stays in the
/// database; its telemetry goes with its retention.
#[utoipa::path(delete, path = "/tenants/{id}", tag = "tenants",
    extensions(("x-permission" = json!("tenants:manage"))),
    params(("id" = String, Path, description = "Tenant id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    manager(&state, &caller).await?;
    let own = Scope::of(TenantId::DEFAULT);
    let mut tx = state.catalog.scoped(&own).begin(TenantId::DEFAULT, caller.actor()).await?;
    tx.delete_tenant(tenant_id(&id)?).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
