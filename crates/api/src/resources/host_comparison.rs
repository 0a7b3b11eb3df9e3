//! Hosts side by side: what is different in their lists, and what one has that others lack.

mod columns;

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use guardian_catalog::{Host, HostFilter, HostSelection, Subject};
use guardian_fleet::lists::compare::{Column, Row, Standing, compare};
use guardian_fleet::lists::{self, Sort};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::columns::Asked;
use super::hosts::find;
use super::inventory::harmless;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::state::ApiState;

/// Hosts that stand side by side.
const HOSTS_MAX: usize = 8;
/// Hosts of a group of which it is said what most have.
const GROUP_HOSTS_MAX: usize = 50;
/// Most rows of one page.
const PAGE_MAX: usize = 2_000;
/// Rows of an export.
const EXPORT_MAX: usize = 200_000;
/// Entries of one host that a cell shows; several versions of a kernel are several entries.
const CELL_ENTRIES_MAX: usize = 20;
/// Longest search, in characters.
const SEARCH_MAX: usize = 300;

/// Comparisons at once: each lays whole lists side by side.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(export))
}

/// What to compare.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ComparisonQuery {
    /// Ids of the hosts, with commas between them: two to eight, or one where a group is named.
    pub(crate) hosts: String,
    /// A group: one more column says what most of its hosts have, the compared ones aside. At most 50 of them are looked at.
    pub(crate) group: Option<String>,
    /// The list whose rows are wanted: `facts`, `policy`, `findings` (needs vulnerabilities:read), or one of the inventory;
    /// without it there are only the numbers of all lists.
    pub(crate) list: Option<String>,
    /// Rows that are `same` on all hosts, `different`, `missing` on some, or on one host `only`; several with commas between
    /// them. All but `same` where nothing is said.
    pub(crate) show: Option<String>,
    /// Rows in which this text stands.
    pub(crate) search: Option<String>,
    /// Most rows to answer with, at most 2,000.
    pub(crate) limit: Option<usize>,
    /// Where the last page ended: its `next_cursor`. All else must be as it was.
    pub(crate) cursor: Option<String>,
}

/// A column.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComparedHost {
    /// Id of the host; null for what most of a group have.
    pub(crate) id: Option<String>,
    /// Name of the host, or of the group.
    pub(crate) name: String,
    /// online, offline, never or revoked; null for a group.
    pub(crate) status: Option<String>,
    /// How many hosts of the group were looked at; null for a host.
    pub(crate) of: Option<usize>,
}

/// How a list compares.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComparedList {
    /// Its name.
    pub(crate) list: String,
    /// How much all have alike.
    pub(crate) same: u64,
    /// How much all have, but not alike.
    pub(crate) different: u64,
    /// How much several have and others lack.
    pub(crate) missing: u64,
    /// How much one alone has.
    pub(crate) only: u64,
    /// Columns, counted from 0, whose list is not known; they are not said to lack anything.
    pub(crate) unknown: Vec<usize>,
}

/// What one host has of a row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComparedCell {
    /// In few words: what differs, or else a version, a value or a state.
    pub(crate) text: String,
    /// The entries of the list, mostly one; at most 20.
    #[schema(value_type = Vec<Object>)]
    pub(crate) entries: Vec<Value>,
}

/// One thing, and what each host has of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComparedRow {
    /// What it is: its kind, name and so on.
    pub(crate) name: String,
    /// same, different, missing or only.
    pub(crate) standing: String,
    /// Members of the entries that are not the same on all that have it.
    pub(crate) differs: Vec<String>,
    /// Columns, counted from 0, that are not as more than half of them are.
    pub(crate) odd: Vec<usize>,
    /// A cell for each column; null where there is nothing.
    pub(crate) cells: Vec<Option<ComparedCell>>,
}

impl ComparedRow {
    fn new(row: &Row<'_>, sort: &Sort) -> Self {
        let cell = |place: usize| {
            let entries = row.cells[place]?.iter().take(CELL_ENTRIES_MAX).cloned().map(Value::Object).collect();
            Some(ComparedCell { text: row.said(sort, place).unwrap_or_default(), entries })
        };
        Self {
            name: row.name(sort),
            standing: row.standing.as_str().to_owned(),
            differs: row.differs.iter().map(|name| (*name).to_owned()).collect(),
            odd: row.odd.clone(),
            cells: (0..row.cells.len()).map(cell).collect(),
        }
    }
}

