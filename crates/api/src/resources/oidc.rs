//! Signing in by way of a provider of OpenID Connect, and the accounts elsewhere that one's own is linked with.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use guardian_identity::{OidcArrival, OidcDeparture, OidcOutcome, Origin};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::session::cookie;
use crate::auth::{Arrival, Caller, cookie_named, host, origin};
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// What a browser keeps while it is at a provider. `Lax`, because it comes back by a link from there.
const STATE_COOKIE: &str = "__Host-guardian-oidc";

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(depart))
        .routes(routes!(arrive))
        .routes(routes!(list, link))
        .routes(routes!(unlink))
        .routes(routes!(prove))
}

/// Where the browser is: the address of this server as it sees it, and where it comes from. Coming from another site is
/// the point of these operations; what they do needs the state that the browser keeps.
pub(crate) struct Traveller {
    pub(crate) base: Option<String>,
    origin: Origin,
}

impl Traveller {
    fn base(&self) -> ApiResult<&str> {
        self.base.as_deref().ok_or_else(|| {
            ApiError::invalid(
                "this address is not known as the server's: set server.public_url, or use a name that its certificate \
                 is for",
            )
        })
    }
}

impl FromRequestParts<ApiState> for Traveller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let base = state.settings.base_url(host(parts).unwrap_or_default());
        Ok(Self { base, origin: origin(parts) })
    }
}

/// Where to come back to.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackQuery {
    /// A path of the console.
    #[serde(rename = "return", default)]
    #[param(rename = "return")]
    back: Option<String>,
}

fn state_cookie(value: &str, seconds: u32) -> ApiResult<HeaderValue> {
    let text = format!("{STATE_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    HeaderValue::from_str(&text).map_err(ApiError::internal)
}

fn location(url: &str) -> ApiResult<HeaderValue> {
    HeaderValue::from_str(url).map_err(ApiError::internal)
}

/// Set out to sign in by way of a provider
///
/// Leads the browser there; it comes back signed in, or to `/sign-in?error=…`.
#[utoipa::path(get, path = "/sign-in/oidc/{provider}", tag = "session", security(()),
    extensions(("x-permission" = json!("public"))),
    params(("provider" = String, Path, description = "Name of the provider"), BackQuery),
    responses((status = 303, description = "To the provider"), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn depart(
    State(state): State<ApiState>,
    traveller: Traveller,
    Path(provider): Path<String>,
    Query(query): Query<BackQuery>,
) -> ApiResult<Response> {
    let (base, back) = (traveller.base()?, query.back.unwrap_or_default());
    let begun = state.identity.depart_to_sign_in(&provider, base, &back, &traveller.origin).await;
    let departure = match begun {
        Ok(departure) => departure,
        Err(error @ guardian_identity::IdentityError::External(_)) => {
            tracing::warn!(provider, %error, "a provider could not be asked");
            let headers = [(header::LOCATION, location("/sign-in?error=oidc-failed")?)];
            return Ok((StatusCode::SEE_OTHER, headers).into_response());
        }
        Err(error) => return Err(error.into()),
    };
    let headers =
        [(header::LOCATION, location(&departure.url)?), (header::SET_COOKIE, state_cookie(&departure.state, 300)?)];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// What a provider sends back with the browser.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct ArrivalQuery {
    /// Its code.
    code: Option<String>,
    /// What the browser set out with.
    state: Option<String>,
    /// Why it let nobody in.
    error: Option<String>,
    /// Who it is.
    iss: Option<String>,
}

/// Come back from a provider
///
/// For the provider to lead the browser to; leads on into the console.
#[utoipa::path(get, path = "/sign-in/oidc/{provider}/callback", tag = "session", security(()),
    extensions(("x-permission" = json!("public"))),
    params(("provider" = String, Path, description = "Name of the provider"), ArrivalQuery),
    responses((status = 303, description = "Into the console"), (status = 404, body = Problem)))]
async fn arrive(
    State(state): State<ApiState>,
    traveller: Traveller,
    Path(provider): Path<String>,
    headers: HeaderMap,
    Query(query): Query<ArrivalQuery>,
) -> ApiResult<Response> {
    let arrival = OidcArrival {
        state: query.state.unwrap_or_default(),
        kept: cookie_named(&headers, STATE_COOKIE).unwrap_or_default(),
        code: query.code,
        error: query.error,
        issuer: query.iss,
    };
    let done = state.identity.arrive_from_oidc(&provider, &arrival, &traveller.origin).await?;
    let mut answer = HeaderMap::new();
    answer.append(header::SET_COOKIE, state_cookie("", 0)?);
    let target = match done.outcome {
        OidcOutcome::SignedIn(signed_in) => {
            answer.append(header::SET_COOKIE, cookie(&signed_in.token, "")?);
            done.back
        }
        OidcOutcome::Done => done.back,
        OidcOutcome::Failed(word) => with_error(&done.back, word),
    };
    answer.insert(header::LOCATION, location(&target)?);
    Ok((StatusCode::SEE_OTHER, answer).into_response())
}

