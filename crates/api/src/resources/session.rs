//! First-run set-up, signing in and out, and who one is.

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use guardian_identity::{Origin, Permission, Principal, PrincipalKind, SignedIn};
use guardian_model::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::oidc::Traveller;
use super::passkeys::{PasskeyAnswer, Site};
use crate::auth::{Arrival, Caller, SESSION_COOKIE, origin, refuse_foreign};
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(sign_in, who, sign_out))
        .routes(routes!(setup_state, setup))
        .routes(routes!(change_password))
        .routes(routes!(prove))
        .routes(routes!(sessions, end_others))
        .routes(routes!(end_one))
        .routes(routes!(offer))
}

/// Where a request without a session came from, refused when another site made a browser send it.
pub(crate) struct Visitor(pub(crate) Origin, bool);

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

/// A tenant that the caller may work in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnTenant {
    /// Id.
    pub(crate) id: String,
    /// Short name.
    pub(crate) slug: String,
    /// Name for people.
    pub(crate) name: String,
    /// The caller's role there; keys and the local operator have none.
    pub(crate) role: Option<String>,
    /// What the caller may do there.
    pub(crate) permissions: Vec<String>,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionRow {
    /// Id, no secret.
    pub(crate) id: String,
    /// Whether it is the one that asks.
    pub(crate) current: bool,
    /// Since when, RFC 3339.
    pub(crate) created: String,
    /// Last use, to the minute, RFC 3339.
    pub(crate) last_seen: String,
    /// When it ends at the latest, RFC 3339.
    pub(crate) expires: String,
    /// What the browser calls itself.
    pub(crate) user_agent: Option<String>,
    /// Where it was made from.
    pub(crate) ip: Option<String>,
    /// What it was opened with: password, ldap, passkey, certificate, oidc, link or setup.
    pub(crate) method: String,
    /// The provider that vouched for its holder.
    pub(crate) provider: Option<String>,
}

impl SessionRow {
    pub(crate) fn new(session: guardian_catalog::Session, current: Option<uuid::Uuid>) -> Self {
        Self {
            current: current == Some(session.id),
            id: session.id.to_string(),
            created: session.created.to_string(),
            last_seen: session.last_seen.to_string(),
            expires: session.expires.to_string(),
            user_agent: session.user_agent,
            ip: session.ip.map(|ip| ip.to_string()),
            method: session.method.to_string(),
            provider: session.provider,
        }
    }
}

/// Sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionList {
    /// Last used first.
    pub(crate) items: Vec<SessionRow>,
}

/// Who the caller is and what they may do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhoView {
    /// session, api_key, token or local_operator.
    pub(crate) kind: &'static str,
    /// Name.
    pub(crate) name: String,
    /// User id; null for the local operator.
    pub(crate) user: Option<String>,
    /// Name for people.
    pub(crate) display_name: String,
    /// The tenant that requests are about, unless they name another.
    pub(crate) tenant: String,
    /// The caller's role there.
    pub(crate) role: Option<String>,
    /// `active`; `factor_required` while a code is still due (POST /session/factor); `enrolment_required` while the
    /// account has to add a second factor first (POST /session/totp); `certificate_required` while the connection shows
    /// no client certificate of the account, and the session is good only where one is. Nothing else is allowed until it
    /// is `active`.
    pub(crate) state: &'static str,
    /// Second factors.
    pub(crate) mfa: MfaView,
    /// Client certificate.
    pub(crate) certificate: CertificateDemandView,
    /// What the caller may do there.
    pub(crate) permissions: Vec<String>,
    /// The tenants that the caller may work in.
    pub(crate) tenants: Vec<OwnTenant>,
    /// Until when sensitive actions are open without proving oneself again, RFC 3339.
    pub(crate) proved_until: Option<String>,
    /// Seconds that a session may go unused.
    pub(crate) idle_seconds: u64,
    /// The session; null for keys and the local operator.
    pub(crate) session: Option<SessionRow>,
    /// What the person set for themselves.
    pub(crate) preferences: PreferencesView,
}

