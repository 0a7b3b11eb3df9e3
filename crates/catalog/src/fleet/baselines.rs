//! Baselines of files that hosts had, one after the other: their roots, what the server signed, and whether each follows the
//! one before it. What is in them is the business of the crate `fleet`.

use guardian_model::{Micros, TenantId};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use uuid::Uuid;

use crate::entity::host_baseline;
use crate::scoped::Scoped;
use crate::{Actor, CatalogError, Subject, System};

/// Baselines of one page.
pub const BASELINE_PAGE_MAX: u64 = 500;

/// The baseline of files of a host at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostBaseline {
    /// The host.
    pub host: Uuid,
    /// Counts the baselines of a host, from 1.
    pub number: u64,
    /// Whose.
    pub tenant: TenantId,
    /// BLAKE3 over its folders, hexadecimal.
    pub root: String,
    /// The root of the one before it here; empty for the first.
    pub previous: String,
    /// BLAKE3 of the policy it was made under, hexadecimal.
    pub policy: String,
    /// When it was made, by the host's clock.
    pub made: Micros,
    /// When it came.
    pub received: Micros,
    /// Its folders.
    pub folders: u64,
    /// Folders that came with it: others than the one before has.
    pub changed: u64,
    /// Folders that the one before has and it has not.
    pub gone: u64,
    /// Files in the folders that came.
    pub files: u64,
    /// What came takes so many bytes.
    pub bytes: u64,
    /// It does not follow the one before it: somebody removed or changed the host's own.
    pub replaced: bool,
    /// The key that the signature is checked with: Ed25519, hexadecimal.
    pub public_key: String,
    /// The server's signature over [`Self::statement`], hexadecimal.
    pub signature: String,
    /// Events were made of what was not as the host had said, where it does not follow.
    pub told: bool,
}

impl HostBaseline {
    /// What the server signs of it.
    pub fn statement(&self) -> String {
        format!(
            "guardian baseline 1\ntenant {}\nhost {}\nnumber {}\nroot {}\nprevious {}\npolicy {}\nmade {}\nreceived {}\n\
             replaced {}\n",
            self.tenant,
            self.host,
            self.number,
            self.root,
            if self.previous.is_empty() { "none" } else { &self.previous },
            self.policy,
            self.made.0,
            self.received.0,
            self.replaced,
        )
    }

    fn row(&self) -> host_baseline::Model {
        host_baseline::Model {
            host_id: self.host,
            number: self.number as i64,
            tenant_id: self.tenant.0,
            root: self.root.clone(),
            previous: self.previous.clone(),
            policy: self.policy.clone(),
            made: self.made.0,
            received: self.received.0,
            folders: self.folders as i64,
            changed: self.changed as i64,
            gone: self.gone as i64,
            files: self.files as i64,
            bytes: self.bytes as i64,
            replaced: self.replaced,
            public_key: self.public_key.clone(),
            signature: self.signature.clone(),
            told: self.told,
        }
    }
}

impl From<host_baseline::Model> for HostBaseline {
    fn from(row: host_baseline::Model) -> Self {
        Self {
            host: row.host_id,
            number: row.number.unsigned_abs(),
            tenant: TenantId(row.tenant_id),
            root: row.root,
            previous: row.previous,
            policy: row.policy,
            made: Micros(row.made),
            received: Micros(row.received),
            folders: row.folders.unsigned_abs(),
            changed: row.changed.unsigned_abs(),
            gone: row.gone.unsigned_abs(),
            files: row.files.unsigned_abs(),
            bytes: row.bytes.unsigned_abs(),
            replaced: row.replaced,
            public_key: row.public_key,
            signature: row.signature,
            told: row.told,
        }
    }
}

impl System<'_> {
    /// The newest baseline of a host.
    pub async fn last_baseline(&self, host: Uuid) -> Result<Option<HostBaseline>, CatalogError> {
        let query = host_baseline::Entity::find().filter(host_baseline::Column::HostId.eq(host));
        let row = query.order_by_desc(host_baseline::Column::Number).one(self.read()).await?;
        Ok(row.map(HostBaseline::from))
    }

    /// Keeps the next baseline of a host, unless another one came first.
    pub async fn add_baseline(&self, baseline: &HostBaseline) -> Result<(), CatalogError> {
        let mut tx = self.begin(baseline.tenant, Actor::system("fleet")).await?;
        let insert = host_baseline::Entity::insert(baseline.row().into_active_model());
        insert.exec_without_returning(tx.look()).await?;
        if baseline.replaced {
            let after = json!({"host": baseline.host, "number": baseline.number, "root": baseline.root,
                "expected": baseline.previous});
            tx.record_quietly("baseline.replaced", Subject::Host, baseline.host.to_string(), after);
        }
        tx.commit_unlogged().await.map(drop)
    }

    /// The events of one that does not follow are in the store.
    pub async fn settle_baseline(&self, host: Uuid, number: u64) -> Result<(), CatalogError> {
        host_baseline::Entity::update_many()
            .col_expr(host_baseline::Column::Told, true.into())
            .filter(host_baseline::Column::HostId.eq(host))
            .filter(host_baseline::Column::Number.eq(number as i64))
            .exec(self.write())
            .await?;
        Ok(())
    }
}

impl Scoped<'_> {
    /// The baselines of a host, the newest first, from below a number on.
    pub async fn host_baselines(
        &self,
        host: Uuid,
        below: Option<u64>,
        limit: u64,
    ) -> Result<Vec<HostBaseline>, CatalogError> {
        let mut query = self.select::<host_baseline::Entity>().filter(host_baseline::Column::HostId.eq(host));
        if let Some(below) = below {
            query = query.filter(host_baseline::Column::Number.lt(i64::try_from(below).unwrap_or(i64::MAX)));
        }
        let newest = query.order_by_desc(host_baseline::Column::Number).limit(limit.min(BASELINE_PAGE_MAX));
        Ok(newest.all(self.conn()).await?.into_iter().map(HostBaseline::from).collect())
    }

    /// One baseline of a host.
    pub async fn host_baseline(&self, host: Uuid, number: u64) -> Result<HostBaseline, CatalogError> {
        let query = self.select::<host_baseline::Entity>().filter(host_baseline::Column::HostId.eq(host));
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let row = query.filter(host_baseline::Column::Number.eq(number)).one(self.conn()).await?;
        row.map(HostBaseline::from).ok_or(CatalogError::NotFound("baseline"))
    }
}