/// Hosts side by side.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostComparison {
    /// The columns, in the order in which the hosts were named; the group is the last.
    pub(crate) hosts: Vec<ComparedHost>,
    /// The numbers of all lists, or of the one whose rows were asked for.
    pub(crate) lists: Vec<ComparedList>,
    /// The rows of the list that was asked for, in the order of what they are.
    pub(crate) items: Vec<ComparedRow>,
    /// How many match on all pages.
    pub(crate) total: u64,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// Which rows.
struct Wanted {
    standings: Vec<Standing>,
    search: Option<String>,
}

impl ComparisonQuery {
    fn wanted(&self) -> ApiResult<Wanted> {
        let word = |word: &str| {
            let known = Standing::ALL.into_iter().find(|standing| standing.as_str() == word);
            known.ok_or_else(|| ApiError::invalid("`show` is same, different, missing, only, or several of them"))
        };
        let standings = match self.show.as_deref().filter(|show| !show.is_empty()) {
            Some("all") => Standing::ALL.to_vec(),
            Some(words) => words.split(',').map(word).collect::<ApiResult<_>>()?,
            None => vec![Standing::Different, Standing::Missing, Standing::Only],
        };
        let search = self.search.as_deref().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        if search.as_ref().is_some_and(|text| text.chars().count() > SEARCH_MAX) {
            return Err(ApiError::invalid(format!("`search` has at most {SEARCH_MAX} characters")));
        }
        Ok(Wanted { standings, search })
    }

    async fn find(&self, state: &ApiState, caller: &Caller) -> ApiResult<Found> {
        let tenant = caller.tenant(Permission::HostsRead).await?;
        let ids: Vec<&str> = self.hosts.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
        let least = if self.group.is_some() { 1 } else { 2 };
        if !(least..=HOSTS_MAX).contains(&ids.len()) {
            return Err(ApiError::invalid(format!("`hosts` names {least} to {HOSTS_MAX} hosts")));
        }
        let mut hosts: Vec<Host> = Vec::with_capacity(ids.len());
        for id in ids {
            let host = find(state, tenant, id).await?;
            if hosts.iter().any(|known| known.id == host.id) {
                return Err(ApiError::invalid("`hosts` names a host twice"));
            }
            hosts.push(host);
        }
        let group = match &self.group {
            None => None,
            Some(name) => {
                let filter = HostFilter { group: Some(name.clone()), ..HostFilter::default() };
                let selection = HostSelection { ids: Vec::new(), filter };
                let scope = Scope::of(tenant);
                let most = guardian_catalog::HOSTS_AT_ONCE_MAX;
                let mut all = state.catalog.scoped(&scope).selected_hosts(&selection, most).await?;
                all.retain(|host| hosts.iter().all(|own| own.id != host.id));
                all.truncate(GROUP_HOSTS_MAX);
                if all.is_empty() {
                    return Err(ApiError::invalid(format!("`group`: no other host is in `{name}`")));
                }
                Some((name.clone(), all))
            }
        };
        Ok(Found { hosts, group })
    }
}

/// Whom to compare.
struct Found {
    hosts: Vec<Host>,
    group: Option<(String, Vec<Host>)>,
}

impl Found {
    fn views(&self, now: Micros) -> Vec<ComparedHost> {
        let host = |host: &Host| ComparedHost {
            id: Some(host.id.to_string()),
            name: host.name.clone(),
            status: Some(host.status(now).to_string()),
            of: None,
        };
        let group = self.group.iter().map(|(name, hosts)| ComparedHost {
            id: None,
            name: name.clone(),
            status: None,
            of: Some(hosts.len()),
        });
        self.hosts.iter().map(host).chain(group).collect()
    }

    async fn asked<'a>(&'a self, state: &'a ApiState, caller: &'a Caller) -> ApiResult<Asked<'a>> {
        let tenant = caller.tenant(Permission::HostsRead).await?;
        let group = self.group.as_ref().map(|(_, hosts)| hosts.as_slice());
        Ok(Asked { state, caller, tenant, hosts: &self.hosts, group })
    }
}

