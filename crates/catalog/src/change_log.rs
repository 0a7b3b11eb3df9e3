//! The change log: what changed in a tenant, in commit order, numbered without gaps. WebSockets resume from it,
//! caches and webhooks feed from it. It is kept for a while, not for ever.

use std::time::Duration;

use guardian_model::{Micros, TenantId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::entity::{change_log, tenant};
use crate::{Catalog, CatalogError, Scoped, text_enum};

/// How long a follower waits before it looks by itself, in milliseconds: other processes (the command line, another
/// node) write too, and cannot nudge this one.
const POLL_MS: u64 = 1_000;

/// Most changes returned at once.
pub const CHANGES_MAX: u64 = 1_000;

text_enum! {
    /// What sort of thing changed.
    Subject {
        /// An alert.
        Alert = "alert",
        /// A rule about alerts that need nobody.
        Suppression = "suppression",
        /// An incident.
        Incident = "incident",
        /// A part of an incident; its payload names the incident, what sort of part, and the part (null when gone).
        IncidentItem = "incident_item",
        /// Tasks that a kind of incident begins with.
        IncidentTemplate = "incident_template",
        /// A saved view of a list.
        View = "view",
        /// A saved hunt.
        Hunt = "hunt",
        /// Somebody was given something to do: an alert or a task. Its payload says what, and by whom.
        Assignment = "assignment",
        /// What a person was told; its payload is null when they read it.
        Notification = "notification",
        /// Where a tenant wants to be told.
        NotificationChannel = "notification_channel",
        /// A detection rule.
        Rule = "rule",
        /// An exception to a rule.
        RuleException = "rule_exception",
        /// A device that sends flows.
        Exporter = "exporter",
        /// A machine with an agent.
        Host = "host",
        /// A group of hosts.
        HostGroup = "host_group",
        /// A vulnerability that is put up with for a while.
        FindingException = "finding_exception",
        /// An image of containers whose content is known.
        Image = "image",
        /// What agents do.
        Policy = "policy",
        /// Which policy holds for which group.
        PolicyOrder = "policy_order",
        /// Something that hosts are to do.
        Command = "command",
        /// A command on one host; its payload names the command, the host and the state.
        CommandRun = "command_run",
        /// A question to the tables of hosts.
        LiveQuery = "live_query",
        /// A live query on one host; its payload names the query, the host, the state and the rows so far.
        LiveQueryHost = "live_query_host",
        /// A release of the agent's program.
        Release = "release",
        /// A release on its way to hosts.
        Rollout = "rollout",
        /// A rollout on one host; its payload names the rollout, the host, the state and the bytes fetched.
        RolloutHost = "rollout_host",
        /// A token that lets hosts in.
        EnrolmentToken = "enrolment_token",
        /// An account.
        User = "user",
        /// A role of an account in a tenant.
        Membership = "membership",
        /// A session; audit only.
        Session = "session",
        /// A key for programs.
        ApiKey = "api_key",
        /// A setting.
        Setting = "setting",
        /// A tenant.
        Tenant = "tenant",
        /// A named set of permissions.
        Role = "role",
        /// An invitation or a link to set a password.
        Invitation = "invitation",
        /// Replayed data.
        Replay = "replay",
        /// Telemetry that somebody asked for; audit only.
        Telemetry = "telemetry",
        /// The audit trail itself; audit only.
        Audit = "audit",
        /// The installation itself; audit only.
        Installation = "installation",
    }
}

text_enum! {
    /// What happened to it.
    Action {
        /// It is new.
        Created = "created",
        /// It is different.
        Updated = "updated",
        /// It is gone.
        Deleted = "deleted",
    }
}

/// One entry of the change log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeEntry {
    /// Whose.
    pub tenant: TenantId,
    /// Its number: grows by exactly one per change of the tenant.
    pub seq: i64,
    /// When.
    pub time: Micros,
    /// What sort of thing.
    pub subject: Subject,
    /// Which one: a UUID, a rule id or a setting's key.
    pub id: String,
    /// What happened.
    pub action: Action,
    /// The thing as it became, in the JSON of its catalog type ([`crate::Alert`] for alerts); null when deleted.
    pub payload: Value,
}

/// What came after a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Changes {
    /// The entries that follow, oldest first, without a gap; possibly none.
    Entries {
        /// At most the limit asked for.
        entries: Vec<ChangeEntry>,
        /// The newest number there is.
        latest: i64,
    },
    /// The number is older than what is kept, or from another database: load everything afresh and continue from
    /// `latest`.
    ResyncNeeded {
        /// The oldest number to continue from.
        oldest: i64,
        /// The newest number there is.
        latest: i64,
    },
}

