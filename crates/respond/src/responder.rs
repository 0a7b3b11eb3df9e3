//! The edge: follows each tenant's change log, lets new alerts join incidents, and watches deadlines. Where it stood is
//! kept in the catalog, so that a restart goes on from there.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use guardian_catalog::{
    Action, Actor, Alert, AlertFilter, AlertSort, AlertStatus, Catalog, CatalogError, Changes, IncidentOrigin,
    NewIncident, ReplayFilter, SlaDue, Subject, alert_entities,
};
use guardian_kit::clock::Clock;
use guardian_kit::metrics::{Counter, Metrics};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{AlertId, IncidentId, Micros, Scope, TenantId};

use crate::correlate::{Candidate, Decision, decide};
use crate::settings::IncidentSettings;
use crate::sla;

/// How often new tenants are looked for, and deadlines checked.
const ROUND: Duration = Duration::from_secs(15);
/// Pause after the catalog failed.
const RETRY: Duration = Duration::from_secs(2);
/// Free alerts looked at for one entity.
const FREE_MAX: u64 = 100;
/// Alerts looked at after the change log was missed.
const RESYNC_MAX: u64 = 500;
/// Incidents whose deadlines are looked at in one round.
const DUE_MAX: u64 = 5_000;

/// Groups alerts into incidents and watches deadlines, until the program stops.
#[derive(Clone)]
pub struct Responder {
    catalog: Catalog,
    clock: std::sync::Arc<dyn Clock>,
    shutdown: Shutdown,
    joined: Counter,
    created: Counter,
    failures: Counter,
}

impl Responder {
    /// Inert until [`Responder::start`].
    pub fn new(catalog: Catalog, clock: std::sync::Arc<dyn Clock>, metrics: &Metrics, shutdown: Shutdown) -> Self {
        Self {
            catalog,
            clock,
            shutdown,
            joined: metrics
                .counter("guardian_correlation_joined_total", "Alerts that joined an incident by themselves."),
            created: metrics.counter("guardian_correlation_incidents_total", "Incidents that correlation made."),
            failures: metrics.counter(
                "guardian_correlation_failures_total",
                "Times that correlation or the check of deadlines could not go on; it tries again.",
            ),
        }
    }

    /// Starts following every tenant. The task ends with the program.
    pub fn start(self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            let mut following = HashMap::new();
            let mut rounds = self.shutdown.rounds(ROUND);
            while rounds.next().await {
                if let Err(error) = self.round(&mut following).await {
                    self.failures.inc(1);
                    tracing::warn!(%error, "deadlines could not be checked");
                }
            }
        })
    }

    async fn round(&self, following: &mut HashMap<TenantId, tokio::task::JoinHandle<()>>) -> Result<(), CatalogError> {
        for tenant in self.catalog.system().tenants().await? {
            if following.get(&tenant.id).is_none_or(tokio::task::JoinHandle::is_finished) {
                let own = self.clone();
                following.insert(tenant.id, tokio::spawn(async move { own.follow(tenant.id).await }));
            }
            watch_deadlines(&self.catalog, tenant.id, self.clock.now()).await?;
        }
        Ok(())
    }

    async fn follow(&self, tenant: TenantId) {
        let token = self.shutdown.token();
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                ended = self.follow_once(tenant) => if let Err(error) = ended {
                    self.failures.inc(1);
                    tracing::warn!(%error, "correlation stopped; trying again");
                },
            }
            tokio::select! {
                () = token.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn follow_once(&self, tenant: TenantId) -> Result<(), CatalogError> {
        let scope = Scope::of(tenant);
        let name = format!("respond/{tenant}");
        let kept = self.catalog.system().state(&name).await?;
        let position = kept.and_then(|bytes| serde_json::from_slice::<i64>(&bytes).ok());
        let scoped = self.catalog.scoped(&scope);
        let latest = scoped.latest_seq(tenant).await?;
        let mut follower = scoped.follow(tenant, position.unwrap_or(latest))?;
        if position.is_none() {
            self.catch_up(tenant).await?;
        }
        loop {
            let new = match follower.next().await? {
                Changes::Entries { entries, .. } => {
                    let new = entries.iter().filter(|e| e.subject == Subject::Alert && e.action == Action::Created);
                    new.filter_map(|e| e.id.parse().ok()).collect::<Vec<AlertId>>()
                }
                Changes::ResyncNeeded { .. } => {
                    self.catch_up(tenant).await?;
                    Vec::new()
                }
            };
            if !new.is_empty() {
                self.correlate(tenant, &new).await?;
            }
            let kept = serde_json::to_vec(&follower.position()).unwrap_or_default();
            self.catalog.system().put_state(&name, kept).await?;
        }
    }

    /// Looks at the newest free alerts, because the change log does not tell of them (any more).
    async fn catch_up(&self, tenant: TenantId) -> Result<(), CatalogError> {
        let scope = Scope::of(tenant);
        let scoped = self.catalog.scoped(&scope);
        let (settings, _) = IncidentSettings::load(&scoped, tenant).await?;
        let filter =
            AlertFilter { from: Some(self.clock.now() - settings.correlation.window()), ..free_alerts(tenant) };
        let page = scoped.alerts(&filter, AlertSort::Newest, None, RESYNC_MAX).await?;
        let ids: Vec<AlertId> = page.items.iter().rev().map(|a| a.id).collect();
        self.correlate(tenant, &ids).await
    }

    async fn correlate(&self, tenant: TenantId, ids: &[AlertId]) -> Result<(), CatalogError> {
        let (joined, created) = correlate_alerts(&self.catalog, tenant, ids).await?;
        self.joined.inc(joined);
        self.created.inc(created);
        Ok(())
    }
}

