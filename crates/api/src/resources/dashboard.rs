//! The dashboard's figures in one request: key figures with their trend, alerts over time, talkers, countries, ATT&CK,
//! exporters. What the catalog counts is counted afresh; what the telemetry store sums is kept for a while, because
//! fifty people look at the same dashboard.

use axum::extract::State;
use guardian_catalog::{
    AlertFilter, AlertGrouping, AlertStatus, ExporterState, IncidentFilter, IncidentStatus, Presence, SlaFilter,
};
use guardian_identity::Permission;
use guardian_model::{Micros, Scope, Severity};
use guardian_respond::attack;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::alert_figures::BucketView;
use super::alerts::parse_time;
use super::dashboard_traffic::{Traffic, traffic};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Problem};
use crate::extract::{Json, Query};
use crate::state::ApiState;

/// Steps of every series.
const STEPS: i64 = 60;
/// Rules named.
const RULES_MAX: usize = 10;
/// Techniques named.
const TECHNIQUES_MAX: usize = 60;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(dashboard))
}

/// Which time.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DashboardQuery {
    /// `1h`, `6h`, `24h` (default), `7d` or `30d`, until now.
    pub(crate) range: Option<String>,
    /// From this time on, RFC 3339; instead of a range.
    pub(crate) from: Option<String>,
    /// Before this time, RFC 3339.
    pub(crate) to: Option<String>,
    /// Replays: `exclude` (default) or `include`.
    pub(crate) replay: Option<String>,
}

/// A span of whole minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) from: Micros,
    pub(crate) to: Micros,
}

impl Span {
    pub(crate) fn micros(self) -> i64 {
        self.to - self.from
    }

    /// The step of `steps` equal ones that a time falls into.
    pub(crate) fn step(self, time: Micros, steps: i64) -> usize {
        let width = (self.micros() / steps).max(1);
        ((time - self.from) / width).clamp(0, steps - 1) as usize
    }
}

impl DashboardQuery {
    fn span(&self, now: Micros) -> ApiResult<Span> {
        if let Some(from) = &self.from {
            let to = self.to.as_deref().map_or(Ok(now), |t| parse_time("to", t))?;
            let from = parse_time("from", from)?.floor(Micros::MINUTE);
            let to = (to + (Micros::MINUTE - 1)).floor(Micros::MINUTE);
            if from >= to {
                return Err(ApiError::invalid("the time range is empty"));
            }
            return Ok(Span { from, to });
        }
        let length = match self.range.as_deref().unwrap_or("24h") {
            "1h" => Micros::HOUR,
            "6h" => 6 * Micros::HOUR,
            "24h" => Micros::DAY,
            "7d" => 7 * Micros::DAY,
            "30d" => 30 * Micros::DAY,
            other => return Err(ApiError::invalid(format!("`range`: `{other}` is not 1h, 6h, 24h, 7d or 30d"))),
        };
        let to = (now + (Micros::MINUTE - 1)).floor(Micros::MINUTE);
        Ok(Span { from: to - length, to })
    }
}

/// A figure with where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KpiView {
    /// alerts_open, alerts_new, alerts_critical, incidents_open, sla_breached, time_to_acknowledge_seconds, flows, bytes
    /// or exporters.
    pub(crate) id: &'static str,
    /// The figure; null when there is nothing to measure.
    pub(crate) value: Option<f64>,
    /// The same of the time before; null where it cannot be told.
    pub(crate) previous: Option<f64>,
    /// Change in percent; null without a time before.
    pub(crate) trend_percent: Option<f64>,
    /// The figure over the time, in 60 steps; empty where it has no course.
    pub(crate) series: Vec<f64>,
}

fn kpi(id: &'static str, value: Option<f64>, previous: Option<f64>, series: Vec<f64>) -> KpiView {
    let trend_percent = match (value, previous) {
        (Some(now), Some(before)) if before > 0.0 => Some((now - before) / before * 100.0),
        _ => None,
    };
    KpiView { id, value, previous, trend_percent, series }
}

