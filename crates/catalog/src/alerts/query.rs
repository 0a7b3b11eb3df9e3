//! Looking at alerts: filters, orders, pages that stay put while new alerts arrive, and counts.

use guardian_model::{AlertId, AlertKey, EventRef, IncidentId, Micros, Scope, Severity, TenantId, UserId};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Alert, AlertDetail, AlertStatus, Verdict};
use crate::entity::{alert, alert_evidence};
use crate::page::{self, Cut, PageKey};
use crate::text::{SEARCH_MAX, any_contains, clean, contains};
use crate::{CatalogError, Scoped, text_enum};

/// Most alerts on a page.
pub const ALERT_PAGE_MAX: u64 = 500;

/// Which alerts, with regard to replays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayFilter {
    /// Live and replayed ones.
    #[default]
    Include,
    /// Live ones only.
    Exclude,
    /// Replayed ones only.
    Only,
    /// Those of the replay of this name.
    Named(String),
}

/// Whether rows with some property count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// With it and without.
    #[default]
    Include,
    /// Without it only.
    Exclude,
    /// With it only.
    Only,
}

/// Which alerts; empty fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertFilter {
    /// Of this tenant only; it must be in the scope, or nothing is found.
    pub tenant: Option<TenantId>,
    /// These alerts only.
    pub ids: Vec<AlertId>,
    /// In any of these states.
    pub status: Vec<AlertStatus>,
    /// Closed with any of these verdicts.
    pub verdict: Vec<Verdict>,
    /// Of any of these severities.
    pub severity: Vec<Severity>,
    /// At least this bad.
    pub severity_min: Option<Severity>,
    /// Of the rule with this id.
    pub rule_id: Option<String>,
    /// Whose entity contains this text, whatever its case.
    pub entity: Option<String>,
    /// About exactly this entity.
    pub entity_is: Option<String>,
    /// Whose techniques or tactics contain this text, such as `t1046`.
    pub attack: Option<String>,
    /// Assigned to this account.
    pub assignee: Option<UserId>,
    /// Assigned to nobody.
    pub unassigned: bool,
    /// Of this incident.
    pub incident: Option<IncidentId>,
    /// Of no incident.
    pub without_incident: bool,
    /// Snoozed beyond [`AlertFilter::now`].
    pub snoozed: Presence,
    /// What `snoozed` is measured by.
    pub now: Micros,
    /// Closed by a suppression.
    pub suppressed: Presence,
    /// Seen at or after this time.
    pub from: Option<Micros>,
    /// Seen before this time.
    pub to: Option<Micros>,
    /// Live or replayed.
    pub replay: ReplayFilter,
    /// Whose title, summary, entity or group contains this text, whatever its case.
    pub search: Option<String>,
    /// Search titles alone, for somebody who may not see what the rest says of people.
    pub titles_only: bool,
}

text_enum! {
    /// What a list is ordered by. Newest and severity never change for an alert, so that pages stay put.
    AlertSort {
        /// Newest alert first, by when it came to the catalog.
        Newest = "newest",
        /// Worst first, newest first among equals.
        Severity = "severity",
        /// Most recent activity first. An alert that grows while somebody turns pages moves to the first page.
        Activity = "activity",
        /// Most often seen first.
        Count = "count",
        /// Closed first, new last.
        Status = "status",
        /// By title, from Z to A.
        Title = "title",
        /// By entity, from Z to A.
        Entity = "entity",
    }
}

/// An order, possibly turned around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertOrder {
    /// By what.
    pub by: AlertSort,
    /// Smallest first.
    pub ascending: bool,
}

impl From<AlertSort> for AlertOrder {
    fn from(by: AlertSort) -> Self {
        Self { by, ascending: false }
    }
}

impl std::str::FromStr for AlertOrder {
    type Err = String;

    /// The name of a sort; a dash before it turns it around.
    fn from_str(text: &str) -> Result<Self, String> {
        let (ascending, word) = text.strip_prefix('-').map_or((false, text), |word| (true, word));
        Ok(Self { by: word.parse()?, ascending })
    }
}

/// Where a page ended. The API signs it and hands it to clients as an opaque word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCursor {
    /// The order it belongs to.
    pub order: AlertOrder,
    /// Alerts that came later than the first page are left out, so that pages neither repeat nor shift.
    pub snapshot: Micros,
    /// The last alert's sort value.
    pub value: PageKey,
    /// The last alert's id.
    pub id: Uuid,
}

/// One page of alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertPage {
    /// The alerts.
    pub items: Vec<Alert>,
    /// Where the next page begins, if there is one.
    pub next: Option<AlertCursor>,
}

