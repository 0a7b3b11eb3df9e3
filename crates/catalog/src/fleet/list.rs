//! Looking at hosts: filters, orders, pages.

use guardian_model::Micros;
use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr};
use sea_orm::{ColumnTrait, Condition, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::hosts::Host;
use crate::entity::host;
use crate::page::{self, Cut, PageKey};
use crate::text::{any_contains, clean};
use crate::tx::CHUNK;
use crate::{CatalogError, Scoped, text_enum};

/// Most hosts on a page.
pub const HOST_PAGE_MAX: u64 = 500;

text_enum! {
    /// How a host stands.
    HostStatus {
        /// Its agent is connected.
        Online = "online",
        /// It is not.
        Offline = "offline",
        /// It came in and never connected.
        Never = "never",
        /// It is shut out.
        Revoked = "revoked",
    }
}

text_enum! {
    /// What is wrong with a host's agent, by its last heartbeat.
    HostTrouble {
        /// It complains.
        Complaints = "complaints",
        /// It lost events since it started.
        Lost = "lost",
        /// One of these.
        Any = "any",
    }
}

text_enum! {
    /// What a list of hosts is ordered by, smallest first unless turned around.
    HostSort {
        /// The name.
        Name = "name",
        /// When it was last heard; never is oldest.
        LastSeen = "last_seen",
        /// When it came in.
        Enrolled = "enrolled",
        /// Version of the agent's program.
        Program = "version",
        /// Distribution and release.
        System = "os",
    }
}

/// An order, possibly turned around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostOrder {
    /// By what.
    pub by: HostSort,
    /// Largest first.
    pub descending: bool,
}

impl std::str::FromStr for HostOrder {
    type Err = String;

    /// The name of a sort; a dash before it turns it around.
    fn from_str(text: &str) -> Result<Self, String> {
        let (descending, word) = text.strip_prefix('-').map_or((false, text), |word| (true, word));
        Ok(Self { by: word.parse()?, descending })
    }
}

/// Which hosts; empty fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostFilter {
    /// How it stands.
    pub status: Option<HostStatus>,
    /// Operating system.
    pub platform: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// In this group.
    pub group: Option<String>,
    /// With this version of the agent's program.
    pub program: Option<String>,
    /// Whose agent has this trouble.
    pub trouble: Option<HostTrouble>,
    /// Whose name, system, kernel or address contains this text.
    pub search: Option<String>,
}

/// Where a page ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCursor {
    /// The order it belongs to.
    pub order: HostOrder,
    /// When the first page was made: what counts as online does not change between pages.
    pub now: Micros,
    /// The last host's sort value.
    pub value: PageKey,
    /// The last host's id.
    pub id: Uuid,
}

/// One page of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPage {
    /// The hosts.
    pub items: Vec<Host>,
    /// How many match on all pages.
    pub total: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<HostCursor>,
}

impl Scoped<'_> {
    /// A page of at most `limit` hosts, from the beginning or from where `cursor` says.
    pub async fn hosts(
        &self,
        filter: &HostFilter,
        order: HostOrder,
        cursor: Option<&HostCursor>,
        limit: u64,
    ) -> Result<HostPage, CatalogError> {
        if cursor.is_some_and(|c| c.order != order) {
            return Err(CatalogError::Invalid("the cursor belongs to another order".into()));
        }
        let now = cursor.map_or(self.catalog().now(), |c| c.now);
        let matching = self.select::<host::Entity>().filter(condition(filter, now));
        let total = matching.clone().count(self.conn()).await?;
        let cut = Cut {
            by: Expr::col((host::Entity, column(order.by))),
            ascending: !order.descending,
            after: cursor.map(|c| (&c.value, c.id)),
            limit: limit.clamp(1, HOST_PAGE_MAX),
        };
        let place = |row: &host::Model| (value(row, order.by), row.id);
        let (rows, next) = page::fetch(matching, host::Column::Id, cut, self.conn(), place).await?;
        let items = rows.into_iter().map(Host::try_from).collect::<Result<_, _>>()?;
        Ok(HostPage { items, total, next: next.map(|(value, id)| HostCursor { order, now, value, id }) })
    }
}

/// Which hosts something is done to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostSelection {
    /// These; none for all that the filter keeps.
    pub ids: Vec<Uuid>,
    /// And of them those that fit.
    pub filter: HostFilter,
}

