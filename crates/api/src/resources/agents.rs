//! What agents ask for before they have a certificate: to be let in. Everything else they say by their own protocol.

use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guardian_catalog::TokenRefusal;
use guardian_fleet::{CertificateError, EnrolError, EnrolRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::session::Visitor;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(enroll))
}

impl From<EnrolError> for ApiError {
    fn from(error: EnrolError) -> Self {
        let text = error.to_string();
        match error {
            EnrolError::Token(refusal) => {
                let name = match refusal {
                    TokenRefusal::Unknown => "unknown-token",
                    TokenRefusal::Expired => "token-expired",
                    TokenRefusal::UsedUp => "token-used-up",
                    TokenRefusal::Revoked => "token-revoked",
                };
                Self::new(StatusCode::FORBIDDEN, name, text)
            }
            EnrolError::Certificate(CertificateError::Request(_)) => Self::invalid(text),
            EnrolError::Catalog(error) => error.into(),
            EnrolError::Identity(error) => error.into(),
            other => Self::internal(other),
        }
    }
}

/// What a new machine says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrollAgent {
    /// The enrolment token.
    #[schema(format = Password)]
    pub(crate) token: String,
    /// A certificate request (PKCS #10, DER, base64) for a key on P-256 that was made on the machine.
    pub(crate) request: String,
    /// Name of the machine.
    pub(crate) name: String,
    /// linux or windows.
    pub(crate) platform: String,
    /// Processor architecture.
    pub(crate) architecture: String,
    /// Version of the agent's program.
    pub(crate) version: String,
}

/// What it gets.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnrolledAgent {
    /// Id of the host.
    pub(crate) id: String,
    /// Its name on the server.
    pub(crate) name: String,
    /// Its certificate (DER, base64), which alone says who it is from now on.
    pub(crate) certificate: String,
    /// The agents' authority, PEM: the server shows a certificate of it to agents.
    pub(crate) authority: String,
    /// Until when the certificate is valid, RFC 3339.
    pub(crate) not_after: String,
}

/// Let a machine in by an enrolment token
///
/// Agents ask over a connection of their own (ALPN `guardian-enrol/1`), whose certificate has the fingerprint in the token.
#[utoipa::path(post, path = "/agents/enroll", tag = "hosts", request_body = EnrollAgent, security(()),
    extensions(("x-permission" = json!("public"))),
    responses((status = 201, body = EnrolledAgent), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn enroll(
    State(state): State<ApiState>,
    visitor: Visitor,
    Json(body): Json<EnrollAgent>,
) -> ApiResult<(StatusCode, Json<EnrolledAgent>)> {
    let request = STANDARD.decode(&body.request).map_err(|_| ApiError::invalid("`request` is no base64"))?;
    let wanted = EnrolRequest {
        token: body.token,
        request,
        name: body.name,
        platform: body.platform,
        architecture: body.architecture,
        program: body.version,
        address: visitor.0.ip,
    };
    let enrolled = state.fleet.enrol(wanted).await?;
    Ok((
        StatusCode::CREATED,
        Json(EnrolledAgent {
            id: enrolled.host.id.to_string(),
            name: enrolled.host.name,
            certificate: STANDARD.encode(enrolled.certificate),
            authority: enrolled.authority,
            not_after: enrolled.host.not_after.to_string(),
        }),
    ))
}
