//! Where hosts stand: which groups they fit, which policy they are to run, and whether it was told that they are offline.
//! It follows from what people decide elsewhere, so that no entry of the audit trail is written for it.

use guardian_model::{Micros, Scope, TenantId};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::hosts::Host;
use super::labels_text;
use crate::entity::host;
use crate::{Actor, CatalogError, System};

/// Where a host stands from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStanding {
    /// Which.
    pub id: Uuid,
    /// Groups whose expression it fits.
    pub matched: Vec<String>,
    /// BLAKE3 of the policy that it is to run, in hexadecimal digits.
    pub policy_hash: String,
}

impl System<'_> {
    /// Stores where hosts of a tenant stand; a policy that is another than before gets the next version. Answers the hosts
    /// that changed, as they are now. Another node may have done the same a moment before: then nothing changes.
    pub async fn settle_hosts(&self, tenant: TenantId, standing: &[HostStanding]) -> Result<Vec<Host>, CatalogError> {
        let mut tx = self.scoped(&Scope::of(tenant)).begin(tenant, Actor::system("fleet")).await?;
        let mut changed = Vec::new();
        for one in standing {
            let Ok(before) = tx.host_row(one.id).await else { continue };
            let policy_version = before.policy_version + i32::from(before.policy_hash != one.policy_hash);
            let after = Host {
                matched: one.matched.clone(),
                policy_version,
                policy_hash: one.policy_hash.clone(),
                ..before.clone()
            };
            if after == before {
                continue;
            }
            let conn = tx.host_followed(&after);
            host::Entity::update_many()
                .col_expr(host::Column::Matched, Expr::value(labels_text(&after.matched)))
                .col_expr(host::Column::PolicyVersion, Expr::value(after.policy_version))
                .col_expr(host::Column::PolicyHash, Expr::value(after.policy_hash.clone()))
                .filter(host::Column::Id.eq(one.id))
                .exec(conn)
                .await?;
            changed.push(after);
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// Hosts that were there, are not any more, and of which nothing was said yet; those that left last come first.
    pub async fn silent_hosts(&self, limit: u64) -> Result<Vec<Host>, CatalogError> {
        let query = host::Entity::find()
            .filter(host::Column::Revoked.is_null())
            .filter(host::Column::LastSeen.gt(0))
            .filter(host::Column::OfflineTold.is_null())
            .filter(host::Column::OnlineUntil.lte(self.catalog().now().0))
            .order_by_desc(host::Column::OnlineUntil)
            .limit(limit);
        query.all(self.read()).await?.into_iter().map(Host::try_from).collect()
    }

    /// Hosts of which it was said that they are offline, and that are there again.
    pub async fn returned_hosts(&self, limit: u64) -> Result<Vec<Host>, CatalogError> {
        let query = host::Entity::find()
            .filter(host::Column::Revoked.is_null())
            .filter(host::Column::OfflineTold.is_not_null())
            .filter(host::Column::OnlineUntil.gt(self.catalog().now().0))
            .limit(limit);
        query.all(self.read()).await?.into_iter().map(Host::try_from).collect()
    }

    /// Keeps that it was told of a host that it is offline, or (with none) that it is back. Answers whether it was this call
    /// that changed it: of several nodes one alone tells. Hosts that came or went meanwhile are left alone.
    pub async fn tell_offline(&self, before: &Host, told: Option<i64>) -> Result<bool, CatalogError> {
        let mut tx = self.scoped(&Scope::of(before.tenant)).begin(before.tenant, Actor::system("fleet")).await?;
        let Ok(now) = tx.host_row(before.id).await else { return Ok(false) };
        let online = now.online_until > tx.now();
        if now.offline_told != before.offline_told || online == told.is_some() || now.revoked.is_some() {
            return Ok(false);
        }
        let after = Host { offline_told: told, ..now };
        let conn = tx.host_followed(&after);
        host::Entity::update_many()
            .col_expr(host::Column::OfflineTold, Expr::value(told))
            .filter(host::Column::Id.eq(after.id))
            .exec(conn)
            .await?;
        tx.commit().await?;
        Ok(true)
    }
}

impl Host {
    /// Since when it is offline, given that it is.
    pub const fn silent_since(&self) -> Micros {
        self.online_until
    }
}
