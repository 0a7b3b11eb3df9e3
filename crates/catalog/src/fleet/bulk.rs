//! Tags and groups of many hosts at once.

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
}

fn changed_labels(what: &str, now: &[String], add: &[String], remove: &[String]) -> Result<Vec<String>, CatalogError> {
    let gone = |label: &&String| !remove.iter().any(|r| r.trim() == label.as_str());
    let all: Vec<String> = now.iter().filter(gone).chain(add).cloned().collect();
    labels(what, &all)
}