/// Whether the account has a second factor, and has to.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct MfaView {
    /// Its tenant or role asks for one.
    pub(crate) required: bool,
    /// It has one.
    pub(crate) enrolled: bool,
    /// What it can prove itself with now: totp, passkey, recovery_code.
    pub(crate) methods: Vec<&'static str>,
}

/// Whether a client certificate is asked for, and there.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct CertificateDemandView {
    /// A role of the account asks for one.
    pub(crate) required: bool,
    /// The connection shows one of the account.
    pub(crate) presented: bool,
}

/// What a person set for themselves.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct PreferencesView {
    /// Grows with every change; 0 while nothing was ever set.
    pub(crate) version: i32,
    /// A JSON object.
    #[schema(value_type = Object)]
    pub(crate) value: serde_json::Value,
}

/// What is told of a caller.
pub(crate) async fn view(
    state: &ApiState,
    principal: &Principal,
    tenant: TenantId,
    origin: &Origin,
) -> ApiResult<WhoView> {
    let names = |tenant| principal.permissions(tenant).iter().map(|p: Permission| p.name().to_owned()).collect();
    let tenants = state.catalog.scoped(&principal.scope()).tenant_list().await?;
    let signed_in = principal.session();
    let (mut display_name, mut preferences) =
        (principal.name.clone(), PreferencesView { version: 0, value: serde_json::json!({}) });
    let (mut session, mut mfa, mut certificate) = (None, MfaView::default(), CertificateDemandView::default());
    if let (Some(id), Some(user)) = (signed_in, principal.user) {
        display_name = state.identity.profile(principal).await?.display_name;
        let asked = state.identity.mfa(principal).await?;
        mfa = MfaView { required: asked.required, enrolled: asked.enrolled, methods: asked.methods };
        let demand = state.identity.certificate_demand(principal, origin).await?;
        certificate = CertificateDemandView { required: demand.required, presented: demand.presented };
        let held = state.identity.preferences(user).await?;
        preferences = PreferencesView { version: held.version, value: held.value };
        let all = state.identity.own_sessions(principal).await?;
        session = all.into_iter().find(|s| s.id == id).map(|s| SessionRow::new(s, signed_in));
    }
    Ok(WhoView {
        kind: match principal.kind {
            PrincipalKind::Session { .. } => "session",
            PrincipalKind::ApiKey { .. } => "api_key",
            PrincipalKind::Token { .. } => "token",
            PrincipalKind::LocalOperator => "local_operator",
        },
        name: principal.name.clone(),
        user: principal.user.map(|u| u.to_string()),
        display_name,
        tenant: tenant.to_string(),
        role: principal.role(tenant).map(str::to_owned),
        state: principal.state.as_str(),
        mfa,
        certificate,
        permissions: names(tenant),
        tenants: tenants
            .into_iter()
            .map(|t| OwnTenant {
                id: t.id.to_string(),
                slug: t.slug,
                name: t.name,
                role: principal.role(t.id).map(str::to_owned),
                permissions: names(t.id),
            })
            .collect(),
        proved_until: state.identity.proved_until(principal).map(|t| t.to_string()),
        idle_seconds: state.identity.session_idle_secs(),
        session,
        preferences,
    })
}

pub(crate) fn cookie(value: &str, more: &str) -> ApiResult<HeaderValue> {
    let text = format!("{SESSION_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{more}");
    HeaderValue::from_str(&text).map_err(ApiError::internal)
}

/// The answer to whoever just signed in: who they are, and the cookie.
pub(crate) async fn signed_in(state: &ApiState, signed_in: &SignedIn, origin: &Origin) -> ApiResult<Response> {
    let who = view(state, &signed_in.principal, signed_in.principal.home, origin).await?;
    Ok(([(header::SET_COOKIE, cookie(&signed_in.token, "")?)], Json(who)).into_response())
}

