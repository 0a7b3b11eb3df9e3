//! Counting alerts: facets beside a list, volume over time, and groups of what belongs together.

use std::collections::BTreeMap;

use guardian_model::{Micros, Severity};
use sea_orm::sea_query::{Expr, ExprTrait, Func, Order};
use sea_orm::{ColumnTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use super::query::condition;
use super::{AlertFilter, AlertStatus};
use crate::entity::alert;
use crate::{CatalogError, Scoped, text_enum};

/// Values named for one facet; the rest is in the total only.
pub const FACET_VALUES_MAX: u64 = 20;
/// Groups listed at once.
pub const GROUPS_MAX: u64 = 500;
/// Steps of a histogram.
pub const BUCKETS_MAX: i64 = 400;

/// One value of a facet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacetValue {
    /// What to filter by.
    pub value: String,
    /// What to show; empty when the value says it all.
    pub label: String,
    /// How many.
    pub count: u64,
}

/// What a list could be narrowed to. Each facet leaves its own part of the filter out, so that other values of it stay
/// visible.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertFacets {
    /// All that match.
    pub total: u64,
    /// By severity, worst first.
    pub severity: Vec<FacetValue>,
    /// By status.
    pub status: Vec<FacetValue>,
    /// By rule, most alerts first.
    pub rule: Vec<FacetValue>,
    /// By entity, most alerts first.
    pub entity: Vec<FacetValue>,
    /// By assignee; the empty value is nobody.
    pub assignee: Vec<FacetValue>,
    /// By ATT&CK technique or tactic.
    pub attack: Vec<FacetValue>,
}

/// Alerts of one step of time, mildest severity first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertBucket {
    /// Its beginning.
    pub start: Micros,
    /// By severity, in the order of [`Severity::ALL`].
    pub counts: [u64; 5],
}

text_enum! {
    /// What alerts are put together by.
    AlertGrouping {
        /// The rule that raised them.
        Rule = "rule",
        /// What they are about.
        Entity = "entity",
        /// The incident they belong to.
        Incident = "incident",
    }
}

/// Alerts that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromQueryResult)]
pub struct AlertGroup {
    /// Rule id, entity or incident id; empty for alerts without an incident.
    pub value: Option<String>,
    /// Title of the rule; empty otherwise.
    pub label: String,
    /// How many.
    pub count: i64,
    /// How many of them nobody closed.
    pub open: i64,
    /// OCSF severity of the worst.
    pub severity: i32,
    /// First event, microseconds.
    pub first_seen: i64,
    /// Last event, microseconds.
    pub last_seen: i64,
}

