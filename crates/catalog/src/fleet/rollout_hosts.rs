//! A rollout on one host, from waiting to its end. Hosts say things twice and late: what they say last counts.

use guardian_model::{Micros, Scope, TenantId};
use sea_orm::sea_query::{Expr, SelectStatement};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait as _, IntoActiveModel as _,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait as _,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rollouts::{Rollout, RolloutState};
use crate::entity::{agent_release, rollout, rollout_host};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, Actor, CatalogError, Scoped, Subject, System, Tx, text_enum};

text_enum! {
    /// How far a host has come with a release.
    RolloutHostState {
        /// Its turn has not come, or it is not there.
        Waiting = "waiting",
        /// It was offered the release.
        Offered = "offered",
        /// It fetches it.
        Fetching = "fetching",
        /// It ends, and starts again with it.
        Trying = "trying",
        /// It was there with it; it is to stay.
        Connected = "connected",
        /// It runs it.
        Done = "done",
        /// It did not take it.
        Refused = "refused",
        /// It could not fetch or start it.
        Failed = "failed",
        /// It tried it, and went back by itself.
        RolledBack = "rolled_back",
        /// It is to go back.
        GoingBack = "going_back",
        /// It went back because it was told to.
        Reverted = "reverted",
    }
}

impl RolloutHostState {
    /// Those of hosts that are at it.
    pub const OPEN: [Self; 4] = [Self::Offered, Self::Fetching, Self::Trying, Self::Connected];

    /// Whether a host is at it.
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }

    /// Whether it ended other than it should.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Refused | Self::Failed | Self::RolledBack)
    }

    fn ends(self) -> bool {
        self.is_bad() || matches!(self, Self::Done | Self::Reverted)
    }
}

/// A rollout on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutHost {
    /// Its id, by which the host remembers it.
    pub id: Uuid,
    /// The rollout.
    pub rollout: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// The host.
    pub host: Uuid,
    /// Its name at that time.
    pub host_name: String,
    /// The release.
    pub release: Uuid,
    /// The stage, from 0.
    pub stage: u32,
    /// How far it has come.
    pub state: RolloutHostState,
    /// The version that it had.
    pub from_version: String,
    /// Bytes that it fetched.
    pub fetched: u64,
    /// For people.
    pub text: String,
    /// When it was offered.
    pub offered: Option<Micros>,
    /// When it ended.
    pub ended: Option<Micros>,
    /// When something last changed.
    pub updated: Micros,
}

impl RolloutHost {
    fn row(&self) -> rollout_host::Model {
        rollout_host::Model {
            id: self.id,
            tenant_id: self.tenant.0,
            rollout_id: self.rollout,
            host_id: self.host,
            host_name: self.host_name.clone(),
            release_id: self.release,
            stage: self.stage.cast_signed(),
            state: self.state.as_str().to_owned(),
            from_version: self.from_version.clone(),
            fetched: self.fetched.cast_signed(),
            text: self.text.clone(),
            offered: self.offered.map(|t| t.0),
            ended: self.ended.map(|t| t.0),
            updated: self.updated.0,
        }
    }
}

impl TryFrom<rollout_host::Model> for RolloutHost {
    type Error = CatalogError;

    fn try_from(row: rollout_host::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            rollout: row.rollout_id,
            tenant: TenantId(row.tenant_id),
            host: row.host_id,
            host_name: row.host_name,
            release: row.release_id,
            stage: u32::try_from(row.stage).unwrap_or_default(),
            state: row.state.parse().map_err(CatalogError::Corrupt)?,
            from_version: row.from_version,
            fetched: u64::try_from(row.fetched).unwrap_or_default(),
            text: row.text,
            offered: row.offered.map(Micros),
            ended: row.ended.map(Micros),
            updated: Micros(row.updated),
        })
    }
}

/// Rollouts with hosts that are to go back.
pub(super) fn going_back() -> SelectStatement {
    rollout_host::Entity::find()
        .select_only()
        .column(rollout_host::Column::RolloutId)
        .filter(rollout_host::Column::State.eq(RolloutHostState::GoingBack.as_str()))
        .into_query()
}