/// Somebody who sends or receives much.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TalkerView {
    /// Address.
    pub(crate) entity: String,
    /// Octets, both directions.
    pub(crate) bytes: u64,
    /// Packets, both directions.
    pub(crate) packets: u64,
    /// Flows.
    pub(crate) flows: u64,
}

/// Traffic between two countries, or between one and addresses that belong to none.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ArcView {
    /// ISO 3166 country of the source; `local` for addresses without one, such as those of one's own network.
    pub(crate) from: String,
    /// ISO 3166 country of the destination, or `local`.
    pub(crate) to: String,
    /// Octets, both directions.
    pub(crate) bytes: u64,
    /// Flows.
    pub(crate) flows: u64,
}

/// Alerts of one technique or tactic.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttackCount {
    /// Tactic, such as `discovery`.
    pub(crate) tactic: String,
    /// Technique, such as `t1046`; empty for rules that name a tactic only.
    pub(crate) technique: String,
    /// Alerts.
    pub(crate) alerts: u64,
}

/// How the exporters do.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct ExporterHealth {
    /// All of them.
    pub(crate) total: usize,
    /// Heard and understood.
    pub(crate) healthy: usize,
    /// Waiting for a template.
    pub(crate) waiting: usize,
    /// Not heard for a while.
    pub(crate) silent: usize,
    /// With flows that never arrived.
    pub(crate) losing: usize,
}

/// A rule that raised alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleCount {
    /// Sigma id.
    pub(crate) id: String,
    /// Title.
    pub(crate) title: String,
    /// Alerts.
    pub(crate) alerts: i64,
}

/// Incidents by where they stand and how bad they are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentFigures {
    /// By status.
    #[schema(value_type = Object)]
    pub(crate) by_status: Map<String, Value>,
    /// Open ones by severity.
    #[schema(value_type = Object)]
    pub(crate) by_severity: Map<String, Value>,
}

/// Everything on the dashboard.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Dashboard {
    /// From this time on, RFC 3339.
    pub(crate) from: String,
    /// Before this time, RFC 3339.
    pub(crate) to: String,
    /// Length of a step of the series.
    pub(crate) step_seconds: f64,
    /// When talkers and countries were ranked, RFC 3339; null while they are being ranked for the first time: ask again in
    /// a moment.
    pub(crate) generated: Option<String>,
    /// Key figures.
    pub(crate) kpis: Vec<KpiView>,
    /// Alerts over time, by last activity.
    pub(crate) alerts_by_severity: Vec<BucketView>,
    /// Sources with most traffic.
    pub(crate) top_talkers: Vec<TalkerView>,
    /// Traffic between countries, most octets first.
    pub(crate) countries: Vec<ArcView>,
    /// Alerts in ATT&CK.
    pub(crate) attack: Vec<AttackCount>,
    /// Exporters.
    pub(crate) exporters: ExporterHealth,
    /// Rules with most alerts.
    pub(crate) rules: Vec<RuleCount>,
    /// Incidents; null without the permission to see them.
    pub(crate) incidents: Option<IncidentFigures>,
}

/// Show the dashboard's figures
#[utoipa::path(get, path = "/dashboard", tag = "system", extensions(("x-permission" = json!("status:read"))), params(DashboardQuery),
    responses((status = 200, body = Dashboard), (status = 403, body = Problem), (status = 422, body = Problem)))]
