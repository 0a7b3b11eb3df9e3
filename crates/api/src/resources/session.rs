//! First-run set-up, signing in and out, and who one is.

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use guardian_identity::{IdentityError, Origin, Permission, Principal, PrincipalKind, SignedIn};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, SESSION_COOKIE, origin, refuse_foreign};
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(sign_in, who, sign_out))
        .routes(routes!(setup_state, setup))
        .routes(routes!(change_password))
}

/// Where a request without a session came from, refused when another site made a browser send it.
pub(crate) struct Visitor(Origin, bool);

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let browser = parts.headers.contains_key("sec-fetch-site") || parts.headers.contains_key("origin");
        if browser {
            refuse_foreign(parts)?;
        }
        let local = parts
            .extensions
            .get::<ConnectInfo<std::net::SocketAddr>>()
            .is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
        Ok(Self(origin(parts), local))
    }
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// Sign-in name.
    pub(crate) name: String,
    /// Password.
    #[schema(format = Password)]
    pub(crate) password: String,
}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoView {
    /// session, api_key or local_operator.
    pub(crate) kind: &'static str,
    /// Name.
    pub(crate) name: String,
    /// User id; null for keys of programs and the local operator.
    pub(crate) user: Option<String>,
    /// The tenant that requests are about, unless they name another.
    pub(crate) tenant: String,
    /// What the caller may do there.
    pub(crate) permissions: Vec<String>,
}

fn view(principal: &Principal, tenant: guardian_model::TenantId) -> WhoView {
    WhoView {
        kind: match principal.kind {
            PrincipalKind::Session { .. } => "session",
            PrincipalKind::ApiKey { .. } => "api_key",
            PrincipalKind::LocalOperator => "local_operator",
        },
        name: principal.name.clone(),
        user: principal.user.map(|u| u.to_string()),
        tenant: tenant.to_string(),
        permissions: principal.permissions(tenant).iter().map(|p: Permission| p.name().to_owned()).collect(),
    }
}

fn cookie(value: &str, more: &str) -> ApiResult<HeaderValue> {
    let text = format!("{SESSION_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{more}");
    HeaderValue::from_str(&text).map_err(ApiError::internal)
}

fn signed_in(signed_in: &SignedIn) -> ApiResult<Response> {
    let who = view(&signed_in.principal, signed_in.principal.home);
    Ok(([(header::SET_COOKIE, cookie(&signed_in.token, "")?)], Json(who)).into_response())
}

/// Sign in with name and password
///
/// Answers with the session cookie. Failures are limited by account and address; `Retry-After` says when to try again.
#[utoipa::path(post, path = "/session", tag = "session", request_body = SignIn, security(()),
    responses((status = 200, body = WhoView), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn sign_in(State(state): State<ApiState>, visitor: Visitor, Json(body): Json<SignIn>) -> ApiResult<Response> {
    signed_in(&state.identity.sign_in(&body.name, &body.password, &visitor.0).await?)
}

/// Who the caller is and what they may do
#[utoipa::path(get, path = "/session", tag = "session",
    responses((status = 200, body = WhoView), (status = 401, body = Problem)))]
async fn who(caller: Caller) -> Json<WhoView> {
    Json(view(caller.principal(), caller.current_tenant()))
}

/// Sign out: end this session
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204), (status = 401, body = Problem)))]
async fn sign_out(State(state): State<ApiState>, caller: Caller) -> ApiResult<Response> {
    state.identity.sign_out(caller.principal(), caller.origin()).await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie("", "; Max-Age=0")?)]).into_response())
}

/// Passwords.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    /// The present one.
    #[schema(format = Password)]
    pub(crate) old: String,
    /// The new one.
    #[schema(format = Password)]
    pub(crate) new: String,
}

/// Change one's own password; ends all of one's sessions
#[utoipa::path(put, path = "/session/password", tag = "session", request_body = ChangePassword,
    responses((status = 204), (status = 401, body = Problem), (status = 422, body = Problem)))]
async fn change_password(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<ChangePassword>,
) -> ApiResult<StatusCode> {
    state.identity.change_password(caller.principal(), &body.old, &body.new, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether first-run set-up is open.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SetupState {
    /// Whether the first administrator is still to be made.
    pub(crate) needed: bool,
}

/// Whether first-run set-up is open
#[utoipa::path(get, path = "/setup", tag = "session", security(()), responses((status = 200, body = SetupState)))]
async fn setup_state(State(state): State<ApiState>, visitor: Visitor) -> ApiResult<Json<SetupState>> {
    // Strangers from afar learn nothing.
    let needed = visitor.1 && state.identity.needs_setup().await?;
    Ok(Json(SetupState { needed }))
}

/// The first administrator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setup {
    /// The token from the server's terminal or its `setup-token` file.
    pub(crate) token: String,
    /// Sign-in name.
    pub(crate) name: String,
    /// Name for people.
    #[serde(default)]
    pub(crate) display_name: String,
    /// Password.
    #[schema(format = Password)]
    pub(crate) password: String,
}

/// Make the first administrator
///
/// From this machine only, with the single-use token of the terminal; answers with a session.
#[utoipa::path(post, path = "/setup", tag = "session", request_body = Setup, security(()),
    responses((status = 200, body = WhoView), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn setup(State(state): State<ApiState>, visitor: Visitor, Json(body): Json<Setup>) -> ApiResult<Response> {
    if !visitor.1 {
        return Err(ApiError::forbidden(
            "set-up is open to this machine only: use a browser on it, an SSH tunnel, or `guardian user add`",
        ));
    }
    let done =
        state.identity.redeem_setup(&body.token, &body.name, &body.display_name, &body.password, &visitor.0).await;
    match done {
        Ok(done) => signed_in(&done),
        Err(IdentityError::BadSetupToken) => Err(IdentityError::BadSetupToken.into()),
        Err(error) => Err(error.into()),
    }
}
