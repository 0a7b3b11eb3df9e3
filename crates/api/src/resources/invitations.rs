//! Ways in by link: invitations, links to set a password, and self-registration.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use guardian_catalog::AccessLink;
use guardian_identity::{Invitation, MadeLink, Permission, Registration};
use guardian_model::Scope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::session::{Visitor, WhoView, signed_in};
use super::users::find;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// How long an invitation works if nobody says, in hours.
const INVITATION_HOURS: u32 = 72;
/// How long a link to set a password works if nobody says, in hours.
const RESET_HOURS: u32 = 24;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, invite))
        .routes(routes!(revoke))
        .routes(routes!(reset_link))
        .routes(routes!(look))
        .routes(routes!(redeem))
        .routes(routes!(register))
}

/// An open link, without its token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvitationView {
    /// Id, no secret.
    pub(crate) id: String,
    /// invitation or password_reset.
    pub(crate) kind: String,
    /// The role that the invited get.
    pub(crate) role: Option<String>,
    /// Sign-in name.
    pub(crate) name: Option<String>,
    /// Where it is sent to.
    pub(crate) email: Option<String>,
    /// When it was made, RFC 3339.
    pub(crate) created: String,
    /// Who made it.
    pub(crate) created_by: String,
    /// Until when it works, RFC 3339.
    pub(crate) expires: String,
}

impl From<AccessLink> for InvitationView {
    fn from(link: AccessLink) -> Self {
        Self {
            id: link.id.to_string(),
            kind: link.kind.to_string(),
            role: link.role,
            name: link.name,
            email: link.email,
            created: link.created.to_string(),
            created_by: link.created_by,
            expires: link.expires.to_string(),
        }
    }
}

/// Open links.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvitationList {
    /// Newest first.
    pub(crate) items: Vec<InvitationView>,
}

/// A link that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct LinkMade {
    /// What is kept of it.
    #[serde(flatten)]
    pub(crate) link: InvitationView,
    /// The token: shown once, kept nowhere.
    pub(crate) token: String,
    /// Where the link points on this server; the token is in the fragment, which browsers keep to themselves.
    pub(crate) path: String,
}

impl From<MadeLink> for LinkMade {
    fn from(made: MadeLink) -> Self {
        let token = made.token.to_string();
        Self { path: format!("/link#{token}"), link: made.link.into(), token }
    }
}

