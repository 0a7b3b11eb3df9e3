//! Vulnerabilities of the fleet: each in each package once, or once for every host that has it.

use axum::extract::State;
use guardian_catalog::{CatalogError, FindingException};
use guardian_findings::{Detail, Filter, FindingSettings, HostFinding, Order, Package, Row, State as Standing, View};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, TenantId};
use guardian_vuln::cvss::Rating;
use guardian_vuln::risk::{Criticality, Exposure};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::state::ApiState;

/// Most rows of a page.
const PAGE_MAX: usize = 1_000;
/// Longest text of a filter, in characters.
const TEXT_MAX: usize = 300;
/// Findings of hosts that one question holds at once.
pub(super) const HOLD_MAX: usize = 500_000;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(of_hosts))
}

/// Which vulnerabilities.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VulnerabilityQuery {
    /// open (default), not_running, excepted, fixed, withdrawn; several with commas between them.
    pub(crate) state: Option<String>,
    /// critical, high, medium, low, none, unknown; several with commas between them.
    pub(crate) rating: Option<String>,
    /// With this risk or more, 0 to 100.
    pub(crate) risk_min: Option<f64>,
    /// On this host, by its id.
    pub(crate) host: Option<String>,
    /// On hosts of this group.
    pub(crate) group: Option<String>,
    /// On hosts with this tag.
    pub(crate) tag: Option<String>,
    /// In this package: the source package, where it has one.
    pub(crate) package: Option<String>,
    /// The vulnerability of this name, such as a CVE name.
    pub(crate) vulnerability: Option<String>,
    /// Whose name, package or summary contains this text.
    pub(crate) search: Option<String>,
    /// Known to be exploited, or not.
    pub(crate) exploited: Option<bool>,
    /// With a version that has the fix, or without.
    pub(crate) fixable: Option<bool>,
    /// Beyond the deadline, or not.
    pub(crate) overdue: Option<bool>,
    /// Taken away by a restart, because a kernel without it is installed, or not.
    pub(crate) restart: Option<bool>,
    /// risk (default), hosts, rating, epss, first_seen (newest first), oldest.
    pub(crate) sort: Option<String>,
    /// Most rows to answer with, at most 1,000.
    pub(crate) limit: Option<usize>,
    /// Where the last page ended: its `next_cursor`. Filter and order come from the cursor.
    pub(crate) cursor: Option<String>,
}

fn short(what: &str, text: Option<String>) -> ApiResult<Option<String>> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match &text {
        Some(long) if long.chars().count() > TEXT_MAX => {
            Err(ApiError::invalid(format!("`{what}` has at most {TEXT_MAX} characters")))
        }
        _ => Ok(text),
    }
}

fn words<T>(text: Option<&str>, read: impl Fn(&str) -> Result<T, String>) -> ApiResult<Vec<T>> {
    let words = text.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
    words.take(16).map(|word| read(word).map_err(ApiError::invalid)).collect()
}

fn rating(word: &str) -> Result<Rating, String> {
    let all = [Rating::Critical, Rating::High, Rating::Medium, Rating::Low, Rating::None, Rating::Unknown];
    let known = all.into_iter().find(|rating| rating.name() == word);
    known.ok_or_else(|| format!("`rating`: `{word}` is none of critical, high, medium, low, none, unknown"))
}

impl VulnerabilityQuery {
    /// The filter and the order that are asked for.
    pub(super) fn read(self) -> ApiResult<(Filter, Order)> {
        let order = self.sort.as_deref().map_or(Ok(Order::default()), str::parse);
        let order = order.map_err(|error: String| ApiError::invalid(format!("`sort`: {error}")))?;
        if self.risk_min.is_some_and(|risk| !(0.0..=100.0).contains(&risk)) {
            return Err(ApiError::invalid("`risk_min` is a number from 0 to 100"));
        }
        let host = self.host.as_deref().map(|host| host.parse::<Uuid>().map_err(|_| ApiError::not_found("host")));
        let filter = Filter {
            states: words(self.state.as_deref(), |word| {
                word.parse::<Standing>().map_err(|error| format!("`state`: {error}"))
            })?,
            ratings: words(self.rating.as_deref(), rating)?,
            risk_min: self.risk_min,
            host: host.transpose()?,
            group: short("group", self.group)?,
            tag: short("tag", self.tag)?,
            package: short("package", self.package)?,
            vulnerability: short("vulnerability", self.vulnerability)?,
            search: short("search", self.search)?,
            exploited: self.exploited,
            fixable: self.fixable,
            overdue: self.overdue,
            restart: self.restart,
            ..Filter::default()
        };
        Ok((filter, order))
    }
}