async fn dashboard(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<DashboardQuery>,
) -> ApiResult<Json<Dashboard>> {
    let tenant = caller.tenant(Permission::StatusRead).await?;
    let scope = Scope::of(tenant);
    let held = caller.principal().permissions(tenant);
    let span = query.span(state.clock.now())?;
    let replays = query.replay.as_deref() == Some("include");
    let told = held.contains(Permission::FlowsRead);
    let (traffic, (alert_kpis, alerts, counts, rules), exporters, incidents) = tokio::try_join!(
        async { if told { traffic(&state, &scope, span, replays, STEPS).await } else { Ok(Traffic::default()) } },
        alert_figures(&state, &scope, span, replays, held.contains(Permission::AlertsRead)),
        exporter_health(&state, &scope),
        incident_figures(&state, &scope, span, replays, held.contains(Permission::IncidentsRead)),
    )?;
    let mut kpis = alert_kpis;
    let (incident_kpis, incidents) = incidents;
    kpis.extend(incident_kpis);
    let sum = |series: &[f64]| Some(series.iter().sum::<f64>());
    let volume = &traffic.volume;
    kpis.push(kpi("flows", sum(&volume.flows), Some(volume.flows_before), volume.flows.clone()));
    kpis.push(kpi("bytes", sum(&volume.bytes), Some(volume.bytes_before), volume.bytes.clone()));
    kpis.push(kpi("exporters", Some(exporters.healthy as f64), None, Vec::new()));
    Ok(Json(Dashboard {
        from: span.from.to_string(),
        to: span.to.to_string(),
        step_seconds: span.micros() as f64 / STEPS as f64 / 1e6,
        generated: traffic.ranked.map(|t| t.to_string()),
        kpis,
        alerts_by_severity: alerts,
        top_talkers: traffic.rankings.talkers.clone(),
        countries: traffic.rankings.countries.clone(),
        attack: counts,
        exporters,
        rules,
        incidents,
    }))
}

type AlertFigures = (Vec<KpiView>, Vec<BucketView>, Vec<AttackCount>, Vec<RuleCount>);

async fn alert_figures(
    state: &ApiState,
    scope: &Scope,
    span: Span,
    replays: bool,
    allowed: bool,
) -> ApiResult<AlertFigures> {
    if !allowed {
        return Ok(AlertFigures::default());
    }
    let scoped = state.catalog.scoped(scope);
    let replay =
        if replays { guardian_catalog::ReplayFilter::Include } else { guardian_catalog::ReplayFilter::Exclude };
    let base = AlertFilter { replay, suppressed: Presence::Exclude, ..AlertFilter::default() };
    let within = AlertFilter { from: Some(span.from), to: Some(span.to), ..base.clone() };
    let open = AlertFilter { status: vec![AlertStatus::New, AlertStatus::Acknowledged], ..base.clone() };
    let buckets = scoped.alert_histogram(&base, span.from, span.to, STEPS).await?;
    let before = scoped.alert_histogram(&base, span.from - span.micros(), span.from, 1).await?;
    let open = scoped.alert_counts(&open).await?;
    let series = |of: &dyn Fn(&guardian_catalog::AlertBucket) -> u64| -> Vec<f64> {
        buckets.iter().map(|b| of(b) as f64).collect()
    };
    let (all, critical) = (series(&|b| b.total()), series(&|b| b.of(Severity::Critical)));
    let previous = |of: &dyn Fn(&guardian_catalog::AlertBucket) -> u64| before.first().map(|b| of(b) as f64);
    let kpis = vec![
        kpi("alerts_open", Some(open.total as f64), None, Vec::new()),
        kpi("alerts_new", Some(all.iter().sum()), previous(&|b| b.total()), all),
        kpi("alerts_critical", Some(critical.iter().sum()), previous(&|b| b.of(Severity::Critical)), critical),
    ];
    let mut counts: Vec<AttackCount> = Vec::new();
    for (tag, alerts) in scoped.alert_attack_counts(&within).await? {
        let Some(tactic) = attack::stage(&tag).and_then(|stage| attack::TACTICS.get(stage)) else { continue };
        let technique = if attack::is_technique(&tag) { tag } else { String::new() };
        counts.push(AttackCount { tactic: tactic.id.to_owned(), technique, alerts });
    }
    counts.sort_by_key(|c| std::cmp::Reverse(c.alerts));
    counts.truncate(TECHNIQUES_MAX);
    let mut groups = scoped.alert_groups(&within, AlertGrouping::Rule).await?;
    groups.sort_by_key(|g| std::cmp::Reverse(g.count));
    groups.truncate(RULES_MAX);
    let rules = groups
        .into_iter()
        .map(|g| RuleCount { id: g.value.unwrap_or_default(), title: g.label, alerts: g.count })
        .collect();
    Ok((kpis, buckets.iter().map(BucketView::from).collect(), counts, rules))
}