/// List the open invitations and password links
#[utoipa::path(get, path = "/invitations", tag = "users", extensions(("x-permission" = json!("users:read"))),
    responses((status = 200, body = InvitationList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<InvitationList>> {
    let tenant = caller.tenant(Permission::UsersRead).await?;
    let links = state.catalog.scoped(&Scope::of(tenant)).links().await?;
    Ok(Json(InvitationList { items: links.into_iter().map(InvitationView::from).collect() }))
}

/// Somebody to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invite {
    /// admin, operator, viewer or one of the tenant's own roles.
    pub(crate) role: String,
    /// Where the link is sent to, for the record.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// Sign-in name; without it, the invited choose.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// How long the link works, 1 to 720, 72 unless told.
    #[serde(default)]
    pub(crate) expires_hours: Option<u32>,
}

/// Invite somebody by link
#[utoipa::path(post, path = "/invitations", tag = "users", request_body = Invite,
    extensions(("x-permission" = json!("users:manage"))),
    responses((status = 201, body = LinkMade), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn invite(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<Invite>,
) -> ApiResult<(StatusCode, Json<LinkMade>)> {
    let tenant = caller.sensitive(Permission::UsersManage).await?;
    let invitation = Invitation {
        role: body.role,
        name: body.name,
        email: body.email,
        hours: body.expires_hours.unwrap_or(INVITATION_HOURS),
    };
    let made = state.identity.invite(caller.principal(), tenant, &invitation, caller.origin()).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Take a link back
#[utoipa::path(delete, path = "/invitations/{id}", tag = "users", extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Link id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn revoke(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::UsersManage).await?;
    let id = id.parse().map_err(|_| ApiError::not_found("link"))?;
    state.identity.revoke_link(caller.principal(), tenant, id, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How long a link works.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ResetLink {
    /// Hours, 1 to 720, 24 unless told.
    pub(crate) expires_hours: Option<u32>,
}

/// Make a link by which somebody sets a new password
#[utoipa::path(post, path = "/users/{id}/reset-link", tag = "users", request_body = ResetLink,
    extensions(("x-permission" = json!("users:manage"))),
    params(("id" = String, Path, description = "Id or sign-in name")),
    responses((status = 201, body = LinkMade), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn reset_link(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ResetLink>,
) -> ApiResult<(StatusCode, Json<LinkMade>)> {
    let tenant = caller.sensitive(Permission::UsersManage).await?;
    let id = find(&state, tenant, &id).await?;
    let hours = body.expires_hours.unwrap_or(RESET_HOURS);
    let made = state.identity.reset_link(caller.principal(), tenant, id, hours, caller.origin()).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// A link's token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkToken {
    /// The part of the link after `#`.
    pub(crate) token: String,
}

/// What a link is for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkView {
    /// invitation or password_reset.
    pub(crate) kind: String,
    /// Who invites.
    pub(crate) tenant_name: String,
    /// Sign-in name, if it is settled.
    pub(crate) name: Option<String>,
    /// Where the link was sent to.
    pub(crate) email: Option<String>,
    /// The role that the invited get.
    pub(crate) role: Option<String>,
    /// Until when it works, RFC 3339.
    pub(crate) expires: String,
}

/// What a link is for
#[utoipa::path(post, path = "/links/look", tag = "session", request_body = LinkToken, security(()),
    extensions(("x-permission" = json!("public"))),
    responses((status = 200, body = LinkView), (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn look(
    State(state): State<ApiState>,
    visitor: Visitor,
    Json(body): Json<LinkToken>,
) -> ApiResult<Json<LinkView>> {
    let seen = state.identity.look_at_link(&body.token, &visitor.0).await?;
    Ok(Json(LinkView {
        kind: seen.link.kind.to_string(),
        tenant_name: seen.tenant_name,
        name: seen.link.name,
        email: seen.link.email,
        role: seen.link.role,
        expires: seen.link.expires.to_string(),
    }))
}

/// What whoever opens a link enters.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redeem {
    /// The part of the link after `#`.
    pub(crate) token: String,
    /// The new password.
    #[schema(format = Password)]
    pub(crate) password: String,
    /// Sign-in name, where the invitation leaves it open.
    #[serde(default)]
    pub(crate) name: String,
    /// Name for people, for invitations.
    #[serde(default)]
    pub(crate) display_name: String,
}

/// Use a link: make the invited account or set the new password, and sign in
#[utoipa::path(post, path = "/links/redeem", tag = "session", request_body = Redeem, security(()),
    extensions(("x-permission" = json!("public"))),
    responses((status = 200, body = WhoView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn redeem(State(state): State<ApiState>, visitor: Visitor, Json(body): Json<Redeem>) -> ApiResult<Response> {
    let done =
        state.identity.redeem_link(&body.token, &body.name, &body.display_name, &body.password, &visitor.0).await?;
    signed_in(&state, &done, &visitor.0).await
}

/// Somebody who registers themselves.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Register {
    /// Sign-in name.
    pub(crate) name: String,
    /// Name for people.
    #[serde(default)]
    pub(crate) display_name: String,
    /// Where to write to.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// Password.
    #[schema(format = Password)]
    pub(crate) password: String,
    /// Short name of the tenant; the installation's own unless told.
    #[serde(default)]
    pub(crate) tenant: Option<String>,
}

/// What became of a registration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Registered {
    /// Always `pending`: an administrator decides.
    pub(crate) status: &'static str,
}

/// Register oneself, where that is switched on
///
/// The account waits for an administrator. A name that is taken gets the same answer.
#[utoipa::path(post, path = "/registrations", tag = "session", request_body = Register, security(()),
    extensions(("x-permission" = json!("public"))),
    responses((status = 202, body = Registered), (status = 403, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
async fn register(
    State(state): State<ApiState>,
    visitor: Visitor,
    Json(body): Json<Register>,
) -> ApiResult<(StatusCode, Json<Registered>)> {
    let registration = Registration {
        tenant: body.tenant,
        name: body.name,
        display_name: body.display_name,
        email: body.email,
        password: body.password,
    };
    state.identity.register(&registration, &visitor.0).await?;
    Ok((StatusCode::ACCEPTED, Json(Registered { status: "pending" })))
}
