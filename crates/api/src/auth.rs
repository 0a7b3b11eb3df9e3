//! Who is calling, and what they may do. No handler reaches data without a [`Caller`], and no caller gets a scope
//! without naming the permission.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use guardian_catalog::Actor;
use guardian_identity::{Identity, IdentityError, Origin, Permission, PermissionSet, Principal, Refusal};
use guardian_model::{Ip, Pseudonyms, Scope, TenantId};

use crate::error::{ApiError, ApiResult};
use crate::mask::MaskSlot;
use crate::state::{ApiState, Connection};

/// Name of the session cookie. The prefix makes browsers insist on `Secure`, no domain and the root path.
pub const SESSION_COOKIE: &str = "__Host-guardian";
/// Header that a browser must send with every change. Other sites cannot send it without a preflight, which fails.
pub const REQUEST_HEADER: &str = "x-guardian-request";
/// Header that names the tenant, for callers that belong to several.
pub const TENANT_HEADER: &str = "x-guardian-tenant";
/// An entity that is none.
const NOBODY: &str = "\u{1a}";
const USER_AGENT_CHARS_MAX: usize = 200;

/// Whoever sent the request, authenticated.
#[derive(Clone)]
pub struct Caller {
    identity: Identity,
    principal: Principal,
    origin: Origin,
    tenant: TenantId,
    /// What stands in the place of personal data for somebody who may not see it.
    masks: Option<Arc<Pseudonyms>>,
    /// The bearer token or cookie, to look again whether it still holds.
    credential: Credential,
    /// What the other end shows, to look again whether that still holds.
    connection: Option<Connection>,
}

#[derive(Clone)]
enum Credential {
    Bearer(String),
    Session(String),
}

impl Caller {
    /// The tenants in which the caller may do this. A refusal is audited. Whoever sees pseudonyms in the tenant that the
    /// request is about sees them in all; whoever does not, sees those tenants only in which they need not.
    pub async fn scope(&self, permission: Permission) -> ApiResult<Scope> {
        self.tenant(permission).await?;
        let scope = self.principal.scope_for(permission);
        Ok(match &self.masks {
            Some(masks) => scope.masked(Arc::clone(masks)),
            None => {
                let open = self.principal.scope_for(Permission::PersonalRead);
                Scope::of_all(scope.tenants().iter().copied().filter(|tenant| open.contains(*tenant)))
            }
        })
    }

    /// What stands in the place of personal data in everything that this caller is told; none if they may see it.
    pub fn masks(&self) -> Option<&Arc<Pseudonyms>> {
        self.masks.as_ref()
    }

    /// An entity that a filter names, as the catalog knows it. Whoever sees pseudonyms names those; anything else that
    /// they name is nobody, so that asking tells nothing.
    pub fn named(&self, entity: &str) -> String {
        match &self.masks {
            None => entity.to_owned(),
            Some(masks) => masks.reveal(entity).unwrap_or_else(|| NOBODY.to_owned()),
        }
    }

    /// A text to search people's words for. Whoever sees pseudonyms cannot try out addresses.
    pub fn searched(&self, text: &str) -> String {
        let word = |c: char| c.is_alphabetic() || c.is_whitespace();
        if self.masks.is_none() || text.chars().all(word) { text.to_owned() } else { NOBODY.to_owned() }
    }

    /// The tenant that the request is about, if the caller may do this there. A refusal is audited.
    pub async fn tenant(&self, permission: Permission) -> ApiResult<TenantId> {
        self.within(self.tenant, permission).await?;
        Ok(self.tenant)
    }

    /// As [`Caller::tenant`], for what is sensitive: a session must have proved itself lately.
    pub async fn sensitive(&self, permission: Permission) -> ApiResult<TenantId> {
        let tenant = self.tenant(permission).await?;
        self.identity.require_recent(&self.principal)?;
        Ok(tenant)
    }

    /// Whether the caller may do this in `tenant`, whichever tenant the request is about. A refusal is audited.
    pub async fn within(&self, tenant: TenantId, permission: Permission) -> ApiResult<()> {
        match self.identity.authorise(&self.principal, permission, tenant, &self.origin).await {
            Ok(()) => Ok(()),
            Err(Refusal::NoSuchTenant) => Err(ApiError::not_found("tenant")),
            Err(refusal @ Refusal::Missing(_)) => Err(ApiError::forbidden(refusal.to_string())),
        }
    }

