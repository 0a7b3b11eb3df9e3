//! Rollouts: a version of the agent's program on its way to hosts, in stages. What a stage must reach before the next one
//! begins is the business of the crate `fleet`; how far each host is stands in [`super::rollout_hosts`].

use std::collections::BTreeMap;

use guardian_model::{Micros, TenantId};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait as _, IntoActiveModel as _,
    QueryFilter, QueryOrder, QuerySelect,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::releases::AgentRelease;
use super::rollout_hosts::{self, RolloutHostState};
use crate::entity::{agent_release, rollout, rollout_host};
use crate::text::clean;
use crate::tx::{Audit, CHUNK, Change};
use crate::{Action, Actor, CatalogError, Host, Scoped, Subject, System, Tx, text_enum};

/// Stages of one rollout.
pub const ROLLOUT_STAGES_MAX: usize = 20;
/// Most rollouts on a page.
pub const ROLLOUT_PAGE_MAX: u64 = 500;

text_enum! {
    /// How a rollout stands.
    RolloutState {
        /// Hosts get the release.
        Running = "running",
        /// Nothing begins until somebody says so.
        Paused = "paused",
        /// Every host has come to an end.
        Done = "done",
        /// Too many hosts did not come back with it.
        Failed = "failed",
        /// Somebody ended it.
        Aborted = "aborted",
    }
}

/// One stage: which hosts, and how long to wait after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutStage {
    /// Hosts in this group; all where nothing is said.
    pub group: Option<String>,
    /// And of them those that fit this expression, in the filter language.
    pub filter: Option<String>,
    /// And of them this part, in hundredths; hosts of earlier stages are among them.
    pub percent: u8,
    /// How long to wait before the next stage, once this one has passed, in seconds.
    pub wait_s: u32,
}

/// What a rollout is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutPlan {
    /// The stages, in order.
    pub stages: Vec<RolloutStage>,
    /// How many of the hosts of a stage that began must come back with it, in hundredths.
    pub success_percent: u8,
    /// Within which time, in seconds.
    pub within_s: u32,
    /// How long the new program has on a host to prove that it reaches the server, in seconds.
    pub prove_within_s: u32,
    /// Bytes a second that a host fetches at most; 0 for no limit.
    pub bytes_per_s: u64,
    /// Hosts that may be at it at once.
    pub at_once: u32,
    /// Whether hosts that have it go back where the rollout fails.
    pub roll_back: bool,
    /// Try it too where it was rolled back before.
    pub again: bool,
}

/// A rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// The version that hosts get.
    pub release_version: String,
    /// What it is to do.
    pub plan: RolloutPlan,
    /// How it stands.
    pub state: RolloutState,
    /// The stage that it is in, from 0.
    pub stage: u32,
    /// Since when.
    pub stage_since: Micros,
    /// When the stage had passed.
    pub stage_passed: Option<Micros>,
    /// Why it stands as it does.
    pub reason: String,
    /// Who began it.
    pub author: String,
    /// When.
    pub created: Micros,
    /// When it last changed.
    pub updated: Micros,
    /// Grows with each change.
    pub version: i32,
    /// How many hosts it is for.
    pub hosts: u32,
    /// How many hosts of each stage are in which state.
    #[serde(default)]
    pub states: Vec<BTreeMap<RolloutHostState, u64>>,
}

impl Rollout {
    fn row(&self) -> rollout::Model {
        rollout::Model {
            id: self.id,
            tenant_id: self.tenant.0,
            release_version: self.release_version.clone(),
            plan: json!(self.plan).to_string(),
            state: self.state.as_str().to_owned(),
            stage: self.stage.cast_signed(),
            stage_since: self.stage_since.0,
            stage_passed: self.stage_passed.map(|t| t.0),
            reason: self.reason.clone(),
            author: self.author.clone(),
            created: self.created.0,
            updated: self.updated.0,
            version: self.version,
            hosts: self.hosts.cast_signed(),
        }
    }

    /// What followers are told.
    fn told(&self) -> Value {
        json!({"id": self.id, "release_version": self.release_version, "state": self.state, "stage": self.stage,
            "reason": self.reason, "plan": self.plan, "hosts": self.hosts})
    }
}

impl TryFrom<rollout::Model> for Rollout {
    type Error = CatalogError;

