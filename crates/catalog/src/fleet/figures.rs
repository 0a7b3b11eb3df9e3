//! Hosts in figures: how many there are of each sort, for the filters of a list and for whoever wants to know at a glance.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter, QuerySelect};

use super::labels_of;
use super::list::{HostFilter, HostStatus, HostTrouble, condition};
use crate::entity::host;
use crate::{CatalogError, Scoped};

/// How many hosts there are, of each sort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFigures {
    /// All of them.
    pub total: u64,
    /// By how they stand.
    pub statuses: BTreeMap<HostStatus, u64>,
    /// By what is wrong with their agents.
    pub troubles: BTreeMap<HostTrouble, u64>,
    /// By tag.
    pub tags: BTreeMap<String, u64>,
    /// By group.
    pub groups: BTreeMap<String, u64>,
    /// By distribution and release.
    pub systems: BTreeMap<String, u64>,
    /// By version of the agent's program.
    pub programs: BTreeMap<String, u64>,
}

impl Scoped<'_> {
    /// Counts the hosts of the scope.
    pub async fn host_figures(&self) -> Result<HostFigures, CatalogError> {
        use host::Column as C;
        let mut figures =
            HostFigures { total: self.select::<host::Entity>().count(self.conn()).await?, ..HostFigures::default() };
        let now = self.catalog().now();
        for status in HostStatus::ALL.iter().copied() {
            let filter = HostFilter { status: Some(status), ..HostFilter::default() };
            let matching = self.select::<host::Entity>().filter(condition(&filter, now));
            figures.statuses.insert(status, matching.count(self.conn()).await?);
        }
        for trouble in HostTrouble::ALL.iter().copied() {
            let filter = HostFilter { trouble: Some(trouble), ..HostFilter::default() };
            let matching = self.select::<host::Entity>().filter(condition(&filter, now));
            figures.troubles.insert(trouble, matching.count(self.conn()).await?);
        }
        figures.systems = self.hosts_by(C::System).await?.into_iter().filter(|(name, _)| !name.is_empty()).collect();
        figures.programs = self.hosts_by(C::Program).await?.into_iter().filter(|(name, _)| !name.is_empty()).collect();
        figures.tags = each_label("hosts.tags", self.hosts_by(C::Tags).await?)?;
        figures.groups = self.hosts_by_group().await?;
        Ok(figures)
    }

    /// Hosts by a column, as it is stored.
    async fn hosts_by(&self, column: host::Column) -> Result<Vec<(String, u64)>, CatalogError> {
        let query = self.select::<host::Entity>().select_only().column(column).column_as(host::Column::Id.count(), "n");
        let rows: Vec<(String, i64)> = query.group_by(column).into_tuple().all(self.conn()).await?;
        Ok(rows.into_iter().map(|(value, n)| (value, n.unsigned_abs())).collect())
    }

    /// Hosts by group: those they were put into, and those whose condition they meet; each counts once in each.
    async fn hosts_by_group(&self) -> Result<BTreeMap<String, u64>, CatalogError> {
        use host::Column as C;
        let query = self.select::<host::Entity>().select_only().column(C::Groups).column(C::Matched);
        let query = query.column_as(C::Id.count(), "n").group_by(C::Groups).group_by(C::Matched);
        let rows: Vec<(String, String, i64)> = query.into_tuple().all(self.conn()).await?;
        let mut counts = BTreeMap::new();
        for (groups, matched, n) in rows {
            let put = labels_of("hosts.groups", &groups)?.into_iter();
            let all: BTreeSet<String> = put.chain(labels_of("hosts.matched", &matched)?).collect();
            for group in all {
                *counts.entry(group).or_default() += n.unsigned_abs();
            }
        }
        Ok(counts)
    }
}

/// Counts of single labels from those of whole lists of them, which are far fewer than hosts.
fn each_label(column: &'static str, lists: Vec<(String, u64)>) -> Result<BTreeMap<String, u64>, CatalogError> {
    let mut counts = BTreeMap::new();
    for (list, n) in lists {
        for label in labels_of(column, &list)? {
            *counts.entry(label).or_default() += n;
        }
    }
    Ok(counts)
}
