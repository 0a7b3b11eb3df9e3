//! Groups of hosts: by name, or by an expression over what is known of a host.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{CatalogError, GroupDraft, HostFilter, HostGroup, HostSelection};
use guardian_fleet::{group_filter, host_facts};
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// Hosts that an expression is tried on.
const TRIED_MAX: u64 = 200_000;
/// Names of hosts that a trial answers with.
const EXAMPLES: usize = 20;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(detail, update, remove))
        .routes(routes!(try_expression))
}

/// A group of hosts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostGroupView {
    /// Id.
    pub(crate) id: String,
    /// Grows with each change.
    pub(crate) version: i32,
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: String,
    /// Which hosts are in it, in the filter language; null where hosts name the group.
    pub(crate) filter: Option<String>,
    /// What keeps the expression from working.
    pub(crate) issue: Option<String>,
    /// How many hosts are in it.
    pub(crate) hosts: u64,
    /// Who made it.
    pub(crate) author: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// When it last changed, RFC 3339.
    pub(crate) updated: String,
}

/// Groups of hosts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostGroupList {
    /// By name.
    pub(crate) items: Vec<HostGroupView>,
}

async fn view(state: &ApiState, group: HostGroup) -> ApiResult<HostGroupView> {
    let filter = HostFilter { group: Some(group.name.clone()), ..HostFilter::default() };
    let scope = Scope::of(group.tenant);
    let hosts = state.catalog.scoped(&scope).count_hosts(&filter).await?;
    let now = state.clock.now();
    Ok(HostGroupView {
        id: group.id.to_string(),
        version: group.version,
        issue: group.filter.as_deref().and_then(|text| group_filter(text, now).err()).map(|error| error.to_string()),
        name: group.name,
        description: group.description,
        filter: group.filter,
        hosts,
        author: group.author,
        created: group.created.to_string(),
        updated: group.updated.to_string(),
    })
}

/// List the groups of hosts
#[utoipa::path(get, path = "/host-groups", tag = "hosts", extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = HostGroupList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<HostGroupList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let mut items = Vec::new();
    for group in state.catalog.scoped(&Scope::of(tenant)).host_groups(tenant).await? {
        items.push(view(&state, group).await?);
    }
    Ok(Json(HostGroupList { items }))
}

/// What a group is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostGroupBody {
    /// Its name; it stays.
    pub(crate) name: String,
    /// What it is for.
    #[serde(default)]
    pub(crate) description: String,
    /// Which hosts are in it: `tag = web and os like debian*`. Without it the group has those that name it.
    #[serde(default)]
    pub(crate) filter: Option<String>,
}

fn draft(state: &ApiState, description: String, filter: Option<String>) -> ApiResult<GroupDraft> {
    if let Some(text) = &filter {
        group_filter(text, state.clock.now()).map_err(|error| ApiError::invalid(error.to_string()))?;
    }
    Ok(GroupDraft { description, filter })
}

/// Make a group of hosts
///
/// A group without an expression has the hosts that name it, those that already do as well.
#[utoipa::path(post, path = "/host-groups", tag = "hosts", request_body = HostGroupBody,
    extensions(("x-permission" = json!("policies:write"))),
    responses((status = 201, body = HostGroupView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<HostGroupBody>,
) -> ApiResult<(StatusCode, Json<HostGroupView>)> {
    let tenant = caller.tenant(Permission::PoliciesWrite).await?;
    let draft = draft(&state, body.description, body.filter)?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let group = tx.create_host_group(&body.name, &draft).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(view(&state, group).await?)))
}

async fn find(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<HostGroup> {
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found("group"))?;
    Ok(state.catalog.scoped(&Scope::of(tenant)).host_group(id).await?)
}

