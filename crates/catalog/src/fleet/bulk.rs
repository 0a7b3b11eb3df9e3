//! Many hosts at once: their tags and groups, and shutting them out or taking them off the list.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use uuid::Uuid;

use super::hosts::Host;
use super::{labels, labels_text};
use crate::entity::host;
use crate::{Action, CatalogError, Tx};

/// Hosts whose labels one call changes.
pub const HOSTS_AT_ONCE_MAX: u64 = 20_000;

/// What to add to hosts, and what to take away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelChange {
    /// Tags that they get.
    pub add_tags: Vec<String>,
    /// Tags that they lose.
    pub remove_tags: Vec<String>,
    /// Groups that they get into.
    pub add_groups: Vec<String>,
    /// Groups that they leave.
    pub remove_groups: Vec<String>,
}

impl Tx {
    /// Changes tags and groups of hosts of this transaction's tenant. Answers those that were changed.
    pub async fn label_hosts(&mut self, ids: &[Uuid], change: &LabelChange) -> Result<Vec<Host>, CatalogError> {
        let mut changed = Vec::new();
        for id in ids {
            // One that was deleted meanwhile is not there to be changed.
            let Ok(before) = self.host_row(*id).await else { continue };
            let mut after = before.clone();
            after.tags = changed_labels("tags", &before.tags, &change.add_tags, &change.remove_tags)?;
            after.groups = changed_labels("groups", &before.groups, &change.add_groups, &change.remove_groups)?;
            if after == before {
                continue;
            }
            (after.version, after.updated) = (before.version + 1, self.now());
            let row = host::ActiveModel {
                tags: Set(labels_text(&after.tags)),
                groups: Set(labels_text(&after.groups)),
                version: Set(after.version),
                updated: Set(after.updated.0),
                ..Default::default()
            };
            let conn = self.record_host(&after, Action::Updated, "host.update", json!(before));
            host::Entity::update_many().set(row).filter(host::Column::Id.eq(*id)).exec(conn).await?;
            changed.push(after);
        }
        Ok(changed)
    }

    /// Shuts hosts of this transaction's tenant out, for good. Answers those that were not yet.
    pub async fn revoke_hosts(&mut self, ids: &[Uuid]) -> Result<Vec<Uuid>, CatalogError> {
        let mut changed = Vec::new();
        for id in ids {
            if self.host_if_there(*id).await?.is_some_and(|host| host.revoked.is_none()) {
                self.revoke_host(*id).await?;
                changed.push(*id);
            }
        }
        Ok(changed)
    }

    /// Takes hosts of this transaction's tenant off the list. Answers those that were on it.
    pub async fn delete_hosts(&mut self, ids: &[Uuid]) -> Result<Vec<Uuid>, CatalogError> {
        let mut changed = Vec::new();
        for id in ids {
            if self.host_if_there(*id).await?.is_some() {
                self.delete_host(*id).await?;
                changed.push(*id);
            }
        }
        Ok(changed)
    }

    async fn host_if_there(&mut self, id: Uuid) -> Result<Option<Host>, CatalogError> {
        match self.host_row(id).await {
            Err(CatalogError::NotFound(_)) => Ok(None),
            found => found.map(Some),
        }
    }
}

fn changed_labels(what: &str, now: &[String], add: &[String], remove: &[String]) -> Result<Vec<String>, CatalogError> {
    let gone = |label: &&String| !remove.iter().any(|r| r.trim() == label.as_str());
    let all: Vec<String> = now.iter().filter(gone).chain(add).cloned().collect();
    labels(what, &all)
}
