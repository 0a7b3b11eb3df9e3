//! Rollouts: a release of the agent on its way to hosts, in stages that must prove themselves.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use guardian_catalog::{
    HostSelection, ROLLOUT_PAGE_MAX, ROLLOUT_STAGES_MAX, Rollout, RolloutChange, RolloutHost, RolloutHostState,
    RolloutPlan, RolloutStage, RolloutState,
};
use guardian_identity::Permission;
use guardian_model::{Scope, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Hosts of one rollout.
const HOSTS_MAX: u64 = 200_000;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, start))
        .routes(routes!(detail))
        .routes(routes!(decide))
        .routes(routes!(hosts))
        .routes(routes!(of_host))
}

/// One stage of a rollout.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolloutStageBody {
    /// Hosts in this group, by name or by expression; all where nothing is said.
    #[serde(default)]
    pub(crate) group: Option<String>,
    /// And of them those that fit this expression, in the language of filters.
    #[serde(default)]
    pub(crate) filter: Option<String>,
    /// And of them this part, in hundredths; hosts of earlier stages are among them.
    #[serde(default = "all")]
    pub(crate) percent: u8,
    /// How long to wait before the next stage, once this one has passed, in seconds.
    #[serde(default)]
    pub(crate) wait_s: u32,
}

const fn all() -> u8 {
    100
}

/// How far a stage is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RolloutStageView {
    /// What it is.
    #[serde(flatten)]
    pub(crate) stage: RolloutStageBody,
    /// How many hosts are waiting, offered, fetching, trying, connected, done, refused, failed, rolled_back, going_back or
    /// reverted; those that are none are left out.
    pub(crate) states: BTreeMap<String, u64>,
}

/// A release on its way to hosts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RolloutView {
    /// Id.
    pub(crate) id: String,
    /// Grows with each change.
    pub(crate) version: i32,
    /// The version that hosts get.
    pub(crate) release_version: String,
    /// running, paused, done, failed or aborted.
    pub(crate) state: String,
    /// Why it stands as it does.
    pub(crate) reason: String,
    /// The stage that it is in, from 1.
    pub(crate) stage: u32,
    /// Since when, RFC 3339.
    pub(crate) stage_since: String,
    /// When the stage had passed, RFC 3339.
    pub(crate) stage_passed: Option<String>,
    /// The stages, in order.
    pub(crate) stages: Vec<RolloutStageView>,
    /// How many of the hosts of a stage that began must come back with it, in hundredths.
    pub(crate) success_percent: u8,
    /// Within which time, in seconds.
    pub(crate) within_s: u32,
    /// How long the new program has on a host to prove that it reaches the server, in seconds.
    pub(crate) prove_within_s: u32,
    /// Bytes a second that a host fetches at most; 0 for no limit.
    pub(crate) bytes_per_s: u64,
    /// Hosts that may be at it at once.
    pub(crate) at_once: u32,
    /// Whether hosts that have it go back where the rollout fails.
    pub(crate) roll_back: bool,
    /// Whether it is tried too where it was rolled back before.
    pub(crate) again: bool,
    /// How many hosts it is for.
    pub(crate) hosts: u32,
    /// Who began it.
    pub(crate) author: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// When it last changed, RFC 3339.
    pub(crate) updated: String,
}

impl From<Rollout> for RolloutView {
    fn from(rollout: Rollout) -> Self {
        let plan = rollout.plan;
        let mut states = rollout.states.into_iter();
        let stages = plan.stages.into_iter().map(|stage| RolloutStageView {
            stage: RolloutStageBody {
                group: stage.group,
                filter: stage.filter,
                percent: stage.percent,
                wait_s: stage.wait_s,
            },
            states: states.next().unwrap_or_default().into_iter().map(|(s, n)| (s.to_string(), n)).collect(),
        });
        Self {
            stages: stages.collect(),
            id: rollout.id.to_string(),
            version: rollout.version,
            release_version: rollout.release_version,
            state: rollout.state.to_string(),
            reason: rollout.reason,
            stage: rollout.stage + 1,
            stage_since: rollout.stage_since.to_string(),
            stage_passed: rollout.stage_passed.map(|t| t.to_string()),
            success_percent: plan.success_percent,
            within_s: plan.within_s,
            prove_within_s: plan.prove_within_s,
            bytes_per_s: plan.bytes_per_s,
            at_once: plan.at_once,
            roll_back: plan.roll_back,
            again: plan.again,
            hosts: rollout.hosts,
            author: rollout.author,
            created: rollout.created.to_string(),
            updated: rollout.updated.to_string(),
        }
    }
}