/// Sign in with name and password
///
/// Answers with the session cookie. Failures are limited by account and address; `Retry-After` says when to try again.
#[utoipa::path(post, path = "/session", tag = "session", extensions(("x-permission" = json!("public"))), request_body = SignIn, security(()),
    responses((status = 200, body = WhoView), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn sign_in(State(state): State<ApiState>, visitor: Visitor, Json(body): Json<SignIn>) -> ApiResult<Response> {
    let done = state.identity.sign_in(&body.name, &body.password, &visitor.0).await?;
    signed_in(&state, &done, &visitor.0).await
}

/// Who the caller is and what they may do
#[utoipa::path(get, path = "/session", tag = "session", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = WhoView), (status = 401, body = Problem)))]
async fn who(State(state): State<ApiState>, Arrival(caller): Arrival) -> ApiResult<Json<WhoView>> {
    Ok(Json(view(&state, caller.principal(), caller.current_tenant(), caller.origin()).await?))
}

/// Where signing out goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedOut {
    /// The address at the provider that ends its session, too.
    #[serde(rename = "continue")]
    pub(crate) onward: String,
}

/// Sign out: end this session
///
/// Where a provider is to end its own session, too, the answer says where to lead the browser.
#[utoipa::path(delete, path = "/session", tag = "session", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = SignedOut), (status = 204), (status = 401, body = Problem)))]
async fn sign_out(
    State(state): State<ApiState>,
    traveller: Traveller,
    Arrival(caller): Arrival,
) -> ApiResult<Response> {
    let base = traveller.base.unwrap_or_default();
    // Whatever the provider does, signing out here works.
    let onward = state.identity.oidc_sign_out(caller.principal(), &base).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the provider's own session was not ended");
        None
    });
    state.identity.sign_out(caller.principal(), caller.origin()).await?;
    let gone = [(header::SET_COOKIE, cookie("", "; Max-Age=0")?)];
    Ok(match onward {
        Some(onward) => (gone, Json(SignedOut { onward })).into_response(),
        None => (StatusCode::NO_CONTENT, gone).into_response(),
    })
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

/// Change one's own password; ends one's other sessions and tokens
#[utoipa::path(put, path = "/session/password", tag = "session", extensions(("x-permission" = json!("session"))), request_body = ChangePassword,
    responses((status = 204), (status = 401, body = Problem), (status = 422, body = Problem)))]