/// Show a group of hosts
#[utoipa::path(get, path = "/host-groups/{id}", tag = "hosts", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Group id")),
    responses((status = 200, body = HostGroupView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn detail(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<HostGroupView>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    Ok(Json(view(&state, find(&state, tenant, &id).await?).await?))
}

/// What a group is to become.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeHostGroup {
    /// The version that was seen.
    pub(crate) version: i32,
    /// What it is for.
    #[serde(default)]
    pub(crate) description: String,
    /// Which hosts are in it; null where hosts name the group.
    #[serde(default)]
    pub(crate) filter: Option<String>,
}

/// Change a group of hosts
///
/// Its hosts run the policies that follow within seconds.
#[utoipa::path(put, path = "/host-groups/{id}", tag = "hosts", request_body = ChangeHostGroup,
    extensions(("x-permission" = json!("policies:write"))),
    params(("id" = String, Path, description = "Group id")),
    responses((status = 200, body = HostGroupView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ChangeHostGroup>,
) -> ApiResult<Json<HostGroupView>> {
    let tenant = caller.tenant(Permission::PoliciesWrite).await?;
    let before = find(&state, tenant, &id).await?;
    let draft = draft(&state, body.description, body.filter)?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    match tx.update_host_group(before.id, body.version, &draft).await {
        Err(CatalogError::VersionConflict { .. }) => {
            drop(tx);
            Err(ApiError::version_conflict(&view(&state, find(&state, tenant, &id).await?).await?))
        }
        done => {
            let group = done?;
            tx.commit().await?;
            Ok(Json(view(&state, group).await?))
        }
    }
}

/// Take a group of hosts away
///
/// One that a policy is assigned to stays. Hosts that name the group go on naming it.
#[utoipa::path(delete, path = "/host-groups/{id}", tag = "hosts", extensions(("x-permission" = json!("policies:write"))),
    params(("id" = String, Path, description = "Group id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::PoliciesWrite).await?;
    let group = find(&state, tenant, &id).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.delete_host_group(group.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An expression to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TryExpression {
    /// The expression.
    pub(crate) filter: String,
}

/// What an expression means now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriedExpression {
    /// What is wrong with it, in place; null where nothing is.
    pub(crate) issue: Option<String>,
    /// How many hosts fit.
    pub(crate) hosts: u64,
    /// Names of some of them.
    pub(crate) examples: Vec<String>,
    /// What it may ask of a host.
    pub(crate) fields: Vec<FactView>,
}

/// Something that an expression may ask of a host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FactView {
    /// Its name.
    pub(crate) name: String,
    /// text, label, ip or time.
    pub(crate) kind: String,
    /// What it is.
    pub(crate) doc: String,
}

/// Try an expression on the hosts of the tenant
#[utoipa::path(post, path = "/host-groups/try", tag = "hosts", request_body = TryExpression,
    extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = TriedExpression), (status = 403, body = Problem)))]
async fn try_expression(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<TryExpression>,
) -> ApiResult<Json<TriedExpression>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let fact = |field: &guardian_model::Field| FactView {
        name: field.name.to_owned(),
        kind: field.kind.name().to_owned(),
        doc: field.doc.to_owned(),
    };
    let fields = guardian_fleet::HOST_FACTS.fields.iter().map(fact).collect();
    let now = state.clock.now();
    let filter = match group_filter(&body.filter, now) {
        Ok(filter) => filter,
        Err(error) => {
            let issue = Some(error.to_string());
            return Ok(Json(TriedExpression { issue, hosts: 0, examples: Vec::new(), fields }));
        }
    };
    let all = state.catalog.scoped(&Scope::of(tenant)).selected_hosts(&HostSelection::default(), TRIED_MAX).await?;
    let fitting = all.into_iter().filter(|host| host_facts(host, now).is_some_and(|facts| filter.passes(&facts)));
    let mut names: Vec<String> = fitting.map(|host| host.name).collect();
    names.sort();
    let hosts = names.len() as u64;
    names.truncate(EXAMPLES);
    Ok(Json(TriedExpression { issue: None, hosts, examples: names, fields }))
}
