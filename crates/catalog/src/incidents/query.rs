//! Looking at incidents: filters, orders, pages, facets.

use std::collections::BTreeMap;

use guardian_model::{IncidentId, Micros, Severity, TenantId, UserId};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, Order};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Incident, IncidentKind, IncidentStatus, NO_DEADLINE};
use crate::alerts::{FACET_VALUES_MAX, FacetValue, ReplayFilter};
use crate::entity::{incident, incident_entity};
use crate::page::{self, Cut, PageKey};
use crate::text::{SEARCH_MAX, any_contains, clean, contains};
use crate::{CatalogError, Scoped, text_enum};

/// Most incidents on a page.
pub const INCIDENT_PAGE_MAX: u64 = 500;

text_enum! {
    /// Incidents by their deadlines.
    SlaFilter {
        /// A warning was given, and nothing has passed yet.
        Warning = "warning",
        /// A deadline has passed.
        Breached = "breached",
    }
}

/// Which incidents; empty fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentFilter {
    /// Of this tenant only.
    pub tenant: Option<TenantId>,
    /// These incidents only.
    pub ids: Vec<IncidentId>,
    /// In any of these states.
    pub status: Vec<IncidentStatus>,
    /// Of any of these severities.
    pub severity: Vec<Severity>,
    /// At least this bad.
    pub severity_min: Option<Severity>,
    /// Of any of these kinds.
    pub kind: Vec<IncidentKind>,
    /// Led by this account.
    pub owner: Option<UserId>,
    /// Led by nobody.
    pub unowned: bool,
    /// Watched by this account.
    pub watcher: Option<UserId>,
    /// With this tag.
    pub tag: Option<String>,
    /// About an entity that contains this text.
    pub entity: Option<String>,
    /// With this ATT&CK technique or tactic.
    pub attack: Option<String>,
    /// By deadline.
    pub sla: Option<SlaFilter>,
    /// Live or replayed.
    pub replay: ReplayFilter,
    /// With events at or after this time.
    pub from: Option<Micros>,
    /// With events before this time.
    pub to: Option<Micros>,
    /// Whose title, summary, resolution or number contains this text.
    pub search: Option<String>,
    /// Those that became part of another, too.
    pub merged: bool,
}

text_enum! {
    /// What a list is ordered by, largest first unless turned around.
    IncidentSort {
        /// By when it was made.
        Newest = "newest",
        /// By when anything last changed.
        Updated = "updated",
        /// Worst first.
        Severity = "severity",
        /// By number.
        Number = "number",
        /// By the next deadline, the farthest first.
        Sla = "sla",
        /// By title, from Z to A.
        Title = "title",
        /// Closed first, new last.
        Status = "status",
    }
}

/// An order, possibly turned around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentOrder {
    /// By what.
    pub by: IncidentSort,
    /// Smallest first.
    pub ascending: bool,
}

impl std::str::FromStr for IncidentOrder {
    type Err = String;

    /// The name of a sort; a dash before it turns it around.
    fn from_str(text: &str) -> Result<Self, String> {
        let (ascending, word) = text.strip_prefix('-').map_or((false, text), |word| (true, word));
        Ok(Self { by: word.parse()?, ascending })
    }
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentCursor {
    /// The order it belongs to.
    pub order: IncidentOrder,
    /// Incidents made later than the first page are left out.
    pub snapshot: Micros,
    /// The last incident's sort value.
    pub value: PageKey,
    /// The last incident's id.
    pub id: Uuid,
}

/// One page of incidents.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentPage {
    /// The incidents.
    pub items: Vec<Incident>,
    /// Where the next page begins, if there is one.
    pub next: Option<IncidentCursor>,
}

/// What a list could be narrowed to; each facet leaves its own part of the filter out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentFacets {
    /// All that match.
    pub total: u64,
    /// By severity, worst first.
    pub severity: Vec<FacetValue>,
    /// By status, in the order of the work.
    pub status: Vec<FacetValue>,
    /// By kind.
    pub kind: Vec<FacetValue>,
    /// By owner; the empty value is nobody.
    pub owner: Vec<FacetValue>,
    /// By tag.
    pub tag: Vec<FacetValue>,
    /// By deadline.
    pub sla: Vec<FacetValue>,
}

