//! Tokens for programs that sign in as somebody.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::TokenFamily;
use guardian_identity::TokenPair;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::session::Visitor;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list, issue)).routes(routes!(refresh)).routes(routes!(revoke))
}

/// Name, password and code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueTokens {
    /// Sign-in name.
    pub(crate) name: String,
    /// Password.
    #[schema(format = Password)]
    pub(crate) password: String,
    /// A code, if the account has a second factor.
    #[serde(default)]
    pub(crate) code: Option<String>,
}

/// A pair of tokens: shown once, kept nowhere.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenPairView {
    /// For `Authorization: Bearer`: a JSON Web Token.
    pub(crate) access_token: String,
    /// Bearer.
    pub(crate) token_type: &'static str,
    /// Seconds that the access token is good.
    pub(crate) expires_in: i64,
    /// For the next pair; works once.
    pub(crate) refresh_token: String,
    /// When the program has to sign in again, RFC 3339.
    pub(crate) refresh_expires: String,
}

impl From<TokenPair> for TokenPairView {
    fn from(pair: TokenPair) -> Self {
        Self {
            access_token: pair.access.to_string(),
            token_type: "Bearer",
            expires_in: pair.expires_secs,
            refresh_token: pair.refresh.to_string(),
            refresh_expires: pair.family.expires.to_string(),
        }
    }
}

/// Sign a program in for tokens
#[utoipa::path(post, path = "/tokens", tag = "keys", request_body = IssueTokens, security(()),
    extensions(("x-permission" = json!("public"))),
    responses((status = 201, body = TokenPairView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 429, body = Problem)))]
async fn issue(
    State(state): State<ApiState>,
    visitor: Visitor,
    Json(body): Json<IssueTokens>,
) -> ApiResult<(StatusCode, Json<TokenPairView>)> {
    let pair = state.identity.issue_tokens(&body.name, &body.password, body.code.as_deref(), &visitor.0).await?;
    Ok((StatusCode::CREATED, Json(pair.into())))
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshTokens {
    /// The newest refresh token.
    pub(crate) refresh_token: String,
}

/// Replace a pair of tokens by a new one
///
/// The old refresh token works no more; whoever uses it all the same ends the whole family, because it was copied.
#[utoipa::path(post, path = "/tokens/refresh", tag = "keys", request_body = RefreshTokens, security(()),
    extensions(("x-permission" = json!("public"))),
    responses((status = 200, body = TokenPairView), (status = 401, body = Problem)))]
async fn refresh(
    State(state): State<ApiState>,
    visitor: Visitor,
    Json(body): Json<RefreshTokens>,
) -> ApiResult<Json<TokenPairView>> {
    Ok(Json(state.identity.refresh_tokens(&body.refresh_token, &visitor.0).await?.into()))
}

/// A program that signed in for tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FamilyView {
    /// Id, no secret.
    pub(crate) id: String,
    /// Since when, RFC 3339.
    pub(crate) created: String,
    /// Last refresh, RFC 3339.
    pub(crate) last_used: String,
    /// When it has to sign in again, RFC 3339.
    pub(crate) expires: String,
    /// What the program calls itself.
    pub(crate) user_agent: Option<String>,
    /// Where it signed in from.
    pub(crate) ip: Option<String>,
}

impl From<TokenFamily> for FamilyView {
    fn from(family: TokenFamily) -> Self {
        Self {
            id: family.id.to_string(),
            created: family.created.to_string(),
            last_used: family.last_used.to_string(),
            expires: family.expires.to_string(),
            user_agent: family.user_agent,
            ip: family.ip.map(|ip| ip.to_string()),
        }
    }
}

/// Programs that signed in for tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FamilyList {
    /// Last used first.
    pub(crate) items: Vec<FamilyView>,
}

/// List the programs that signed in as oneself
#[utoipa::path(get, path = "/tokens", tag = "keys", extensions(("x-permission" = json!("session"))),
    responses((status = 200, body = FamilyList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<FamilyList>> {
    let all = state.identity.own_families(caller.principal()).await?;
    Ok(Json(FamilyList { items: all.into_iter().map(FamilyView::from).collect() }))
}

/// End a program's tokens
#[utoipa::path(delete, path = "/tokens/{id}", tag = "keys", extensions(("x-permission" = json!("session"))),
    params(("id" = String, Path, description = "Id of the program's sign-in")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn revoke(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let id = id.parse().map_err(|_| ApiError::not_found("token"))?;
    state.identity.revoke_own_family(caller.principal(), id, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}