async fn exporter_health(state: &ApiState, scope: &Scope) -> ApiResult<ExporterHealth> {
    let mut health = ExporterHealth::default();
    for exporter in state.catalog.scoped(scope).exporters().await? {
        health.total += 1;
        match exporter.state {
            ExporterState::Receiving => health.healthy += 1,
            ExporterState::WaitingForTemplate { .. } => health.waiting += 1,
            ExporterState::Silent => health.silent += 1,
        }
        if exporter.counters.get("lost").and_then(Value::as_u64).is_some_and(|n| n > 0) {
            health.losing += 1;
        }
    }
    Ok(health)
}

async fn incident_figures(
    state: &ApiState,
    scope: &Scope,
    span: Span,
    replays: bool,
    allowed: bool,
) -> ApiResult<(Vec<KpiView>, Option<IncidentFigures>)> {
    if !allowed {
        return Ok((Vec::new(), None));
    }
    let scoped = state.catalog.scoped(scope);
    let replay =
        if replays { guardian_catalog::ReplayFilter::Include } else { guardian_catalog::ReplayFilter::Exclude };
    let all = IncidentFilter { replay, ..IncidentFilter::default() };
    let counts = scoped.incident_counts(&all).await?;
    let breached = IncidentFilter { status: IncidentStatus::open(), sla: Some(SlaFilter::Breached), ..all.clone() };
    let breached: u64 = scoped.incident_counts(&breached).await?.values().sum();
    let open: u64 = counts.iter().filter(|((status, _), _)| status.is_open()).map(|(_, n)| n).sum();
    let now = scoped.acknowledge_seconds(span.from, span.to).await?;
    let before = scoped.acknowledge_seconds(span.from - span.micros(), span.from).await?;
    let of_status = |s: &IncidentStatus| counts.iter().filter(|((x, _), _)| x == s).map(|(_, n)| n).sum::<u64>();
    let of_severity =
        |s: &Severity| counts.iter().filter(|((status, x), _)| status.is_open() && x == s).map(|(_, n)| n).sum::<u64>();
    let figures = IncidentFigures {
        by_status: IncidentStatus::ALL.iter().map(|s| (s.to_string(), of_status(s).into())).collect(),
        by_severity: Severity::ALL.iter().map(|s| (s.to_string(), of_severity(s).into())).collect(),
    };
    let kpis = vec![
        kpi("incidents_open", Some(open as f64), None, Vec::new()),
        kpi("sla_breached", Some(breached as f64), None, Vec::new()),
        kpi("time_to_acknowledge_seconds", now, before, Vec::new()),
    ];
    Ok((kpis, Some(figures)))
}

#[cfg(test)]
mod tests {
    use guardian_model::Micros;

    use super::{DashboardQuery, kpi};

    #[test]
    fn spans_are_whole_minutes_until_now() {
        let now = Micros::parse("2026-01-02T03:04:05Z").unwrap();
        let span = DashboardQuery { range: Some("1h".into()), ..DashboardQuery::default() }.span(now).unwrap();
        assert_eq!(
            (span.from.to_string(), span.to.to_string()),
            ("2026-01-02T02:05:00Z".into(), "2026-01-02T03:05:00Z".into())
        );
        assert_eq!((span.step(span.from, 60), span.step(now, 60), span.step(span.to, 60)), (0, 59, 59));
        assert!(DashboardQuery { range: Some("2h".into()), ..DashboardQuery::default() }.span(now).is_err());
        let backwards = DashboardQuery {
            from: Some(now.to_string()),
            to: Some("2020-01-01T00:00:00Z".into()),
            ..DashboardQuery::default()
        };
        assert!(backwards.span(now).is_err());
    }

    #[test]
    fn trends_need_a_time_before() {
        assert_eq!(kpi("x", Some(150.0), Some(100.0), vec![]).trend_percent, Some(50.0));
        assert_eq!(kpi("x", Some(150.0), Some(0.0), vec![]).trend_percent, None);
        assert_eq!(kpi("x", None, Some(1.0), vec![]).trend_percent, None);
    }
}
