//! The inventory of hosts: lists of what each has, as it is now, and how it came to be so.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use guardian_catalog::{HostList, HostListDocument, Subject};
use guardian_fleet::lists::{self, List};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::query;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Path, Query};
use crate::state::ApiState;

/// Most entries of one page.
const PAGE_MAX: usize = 5_000;
/// Changes of one page.
const CHANGES_MAX: usize = 1_000;
/// How far back changes are looked for unless told.
const BACK: i64 = 90 * Micros::DAY;
/// Longest search for changes.
const SECONDS: u64 = 20;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(lists))
        .routes(routes!(entries))
        .routes(routes!(export))
        .routes(routes!(changes))
}

/// A list of a host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InventoryListView {
    /// Its name: packages, services, users and so on.
    pub(crate) list: String,
    /// Number of entries.
    pub(crate) entries: u32,
    /// When the host was read, by its clock, RFC 3339.
    pub(crate) read: String,
    /// When it last changed here, RFC 3339.
    pub(crate) received: String,
    /// Counts its changes, from 1.
    pub(crate) revision: u64,
    /// BLAKE3 of it: two hosts with the same have the same.
    pub(crate) hash: String,
}

impl From<HostList> for InventoryListView {
    fn from(list: HostList) -> Self {
        Self {
            entries: list.entries,
            read: list.read.to_string(),
            received: list.received.to_string(),
            revision: list.revision,
            hash: HEXLOWER.encode(&list.hash),
            list: list.list,
        }
    }
}

/// The lists of a host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InventoryLists {
    /// The lists, by name.
    pub(crate) items: Vec<InventoryListView>,
}

fn host_id(text: &str) -> ApiResult<Uuid> {
    text.parse().map_err(|_| ApiError::not_found("host"))
}

async fn existing(state: &ApiState, tenant: TenantId, id: &str) -> ApiResult<Uuid> {
    Ok(state.catalog.scoped(&Scope::of(tenant)).host(host_id(id)?).await?.id)
}

/// Show which lists the inventory of a host has
#[utoipa::path(get, path = "/hosts/{id}/inventory", tag = "hosts", extensions(("x-permission" = json!("hosts:read"))),
    params(("id" = String, Path, description = "Host id")),
    responses((status = 200, body = InventoryLists), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn lists(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<InventoryLists>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let host = existing(&state, tenant, &id).await?;
    let lists = state.catalog.scoped(&Scope::of(tenant)).host_lists(host).await?;
    Ok(Json(InventoryLists { items: lists.into_iter().map(InventoryListView::from).collect() }))
}

/// Which entries of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EntryQuery {
    /// Those in which this text stands.
    pub(crate) search: Option<String>,
    /// Most entries to answer with, at most 5,000.
    pub(crate) limit: Option<usize>,
    /// Where the last page ended: its `next_cursor`. The search comes from the cursor.
    pub(crate) cursor: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct EntryCursor {
    search: Option<String>,
    after: String,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InventoryEntries {
    /// The list.
    pub(crate) list: InventoryListView,
    /// The entries, in the order of their keys.
    #[schema(value_type = Vec<Object>)]
    pub(crate) items: Vec<Value>,
    /// How many match on all pages.
    pub(crate) total: u64,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// Whether a text stands in an entry, as the caller sees it: whoever sees pseudonyms cannot try out names.
fn fits(caller: &Caller, entry: &str, search: &str) -> bool {
    match caller.masks() {
        None => entry.to_lowercase().contains(search),
        Some(masks) => {
            let Ok(mut value) = serde_json::from_str::<Value>(entry) else { return false };
            masks.value(&mut value);
            value.to_string().to_lowercase().contains(search)
        }
    }
}

fn opened(document: &HostListDocument) -> ApiResult<List> {
    List::open(&document.document).map_err(ApiError::internal)
}

/// Show what a host has
///
/// Which members an entry has depends on the list; docs/inventory.md names them.
#[utoipa::path(get, path = "/hosts/{id}/inventory/{list}", tag = "hosts", params(
        ("id" = String, Path, description = "Host id"), ("list" = String, Path, description = "Name of the list"),
        EntryQuery),
    extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = InventoryEntries), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn entries(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, list)): Path<(String, String)>,
    Query(asked): Query<EntryQuery>,
) -> ApiResult<Json<InventoryEntries>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let host = existing(&state, tenant, &id).await?;
    let document = state.catalog.scoped(&Scope::of(tenant)).host_list(host, &list).await?;
    let (search, after) = match &asked.cursor {
        Some(text) => {
            let cursor: EntryCursor = state.cursors.open(text)?;
            (cursor.search, Some(cursor.after))
        }
        None => (asked.search.map(|s| s.trim().to_lowercase()).filter(|s| !s.is_empty()), None),
    };
    let all = opened(&document)?;
    let limit = asked.limit.unwrap_or(200).clamp(1, PAGE_MAX);
    let (mut items, mut total, mut last, mut more) = (Vec::new(), 0, None, false);
    for (key, entry) in all.iter() {
        if search.as_ref().is_some_and(|search| !fits(&caller, entry, search)) {
            continue;
        }
        total += 1;
        if after.as_deref().is_some_and(|after| key <= after) {
            continue;
        }
        if items.len() == limit {
            more = true;
            continue;
        }
        items.push(serde_json::from_str(entry).map_err(ApiError::internal)?);
        last = Some(key.to_owned());
    }
    let next = last.filter(|_| more).map(|after| state.cursors.seal(&EntryCursor { search, after }));
    Ok(Json(InventoryEntries { list: document.list.into(), items, total, next_cursor: next.transpose()? }))
}

