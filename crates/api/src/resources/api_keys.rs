//! API keys: how programs sign in.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{ApiKey, CatalogError};
use guardian_identity::{IdentityError, KeyChange, Permission};
use guardian_model::{Micros, Scope, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::alerts::parse_time;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, change, revoke))
}

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// Id.
    pub(crate) id: String,
    /// Grows with every change.
    pub(crate) version: i32,
    /// The part of the key that is no secret, after `gdn_`.
    pub(crate) public_id: String,
    /// What it is for.
    pub(crate) name: String,
    /// What it is limited to.
    pub(crate) permissions: Vec<String>,
    /// Who made it; it never may more than they.
    pub(crate) user: String,
    /// Their sign-in name.
    pub(crate) user_name: Option<String>,
    /// active, expired or revoked.
    pub(crate) status: &'static str,
    /// Since when, RFC 3339.
    pub(crate) created: String,
    /// Until when, RFC 3339.
    pub(crate) expires: Option<String>,
    /// Last use, to the minute, RFC 3339.
    pub(crate) last_used: Option<String>,
    /// When it was revoked, RFC 3339.
    pub(crate) revoked: Option<String>,
}

/// Which keys to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeyQuery {
    /// Whose name, public part or maker contains this text.
    pub(crate) search: Option<String>,
    /// active, expired or revoked.
    pub(crate) status: Option<String>,
}

/// API keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyList {
    /// Newest first.
    pub(crate) items: Vec<KeyView>,
}

async fn views(state: &ApiState, tenant: TenantId, keys: Vec<ApiKey>) -> ApiResult<Vec<KeyView>> {
    let now = state.clock.now();
    let users = state.catalog.scoped(&Scope::of(tenant)).users().await?;
    let named = |key: &ApiKey| users.iter().find(|(u, _)| u.id == key.user).map(|(u, _)| u.name.clone());
    Ok(keys
        .into_iter()
        .map(|key| KeyView {
            user_name: named(&key),
            status: match (key.revoked, key.expires) {
                (Some(_), _) => "revoked",
                (None, Some(end)) if end <= now => "expired",
                _ => "active",
            },
            id: key.id.to_string(),
            version: key.version,
            public_id: key.public_id,
            name: key.name,
            permissions: key.scopes,
            user: key.user.to_string(),
            created: key.created.to_string(),
            expires: key.expires.map(|t: Micros| t.to_string()),
            last_used: key.last_used.map(|t| t.to_string()),
            revoked: key.revoked.map(|t| t.to_string()),
        })
        .collect())
}

async fn view(state: &ApiState, tenant: TenantId, key: ApiKey) -> ApiResult<KeyView> {
    views(state, tenant, vec![key]).await?.pop().ok_or_else(|| ApiError::not_found("API key"))
}

/// List the API keys of the tenant
#[utoipa::path(get, path = "/api-keys", tag = "keys", params(KeyQuery), extensions(("x-permission" = json!("keys:manage"))),
    responses((status = 200, body = KeyList), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<KeyQuery>,
) -> ApiResult<Json<KeyList>> {
    let tenant = caller.tenant(Permission::KeysManage).await?;
    if let Some(other) = query.status.as_deref().filter(|s| !matches!(*s, "active" | "expired" | "revoked")) {
        return Err(ApiError::invalid(format!("`status`: `{other}` is not active, expired or revoked")));
    }
    let keys = state.catalog.scoped(&Scope::of(tenant)).api_keys().await?;
    let mut items = views(&state, tenant, keys).await?;
    items.retain(|key| query.status.as_deref().is_none_or(|status| key.status == status));
    if let Some(text) = query.search.as_deref().map(str::to_lowercase) {
        items.retain(|key| {
            let fields = [Some(&key.name), Some(&key.public_id), key.user_name.as_ref()];
            fields.into_iter().flatten().any(|field| field.to_lowercase().contains(&text))
        });
    }
    Ok(Json(KeyList { items }))
}

