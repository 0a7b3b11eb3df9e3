//! Accounts: who may sign in, and as what.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{CatalogError, Tenant, UserChange, UserCursor, UserFilter, UserRow, UserSort, UserStatus};
use guardian_identity::{AccountChange, IdentityError, NewAccount, Permission};
use guardian_model::{Scope, TenantId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::session::{SessionList, SessionRow};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query, present};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, remove))
        .routes(routes!(approve))
        .routes(routes!(set_password))
        .routes(routes!(sessions, end_sessions))
        .routes(routes!(end_session))
        .routes(routes!(put_membership, remove_membership))
}

/// A role of an account in a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MembershipView {
    /// Tenant.
    pub(crate) tenant: String,
    /// Its short name.
    pub(crate) slug: String,
    /// Its name.
    pub(crate) name: String,
    /// The role there.
    pub(crate) role: String,
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    /// Id.
    pub(crate) id: String,
    /// Grows with every change of the account itself.
    pub(crate) version: i32,
    /// Sign-in name.
    pub(crate) name: String,
    /// Name for people.
    pub(crate) display_name: String,
    /// Where to write to.
    pub(crate) email: Option<String>,
    /// Role in the tenant; empty for none.
    pub(crate) role: String,
    /// Whether this tenant looks after the account; if not, only its role here can be changed.
    pub(crate) home: bool,
    /// active, disabled or pending.
    pub(crate) status: String,
    /// Whether it may not sign in.
    pub(crate) disabled: bool,
    /// Whether it registered itself and waits for approval.
    pub(crate) pending: bool,
    /// Whether it has a second factor.
    pub(crate) mfa: bool,
    /// The directory or provider that manages the account: its roles and password are changed there.
    pub(crate) directory: Option<String>,
    /// Its roles in the tenants that the caller sees; in lists, in this tenant.
    pub(crate) memberships: Vec<MembershipView>,
    /// Since when, RFC 3339.
    pub(crate) created: String,
    /// Last change, RFC 3339.
    pub(crate) updated: String,
    /// Last sign-in, RFC 3339.
    pub(crate) last_sign_in: Option<String>,
    /// When the password was last set, RFC 3339.
    pub(crate) password_changed: Option<String>,
}

impl UserView {
    fn new(row: UserRow, tenant: TenantId, tenants: &[Tenant]) -> Self {
        let (user, memberships) = (row.user, row.memberships);
        let role = memberships.iter().find(|m| m.tenant == tenant).map(|m| m.role.clone()).unwrap_or_default();
        let named = |id: TenantId| tenants.iter().find(|t| t.id == id);
        Self {
            id: user.id.to_string(),
            version: user.version,
            role,
            home: user.home_tenant == tenant,
            status: user.status().to_string(),
            name: user.name,
            display_name: user.display_name,
            email: user.email,
            disabled: user.disabled,
            pending: user.pending,
            mfa: row.mfa,
            directory: row.directory.map(|name| name.trim_start_matches("oidc:").to_owned()),
            memberships: memberships
                .into_iter()
                .filter_map(|m| {
                    let tenant = named(m.tenant)?;
                    Some(MembershipView {
                        tenant: tenant.id.to_string(),
                        slug: tenant.slug.clone(),
                        name: tenant.name.clone(),
                        role: m.role,
                    })
                })
                .collect(),
            created: user.created.to_string(),
            updated: user.updated.to_string(),
            last_sign_in: user.last_sign_in.map(|t| t.to_string()),
            password_changed: user.password_changed.map(|t| t.to_string()),
        }
    }
}

/// Which accounts to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UserQuery {
    /// Whose names or address contain this text.
    pub(crate) search: Option<String>,
    /// active, disabled or pending.
    pub(crate) status: Option<String>,
    /// With this role.
    pub(crate) role: Option<String>,
    /// name (default), display_name, created or last_sign_in; a leading `-` reverses.
    pub(crate) sort: Option<String>,
    /// Most accounts to answer with, at most 500.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`. Filter and order come from the cursor.
    pub(crate) cursor: Option<String>,
}

/// What a cursor carries.
#[derive(Serialize, Deserialize)]
struct Cursor {
    filter: UserFilter,
    place: UserCursor,
}

/// One page of accounts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserList {
    /// The accounts.
    pub(crate) items: Vec<UserView>,
    /// How many match on all pages.
    pub(crate) total: u64,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List the accounts of the tenant