async fn change_password(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<ChangePassword>,
) -> ApiResult<StatusCode> {
    state.identity.change_password(caller.principal(), &body.old, &body.new, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Proof of who one is: a code or a passkey, if the account has a second factor, else the password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    /// The present password.
    #[serde(default)]
    #[schema(format = Password)]
    pub(crate) password: Option<String>,
    /// A code of the authenticator app, or a recovery code.
    #[serde(default)]
    pub(crate) code: Option<String>,
    /// The answer to `POST /session/passkey-challenge`.
    #[serde(default)]
    pub(crate) passkey: Option<PasskeyAnswer>,
}

/// Prove who one is once more
///
/// Opens what is sensitive for ten minutes: operations that otherwise answer `step-up-required`.
#[utoipa::path(post, path = "/session/proof", tag = "session", request_body = Proof,
    extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = WhoView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn prove(
    State(state): State<ApiState>,
    Arrival(caller): Arrival,
    Json(body): Json<Proof>,
) -> ApiResult<Response> {
    if let Some(key) = body.passkey {
        let (principal, origin) = (caller.principal(), caller.origin());
        let done = state.identity.prove_passkey(principal, &key.ceremony, key.credential, origin).await?;
        return signed_in(&state, &done, origin).await;
    }
    match (body.code, body.password) {
        (Some(code), _) => {
            let done = state.identity.prove_factor(caller.principal(), &code, caller.origin()).await?;
            signed_in(&state, &done, caller.origin()).await
        }
        (None, Some(password)) => {
            let proved = state.identity.prove(caller.principal(), &password, caller.origin()).await?;
            let who = view(&state, &proved, caller.current_tenant(), caller.origin()).await?;
            Ok(Json(who).into_response())
        }
        (None, None) => Err(ApiError::invalid("give a `code`, a `passkey` or a `password`")),
    }
}

/// The caller's own sessions
#[utoipa::path(get, path = "/session/sessions", tag = "session", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = SessionList), (status = 403, body = Problem)))]
async fn sessions(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<SessionList>> {
    let current = caller.principal().session();
    let items = state.identity.own_sessions(caller.principal()).await?;
    Ok(Json(SessionList { items: items.into_iter().map(|s| SessionRow::new(s, current)).collect() }))
}

/// How many sessions ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ended {
    /// Sessions.
    pub(crate) ended: u64,
}

/// End all of one's other sessions, and one's tokens
#[utoipa::path(delete, path = "/session/sessions", tag = "session", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = Ended), (status = 403, body = Problem)))]
async fn end_others(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<Ended>> {
    let ended = state.identity.end_other_sessions(caller.principal(), caller.origin()).await?;
    Ok(Json(Ended { ended }))
}

/// End one of one's own sessions
#[utoipa::path(delete, path = "/session/sessions/{id}", tag = "session",
    extensions(("x-permission" = json!("session"))), params(("id" = String, Path, description = "Session id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn end_one(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let id = id.parse().map_err(|_| ApiError::not_found("session"))?;
    state.identity.end_own_session(caller.principal(), id, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A provider that people may sign in by.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderView {
    /// Its short name.
    pub(crate) name: String,
    /// What the button says.
    pub(crate) label: String,
    /// Where to lead the browser, with `?return=` and a path of the console.
    pub(crate) start: String,
}

/// What the sign-in page offers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignInOffer {
    /// Whether the first administrator is still to be made, and may be from where the caller is.
    pub(crate) setup_needed: bool,
    /// Whether strangers may register themselves.
    pub(crate) self_registration: bool,
    /// How one may sign in: password, passkey, certificate (where this connection shows one), oidc.
    pub(crate) methods: Vec<&'static str>,
    /// The providers that one may sign in by, in order.
    pub(crate) providers: Vec<ProviderView>,
}

/// What the sign-in page offers
#[utoipa::path(get, path = "/sign-in", tag = "session", security(()), extensions(("x-permission" = json!("public"))),
    responses((status = 200, body = SignInOffer)))]
async fn offer(State(state): State<ApiState>, visitor: Visitor, site: Site) -> ApiResult<Json<SignInOffer>> {
    let mut methods = vec!["password"];
    if site.0.is_some() {
        methods.push("passkey");
    }
    if visitor.0.certificate.is_some() {
        methods.push("certificate");
    }
    let providers: Vec<_> = state
        .identity
        .oidc_providers()
        .iter()
        .map(|provider| ProviderView {
            name: provider.name.clone(),
            label: provider.shown().to_owned(),
            start: format!("/api/v1/sign-in/oidc/{}", provider.name),
        })
        .collect();
    if !providers.is_empty() {
        methods.push("oidc");
    }
    Ok(Json(SignInOffer {
        setup_needed: visitor.1 && state.identity.needs_setup().await?,
        self_registration: state.identity.self_registration().await?,
        methods,
        providers,
    }))
}

/// Whether first-run set-up is open.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SetupState {
    /// Whether the first administrator is still to be made.
    pub(crate) needed: bool,
}

/// Whether first-run set-up is open
#[utoipa::path(get, path = "/setup", tag = "session", extensions(("x-permission" = json!("public"))), security(()), responses((status = 200, body = SetupState)))]
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
#[utoipa::path(post, path = "/setup", tag = "session", extensions(("x-permission" = json!("public"))), request_body = Setup, security(()),
    responses((status = 200, body = WhoView), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn setup(State(state): State<ApiState>, visitor: Visitor, Json(body): Json<Setup>) -> ApiResult<Response> {
    if !visitor.1 {
        return Err(ApiError::forbidden(
            "set-up is open to this machine only: use a browser on it, an SSH tunnel, or `guardian user add`",
        ));
    }
    let done =
        state.identity.redeem_setup(&body.token, &body.name, &body.display_name, &body.password, &visitor.0).await;
    signed_in(&state, &done?, &visitor.0).await
}
