//! The only way to change a tenant's data. A transaction holds the tenant's row locked, so that its two logs are
//! written in commit order and without gaps, and it hands the connection out only in exchange for what is to be
//! recorded: a change without its audit entry and its change-log entry cannot be written down.

use guardian_model::{Micros, Scope, TenantId};
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait, DatabaseTransaction, EntityTrait, InsertMany, QueryFilter, QuerySelect, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use serde_json::Value;
use uuid::Uuid;

use crate::audit::{self, Draft};
use crate::entity::{self, change_log, tenant};
use crate::text::clean;
use crate::{Action, Actor, Catalog, CatalogError, Subject};

/// Rows written with one statement; keeps the number of bound values far below both databases' limits.
pub(crate) const CHUNK: usize = 500;

/// One transaction on one tenant. Dropping it without [`Tx::commit`] undoes everything.
///
/// On SQLite there is one writer: beginning a second transaction while holding one waits for the busy timeout and
/// then fails with [`CatalogError::Busy`].
#[must_use = "a transaction that is not committed changes nothing"]
pub struct Tx {
    conn: DatabaseTransaction,
    catalog: Catalog,
    scope: Scope,
    tenant: TenantId,
    actor: Actor,
    now: Micros,
    head: tenant::Model,
    changes: Vec<change_log::Model>,
    audits: Vec<Draft>,
}

/// What is recorded about one change.
pub(crate) struct Change {
    pub(crate) subject: Subject,
    pub(crate) id: String,
    pub(crate) action: Action,
    /// What followers are told: the thing as it is now, or null when it is gone.
    pub(crate) payload: Value,
    pub(crate) audit: Audit,
}

/// What the audit trail says about a change.
pub(crate) enum Audit {
    /// An entry: what was done, and the thing before and after.
    Entry { action: &'static str, before: Value, after: Value },
    /// None: detection or reception saw it and no person decided anything, or another entry of the same transaction
    /// tells of it.
    NotNeeded,
}

impl Tx {
    pub(crate) async fn begin(
        catalog: &Catalog,
        scope: Scope,
        tenant: TenantId,
        actor: Actor,
    ) -> Result<Self, CatalogError> {
        if !scope.contains(tenant) {
            return Err(CatalogError::NotFound("tenant"));
        }
        let options = TransactionOptions {
            sqlite_transaction_mode: catalog.is_sqlite().then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let conn = catalog.inner.write.begin_with_options(options).await?;
        let head = tenant::Entity::find_by_id(tenant.0)
            .lock_exclusive()
            .one(&conn)
            .await?
            .ok_or(CatalogError::NotFound("tenant"))?;
        let actor = Actor { name: clean(&actor.name, 200), ..actor };
        let now = catalog.now();
        Ok(Self { conn, catalog: catalog.clone(), scope, tenant, actor, now, head, changes: vec![], audits: vec![] })
    }

    /// Whose data this changes.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Who is changing it.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The time that everything in this transaction is stamped with.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// The number of the last change-log entry, this transaction's included.
    pub fn seq(&self) -> i64 {
        self.head.last_seq
    }

    /// Which tenants the caller may touch; accounts of other tenants stay out of reach.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn new_id(&self) -> Uuid {
        self.catalog.new_id()
    }

    pub(crate) fn limits(&self) -> &crate::CatalogConfig {
        &self.catalog.inner.config
    }

    /// The connection for looking before changing. Whoever writes through it breaks the promise of this module.
    pub(crate) fn look(&self) -> &DatabaseTransaction {
        &self.conn
    }

    /// Records a change and gives the connection to make it with, and the change's number.
    pub(crate) fn record(&mut self, change: Change) -> (&DatabaseTransaction, i64) {
        self.head.last_seq += 1;
        let seq = self.head.last_seq;
        if let Audit::Entry { action, before, after } = change.audit {
            self.audits.push(Draft { action, subject: change.subject, id: change.id.clone(), before, after });
        }
        self.changes.push(change_log::Model {
            tenant_id: self.tenant.0,
            seq,
            time: self.now.0,
            subject: change.subject.as_str().to_owned(),
            subject_id: change.id,
            action: change.action.as_str().to_owned(),
            payload: change.payload.to_string(),
        });
        (&self.conn, seq)
    }

    /// Records something that followers need not know (a sign-in, a refusal) and gives the connection for what goes
    /// with it.
    pub(crate) fn record_quietly(
        &mut self,
        action: &'static str,
        subject: Subject,
        id: String,
        after: Value,
    ) -> &DatabaseTransaction {
        self.audits.push(Draft { action, subject, id, before: Value::Null, after });
        &self.conn
    }

    /// Writes an audit entry about something that changed no row: a refusal, a failed sign-in, an export. `action` is
    /// dotted, such as `session.refused`.
    pub fn note(&mut self, action: &'static str, subject: Subject, subject_id: &str, detail: Value) {
        let _written_with_commit = self.record_quietly(action, subject, clean(subject_id, 200), detail);
    }

    /// Makes everything durable at once, then tells the followers. Returns the number of the newest change. Without
    /// anything recorded there is nothing to keep, and the transaction is undone.
    pub async fn commit(self) -> Result<i64, CatalogError> {
        if self.changes.is_empty() && self.audits.is_empty() {
            self.conn.rollback().await?;
            return Ok(self.head.last_seq);
        }
        self.commit_unlogged().await
    }

    /// Commits even if nothing was recorded: for counters and times, which are told nowhere.
    pub(crate) async fn commit_unlogged(mut self) -> Result<i64, CatalogError> {
        let audits = audit::link(&mut self.head, self.tenant, &self.actor, self.now, std::mem::take(&mut self.audits));
        for chunk in audits.chunks(CHUNK) {
            InsertMany::<entity::audit::ActiveModel>::many(chunk.to_vec()).exec_without_returning(&self.conn).await?;
        }
        for chunk in self.changes.chunks(CHUNK) {
            InsertMany::<change_log::ActiveModel>::many(chunk.to_vec()).exec_without_returning(&self.conn).await?;
        }
        self.prune().await?;
        let head = tenant::ActiveModel {
            id: Unchanged(self.head.id),
            last_seq: Set(self.head.last_seq),
            log_floor: Set(self.head.log_floor),
            audit_seq: Set(self.head.audit_seq),
            audit_head: Set(self.head.audit_head.clone()),
            ..Default::default()
        };
        tenant::Entity::update(head).exec(&self.conn).await?;
        self.conn.commit().await?;
        self.catalog.nudge(self.tenant, self.head.last_seq);
        Ok(self.head.last_seq)
    }

    /// Drops the oldest change-log entries once there are a tenth too many, so that most commits delete nothing.
    async fn prune(&mut self) -> Result<(), CatalogError> {
        let keep = self.limits().change_log_entries_max.max(1) as i64;
        let floor = self.head.last_seq - keep;
        if floor - self.head.log_floor <= keep / 10 {
            return Ok(());
        }
        change_log::Entity::delete_many()
            .filter(change_log::Column::TenantId.eq(self.tenant.0))
            .filter(change_log::Column::Seq.lte(floor))
            .exec(&self.conn)
            .await?;
        self.head.log_floor = floor;
        Ok(())
    }
}