///
/// Its members, and accounts at home here that have no role yet: those that wait for approval.
#[utoipa::path(get, path = "/users", tag = "users", params(UserQuery), extensions(("x-permission" = json!("users:read"))),
    responses((status = 200, body = UserList), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<UserQuery>,
) -> ApiResult<Json<UserList>> {
    let tenant = caller.tenant(Permission::UsersRead).await?;
    let (filter, place) = match &query.cursor {
        Some(text) => {
            let cursor: Cursor = state.cursors.open(text)?;
            (cursor.filter, Some(cursor.place))
        }
        None => {
            let status = query.status.as_deref().map(str::parse::<UserStatus>).transpose();
            let status = status.map_err(ApiError::invalid)?;
            (UserFilter { search: query.search.clone(), status, role: query.role.clone() }, None)
        }
    };
    let (sort, descending) = match &place {
        Some(place) => (place.sort, place.descending),
        None => {
            let text = query.sort.as_deref().unwrap_or("name");
            let name = text.strip_prefix('-').unwrap_or(text);
            (name.parse::<UserSort>().map_err(ApiError::invalid)?, name.len() < text.len())
        }
    };
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let page = scoped.user_page(&filter, sort, descending, place.as_ref(), query.limit.unwrap_or(50)).await?;
    let tenants = scoped.tenant_list().await?;
    let next_cursor = page.next.map(|place| state.cursors.seal(&Cursor { filter, place })).transpose()?;
    let items = page.items.into_iter().map(|row| UserView::new(row, tenant, &tenants)).collect();
    Ok(Json(UserList { items, total: page.total, next_cursor }))
}

/// Finds an account of the tenant by its id or sign-in name.
pub(crate) async fn find(state: &ApiState, tenant: TenantId, text: &str) -> ApiResult<UserId> {
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let found = match text.parse::<UserId>() {
        Ok(id) => scoped.user_row(id).await?,
        Err(_) => scoped.user_named(text).await?,
    };
    Ok(found.user.id)
}

/// An account as the caller may see it, with its roles in all the tenants they look after.
async fn shown(state: &ApiState, caller: &Caller, tenant: TenantId, id: UserId) -> ApiResult<UserView> {
    let seen = caller.principal().scope_for(Permission::UsersRead);
    let scope = Scope::of_all(seen.tenants().iter().copied().chain([tenant]));
    let scoped = state.catalog.scoped(&scope);
    let row = scoped.user_row(id).await?;
    Ok(UserView::new(row, tenant, &scoped.tenant_list().await?))
}

/// Show an account
#[utoipa::path(get, path = "/users/{id}", tag = "users", extensions(("x-permission" = json!("users:read"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 200, body = UserView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<UserView>> {
    let tenant = caller.tenant(Permission::UsersRead).await?;
    let id = find(&state, tenant, &id).await?;
    Ok(Json(shown(&state, &caller, tenant, id).await?))
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
    /// Where to write to.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// admin, operator, viewer or one of the tenant's own roles.
    pub(crate) role: String,
    /// Password.
    #[schema(format = Password)]
    pub(crate) password: String,
}

/// Make an account
#[utoipa::path(post, path = "/users", tag = "users", request_body = CreateUser,
    extensions(("x-permission" = json!("users:manage"))),
    responses((status = 201, body = UserView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<CreateUser>,
) -> ApiResult<(StatusCode, Json<UserView>)> {
    let tenant = caller.sensitive(Permission::UsersManage).await?;
    let new = NewAccount {
        name: body.name,
        display_name: body.display_name,
        email: body.email,
        password: Some(body.password),
        role: body.role,
    };
    let user = state.identity.add_user(caller.principal(), tenant, &new, caller.origin()).await?;
    Ok((StatusCode::CREATED, Json(shown(&state, &caller, tenant, user.id).await?)))
}

/// What to change of an account; absent members stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeUser {
    /// The version that was seen.
    pub(crate) version: i32,
    /// Sign-in name.
    pub(crate) name: Option<String>,
    /// Name for people.
    pub(crate) display_name: Option<String>,
    /// Where to write to; null for nowhere.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(crate) email: Option<Option<String>>,
    /// Whether it may not sign in; disabling ends its sessions.
    pub(crate) disabled: Option<bool>,
    /// Role in the tenant.
    pub(crate) role: Option<String>,
}

/// Change an account
///
/// The account itself at its home tenant alone, its role in every tenant that it is a member of.
#[utoipa::path(patch, path = "/users/{id}", tag = "users", request_body = ChangeUser,
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 200, body = UserView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ChangeUser>,
) -> ApiResult<Json<UserView>> {
    let tenant = caller.sensitive(Permission::UsersManage).await?;
    let id = find(&state, tenant, &id).await?;
    let change = AccountChange {
        version: body.version,
        account: UserChange {
            name: body.name,
            display_name: body.display_name,
            email: body.email,
            disabled: body.disabled,
        },
        role: body.role,
    };
    let done = state.identity.change_user(caller.principal(), tenant, id, &change, caller.origin()).await;
    let now = shown(&state, &caller, tenant, id).await?;
    match done {
        Err(IdentityError::Catalog(CatalogError::VersionConflict { .. })) => Err(ApiError::version_conflict(&now)),
        done => done.map(|()| Json(now)).map_err(ApiError::from),
    }
}

