//! The software of the fleet: what is installed, in which versions, on how many hosts and on which.

use axum::extract::State;
use guardian_catalog::{
    FleetSoftware, HOST_PAGE_MAX, HostFilter, HostOrder, HostSort, SOFTWARE_PAGE_MAX, SoftwareFilter,
};
use guardian_identity::Permission;
use guardian_model::Scope;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::state::ApiState;

/// Most hosts in one answer.
const HOSTS_MAX: usize = 10_000;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(hosts))
}

/// Which software to list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SoftwareQuery {
    /// Whose name or source package contains this text.
    pub(crate) search: Option<String>,
    /// What manages it: dpkg, rpm, apk, pacman, portage, nix, snap, flatpak, python, npm, gem, cargo, go or java.
    pub(crate) kind: Option<String>,
    /// name (default) or hosts, those that most hosts have first.
    pub(crate) sort: Option<String>,
    /// Most rows to answer with, at most 1,000.
    pub(crate) limit: Option<u64>,
    /// Where the last page ended: its `next_cursor`. Filter and order come from the cursor.
    pub(crate) cursor: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Cursor {
    filter: SoftwareFilter,
    by_hosts: bool,
    /// Kind and name of the last row, and its hosts.
    after: (u64, String, String),
}

/// One version of a software.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SoftwareVersionView {
    /// The version.
    pub(crate) version: String,
    /// The architecture.
    pub(crate) architecture: String,
    /// How many hosts have it.
    pub(crate) hosts: u64,
}

/// One software of the fleet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SoftwareView {
    /// What manages it.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
    /// Who maintains or sells it.
    pub(crate) vendor: String,
    /// Its licences.
    pub(crate) licences: String,
    /// How many hosts have any version of it.
    pub(crate) hosts: u64,
    /// Its versions, those that most hosts have first.
    pub(crate) versions: Vec<SoftwareVersionView>,
}

impl From<FleetSoftware> for SoftwareView {
    fn from(software: FleetSoftware) -> Self {
        let versions = software.versions.into_iter();
        Self {
            kind: software.kind,
            name: software.name,
            vendor: software.vendor,
            licences: software.licences,
            hosts: software.hosts,
            versions: versions
                .map(|v| SoftwareVersionView { version: v.version, architecture: v.architecture, hosts: v.hosts })
                .collect(),
        }
    }
}

/// One page of software.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SoftwareList {
    /// The software.
    pub(crate) items: Vec<SoftwareView>,
    /// How many match on all pages.
    pub(crate) total: u64,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// List the software of all hosts, with how many have it
#[utoipa::path(get, path = "/software", tag = "hosts", params(SoftwareQuery),
    extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = SoftwareList), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<SoftwareQuery>,
) -> ApiResult<Json<SoftwareList>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    let (filter, by_hosts, after) = match &query.cursor {
        Some(text) => {
            let cursor: Cursor = state.cursors.open(text)?;
            (cursor.filter, cursor.by_hosts, Some(cursor.after))
        }
        None => {
            let by_hosts = match query.sort.as_deref() {
                None | Some("name") => false,
                Some("hosts") => true,
                Some(other) => return Err(ApiError::invalid(format!("`sort`: `{other}` is not name or hosts"))),
            };
            let filter = SoftwareFilter { search: query.search, kind: query.kind, ..SoftwareFilter::default() };
            (filter, by_hosts, None)
        }
    };
    let mut all = state.catalog.scoped(&Scope::of(tenant)).fleet_software(&filter).await?;
    let place = |s: &FleetSoftware| (if by_hosts { u64::MAX - s.hosts } else { 0 }, s.name.clone(), s.kind.clone());
    all.sort_by_cached_key(place);
    let total = all.len() as u64;
    let from = after.map_or(0, |after| all.partition_point(|s| place(s) <= after));
    let limit = query.limit.unwrap_or(100).clamp(1, SOFTWARE_PAGE_MAX) as usize;
    let rest = all.len() - from;
    let page: Vec<FleetSoftware> = all.into_iter().skip(from).take(limit).collect();
    let next = page.last().filter(|_| rest > limit).map(place);
    let next_cursor = next.map(|after| state.cursors.seal(&Cursor { filter, by_hosts, after })).transpose()?;
    Ok(Json(SoftwareList { items: page.into_iter().map(SoftwareView::from).collect(), total, next_cursor }))
}

/// Which software to look for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SoftwareHostsQuery {
    /// Its whole name.
    pub(crate) name: String,
    /// What manages it.
    pub(crate) kind: Option<String>,
    /// Its whole version.
    pub(crate) version: Option<String>,
}

/// A host that has a software.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SoftwareHostView {
    /// Id of the host.
    pub(crate) host_id: String,
    /// Name of the host.
    pub(crate) host: String,
    /// online, offline, never or revoked.
    pub(crate) status: String,
    /// What manages the software.
    pub(crate) kind: String,
    /// Its version there.
    pub(crate) version: String,
    /// Its architecture there.
    pub(crate) architecture: String,
}

/// Hosts that have a software.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SoftwareHosts {
    /// The hosts, by name; a host with several versions comes with each.
    pub(crate) items: Vec<SoftwareHostView>,
    /// Whether there are more than fit.
    pub(crate) truncated: bool,
}

/// List the hosts that have a software
#[utoipa::path(get, path = "/software/hosts", tag = "hosts", params(SoftwareHostsQuery),
    extensions(("x-permission" = json!("hosts:read"))),
    responses((status = 200, body = SoftwareHosts), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn hosts(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<SoftwareHostsQuery>,
) -> ApiResult<Json<SoftwareHosts>> {
    let tenant = caller.tenant(Permission::HostsRead).await?;
    if query.name.trim().is_empty() {
        return Err(ApiError::invalid("`name` is missing"));
    }
    let filter = SoftwareFilter {
        name: Some(query.name),
        kind: query.kind,
        version: query.version,
        ..SoftwareFilter::default()
    };
    let scope = Scope::of(tenant);
    let found = state.catalog.scoped(&scope).hosts_with_software(&filter).await?;
    let names = names(&state, &scope, found.len()).await?;
    let mut items = Vec::new();
    for (host, software) in found {
        let Some((name, status)) = names.get(&host) else { continue };
        items.extend(software.into_iter().map(|software| SoftwareHostView {
            host_id: host.to_string(),
            host: name.clone(),
            status: status.clone(),
            kind: software.kind,
            version: software.version,
            architecture: software.architecture,
        }));
    }
    items.sort_by(|a, b| (&a.host, &a.host_id, &a.version).cmp(&(&b.host, &b.host_id, &b.version)));
    let truncated = items.len() > HOSTS_MAX;
    items.truncate(HOSTS_MAX);
    Ok(Json(SoftwareHosts { items, truncated }))
}

/// Names and states of all hosts; nothing is asked where nobody is to be named.
async fn names(state: &ApiState, scope: &Scope, wanted: usize) -> ApiResult<HashMap<Uuid, (String, String)>> {
    let mut names = HashMap::new();
    if wanted == 0 {
        return Ok(names);
    }
    let order = HostOrder { by: HostSort::Name, descending: false };
    let (now, mut cursor) = (state.clock.now(), None);
    loop {
        let catalog = state.catalog.scoped(scope);
        let page = catalog.hosts(&HostFilter::default(), order, cursor.as_ref(), HOST_PAGE_MAX).await?;
        names.extend(page.items.into_iter().map(|h| (h.id, (h.name.clone(), h.status(now).to_string()))));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(names);
        }
    }
}