/// Looks at the board of a tenant beside the runtime's threads.
pub(super) async fn look<T: Send + 'static>(
    state: &ApiState,
    tenant: TenantId,
    look: impl FnOnce(&View<'_>) -> T + Send + 'static,
) -> ApiResult<T> {
    let scope = Scope::of(tenant);
    let catalog = state.catalog.scoped(&scope);
    let (settings, _) = FindingSettings::load(&catalog, tenant).await?;
    let exceptions: Vec<FindingException> = catalog.finding_exceptions(tenant).await?;
    let (board, now) = (state.findings.board(tenant), state.clock.now());
    let looking = tokio::task::spawn_blocking(move || {
        let board = board.read();
        look(&View::new(&board, &settings, &exceptions, now))
    });
    looking.await.map_err(ApiError::internal)
}

pub(super) fn time(seconds: i64) -> String {
    Micros::from_secs(seconds).to_string()
}

/// What the advisories say of a vulnerability in a package.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VulnerabilityDetail {
    /// One line.
    pub(crate) summary: String,
    /// critical, high, medium, low, none or unknown.
    pub(crate) rating: String,
    /// CVSS base score.
    pub(crate) score: Option<f64>,
    /// Probability that it is used within 30 days (EPSS), 0 to 1.
    pub(crate) epss: Option<f32>,
    /// Whether it is in a catalogue of those that are used (KEV).
    pub(crate) exploited: bool,
    /// Since when it is there, RFC 3339.
    pub(crate) exploited_since: Option<String>,
    /// Whether it is known to be used for ransom.
    pub(crate) ransomware: bool,
    /// What the keeper of the package says: affected, will_not_fix, deferred, under_investigation or end_of_life.
    pub(crate) status: String,
    /// CISA's decision (SSVC) for a host in the middle: Track, Track*, Attend or Act.
    pub(crate) decision: String,
    /// When it came out, RFC 3339.
    pub(crate) published: Option<String>,
    /// Versions with the fix, the lowest first.
    pub(crate) fixed_in: Vec<String>,
}

impl From<&Detail> for VulnerabilityDetail {
    fn from(detail: &Detail) -> Self {
        Self {
            rating: detail.rating.name().to_owned(),
            score: detail.score,
            epss: detail.epss,
            exploited: detail.is_exploited(),
            exploited_since: detail.known_exploited_day.map(|day| time(i64::from(day) * 86_400)),
            ransomware: detail.ransomware,
            status: detail.status.name().to_owned(),
            decision: detail.decision.name().to_owned(),
            published: (detail.published_s > 0).then(|| time(detail.published_s)),
            fixed_in: detail.fixed_in.clone(),
            summary: detail.summary.clone(),
        }
    }
}

/// A vulnerability in a package, over all hosts that have it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VulnerabilityView {
    /// Its CVE name, or that of the advisory where it has none.
    pub(crate) vulnerability: String,
    /// Whose package, such as `debian:12` or `npm`.
    pub(crate) ecosystem: String,
    /// The source package, or the package where it is its own source.
    pub(crate) package: String,
    /// What the advisories say; null where they say nothing any more.
    pub(crate) detail: Option<VulnerabilityDetail>,
    /// How many hosts fit.
    pub(crate) hosts: u32,
    /// How many of them are beyond the deadline.
    pub(crate) overdue: u32,
    /// The highest risk on any of them, 0 to 100.
    pub(crate) risk: f64,
    /// When it was first seen on any of them, RFC 3339.
    pub(crate) first_seen: String,
}

impl From<Row> for VulnerabilityView {
    fn from(row: Row) -> Self {
        Self {
            vulnerability: row.subject.vulnerability.clone(),
            ecosystem: row.subject.ecosystem.clone(),
            package: row.subject.package.clone(),
            detail: row.detail.as_deref().map(VulnerabilityDetail::from),
            hosts: row.hosts,
            overdue: row.overdue,
            risk: row.risk,
            first_seen: time(row.first_s),
        }
    }
}

/// One page of vulnerabilities.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VulnerabilityList {
    /// The vulnerabilities.
    pub(crate) items: Vec<VulnerabilityView>,
    /// How many match on all pages.
    pub(crate) total: u64,
    /// When the advisories were put together by which the hosts are judged, RFC 3339; null where there are none.
    pub(crate) advisories: Option<String>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// Where a page ended. Numbers that are compared exactly go as their bits.