/// How many alerts there are, by severity and by status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCounts {
    /// All of them.
    pub total: u64,
    /// Mildest first, every severity named.
    pub by_severity: Vec<(Severity, u64)>,
    /// Every status named.
    pub by_status: Vec<(AlertStatus, u64)>,
}

impl Scoped<'_> {
    /// A page of at most `limit` alerts, from the beginning or from where `cursor` says. A cursor of another order is
    /// refused.
    pub async fn alerts(
        &self,
        filter: &AlertFilter,
        order: impl Into<AlertOrder>,
        cursor: Option<&AlertCursor>,
        limit: u64,
    ) -> Result<AlertPage, CatalogError> {
        use alert::Column as C;
        let order = order.into();
        if cursor.is_some_and(|c| c.order != order) {
            return Err(CatalogError::Invalid(format!("the cursor does not belong to the order `{}`", order.by)));
        }
        let snapshot = cursor.map_or_else(|| self.catalog().now(), |c| c.snapshot);
        let query = self.select::<alert::Entity>().filter(condition(filter)).filter(C::Created.lte(snapshot.0));
        let cut = Cut {
            by: sorted_by(order.by),
            ascending: order.ascending,
            after: cursor.map(|c| (&c.value, c.id)),
            limit: limit.clamp(1, ALERT_PAGE_MAX),
        };
        let place = |row: &alert::Model| (sort_value(row, order.by), row.id);
        let (rows, next) = page::fetch(query, C::Id, cut, self.conn(), place).await?;
        let next = next.map(|(value, id)| AlertCursor { order, snapshot, value, id });
        let items = rows.into_iter().map(Alert::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(AlertPage { items, next })
    }

    /// One alert with its evidence.
    pub async fn alert(&self, id: AlertId) -> Result<AlertDetail, CatalogError> {
        self.detail(alert::Column::Id.eq(id.0)).await
    }

    /// One alert by the key that detection and findings know it by.
    pub async fn alert_by_key(&self, key: AlertKey) -> Result<AlertDetail, CatalogError> {
        self.detail(alert::Column::Key.eq(key.0.to_vec())).await
    }

    async fn detail(&self, which: Expr) -> Result<AlertDetail, CatalogError> {
        let row = self.select::<alert::Entity>().filter(which).one(self.conn()).await?;
        let alert = Alert::try_from(row.ok_or(CatalogError::NotFound("alert"))?)?;
        let rows = alert_evidence::Entity::find_by_id(alert.id.0).one(self.conn()).await?;
        let evidence: Vec<(EventRef, Value)> = match rows {
            Some(row) => serde_json::from_str(&row.rows).map_err(CatalogError::json("alert_evidence.rows"))?,
            None => Vec::new(),
        };
        Ok(AlertDetail { alert, evidence })
    }

    /// How many alerts match, by severity and by status.
    pub async fn alert_counts(&self, filter: &AlertFilter) -> Result<AlertCounts, CatalogError> {
        use alert::Column as C;
        let groups: Vec<(i32, String, i64)> = self
            .select::<alert::Entity>()
            .filter(condition(filter))
            .select_only()
            .column(C::Severity)
            .column(C::Status)
            .column_as(C::Id.count(), "alerts")
            .group_by(C::Severity)
            .group_by(C::Status)
            .into_tuple()
            .all(self.conn())
            .await?;
        let sum = |wanted: &dyn Fn(&(i32, String, i64)) -> bool| {
            groups.iter().filter(|g| wanted(g)).map(|g| Ord::max(g.2, 0) as u64).sum::<u64>()
        };
        Ok(AlertCounts {
            total: sum(&|_| true),
            by_severity: Severity::ALL.iter().map(|s| (*s, sum(&|g| g.0 == i32::from(s.id())))).collect(),
            by_status: AlertStatus::ALL.iter().map(|s| (*s, sum(&|g| g.1 == s.as_str()))).collect(),
        })
    }

    /// The names of the replays that left alerts, with their numbers.
    pub async fn replays(&self) -> Result<Vec<(String, u64)>, CatalogError> {
        use alert::Column as C;
        let rows: Vec<(String, i64)> = self
            .select::<alert::Entity>()
            .filter(C::Replay.is_not_null())
            .select_only()
            .column(C::Replay)
            .column_as(C::Id.count(), "alerts")
            .group_by(C::Replay)
            .order_by_asc(C::Replay)
            .into_tuple()
            .all(self.conn())
            .await?;
        Ok(rows.into_iter().map(|(name, n)| (name, Ord::max(n, 0) as u64)).collect())
    }
}

impl AlertFilter {
    /// Everything of one tenant.
    pub fn of(tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..Self::default() }
    }

    /// Whether the filter's tenant, if it names one, is in `scope`.
    pub fn is_within(&self, scope: &Scope) -> bool {
        self.tenant.is_none_or(|tenant| scope.contains(tenant))
    }
}

