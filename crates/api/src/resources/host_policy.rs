//! The policy of one host: every value with where it comes from, and whether its agent runs it.

use std::collections::BTreeMap;

use axum::extract::State;
use guardian_catalog::Host;
use guardian_fleet::document::{Document, SYSTEM_SET};
use guardian_fleet::{Effective, ValueOrigin};
use guardian_identity::Permission;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::hosts::find;
use super::policies::default_document;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path};
use crate::state::ApiState;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// How a host stands with its policy.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostPolicyState {
    /// none (nobody ever said anything), applied, pending (the agent has not said that it runs it) or complaint (it runs it,
    /// but for some parts).
    pub(crate) state: String,
    /// Version of the policy that it is to run; 0 for none.
    pub(crate) version: i32,
    /// Version that its agent says it runs.
    pub(crate) applied_version: Option<u64>,
    /// What the agent cannot run, with reasons.
    pub(crate) complaints: Vec<String>,
    /// What options of its command line decide: `spool.mib_max=64`.
    pub(crate) overrides: Vec<String>,
}

impl HostPolicyState {
    pub(crate) fn new(host: &Host) -> Self {
        let health = &host.health;
        let runs = health.policy_version == u64::try_from(host.policy_version).ok()
            && health.policy_hash.as_deref() == Some(host.policy_hash.as_str());
        let state = match (host.policy_version, runs, health.policy_complaints.is_empty()) {
            (0, ..) => "none",
            (_, true, true) => "applied",
            (_, true, false) => "complaint",
            (_, false, _) => "pending",
        };
        Self {
            state: state.to_owned(),
            version: host.policy_version,
            applied_version: health.policy_version,
            complaints: health.policy_complaints.clone(),
            overrides: health.policy_overrides.clone(),
        }
    }
}

/// One value of a policy.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyValueView {
    /// Its dotted name: `intervals.health_s`.
    pub(crate) name: String,
    /// The value.
    #[schema(value_type = Value)]
    pub(crate) value: Value,
    /// default, policy, or local (an option of the agent's command line).
    pub(crate) origin: String,
    /// Id of the policy that says it.
    pub(crate) policy: Option<String>,
    /// Its name.
    pub(crate) policy_name: Option<String>,
    /// Its version.
    pub(crate) policy_version: Option<i32>,
    /// Name of the group that it is assigned to; null for every host.
    pub(crate) group: Option<String>,
}

/// The policy of a host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostPolicyView {
    /// How it stands with it.
    pub(crate) state: HostPolicyState,
    /// All policies of its groups as one, as the agent gets it.
    #[schema(value_type = Object)]
    pub(crate) document: Value,
    /// BLAKE3 of that as it is sent.
    pub(crate) hash: String,
    /// Groups whose expression it fits.
    pub(crate) matched_groups: Vec<String>,
    /// Every value, defaults included, by name.
    pub(crate) values: Vec<PolicyValueView>,
}

fn values(
    all: &Document,
    origins: &BTreeMap<String, ValueOrigin>,
    overrides: &[String],
) -> ApiResult<Vec<PolicyValueView>> {
    let mut values: BTreeMap<String, PolicyValueView> = BTreeMap::new();
    for (name, value) in all.said() {
        let origin = origins.get(&name);
        let view = PolicyValueView {
            name: name.clone(),
            value: serde_json::to_value(value).map_err(ApiError::internal)?,
            origin: if origin.is_some() { "policy" } else { "default" }.to_owned(),
            policy: origin.map(|o| o.policy.to_string()),
            policy_name: origin.map(|o| o.name.clone()),
            policy_version: origin.map(|o| o.version),
            group: origin.and_then(|o| o.group.clone()),
        };
        values.insert(name, view);
    }
    for (name, text) in overrides.iter().filter_map(|text| text.split_once('=')) {
        let view = PolicyValueView {
            name: name.to_owned(),
            value: serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            origin: "local".to_owned(),
            policy: None,
            policy_name: None,
            policy_version: None,
            group: None,
        };
        values.insert(name.to_owned(), view);
    }
    Ok(values.into_values().collect())
}

/// Show the policy of a host, and where each value comes from
#[utoipa::path(get, path = "/hosts/{id}/policy", tag = "policies", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id")),
    responses((status = 200, body = HostPolicyView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<HostPolicyView>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let host = find(&state, tenant, &id).await?;
    let (effective, values) = of_host(&state, &host).await?;
    Ok(Json(HostPolicyView {
        state: HostPolicyState::new(&host),
        document: serde_json::to_value(&effective.document).map_err(ApiError::internal)?,
        hash: effective.hash,
        matched_groups: effective.matched,
        values,
    }))
}

/// What holds for a host, and every value of it.
pub(super) async fn of_host(state: &ApiState, host: &Host) -> ApiResult<(Effective, Vec<PolicyValueView>)> {
    let effective = state.fleet.effective_policy(host).await?;
    let mut all = default_document(state);
    all.files.sets.entry(SYSTEM_SET.to_owned()).or_default();
    all.add(&effective.document);
    let values = values(&all, &effective.origins, &host.health.policy_overrides)?;
    Ok((effective, values))
}
