//! Accounts: who may sign in, and as what.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use guardian_catalog::{Membership, User};
use guardian_identity::{NewAccount, Permission, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(set_password))
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    /// Id.
    pub(crate) id: String,
    /// Sign-in name.
    pub(crate) name: String,
    /// Name for people.
    pub(crate) display_name: String,
    /// Role in the tenant.
    pub(crate) role: String,
    /// Whether it may not sign in.
    pub(crate) disabled: bool,
    /// Since when, RFC 3339.
    pub(crate) created: String,
    /// Last sign-in, RFC 3339.
    pub(crate) last_sign_in: Option<String>,
}

impl UserView {
    fn new(user: User, role: String) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.name,
            display_name: user.display_name,
            role,
            disabled: user.disabled,
            created: user.created.to_string(),
            last_sign_in: user.last_sign_in.map(|t| t.to_string()),
        }
    }
}

/// Accounts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserList {
    /// By name.
    pub(crate) items: Vec<UserView>,
}

/// List the accounts of the tenant
#[utoipa::path(get, path = "/users", tag = "users", responses((status = 200, body = UserList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<UserList>> {
    let tenant = caller.tenant(Permission::UsersRead).await?;
    let scope = guardian_model::Scope::of(tenant);
    let users = state.catalog.scoped(&scope).users().await?;
    let role = |memberships: &[Membership]| {
        memberships.iter().find(|m| m.tenant == tenant).map(|m| m.role.clone()).unwrap_or_default()
    };
    Ok(Json(UserList { items: users.into_iter().map(|(u, m)| UserView::new(u, role(&m))).collect() }))
}

/// An account to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUser {
    /// Sign-in name.
    pub(crate) name: String,
    /// Name for people.
    #[serde(default)]
    pub(crate) display_name: String,
    /// admin, operator or viewer.
    pub(crate) role: String,
    /// Password.
    #[schema(format = Password)]
    pub(crate) password: String,
}

/// Make an account
#[utoipa::path(post, path = "/users", tag = "users", request_body = CreateUser,
    responses((status = 201, body = UserView), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<CreateUser>,
) -> ApiResult<(StatusCode, Json<UserView>)> {
    let tenant = caller.tenant(Permission::UsersManage).await?;
    let role = body.role.parse::<Role>().map_err(ApiError::invalid)?;
    let new = NewAccount {
        name: body.name,
        display_name: body.display_name,
        email: None,
        password: Some(body.password),
        role,
    };
    let user = state.identity.add_user(caller.actor(), tenant, &new).await?;
    Ok((StatusCode::CREATED, Json(UserView::new(user, role.to_string()))))
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPassword {
    /// The password.
    #[schema(format = Password)]
    pub(crate) password: String,
}

/// Set an account's password; ends its sessions
#[utoipa::path(put, path = "/users/{name}/password", tag = "users", request_body = SetPassword,
    params(("name" = String, Path, description = "Sign-in name or id")),
    responses((status = 204), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn set_password(
    State(state): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<SetPassword>,
) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::UsersManage).await?;
    let scope = guardian_model::Scope::of(tenant);
    let users = state.catalog.scoped(&scope).users().await?;
    let found = users.into_iter().map(|(u, _)| u).find(|u| u.name == name || u.id.to_string() == name);
    let user = found.ok_or_else(|| ApiError::not_found("user"))?;
    state.identity.set_password(caller.actor(), tenant, user.id, &body.password).await?;
    Ok(StatusCode::NO_CONTENT)
}
