//! Following a tenant's audit trail live, in its own numbers: it is another log than that of changes, because refusals
//! and sign-ins change nothing.

use std::time::Duration;

use guardian_model::TenantId;
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio::sync::watch;

use crate::entity::audit;
use crate::{AUDIT_PAGE_MAX, AuditEntry, Catalog, CatalogError, Scoped};

/// How long a follower waits before it looks by itself: other processes write too, and cannot nudge this one.
const POLL: Duration = Duration::from_secs(1);

impl Scoped<'_> {
    /// The entries of the trail of `tenant` that follow the one numbered `after`, oldest first.
    pub async fn audit_after(&self, tenant: TenantId, after: i64, limit: u64) -> Result<Vec<AuditEntry>, CatalogError> {
        self.require(tenant)?;
        let query = self
            .select::<audit::Entity>()
            .filter(audit::Column::TenantId.eq(tenant.0))
            .filter(audit::Column::Seq.gt(after))
            .order_by_asc(audit::Column::Seq)
            .limit(limit.clamp(1, AUDIT_PAGE_MAX));
        query.all(self.conn()).await?.into_iter().map(AuditEntry::try_from).collect()
    }

    /// Follows the trail of `tenant` from the entry after `after`, live.
    pub fn follow_audit(&self, tenant: TenantId, after: i64) -> Result<AuditFollower, CatalogError> {
        self.require(tenant)?;
        Ok(AuditFollower { catalog: self.catalog().clone(), tenant, after, nudge: self.catalog().nudges(tenant) })
    }
}

/// Follows one tenant's audit trail without gap or repeat: entries are never removed, so that there is always a way on.
pub struct AuditFollower {
    catalog: Catalog,
    tenant: TenantId,
    after: i64,
    nudge: watch::Receiver<i64>,
}

impl AuditFollower {
    /// The number of the last entry handed out.
    pub fn position(&self) -> i64 {
        self.after
    }

    /// The next entries, at least one; waits for them. Safe to cancel: what was not returned is returned next time.
    pub async fn next(&mut self) -> Result<Vec<AuditEntry>, CatalogError> {
        let scope = guardian_model::Scope::of(self.tenant);
        loop {
            self.nudge.mark_unchanged();
            let entries = self.catalog.scoped(&scope).audit_after(self.tenant, self.after, AUDIT_PAGE_MAX).await?;
            if let Some(last) = entries.last() {
                self.after = last.seq;
                return Ok(entries);
            }
            // The sender lives as long as the catalog, which this follower holds; a timeout is the normal idle round.
            let _nudged_or_poll = tokio::time::timeout(POLL, self.nudge.changed()).await;
        }
    }
}
