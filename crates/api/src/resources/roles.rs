//! Roles and the table of permissions that they are made of.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{CatalogError, RoleDraft};
use guardian_identity::{IdentityError, Permission, RoleInfo};
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
    OpenApiRouter::new().routes(routes!(permissions)).routes(routes!(list, create)).routes(routes!(get, change, remove))
}

/// One line of the table of permissions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PermissionView {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it allows.
    pub(crate) description: &'static str,
    /// The built-in roles that hold it.
    pub(crate) roles: Vec<&'static str>,
}

/// The table of permissions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PermissionTable {
    /// In the order of the table.
    pub(crate) items: Vec<PermissionView>,
}

/// The one table of permissions
#[utoipa::path(get, path = "/permissions", tag = "roles", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = PermissionTable), (status = 401, body = Problem)))]
async fn permissions(_: Caller) -> Json<PermissionTable> {
    let row = |p: &Permission| PermissionView {
        name: p.name(),
        description: p.description(),
        roles: p.roles().iter().map(|r| r.as_str()).collect(),
    };
    Json(PermissionTable { items: Permission::ALL.iter().map(row).collect() })
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleView {
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: String,
    /// Whether it is the same everywhere and cannot be changed.
    pub(crate) built_in: bool,
    /// What it may do.
    pub(crate) permissions: Vec<&'static str>,
    /// Whether whoever has it needs a second factor.
    pub(crate) mfa_required: bool,
    /// Whether whoever has it has to show a client certificate.
    pub(crate) certificate_required: bool,
    /// Grows with every change; 0 for built-in ones.
    pub(crate) version: i32,
    /// How many members have it.
    pub(crate) users: u64,
    /// Since when, RFC 3339.
    pub(crate) created: Option<String>,
    /// Last change, RFC 3339.
    pub(crate) updated: Option<String>,
}

impl From<RoleInfo> for RoleView {
    fn from(role: RoleInfo) -> Self {
        Self {
            name: role.name,
            description: role.description,
            built_in: role.built_in,
            permissions: role.permissions.iter().map(Permission::name).collect(),
            mfa_required: role.mfa_required,
            certificate_required: role.certificate_required,
            version: role.version,
            users: role.members,
            created: role.created.map(|t| t.to_string()),
            updated: role.updated.map(|t| t.to_string()),
        }
    }
}

/// Roles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleList {
    /// Built-in ones first.
    pub(crate) items: Vec<RoleView>,
}

/// List the roles of the tenant
#[utoipa::path(get, path = "/roles", tag = "roles", extensions(("x-permission" = json!("users:read"))),
    responses((status = 200, body = RoleList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<RoleList>> {
    let tenant = caller.tenant(Permission::UsersRead).await?;
    let roles = state.identity.roles(tenant).await?;
    Ok(Json(RoleList { items: roles.into_iter().map(RoleView::from).collect() }))
}

/// Show a role
#[utoipa::path(get, path = "/roles/{name}", tag = "roles", extensions(("x-permission" = json!("users:read"))),
    params(("name" = String, Path, description = "Name of the role")),
    responses((status = 200, body = RoleView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(name): Path<String>) -> ApiResult<Json<RoleView>> {
    let tenant = caller.tenant(Permission::UsersRead).await?;
    Ok(Json(state.identity.role(tenant, &name).await?.into()))
}

/// A role to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRole {
    /// 2 to 40 lower-case letters, digits, dashes and underscores.
    pub(crate) name: String,
    /// What it is for.
    #[serde(default)]
    pub(crate) description: String,
    /// Names of permissions that the caller holds.
    pub(crate) permissions: Vec<String>,
    /// Whether whoever has it needs a second factor.
    #[serde(default)]
    pub(crate) mfa_required: bool,
    /// Whether whoever has it has to show a client certificate.
    #[serde(default)]
    pub(crate) certificate_required: bool,
}

/// Make a role of named permissions
#[utoipa::path(post, path = "/roles", tag = "roles", request_body = CreateRole,
    extensions(("x-permission" = json!("roles:manage"))),
    responses((status = 201, body = RoleView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<CreateRole>,
) -> ApiResult<(StatusCode, Json<RoleView>)> {
    let tenant = caller.sensitive(Permission::RolesManage).await?;
    let draft = RoleDraft {
        name: body.name,
        description: body.description,
        permissions: body.permissions,
        mfa_required: body.mfa_required,
        certificate_required: body.certificate_required,
    };
    state.identity.create_role(caller.principal(), tenant, &draft, caller.origin()).await?;
    Ok((StatusCode::CREATED, Json(state.identity.role(tenant, &draft.name).await?.into())))
}

/// What to change of a role; absent members stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRole {
    /// The version that was seen.
    pub(crate) version: i32,
    /// A new name, which its members take over.
    pub(crate) name: Option<String>,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Names of permissions.
    pub(crate) permissions: Option<Vec<String>>,
    /// Whether whoever has it needs a second factor.
    pub(crate) mfa_required: Option<bool>,
    /// Whether whoever has it has to show a client certificate.
    pub(crate) certificate_required: Option<bool>,
}

/// Change a role
#[utoipa::path(patch, path = "/roles/{name}", tag = "roles", request_body = ChangeRole,
    extensions(("x-permission" = json!("roles:manage"))),
    params(("name" = String, Path, description = "Name of the role")),
    responses((status = 200, body = RoleView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<ChangeRole>,
) -> ApiResult<Json<RoleView>> {
    let tenant = caller.sensitive(Permission::RolesManage).await?;
    let present = state.identity.role(tenant, &name).await?;
    let held = present.permissions.iter().map(|p| p.name().to_owned()).collect();
    let draft = RoleDraft {
        name: body.name.unwrap_or(present.name),
        description: body.description.unwrap_or(present.description),
        permissions: body.permissions.unwrap_or(held),
        mfa_required: body.mfa_required.unwrap_or(present.mfa_required),
        certificate_required: body.certificate_required.unwrap_or(present.certificate_required),
    };
    let done =
        state.identity.update_role(caller.principal(), tenant, &name, body.version, &draft, caller.origin()).await;
    match done {
        Err(IdentityError::Catalog(CatalogError::VersionConflict { .. })) => {
            Err(ApiError::version_conflict(&RoleView::from(state.identity.role(tenant, &name).await?)))
        }
        Err(error) => Err(error.into()),
        Ok(()) => Ok(Json(state.identity.role(tenant, &draft.name).await?.into())),
    }
}

/// Delete a role that nobody has
#[utoipa::path(delete, path = "/roles/{name}", tag = "roles",
    extensions(("x-permission" = json!("roles:manage"))),
    params(("name" = String, Path, description = "Name of the role")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(State(state): State<ApiState>, caller: Caller, Path(name): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.sensitive(Permission::RolesManage).await?;
    state.identity.delete_role(caller.principal(), tenant, &name, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}