fn numbers(list: &str, columns: &[Option<Column>], rows: &[Row<'_>]) -> ComparedList {
    let of = |standing: Standing| rows.iter().filter(|row| row.standing == standing).count() as u64;
    ComparedList {
        list: list.to_owned(),
        same: of(Standing::Same),
        different: of(Standing::Different),
        missing: of(Standing::Missing),
        only: of(Standing::Only),
        unknown: (0..columns.len()).filter(|at| columns[*at].is_none()).collect(),
    }
}

impl Wanted {
    fn fits(&self, row: &Row<'_>, sort: &Sort) -> bool {
        let Some(search) = &self.search else { return self.standings.contains(&row.standing) };
        let within = |text: &str| text.to_lowercase().contains(search);
        let entries = || row.cells.iter().copied().flatten().flatten();
        let said = || entries().flat_map(|entry| entry.values()).any(|value| within(&value.to_string()));
        self.standings.contains(&row.standing) && (within(&row.name(sort)) || said())
    }
}

/// One list, compared: its numbers, how many rows match, and some of them.
struct Compared {
    numbers: ComparedList,
    total: u64,
    rows: Vec<ComparedRow>,
    /// Where the next page begins.
    next: Option<String>,
}

async fn compared(
    asked: &Asked<'_>,
    list: &str,
    wanted: Wanted,
    (after, limit): (Option<String>, usize),
) -> ApiResult<Compared> {
    if list == "findings" {
        asked.caller.tenant(Permission::VulnerabilitiesRead).await?;
    }
    if !lists::is_list_name(list) {
        return Err(ApiError::invalid(format!("`list`: `{list}` is no list")));
    }
    let sort = lists::sort(list);
    let columns = asked.columns(sort, list).await?;
    let list = list.to_owned();
    let compared = tokio::task::spawn_blocking(move || {
        let rows = compare(&sort, &columns);
        let numbers = numbers(&list, &columns, &rows);
        let (mut total, mut page, mut last, mut more) = (0, Vec::new(), None, false);
        for row in rows.iter().filter(|row| wanted.fits(row, &sort)) {
            total += 1;
            if after.as_deref().is_some_and(|after| row.key <= after) {
                continue;
            }
            if page.len() == limit {
                more = true;
                continue;
            }
            page.push(ComparedRow::new(row, &sort));
            last = Some(row.key.to_owned());
        }
        Compared { numbers, total, rows: page, next: last.filter(|_| more) }
    });
    compared.await.map_err(ApiError::internal)
}

async fn place() -> ApiResult<tokio::sync::SemaphorePermit<'static>> {
    PLACES.acquire().await.map_err(ApiError::internal)
}

/// Compare hosts
///
/// Lists of two to eight hosts side by side, or of one beside what most of a group have. Without `list` it answers with the
/// numbers of every list. What an entry is the same by, and what of it makes no difference, docs/inventory.md says.
#[utoipa::path(get, path = "/hosts/compare", tag = "hosts", params(ComparisonQuery),
    extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = HostComparison), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ComparisonQuery>,
) -> ApiResult<Json<HostComparison>> {
    let found = query.find(&state, &caller).await?;
    let asked = found.asked(&state, &caller).await?;
    let mut answer = HostComparison {
        hosts: found.views(state.clock.now()),
        lists: Vec::new(),
        items: Vec::new(),
        total: 0,
        next_cursor: None,
    };
    let _place = place().await?;
    if let Some(list) = &query.list {
        let after: Option<String> = query.cursor.as_deref().map(|cursor| state.cursors.open(cursor)).transpose()?;
        let limit = query.limit.unwrap_or(200).clamp(1, PAGE_MAX);
        let done = compared(&asked, list, query.wanted()?, (after, limit)).await?;
        answer.next_cursor = done.next.map(|next| state.cursors.seal(&next)).transpose()?;
        (answer.lists, answer.items, answer.total) = (vec![done.numbers], done.rows, done.total);
        return Ok(Json(answer));
    }
    let findings = caller.principal().permissions(asked.tenant).contains(Permission::VulnerabilitiesRead);
    for list in columns::names(&asked, findings).await? {
        let none = Wanted { standings: Vec::new(), search: None };
        answer.lists.push(compared(&asked, &list, none, (None, 0)).await?.numbers);
    }
    Ok(Json(answer))
}

/// What to export.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ComparisonExportQuery {
    /// Ids of the hosts, with commas between them.
    pub(crate) hosts: String,
    /// A group whose hosts are one more column.
    pub(crate) group: Option<String>,
    /// The list.
    pub(crate) list: String,
    /// same, different, missing, only; several with commas between them. All but `same` where nothing is said.
    pub(crate) show: Option<String>,
    /// Rows in which this text stands.
    pub(crate) search: Option<String>,
    /// csv (default) or jsonl.
    pub(crate) format: Option<String>,
}

