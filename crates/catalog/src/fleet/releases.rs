//! Releases of the agent's program: what was signed about each. Their bytes are the business of the crate `fleet`.

use guardian_model::{Micros, TenantId};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel as _, PaginatorTrait, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::entity::{agent_release, rollout};
use crate::text::clean;
use crate::tx::{Audit, Change};
use crate::{Action, CatalogError, RolloutState, Scoped, Subject, System, Tx};

/// Releases of one tenant that are not withdrawn.
pub const RELEASES_PER_TENANT_MAX: u64 = 200;
/// Longest document that was signed, in bytes.
const SIGNED_BYTES_MAX: usize = 32 << 10;

/// A release of the agent's program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRelease {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// Its version.
    pub version: String,
    /// Operating system that it is for.
    pub platform: String,
    /// Processor architecture that it is for.
    pub architecture: String,
    /// Bytes of the program.
    pub size: u64,
    /// SHA-256 of the program, in hexadecimal digits.
    pub sha256: String,
    /// What was signed, with the signature, as JSON.
    pub signed: String,
    /// The key that signed, base64.
    pub key: String,
    /// What is new.
    pub notes: String,
    /// Who brought it.
    pub author: String,
    /// When.
    pub added: Micros,
    /// When it was withdrawn.
    pub withdrawn: Option<Micros>,
}

impl From<agent_release::Model> for AgentRelease {
    fn from(row: agent_release::Model) -> Self {
        Self {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            version: row.version,
            platform: row.platform,
            architecture: row.architecture,
            size: u64::try_from(row.size).unwrap_or_default(),
            sha256: row.sha256,
            signed: row.signed,
            key: row.key,
            notes: row.notes,
            author: row.author,
            added: Micros(row.added),
            withdrawn: row.withdrawn.map(Micros),
        }
    }
}

/// A release to add, which was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRelease {
    /// Its id, by which its bytes are kept.
    pub id: Uuid,
    /// Its version.
    pub version: String,
    /// Operating system that it is for.
    pub platform: String,
    /// Processor architecture that it is for.
    pub architecture: String,
    /// Bytes of the program.
    pub size: u64,
    /// SHA-256 of the program, in hexadecimal digits.
    pub sha256: String,
    /// What was signed, with the signature, as JSON.
    pub signed: String,
    /// The key that signed, base64.
    pub key: String,
    /// What is new.
    pub notes: String,
}

impl Scoped<'_> {
    /// Releases of one tenant, the newest first; withdrawn ones too.
    pub async fn agent_releases(&self, tenant: TenantId) -> Result<Vec<AgentRelease>, CatalogError> {
        self.require(tenant)?;
        let query = self
            .select::<agent_release::Entity>()
            .filter(agent_release::Column::TenantId.eq(tenant.0))
            .order_by_desc(agent_release::Column::Id);
        Ok(query.all(self.conn()).await?.into_iter().map(AgentRelease::from).collect())
    }

    /// One release.
    pub async fn agent_release(&self, id: Uuid) -> Result<AgentRelease, CatalogError> {
        let query = self.select::<agent_release::Entity>().filter(agent_release::Column::Id.eq(id));
        query.one(self.conn()).await?.map(AgentRelease::from).ok_or(CatalogError::NotFound("release"))
    }
}

impl System<'_> {
    /// A release with these bytes, whoever's it is: for machines that are not enrolled yet.
    pub async fn release_with(&self, sha256: &str) -> Result<Option<AgentRelease>, CatalogError> {
        let query = agent_release::Entity::find()
            .filter(agent_release::Column::Sha256.eq(sha256))
            .filter(agent_release::Column::Withdrawn.is_null());
        Ok(query.one(self.read()).await?.map(AgentRelease::from))
    }

    /// A release, whoever's it is.
    pub async fn release(&self, id: Uuid) -> Result<Option<AgentRelease>, CatalogError> {
        Ok(agent_release::Entity::find_by_id(id).one(self.read()).await?.map(AgentRelease::from))
    }
}

impl Tx {
    /// Adds a release.
    pub async fn add_release(&mut self, new: &NewRelease) -> Result<AgentRelease, CatalogError> {
        let here = agent_release::Entity::find()
            .filter(agent_release::Column::TenantId.eq(self.tenant().0))
            .filter(agent_release::Column::Withdrawn.is_null());
        if here.clone().count(self.look()).await? >= RELEASES_PER_TENANT_MAX {
            let text = format!("a tenant has at most {RELEASES_PER_TENANT_MAX} releases: withdraw old ones");
            return Err(CatalogError::Conflict(text));
        }
        let same = here
            .filter(agent_release::Column::Version.eq(&new.version))
            .filter(agent_release::Column::Platform.eq(&new.platform))
            .filter(agent_release::Column::Architecture.eq(&new.architecture));
        if same.count(self.look()).await? > 0 {
            let text = format!("there is a release {} for {} on {}", new.version, new.platform, new.architecture);
            return Err(CatalogError::Conflict(text));
        }
        if new.signed.len() > SIGNED_BYTES_MAX {
            return Err(CatalogError::Invalid("what was signed is too long".into()));
        }
        let row = agent_release::Model {
            id: new.id,
            tenant_id: self.tenant().0,
            version: clean(&new.version, 40),
            platform: clean(&new.platform, 40),
            architecture: clean(&new.architecture, 40),
            size: new.size.cast_signed(),
            sha256: clean(&new.sha256, 64),
            signed: new.signed.clone(),
            key: clean(&new.key, 64),
            notes: clean(&new.notes, 4_000),
            author: self.actor().name.clone(),
            added: self.now().0,
            withdrawn: None,
        };
        let release = AgentRelease::from(row.clone());
        let (conn, _) = self.record(Change {
            subject: Subject::Release,
            id: release.id.to_string(),
            action: Action::Created,
            payload: json!(release),
            audit: Audit::Entry { action: "release.add", before: Value::Null, after: json!(release) },
        });
        agent_release::Entity::insert(row.into_active_model()).exec_without_returning(conn).await?;
        Ok(release)
    }

    /// Withdraws a release that no rollout needs any more.
    pub async fn withdraw_release(&mut self, id: Uuid) -> Result<AgentRelease, CatalogError> {
        let query = agent_release::Entity::find_by_id(id).filter(agent_release::Column::TenantId.eq(self.tenant().0));
        let before = query.one(self.look()).await?.map(AgentRelease::from).ok_or(CatalogError::NotFound("release"))?;
        let active = rollout::Entity::find()
            .filter(rollout::Column::TenantId.eq(self.tenant().0))
            .filter(rollout::Column::ReleaseVersion.eq(&before.version))
            .filter(
                rollout::Column::State.is_in([RolloutState::Running, RolloutState::Paused].map(RolloutState::as_str)),
            );
        if active.count(self.look()).await? > 0 {
            return Err(CatalogError::Conflict("a rollout needs this release: abort it first".into()));
        }
        if before.withdrawn.is_some() {
            return Ok(before);
        }
        let after = AgentRelease { withdrawn: Some(self.now()), ..before.clone() };
        let (conn, _) = self.record(Change {
            subject: Subject::Release,
            id: id.to_string(),
            action: Action::Updated,
            payload: json!(after),
            audit: Audit::Entry { action: "release.withdraw", before: json!(before), after: json!(after) },
        });
        agent_release::Entity::update_many()
            .col_expr(agent_release::Column::Withdrawn, Expr::value(after.withdrawn.map(|t| t.0)))
            .filter(agent_release::Column::Id.eq(id))
            .exec(conn)
            .await?;
        Ok(after)
    }
}