/// Hosts that have not begun to try it wait again.
pub(super) async fn stop_waiting(conn: &DatabaseTransaction, rollout: Uuid) -> Result<(), CatalogError> {
    let early = [RolloutHostState::Offered, RolloutHostState::Fetching].map(RolloutHostState::as_str);
    rollout_host::Entity::update_many()
        .col_expr(rollout_host::Column::State, Expr::value(RolloutHostState::Waiting.as_str()))
        .filter(rollout_host::Column::RolloutId.eq(rollout))
        .filter(rollout_host::Column::State.is_in(early))
        .exec(conn)
        .await?;
    Ok(())
}

/// Hosts that have the release are to go back.
pub(super) async fn send_back(conn: &DatabaseTransaction, rollout: Uuid, now: Micros) -> Result<(), CatalogError> {
    rollout_host::Entity::update_many()
        .col_expr(rollout_host::Column::State, Expr::value(RolloutHostState::GoingBack.as_str()))
        .col_expr(rollout_host::Column::Updated, Expr::value(now.0))
        .filter(rollout_host::Column::RolloutId.eq(rollout))
        .filter(rollout_host::Column::State.eq(RolloutHostState::Done.as_str()))
        .exec(conn)
        .await?;
    Ok(())
}

/// What a host is to be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingUpgrade {
    /// How far it is.
    pub host: RolloutHost,
    /// What was signed about the release, as JSON.
    pub signed: String,
    /// The rollout.
    pub rollout: Rollout,
}

/// What a host says about a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeHeard {
    /// By which it remembers it.
    pub id: Uuid,
    /// How far it has come.
    pub state: RolloutHostState,
    /// Bytes that it fetched; 0 where it does not say.
    pub fetched: u64,
    /// For people.
    pub text: String,
}

impl Scoped<'_> {
    /// How far hosts have come with a rollout, behind `after`, at most `limit`.
    pub async fn rollout_hosts(
        &self,
        rollout: Uuid,
        state: Option<RolloutHostState>,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<RolloutHost>, CatalogError> {
        let mut query = self
            .select::<rollout_host::Entity>()
            .filter(rollout_host::Column::RolloutId.eq(rollout))
            .order_by_asc(rollout_host::Column::Id)
            .limit(limit.clamp(1, super::rollouts::ROLLOUT_PAGE_MAX));
        if let Some(state) = state {
            query = query.filter(rollout_host::Column::State.eq(state.as_str()));
        }
        if let Some(after) = after {
            query = query.filter(rollout_host::Column::Id.gt(after));
        }
        query.all(self.conn()).await?.into_iter().map(RolloutHost::try_from).collect()
    }

    /// The newest rollout that a host is in.
    pub async fn rollout_of_host(&self, host: Uuid) -> Result<Option<RolloutHost>, CatalogError> {
        let query = self
            .select::<rollout_host::Entity>()
            .filter(rollout_host::Column::HostId.eq(host))
            .order_by_desc(rollout_host::Column::Id);
        query.one(self.conn()).await?.map(RolloutHost::try_from).transpose()
    }
}

