//! Passkeys: adding one, proving oneself with one, and signing in with one alone.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use guardian_identity::{PasskeyQuestion, RelyingParty};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::factors::FactorView;
use super::session::{Visitor, WhoView, signed_in};
use crate::auth::{Arrival, host};
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(confirm))
        .routes(routes!(challenge))
        .routes(routes!(begin_sign_in))
        .routes(routes!(sign_in))
}

/// The site that the browser is at, if it can have passkeys.
pub(crate) struct Site(pub(crate) Option<RelyingParty>);

impl Site {
    /// The site, or why there are no passkeys here.
    fn known(self) -> ApiResult<RelyingParty> {
        self.0.ok_or_else(|| {
            ApiError::invalid(
                "passkeys need the server's own name in the address bar: set server.public_url, or use a name that its \
                 certificate is for; a bare IP address cannot have any",
            )
        })
    }
}

impl FromRequestParts<ApiState> for Site {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let settings = &state.settings;
        let host = host(parts).unwrap_or_default();
        Ok(Self(RelyingParty::of(settings.public_url.as_deref(), &settings.names, host)))
    }
}

/// A question to the browser.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PasskeyQuestionView {
    /// To send back with the answer; works once and for five minutes.
    pub(crate) ceremony: String,
    /// `{"publicKey": …}` in WebAuthn's JSON form, for `parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    #[schema(value_type = Object)]
    pub(crate) options: serde_json::Value,
}

impl From<PasskeyQuestion> for PasskeyQuestionView {
    fn from(question: PasskeyQuestion) -> Self {
        Self { ceremony: question.ceremony, options: question.options }
    }
}

/// The browser's answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeyAnswer {
    /// Of the question.
    pub(crate) ceremony: String,
    /// The `PublicKeyCredential` as `toJSON()` gives it.
    #[schema(value_type = Object)]
    pub(crate) credential: serde_json::Value,
}

/// What to call it.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BeginPasskey {
    /// Such as the name of the device.
    pub(crate) name: String,
}

/// Begin to add a passkey
///
/// It counts as a second factor, and signs in alone. Wants a proof that is at most ten minutes old.
#[utoipa::path(post, path = "/session/passkeys", tag = "session", request_body = BeginPasskey,
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = PasskeyQuestionView), (status = 403, body = Problem),
        (status = 422, body = Problem)))]
async fn begin(
    State(state): State<ApiState>,
    Arrival(caller): Arrival,
    site: Site,
    Json(body): Json<BeginPasskey>,
) -> ApiResult<Json<PasskeyQuestionView>> {
    let begun = state.identity.begin_passkey(caller.principal(), &body.name, site.known()?, caller.origin()).await?;
    Ok(Json(begun.into()))
}

/// A passkey that was just added.
#[derive(Serialize, ToSchema)]
pub(crate) struct AddedPasskey {
    /// The passkey.
    pub(crate) factor: FactorView,
    /// With an account's first factor: each works once, for the day the device is gone. Shown once.
    pub(crate) recovery_codes: Vec<String>,
}

/// Add the passkey that the browser made
///
/// With an account's first factor come its recovery codes, and its other sessions end.
#[utoipa::path(post, path = "/session/passkeys/confirm", tag = "session", request_body = PasskeyAnswer,
    extensions(("x-permission" = json!("session"))),
    responses((status = 201, body = AddedPasskey), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn confirm(
    State(state): State<ApiState>,
    Arrival(caller): Arrival,
    Json(body): Json<PasskeyAnswer>,
) -> ApiResult<(StatusCode, Json<AddedPasskey>)> {
    let (principal, origin) = (caller.principal(), caller.origin());
    let (factor, codes) = state.identity.confirm_passkey(principal, &body.ceremony, body.credential, origin).await?;
    let recovery_codes = codes.iter().map(|code| code.to_string()).collect();
    Ok((StatusCode::CREATED, Json(AddedPasskey { factor: factor.into(), recovery_codes })))
}

/// Ask for one of one's own passkeys
///
/// The answer goes to `POST /session/factor`, to complete a sign-in, or to `POST /session/proof`.
#[utoipa::path(post, path = "/session/passkey-challenge", tag = "session",
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = PasskeyQuestionView), (status = 422, body = Problem)))]
async fn challenge(
    State(state): State<ApiState>,
    Arrival(caller): Arrival,
    site: Site,
) -> ApiResult<Json<PasskeyQuestionView>> {
    let question = state.identity.ask_passkey(caller.principal(), site.known()?, caller.origin()).await?;
    Ok(Json(question.into()))
}

/// Ask whoever is there for a passkey
///
/// No name is needed: the passkey says whose it is. The answer goes to `POST /session/passkey`.
#[utoipa::path(post, path = "/sign-in/passkey", tag = "session", security(()),
    extensions(("x-permission" = json!("public"))),
    responses((status = 200, body = PasskeyQuestionView), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
async fn begin_sign_in(
    State(state): State<ApiState>,
    visitor: Visitor,
    site: Site,
) -> ApiResult<Json<PasskeyQuestionView>> {
    Ok(Json(state.identity.begin_passkey_sign_in(site.known()?, &visitor.0)?.into()))
}

/// Sign in with a passkey
///
/// Answers with the session cookie. A passkey proves its holder, too: no second factor is asked for.
#[utoipa::path(post, path = "/session/passkey", tag = "session", request_body = PasskeyAnswer, security(()),
    extensions(("x-permission" = json!("public"))),
    responses((status = 200, body = WhoView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn sign_in(
    State(state): State<ApiState>,
    visitor: Visitor,
    Json(body): Json<PasskeyAnswer>,
) -> ApiResult<Response> {
    let done = state.identity.passkey_sign_in(&body.ceremony, body.credential, &visitor.0).await?;
    signed_in(&state, &done, &visitor.0).await
}