/// How to export.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct InventoryExportQuery {
    /// csv (default) or jsonl.
    pub(crate) format: Option<String>,
}

/// Export a list of a host as CSV or JSON lines
///
/// The export is an entry of the audit trail.
#[utoipa::path(get, path = "/hosts/{id}/inventory/{list}/export", tag = "hosts", params(
        ("id" = String, Path, description = "Host id"), ("list" = String, Path, description = "Name of the list"),
        InventoryExportQuery),
    extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, content_type = "text/csv", body = String), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn export(
    State(state): State<ApiState>,
    caller: Caller,
    Path((id, list)): Path<(String, String)>,
    Query(asked): Query<InventoryExportQuery>,
) -> ApiResult<Response> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let csv = match asked.format.as_deref() {
        None | Some("csv") => true,
        Some("jsonl") => false,
        Some(other) => return Err(ApiError::invalid(format!("`format`: `{other}` is not csv or jsonl"))),
    };
    let host = existing(&state, tenant, &id).await?;
    let scope = Scope::of(tenant);
    let document = state.catalog.scoped(&scope).host_list(host, &list).await?;
    let mut entries = Vec::new();
    for (_, entry) in opened(&document)?.iter() {
        let mut entry: Value = serde_json::from_str(entry).map_err(ApiError::internal)?;
        // A table has no members by whose names it could be masked later.
        if let Some(masks) = caller.masks() {
            masks.value(&mut entry);
        }
        entries.push(entry);
    }
    let mut tx = state.catalog.scoped(&scope).begin(tenant, caller.actor()).await?;
    let detail =
        json!({ "list": document.list.list, "entries": entries.len(), "format": if csv { "csv" } else { "jsonl" } });
    tx.note("host.inventory_export", Subject::Host, &host.to_string(), detail);
    tx.commit().await?;
    let (kind, end, body) = if csv {
        ("text/csv; charset=utf-8", "csv", table(&entries).map_err(ApiError::internal)?)
    } else {
        let lines: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        ("application/jsonl", "jsonl", lines.into_bytes())
    };
    let name = format!("attachment; filename=\"{}.{end}\"", document.list.list);
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from(body)).into_response())
}