    /// Whether the caller may do this to the installation itself, which is a matter of its own tenant. A refusal is
    /// audited.
    pub async fn installation(&self, permission: Permission) -> ApiResult<()> {
        let verdict = self.identity.authorise(&self.principal, permission, TenantId::DEFAULT, &self.origin).await;
        verdict.map_err(|_| ApiError::forbidden(Refusal::Missing(permission).to_string()))
    }

    /// The same caller, asking about another tenant; what they may do there is checked as ever. For the live stream,
    /// whose browsers cannot send the tenant header.
    pub async fn about(mut self, tenant: TenantId) -> ApiResult<Self> {
        self.masks = masks(&self.identity, &self.principal, tenant).await?;
        self.tenant = tenant;
        Ok(self)
    }

    /// For the audit trail.
    pub fn actor(&self) -> Actor {
        self.principal.actor(&self.origin)
    }

    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Where the request came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The tenant that the request is about, unchecked: for telling the caller who they are.
    pub fn current_tenant(&self) -> TenantId {
        self.tenant
    }

    /// Whether the credential that opened a long connection still holds, and still allows all of `needed` in the tenant
    /// that the request is about.
    pub async fn still_may(&self, needed: PermissionSet) -> bool {
        let certificate = self.connection.as_ref().and_then(Connection::certificate);
        let origin = Origin { certificate, ..self.origin.clone() };
        let again = match &self.credential {
            Credential::Bearer(token) => self.identity.bearer(token, &origin).await,
            Credential::Session(token) => self.identity.session_from(token, &origin).await,
        };
        again.is_ok_and(|principal| principal.permissions(self.tenant).covers(needed))
    }
}

impl From<IdentityError> for ApiError {
    fn from(error: IdentityError) -> Self {
        use axum::http::StatusCode;
        let retry_after = error.retry_after_secs();
        let text = error.to_string();
        let mapped = match error {
            IdentityError::BadCredentials
            | IdentityError::BadCode
            | IdentityError::BadPasskey
            | IdentityError::BadCertificate => Self::new(StatusCode::UNAUTHORIZED, "bad-credentials", text),
            IdentityError::FactorRequired => Self::new(StatusCode::FORBIDDEN, "factor-required", text),
            IdentityError::EnrolmentRequired => Self::new(StatusCode::FORBIDDEN, "enrolment-required", text),
            IdentityError::CertificateRequired => Self::new(StatusCode::FORBIDDEN, "certificate-required", text),
            IdentityError::RateLimited { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", text),
            IdentityError::NotSignedIn => Self::unauthenticated(text),
            IdentityError::Locked { .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, "locked", text),
            IdentityError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text),
            IdentityError::Forbidden(_) => Self::forbidden(text),
            IdentityError::StepUp => Self::new(StatusCode::FORBIDDEN, "step-up-required", text),
            IdentityError::LastAdmin => Self::new(StatusCode::CONFLICT, "last-admin", text),
            IdentityError::BadLink => Self::new(StatusCode::NOT_FOUND, "bad-link", text),
            IdentityError::NoAccount | IdentityError::NoRole | IdentityError::AccountDisabled => Self::forbidden(text),
            IdentityError::External(_) => {
                tracing::warn!(error = text, "another system failed");
                Self::new(
                    StatusCode::BAD_GATEWAY,
                    "other-system",
                    "the other system cannot be asked now; try again later",
                )
            }
            IdentityError::BadSetupToken => Self::new(StatusCode::FORBIDDEN, "bad-setup-token", text),
            IdentityError::BreachedPassword => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "breached-password", text),
            IdentityError::WeakPassword(_) | IdentityError::Invalid(_) => Self::invalid(text),
            IdentityError::Catalog(error) => return error.into(),
            other => return Self::internal(other),
        };
        match retry_after {
            Some(seconds) => mapped.retry_after(seconds),
            None => mapped,
        }
    }
}