impl System<'_> {
    /// Hosts that have not begun to try the release and whose turn has come, and those that are to go back.
    pub async fn hosts_to_offer(&self, rollout: &Rollout) -> Result<Vec<Uuid>, CatalogError> {
        use rollout_host::Column as C;
        let mut wanted = C::State.eq(RolloutHostState::GoingBack.as_str());
        if rollout.state == RolloutState::Running {
            let early = [RolloutHostState::Waiting, RolloutHostState::Offered, RolloutHostState::Fetching];
            let turn = C::Stage.lte(rollout.stage.cast_signed());
            wanted = wanted.or(C::State.is_in(early.map(RolloutHostState::as_str)).and(turn));
        }
        let query = rollout_host::Entity::find()
            .select_only()
            .column(C::HostId)
            .filter(C::RolloutId.eq(rollout.id))
            .filter(wanted);
        Ok(query.into_tuple().all(self.read()).await?)
    }

    /// What a host that is there is to be offered, or was and has not ended. What is new is noted first. `at_once` bounds how
    /// many are at it.
    pub async fn claim_upgrade(&self, tenant: TenantId, host: Uuid) -> Result<Option<PendingUpgrade>, CatalogError> {
        use rollout_host::Column as C;
        let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
        let asked = [RolloutHostState::Waiting, RolloutHostState::GoingBack].into_iter().chain(RolloutHostState::OPEN);
        let query = rollout_host::Entity::find()
            .filter(C::TenantId.eq(tenant.0))
            .filter(C::HostId.eq(host))
            .filter(C::State.is_in(asked.map(RolloutHostState::as_str)))
            .order_by_desc(C::Id);
        for row in query.all(tx.look()).await? {
            let mut found = RolloutHost::try_from(row)?;
            let Some(of) = rollout::Entity::find_by_id(found.rollout).one(tx.look()).await? else { continue };
            let rollout = Rollout::try_from(of)?;
            let runs = rollout.state == RolloutState::Running && found.stage <= rollout.stage;
            let goes_back = found.state == RolloutHostState::GoingBack;
            if !runs && !goes_back && !matches!(found.state, RolloutHostState::Trying | RolloutHostState::Connected) {
                continue;
            }
            if found.state == RolloutHostState::Waiting {
                let at_it = rollout_host::Entity::find()
                    .filter(C::RolloutId.eq(rollout.id))
                    .filter(C::State.is_in(RolloutHostState::OPEN.map(RolloutHostState::as_str)));
                if at_it.count(tx.look()).await? >= u64::from(rollout.plan.at_once) {
                    continue;
                }
                let now = tx.now();
                found = RolloutHost {
                    state: RolloutHostState::Offered,
                    offered: Some(now),
                    updated: now,
                    text: String::new(),
                    ..found
                };
                tx.store_rollout_host(&found).await?;
            }
            let release = agent_release::Entity::find_by_id(found.release).one(tx.look()).await?;
            let Some(release) = release.filter(|r| goes_back || r.withdrawn.is_none()) else { continue };
            tx.commit().await?;
            return Ok(Some(PendingUpgrade { host: found, signed: release.signed, rollout }));
        }
        Ok(None)
    }

    /// Stores what a host said about a release. What is not its own is passed over.
    pub async fn observe_upgrade(
        &self,
        tenant: TenantId,
        host: Uuid,
        heard: &UpgradeHeard,
    ) -> Result<(), CatalogError> {
        let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
        let query = rollout_host::Entity::find_by_id(heard.id).filter(rollout_host::Column::HostId.eq(host));
        let Some(row) = query.one(tx.look()).await? else { return Ok(()) };
        let before = RolloutHost::try_from(row)?;
        if (before.state, heard.state) == (RolloutHostState::Waiting, RolloutHostState::Fetching) {
            // It was called off, and the host has not heard it yet.
            return Ok(());
        }
        let now = tx.now();
        let after = RolloutHost {
            state: heard.state,
            fetched: if heard.fetched > 0 { heard.fetched } else { before.fetched },
            text: clean(&heard.text, 2_000),
            ended: heard.state.ends().then_some(before.ended.unwrap_or(now)),
            updated: now,
            ..before.clone()
        };
        if (after.state, after.fetched, &after.text) == (before.state, before.fetched, &before.text) {
            return Ok(());
        }
        tx.store_rollout_host(&after).await?;
        tx.commit().await?;
        Ok(())
    }
}

impl Tx {
    async fn store_rollout_host(&mut self, host: &RolloutHost) -> Result<(), CatalogError> {
        let payload = json!({"rollout": host.rollout, "host": host.host, "host_name": host.host_name,
            "state": host.state, "fetched": host.fetched, "text": host.text});
        let audit = if host.state.ends() {
            Audit::Entry { action: "rollout.host", before: Value::Null, after: payload.clone() }
        } else {
            Audit::NotNeeded
        };
        let (conn, _) = self.record(Change {
            subject: Subject::RolloutHost,
            id: host.id.to_string(),
            action: Action::Updated,
            payload,
            audit,
        });
        let all = host.row().into_active_model().reset_all();
        rollout_host::Entity::update_many().set(all).filter(rollout_host::Column::Id.eq(host.id)).exec(conn).await?;
        Ok(())
    }
}