fn key_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("API key"))
}

fn permissions(names: &[String]) -> ApiResult<Vec<Permission>> {
    names.iter().map(|name| name.parse().map_err(ApiError::invalid)).collect()
}

/// Show an API key
#[utoipa::path(get, path = "/api-keys/{id}", tag = "keys", extensions(("x-permission" = json!("keys:manage"))),
    params(("id" = String, Path, description = "Key id")),
    responses((status = 200, body = KeyView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<KeyView>> {
    let tenant = caller.tenant(Permission::KeysManage).await?;
    let key = state.catalog.scoped(&Scope::of(tenant)).api_key(key_id(&id)?).await?;
    Ok(Json(view(&state, tenant, key).await?))
}

/// An API key to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    /// What it is for.
    pub(crate) name: String,
    /// What it is limited to; the maker must hold all of it.
    pub(crate) permissions: Vec<String>,
    /// Until when, RFC 3339; at most a year ahead.
    pub(crate) expires: String,
}

/// An API key that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeKey {
    /// What is kept of it.
    pub(crate) key: KeyView,
    /// The whole key: shown once, kept nowhere.
    pub(crate) secret: String,
}

/// Make an API key
#[utoipa::path(post, path = "/api-keys", tag = "keys", request_body = CreateKey,
    extensions(("x-permission" = json!("keys:manage"))),
    responses((status = 201, body = MadeKey), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<CreateKey>,
) -> ApiResult<(StatusCode, Json<MadeKey>)> {
    let tenant = caller.sensitive(Permission::KeysManage).await?;
    let expires = parse_time("expires", &body.expires)?;
    let allowed = permissions(&body.permissions)?;
    let principal = caller.principal();
    let made = state.identity.create_api_key(principal, tenant, &body.name, &allowed, expires, caller.origin()).await?;
    let key = view(&state, tenant, made.key).await?;
    Ok((StatusCode::CREATED, Json(MadeKey { key, secret: made.text.to_string() })))
}

/// What to change of an API key; absent members stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeKey {
    /// The version that was seen.
    pub(crate) version: i32,
    /// What it is for.
    pub(crate) name: Option<String>,
    /// What it is limited to.
    pub(crate) permissions: Option<Vec<String>>,
    /// Until when, RFC 3339.
    pub(crate) expires: Option<String>,
}

/// Change an API key
#[utoipa::path(patch, path = "/api-keys/{id}", tag = "keys", request_body = ChangeKey,
    extensions(("x-permission" = json!("keys:manage"))),
    params(("id" = String, Path, description = "Key id")),
    responses((status = 200, body = KeyView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ChangeKey>,
) -> ApiResult<Json<KeyView>> {
    let tenant = caller.sensitive(Permission::KeysManage).await?;
    let id = key_id(&id)?;
    let change = KeyChange {
        version: body.version,
        name: body.name,
        allowed: body.permissions.as_deref().map(permissions).transpose()?,
        expires: body.expires.as_deref().map(|t| parse_time("expires", t)).transpose()?,
    };
    match state.identity.change_api_key(caller.principal(), tenant, id, &change, caller.origin()).await {
        Err(IdentityError::Catalog(CatalogError::VersionConflict { .. })) => {
            let key = state.catalog.scoped(&Scope::of(tenant)).api_key(id).await?;
            Err(ApiError::version_conflict(&view(&state, tenant, key).await?))
        }
        done => Ok(Json(view(&state, tenant, done?).await?)),
    }
}

/// Revoke an API key, for good
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "keys", extensions(("x-permission" = json!("keys:manage"))),
    params(("id" = String, Path, description = "Key id")),
    responses((status = 200, body = KeyView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn revoke(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<KeyView>> {
    let tenant = caller.tenant(Permission::KeysManage).await?;
    let key = state.identity.revoke_api_key(caller.principal(), tenant, key_id(&id)?, caller.origin()).await?;
    Ok(Json(view(&state, tenant, key).await?))
}
