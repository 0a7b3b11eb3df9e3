//! Client certificates of people: signing in with one, one's own, and those of an account.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use guardian_catalog::ClientCertificate;
use guardian_identity::Permission;
use guardian_model::Scope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::session::{Visitor, WhoView, signed_in};
use super::users::find;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(sign_in))
        .routes(routes!(own, add_own))
        .routes(routes!(remove_own))
        .routes(routes!(of_user, add_to_user))
        .routes(routes!(remove_from_user))
}

/// A client certificate that opens an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CertificateView {
    /// Id.
    pub(crate) id: String,
    /// What its owner calls it.
    pub(crate) name: String,
    /// SHA-256, as browsers show it.
    pub(crate) fingerprint: String,
    /// Whom it is for.
    pub(crate) subject: String,
    /// The authority.
    pub(crate) issuer: String,
    /// Its number there.
    pub(crate) serial: String,
    /// Until when it is valid, RFC 3339.
    pub(crate) not_after: String,
    /// Since when it opens the account, RFC 3339.
    pub(crate) created: String,
    /// Last sign-in with it, RFC 3339.
    pub(crate) last_used: Option<String>,
}

impl From<ClientCertificate> for CertificateView {
    fn from(certificate: ClientCertificate) -> Self {
        Self {
            id: certificate.id.to_string(),
            name: certificate.name,
            fingerprint: in_pairs(&certificate.fingerprint),
            subject: certificate.subject,
            issuer: certificate.issuer,
            serial: certificate.serial,
            not_after: certificate.not_after.to_string(),
            created: certificate.created.to_string(),
            last_used: certificate.last_used.map(|t| t.to_string()),
        }
    }
}

/// `AB:CD:…` of `abcd…`.
fn in_pairs(digits: &str) -> String {
    let digits: Vec<char> = digits.to_uppercase().chars().collect();
    digits.chunks(2).map(|pair| pair.iter().collect::<String>()).collect::<Vec<_>>().join(":")
}

/// The certificate that this connection shows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PresentedCertificate {
    /// SHA-256, as browsers show it.
    pub(crate) fingerprint: String,
    /// Whom it is for.
    pub(crate) subject: String,
    /// The authority.
    pub(crate) issuer: String,
    /// Until when it is valid, RFC 3339.
    pub(crate) not_after: String,
    /// Whether it was added to one's own account.
    pub(crate) registered: bool,
}

/// One's own certificates.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnCertificates {
    /// Oldest first.
    pub(crate) items: Vec<CertificateView>,
    /// The one that this connection shows; null where it shows none.
    pub(crate) presented: Option<PresentedCertificate>,
}

/// An account's certificates.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CertificateList {
    /// Oldest first.
    pub(crate) items: Vec<CertificateView>,
    /// Whether people can show certificates to this server.
    pub(crate) taken: bool,
}

fn certificate_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("certificate"))
}

/// Sign in with the client certificate that this connection shows
///
/// Answers with the session cookie; the session is good only on connections that show a certificate of the account. A
/// certificate is one factor: where the account has, or needs, a second one, that is still due.
#[utoipa::path(post, path = "/session/certificate", tag = "session", security(()),
    extensions(("x-permission" = json!("public"))),
    responses((status = 200, body = WhoView), (status = 401, body = Problem)))]
async fn sign_in(State(state): State<ApiState>, visitor: Visitor) -> ApiResult<Response> {
    let done = state.identity.certificate_sign_in(&visitor.0).await?;
    signed_in(&state, &done, &visitor.0).await
}

/// List one's own client certificates, and the one that this connection shows
#[utoipa::path(get, path = "/session/certificates", tag = "session", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = OwnCertificates), (status = 403, body = Problem)))]
async fn own(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<OwnCertificates>> {
    let held = state.identity.own_certificates(caller.principal()).await?;
    let presented = caller.origin().certificate.as_deref().map(|shown| PresentedCertificate {
        fingerprint: in_pairs(&shown.fingerprint),
        subject: shown.subject.clone(),
        issuer: shown.issuer.clone(),
        not_after: shown.not_after.to_string(),
        registered: held.iter().any(|certificate| certificate.fingerprint == shown.fingerprint),
    });
    Ok(Json(OwnCertificates { items: held.into_iter().map(CertificateView::from).collect(), presented }))
}

/// What to call it.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AddOwnCertificate {
    /// Such as the name of the card.
    pub(crate) name: String,
}

/// Let the client certificate that this connection shows open one's own account
///
/// Wants a proof that is at most ten minutes old.
#[utoipa::path(post, path = "/session/certificates", tag = "session", request_body = AddOwnCertificate,
    extensions(("x-permission" = json!("session"))),
    responses((status = 201, body = CertificateView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn add_own(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<AddOwnCertificate>,
) -> ApiResult<(StatusCode, Json<CertificateView>)> {
    let added = state.identity.add_own_certificate(caller.principal(), &body.name, caller.origin()).await?;
    Ok((StatusCode::CREATED, Json(added.into())))
}

/// Take one of one's own client certificates away
///
/// Ends one's other sessions and tokens. Wants a proof that is at most ten minutes old.
#[utoipa::path(delete, path = "/session/certificates/{id}", tag = "session",
    extensions(("x-permission" = json!("session"))), params(("id" = String, Path, description = "Certificate id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn remove_own(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    state.identity.remove_own_certificate(caller.principal(), certificate_id(&id)?, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List an account's client certificates
#[utoipa::path(get, path = "/users/{id}/certificates", tag = "users",
    extensions(("x-permission" = json!("users:read"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 200, body = CertificateList), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn of_user(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<CertificateList>> {
    let tenant = caller.tenant(Permission::UsersRead).await?;
    let id = find(&state, tenant, &id).await?;
    let held = state.catalog.scoped(&Scope::of(tenant)).certificates(id).await?;
    let items = held.into_iter().map(CertificateView::from).collect();
    Ok(Json(CertificateList { items, taken: state.settings.client_certificates }))
}

/// A certificate for an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddCertificate {
    /// Such as the name of the card.
    #[serde(default)]
    pub(crate) name: String,
    /// The certificate in PEM form.
    pub(crate) pem: String,
}

/// Let a client certificate open an account
///
/// Of an account that is at home here.
#[utoipa::path(post, path = "/users/{id}/certificates", tag = "users", request_body = AddCertificate,
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 201, body = CertificateView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn add_to_user(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<AddCertificate>,
) -> ApiResult<(StatusCode, Json<CertificateView>)> {
    let tenant = caller.sensitive(Permission::UsersManage).await?;
    let id = find(&state, tenant, &id).await?;
    let (by, origin) = (caller.principal(), caller.origin());
    let added = state.identity.add_certificate(by, tenant, id, &body.name, &body.pem, origin).await?;
    Ok((StatusCode::CREATED, Json(added.into())))
}

/// Take a client certificate of an account away
///
/// Ends the account's sessions and tokens.
#[utoipa::path(delete, path = "/users/{id}/certificates/{certificate}", tag = "users",
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Id or sign-in name"),
        ("certificate" = String, Path, description = "Certificate id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn remove_from_user(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, certificate)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let tenant = caller.sensitive(Permission::UsersManage).await?;
    let id = find(&state, tenant, &id).await?;
    let certificate = certificate_id(&certificate)?;
    state.identity.remove_certificate(caller.principal(), tenant, id, certificate, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}
