//! The colleagues of a tenant: whom things can be given to and who can be mentioned.

use axum::extract::State;
use guardian_identity::Permission;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::{ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A colleague.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PersonView {
    /// User id.
    pub(crate) id: String,
    /// Sign-in name, as a mention writes it.
    pub(crate) name: String,
    /// Name for people.
    pub(crate) display_name: String,
}

/// Colleagues.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PeopleList {
    /// By name.
    pub(crate) items: Vec<PersonView>,
}

/// List the members of the tenant who may sign in, for assignment and mentions
#[utoipa::path(get, path = "/people", tag = "users", extensions(("x-permission" = json!("alerts:read"))),
    responses((status = 200, body = PeopleList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<PeopleList>> {
    let tenant = caller.tenant(Permission::AlertsRead).await?;
    let users = state.catalog.scoped(&guardian_model::Scope::of(tenant)).users().await?;
    let people = users.into_iter().map(|(user, _)| user).filter(|user| !user.disabled);
    let view =
        |u: guardian_catalog::User| PersonView { id: u.id.to_string(), name: u.name, display_name: u.display_name };
    Ok(Json(PeopleList { items: people.map(view).collect() }))
}