/// How far a host has come with a release.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RolloutHostView {
    /// Id of the host.
    pub(crate) host: String,
    /// Its name at that time.
    pub(crate) host_name: String,
    /// The rollout.
    pub(crate) rollout: String,
    /// The release.
    pub(crate) release: String,
    /// The stage, from 1.
    pub(crate) stage: u32,
    /// waiting, offered, fetching, trying, connected, done, refused, failed, rolled_back, going_back or reverted.
    pub(crate) state: String,
    /// The version that it had.
    pub(crate) from_version: String,
    /// Bytes that it fetched.
    pub(crate) fetched: u64,
    /// What it says, for people.
    pub(crate) text: String,
    /// When it was offered, RFC 3339.
    pub(crate) offered: Option<String>,
    /// When it ended, RFC 3339.
    pub(crate) ended: Option<String>,
    /// When something last changed, RFC 3339.
    pub(crate) updated: String,
}

impl From<RolloutHost> for RolloutHostView {
    fn from(host: RolloutHost) -> Self {
        Self {
            host: host.host.to_string(),
            host_name: host.host_name,
            rollout: host.rollout.to_string(),
            release: host.release.to_string(),
            stage: host.stage + 1,
            state: host.state.to_string(),
            from_version: host.from_version,
            fetched: host.fetched,
            text: host.text,
            offered: host.offered.map(|t| t.to_string()),
            ended: host.ended.map(|t| t.to_string()),
            updated: host.updated.to_string(),
        }
    }
}

/// The newest rollouts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RolloutList {
    /// The newest first, at most 100.
    pub(crate) items: Vec<RolloutView>,
}

/// List the rollouts of the agent
#[utoipa::path(get, path = "/rollouts", tag = "releases", extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = RolloutList), (status = 403, body = Problem)))]
async fn list(State(state): State<ApiState>, caller: Caller) -> ApiResult<Json<RolloutList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let rollouts = state.catalog.scoped(&Scope::of(tenant)).rollouts(None, 100).await?;
    Ok(Json(RolloutList { items: rollouts.into_iter().map(RolloutView::from).collect() }))
}

/// A rollout to start.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartRollout {
    /// The version that hosts get; there must be a release of it.
    pub(crate) release_version: String,
    /// The stages, in order. A host is in the first one that it fits; those that fit none are left out.
    pub(crate) stages: Vec<RolloutStageBody>,
    /// How many of the hosts of a stage that began must come back with it, in hundredths; 95 if nothing is said.
    #[serde(default)]
    pub(crate) success_percent: Option<u8>,
    /// Within which time, in seconds; half an hour if nothing is said.
    #[serde(default)]
    pub(crate) within_s: Option<u32>,
    /// How long the new program has on a host to prove that it reaches the server, in seconds; two minutes if nothing is
    /// said.
    #[serde(default)]
    pub(crate) prove_within_s: Option<u32>,
    /// Bytes a second that a host fetches at most; 2 MiB if nothing is said, 0 for no limit.
    #[serde(default)]
    pub(crate) bytes_per_s: Option<u64>,
    /// Hosts that may be at it at once; 50 if nothing is said.
    #[serde(default)]
    pub(crate) at_once: Option<u32>,
    /// Whether hosts that have it go back where the rollout fails; they do if nothing is said.
    #[serde(default)]
    pub(crate) roll_back: Option<bool>,
    /// Try it too where it was rolled back before.
    #[serde(default)]
    pub(crate) again: bool,
}

