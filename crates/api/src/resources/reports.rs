//! Reports on paper: the alerts of a filter, and a period in figures. Making a PDF takes a processor for a while, so it
//! happens beside the asynchronous threads, two at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use guardian_catalog::{
    ALERT_PAGE_MAX, AlertBucket, AlertFacets, AlertFilter, AlertGroup, AlertGrouping, AlertOrder, Incident,
    IncidentFilter, IncidentOrder, IncidentSort, Language, ReplayFilter, SlaClock,
};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, Severity, TenantId};
use guardian_respond::pdf::{self, Bar, PdfError, Sheet, Span, Summary};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alerts::{self, parse_time};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::mask;
use crate::state::ApiState;

/// Documents that are made at once, and how long one waits for its turn.
static PRESSES: Semaphore = Semaphore::const_new(2);
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest period of a summary.
const PERIOD_MAX: i64 = 400 * Micros::DAY;
/// Pieces of the period that the summary shows.
const PIECES: i64 = 30;
/// Rows of a summary's tables.
const ROWS_MAX: usize = 10;
/// Incidents of a summary.
const INCIDENTS_MAX: u64 = 200;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(summary)).routes(routes!(list))
}

/// Makes documents for one request, of people who may see what cannot be masked there.
pub(crate) struct Press {
    language: Language,
    tenant: String,
    author: String,
    now: Micros,
}

impl Press {
    pub(crate) async fn new(
        state: &ApiState,
        caller: &Caller,
        tenant: TenantId,
        language: Language,
    ) -> ApiResult<Self> {
        if caller.masks().is_some() {
            return Err(mask::unmaskable());
        }
        let all = state.catalog.system().tenants().await?;
        let name = all.into_iter().find(|t| t.id == tenant).map(|t| t.name).unwrap_or_default();
        Ok(Self { language, tenant: name, author: caller.principal().name.clone(), now: state.clock.now() })
    }

    /// Makes a document, in its turn, and answers it as a file.
    pub(crate) async fn print(
        self,
        name: &str,
        make: impl FnOnce(&Sheet<'_>) -> Result<Vec<u8>, PdfError> + Send + 'static,
    ) -> ApiResult<Response> {
        let turn = tokio::time::timeout(PATIENCE, PRESSES.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let detail = "too many documents are being made; try again";
            return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(10));
        };
        let made = tokio::task::spawn_blocking(move || {
            let sheet = Sheet { language: self.language, tenant: &self.tenant, author: &self.author, now: self.now };
            make(&sheet)
        });
        let bytes = made.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
        let disposition = format!("attachment; filename=\"{name}\"");
        let headers =
            [(header::CONTENT_TYPE, "application/pdf".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
        Ok((headers, bytes).into_response())
    }
}

/// The language of a document.
pub(crate) fn language(text: Option<&str>) -> ApiResult<Language> {
    text.map_or(Ok(Language::En), |text| text.parse().map_err(ApiError::invalid))
}

/// Which period, and how.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SummaryQuery {
    /// Its beginning, RFC 3339; 30 days before its end by default.
    pub(crate) from: Option<String>,
    /// Its end, RFC 3339; now by default.
    pub(crate) to: Option<String>,
    /// `json` (default) or `pdf`.
    pub(crate) format: Option<String>,
    /// The language of a PDF: en (default) or de.
    pub(crate) language: Option<String>,
}

/// A number of a severity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SeverityCount {
    /// informational, low, medium, high or critical.
    pub(crate) severity: String,
    /// Alerts.
    pub(crate) alerts: u64,
}

/// Something that occurs often.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopEntry {
    /// What it is called.
    pub(crate) name: String,
    /// Alerts.
    pub(crate) alerts: u64,
}

/// A period in figures. Replays do not count.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SummaryView {
    /// Its beginning, RFC 3339.
    pub(crate) from: String,
    /// Its end, RFC 3339.
    pub(crate) to: String,
    /// Alerts.
    pub(crate) alerts: u64,
    /// Alerts by severity, worst first.
    pub(crate) severities: Vec<SeverityCount>,
    /// Rules that found most.
    pub(crate) rules: Vec<TopEntry>,
    /// Entities that most alerts are about.
    pub(crate) entities: Vec<TopEntry>,
    /// Incidents with events in the period.
    pub(crate) incidents: u64,
    /// Those of them in which work is to be done.
    pub(crate) incidents_open: u64,
    /// Deadlines of them that passed before the work was done.
    pub(crate) deadlines_missed: u64,
}

/// What a summary is made of.
struct Figures {
    from: Micros,
    to: Micros,
    facets: AlertFacets,
    buckets: Vec<AlertBucket>,
    rules: Vec<AlertGroup>,
    entities: Vec<AlertGroup>,
    incidents: Vec<Incident>,
}

