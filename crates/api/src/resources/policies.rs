//! Policies: what agents watch, how often, and what they keep; with their versions, and which hold for which groups.

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{Assignment, CatalogError, Policy, PolicyDraft, PolicyOrder};
use guardian_fleet::document::Document;
use guardian_fleet::read_document;
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(defaults))
        .routes(routes!(detail, update, remove))
        .routes(routes!(versions))
        .routes(routes!(order, put_order))
}

/// A policy for agents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentPolicyView {
    /// Id.
    pub(crate) id: String,
    /// Its version, from 1.
    pub(crate) version: i32,
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: String,
    /// What it says; what it does not say stays as earlier policies or the defaults have it.
    #[schema(value_type = Object)]
    pub(crate) document: Value,
    /// What keeps it from being run.
    pub(crate) issues: Vec<String>,
    /// Who changed it last.
    pub(crate) author: String,
    /// Since when it is here, RFC 3339.
    pub(crate) created: String,
    /// When it last changed, RFC 3339.
    pub(crate) updated: String,
}

impl From<Policy> for AgentPolicyView {
    fn from(policy: Policy) -> Self {
        Self {
            id: policy.id.to_string(),
            version: policy.version,
            name: policy.name,
            description: policy.description,
            issues: read_document(&policy.document).err().unwrap_or_default(),
            document: policy.document,
            author: policy.author,
            created: policy.created.to_string(),
            updated: policy.updated.to_string(),
        }
    }
}

/// Policies for agents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyList {
    /// By name.
    pub(crate) items: Vec<AgentPolicyView>,
}

/// List the policies for agents
#[utoipa::path(get, path = "/policies", tag = "policies", extensions(("x-permission" = json!("policies:read"))),
    responses((status = 200, body = PolicyList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<PolicyList>> {
    let tenant = caller.tenant(Permission::PoliciesRead).await?;
    let policies = state.catalog.scoped(&Scope::of(tenant)).policies(tenant).await?;
    Ok(Json(PolicyList { items: policies.into_iter().map(AgentPolicyView::from).collect() }))
}

/// What a policy is to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyBody {
    /// The version that was seen; only for changes.
    #[serde(default)]
    pub(crate) version: Option<i32>,
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    #[serde(default)]
    pub(crate) description: String,
    /// What it says. What is not known is refused; `GET /policies/defaults` shows everything that may be said.
    #[schema(value_type = Object)]
    pub(crate) document: Value,
    /// About this version.
    #[serde(default)]
    pub(crate) comment: Option<String>,
}

impl PolicyBody {
    fn draft(self) -> ApiResult<PolicyDraft> {
        if let Err(issues) = read_document(&self.document) {
            let text = format!("this policy cannot be run: {}", issues.join("; "));
            return Err(ApiError::invalid(text).with_issues(issues.into_iter().map(Value::from).collect()));
        }
        let Self { name, description, document, comment, .. } = self;
        Ok(PolicyDraft { name, description, document, comment })
    }
}

/// Make a policy for agents
///
/// It holds for nobody until it is assigned (`PUT /policy-order`).
#[utoipa::path(post, path = "/policies", tag = "policies", request_body = PolicyBody,
    extensions(("x-permission" = json!("policies:write"))),
    responses((status = 201, body = AgentPolicyView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<PolicyBody>,
) -> ApiResult<(StatusCode, Json<AgentPolicyView>)> {
    let tenant = caller.tenant(Permission::PoliciesWrite).await?;
    let draft = body.draft()?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let policy = tx.create_policy(&draft).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(policy.into())))
}

/// What agents do where no policy says otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyDefaults {
    /// Every value that there is one of, with its default.
    #[schema(value_type = Object)]
    pub(crate) document: Value,
    /// A document with an example of everything that has a name.
    #[schema(value_type = Object)]
    pub(crate) example: Value,
}

/// Show what agents do where no policy says otherwise
#[utoipa::path(get, path = "/policies/defaults", tag = "policies", extensions(("x-permission" = json!("policies:read"))),
    responses((status = 200, body = PolicyDefaults), (status = 403, body = Problem)))]