impl Scoped<'_> {
    /// What changed in `tenant` after the entry numbered `after` (0 for the beginning), at most `limit` entries.
    pub async fn changes_since(&self, tenant: TenantId, after: i64, limit: u64) -> Result<Changes, CatalogError> {
        self.require(tenant)?;
        changes_since(self.catalog(), tenant, after, limit).await
    }

    /// The number of the tenant's newest change. Take it before loading a list, then follow from it.
    pub async fn latest_seq(&self, tenant: TenantId) -> Result<i64, CatalogError> {
        self.require(tenant)?;
        Ok(head(self.catalog(), tenant).await?.last_seq)
    }

    /// Follows a tenant's change log from the entry after `after`, live.
    pub fn follow(&self, tenant: TenantId, after: i64) -> Result<Follower, CatalogError> {
        self.require(tenant)?;
        Ok(Follower { catalog: self.catalog().clone(), tenant, after, nudge: self.catalog().nudges(tenant) })
    }

    /// A watch that shows the number of the newest change this process made. Values may be skipped, and changes of
    /// other processes are not seen: read the log when it moves, never instead of the log.
    pub fn subscribe(&self, tenant: TenantId) -> Result<watch::Receiver<i64>, CatalogError> {
        self.require(tenant)?;
        Ok(self.catalog().nudges(tenant))
    }
}

/// Follows one tenant's change log without gap or repeat.
pub struct Follower {
    catalog: Catalog,
    tenant: TenantId,
    after: i64,
    nudge: watch::Receiver<i64>,
}

impl Follower {
    /// The number of the last entry handed out.
    pub fn position(&self) -> i64 {
        self.after
    }

    /// The next entries, at least one; waits for them. After [`Changes::ResyncNeeded`] it continues from `latest`.
    /// Safe to cancel: what was not returned is returned next time.
    pub async fn next(&mut self) -> Result<Changes, CatalogError> {
        loop {
            self.nudge.mark_unchanged();
            let changes = changes_since(&self.catalog, self.tenant, self.after, CHANGES_MAX).await?;
            match &changes {
                Changes::Entries { entries, .. } => {
                    if let Some(last) = entries.last() {
                        self.after = last.seq;
                        return Ok(changes);
                    }
                }
                Changes::ResyncNeeded { latest, .. } => {
                    self.after = *latest;
                    return Ok(changes);
                }
            }
            // The sender lives as long as the catalog, which this follower holds; a timeout is the normal idle round.
            let _nudged_or_poll = tokio::time::timeout(Duration::from_millis(POLL_MS), self.nudge.changed()).await;
        }
    }
}

async fn head(catalog: &Catalog, tenant: TenantId) -> Result<tenant::Model, CatalogError> {
    let row = tenant::Entity::find_by_id(tenant.0).one(&catalog.inner.read).await?;
    row.ok_or(CatalogError::NotFound("tenant"))
}

/// Reads the entries first and the head afterwards: if the log was pruned in between, the floor shows it.
async fn changes_since(catalog: &Catalog, tenant: TenantId, after: i64, limit: u64) -> Result<Changes, CatalogError> {
    let rows = change_log::Entity::find()
        .filter(change_log::Column::TenantId.eq(tenant.0))
        .filter(change_log::Column::Seq.gt(after))
        .order_by_asc(change_log::Column::Seq)
        .limit(limit.clamp(1, CHANGES_MAX))
        .all(&catalog.inner.read)
        .await?;
    let head = head(catalog, tenant).await?;
    if after < head.log_floor || after > head.last_seq {
        return Ok(Changes::ResyncNeeded { oldest: head.log_floor, latest: head.last_seq });
    }
    let entries = rows.into_iter().map(ChangeEntry::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Changes::Entries { entries, latest: head.last_seq })
}

impl TryFrom<change_log::Model> for ChangeEntry {
    type Error = CatalogError;

    fn try_from(row: change_log::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            tenant: TenantId(row.tenant_id),
            seq: row.seq,
            time: Micros(row.time),
            subject: row.subject.parse().map_err(CatalogError::Corrupt)?,
            id: row.subject_id,
            action: row.action.parse().map_err(CatalogError::Corrupt)?,
            payload: serde_json::from_str(&row.payload).map_err(CatalogError::json("change_log.payload"))?,
        })
    }
}
