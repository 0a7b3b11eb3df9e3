//! Hosts: machines with an agent, from enrolment to revocation.

use guardian_model::{Micros, TenantId};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::list::HostStatus;
use super::seen::HostHealth;
use super::tokens::TokenRefusal;
use super::{labels, labels_of, labels_text, named};
use crate::entity::host;
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, Scoped, Subject, System, Tx, text_enum};

text_enum! {
    /// What runs on a host and speaks for it.
    #[derive(Default)]
    HostAgent {
        /// The agent of Guardian, known by its certificate.
        #[default]
        Guardian = "guardian",
        /// osquery, known by the key of its node.
        Osquery = "osquery",
    }
}

/// Most hosts of one tenant.
pub const HOSTS_MAX: u64 = 200_000;

/// A machine with an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its id; its certificate carries it.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// The token it came in by.
    pub token: Option<Uuid>,
    /// Its name.
    pub name: String,
    /// Operating system: `linux`, `windows` or `other`.
    pub platform: String,
    /// Distribution and release.
    pub system: String,
    /// Kernel release.
    pub kernel: String,
    /// Processor architecture.
    pub architecture: String,
    /// Version of the agent's program.
    pub program: String,
    /// Where it last connected from.
    pub address: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Groups that somebody put it in.
    pub groups: Vec<String>,
    /// Groups whose expression it fits.
    #[serde(default)]
    pub matched: Vec<String>,
    /// Version of the policy that it is to run, from 1; 0 before there was one.
    #[serde(default)]
    pub policy_version: i32,
    /// BLAKE3 of that policy, in hexadecimal digits.
    #[serde(default)]
    pub policy_hash: String,
    /// When it was told that the host is offline; none while it is not. Negative where that was not to be told.
    #[serde(default)]
    pub offline_told: Option<i64>,
    /// What speaks for it.
    #[serde(default)]
    pub agent: HostAgent,
    /// Hash of the key of its node, in hexadecimal digits, where osquery speaks for it. It is told nobody.
    #[serde(skip)]
    pub node_key: Option<String>,
    /// Number of its certificate, in hexadecimal digits; empty where it has none.
    pub serial: String,
    /// Number of the certificate before, which holds until the new one was shown.
    pub previous_serial: Option<String>,
    /// Until when its certificate is valid.
    pub not_after: Micros,
    /// When it came in.
    pub enrolled: Micros,
    /// When it was shut out.
    pub revoked: Option<Micros>,
    /// When it was last heard; none if never.
    pub last_seen: Option<Micros>,
    /// It counts as online until then.
    pub online_until: Micros,
    /// How its agent is.
    pub health: HostHealth,
    /// Grows by one with every change that a person makes.
    pub version: i32,
    /// When somebody last changed it.
    pub updated: Micros,
}

impl Host {
    /// Whether it is in a group, by whatever way.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().chain(&self.matched).any(|g| g == group)
    }

    /// How it stands at a time.
    pub fn status(&self, now: Micros) -> HostStatus {
        match (self.revoked, self.last_seen) {
            (Some(_), _) => HostStatus::Revoked,
            (None, None) => HostStatus::Never,
            (None, Some(_)) if self.online_until > now => HostStatus::Online,
            (None, Some(_)) => HostStatus::Offline,
        }
    }
}

impl TryFrom<host::Model> for Host {
    type Error = CatalogError;

    fn try_from(row: host::Model) -> Result<Self, CatalogError> {
        Ok(Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            token: row.token_id,
            name: row.name,
            platform: row.platform,
            system: row.system,
            kernel: row.kernel,
            architecture: row.architecture,
            program: row.program,
            address: row.address,
            tags: labels_of("hosts.tags", &row.tags)?,
            groups: labels_of("hosts.groups", &row.groups)?,
            matched: labels_of("hosts.matched", &row.matched)?,
            policy_version: row.policy_version,
            policy_hash: row.policy_hash,
            offline_told: row.offline_told,
            agent: row.agent.parse().map_err(CatalogError::Corrupt)?,
            node_key: row.node_key,
            serial: row.serial,
            previous_serial: row.previous_serial,
            not_after: Micros(row.not_after),
            enrolled: Micros(row.enrolled),
            revoked: row.revoked.map(Micros),
            last_seen: (row.last_seen > 0).then_some(Micros(row.last_seen)),
            online_until: Micros(row.online_until),
            health: serde_json::from_str(&row.health).map_err(CatalogError::json("hosts.health"))?,
            version: row.version,
            updated: Micros(row.updated),
        })
    }
}

