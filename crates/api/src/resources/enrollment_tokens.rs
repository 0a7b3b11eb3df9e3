//! Enrolment tokens: what lets hosts in.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::EnrolmentToken;
use guardian_fleet::NewToken;
use guardian_identity::Permission;
use guardian_model::{Micros, Scope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::parse_time;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// How long a token is good if nobody says.
const LIFE: i64 = Micros::DAY;
/// How long it may be good.
const LIFE_MAX: i64 = 366 * Micros::DAY;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// An enrolment token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnrollmentTokenView {
    /// Id.
    pub(crate) id: String,
    /// The part of the token that is no secret, after `gde_`.
    pub(crate) public_id: String,
    /// What it is for.
    pub(crate) name: String,
    /// active, expired, used_up or revoked.
    pub(crate) status: String,
    /// Tags that its hosts get.
    pub(crate) tags: Vec<String>,
    /// Groups that its hosts get.
    pub(crate) groups: Vec<String>,
    /// How many hosts may come in by it; null for any number.
    pub(crate) uses_max: Option<u32>,
    /// How many did.
    pub(crate) uses: u32,
    /// Who made it.
    pub(crate) author: String,
    /// Since when, RFC 3339.
    pub(crate) created: String,
    /// Until when, RFC 3339.
    pub(crate) expires: String,
    /// When a host last came in by it, RFC 3339.
    pub(crate) last_used: Option<String>,
    /// When it was revoked, RFC 3339.
    pub(crate) revoked: Option<String>,
}

impl EnrollmentTokenView {
    fn new(token: EnrolmentToken, now: Micros) -> Self {
        Self {
            status: token.status(now).to_string(),
            id: token.id.to_string(),
            public_id: token.public_id,
            name: token.name,
            tags: token.tags,
            groups: token.groups,
            uses_max: token.uses_max,
            uses: token.uses,
            author: token.author,
            created: token.created.to_string(),
            expires: token.expires.to_string(),
            last_used: token.last_used.map(|t| t.to_string()),
            revoked: token.revoked.map(|t| t.to_string()),
        }
    }
}

/// Enrolment tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnrollmentTokenList {
    /// Newest first.
    pub(crate) items: Vec<EnrollmentTokenView>,
}

/// List the enrolment tokens of the tenant
#[utoipa::path(get, path = "/enrollment-tokens", tag = "hosts", extensions(("x-permission" = json!("hosts:enroll"))),
    responses((status = 200, body = EnrollmentTokenList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<EnrollmentTokenList>> {
    let tenant = caller.tenant(Permission::HostsEnroll).await?;
    let (tokens, now) = (state.catalog.scoped(&Scope::of(tenant)).enrolment_tokens().await?, state.clock.now());
    Ok(Json(EnrollmentTokenList { items: tokens.into_iter().map(|t| EnrollmentTokenView::new(t, now)).collect() }))
}

/// An enrolment token to make.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CreateEnrollmentToken {
    /// What it is for.
    pub(crate) name: String,
    /// Tags that its hosts get.
    pub(crate) tags: Vec<String>,
    /// Groups that its hosts get.
    pub(crate) groups: Vec<String>,
    /// How many hosts may come in by it; absent for one, 0 for any number.
    pub(crate) uses_max: Option<u32>,
    /// Until when, RFC 3339; a day from now if absent, a year at most.
    pub(crate) expires: Option<String>,
}

/// An enrolment token that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeEnrollmentToken {
    /// What is kept of it.
    pub(crate) token: EnrollmentTokenView,
    /// The whole token: shown once, kept nowhere. It carries the fingerprint by which a new machine knows this server.
    pub(crate) secret: String,
}

/// Make an enrolment token
///
/// Wants a proof that is at most ten minutes old.
#[utoipa::path(post, path = "/enrollment-tokens", tag = "hosts", request_body = CreateEnrollmentToken,
    extensions(("x-permission" = json!("hosts:enroll"))),
    responses((status = 201, body = MadeEnrollmentToken), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<CreateEnrollmentToken>,
) -> ApiResult<(StatusCode, Json<MadeEnrollmentToken>)> {
    let tenant = caller.sensitive(Permission::HostsEnroll).await?;
    let now = state.clock.now();
    let expires = body.expires.as_deref().map(|text| parse_time("expires", text)).transpose()?;
    let expires = expires.unwrap_or(now + LIFE);
    if expires <= now || expires > now + LIFE_MAX {
        return Err(ApiError::invalid("`expires`: a token is good for some time, and for a year at most"));
    }
    let new = NewToken {
        name: body.name,
        tags: body.tags,
        groups: body.groups,
        uses_max: Some(body.uses_max.unwrap_or(1)).filter(|n| *n > 0),
        expires,
    };
    let made = state.fleet.create_token(tenant, caller.actor(), new).await?;
    let token = EnrollmentTokenView::new(made.token, now);
    Ok((StatusCode::CREATED, Json(MadeEnrollmentToken { token, secret: made.text.to_string() })))
}

/// Revoke an enrolment token
///
/// Hosts that came in by it stay.
#[utoipa::path(delete, path = "/enrollment-tokens/{id}", tag = "hosts",
    extensions(("x-permission" = json!("hosts:enroll"))),
    params(("id" = String, Path, description = "Token id")),
    responses((status = 200, body = EnrollmentTokenView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn revoke(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<EnrollmentTokenView>> {
    let tenant = caller.tenant(Permission::HostsEnroll).await?;
    let id = id.parse().map_err(|_| ApiError::not_found("enrolment token"))?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let token = tx.revoke_enrolment_token(id).await?;
    tx.commit().await?;
    Ok(Json(EnrollmentTokenView::new(token, state.clock.now())))
}
