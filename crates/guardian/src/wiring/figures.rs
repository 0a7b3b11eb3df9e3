//! Figures of each second for the live view, exporters into the catalog, and what rules did.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use guardian_api::{Kpis, RuleActivity, RuleWork};
use guardian_catalog::{Catalog, ExporterSeen, ExporterState};
use guardian_kit::clock::Clock;
use guardian_kit::metrics::Metrics;
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Micros, TenantId};
use guardian_pipeline::{
    ExceptionHits, ExporterStatus, Exporters, SharedExceptionHits, SharedRuleStats, SpineStats, TenantRules,
};
use tokio::sync::watch;

/// How often figures are taken.
const EVERY: Duration = Duration::from_secs(1);
/// Every how many figures the exporters and what exceptions did are written to the catalog.
const EXPORTERS_EVERY: u64 = 2;
/// An exporter unheard for this long is silent.
const SILENT_AFTER: i64 = 5 * Micros::MINUTE;

/// Where the figures come from.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) collector: Exporters,
    pub(super) spine: Arc<SpineStats>,
    pub(super) exception_hits: SharedExceptionHits,
    pub(super) catalog: Catalog,
    pub(super) metrics: Metrics,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shutdown: Shutdown,
}

/// Starts the task that takes them.
pub(super) fn start(sources: &Sources) -> watch::Receiver<Kpis> {
    let (publish, kpis) = watch::channel(Kpis::default());
    let sources = sources.clone();
    tokio::spawn(async move {
        let mut rounds = sources.shutdown.rounds(EVERY);
        let mut last = Last { time: sources.clock.monotonic(), flows: 0, bytes: 0 };
        let mut round = 0_u64;
        while rounds.next().await {
            let exporters = sources.collector.snapshot();
            publish.send_replace(take(&sources, &exporters, &mut last));
            round += 1;
            if round.is_multiple_of(EXPORTERS_EVERY) && !exporters.is_empty() {
                store(&sources, &exporters).await;
            }
            if round.is_multiple_of(EXPORTERS_EVERY) {
                store_exception_hits(&sources).await;
            }
        }
    });
    kpis
}

struct Last {
    time: Duration,
    flows: u64,
    bytes: u64,
}

fn take(sources: &Sources, exporters: &[ExporterStatus], last: &mut Last) -> Kpis {
    let (time, now) = (sources.clock.monotonic(), sources.clock.now());
    let flows = sources.spine.flows.load(Ordering::Relaxed);
    let bytes = sources.spine.bytes.load(Ordering::Relaxed);
    let seconds = (time.saturating_sub(last.time)).as_secs_f64().max(0.001);
    let metrics = sources.metrics.snapshot();
    let sum = |prefix: &str| -> u64 {
        metrics.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, value)| *value as u64).sum()
    };
    let counter = |e: &ExporterStatus, key: &str| e.counters.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let kpis = Kpis {
        time: now.to_string(),
        flows_per_second: (flows - last.flows) as f64 / seconds,
        bytes_per_second: bytes.wrapping_sub(last.bytes) as f64 / seconds,
        flows_total: flows,
        datagrams_total: sum("guardian_receive_datagrams_total"),
        lost_total: sum("guardian_receive_kernel_drops_total")
            + sum("guardian_receive_queue_drops_total")
            + sum("guardian_capture_kernel_drops_total")
            + sources.spine.refused.load(Ordering::Relaxed),
        missing_total: exporters.iter().map(|e| counter(e, "lost")).sum(),
        exporters: exporters.iter().filter(|e| now - e.last_seen < SILENT_AFTER).count() as u64,
        exporters_waiting: exporters.iter().filter(|e| counter(e, "held_records") > 0).count() as u64,
        findings_total: sources.spine.findings.load(Ordering::Relaxed),
        resident_bytes: guardian_sys::process::resident_bytes().unwrap_or_default(),
    };
    *last = Last { time, flows, bytes };
    kpis
}

async fn store(sources: &Sources, exporters: &[ExporterStatus]) {
    let mut tenants: Vec<TenantId> = exporters.iter().map(|e| e.tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    for tenant in tenants {
        let seen: Vec<_> = exporters.iter().filter(|e| e.tenant == tenant).map(seen).collect();
        if let Err(error) = sources.catalog.system().observe_exporters(tenant, &seen).await {
            tracing::warn!(%error, "exporters could not be written to the catalog");
        }
    }
}

/// Writes down what exceptions did. What cannot be written now is kept for the next time.
async fn store_exception_hits(sources: &Sources) {
    let taken: ExceptionHits = std::mem::take(&mut *sources.exception_hits.lock());
    let mut tenants: Vec<TenantId> = taken.keys().map(|(tenant, _)| *tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    for tenant in tenants {
        let own: Vec<(uuid::Uuid, u64)> = taken
            .iter()
            .filter(|((t, _), _)| *t == tenant)
            .map(|((_, id), n)| (uuid::Uuid::from_u128(*id), *n))
            .collect();
        if let Err(error) = sources.catalog.system().count_exception_hits(tenant, &own).await {
            tracing::warn!(%error, "what exceptions did could not be written to the catalog");
            let mut hits = sources.exception_hits.lock();
            for (id, rows) in own {
                *hits.entry((tenant, id.as_u128())).or_default() += rows;
            }
        }
    }
}

fn seen(status: &ExporterStatus) -> ExporterSeen {
    let held = status.counters.get("held_records").and_then(serde_json::Value::as_u64).unwrap_or(0);
    ExporterSeen {
        address: status.exporter,
        domain: status.domain,
        protocol: status.protocol.clone(),
        last_seen: status.last_seen,
        state: if held > 0 { ExporterState::WaitingForTemplate { held } } else { ExporterState::Receiving },
        counters: serde_json::Value::Object(status.counters.clone()),
    }
}

/// What rules did, and taking up changed ones.
pub(super) struct RuleFigures {
    stats: SharedRuleStats,
    catalog: Catalog,
    rules: Arc<ArcSwap<TenantRules>>,
    /// One after the other, so that what was read first is not put in place last.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl RuleFigures {
    pub(super) fn new(stats: SharedRuleStats, catalog: Catalog, rules: Arc<ArcSwap<TenantRules>>) -> Self {
        Self { stats, catalog, rules, turn: Arc::default() }
    }
}

#[async_trait::async_trait]
impl RuleActivity for RuleFigures {
    fn activity(&self, tenant: TenantId) -> Vec<RuleWork> {
        let all = self.stats.lock();
        let own = all.iter().find(|(t, _)| *t == tenant).map(|(_, stats)| stats.as_slice()).unwrap_or_default();
        own.iter().map(|s| RuleWork { rule_id: s.id.clone(), matched: s.matched, fired: s.firings }).collect()
    }

    async fn reload(&self) {
        let (catalog, rules, turn) = (self.catalog.clone(), Arc::clone(&self.rules), Arc::clone(&self.turn));
        // A task of its own: it must not end with the request that asked for it.
        let loading = tokio::spawn(async move {
            let _turn = turn.lock().await;
            match super::rules::load(&catalog).await {
                Ok(loaded) => rules.store(Arc::new(loaded)),
                Err(error) => tracing::error!(%error, "changed rules could not be taken up"),
            }
        });
        if let Err(error) = loading.await {
            tracing::error!(%error, "taking changed rules up broke off");
        }
    }
}