impl Scoped<'_> {
    /// A page of at most `limit` incidents.
    pub async fn incidents(
        &self,
        filter: &IncidentFilter,
        order: IncidentOrder,
        cursor: Option<&IncidentCursor>,
        limit: u64,
    ) -> Result<IncidentPage, CatalogError> {
        use incident::Column as C;
        if cursor.is_some_and(|c| c.order != order) {
            return Err(CatalogError::Invalid(format!("the cursor does not belong to the order `{}`", order.by)));
        }
        let snapshot = cursor.map_or_else(|| self.catalog().now(), |c| c.snapshot);
        let query = self.select::<incident::Entity>().filter(condition(filter)).filter(C::Created.lte(snapshot.0));
        let cut = Cut {
            by: sorted_by(order.by),
            ascending: order.ascending,
            after: cursor.map(|c| (&c.value, c.id)),
            limit: limit.clamp(1, INCIDENT_PAGE_MAX),
        };
        let place = |row: &incident::Model| (sort_value(row, order.by), row.id);
        let (rows, next) = page::fetch(query, C::Id, cut, self.conn(), place).await?;
        let next = next.map(|(value, id)| IncidentCursor { order, snapshot, value, id });
        let items = rows.into_iter().map(Incident::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(IncidentPage { items, next })
    }

    /// One incident.
    pub async fn incident(&self, id: IncidentId) -> Result<Incident, CatalogError> {
        let row = self.select::<incident::Entity>().filter(incident::Column::Id.eq(id.0)).one(self.conn()).await?;
        row.ok_or(CatalogError::NotFound("incident")).and_then(Incident::try_from)
    }

    /// One incident by its number.
    pub async fn incident_by_number(&self, tenant: TenantId, number: i64) -> Result<Incident, CatalogError> {
        self.require(tenant)?;
        let row = self
            .select::<incident::Entity>()
            .filter(incident::Column::TenantId.eq(tenant.0))
            .filter(incident::Column::Number.eq(number))
            .one(self.conn())
            .await?;
        row.ok_or(CatalogError::NotFound("incident")).and_then(Incident::try_from)
    }

    /// The open incidents of one tenant, most recently active first, at most `limit`: what correlation looks at.
    pub async fn open_incidents(
        &self,
        tenant: TenantId,
        since: Micros,
        limit: u64,
    ) -> Result<Vec<Incident>, CatalogError> {
        self.require(tenant)?;
        let rows = self
            .select::<incident::Entity>()
            .filter(incident::Column::TenantId.eq(tenant.0))
            .filter(incident::Column::Status.is_in(IncidentStatus::open().iter().map(|s| s.as_str())))
            .filter(incident::Column::LastSeen.gte(since.0))
            .order_by_desc(incident::Column::LastSeen)
            .limit(limit)
            .all(self.conn())
            .await?;
        rows.into_iter().map(Incident::try_from).collect()
    }

    /// The incidents of one tenant with a deadline at or before `time` that is not met yet.
    pub async fn incidents_due(
        &self,
        tenant: TenantId,
        time: Micros,
        limit: u64,
    ) -> Result<Vec<Incident>, CatalogError> {
        self.require(tenant)?;
        let rows = self
            .select::<incident::Entity>()
            .filter(incident::Column::TenantId.eq(tenant.0))
            .filter(incident::Column::NextDue.lte(time.0))
            .filter(incident::Column::MergedInto.is_null())
            .order_by_asc(incident::Column::NextDue)
            .limit(limit)
            .all(self.conn())
            .await?;
        rows.into_iter().map(Incident::try_from).collect()
    }

    /// How many incidents match, by status and severity.
    pub async fn incident_counts(
        &self,
        filter: &IncidentFilter,
    ) -> Result<BTreeMap<(IncidentStatus, Severity), u64>, CatalogError> {
        let rows: Vec<(String, i32, i64)> = self
            .select::<incident::Entity>()
            .filter(condition(filter))
            .select_only()
            .column(incident::Column::Status)
            .column(incident::Column::Severity)
            .column_as(incident::Column::Id.count(), "n")
            .group_by(incident::Column::Status)
            .group_by(incident::Column::Severity)
            .into_tuple()
            .all(self.conn())
            .await?;
        let mut counts = BTreeMap::new();
        for (status, severity, n) in rows {
            let key = (status.parse().map_err(CatalogError::Corrupt)?, super::severity(severity)?);
            counts.insert(key, u64::try_from(n).unwrap_or_default());
        }
        Ok(counts)
    }

    /// How long it took on average, in seconds, until somebody looked at the incidents that somebody looked at from
    /// `from` to `to`; none when there were none. Those of replays do not count.
    pub async fn acknowledge_seconds(&self, from: Micros, to: Micros) -> Result<Option<f64>, CatalogError> {
        // The average of whole numbers is a decimal to PostgreSQL.
        let average = "CAST(AVG(\"incidents\".\"triaged_at\" - \"incidents\".\"created\") AS DOUBLE PRECISION)";
        let found: Option<Option<f64>> = self
            .select::<incident::Entity>()
            .filter(incident::Column::TriagedAt.gte(from.0))
            .filter(incident::Column::TriagedAt.lt(to.0))
            .filter(incident::Column::Replay.is_null())
            .select_only()
            .column_as(Expr::cust(average), "seconds")
            .into_tuple()
            .one(self.conn())
            .await?;
        Ok(found.flatten().map(|micros| micros / Micros::SECOND as f64))
    }

    /// What a list with this filter could be narrowed to.
    pub async fn incident_facets(&self, filter: &IncidentFilter) -> Result<IncidentFacets, CatalogError> {
        use incident::Column as C;
        let without = |change: fn(&mut IncidentFilter)| {
            let mut other = filter.clone();
            change(&mut other);
            other
        };
        let plain = |value: &str, count: u64| FacetValue { value: value.to_owned(), label: String::new(), count };
        let by_severity = self
            .incident_counts(&without(|f| {
                f.severity.clear();
                f.severity_min = None;
            }))
            .await?;
        let of_severity = |s: Severity| by_severity.iter().filter(|((_, x), _)| *x == s).map(|(_, n)| n).sum::<u64>();
        let by_status = self.incident_counts(&without(|f| f.status.clear())).await?;
        let of_status = |s: IncidentStatus| by_status.iter().filter(|((x, _), _)| *x == s).map(|(_, n)| n).sum::<u64>();
        let owners = without(|f| {
            f.owner = None;
            f.unowned = false;
        });
        let mut sla = Vec::new();
        for wanted in SlaFilter::ALL {
            let narrowed = IncidentFilter { sla: Some(*wanted), ..filter.clone() };
            sla.push(plain(wanted.as_str(), self.incident_counts(&narrowed).await?.values().sum()));
        }
        Ok(IncidentFacets {
            total: self.incident_counts(filter).await?.values().sum(),
            severity: Severity::ALL.iter().rev().map(|s| plain(s.as_str(), of_severity(*s))).collect(),
            status: IncidentStatus::ALL.iter().map(|s| plain(s.as_str(), of_status(*s))).collect(),
            kind: self.incident_facet(&without(|f| f.kind.clear()), C::Kind).await?,
            owner: self.owner_facet(&owners).await?,
            tag: self.tag_facet(&without(|f| f.tag = None)).await?,
            sla,
        })
    }

    async fn incident_facet(
        &self,
        filter: &IncidentFilter,
        column: incident::Column,
    ) -> Result<Vec<FacetValue>, CatalogError> {
        let rows: Vec<(String, i64)> = self
            .select::<incident::Entity>()
            .filter(condition(filter))
            .select_only()
            .column(column)
            .column_as(incident::Column::Id.count(), "n")
            .group_by(column)
            .order_by(incident::Column::Id.count(), Order::Desc)
            .limit(FACET_VALUES_MAX)
            .into_tuple()
            .all(self.conn())
            .await?;
        Ok(rows.into_iter().map(|(value, n)| facet(value, n)).collect())
    }

    async fn owner_facet(&self, filter: &IncidentFilter) -> Result<Vec<FacetValue>, CatalogError> {
        let rows: Vec<(Option<Uuid>, i64)> = self
            .select::<incident::Entity>()
            .filter(condition(filter))
            .select_only()
            .column(incident::Column::Owner)
            .column_as(incident::Column::Id.count(), "n")
            .group_by(incident::Column::Owner)
            .order_by(incident::Column::Id.count(), Order::Desc)
            .limit(FACET_VALUES_MAX)
            .into_tuple()
            .all(self.conn())
            .await?;
        Ok(rows.into_iter().map(|(id, n)| facet(id.map(|id| id.to_string()).unwrap_or_default(), n)).collect())
    }

    async fn tag_facet(&self, filter: &IncidentFilter) -> Result<Vec<FacetValue>, CatalogError> {
        let mut counts = BTreeMap::<String, i64>::new();
        for row in self.incident_facet(filter, incident::Column::Tags).await? {
            for tag in row.value.split(',').filter(|t| !t.is_empty()) {
                *counts.entry(tag.to_owned()).or_default() += row.count as i64;
            }
        }
        let mut tags: Vec<FacetValue> = counts.into_iter().map(|(tag, n)| facet(tag, n)).collect();
        tags.sort_by_key(|tag| std::cmp::Reverse(tag.count));
        tags.truncate(FACET_VALUES_MAX as usize);
        Ok(tags)
    }
}