/// A column for every member that any entry has, in the order in which they come.
fn table(entries: &[Value]) -> Result<Vec<u8>, csv::Error> {
    let mut columns: Vec<&str> = Vec::new();
    for name in entries.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(&columns)?;
    for entry in entries {
        let cell = |name: &&str| match entry.get(*name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => harmless(text),
            Some(Value::Array(all)) if all.iter().all(Value::is_string) => {
                harmless(&all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "))
            }
            Some(other) => other.to_string(),
        };
        out.write_record(columns.iter().map(cell))?;
    }
    out.into_inner().map_err(|e| e.into_error().into())
}

/// What a spreadsheet would run is text to it.
pub(super) fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// Which changes of a host.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChangesQuery {
    /// Of this list only.
    pub(crate) list: Option<String>,
    /// added, removed or changed.
    pub(crate) activity: Option<String>,
    /// Received before this time, RFC 3339.
    pub(crate) before: Option<String>,
    /// Received since this time, RFC 3339; the last 90 days if absent.
    pub(crate) since: Option<String>,
    /// Most changes to answer with, at most 1,000.
    pub(crate) limit: Option<usize>,
}

/// Changes of a host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InventoryChanges {
    /// The changes, newest first, with the columns of the table `changes`.
    #[schema(value_type = Vec<Object>)]
    pub(crate) items: Vec<Value>,
    /// Whether there are more.
    pub(crate) more: bool,
}

fn label(what: &str, text: &str) -> ApiResult<String> {
    if lists::is_list_name(text) {
        return Ok(text.to_owned());
    }
    Err(ApiError::invalid(format!("`{what}`: `{text}` is no such word")))
}

fn time(what: &str, text: Option<&String>) -> ApiResult<Option<Micros>> {
    text.map(|text| super::alerts::parse_time(what, text)).transpose()
}

/// Show how the inventory of a host changed
#[utoipa::path(get, path = "/hosts/{id}/changes", tag = "hosts", params(
        ("id" = String, Path, description = "Host id"), ChangesQuery),
    extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = InventoryChanges), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn changes(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(asked): Query<ChangesQuery>,
) -> ApiResult<Json<InventoryChanges>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let host = existing(&state, tenant, &id).await?;
    let before = time("before", asked.before.as_ref())?;
    let since = time("since", asked.since.as_ref())?.unwrap_or(Micros(state.clock.now().0 - BACK));
    let mut which = format!("host_id = '{host}' AND received >= TIMESTAMP '{since}'");
    if let Some(before) = before {
        which.push_str(&format!(" AND received < TIMESTAMP '{before}'"));
    }
    for (name, value) in [("list", &asked.list), ("activity", &asked.activity)] {
        if let Some(value) = value {
            which.push_str(&format!(" AND {name} = '{}'", label(name, value)?));
        }
    }
    let limit = asked.limit.unwrap_or(100).clamp(1, CHANGES_MAX);
    let sql = format!(
        "SELECT \"time\", received, activity, list, kind, name, version, old_version, \"user\", path, changed, entry, \
         old_entry FROM changes WHERE {which} ORDER BY received DESC, list, name LIMIT {}",
        limit + 1
    );
    let scope = match caller.masks() {
        Some(masks) => Scope::of(tenant).masked(masks.clone()),
        None => Scope::of(tenant),
    };
    let mut items = query::objects(query::run(&state, &scope, &sql, limit + 1, SECONDS).await?);
    let more = items.len() > limit;
    items.truncate(limit);
    Ok(Json(InventoryChanges { items, more }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_every_member_and_runs_nothing() {
        let entries =
            [json!({"name": "a", "licences": ["MIT", "GPL"]}), json!({"name": "=cmd()", "size_bytes": 5, "x": null})];
        let text = String::from_utf8(table(&entries).unwrap()).unwrap();
        assert_eq!(text, "name,licences,size_bytes,x\na,MIT; GPL,,\n'=cmd(),,5,\n");
    }
}
