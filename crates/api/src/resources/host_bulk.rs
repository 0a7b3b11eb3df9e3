//! What is done to many hosts at once: tags and groups. Which hosts, a selection says.

use axum::extract::State;
use guardian_catalog::{HOSTS_AT_ONCE_MAX, Host, HostFilter, HostSelection, HostStatus, LabelChange};
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::Json;
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(label))
}

/// Which hosts: those with these ids, and of them those that fit everything else that is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HostSelectionBody {
    /// Ids of hosts; empty for all that fit.
    pub(crate) ids: Vec<String>,
    /// Every host of the tenant, where nothing else is said.
    pub(crate) all: bool,
    /// online, offline or never.
    pub(crate) status: Option<String>,
    /// linux, windows or other.
    pub(crate) platform: Option<String>,
    /// With this tag.
    pub(crate) tag: Option<String>,
    /// In this group, by name or by expression.
    pub(crate) group: Option<String>,
    /// With this version of the agent's program.
    pub(crate) agent_version: Option<String>,
    /// Whose name, operating system, kernel or address contains this text.
    pub(crate) search: Option<String>,
    /// How many hosts the caller saw; another number is refused.
    pub(crate) expected: Option<u64>,
}

impl HostSelectionBody {
    /// The hosts that are meant now, at most `max`.
    pub(crate) async fn hosts(
        &self,
        state: &ApiState,
        caller: &Caller,
        tenant: TenantId,
        max: u64,
    ) -> ApiResult<Vec<Host>> {
        let ids = self.ids.iter().map(|id| id.parse().map_err(|_| ApiError::not_found("host")));
        let status = self.status.as_deref().map(str::parse::<HostStatus>).transpose();
        let filter = HostFilter {
            status: status.map_err(ApiError::invalid)?,
            platform: self.platform.clone(),
            tag: self.tag.clone(),
            group: self.group.clone(),
            program: self.agent_version.clone(),
            trouble: None,
            search: self.search.as_ref().map(|text| caller.searched(text)),
        };
        let selection = HostSelection { ids: ids.collect::<ApiResult<_>>()?, filter };
        if selection == HostSelection::default() && !self.all {
            return Err(ApiError::invalid("which hosts? Name ids, a filter, or `all`"));
        }
        let hosts = state.catalog.scoped(&Scope::of(tenant)).selected_hosts(&selection, max).await?;
        let found = hosts.len() as u64;
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            let text = format!("these are {found} hosts now, not {expected}: look again");
            return Err(ApiError::new(axum::http::StatusCode::CONFLICT, "selection-changed", text));
        }
        Ok(hosts)
    }
}

/// Tags and groups to add and to take away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelHosts {
    /// Which hosts.
    pub(crate) hosts: HostSelectionBody,
    /// Tags that they get.
    #[serde(default)]
    pub(crate) add_tags: Vec<String>,
    /// Tags that they lose.
    #[serde(default)]
    pub(crate) remove_tags: Vec<String>,
    /// Groups that they get into.
    #[serde(default)]
    pub(crate) add_groups: Vec<String>,
    /// Groups that they leave.
    #[serde(default)]
    pub(crate) remove_groups: Vec<String>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LabelledHosts {
    /// Hosts that were meant.
    pub(crate) hosts: u64,
    /// Hosts that are different now.
    pub(crate) changed: u64,
    /// Their ids: the opposite change of these takes it back.
    pub(crate) ids: Vec<Uuid>,
}

/// Change tags and groups of many hosts at once
#[utoipa::path(post, path = "/hosts/labels", tag = "hosts", request_body = LabelHosts,
    extensions(("x-permission" = json!("hosts:manage"))),
    responses((status = 200, body = LabelledHosts), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn label(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<LabelHosts>,
) -> ApiResult<Json<LabelledHosts>> {
    let tenant = caller.tenant(Permission::HostsManage).await?;
    let hosts = body.hosts.hosts(&state, &caller, tenant, HOSTS_AT_ONCE_MAX).await?;
    let change = LabelChange {
        add_tags: body.add_tags,
        remove_tags: body.remove_tags,
        add_groups: body.add_groups,
        remove_groups: body.remove_groups,
    };
    let ids: Vec<_> = hosts.iter().map(|host| host.id).collect();
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let changed = tx.label_hosts(&ids, &change).await?;
    tx.commit().await?;
    let (hosts, ids) = (ids.len() as u64, changed.into_iter().map(|host| host.id).collect::<Vec<_>>());
    Ok(Json(LabelledHosts { hosts, changed: ids.len() as u64, ids }))
}