/// Delete an account, or take a guest's role away
///
/// An account at home here is deleted, with its keys and sessions; one of another tenant only loses its role here.
#[utoipa::path(delete, path = "/users/{id}", tag = "users",
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.sensitive(Permission::UsersManage).await?;
    let id = find(&state, tenant, &id).await?;
    state.identity.remove_user(caller.principal(), tenant, id, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A role to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GiveRole {
    /// admin, operator, viewer or one of the tenant's own roles.
    pub(crate) role: String,
}

/// Let somebody in who registered themselves
#[utoipa::path(post, path = "/users/{id}/approve", tag = "users", request_body = GiveRole,
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 200, body = UserView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn approve(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<GiveRole>,
) -> ApiResult<Json<UserView>> {
    let tenant = caller.sensitive(Permission::UsersManage).await?;
    let id = find(&state, tenant, &id).await?;
    state.identity.approve_user(caller.principal(), tenant, id, &body.role, caller.origin()).await?;
    Ok(Json(shown(&state, &caller, tenant, id).await?))
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
#[utoipa::path(put, path = "/users/{id}/password", tag = "users", request_body = SetPassword,
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn set_password(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<SetPassword>,
) -> ApiResult<StatusCode> {
    let tenant = caller.sensitive(Permission::UsersManage).await?;
    let id = find(&state, tenant, &id).await?;
    state.identity.set_password(caller.principal(), tenant, id, &body.password, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List an account's sessions
#[utoipa::path(get, path = "/users/{id}/sessions", tag = "users", extensions(("x-permission" = json!("users:read"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 200, body = SessionList), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn sessions(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<SessionList>> {
    let tenant = caller.tenant(Permission::UsersRead).await?;
    let id = find(&state, tenant, &id).await?;
    let current = caller.principal().session();
    let all = state.catalog.scoped(&Scope::of(tenant)).sessions(id).await?;
    Ok(Json(SessionList { items: all.into_iter().map(|s| SessionRow::new(s, current)).collect() }))
}

/// End all of an account's sessions and tokens
#[utoipa::path(delete, path = "/users/{id}/sessions", tag = "users",
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn end_sessions(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::UsersManage).await?;
    let id = find(&state, tenant, &id).await?;
    state.identity.end_sessions_of(caller.principal(), tenant, id, None, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End one of an account's sessions
#[utoipa::path(delete, path = "/users/{id}/sessions/{session}", tag = "users",
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Id or sign-in name"), ("session" = String, Path, description = "Session id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn end_session(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, session)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::UsersManage).await?;
    let id = find(&state, tenant, &id).await?;
    let session = session.parse().map_err(|_| ApiError::not_found("session"))?;
    state.identity.end_sessions_of(caller.principal(), tenant, id, Some(session), caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The ids of a membership's path; the caller must manage accounts in that tenant.
async fn membership(caller: &Caller, id: &str, tenant: &str) -> ApiResult<(UserId, TenantId)> {
    caller.sensitive(Permission::UsersManage).await?;
    let tenant = tenant.parse().map_err(|_| ApiError::not_found("tenant"))?;
    caller.within(tenant, Permission::UsersManage).await?;
    Ok((id.parse().map_err(|_| ApiError::not_found("user"))?, tenant))
}

/// Give an account a role in a tenant
///
/// How a provider's people come to work in their customers' tenants: the caller must manage accounts there and see the
/// account somewhere.
#[utoipa::path(put, path = "/users/{id}/memberships/{tenant}", tag = "users", request_body = GiveRole,
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "User id"), ("tenant" = String, Path, description = "Tenant id")),
    responses((status = 200, body = UserView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn put_membership(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, tenant)): Path<(String, String)>,
    Json(body): Json<GiveRole>,
) -> ApiResult<Json<UserView>> {
    let (id, tenant) = membership(&caller, &id, &tenant).await?;
    state.identity.set_membership(caller.principal(), tenant, id, Some(&body.role), caller.origin()).await?;
    Ok(Json(shown(&state, &caller, tenant, id).await?))
}

/// Take an account's role in a tenant away
#[utoipa::path(delete, path = "/users/{id}/memberships/{tenant}", tag = "users",
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "User id"), ("tenant" = String, Path, description = "Tenant id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove_membership(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, tenant)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let (id, tenant) = membership(&caller, &id, &tenant).await?;
    state.identity.set_membership(caller.principal(), tenant, id, None, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}
