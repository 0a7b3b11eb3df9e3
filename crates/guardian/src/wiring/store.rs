//! The lake as the pipeline's store, and the catalog as its alert sink.

use std::time::Duration;

use guardian_catalog::Catalog;
use guardian_kit::metrics::{Counter, Metrics};
use guardian_lake::{Durable, Lake, Once};
use guardian_model::{AlertKey, AlertState, Batch, FINDING, Finding, Origin};
use guardian_pipeline::{AlertSink, Enrich, Enrichers, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Messages that may wait for the catalog; detection blocks beyond that.
const ALERT_QUEUE_MAX: usize = 256;
/// Alerts written in one transaction.
const ALERTS_AT_ONCE: usize = 1_000;
/// Pause before trying again after the catalog failed.
const RETRY: Duration = Duration::from_secs(1);

/// The lake behind the pipeline's trait.
pub(super) struct LakeStore {
    lake: Lake,
    last: Mutex<Option<Durable>>,
}

impl LakeStore {
    pub(super) fn new(lake: Lake) -> Self {
        Self { lake, last: Mutex::new(None) }
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError(error.to_string())
}

impl Store for LakeStore {
    fn append(&self, batch: &Batch, mark: Option<u64>) -> Result<u64, StoreError> {
        let appended = self.lake.append(batch, mark).map_err(failed)?;
        *self.last.lock() = Some(appended.durable);
        Ok(appended.id)
    }

    fn append_once(&self, batch: &Batch, origin: &Origin) -> Result<(u64, bool), StoreError> {
        Ok(match self.lake.append_once(batch, origin).map_err(failed)? {
            Once::Stored(appended) => {
                let id = appended.id;
                *self.last.lock() = Some(appended.durable);
                (id, true)
            }
            Once::Known(durable) => (durable.id(), false),
        })
    }

    fn wait_durable(&self, _id: u64) -> Result<(), StoreError> {
        // The last batch is durable after all before it.
        let last = self.last.lock().clone();
        last.map_or(Ok(()), |durable| durable.wait().map_err(failed))
    }

    fn replay_from(&self, id: u64) -> Box<dyn Iterator<Item = Result<(u64, Batch), StoreError>> + '_> {
        match self.lake.replay_from(id) {
            Ok(replay) => Box::new(replay.map(|item| item.map_err(failed))),
            Err(error) => Box::new(std::iter::once(Err(failed(error)))),
        }
    }

    fn last_mark(&self) -> Option<u64> {
        self.lake.last_mark(&FINDING)
    }

    fn hold_from(&self, id: u64) {
        self.lake.hold_wal_from(id);
    }
}

/// Hands alert states to a task that writes them to the catalog.
pub(super) struct CatalogAlerts {
    queue: mpsc::Sender<Vec<AlertState>>,
}

impl AlertSink for CatalogAlerts {
    fn publish(&self, findings: Vec<Finding>, updates: Vec<AlertState>) {
        let states: Vec<_> = findings.into_iter().map(|f| f.alert).chain(updates).collect();
        // An error means that the writer has stopped, at the end of the program.
        self.queue.blocking_send(states).ok();
    }
}

/// Starts the writer; it ends when the sink is dropped and everything was written.
pub(super) fn alert_writer(catalog: Catalog, metrics: &Metrics) -> (CatalogAlerts, tokio::task::JoinHandle<()>) {
    let (queue, mut states) = mpsc::channel::<Vec<AlertState>>(ALERT_QUEUE_MAX);
    let failures = metrics.counter(
        "guardian_alerts_write_failures_total",
        "Times that alerts could not be written to the catalog; they are tried again.",
    );
    let task = tokio::spawn(async move {
        while let Some(first) = states.recv().await {
            let mut waiting = first;
            while waiting.len() < ALERTS_AT_ONCE
                && let Ok(more) = states.try_recv()
            {
                waiting.extend(more);
            }
            write(&catalog, newest(waiting), &failures).await;
        }
    });
    (CatalogAlerts { queue }, task)
}

/// States are absolute, so only the newest of each alert counts; the order of first appearance stays.
fn newest(states: Vec<AlertState>) -> Vec<AlertState> {
    let mut place = std::collections::HashMap::<AlertKey, usize>::new();
    let mut kept: Vec<AlertState> = Vec::with_capacity(states.len());
    for state in states {
        match place.get(&state.key) {
            Some(at) => kept[*at] = state,
            None => {
                place.insert(state.key, kept.len());
                kept.push(state);
            }
        }
    }
    kept
}

/// Attempts before alerts are given up; they come again with their next update or after a restart.
const ATTEMPTS_MAX: u32 = 60;

async fn write(catalog: &Catalog, states: Vec<AlertState>, failures: &Counter) {
    for _ in 0..ATTEMPTS_MAX {
        match catalog.system().upsert_alerts(&states).await {
            Ok(_) => return,
            Err(error) => {
                failures.inc(1);
                tracing::error!(%error, alerts = states.len(), "alerts could not be written; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    tracing::error!(alerts = states.len(), "alerts were given up; they come again with their next update");
}

/// Enrichment behind the pipeline's trait: an enricher of its own for each thread.
pub(super) struct Enrichment(pub(super) guardian_intel::Intel);

struct Threads(guardian_intel::Enricher);

impl Enrichers for Enrichment {
    fn enricher(&self) -> Box<dyn Enrich> {
        Box::new(Threads(guardian_intel::Enricher::new(self.0.clone())))
    }
}

impl Enrich for Threads {
    fn enrich(&mut self, rows: &arrow::record_batch::RecordBatch) -> arrow::record_batch::RecordBatch {
        self.0.enrich(rows)
    }
}