fn facet(value: String, n: i64) -> FacetValue {
    FacetValue { value, label: String::new(), count: u64::try_from(n).unwrap_or_default() }
}

fn sorted_by(sort: IncidentSort) -> Expr {
    use incident::Column as C;
    let column = |c: C| Expr::col((incident::Entity, c));
    match sort {
        IncidentSort::Newest => column(C::Created),
        IncidentSort::Updated => column(C::Updated),
        IncidentSort::Severity => column(C::Severity),
        IncidentSort::Number => column(C::Number),
        IncidentSort::Sla => column(C::NextDue),
        IncidentSort::Title => column(C::Title),
        IncidentSort::Status => IncidentStatus::ALL
            .iter()
            .fold(CaseStatement::new(), |case, s| case.case(column(C::Status).eq(s.as_str()), Expr::val(*s as i64)))
            .finally(Expr::val(0_i64))
            .into(),
    }
}

fn sort_value(row: &incident::Model, sort: IncidentSort) -> PageKey {
    match sort {
        IncidentSort::Newest => PageKey::Number(row.created),
        IncidentSort::Updated => PageKey::Number(row.updated),
        IncidentSort::Severity => PageKey::Number(i64::from(row.severity)),
        IncidentSort::Number => PageKey::Number(row.number),
        IncidentSort::Sla => PageKey::Number(row.next_due),
        IncidentSort::Title => PageKey::Text(row.title.clone()),
        IncidentSort::Status => PageKey::Number(row.status.parse::<IncidentStatus>().map_or(0, |s| s as i64)),
    }
}