/// Export a comparison of hosts as CSV or JSON lines
///
/// The export is an entry of the audit trail.
#[utoipa::path(get, path = "/hosts/compare/export", tag = "hosts", params(ComparisonExportQuery),
    extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, content_type = "text/csv", body = String), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn export(
    State(state): State<ApiState>,
    caller: Caller,
    Query(asked): Query<ComparisonExportQuery>,
) -> ApiResult<Response> {
    let csv = match asked.format.as_deref() {
        None | Some("csv") => true,
        Some("jsonl") => false,
        Some(other) => return Err(ApiError::invalid(format!("`format`: `{other}` is not csv or jsonl"))),
    };
    let ComparisonExportQuery { hosts, group, list, show, search, .. } = asked;
    let query = ComparisonQuery { hosts, group, show, search, ..ComparisonQuery::default() };
    let found = query.find(&state, &caller).await?;
    let from = found.asked(&state, &caller).await?;
    let done = {
        let _place = place().await?;
        compared(&from, &list, query.wanted()?, (None, EXPORT_MAX)).await?
    };
    let names: Vec<String> = found.views(state.clock.now()).into_iter().map(|host| host.name).collect();
    let mut tx = state.catalog.scoped(&Scope::of(from.tenant)).begin(from.tenant, caller.actor()).await?;
    let ids: Vec<String> = found.hosts.iter().map(|host| host.id.to_string()).collect();
    let detail = json!({ "list": list, "hosts": ids, "group": query.group, "rows": done.rows.len(),
        "format": if csv { "csv" } else { "jsonl" } });
    tx.note("host.comparison_export", Subject::Host, &ids[0], detail);
    tx.commit().await?;
    let (kind, end, body) = if csv {
        ("text/csv; charset=utf-8", "csv", table(&names, &done.rows).map_err(ApiError::internal)?)
    } else {
        let line = |row: &ComparedRow| serde_json::to_string(row).map(|line| line + "\n");
        let lines = done.rows.iter().map(line).collect::<Result<String, _>>().map_err(ApiError::internal)?;
        ("application/jsonl", "jsonl", lines.into_bytes())
    };
    let name = format!("attachment; filename=\"compare-{list}.{end}\"");
    Ok(([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)], Body::from(body))
        .into_response())
}

/// A column for each host; an empty cell where it has nothing.
fn table(names: &[String], rows: &[ComparedRow]) -> Result<Vec<u8>, csv::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let heads = ["what", "standing", "differs"].into_iter().map(str::to_owned);
    out.write_record(heads.chain(names.iter().map(|name| harmless(name))))?;
    for row in rows {
        let cell = |cell: &Option<ComparedCell>| match cell {
            None => String::new(),
            Some(cell) if cell.text.is_empty() => "yes".to_owned(),
            Some(cell) => harmless(&cell.text),
        };
        let first = [harmless(&row.name), row.standing.clone(), row.differs.join("; ")];
        out.write_record(first.into_iter().chain(row.cells.iter().map(cell)))?;
    }
    out.into_inner().map_err(|e| e.into_error().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_who_has_what_and_runs_nothing() {
        let cell = |text: &str| Some(ComparedCell { text: text.into(), entries: Vec::new() });
        let row = |name: &str, cells| ComparedRow {
            name: name.into(),
            standing: "different".into(),
            differs: vec!["version".into()],
            odd: Vec::new(),
            cells,
        };
        let rows = [row("dpkg bash", vec![cell("5.1"), cell("=x()")]), row("dpkg vim", vec![cell(""), None])];
        let text = String::from_utf8(table(&["web-1".into(), "@b".into()], &rows).unwrap()).unwrap();
        assert_eq!(
            text,
            "what,standing,differs,web-1,'@b\ndpkg bash,different,version,5.1,'=x()\ndpkg vim,different,version,yes,\n"
        );
    }

    #[test]
    fn what_is_shown_is_said_in_words() {
        let of = |show: &str| ComparisonQuery { show: Some(show.into()), ..ComparisonQuery::default() }.wanted();
        assert_eq!(ComparisonQuery::default().wanted().unwrap().standings.len(), 3);
        assert_eq!(of("same,only").unwrap().standings, [Standing::Same, Standing::Only]);
        assert_eq!(of("all").unwrap().standings.len(), 4);
        assert!(of("other").is_err());
    }
}