impl Scoped<'_> {
    /// What a list with this filter could be narrowed to.
    pub async fn alert_facets(&self, filter: &AlertFilter) -> Result<AlertFacets, CatalogError> {
        use alert::Column as C;
        let without = |change: fn(&mut AlertFilter)| {
            let mut other = filter.clone();
            change(&mut other);
            other
        };
        let by_severity = self
            .alert_counts(&without(|f| {
                f.severity.clear();
                f.severity_min = None;
            }))
            .await?
            .by_severity;
        let by_status = self.alert_counts(&without(|f| f.status.clear())).await?.by_status;
        let plain = |value: &str, count: u64| FacetValue { value: value.to_owned(), label: String::new(), count };
        Ok(AlertFacets {
            total: self.alert_counts(filter).await?.total,
            severity: by_severity.into_iter().rev().map(|(s, n)| plain(s.as_str(), n)).collect(),
            status: by_status.into_iter().map(|(s, n)| plain(s.as_str(), n)).collect(),
            rule: self.facet(&without(|f| f.rule_id = None), C::RuleId, Some(C::RuleTitle)).await?,
            entity: self.facet(&without(|f| f.entity = None), C::Entity, None).await?,
            assignee: self
                .assignee_facet(&without(|f| {
                    f.assignee = None;
                    f.unassigned = false;
                }))
                .await?,
            attack: self.attack_facet(&without(|f| f.attack = None)).await?,
        })
    }

    async fn facet(
        &self,
        filter: &AlertFilter,
        column: alert::Column,
        label: Option<alert::Column>,
    ) -> Result<Vec<FacetValue>, CatalogError> {
        let label = match label {
            Some(label) => Expr::col((alert::Entity, label)).max(),
            None => Expr::val(String::new()),
        };
        let rows: Vec<(String, String, i64)> = self
            .select::<alert::Entity>()
            .filter(condition(filter))
            .select_only()
            .column_as(column, "value")
            .column_as(label, "label")
            .column_as(alert::Column::Id.count(), "n")
            .group_by(column)
            .order_by(alert::Column::Id.count(), Order::Desc)
            .order_by(column, Order::Asc)
            .limit(FACET_VALUES_MAX)
            .into_tuple()
            .all(self.conn())
            .await?;
        Ok(rows.into_iter().map(|(value, label, n)| FacetValue { value, label, count: natural(n) }).collect())
    }

    async fn assignee_facet(&self, filter: &AlertFilter) -> Result<Vec<FacetValue>, CatalogError> {
        let rows: Vec<(Option<uuid::Uuid>, i64)> = self
            .select::<alert::Entity>()
            .filter(condition(filter))
            .select_only()
            .column_as(alert::Column::Assignee, "value")
            .column_as(alert::Column::Id.count(), "n")
            .group_by(alert::Column::Assignee)
            .order_by(alert::Column::Id.count(), Order::Desc)
            .limit(FACET_VALUES_MAX)
            .into_tuple()
            .all(self.conn())
            .await?;
        let value = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        Ok(rows
            .into_iter()
            .map(|(id, n)| FacetValue { value: value(id), label: String::new(), count: natural(n) })
            .collect())
    }

    /// Alerts by each technique and tactic that their rules name.
    pub async fn alert_attack_counts(&self, filter: &AlertFilter) -> Result<BTreeMap<String, u64>, CatalogError> {
        let rows: Vec<(String, i64)> = self
            .select::<alert::Entity>()
            .filter(condition(filter))
            .select_only()
            .column(alert::Column::Attack)
            .column_as(alert::Column::Id.count(), "n")
            .group_by(alert::Column::Attack)
            .into_tuple()
            .all(self.conn())
            .await?;
        let mut counts = BTreeMap::<String, u64>::new();
        for (tags, n) in &rows {
            for tag in tags.split(',').filter(|t| !t.is_empty()) {
                *counts.entry(tag.to_owned()).or_default() += natural(*n);
            }
        }
        Ok(counts)
    }

    async fn attack_facet(&self, filter: &AlertFilter) -> Result<Vec<FacetValue>, CatalogError> {
        let mut counts: Vec<_> = self.alert_attack_counts(filter).await?.into_iter().collect();
        counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        counts.truncate(FACET_VALUES_MAX as usize);
        Ok(counts.into_iter().map(|(value, count)| FacetValue { value, label: String::new(), count }).collect())
    }

    /// How many alerts were last seen in each of `buckets` equal steps from `from` to `to`, at most [`BUCKETS_MAX`].
    /// Empty steps are there too.
    pub async fn alert_histogram(
        &self,
        filter: &AlertFilter,
        from: Micros,
        to: Micros,
        buckets: i64,
    ) -> Result<Vec<AlertBucket>, CatalogError> {
        use alert::Column as C;
        if to <= from {
            return Err(CatalogError::Invalid("the time range is empty".into()));
        }
        let buckets = buckets.clamp(1, BUCKETS_MAX);
        let step = Ord::max((to - from).div_euclid(buckets), 1);
        // Numbers of ours, so that the grouped and the selected expression are the same text to PostgreSQL.
        let bucket = Expr::cust(format!("(\"alerts\".\"last_seen\" - {}) / {step}", from.0));
        let rows: Vec<(i64, i32, i64)> = self
            .select::<alert::Entity>()
            .filter(condition(filter))
            .filter(C::LastSeen.gte(from.0))
            .filter(C::LastSeen.lt(to.0))
            .select_only()
            .column_as(bucket.clone(), "bucket")
            .column(C::Severity)
            .column_as(C::Id.count(), "n")
            .group_by(bucket)
            .group_by(C::Severity)
            .into_tuple()
            .all(self.conn())
            .await?;
        let mut steps: Vec<AlertBucket> =
            (0..buckets).map(|i| AlertBucket { start: from + i * step, counts: [0; 5] }).collect();
        for (at, severity, n) in rows {
            // What integer division left over belongs to the last step.
            let at = at.clamp(0, buckets - 1) as usize;
            let place = usize::try_from(severity - 1).unwrap_or_default().min(4);
            if let Some(count) = steps.get_mut(at).and_then(|b| b.counts.get_mut(place)) {
                *count += natural(n);
            }
        }
        Ok(steps)
    }

    /// Alerts put together by what they have in common, the worst and largest groups first, at most [`GROUPS_MAX`].
    pub async fn alert_groups(&self, filter: &AlertFilter, by: AlertGrouping) -> Result<Vec<AlertGroup>, CatalogError> {
        use alert::Column as C;
        let column = |c: C| Expr::col((alert::Entity, c));
        let key = match by {
            AlertGrouping::Rule => C::RuleId,
            AlertGrouping::Entity => C::Entity,
            AlertGrouping::Incident => C::IncidentId,
        };
        let label = match by {
            AlertGrouping::Rule => column(C::RuleTitle).max(),
            _ => Expr::val(String::new()),
        };
        let open = Expr::case(column(C::Status).ne(AlertStatus::Closed.as_str()), 1).finally(0);
        // An id is a blob on SQLite and a uuid on PostgreSQL: those rows are read as what they are.
        let query = self
            .select::<alert::Entity>()
            .filter(condition(filter))
            .select_only()
            .column_as(label, "label")
            .column_as(C::Id.count(), "count")
            .column_as(Expr::expr(Func::sum(open)).cast_as("bigint"), "open")
            .column_as(C::Severity.max(), "severity")
            .column_as(C::FirstSeen.min(), "first_seen")
            .column_as(C::LastSeen.max(), "last_seen")
            .group_by(key)
            .order_by(C::Severity.max(), Order::Desc)
            .order_by(C::Id.count(), Order::Desc)
            .limit(GROUPS_MAX);
        if by == AlertGrouping::Incident {
            let rows: Vec<IncidentGroup> =
                query.column_as(key, "incident").into_model::<IncidentGroup>().all(self.conn()).await?;
            return Ok(rows.into_iter().map(AlertGroup::from).collect());
        }
        Ok(query.column_as(key, "value").into_model::<AlertGroup>().all(self.conn()).await?)
    }
}

#[derive(FromQueryResult)]
struct IncidentGroup {
    incident: Option<uuid::Uuid>,
    label: String,
    count: i64,
    open: i64,
    severity: i32,
    first_seen: i64,
    last_seen: i64,
}

impl From<IncidentGroup> for AlertGroup {
    fn from(row: IncidentGroup) -> Self {
        Self {
            value: row.incident.map(|id| id.to_string()),
            label: row.label,
            count: row.count,
            open: row.open,
            severity: row.severity,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    }
}

impl AlertBucket {
    /// Of all severities.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Of one severity.
    pub fn of(&self, severity: Severity) -> u64 {
        self.counts.get(usize::from(severity.id()) - 1).copied().unwrap_or_default()
    }
}

/// A count that a database answered.
fn natural(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}