async fn defaults(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<PolicyDefaults>> {
    caller.tenant(Permission::PoliciesRead).await?;
    let document = serde_json::to_value(default_document(&state)).map_err(ApiError::internal)?;
    let example = json!({
        "files": {"sets": {
            "system": {"rules": [{"path": "/etc/lvm", "watch": []}]},
            "web": {"roots": ["/srv/www"], "rules": [{"path": "/srv/www/log", "watch": ["mode", "owner", "growing"]}]},
        }},
        "logs": {"follow": {"nginx": {"path": "/var/log/nginx/error.log", "form": "syslog"}}},
        "maintenance": {"patches": {
            "weekly": {"days": ["sat"], "start": "22:30", "minutes": 240, "utc_offset_minutes": 60},
            "paths": ["/usr", "/etc"],
        }},
    });
    Ok(Json(PolicyDefaults { document, example }))
}

/// What agents do where no policy says otherwise, with what this server's settings say.
pub(crate) fn default_document(state: &ApiState) -> Document {
    let mut document = Document::defaults();
    document.intervals.heartbeat_s = Some(u32::try_from(state.fleet.heartbeat().as_secs()).unwrap_or(u32::MAX).max(1));
    document
}

async fn find(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<Policy> {
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found("policy"))?;
    Ok(state.catalog.scoped(&Scope::of(tenant)).policy(id).await?)
}

/// Show a policy
#[utoipa::path(get, path = "/policies/{id}", tag = "policies", extensions(("x-permission" = json!("policies:read"))),
    params(("id" = String, Path, description = "Policy id")),
    responses((status = 200, body = AgentPolicyView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn detail(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<AgentPolicyView>> {
    let tenant = caller.tenant(Permission::PoliciesRead).await?;
    Ok(Json(find(&state, tenant, &id).await?.into()))
}

/// Change a policy
///
/// Hosts that it holds for run it within seconds. What it said before stays among its versions.
#[utoipa::path(put, path = "/policies/{id}", tag = "policies", request_body = PolicyBody,
    extensions(("x-permission" = json!("policies:write"))),
    params(("id" = String, Path, description = "Policy id")),
    responses((status = 200, body = AgentPolicyView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<PolicyBody>,
) -> ApiResult<Json<AgentPolicyView>> {
    let tenant = caller.tenant(Permission::PoliciesWrite).await?;
    let before = find(&state, tenant, &id).await?;
    let version = body.version.ok_or_else(|| ApiError::invalid("`version` is the version that was seen"))?;
    let draft = body.draft()?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    match tx.update_policy(before.id, version, &draft).await {
        Err(CatalogError::VersionConflict { .. }) => {
            drop(tx);
            Err(ApiError::version_conflict(&AgentPolicyView::from(find(&state, tenant, &id).await?)))
        }
        done => {
            let policy = done?;
            tx.commit().await?;
            Ok(Json(policy.into()))
        }
    }
}

/// Take a policy away
///
/// One that is assigned stays.
#[utoipa::path(delete, path = "/policies/{id}", tag = "policies", extensions(("x-permission" = json!("policies:write"))),
    params(("id" = String, Path, description = "Policy id")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let tenant = caller.tenant(Permission::PoliciesWrite).await?;
    let policy = find(&state, tenant, &id).await?;
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.delete_policy(policy.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a policy said once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyVersionView {
    /// Its number, from 1.
    pub(crate) version: i32,
    /// What it said.
    #[schema(value_type = Object)]
    pub(crate) document: Value,
    /// Who wrote it.
    pub(crate) author: String,
    /// What they said about it.
    pub(crate) comment: Option<String>,
    /// When, RFC 3339.
    pub(crate) created: String,
}

/// The versions of a policy.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyVersionList {
    /// Newest first.
    pub(crate) items: Vec<PolicyVersionView>,
}

/// List the versions of a policy
#[utoipa::path(get, path = "/policies/{id}/versions", tag = "policies",
    extensions(("x-permission" = json!("policies:read"))), params(("id" = String, Path, description = "Policy id")),
    responses((status = 200, body = PolicyVersionList), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn versions(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<PolicyVersionList>> {
    let tenant = caller.tenant(Permission::PoliciesRead).await?;
    let policy = find(&state, tenant, &id).await?;
    let versions = state.catalog.scoped(&Scope::of(tenant)).policy_versions(policy.id).await?;
    let view = |v: guardian_catalog::PolicyVersion| PolicyVersionView {
        version: v.version,
        document: v.document,
        author: v.author,
        comment: v.comment,
        created: v.created.to_string(),
    };
    Ok(Json(PolicyVersionList { items: versions.into_iter().map(view).collect() }))
}

/// A policy that holds for a group.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyAssignment {
    /// Id of the policy.
    pub(crate) policy: String,
    /// Id of the group; null for every host.
    #[serde(default)]
    pub(crate) group: Option<String>,
}

/// Which policies hold for which groups. What stands later replaces what earlier policies say, value by value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyOrderView {
    /// Grows with each change; 0 before the first.
    pub(crate) version: i32,
    /// In order.
    pub(crate) items: Vec<PolicyAssignment>,
    /// Who changed it last.
    pub(crate) author: String,
    /// When, RFC 3339; null before the first change.
    pub(crate) updated: Option<String>,
}

impl From<PolicyOrder> for PolicyOrderView {
    fn from(order: PolicyOrder) -> Self {
        let item = |item: Assignment| PolicyAssignment {
            policy: item.policy.to_string(),
            group: item.group.map(|group| group.to_string()),
        };
        Self {
            version: order.version,
            items: order.items.into_iter().map(item).collect(),
            author: order.author,
            updated: (order.version > 0).then(|| order.updated.to_string()),
        }
    }
}

/// Show which policies hold for which groups
#[utoipa::path(get, path = "/policy-order", tag = "policies", extensions(("x-permission" = json!("policies:read"))),
    responses((status = 200, body = PolicyOrderView), (status = 403, body = Problem)))]
async fn order(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<PolicyOrderView>> {
    let tenant = caller.tenant(Permission::PoliciesRead).await?;
    Ok(Json(state.catalog.scoped(&Scope::of(tenant)).policy_order(tenant).await?.into()))
}

/// Which policies are to hold for which groups.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutPolicyOrder {
    /// The version that was seen.
    pub(crate) version: i32,
    /// All assignments, in order.
    pub(crate) items: Vec<PolicyAssignment>,
}

/// Say which policies hold for which groups
///
/// Hosts run what follows within seconds.
#[utoipa::path(put, path = "/policy-order", tag = "policies", request_body = PutPolicyOrder,
    extensions(("x-permission" = json!("policies:write"))),
    responses((status = 200, body = PolicyOrderView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn put_order(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<PutPolicyOrder>,
) -> ApiResult<Json<PolicyOrderView>> {
    let tenant = caller.tenant(Permission::PoliciesWrite).await?;
    let id = |text: &str, what: &str| text.parse::<Uuid>().map_err(|_| ApiError::not_found(what));
    let item = |item: &PolicyAssignment| {
        let group = item.group.as_deref().map(|group| id(group, "group")).transpose()?;
        Ok(Assignment { policy: id(&item.policy, "policy")?, group })
    };
    let items = body.items.iter().map(item).collect::<ApiResult<Vec<_>>>()?;
    let scope = Scope::of(tenant);
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    match tx.put_policy_order(body.version, items).await {
        Err(CatalogError::VersionConflict { .. }) => {
            drop(tx);
            let now = state.catalog.scoped(&scope).policy_order(tenant).await?;
            Err(ApiError::version_conflict(&PolicyOrderView::from(now)))
        }
        done => {
            let order = done?;
            tx.commit().await?;
            Ok(Json(order.into()))
        }
    }
}
