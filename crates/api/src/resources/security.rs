//! What a tenant asks of its people.

use axum::extract::State;
use guardian_catalog::CatalogError;
use guardian_identity::{IdentityError, Permission, SecurityPolicy};
use guardian_model::TenantId;
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
    OpenApiRouter::new().routes(routes!(get, put))
}

/// What a tenant asks of its people.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyView {
    /// Grows with every change; 0 while it was never set.
    pub(crate) version: i32,
    /// Whether strangers may register themselves; an administrator lets them in or not.
    pub(crate) self_registration: bool,
    /// The role that an administrator is offered for somebody who registered.
    pub(crate) registration_role: String,
    /// Whether everybody needs a second factor.
    #[serde(default)]
    pub(crate) mfa_required: bool,
    /// Roles whose members need a second factor.
    #[serde(default)]
    pub(crate) mfa_roles: Vec<String>,
    /// Roles whose members have to show a client certificate; null where people can show none. Absent or null in a change
    /// leaves them as they are.
    #[serde(default)]
    pub(crate) certificate_roles: Option<Vec<String>>,
}

async fn view(state: &ApiState, tenant: TenantId) -> ApiResult<PolicyView> {
    let (version, policy) = state.identity.policy(tenant).await?;
    let shown = state.settings.client_certificates || !policy.certificate_roles.is_empty();
    Ok(PolicyView {
        version,
        self_registration: policy.self_registration,
        registration_role: policy.registration_role,
        mfa_required: policy.mfa_required,
        mfa_roles: policy.mfa_roles,
        certificate_roles: shown.then_some(policy.certificate_roles),
    })
}

/// What the tenant asks of its people
#[utoipa::path(get, path = "/settings/security", tag = "settings", extensions(("x-permission" = json!("settings:read"))),
    responses((status = 200, body = PolicyView), (status = 403, body = Problem)))]
async fn get(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<PolicyView>> {
    let tenant = caller.tenant(Permission::SettingsRead).await?;
    Ok(Json(view(&state, tenant).await?))
}

/// Change what the tenant asks of its people
#[utoipa::path(put, path = "/settings/security", tag = "settings", request_body = PolicyView,
    extensions(("x-permission" = json!("settings:write"))),
    responses((status = 200, body = PolicyView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn put(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<PolicyView>,
) -> ApiResult<Json<PolicyView>> {
    let tenant = caller.sensitive(Permission::SettingsWrite).await?;
    let certificate_roles = match body.certificate_roles {
        Some(roles) => roles,
        None => state.identity.policy(tenant).await?.1.certificate_roles,
    };
    let policy = SecurityPolicy {
        mfa_required: body.mfa_required,
        mfa_roles: body.mfa_roles,
        certificate_roles,
        self_registration: body.self_registration,
        registration_role: body.registration_role,
    };
    match state.identity.put_policy(caller.principal(), tenant, body.version, &policy, caller.origin()).await {
        Err(IdentityError::Catalog(CatalogError::VersionConflict { .. })) => {
            Err(ApiError::version_conflict(&view(&state, tenant).await?))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(Json(view(&state, tenant).await?)),
    }
}