impl StartRollout {
    fn plan(self) -> ApiResult<RolloutPlan> {
        let within = |value: u32, from: u32, to: u32, what: &str| {
            let ok = (from..=to).contains(&value);
            if ok { Ok(value) } else { Err(ApiError::invalid(format!("`{what}` is from {from} to {to}"))) }
        };
        if self.stages.is_empty() || self.stages.len() > ROLLOUT_STAGES_MAX {
            return Err(ApiError::invalid(format!("a rollout has 1 to {ROLLOUT_STAGES_MAX} stages")));
        }
        let success = within(self.success_percent.unwrap_or(95).into(), 0, 100, "success_percent")?;
        let stages = self.stages.into_iter().map(|stage| RolloutStage {
            group: stage.group,
            filter: stage.filter,
            percent: stage.percent,
            wait_s: stage.wait_s.min(90 * 86_400),
        });
        Ok(RolloutPlan {
            stages: stages.collect(),
            success_percent: success as u8,
            within_s: within(self.within_s.unwrap_or(1_800), 5, 30 * 86_400, "within_s")?,
            prove_within_s: within(self.prove_within_s.unwrap_or(120), 2, 3_600, "prove_within_s")?,
            bytes_per_s: self.bytes_per_s.unwrap_or(2 << 20),
            at_once: within(self.at_once.unwrap_or(50), 1, 20_000, "at_once")?,
            roll_back: self.roll_back.unwrap_or(true),
            again: self.again,
        })
    }
}

/// Start a rollout of the agent
///
/// Sensitive: a session must have proved itself lately. Which hosts are in which stage is decided now; hosts that are not there
/// get the release when they are back. One rollout is under way at a time.
#[utoipa::path(post, path = "/rollouts", tag = "releases", request_body = StartRollout,
    extensions(("x-permission" = json!("hosts:upgrade"))),
    responses((status = 201, body = RolloutView), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn start(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<StartRollout>,
) -> ApiResult<(StatusCode, Json<RolloutView>)> {
    let tenant = caller.sensitive(Permission::HostsUpgrade).await?;
    let version = body.release_version.clone();
    let plan = body.plan()?;
    let scope = Scope::of(tenant);
    let mut hosts = state.catalog.scoped(&scope).selected_hosts(&HostSelection::default(), HOSTS_MAX).await?;
    hosts.retain(|host| host.revoked.is_none());
    let stages = guardian_fleet::stages(Uuid::now_v7(), &plan.stages, &hosts, state.clock.now())
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    let releases = tx.releases_of(&version).await?;
    if releases.is_empty() {
        return Err(ApiError::invalid(format!("there is no release {version}")));
    }
    let fitting = |host: &guardian_catalog::Host| {
        let fits =
            |r: &&guardian_catalog::AgentRelease| r.platform == host.platform && r.architecture == host.architecture;
        releases.iter().find(fits).map(|release| release.id)
    };
    let sorted: Vec<_> = hosts
        .into_iter()
        .zip(stages)
        .filter_map(|(host, stage)| {
            let release = fitting(&host)?;
            // What it runs already needs no rollout.
            (host.program != version).then_some(())?;
            Some((host, stage?, release))
        })
        .collect();
    if sorted.is_empty() {
        return Err(ApiError::invalid("no host fits that does not run it already"));
    }
    let rollout = tx.create_rollout(&version, &plan, &sorted).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(rollout.into())))
}