/// The filter as SQL; the tenant filter of the scope comes on top of it.
pub(super) fn condition(filter: &IncidentFilter) -> Condition {
    use incident::Column as C;
    let mut all = people(filter);
    if !filter.ids.is_empty() {
        all = all.add(C::Id.is_in(filter.ids.iter().map(|id| id.0)));
    }
    if !filter.severity.is_empty() {
        all = all.add(C::Severity.is_in(filter.severity.iter().map(|s| i32::from(s.id()))));
    }
    if let Some(severity) = filter.severity_min {
        all = all.add(C::Severity.gte(i32::from(severity.id())));
    }
    if let Some(entity) = &filter.entity {
        let about = incident_entity::Entity::find()
            .select_only()
            .column(incident_entity::Column::IncidentId)
            .filter(contains(incident_entity::Column::Value, entity));
        all = all.add(C::Id.in_subquery(about.into_query()));
    }
    if let Some(attack) = &filter.attack {
        all = all.add(contains(C::Attack, attack));
    }
    match filter.sla {
        None => {}
        Some(SlaFilter::Breached) => all = all.add(C::SlaBreached.ne(0)),
        Some(SlaFilter::Warning) => {
            all = all.add(C::SlaWarned.ne(0)).add(C::SlaBreached.eq(0)).add(C::NextDue.lt(NO_DEADLINE));
        }
    }
    if let Some(from) = filter.from {
        all = all.add(C::LastSeen.gte(from.0));
    }
    if let Some(to) = filter.to {
        all = all.add(C::FirstSeen.lt(to.0));
    }
    all = match &filter.replay {
        ReplayFilter::Include => all,
        ReplayFilter::Exclude => all.add(C::Replay.is_null()),
        ReplayFilter::Only => all.add(C::Replay.is_not_null()),
        ReplayFilter::Named(name) => all.add(C::Replay.eq(clean(name, SEARCH_MAX))),
    };
    if let Some(search) = filter.search.as_deref().map(str::trim).filter(|s| !s.is_empty()) {
        let mut any = any_contains([C::Title, C::Summary, C::Resolution], search);
        if let Ok(number) = search.trim_start_matches('#').parse::<i64>() {
            any = any.add(C::Number.eq(number));
        }
        all = all.add(any);
    }
    all
}

/// The part about where it stands and who works on it.
fn people(filter: &IncidentFilter) -> Condition {
    use incident::Column as C;
    let mut all = Condition::all();
    if let Some(tenant) = filter.tenant {
        all = all.add(C::TenantId.eq(tenant.0));
    }
    if !filter.merged {
        all = all.add(C::MergedInto.is_null());
    }
    if !filter.status.is_empty() {
        all = all.add(C::Status.is_in(filter.status.iter().map(|s| s.as_str())));
    }
    if !filter.kind.is_empty() {
        all = all.add(C::Kind.is_in(filter.kind.iter().map(|k| k.as_str())));
    }
    if let Some(owner) = filter.owner {
        all = all.add(C::Owner.eq(owner.0));
    }
    if filter.unowned {
        all = all.add(C::Owner.is_null());
    }
    if let Some(watcher) = filter.watcher {
        all = all.add(C::Watchers.contains(watcher.to_string()));
    }
    if let Some(tag) = &filter.tag {
        all = all.add(contains(C::Tags, &format!(",{},", clean(tag.trim(), 60))));
    }
    all
}
