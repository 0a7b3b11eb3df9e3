//! One's own account: profile and preferences.

use axum::extract::State;
use guardian_catalog::{CatalogError, User};
use guardian_identity::IdentityError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::session::PreferencesView;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, present};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(profile, change)).routes(routes!(preferences, put_preferences))
}

/// One's own account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProfileView {
    /// Id.
    pub(crate) id: String,
    /// Grows with every change.
    pub(crate) version: i32,
    /// Sign-in name.
    pub(crate) name: String,
    /// Name for people.
    pub(crate) display_name: String,
    /// Where to write to.
    pub(crate) email: Option<String>,
    /// The tenant whose administrators look after the account.
    pub(crate) home_tenant: String,
    /// Since when, RFC 3339.
    pub(crate) created: String,
    /// Last sign-in, RFC 3339.
    pub(crate) last_sign_in: Option<String>,
    /// When the password was last set, RFC 3339.
    pub(crate) password_changed: Option<String>,
}

impl From<User> for ProfileView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            version: user.version,
            name: user.name,
            display_name: user.display_name,
            email: user.email,
            home_tenant: user.home_tenant.to_string(),
            created: user.created.to_string(),
            last_sign_in: user.last_sign_in.map(|t| t.to_string()),
            password_changed: user.password_changed.map(|t| t.to_string()),
        }
    }
}

/// One's own account
#[utoipa::path(get, path = "/profile", tag = "session", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = ProfileView), (status = 403, body = Problem)))]
async fn profile(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<ProfileView>> {
    Ok(Json(state.identity.profile(caller.principal()).await?.into()))
}

/// What to change of one's own account; absent members stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeProfile {
    /// The version that was seen.
    pub(crate) version: i32,
    /// Name for people.
    pub(crate) display_name: Option<String>,
    /// Where to write to; null for nowhere.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(crate) email: Option<Option<String>>,
}

/// Change how one's own account is shown and reached
#[utoipa::path(patch, path = "/profile", tag = "session", request_body = ChangeProfile,
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = ProfileView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<ChangeProfile>,
) -> ApiResult<Json<ProfileView>> {
    let done = state
        .identity
        .change_profile(caller.principal(), body.version, body.display_name, body.email, caller.origin())
        .await;
    match done {
        Err(IdentityError::Catalog(CatalogError::VersionConflict { .. })) => {
            let current = ProfileView::from(state.identity.profile(caller.principal()).await?);
            Err(ApiError::version_conflict(&current))
        }
        done => Ok(Json(done?.into())),
    }
}

/// What one set for oneself
#[utoipa::path(get, path = "/preferences", tag = "session", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = PreferencesView), (status = 403, body = Problem)))]
async fn preferences(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<PreferencesView>> {
    let user = state.identity.profile(caller.principal()).await?.id;
    let held = state.identity.preferences(user).await?;
    Ok(Json(PreferencesView { version: held.version, value: held.value }))
}

/// Preferences to keep.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutPreferences {
    /// The version that was seen; 0 while nothing was ever set.
    pub(crate) version: i32,
    /// A JSON object of at most 32 KiB.
    #[schema(value_type = Object)]
    pub(crate) value: Value,
}

/// Keep what one set for oneself
#[utoipa::path(put, path = "/preferences", tag = "session", request_body = PutPreferences,
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = PreferencesView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn put_preferences(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<PutPreferences>,
) -> ApiResult<Json<PreferencesView>> {
    let held = state.identity.put_preferences(caller.principal(), body.version, body.value, caller.origin()).await?;
    Ok(Json(PreferencesView { version: held.version, value: held.value }))
}