/// A host that comes in.
#[derive(Clone, Debug)]
pub struct NewHost {
    /// Its id, which its certificate carries.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Operating system.
    pub platform: String,
    /// Processor architecture.
    pub architecture: String,
    /// Version of the agent's program.
    pub program: String,
    /// Where it comes from.
    pub address: Option<String>,
    /// Number of its certificate.
    pub serial: String,
    /// Until when its certificate is valid.
    pub not_after: Micros,
    /// Hash of the key of its node, where osquery speaks for it.
    pub node_key: Option<String>,
}

/// A host that came in, or why it did not.
pub type EnrolledHost = Result<Host, TokenRefusal>;

/// What to change of a host; absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostChange {
    /// Its name.
    pub name: Option<String>,
    /// Its tags.
    pub tags: Option<Vec<String>>,
    /// Its groups.
    pub groups: Option<Vec<String>>,
}

impl Scoped<'_> {
    /// One host.
    pub async fn host(&self, id: Uuid) -> Result<Host, CatalogError> {
        let query = self.select::<host::Entity>().filter(host::Column::Id.eq(id));
        query.one(self.conn()).await?.ok_or(CatalogError::NotFound("host"))?.try_into()
    }
}

impl System<'_> {
    /// The host with this id, whoever's it is: for the connection that shows its certificate.
    pub async fn host(&self, id: Uuid) -> Result<Option<Host>, CatalogError> {
        host::Entity::find_by_id(id).one(self.read()).await?.map(Host::try_from).transpose()
    }
}