impl Scoped<'_> {
    /// The hosts of a selection, by id; more than `max` are an error. Revoked ones are left out.
    pub async fn selected_hosts(&self, wanted: &HostSelection, max: u64) -> Result<Vec<Host>, CatalogError> {
        let too_many = || CatalogError::Invalid(format!("at most {max} hosts at once"));
        if wanted.ids.len() as u64 > max {
            return Err(too_many());
        }
        let mut all = Vec::new();
        // The number of values in a statement is limited.
        let chunks: Vec<&[Uuid]> = if wanted.ids.is_empty() { vec![&[]] } else { wanted.ids.chunks(CHUNK).collect() };
        for ids in chunks {
            let mut query = self.select::<host::Entity>().filter(condition(&wanted.filter, self.catalog().now()));
            query = query.filter(host::Column::Revoked.is_null()).order_by_asc(host::Column::Id).limit(max + 1);
            if !ids.is_empty() {
                query = query.filter(host::Column::Id.is_in(ids.iter().copied()));
            }
            for row in query.all(self.conn()).await? {
                all.push(Host::try_from(row)?);
            }
            if all.len() as u64 > max {
                return Err(too_many());
            }
        }
        Ok(all)
    }

    /// How many hosts a filter keeps, without those that are shut out unless it asks for them.
    pub async fn count_hosts(&self, filter: &HostFilter) -> Result<u64, CatalogError> {
        let mut query = self.select::<host::Entity>().filter(condition(filter, self.catalog().now()));
        if filter.status.is_none() {
            query = query.filter(host::Column::Revoked.is_null());
        }
        Ok(query.count(self.conn()).await?)
    }

    /// The hosts of one tenant behind an id, in the order of their ids, at most `limit`: for going through all of them.
    pub async fn hosts_after(&self, after: Option<Uuid>, limit: u64) -> Result<Vec<Host>, CatalogError> {
        let mut query = self.select::<host::Entity>().order_by_asc(host::Column::Id).limit(limit);
        if let Some(after) = after {
            query = query.filter(host::Column::Id.gt(after));
        }
        query.all(self.conn()).await?.into_iter().map(Host::try_from).collect()
    }
}

fn column(sort: HostSort) -> host::Column {
    match sort {
        HostSort::Name => host::Column::Name,
        HostSort::LastSeen => host::Column::LastSeen,
        HostSort::Enrolled => host::Column::Enrolled,
        HostSort::Program => host::Column::Program,
        HostSort::System => host::Column::System,
    }
}

fn value(row: &host::Model, sort: HostSort) -> PageKey {
    match sort {
        HostSort::Name => PageKey::Text(row.name.clone()),
        HostSort::LastSeen => PageKey::Number(row.last_seen),
        HostSort::Enrolled => PageKey::Number(row.enrolled),
        HostSort::Program => PageKey::Text(row.program.clone()),
        HostSort::System => PageKey::Text(row.system.clone()),
    }
}

/// What a host has to meet.
pub(super) fn condition(filter: &HostFilter, now: Micros) -> Condition {
    use host::Column as C;
    let mut all = Condition::all();
    all = match filter.status {
        None => all,
        Some(HostStatus::Revoked) => all.add(C::Revoked.is_not_null()),
        Some(HostStatus::Never) => all.add(C::Revoked.is_null()).add(C::LastSeen.eq(0)),
        Some(HostStatus::Online) => all.add(C::Revoked.is_null()).add(C::OnlineUntil.gt(now.0)),
        Some(HostStatus::Offline) => {
            all.add(C::Revoked.is_null()).add(C::LastSeen.gt(0)).add(C::OnlineUntil.lte(now.0))
        }
    };
    if let Some(platform) = &filter.platform {
        all = all.add(C::Platform.eq(clean(platform, 40)));
    }
    if let Some(program) = &filter.program {
        all = all.add(C::Program.eq(clean(program, 40)));
    }
    if let Some(tag) = &filter.tag {
        all = all.add(has(C::Tags, tag));
    }
    if let Some(group) = &filter.group {
        all = all.add(Condition::any().add(has(C::Groups, group)).add(has(C::Matched, group)));
    }
    if let Some(trouble) = filter.trouble {
        // The column is written by this program alone: quotes within a complaint are escaped there.
        let told = |mark: &str| Expr::col((host::Entity, C::Health)).like(format!("%{mark}%"));
        let (complaints, lost) = (told(r#""complaints":[""#), told(r#""lost":[{"#));
        all = all.add(match trouble {
            HostTrouble::Complaints => complaints,
            HostTrouble::Lost => lost,
            HostTrouble::Any => complaints.or(lost),
        });
    }
    if let Some(search) = filter.search.as_deref().map(str::trim).filter(|s| !s.is_empty()) {
        all = all.add(any_contains([C::Name, C::System, C::Kernel, C::Address], search));
    }
    all
}

/// Whether a column of labels, kept as a JSON array, has this one.
fn has(column: host::Column, label: &str) -> Expr {
    let quoted = json!(clean(label.trim(), 64)).to_string();
    let mut pattern = String::from("%");
    for c in quoted.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    Expr::col((host::Entity, column)).like(LikeExpr::new(pattern).escape('\\'))
}
