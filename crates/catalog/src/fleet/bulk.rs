//! One change of many hosts.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::hosts::{Host, HostChange};
use crate::{CatalogError, Tx};

/// Tags and groups to give to hosts and to take from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostLabels {
    /// Tags to give.
    pub add_tags: Vec<String>,
    /// Tags to take.
    pub remove_tags: Vec<String>,
    /// Groups to put them into.
    pub add_groups: Vec<String>,
    /// Groups to take them out of.
    pub remove_groups: Vec<String>,
}

impl Tx {
    /// Changes the labels of hosts of this transaction's tenant. Answers those that it changed; the others had them like that
    /// already, or are gone.
    pub async fn label_hosts(&mut self, ids: &[Uuid], labels: &HostLabels) -> Result<Vec<Uuid>, CatalogError> {
        let mut changed = Vec::new();
        for id in ids {
            let Some(before) = self.host_if_there(*id).await? else { continue };
            let tags = relabelled(&before.tags, &labels.add_tags, &labels.remove_tags);
            let groups = relabelled(&before.groups, &labels.add_groups, &labels.remove_groups);
            if tags.is_none() && groups.is_none() {
                continue;
            }
            let change = HostChange { tags, groups, ..HostChange::default() };
            self.update_host(*id, before.version, &change).await?;
            changed.push(*id);
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

/// The labels afterwards; none if they are the same.
fn relabelled(before: &[String], add: &[String], remove: &[String]) -> Option<Vec<String>> {
    let before: BTreeSet<&str> = before.iter().map(String::as_str).collect();
    let given = add.iter().map(|label| label.trim()).filter(|label| !label.is_empty());
    let mut after: BTreeSet<&str> = before.iter().copied().chain(given).collect();
    for label in remove {
        after.remove(label.trim());
    }
    (after != before).then(|| after.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::relabelled;

    #[test]
    fn what_changes_nothing_is_no_change() {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (before, add, remove, after) in [
            ("a b", "c", "", Some("a b c")),
            ("a b", "a", "", None),
            ("a b", "", "b", Some("a")),
            ("a b", "", "c", None),
            ("a", "b", "b", None),
        ] {
            assert_eq!(
                relabelled(&list(before), &list(add), &list(remove)),
                after.map(list),
                "{before} +{add} -{remove}"
            );
        }
    }
}