#[derive(Clone, Serialize, Deserialize)]
struct Cursor {
    filter: Filter,
    order: Order,
    rank: (u64, u64),
    number: u32,
    host: Option<Uuid>,
}

impl Cursor {
    fn rank(&self) -> (f64, f64) {
        (f64::from_bits(self.rank.0), f64::from_bits(self.rank.1))
    }
}

fn asked(state: &ApiState, query: VulnerabilityQuery) -> ApiResult<(Filter, Order, Option<Cursor>)> {
    match &query.cursor {
        Some(text) => {
            let cursor: Cursor = state.cursors.open(text)?;
            Ok((cursor.filter.clone(), cursor.order, Some(cursor)))
        }
        None => query.read().map(|(filter, order)| (filter, order, None)),
    }
}

pub(super) fn advisories(state: &ApiState) -> Option<String> {
    state.findings.advisories().map(|store| time(store.built_s()))
}

/// List vulnerabilities, each in each package once
#[utoipa::path(get, path = "/vulnerabilities", tag = "vulnerabilities", params(VulnerabilityQuery),
    extensions(("x-permission" = json!("vulnerabilities:read"))),
    responses((status = 200, body = VulnerabilityList), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<VulnerabilityQuery>,
) -> ApiResult<Json<VulnerabilityList>> {
    let tenant = caller.tenant(Permission::VulnerabilitiesRead).await?;
    let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let (filter, order, after) = asked(&state, query)?;
    let wanted = filter.clone();
    let rows = look(&state, tenant, move |view| view.rows(&wanted, order)).await?;
    let total = rows.len() as u64;
    let behind = |row: &Row| after.as_ref().is_none_or(|after| row.place(order) < (after.rank(), after.number));
    let mut rest = rows.into_iter().filter(behind);
    let page: Vec<Row> = rest.by_ref().take(limit).collect();
    let next = rest.next().and(page.last()).map(|row| {
        let ((first, second), number) = row.place(order);
        Cursor { filter, order, rank: (first.to_bits(), second.to_bits()), number, host: None }
    });
    let next_cursor = next.map(|cursor| state.cursors.seal(&cursor)).transpose()?;
    let items = page.into_iter().map(VulnerabilityView::from).collect();
    Ok(Json(VulnerabilityList { items, total, advisories: advisories(&state), next_cursor }))
}

/// An installed package that has a vulnerability.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VulnerablePackage {
    /// Its name.
    pub(crate) name: String,
    /// The version that is installed.
    pub(crate) version: String,
    /// The versions with the fix.
    pub(crate) fixed_in: Vec<String>,
    /// Whether the kernel that it belongs to runs; null for what belongs to none.
    pub(crate) running: Option<bool>,
}

impl From<Package> for VulnerablePackage {
    fn from(package: Package) -> Self {
        let Package { name, version, fixed_in, running } = package;
        Self { name, version, fixed_in: fixed_in.to_vec(), running }
    }
}

/// A vulnerability in a package on one host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct HostVulnerability {
    /// Id of the host.
    pub(crate) host_id: String,
    /// Name of the host.
    pub(crate) host: String,
    /// From where the host can be reached: internet, network, local or unknown.
    pub(crate) exposure: String,
    /// What the host is worth: high, medium or low.
    pub(crate) criticality: String,
    /// Its CVE name, or that of the advisory where it has none.
    pub(crate) vulnerability: String,
    /// Whose package, such as `debian:12` or `npm`.
    pub(crate) ecosystem: String,
    /// The source package, or the package where it is its own source.
    pub(crate) package: String,
    /// What is installed of it.
    pub(crate) installed: Vec<VulnerablePackage>,
    /// What the advisories say; null where they say nothing any more.
    pub(crate) detail: Option<VulnerabilityDetail>,
    /// open, not_running (in kernels alone that are installed and do not run), excepted, fixed or withdrawn.
    pub(crate) state: String,
    /// Whether a restart takes it away: a kernel without it is installed.
    pub(crate) restart: bool,
    /// Its risk there, 0 to 100.
    pub(crate) risk: f64,
    /// When it was first seen, RFC 3339.
    pub(crate) first_seen: String,
    /// When it was last seen, RFC 3339.
    pub(crate) last_seen: String,
    /// When it was fixed or withdrawn, RFC 3339.
    pub(crate) closed: Option<String>,
    /// How often it came back.
    pub(crate) reopened: u32,
    /// When it has to be fixed, RFC 3339; null for no deadline.
    pub(crate) due: Option<String>,
    /// Whether it is beyond that.
    pub(crate) overdue: bool,
}