/// A path of the console with the word for what went wrong.
fn with_error(back: &str, word: &str) -> String {
    let (path, fragment) = back.split_once('#').map_or((back, None), |(path, rest)| (path, Some(rest)));
    let joint = if path.contains('?') { '&' } else { '?' };
    match fragment {
        Some(fragment) => format!("{path}{joint}error={word}#{fragment}"),
        None => format!("{path}{joint}error={word}"),
    }
}

/// What another system calls one's own account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IdentityView {
    /// Id.
    pub(crate) id: String,
    /// The provider's name, or `ldap`.
    pub(crate) provider: String,
    /// What to call it.
    pub(crate) label: String,
    /// What it calls the account.
    pub(crate) subject: String,
    /// Whether it decides about the account's roles.
    pub(crate) managed: bool,
    /// Since when, RFC 3339.
    pub(crate) created: String,
    /// Last sign-in by way of it, RFC 3339.
    pub(crate) last_used: Option<String>,
}

/// Accounts elsewhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IdentityList {
    /// Oldest first.
    pub(crate) items: Vec<IdentityView>,
}

/// List the accounts elsewhere that one's own is linked with
#[utoipa::path(get, path = "/session/identities", tag = "session", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = IdentityList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<IdentityList>> {
    let held = state.identity.own_identities(caller.principal()).await?;
    let view = |identity: guardian_catalog::ExternalIdentity| {
        let name = identity.provider.strip_prefix("oidc:").unwrap_or(&identity.provider);
        let known = state.identity.oidc_providers().iter().find(|p| p.name == name);
        IdentityView {
            id: identity.id.to_string(),
            label: known.map_or(name, |provider| provider.shown()).to_owned(),
            provider: name.to_owned(),
            subject: identity.subject,
            managed: identity.managed,
            created: identity.created.to_string(),
            last_used: identity.last_used.map(|at| at.to_string()),
        }
    };
    Ok(Json(IdentityList { items: held.into_iter().map(view).collect() }))
}

/// Which provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkIdentity {
    /// Name of the provider.
    pub(crate) provider: String,
    /// A path of the console to come back to.
    #[serde(rename = "return", default)]
    pub(crate) back: String,
}

/// Where to go.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Departure {
    /// The address at the provider.
    pub(crate) url: String,
}

fn departed(departure: &OidcDeparture) -> ApiResult<Response> {
    let headers = [(header::SET_COOKIE, state_cookie(&departure.state, 300)?)];
    Ok((headers, Json(Departure { url: departure.url.clone() })).into_response())
}

/// Set out to link one's own account with one at a provider
///
/// Answers with the address to lead the browser to. Wants a proof that is at most ten minutes old.
#[utoipa::path(post, path = "/session/identities", tag = "session", request_body = LinkIdentity,
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = Departure), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 502, body = Problem)))]
async fn link(
    State(state): State<ApiState>,
    caller: Caller,
    traveller: Traveller,
    Json(body): Json<LinkIdentity>,
) -> ApiResult<Response> {
    let (principal, base) = (caller.principal(), traveller.base()?);
    let begun = state.identity.depart_to_link(principal, &body.provider, base, &body.back, caller.origin()).await?;
    departed(&begun)
}

/// Unlink one's own account from one elsewhere
#[utoipa::path(delete, path = "/session/identities/{id}", tag = "session",
    extensions(("x-permission" = json!("session"))), params(("id" = String, Path, description = "Id of the link")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn unlink(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let id = id.parse().map_err(|_| ApiError::not_found("identity"))?;
    state.identity.unlink_identity(caller.principal(), id, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where to come back to.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProveElsewhere {
    /// A path of the console.
    #[serde(rename = "return")]
    pub(crate) back: String,
}

/// Set out to prove who one is once more, at the provider that one signed in with
///
/// For accounts that have neither a password nor a second factor here.
#[utoipa::path(post, path = "/session/proof/oidc", tag = "session", request_body = ProveElsewhere,
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = Departure), (status = 422, body = Problem), (status = 502, body = Problem)))]
async fn prove(
    State(state): State<ApiState>,
    Arrival(caller): Arrival,
    traveller: Traveller,
    Json(body): Json<ProveElsewhere>,
) -> ApiResult<Response> {
    let (principal, base) = (caller.principal(), traveller.base()?);
    departed(&state.identity.depart_to_prove(principal, base, &body.back, caller.origin()).await?)
}

#[cfg(test)]
mod tests {
    use super::with_error;

    #[test]
    fn the_word_joins_what_is_there() {
        for (back, expected) in [
            ("/sign-in", "/sign-in?error=x"),
            ("/profile?tab=links", "/profile?tab=links&error=x"),
            ("/profile#links", "/profile?error=x#links"),
        ] {
            assert_eq!(with_error(back, "x"), expected);
        }
    }
}