    fn try_from(row: rollout::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            release_version: row.release_version,
            plan: serde_json::from_str(&row.plan).map_err(CatalogError::json("rollouts.plan"))?,
            state: row.state.parse().map_err(CatalogError::Corrupt)?,
            stage: u32::try_from(row.stage).unwrap_or_default(),
            stage_since: Micros(row.stage_since),
            stage_passed: row.stage_passed.map(Micros),
            reason: row.reason,
            author: row.author,
            created: Micros(row.created),
            updated: Micros(row.updated),
            version: row.version,
            hosts: u32::try_from(row.hosts).unwrap_or_default(),
            states: Vec::new(),
        })
    }
}

/// Counts the states of each rollout's hosts, by stage.
async fn count(conn: &impl ConnectionTrait, rollouts: &mut [Rollout]) -> Result<(), CatalogError> {
    use rollout_host::Column as C;
    let rows: Vec<(Uuid, i32, String, i64)> = rollout_host::Entity::find()
        .select_only()
        .column(C::RolloutId)
        .column(C::Stage)
        .column(C::State)
        .column_as(C::Id.count(), "hosts")
        .filter(C::RolloutId.is_in(rollouts.iter().map(|r| r.id)))
        .group_by(C::RolloutId)
        .group_by(C::Stage)
        .group_by(C::State)
        .into_tuple()
        .all(conn)
        .await?;
    for rollout in rollouts.iter_mut() {
        rollout.states = vec![BTreeMap::new(); rollout.plan.stages.len()];
    }
    for (id, stage, state, hosts) in rows {
        let stage = usize::try_from(stage).unwrap_or_default();
        let found = rollouts.iter_mut().find(|r| r.id == id).and_then(|r| r.states.get_mut(stage));
        if let (Some(states), Ok(state)) = (found, state.parse()) {
            states.insert(state, u64::try_from(hosts).unwrap_or_default());
        }
    }
    Ok(())
}

/// What somebody decides about a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutChange {
    /// How it stands from now on.
    pub state: RolloutState,
    /// The stage.
    pub stage: u32,
    /// Since when.
    pub stage_since: Micros,
    /// When the stage had passed.
    pub stage_passed: Option<Micros>,
    /// Why.
    pub reason: String,
    /// Whether hosts that have the release go back.
    pub roll_back: bool,
}

impl Scoped<'_> {
    /// Rollouts, the newest first, before `before`, at most `limit`.
    pub async fn rollouts(&self, before: Option<Uuid>, limit: u64) -> Result<Vec<Rollout>, CatalogError> {
        let mut query =
            self.select::<rollout::Entity>().order_by_desc(rollout::Column::Id).limit(limit.clamp(1, ROLLOUT_PAGE_MAX));
        if let Some(before) = before {
            query = query.filter(rollout::Column::Id.lt(before));
        }
        let rows = query.all(self.conn()).await?;
        let mut rollouts = rows.into_iter().map(Rollout::try_from).collect::<Result<Vec<_>, _>>()?;
        count(self.conn(), &mut rollouts).await?;
        Ok(rollouts)
    }

    /// One rollout.
    pub async fn rollout(&self, id: Uuid) -> Result<Rollout, CatalogError> {
        let query = self.select::<rollout::Entity>().filter(rollout::Column::Id.eq(id));
        let row = query.one(self.conn()).await?.ok_or(CatalogError::NotFound("rollout"))?;
        let mut found = [Rollout::try_from(row)?];
        count(self.conn(), &mut found).await?;
        let [rollout] = found;
        Ok(rollout)
    }
}