pub(super) fn exposure_word(exposure: Exposure) -> &'static str {
    match exposure {
        Exposure::Internet => "internet",
        Exposure::Network => "network",
        Exposure::Local => "local",
        Exposure::Unknown => "unknown",
    }
}

pub(super) fn criticality_word(criticality: Criticality) -> &'static str {
    match criticality {
        Criticality::Low => "low",
        Criticality::Medium => "medium",
        Criticality::High => "high",
    }
}

impl From<HostFinding> for HostVulnerability {
    fn from(row: HostFinding) -> Self {
        Self {
            host_id: row.host.id.to_string(),
            host: row.host.name.clone(),
            exposure: exposure_word(row.host.exposure).to_owned(),
            criticality: criticality_word(row.host.criticality).to_owned(),
            vulnerability: row.subject.vulnerability.clone(),
            ecosystem: row.subject.ecosystem.clone(),
            package: row.subject.package.clone(),
            installed: row.packages.into_iter().map(VulnerablePackage::from).collect(),
            detail: row.detail.as_deref().map(VulnerabilityDetail::from),
            state: row.state.as_str().to_owned(),
            restart: row.entry.restart && matches!(row.state, Standing::Open | Standing::Excepted),
            risk: row.risk,
            first_seen: time(row.entry.first_s),
            last_seen: time(row.last_s),
            closed: row.entry.closed_s.filter(|_| !row.entry.asleep).map(time),
            reopened: row.entry.reopened,
            due: row.due_s.filter(|_| matches!(row.state, Standing::Open)).map(time),
            overdue: row.overdue,
        }
    }
}

/// One page of vulnerabilities of hosts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostVulnerabilities {
    /// The vulnerabilities, each once for every host.
    pub(crate) items: Vec<HostVulnerability>,
    /// How many match on all pages.
    pub(crate) total: u64,
    /// When the advisories were put together by which the hosts are judged, RFC 3339; null where there are none.
    pub(crate) advisories: Option<String>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// The rows of hosts, or that they are too many.
pub(super) fn held(
    view: &View<'_>,
    filter: &Filter,
    order: Order,
    max: usize,
) -> Result<Vec<HostFinding>, CatalogError> {
    let count = view.count(filter);
    if count > max {
        return Err(CatalogError::Invalid(format!(
            "{count} findings are more than {max}: name a host, a group, a tag, a package or a vulnerability"
        )));
    }
    Ok(view.host_rows(filter, order))
}

/// List vulnerabilities once for every host that has them
///
/// With `host` it shows what is wrong with a host, with `vulnerability` which hosts have it.
#[utoipa::path(get, path = "/vulnerabilities/hosts", tag = "vulnerabilities", params(VulnerabilityQuery),
    extensions(("x-permission" = json!("vulnerabilities:read"))),
    responses((status = 200, body = HostVulnerabilities), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn of_hosts(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<VulnerabilityQuery>,
) -> ApiResult<Json<HostVulnerabilities>> {
    let tenant = caller.tenant(Permission::VulnerabilitiesRead).await?;
    let limit = query.limit.unwrap_or(100).clamp(1, PAGE_MAX);
    let (filter, order, after) = asked(&state, query)?;
    if let Some(host) = filter.host {
        state.catalog.scoped(&Scope::of(tenant)).host(host).await?;
    }
    let wanted = filter.clone();
    let looked = look(&state, tenant, move |view| {
        let rows = held(view, &wanted, order, HOLD_MAX)?;
        let total = rows.len() as u64;
        let nobody = Uuid::max();
        let behind = |row: &HostFinding| {
            let end = |after: &Cursor| (after.rank(), after.number, after.host.unwrap_or(nobody));
            after.as_ref().is_none_or(|after| row.place(order) < end(after))
        };
        let mut rest = rows.into_iter().filter(behind);
        let mut page: Vec<HostFinding> = rest.by_ref().take(limit).collect();
        view.name_packages(&mut page);
        Ok::<_, CatalogError>((page, total, rest.next().is_some()))
    });
    let (page, total, more) = looked.await??;
    let next = page.last().filter(|_| more).map(|row| {
        let ((first, second), number, host) = row.place(order);
        Cursor { filter, order, rank: (first.to_bits(), second.to_bits()), number, host: Some(host) }
    });
    let next_cursor = next.map(|cursor| state.cursors.seal(&cursor)).transpose()?;
    let items = page.into_iter().map(HostVulnerability::from).collect();
    Ok(Json(HostVulnerabilities { items, total, advisories: advisories(&state), next_cursor }))
}
