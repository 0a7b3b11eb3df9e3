//! Second factors: one's own, and taking away those of somebody whose telephone is gone.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use guardian_catalog::SecondFactor;
use guardian_identity::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::passkeys::PasskeyAnswer;
use super::session::{WhoView, signed_in};
use super::users::find;
use crate::auth::{Arrival, Caller};
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(prove))
        .routes(routes!(list))
        .routes(routes!(begin_totp))
        .routes(routes!(confirm_totp))
        .routes(routes!(remove, rename))
        .routes(routes!(recovery_codes))
        .routes(routes!(reset))
}

/// A code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    /// Six digits of the authenticator app, or a recovery code.
    pub(crate) code: String,
}

/// A code, or the answer of a passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FactorProof {
    /// Six digits of the authenticator app, or a recovery code.
    #[serde(default)]
    pub(crate) code: Option<String>,
    /// The answer to `POST /session/passkey-challenge`.
    #[serde(default)]
    pub(crate) passkey: Option<PasskeyAnswer>,
}

/// Complete a sign-in with the second factor
///
/// Answers with a fresh session cookie. A wrong code counts as failing to sign in.
#[utoipa::path(post, path = "/session/factor", tag = "session", request_body = FactorProof,
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = WhoView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn prove(
    State(state): State<ApiState>,
    Arrival(caller): Arrival,
    Json(body): Json<FactorProof>,
) -> ApiResult<Response> {
    let (principal, origin) = (caller.principal(), caller.origin());
    let done = match (body.passkey, body.code) {
        (Some(key), _) => state.identity.prove_passkey(principal, &key.ceremony, key.credential, origin).await?,
        (None, Some(code)) => state.identity.prove_factor(principal, &code, origin).await?,
        (None, None) => return Err(ApiError::invalid("give a `code` or a `passkey`")),
    };
    signed_in(&state, &done, origin).await
}

/// A second factor.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FactorView {
    /// Id.
    pub(crate) id: String,
    /// totp or passkey.
    pub(crate) kind: String,
    /// What its owner calls it.
    pub(crate) name: String,
    /// Since when, RFC 3339.
    pub(crate) created: String,
    /// Last use, RFC 3339.
    pub(crate) last_used: Option<String>,
}

impl From<SecondFactor> for FactorView {
    fn from(factor: SecondFactor) -> Self {
        Self {
            id: factor.id.to_string(),
            kind: factor.kind.to_string(),
            name: factor.name,
            created: factor.created.to_string(),
            last_used: factor.last_used.map(|t| t.to_string()),
        }
    }
}

/// What an account has beside its password.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FactorList {
    /// Oldest first.
    pub(crate) factors: Vec<FactorView>,
    /// How many recovery codes are unused.
    pub(crate) recovery_codes_left: u64,
}

/// List one's own second factors
#[utoipa::path(get, path = "/session/factors", tag = "session", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = FactorList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<FactorList>> {
    let held = state.identity.factors(caller.principal()).await?;
    Ok(Json(FactorList {
        factors: held.factors.into_iter().map(FactorView::from).collect(),
        recovery_codes_left: held.recovery_codes_left,
    }))
}

/// What to call it.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BeginTotp {
    /// Such as the name of the telephone.
    pub(crate) name: String,
}

/// An authenticator app to be.
#[derive(Serialize, ToSchema)]
pub(crate) struct BegunTotpView {
    /// Id, for confirming it.
    pub(crate) id: String,
    /// The secret in base 32: shown once.
    pub(crate) secret: String,
    /// The same for a QR code (`otpauth://`).
    pub(crate) uri: String,
}

/// Begin to add an authenticator app
///
/// It counts once its first code confirms it. Wants a recent proof.
#[utoipa::path(post, path = "/session/totp", tag = "session", request_body = BeginTotp,
    extensions(("x-permission" = json!("session"))),
    responses((status = 201, body = BegunTotpView), (status = 403, body = Problem), (status = 409, body = Problem)))]
async fn begin_totp(
    State(state): State<ApiState>,
    Arrival(caller): Arrival,
    Json(body): Json<BeginTotp>,
) -> ApiResult<(StatusCode, Json<BegunTotpView>)> {
    let begun = state.identity.begin_totp(caller.principal(), &body.name, caller.origin()).await?;
    let view =
        BegunTotpView { id: begun.factor.id.to_string(), secret: begun.secret.to_string(), uri: begun.uri.to_string() };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Codes for the day the second factor is lost.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    /// Each works once: shown once, kept nowhere. Empty where the account has codes already.
    pub(crate) recovery_codes: Vec<String>,
}

fn factor_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("factor"))
}

/// Confirm an authenticator app by its first code
///
/// With an account's first factor come its recovery codes, and its other sessions end.
#[utoipa::path(post, path = "/session/totp/{id}/confirm", tag = "session", request_body = Code,
    extensions(("x-permission" = json!("session"))), params(("id" = String, Path, description = "Factor id")),
    responses((status = 200, body = RecoveryCodes), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn confirm_totp(
    State(state): State<ApiState>,
    Arrival(caller): Arrival,
    Path(id): Path<String>,
    Json(body): Json<Code>,
) -> ApiResult<Json<RecoveryCodes>> {
    let codes = state.identity.confirm_totp(caller.principal(), factor_id(&id)?, &body.code, caller.origin()).await?;
    Ok(Json(RecoveryCodes { recovery_codes: codes.iter().map(|code| code.to_string()).collect() }))
}

/// Take one of one's own factors away
#[utoipa::path(delete, path = "/session/factors/{id}", tag = "session", extensions(("x-permission" = json!("session"))),
    params(("id" = String, Path, description = "Factor id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn remove(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    state.identity.remove_factor(caller.principal(), factor_id(&id)?, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameFactor {
    /// Such as the name of the device.
    pub(crate) name: String,
}

/// Give one of one's own factors another name
#[utoipa::path(patch, path = "/session/factors/{id}", tag = "session", request_body = RenameFactor,
    extensions(("x-permission" = json!("session"))), params(("id" = String, Path, description = "Factor id")),
    responses((status = 200, body = FactorView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn rename(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<RenameFactor>,
) -> ApiResult<Json<FactorView>> {
    let done = state.identity.rename_factor(caller.principal(), factor_id(&id)?, &body.name, caller.origin()).await?;
    Ok(Json(done.into()))
}

/// Replace one's own recovery codes
#[utoipa::path(post, path = "/session/recovery-codes", tag = "session",
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = RecoveryCodes), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn recovery_codes(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<RecoveryCodes>> {
    let codes = state.identity.new_recovery_codes(caller.principal(), caller.origin()).await?;
    Ok(Json(RecoveryCodes { recovery_codes: codes.iter().map(|code| code.to_string()).collect() }))
}

/// Take all second factors of an account away, for somebody whose telephone is gone; ends its sessions
#[utoipa::path(delete, path = "/users/{id}/factors", tag = "users",
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn reset(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.sensitive(Permission::UsersManage).await?;
    let id = find(&state, tenant, &id).await?;
    state.identity.reset_factors(caller.principal(), tenant, id, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}