impl System<'_> {
    /// Rollouts of all tenants in which something is to be done: those that run, and those whose hosts go back.
    pub async fn open_rollouts(&self) -> Result<Vec<Rollout>, CatalogError> {
        let back = rollout_hosts::going_back();
        let open = rollout::Column::State.eq(RolloutState::Running.as_str()).or(rollout::Column::Id.in_subquery(back));
        let rows = rollout::Entity::find().filter(open).limit(ROLLOUT_PAGE_MAX).all(self.read()).await?;
        let mut rollouts = rows.into_iter().map(Rollout::try_from).collect::<Result<Vec<_>, _>>()?;
        count(self.read(), &mut rollouts).await?;
        Ok(rollouts)
    }

    /// Takes a rollout a step further, unless somebody else was quicker. Answers whether it did.
    pub async fn step_rollout(&self, before: &Rollout, change: &RolloutChange) -> Result<bool, CatalogError> {
        let mut tx = self.begin(before.tenant, Actor::system("fleet")).await?;
        match tx.change_rollout(before.id, before.version, "rollout.step", change).await {
            Ok(_) => tx.commit().await.map(|_| true),
            Err(CatalogError::VersionConflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Tx {
    /// Begins a rollout: hosts with their stage and the release that fits them.
    pub async fn create_rollout(
        &mut self,
        release_version: &str,
        plan: &RolloutPlan,
        hosts: &[(Host, u32, Uuid)],
    ) -> Result<Rollout, CatalogError> {
        let (now, tenant) = (self.now(), self.tenant());
        let running = rollout::Entity::find().filter(rollout::Column::TenantId.eq(tenant.0)).filter(
            rollout::Column::State.is_in([RolloutState::Running, RolloutState::Paused].map(RolloutState::as_str)),
        );
        if running.one(self.look()).await?.is_some() {
            return Err(CatalogError::Conflict("another rollout is under way: abort it first, or wait".into()));
        }
        let mut rollout = Rollout {
            id: self.new_id(),
            tenant,
            release_version: clean(release_version, 40),
            plan: plan.clone(),
            state: RolloutState::Running,
            stage: 0,
            stage_since: now,
            stage_passed: None,
            reason: String::new(),
            author: self.actor().name.clone(),
            created: now,
            updated: now,
            version: 1,
            hosts: hosts.len() as u32,
            states: Vec::new(),
        };
        let (row, told) = (rollout.row(), rollout.told());
        let (conn, _) = self.record(Change {
            subject: Subject::Rollout,
            id: rollout.id.to_string(),
            action: Action::Created,
            payload: told.clone(),
            audit: Audit::Entry { action: "rollout.start", before: Value::Null, after: told },
        });
        rollout::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        for some in hosts.chunks(CHUNK / 10) {
            let rows: Vec<_> = some
                .iter()
                .map(|(host, stage, release)| rollout_host::Model {
                    id: self.new_id(),
                    tenant_id: tenant.0,
                    rollout_id: rollout.id,
                    host_id: host.id,
                    host_name: host.name.clone(),
                    release_id: *release,
                    stage: stage.cast_signed(),
                    state: RolloutHostState::Waiting.as_str().to_owned(),
                    from_version: host.program.clone(),
                    fetched: 0,
                    text: String::new(),
                    offered: None,
                    ended: None,
                    updated: now.0,
                })
                .map(rollout_host::Model::into_active_model)
                .collect();
            // The rollout's own entry tells of them all.
            rollout_host::Entity::insert_many(rows).exec_without_returning(self.look()).await?;
        }
        let mut counted = [rollout.clone()];
        count(self.look(), &mut counted).await?;
        rollout.states.clone_from(&counted[0].states);
        Ok(rollout)
    }

    /// Changes how a rollout stands. `version` is the one the caller saw.
    pub async fn change_rollout(
        &mut self,
        id: Uuid,
        version: i32,
        audit: &'static str,
        change: &RolloutChange,
    ) -> Result<Rollout, CatalogError> {
        let query = rollout::Entity::find_by_id(id).filter(rollout::Column::TenantId.eq(self.tenant().0));
        let row = query.one(self.look()).await?.ok_or(CatalogError::NotFound("rollout"))?;
        let before = Rollout::try_from(row)?;
        CatalogError::unless_at("rollout", before.version, version)?;
        let mut after = Rollout {
            state: change.state,
            stage: change.stage,
            stage_since: change.stage_since,
            stage_passed: change.stage_passed,
            reason: clean(&change.reason, 500),
            updated: self.now(),
            version: version + 1,
            ..before.clone()
        };
        let row = after.row().into_active_model().reset_all();
        let (conn, _) = self.record(Change {
            subject: Subject::Rollout,
            id: id.to_string(),
            action: Action::Updated,
            payload: after.told(),
            audit: Audit::Entry { action: audit, before: before.told(), after: after.told() },
        });
        rollout::Entity::update_many().set(row).filter(rollout::Column::Id.eq(id)).exec(conn).await?;
        if after.state != RolloutState::Running {
            rollout_hosts::stop_waiting(self.look(), id).await?;
        }
        if change.roll_back {
            rollout_hosts::send_back(self.look(), id, self.now()).await?;
        }
        let mut counted = [after.clone()];
        count(self.look(), &mut counted).await?;
        after.states.clone_from(&counted[0].states);
        Ok(after)
    }

    /// Releases of a version that are not withdrawn.
    pub async fn releases_of(&self, version: &str) -> Result<Vec<AgentRelease>, CatalogError> {
        let query = agent_release::Entity::find()
            .filter(agent_release::Column::TenantId.eq(self.tenant().0))
            .filter(agent_release::Column::Version.eq(version))
            .filter(agent_release::Column::Withdrawn.is_null());
        Ok(query.all(self.look()).await?.into_iter().map(AgentRelease::from).collect())
    }
}