/// What an order sorts by, in SQL; [`sort_value`] is the same of a row.
fn sorted_by(sort: AlertSort) -> Expr {
    use alert::Column as C;
    let column = |c: C| Expr::col((alert::Entity, c));
    match sort {
        AlertSort::Newest => column(C::Created),
        AlertSort::Severity => column(C::Severity),
        AlertSort::Activity => column(C::LastSeen),
        AlertSort::Count => column(C::Count),
        AlertSort::Title => column(C::RuleTitle),
        AlertSort::Entity => column(C::Entity),
        AlertSort::Status => AlertStatus::ALL
            .iter()
            .fold(CaseStatement::new(), |case, s| case.case(column(C::Status).eq(s.as_str()), Expr::val(*s as i64)))
            .finally(Expr::val(0_i64))
            .into(),
    }
}

fn sort_value(row: &alert::Model, sort: AlertSort) -> PageKey {
    match sort {
        AlertSort::Newest => PageKey::Number(row.created),
        AlertSort::Severity => PageKey::Number(i64::from(row.severity)),
        AlertSort::Activity => PageKey::Number(row.last_seen),
        AlertSort::Count => PageKey::Number(row.count),
        AlertSort::Title => PageKey::Text(row.rule_title.clone()),
        AlertSort::Entity => PageKey::Text(row.entity.clone()),
        AlertSort::Status => PageKey::Number(row.status.parse::<AlertStatus>().map_or(0, |s| s as i64)),
    }
}

/// The filter as SQL; the tenant filter of the scope comes on top of it.
pub(super) fn condition(filter: &AlertFilter) -> Condition {
    decided(filter).add(observed(filter))
}

/// The part about what people decided.
fn decided(filter: &AlertFilter) -> Condition {
    use alert::Column as C;
    let mut all = Condition::all();
    if let Some(tenant) = filter.tenant {
        all = all.add(C::TenantId.eq(tenant.0));
    }
    if !filter.ids.is_empty() {
        all = all.add(C::Id.is_in(filter.ids.iter().map(|id| id.0)));
    }
    if !filter.status.is_empty() {
        all = all.add(C::Status.is_in(filter.status.iter().map(|s| s.as_str())));
    }
    if !filter.verdict.is_empty() {
        all = all.add(C::Verdict.is_in(filter.verdict.iter().map(|v| v.as_str())));
    }
    if let Some(assignee) = filter.assignee {
        all = all.add(C::Assignee.eq(assignee.0));
    }
    if filter.unassigned {
        all = all.add(C::Assignee.is_null());
    }
    if let Some(incident) = filter.incident {
        all = all.add(C::IncidentId.eq(incident.0));
    }
    if filter.without_incident {
        all = all.add(C::IncidentId.is_null());
    }
    all = match filter.snoozed {
        Presence::Include => all,
        Presence::Only => all.add(C::SnoozedUntil.gt(filter.now.0)),
        Presence::Exclude => {
            all.add(Condition::any().add(C::SnoozedUntil.is_null()).add(C::SnoozedUntil.lte(filter.now.0)))
        }
    };
    match filter.suppressed {
        Presence::Include => all,
        Presence::Only => all.add(C::SuppressedBy.is_not_null()),
        Presence::Exclude => all.add(C::SuppressedBy.is_null()),
    }
}

/// The part about what detection saw.
fn observed(filter: &AlertFilter) -> Condition {
    use alert::Column as C;
    let mut all = Condition::all();
    if !filter.severity.is_empty() {
        all = all.add(C::Severity.is_in(filter.severity.iter().map(|s| i32::from(s.id()))));
    }
    if let Some(severity) = filter.severity_min {
        all = all.add(C::Severity.gte(i32::from(severity.id())));
    }
    if let Some(rule) = &filter.rule_id {
        all = all.add(C::RuleId.eq(clean(rule, SEARCH_MAX)));
    }
    if let Some(entity) = &filter.entity {
        all = all.add(contains(C::Entity, entity));
    }
    if let Some(entity) = &filter.entity_is {
        all = all.add(C::Entity.eq(clean(entity, SEARCH_MAX)));
    }
    if let Some(attack) = &filter.attack {
        all = all.add(contains(C::Attack, attack));
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
    if let Some(search) = filter.search.as_deref().filter(|s| !s.trim().is_empty()) {
        let columns: &[C] =
            if filter.titles_only { &[C::RuleTitle] } else { &[C::RuleTitle, C::Summary, C::Entity, C::GroupKey] };
        all = all.add(any_contains(columns.iter().copied(), search.trim()));
    }
    all
}