/// A period in figures
///
/// As JSON, or as a PDF with charts.
#[utoipa::path(get, path = "/reports/summary", tag = "reports", params(SummaryQuery),
    extensions(("x-permission" = json!("alerts:read"))),
    responses((status = 200, body = SummaryView, description = "The summary, as JSON or PDF"),
        (status = 403, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn summary(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<SummaryQuery>,
) -> ApiResult<Response> {
    let tenant = caller.tenant(Permission::AlertsRead).await?;
    let time = |name: &str, text: &Option<String>| text.as_deref().map(|t| parse_time(name, t)).transpose();
    let to = time("to", &query.to)?.unwrap_or_else(|| state.clock.now());
    let from = time("from", &query.from)?.unwrap_or(to - 30 * Micros::DAY);
    if to <= from || to - from > PERIOD_MAX {
        return Err(ApiError::invalid("`from` comes before `to`, by at most 400 days"));
    }
    let format = query.format.as_deref().unwrap_or("json");
    if !matches!(format, "json" | "pdf") {
        return Err(ApiError::invalid(format!("`format`: `{format}` is not json or pdf")));
    }
    let language = language(query.language.as_deref())?;
    // Whoever may not see incidents gets none.
    let incidents = caller.principal().permissions(tenant).contains(Permission::IncidentsRead);
    let figures = figures(&state, tenant, (from, to), incidents).await?;
    if format == "json" {
        return Ok(Json(figures.view()).into_response());
    }
    note(&state, &caller, tenant, "report.summary").await?;
    let press = Press::new(&state, &caller, tenant, language).await?;
    let paper = figures.paper(language);
    press.print("summary.pdf", move |sheet| pdf::summary(&paper, sheet)).await
}

/// What leaves the installation on paper is audited.
async fn note(state: &ApiState, caller: &Caller, tenant: TenantId, action: &'static str) -> ApiResult<()> {
    let mut tx = state.catalog.scoped(&Scope::of(tenant)).begin(tenant, caller.actor()).await?;
    tx.note(action, guardian_catalog::Subject::Telemetry, "", serde_json::Value::Null);
    tx.commit().await?;
    Ok(())
}

/// Asks the catalog for everything that a summary tells.
async fn figures(
    state: &ApiState,
    tenant: TenantId,
    (from, to): (Micros, Micros),
    with_incidents: bool,
) -> ApiResult<Figures> {
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let filter = AlertFilter {
        tenant: Some(tenant),
        from: Some(from),
        to: Some(to),
        replay: ReplayFilter::Exclude,
        now: state.clock.now(),
        ..AlertFilter::default()
    };
    let mut rules = scoped.alert_groups(&filter, AlertGrouping::Rule).await?;
    rules.sort_by_key(|group| std::cmp::Reverse(group.count));
    rules.truncate(ROWS_MAX);
    let mut entities = scoped.alert_groups(&filter, AlertGrouping::Entity).await?;
    entities.sort_by_key(|group| std::cmp::Reverse(group.count));
    entities.truncate(ROWS_MAX);
    let incidents = if with_incidents {
        let filter = IncidentFilter {
            tenant: Some(tenant),
            from: Some(from),
            to: Some(to),
            replay: ReplayFilter::Exclude,
            ..IncidentFilter::default()
        };
        let order = IncidentOrder { by: IncidentSort::Severity, ascending: false };
        scoped.incidents(&filter, order, None, INCIDENTS_MAX).await?.items
    } else {
        Vec::new()
    };
    Ok(Figures {
        from,
        to,
        facets: scoped.alert_facets(&filter).await?,
        buckets: scoped.alert_histogram(&filter, from, to, PIECES).await?,
        rules,
        entities,
        incidents,
    })
}

impl Figures {
    fn count(&self, severity: Severity) -> u64 {
        self.facets.severity.iter().find(|f| f.value == severity.as_str()).map_or(0, |f| f.count)
    }

    fn open(&self) -> u64 {
        self.incidents.iter().filter(|incident| incident.status.is_open()).count() as u64
    }

    /// Deadlines that passed before the work was done.
    fn missed(&self) -> u64 {
        let late = |incident: &Incident| {
            let clocks = SlaClock::ALL.iter().filter(|clock| {
                let done = incident.done_at(**clock).unwrap_or(self.to);
                incident.due.of(**clock).is_some_and(|due| done > due)
            });
            clocks.count() as u64
        };
        self.incidents.iter().map(late).sum()
    }

    fn view(&self) -> SummaryView {
        let top = |name: String, count: i64| TopEntry { name, alerts: u64::try_from(count).unwrap_or_default() };
        let worst_first = Severity::ALL.iter().rev();
        SummaryView {
            from: self.from.to_string(),
            to: self.to.to_string(),
            alerts: self.facets.total,
            severities: worst_first
                .map(|s| SeverityCount { severity: s.to_string(), alerts: self.count(*s) })
                .collect(),
            rules: self.rules.iter().map(|g| top(g.label.clone(), g.count)).collect(),
            entities: self.entities.iter().map(|g| top(g.value.clone().unwrap_or_default(), g.count)).collect(),
            incidents: self.incidents.len() as u64,
            incidents_open: self.open(),
            deadlines_missed: self.missed(),
        }
    }

    fn paper(&self, language: Language) -> Summary {
        let severity = |id: i32| u8::try_from(id).ok().and_then(Severity::from_id).unwrap_or(Severity::Informational);
        let figure = |name: &str, value: u64| (name.to_owned(), value.to_string());
        Summary {
            from: day(self.from),
            to: day(self.to),
            figures: vec![
                figure("alerts", self.facets.total),
                figure("incidents", self.incidents.len() as u64),
                figure("incidents open", self.open()),
                figure("deadlines missed", self.missed()),
            ],
            severities: pdf::bars(|s| self.count(s), language),
            days: self.buckets.iter().map(|b| Span { label: day(b.start), counts: b.counts }).collect(),
            rules: self
                .rules
                .iter()
                .map(|g| [g.label.clone(), severity(g.severity).to_string(), g.count.to_string()])
                .collect(),
            entities: self
                .entities
                .iter()
                .map(|g| {
                    let name = g.value.clone().unwrap_or_default();
                    Bar { id: String::new(), name, count: u64::try_from(g.count).unwrap_or_default() }
                })
                .collect(),
            incidents: self
                .incidents
                .iter()
                .map(|i| {
                    let (severity, status) = (i.severity.to_string(), i.status.to_string());
                    [i.number.to_string(), i.title.clone(), severity, status, day(i.created)]
                })
                .collect(),
        }
    }
}

/// The day of a time, in UTC.
fn day(time: Micros) -> String {
    pdf::time(time).chars().take(10).collect()
}

/// The language of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct PaperQuery {
    /// The language of the PDF: en (default) or de.
    pub(crate) language: Option<String>,
}

/// The alerts of a filter on paper
///
/// The same filters as `GET /alerts`; a PDF of at most 1,000 alerts. What is on paper cannot be masked: besides
/// `personal:read` it asks for `alerts:read`.
#[utoipa::path(get, path = "/reports/alerts", tag = "reports", params(alerts::ListQuery, PaperQuery),
    extensions(("x-permission" = json!("personal:read"))),
    responses((status = 200, body = Vec<u8>, content_type = "application/pdf"), (status = 403, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<BTreeMap<String, String>>,
) -> ApiResult<Response> {
    caller.tenant(Permission::PersonalRead).await?;
    let tenant = caller.tenant(Permission::AlertsRead).await?;
    let (paper, filter, order) = asked(query)?;
    let language = language(paper.language.as_deref())?;
    let said = said(&filter);
    let filter = AlertFilter { tenant: Some(tenant), ..filter.filter(&caller, state.clock.now())? };
    let scope = Scope::of(tenant);
    let scoped = state.catalog.scoped(&scope);
    let (mut found, mut place) = (Vec::new(), None);
    loop {
        let page = scoped.alerts(&filter, order, place.as_ref(), ALERT_PAGE_MAX).await?;
        found.extend(page.items);
        place = page.next;
        if place.is_none() || found.len() >= pdf::ALERTS_MAX {
            break;
        }
    }
    let more = place.is_some();
    note(&state, &caller, tenant, "report.alerts").await?;
    let press = Press::new(&state, &caller, tenant, language).await?;
    press.print("alerts.pdf", move |sheet| pdf::alerts(&found, &said, more, sheet)).await
}

/// The parts of a query: its language, its filter and its order.
fn asked(mut query: BTreeMap<String, String>) -> ApiResult<(PaperQuery, alerts::ListQuery, AlertOrder)> {
    let paper = PaperQuery { language: query.remove("language") };
    // A document has no pages that one turns.
    if query.get("limit").is_some_and(|limit| limit.parse::<usize>().is_err()) {
        return Err(ApiError::invalid("`limit` is a whole number"));
    }
    query.retain(|name, _| !matches!(name.as_str(), "limit" | "cursor"));
    let filter: alerts::ListQuery = serde_json::to_value(&query)
        .and_then(serde_json::from_value)
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    let order = filter.sort.as_deref().unwrap_or("newest").parse().map_err(ApiError::invalid)?;
    Ok((paper, filter, order))
}

/// A filter in words.
fn said(filter: &alerts::ListQuery) -> String {
    let parts = [
        ("status", &filter.status),
        ("severity", &filter.severity),
        ("severity \u{2265}", &filter.severity_min),
        ("verdict", &filter.verdict),
        ("rule", &filter.rule),
        ("entity", &filter.entity),
        ("ATT&CK", &filter.attack),
        ("from", &filter.from),
        ("to", &filter.to),
        ("replay", &filter.replay),
        ("search", &filter.search),
    ];
    let named = parts.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}: {value}")));
    named.collect::<Vec<_>>().join(" \u{b7} ")
}