impl Tx {
    /// Lets a host in by a token of this transaction's tenant.
    pub async fn enrol_host(&mut self, token: Uuid, new: &NewHost) -> Result<EnrolledHost, CatalogError> {
        let here = host::Entity::find().filter(host::Column::TenantId.eq(self.tenant().0));
        if here.count(self.look()).await? >= HOSTS_MAX {
            return Err(CatalogError::Conflict(format!("a tenant has at most {HOSTS_MAX} hosts")));
        }
        let token = match self.use_enrolment_token(token).await? {
            Ok(token) => token,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let row = host::Model {
            id: new.id,
            tenant_id: self.tenant().0,
            token_id: Some(token.id),
            name: named("a host", &new.name)?,
            platform: clean(&new.platform, 40),
            system: String::new(),
            kernel: String::new(),
            architecture: clean(&new.architecture, 40),
            program: clean(&new.program, 40),
            address: new.address.as_deref().map(|a| clean(a, 60)),
            tags: labels_text(&token.tags),
            groups: labels_text(&token.groups),
            serial: clean(&new.serial, 64),
            previous_serial: None,
            not_after: new.not_after.0,
            enrolled: self.now().0,
            revoked: None,
            last_seen: 0,
            online_until: 0,
            health: "{}".into(),
            version: 1,
            updated: self.now().0,
            policy_version: 0,
            policy_hash: String::new(),
            matched: "[]".into(),
            offline_told: None,
            agent: if new.node_key.is_some() { HostAgent::Osquery } else { HostAgent::Guardian }.to_string(),
            node_key: new.node_key.clone(),
        };
        let host = Host::try_from(row.clone())?;
        let conn = self.record_host(&host, Action::Created, "host.enrol", Value::Null);
        host::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(Ok(host))
    }

    /// Changes a host of this transaction's tenant. `version` is the one the caller saw.
    pub async fn update_host(&mut self, id: Uuid, version: i32, change: &HostChange) -> Result<Host, CatalogError> {
        let before = self.host_row(id).await?;
        CatalogError::unless_at("host", before.version, version)?;
        let mut after = Host { version: version + 1, updated: self.now(), ..before.clone() };
        if let Some(name) = &change.name {
            after.name = named("a host", name)?;
        }
        if let Some(tags) = &change.tags {
            after.tags = labels("tags", tags)?;
        }
        if let Some(groups) = &change.groups {
            after.groups = labels("groups", groups)?;
        }
        let row = host::ActiveModel {
            name: Set(after.name.clone()),
            tags: Set(labels_text(&after.tags)),
            groups: Set(labels_text(&after.groups)),
            version: Set(after.version),
            updated: Set(after.updated.0),
            ..Default::default()
        };
        let conn = self.record_host(&after, Action::Updated, "host.update", json!(before));
        host::Entity::update_many().set(row).filter(host::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    /// Shuts a host of this transaction's tenant out, for good.
    pub async fn revoke_host(&mut self, id: Uuid) -> Result<Host, CatalogError> {
        self.shut_out(id, "host.revoke").await
    }

    /// Shuts a host out because its agent says that it is taken off the machine.
    pub async fn leave_host(&mut self, id: Uuid, text: &str) -> Result<Host, CatalogError> {
        self.note("host.left", Subject::Host, &id.to_string(), json!({"text": clean(text, 500)}));
        self.shut_out(id, "host.leave").await
    }

    async fn shut_out(&mut self, id: Uuid, audit: &'static str) -> Result<Host, CatalogError> {
        let before = self.host_row(id).await?;
        if before.revoked.is_some() {
            return Ok(before);
        }
        let now = self.now();
        let after =
            Host { revoked: Some(now), online_until: now, version: before.version + 1, updated: now, ..before.clone() };
        let row = host::ActiveModel {
            revoked: Set(Some(now.0)),
            online_until: Set(now.0),
            version: Set(after.version),
            updated: Set(now.0),
            ..Default::default()
        };
        let conn = self.record_host(&after, Action::Updated, audit, json!(before));
        host::Entity::update_many().set(row).filter(host::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    /// Takes a host of this transaction's tenant off the list; its certificate opens nothing from then on.
    pub async fn delete_host(&mut self, id: Uuid) -> Result<(), CatalogError> {
        let before = self.host_row(id).await?;
        let (conn, _) = self.record(Change {
            subject: Subject::Host,
            id: id.to_string(),
            action: Action::Deleted,
            payload: Value::Null,
            audit: Audit::Entry { action: "host.delete", before: json!(before), after: Value::Null },
        });
        host::Entity::delete_by_id(id).exec(conn).await?;
        Ok(())
    }

    /// Gives a host its next certificate; the one before holds until this one was shown.
    pub async fn renew_host(&mut self, id: Uuid, serial: &str, not_after: Micros) -> Result<Host, CatalogError> {
        let before = self.host_row(id).await?;
        if before.revoked.is_some() {
            return Err(CatalogError::NotFound("host"));
        }
        let serial = clean(serial, 64);
        let after = Host { previous_serial: Some(before.serial.clone()), serial, not_after, ..before.clone() };
        let row = host::ActiveModel {
            serial: Set(after.serial.clone()),
            previous_serial: Set(after.previous_serial.clone()),
            not_after: Set(not_after.0),
            ..Default::default()
        };
        let conn = self.record_host(&after, Action::Updated, "host.renew", json!(before));
        host::Entity::update_many().set(row).filter(host::Column::Id.eq(id)).exec(conn).await?;
        Ok(after)
    }

    /// Forgets the certificate before the present one, which was shown.
    pub async fn settle_host_certificate(&mut self, id: Uuid) -> Result<(), CatalogError> {
        let before = self.host_row(id).await?;
        let after = Host { previous_serial: None, ..before.clone() };
        let row = host::ActiveModel { previous_serial: Set(None), ..Default::default() };
        let conn = self.record_host(&after, Action::Updated, "host.renewed", json!(before));
        host::Entity::update_many().set(row).filter(host::Column::Id.eq(id)).exec(conn).await?;
        Ok(())
    }

    pub(super) async fn host_row(&self, id: Uuid) -> Result<Host, CatalogError> {
        let query = host::Entity::find_by_id(id).filter(host::Column::TenantId.eq(self.tenant().0));
        query.one(self.look()).await?.ok_or(CatalogError::NotFound("host"))?.try_into()
    }

    /// A host is another because of something that is in the audit trail already, or because its agent came or went.
    pub(super) fn host_followed(&mut self, host: &Host) -> &sea_orm::DatabaseTransaction {
        let change = Change {
            subject: Subject::Host,
            id: host.id.to_string(),
            action: Action::Updated,
            payload: json!(host),
            audit: Audit::NotNeeded,
        };
        self.record(change).0
    }

    pub(super) fn record_host(
        &mut self,
        host: &Host,
        action: Action,
        audit: &'static str,
        before: Value,
    ) -> &sea_orm::DatabaseTransaction {
        let change = Change {
            subject: Subject::Host,
            id: host.id.to_string(),
            action,
            payload: json!(host),
            audit: Audit::Entry { action: audit, before, after: json!(host) },
        };
        self.record(change).0
    }
}