async fn find(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<Rollout> {
    let id: Uuid = id.parse().map_err(|_| ApiError::not_found("rollout"))?;
    Ok(state.catalog.scoped(&Scope::of(tenant)).rollout(id).await?)
}

/// Show a rollout of the agent
#[utoipa::path(get, path = "/rollouts/{id}", tag = "releases", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Rollout id")),
    responses((status = 200, body = RolloutView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn detail(State(state): State<ApiState>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<RolloutView>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    Ok(Json(find(&state, tenant, &id).await?.into()))
}

/// What is decided about a rollout.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideRollout {
    /// pause, resume, abort, or roll_back: abort, and have hosts that have the release go back.
    pub(crate) action: String,
    /// Why, for the audit trail.
    #[serde(default)]
    pub(crate) reason: String,
}

/// Pause, resume or abort a rollout of the agent, or have its hosts go back
///
/// Sensitive: a session must have proved itself lately. Hosts that are fetching leave it; one that is trying the release comes to
/// its end.
#[utoipa::path(post, path = "/rollouts/{id}/decide", tag = "releases", request_body = DecideRollout,
    extensions(("x-permission" = json!("hosts:upgrade"))), params(("id" = String, Path, description = "Rollout id")),
    responses((status = 200, body = RolloutView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn decide(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<DecideRollout>,
) -> ApiResult<Json<RolloutView>> {
    let tenant = caller.sensitive(Permission::HostsUpgrade).await?;
    let before = find(&state, tenant, &id).await?;
    let (to, audit, from): (_, _, &[RolloutState]) = match body.action.as_str() {
        "pause" => (RolloutState::Paused, "rollout.pause", &[RolloutState::Running]),
        "resume" => (RolloutState::Running, "rollout.resume", &[RolloutState::Paused, RolloutState::Failed]),
        "abort" => (RolloutState::Aborted, "rollout.abort", &[RolloutState::Running, RolloutState::Paused]),
        "roll_back" => (RolloutState::Aborted, "rollout.roll_back", RolloutState::ALL),
        other => return Err(ApiError::invalid(format!("`{other}` is not pause, resume, abort or roll_back"))),
    };
    if !from.contains(&before.state) {
        let text = format!("the rollout is {}: this cannot be done now", before.state);
        return Err(ApiError::new(StatusCode::CONFLICT, "rollout-state", text));
    }
    // A stage that is taken up again has its time anew.
    let fresh = to == RolloutState::Running;
    let change = RolloutChange {
        state: to,
        stage: before.stage,
        stage_since: if fresh { state.clock.now() } else { before.stage_since },
        stage_passed: before.stage_passed,
        reason: body.reason,
        roll_back: body.action == "roll_back",
    };
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    let rollout = tx.change_rollout(before.id, before.version, audit, &change).await?;
    tx.commit().await?;
    Ok(Json(rollout.into()))
}

/// Which hosts of a rollout.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RolloutHostQuery {
    /// Those in this state.
    pub(crate) state: Option<String>,
    /// Most hosts to answer with, at most 500.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`. The state comes from the cursor.
    pub(crate) cursor: Option<String>,
}

/// What a cursor carries.
#[derive(Serialize, Deserialize)]
struct HostPlace {
    state: Option<RolloutHostState>,
    after: Option<Uuid>,
}

/// One page of the hosts of a rollout.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RolloutHostList {
    /// The hosts.
    pub(crate) items: Vec<RolloutHostView>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List how far hosts have come with a rollout
#[utoipa::path(get, path = "/rollouts/{id}/hosts", tag = "releases", params(RolloutHostQuery,
    ("id" = String, Path, description = "Rollout id")), extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = RolloutHostList), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn hosts(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<RolloutHostQuery>,
) -> ApiResult<Json<RolloutHostList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let rollout = find(&state, tenant, &id).await?;
    let mut place: HostPlace = match &query.cursor {
        Some(cursor) => state.cursors.open(cursor)?,
        None => {
            let wanted = query.state.as_deref().map(str::parse::<RolloutHostState>).transpose();
            HostPlace { state: wanted.map_err(ApiError::invalid)?, after: None }
        }
    };
    let limit = query.limit.unwrap_or(100).clamp(1, ROLLOUT_PAGE_MAX);
    let scope = Scope::of(tenant);
    let found = state.catalog.scoped(&scope).rollout_hosts(rollout.id, place.state, place.after, limit).await?;
    place.after = found.last().map(|host| host.id);
    let next_cursor = if found.len() as u64 == limit { Some(state.cursors.seal(&place)?) } else { None };
    Ok(Json(RolloutHostList { items: found.into_iter().map(RolloutHostView::from).collect(), next_cursor }))
}

/// What a host has to do with rollouts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostUpgradeView {
    /// Version of the program that it runs.
    pub(crate) agent_version: String,
    /// How far it is with the newest rollout that it is in.
    pub(crate) rollout: Option<RolloutHostView>,
}

/// Show how far a host is with the newest release that it was to get
#[utoipa::path(get, path = "/hosts/{id}/upgrade", tag = "releases", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id")),
    responses((status = 200, body = HostUpgradeView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn of_host(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<HostUpgradeView>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let host = super::hosts::find(&state, tenant, &id).await?;
    let rollout = state.catalog.scoped(&Scope::of(tenant)).rollout_of_host(host.id).await?;
    Ok(Json(HostUpgradeView { agent_version: host.program, rollout: rollout.map(RolloutHostView::from) }))
}