fn free_alerts(tenant: TenantId) -> AlertFilter {
    AlertFilter {
        without_incident: true,
        status: vec![AlertStatus::New, AlertStatus::Acknowledged],
        ..AlertFilter::of(tenant)
    }
}

/// Lets these alerts join or make incidents, one after the other. Answers how many joined, and how many incidents were
/// made. What somebody else decided meanwhile stands.
pub async fn correlate_alerts(
    catalog: &Catalog,
    tenant: TenantId,
    ids: &[AlertId],
) -> Result<(u64, u64), CatalogError> {
    let scope = Scope::of(tenant);
    let scoped = catalog.scoped(&scope);
    let (settings, _) = IncidentSettings::load(&scoped, tenant).await?;
    let (mut joined, mut created) = (0, 0);
    if !settings.correlation.enabled {
        return Ok((0, 0));
    }
    for id in ids {
        // Gone with a replay that was cleared meanwhile.
        let Ok(found) = scoped.alert(*id).await else { continue };
        let alert = found.alert;
        let (open, free) = neighbours(catalog, &alert, &settings).await?;
        let done = match decide(&alert, &open, &free, &settings.correlation) {
            Decision::Nothing => continue,
            Decision::Join { incident, joining } => {
                let mut tx = scoped.begin(tenant, Actor::system("correlation")).await?;
                let done = tx.join_alerts(incident, &[joining]).await;
                joined += u64::from(done.is_ok());
                done.map(|_| tx)
            }
            Decision::Create { title, kind, severity, alerts } => {
                let mut tx = scoped.begin(tenant, Actor::system("correlation")).await?;
                // A replay triggers nothing, and so has no deadline to miss.
                let live = alert.replay.is_none();
                let due = if live { settings.sla.due(severity, tx.now()) } else { SlaDue::default() };
                let new = NewIncident {
                    title,
                    summary: String::new(),
                    kind,
                    severity,
                    owner: None,
                    tags: vec![],
                    origin: IncidentOrigin::Correlation,
                    due,
                    alerts,
                };
                let done = tx.create_incident(&new).await;
                created += u64::from(done.is_ok());
                done.map(|_| tx)
            }
        };
        match done {
            Ok(tx) => {
                tx.commit().await?;
            }
            // Somebody was quicker.
            Err(CatalogError::Conflict(_) | CatalogError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((joined, created))
}

/// The open incidents and the free alerts that share an entity with an alert and are near in time.
async fn neighbours(
    catalog: &Catalog,
    alert: &Alert,
    settings: &IncidentSettings,
) -> Result<(Vec<Candidate>, Vec<Alert>), CatalogError> {
    let scope = Scope::of(alert.tenant);
    let scoped = catalog.scoped(&scope);
    let window = settings.correlation.window();
    let values: Vec<String> = alert_entities(alert).into_iter().map(|(_, value, _)| value).collect();
    let mut open = Vec::new();
    for id in scoped.incidents_about(&values, None).await?.into_keys() {
        let incident = scoped.incident(IncidentId(id)).await?;
        let near = incident.last_seen + window >= alert.first_seen && alert.last_seen + window >= incident.first_seen;
        if !near || !incident.status.is_open() || incident.merged_into.is_some() {
            continue;
        }
        let rules: BTreeSet<String> =
            scoped.incident_alerts(incident.id).await?.into_iter().map(|a| a.alert.rule.id).collect();
        let entities = scoped.incident_entities(incident.id).await?;
        open.push(Candidate { incident, entities, rules });
    }
    let mut free: Vec<Alert> = Vec::new();
    for value in values {
        let filter = AlertFilter {
            entity_is: Some(value),
            from: Some(alert.first_seen - window),
            to: Some(alert.last_seen + window),
            replay: alert.replay.clone().map_or(ReplayFilter::Exclude, ReplayFilter::Named),
            ..free_alerts(alert.tenant)
        };
        let page = scoped.alerts(&filter, AlertSort::Activity, None, FREE_MAX).await?;
        free.extend(page.items.into_iter().filter(|other| other.id != alert.id));
    }
    free.sort_by_key(|a| a.id);
    free.dedup_by_key(|a| a.id);
    Ok((open, free))
}

/// Marks the deadlines of a tenant's incidents that came near or passed until `now`. Answers how many were told.
pub async fn watch_deadlines(catalog: &Catalog, tenant: TenantId, now: Micros) -> Result<u64, CatalogError> {
    let scope = Scope::of(tenant);
    let scoped = catalog.scoped(&scope);
    let (settings, _) = IncidentSettings::load(&scoped, tenant).await?;
    // A warning comes before its deadline, at most by the part of the longest time that is left.
    let ahead = i64::from(sla::MINUTES_MAX) * Micros::MINUTE / 100 * i64::from(100 - settings.sla.warn_percent);
    let mut told = 0;
    for incident in scoped.incidents_due(tenant, now + ahead, DUE_MAX).await? {
        for (clock, mark) in sla::marks(&incident, &settings.sla, now) {
            let mut tx = scoped.begin(tenant, Actor::system("deadlines")).await?;
            told += u64::from(tx.mark_sla(incident.id, clock, mark).await?.is_some());
            tx.commit().await?;
        }
    }
    Ok(told)
}