/// Where a request came from, for audit and limits.
pub(crate) fn origin(parts: &Parts) -> Origin {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| Ip::from(c.0.ip()));
    let text = |name: header::HeaderName| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some(value.chars().take(USER_AGENT_CHARS_MAX).collect())
    };
    Origin {
        ip: peer,
        user_agent: text(header::USER_AGENT),
        request_id: text(header::HeaderName::from_static("x-request-id")),
        certificate: parts.extensions.get::<Connection>().and_then(Connection::certificate),
    }
}

/// The host that the client asked for: name and perhaps port.
pub(crate) fn host(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(header::HOST).and_then(|v| v.to_str().ok());
    header.or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str))
}

/// The session token of the cookie header.
pub(crate) fn session_cookie(headers: &HeaderMap) -> Option<String> {
    cookie_named(headers, SESSION_COOKIE)
}

/// The value of one cookie.
pub(crate) fn cookie_named(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|v| v.to_str().ok());
    let mut pairs = all.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
}

/// Refuses what another site could have made a signed-in browser send.
pub(crate) fn refuse_foreign(parts: &Parts) -> ApiResult<()> {
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = header("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        return Err(ApiError::forbidden("requests from other sites are refused"));
    }
    let upgrade = header("upgrade").is_some();
    let changes = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && header(REQUEST_HEADER).is_none() {
        return Err(ApiError::forbidden(format!(
            "a browser session must send the header {REQUEST_HEADER} with changes"
        )));
    }
    if upgrade || changes {
        let host = host(parts);
        // An origin without a host (`null`, of a sandboxed frame) is nobody's.
        let origin = header("origin").map(|o| o.split_once("://").map_or("", |(_, authority)| authority));
        if origin.is_some() && origin != host || upgrade && origin.is_none() {
            return Err(ApiError::forbidden("the Origin header is not this server's"));
        }
    }
    Ok(())
}

async fn authenticate(parts: &Parts, state: &ApiState) -> ApiResult<Option<Caller>> {
    let origin = origin(parts);
    let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let (principal, credential) = if let Some(value) = bearer {
        let token = value
            .strip_prefix("Bearer ")
            .map(str::trim)
            .ok_or_else(|| ApiError::unauthenticated("the Authorization header must be `Bearer` and an API key"))?;
        (state.identity.bearer(token, &origin).await?, Credential::Bearer(token.to_owned()))
    } else if let Some(token) = session_cookie(&parts.headers) {
        refuse_foreign(parts)?;
        (state.identity.session_from(&token, &origin).await?, Credential::Session(token))
    } else {
        return Ok(None);
    };
    state.identity.count_request(&principal)?;
    let tenant = match parts.headers.get(TENANT_HEADER).map(|v| v.to_str()) {
        None => principal.home,
        Some(text) => text.ok().and_then(|t| t.parse().ok()).ok_or_else(|| ApiError::not_found("tenant"))?,
    };
    let masks = masks(&state.identity, &principal, tenant).await?;
    if let Some(slot) = parts.extensions.get::<MaskSlot>() {
        slot.fill(masks.clone());
    }
    let connection = parts.extensions.get::<Connection>().cloned();
    Ok(Some(Caller { identity: state.identity.clone(), principal, origin, tenant, masks, credential, connection }))
}

/// The pseudonyms for somebody who may not see personal data in `tenant`.
async fn masks(identity: &Identity, principal: &Principal, tenant: TenantId) -> ApiResult<Option<Arc<Pseudonyms>>> {
    let held = principal.permissions(tenant);
    if held.is_empty() || held.contains(Permission::PersonalRead) {
        return Ok(None);
    }
    Ok(Some(Arc::new(identity.pseudonyms(tenant).await?)))
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let Arrival(caller) = Arrival::from_request_parts(parts, state).await?;
        state.identity.require_complete(&caller.principal)?;
        Ok(caller)
    }
}

/// Somebody whose sign-in may still lack its second factor: for the few operations that complete it. Everything else
/// takes a [`Caller`].
#[derive(Clone)]
pub struct Arrival(pub Caller);

impl FromRequestParts<ApiState> for Arrival {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let caller = authenticate(parts, state).await?;
        caller.map(Self).ok_or_else(|| ApiError::unauthenticated("sign in or send an API key"))
    }
}

impl OptionalFromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Option<Self>, ApiError> {
        let caller = authenticate(parts, state).await?;
        if let Some(caller) = &caller {
            state.identity.require_complete(&caller.principal)?;
        }
        Ok(caller)
    }
}
