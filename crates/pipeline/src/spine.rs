//! The spine: one thread that stores every batch and then detects on it, in the same order in which a restart reads
//! them back. It never drops: a slow store blocks the sources, and only the UDP edge loses, and counts.
//!
//! Order of events, on which exactly-once findings rest:
//! 1. A batch is appended to the store, which numbers it.
//! 2. The engine processes it under that number.
//! 3. Findings are appended with a *mark*: the number of the batch they derive from.
//! 4. From time to time the engine's state is saved with the number of the last batch in it, after that batch is
//!    durable; the store keeps its log from there on.
//!
//! A restart loads the state, reads the log from its number, and appends only findings whose batch is above the last
//! mark. Alerts are absolute and keyed, so publishing them twice changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use guardian_detect::{DetectConfig, Output, RuleStats};
use guardian_kit::clock::Clock;
use guardian_kit::metrics::{Counter, Metrics};
use guardian_model::{AlertState, Batch, FINDING, FLOW, Finding, Micros, Origin, TenantId, finding_batch};
use parking_lot::Mutex;

use crate::engines::{Engines, ExceptionHits, TenantRules};
use crate::owners::Owners;
use crate::state::StateDir;

/// Batches that may wait for the spine; the sources block beyond that.
const QUEUE_BATCHES_MAX: usize = 64;
/// How often the engine hears of the passing of time.
const TICK: Duration = Duration::from_millis(500);
/// How often the engine's state is saved.
const SNAPSHOT_EVERY: i64 = 30 * Micros::SECOND;
/// Name of the engine's saved state.
const SNAPSHOT_FILE: &str = "detect.snapshot";

/// Why the store refused a batch.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// Where telemetry is stored. The program wires the lake in here.
pub trait Store: Send + Sync {
    /// Appends a batch, numbers it, and answers at once with the number; blocks while the store is behind. `mark`
    /// is, for derived batches, the number of the batch they derive from.
    fn append(&self, batch: &Batch, mark: Option<u64>) -> Result<u64, StoreError>;
    /// Appends a batch whose sender sends again what nobody acknowledged, once. Answers its number, and whether it is new.
    fn append_once(&self, batch: &Batch, origin: &Origin) -> Result<(u64, bool), StoreError>;
    /// Waits until everything appended up to this number is durable.
    fn wait_durable(&self, id: u64) -> Result<(), StoreError>;
    /// Reads batches back in order, from this number on.
    fn replay_from(&self, id: u64) -> Box<dyn Iterator<Item = Result<(u64, Batch), StoreError>> + '_>;
    /// The highest mark among the stored findings.
    fn last_mark(&self) -> Option<u64>;
    /// Keeps the log from this number on until told otherwise.
    fn hold_from(&self, id: u64);
}

/// Where alerts are told. The program wires the catalog in here.
pub trait AlertSink: Send + Sync {
    /// Takes absolute alert states; may block while behind. `findings` are news, `updates` only refresh.
    fn publish(&self, findings: Vec<Finding>, updates: Vec<AlertState>);
}

/// What the spine is made of.
pub struct SpineDeps {
    /// Where telemetry goes.
    pub store: Arc<dyn Store>,
    /// Where alerts go.
    pub alerts: Arc<dyn AlertSink>,
    /// The rules; a new set is taken up between two batches.
    pub rules: Arc<ArcSwap<TenantRules>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where counters are registered.
    pub metrics: Metrics,
    /// Where the engine's state is kept.
    pub state: StateDir,
    /// Parameters of detection.
    pub detect: DetectConfig,
    /// Told of the connections that pass.
    pub owners: Arc<Owners>,
}

/// A batch that is stored once, and who is told of it.
pub struct OnceBatch {
    /// The rows.
    pub batch: Batch,
    /// Where they come from.
    pub origin: Origin,
    /// Whether it is still to be stored; asked just before.
    pub wanted: Box<dyn Fn() -> bool + Send>,
    /// Told the number under which the store has it, before anything is detected on it, or why it was refused.
    pub done: Box<dyn FnOnce(Result<u64, StoreError>) + Send>,
}

enum Work {
    Batch(Batch),
    Once(OnceBatch),
    Barrier(Sender<()>),
    ForgetReplay(TenantId, String),
    Stop,
}

/// Counters that people and the console look at every second.
#[derive(Debug, Default)]
pub struct SpineStats {
    /// Flow rows stored since the start.
    pub flows: AtomicU64,
    /// Octets of those flows, scaled by sampling.
    pub bytes: AtomicU64,
    /// Findings stored since the start.
    pub findings: AtomicU64,
    /// Rows refused by the store since the start.
    pub refused: AtomicU64,
}

/// What each rule of each tenant did so far, shared with whoever shows it.
pub type SharedRuleStats = Arc<Mutex<Vec<(TenantId, Vec<RuleStats>)>>>;

/// Rows that exceptions kept from rules and that nobody has written down yet.
pub type SharedExceptionHits = Arc<Mutex<ExceptionHits>>;

/// Hands batches to the spine. Clones share one queue.
#[derive(Clone)]
pub struct SpineInput {
    queue: Sender<Work>,
}

impl SpineInput {
    /// Hands a batch over; blocks while the spine is behind. False when the spine has stopped.
    pub fn send(&self, batch: Batch) -> bool {
        self.queue.send(Work::Batch(batch)).is_ok()
    }

    /// Hands a batch over that is stored once; blocks while the spine is behind. False when the spine has stopped.
    pub fn send_once(&self, once: OnceBatch) -> bool {
        self.queue.send(Work::Once(once)).is_ok()
    }

    /// Lets detection forget a replay that was removed, so that replaying it again begins anew.
    pub fn forget_replay(&self, tenant: TenantId, name: &str) {
        // An error means that the spine has stopped, and with it what there was to forget.
        self.queue.send(Work::ForgetReplay(tenant, name.to_owned())).ok();
    }

    /// Waits until everything handed over so far was stored and detected on.
    pub fn drain(&self) {
        let (done, wait) = bounded(1);
        if self.queue.send(Work::Barrier(done)).is_ok() {
            // An error means that the spine stopped, and then nothing is left to wait for.
            wait.recv().ok();
        }
    }
}

/// The running spine.
pub struct Spine {
    input: SpineInput,
    stats: Arc<SpineStats>,
    rule_stats: SharedRuleStats,
    exception_hits: SharedExceptionHits,
    thread: JoinHandle<()>,
}

impl Spine {
    /// Restores the engine, reads back what came after its saved state, and starts the thread.
    pub fn start(deps: SpineDeps) -> std::io::Result<Self> {
        let (queue, work) = bounded(QUEUE_BATCHES_MAX);
        let stats = Arc::new(SpineStats::default());
        let rule_stats = Arc::new(Mutex::new(Vec::new()));
        let mut worker = Worker::new(deps, Arc::clone(&stats), Arc::clone(&rule_stats));
        worker.recover();
        // What the log told again was counted before the restart.
        worker.engines.take_excepted(&mut ExceptionHits::default());
        let exception_hits = Arc::clone(&worker.exception_hits);
        let thread = std::thread::Builder::new().name("spine".into()).spawn(move || worker.run(&work))?;
        Ok(Self { input: SpineInput { queue }, stats, rule_stats, exception_hits, thread })
    }

    /// The way in.
    pub fn input(&self) -> SpineInput {
        self.input.clone()
    }

    /// The counters.
    pub fn stats(&self) -> Arc<SpineStats> {
        Arc::clone(&self.stats)
    }

    /// What each rule did so far, refreshed at most twice a second.
    pub fn rule_stats(&self) -> SharedRuleStats {
        Arc::clone(&self.rule_stats)
    }

    /// Rows that exceptions kept from rules, refreshed at most twice a second; whoever writes them down takes them out.
    pub fn exception_hits(&self) -> SharedExceptionHits {
        Arc::clone(&self.exception_hits)
    }

    /// Works off the queue, saves the state and ends the thread. Sources must have stopped before.
    pub fn stop(self) {
        // An error means that the thread is gone already, which join reports.
        self.input.queue.send(Work::Stop).ok();
        if self.thread.join().is_err() {
            tracing::error!("the detection thread had panicked; its last state is the last saved one");
        }
    }
}

struct Worker {
    deps: SpineDeps,
    engines: Engines,
    stats: Arc<SpineStats>,
    rule_stats: SharedRuleStats,
    exception_hits: SharedExceptionHits,
    last_id: Option<u64>,
    saved_id: Option<u64>,
    next_save: Micros,
    stored_rows: Counter,
    refused_rows: Counter,
    findings: Counter,
    save_failures: Counter,
}

impl Worker {
    fn new(deps: SpineDeps, stats: Arc<SpineStats>, rule_stats: SharedRuleStats) -> Self {
        let metrics = &deps.metrics;
        Self {
            engines: Engines::new(deps.detect.clone(), Arc::clone(&deps.rules)),
            stats,
            rule_stats,
            exception_hits: SharedExceptionHits::default(),
            last_id: None,
            saved_id: None,
            next_save: deps.clock.now() + SNAPSHOT_EVERY,
            stored_rows: metrics.counter("guardian_spine_stored_rows_total", "Rows handed to the telemetry store."),
            refused_rows: metrics.counter(
                "guardian_spine_refused_rows_total",
                "Rows that the telemetry store refused, for example because the disk is full.",
            ),
            findings: metrics.counter("guardian_detect_findings_total", "Findings appended to the telemetry store."),
            save_failures: metrics.counter(
                "guardian_detect_snapshot_failures_total",
                "Times that saving the detection state failed; a restart then reads back more of the log.",
            ),
            deps,
        }
    }

    /// Loads the saved state and detects again on what was stored after it.
    fn recover(&mut self) {
        let saved = self.deps.state.load_numbered(SNAPSHOT_FILE);
        let restored = saved.and_then(|(id, bytes)| match self.engines.restore(&bytes) {
            Ok(()) => Some(id),
            Err(error) => {
                tracing::warn!(error, "the saved detection state cannot be used; reading back the whole log");
                None
            }
        });
        self.last_id = restored;
        self.saved_id = restored;
        let from = restored.map_or(0, |id| id + 1);
        self.deps.store.hold_from(from);
        let last_mark = self.deps.store.last_mark();
        let store = Arc::clone(&self.deps.store);
        let mut batches = 0_u64;
        for item in store.replay_from(from) {
            match item {
                Ok((id, batch)) => {
                    if batch.class.name == FINDING.name {
                        continue;
                    }
                    batches += 1;
                    self.deps.owners.learn(&batch);
                    let output = self.engines.process(id, &batch);
                    self.last_id = Some(id);
                    self.tell(output, Some(id), last_mark.is_some_and(|mark| id <= mark));
                }
                Err(error) => {
                    tracing::error!(%error, "part of the log cannot be read back for detection");
                }
            }
        }
        if batches > 0 {
            tracing::info!(batches, "detected again on what was stored after the last saved state");
        }
    }

    fn run(&mut self, work: &Receiver<Work>) {
        let mut next_tick = self.deps.clock.monotonic() + TICK;
        loop {
            let now = self.deps.clock.monotonic();
            match work.recv_timeout(next_tick.saturating_sub(now)) {
                Ok(Work::Batch(batch)) => self.batch(&batch),
                Ok(Work::Once(once)) => self.once(once),
                Ok(Work::ForgetReplay(tenant, name)) => self.engines.forget_replay(tenant, &name),
                Ok(Work::Barrier(done)) => {
                    self.tick();
                    self.flush();
                    // The other side may have gone away; nothing depends on it.
                    done.send(()).ok();
                }
                Ok(Work::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.deps.clock.monotonic() >= next_tick {
                self.tick();
                next_tick = self.deps.clock.monotonic() + TICK;
            }
        }
        self.tick();
        self.flush();
        self.save();
    }

    /// Tells the present state of every alert that changed.
    fn flush(&mut self) {
        let output = self.engines.flush();
        self.tell(output, self.last_id, false);
    }

    fn tick(&mut self) {
        let now = self.deps.clock.now();
        let output = self.engines.tick(now);
        self.tell(output, self.last_id, false);
        *self.rule_stats.lock() = self.engines.stats();
        self.engines.take_excepted(&mut self.exception_hits.lock());
        if now >= self.next_save {
            self.next_save = now + SNAPSHOT_EVERY;
            self.save();
        }
    }

    fn batch(&mut self, batch: &Batch) {
        let rows = batch.rows.num_rows() as u64;
        match self.deps.store.append(batch, None) {
            Ok(id) => {
                self.stored_rows.inc(rows);
                if batch.class.uid == FLOW.uid {
                    self.stats.flows.fetch_add(rows, Ordering::Relaxed);
                }
                self.stats.bytes.fetch_add(crate::columns::sum_bytes(batch), Ordering::Relaxed);
                let output = self.engines.process(id, batch);
                self.last_id = Some(id);
                self.tell(output, Some(id), false);
            }
            Err(error) => {
                self.refused_rows.inc(rows);
                self.stats.refused.fetch_add(rows, Ordering::Relaxed);
                tracing::error!(%error, rows, "the telemetry store refused a batch");
            }
        }
    }

    /// As [`Self::batch`], unless the batch was stored before. A refusal is the sender's to repeat.
    fn once(&mut self, once: OnceBatch) {
        if !(once.wanted)() {
            return (once.done)(Err(StoreError("a batch before it could not be stored".into())));
        }
        let stored = self.deps.store.append_once(&once.batch, &once.origin);
        let outcome = stored.as_ref().map(|(id, _)| *id).map_err(|e| StoreError(e.to_string()));
        (once.done)(outcome);
        if stored.is_ok() {
            self.deps.owners.learn(&once.batch);
        }
        if let Ok((id, true)) = stored {
            self.stored_rows.inc(once.batch.rows.num_rows() as u64);
            let output = self.engines.process(id, &once.batch);
            self.last_id = Some(id);
            self.tell(output, Some(id), false);
        }
    }

    /// Stores findings under their mark, unless they are stored already, and publishes alerts.
    fn tell(&mut self, output: Output, mark: Option<u64>, stored_already: bool) {
        let Output { findings, updates } = output;
        if findings.is_empty() && updates.is_empty() {
            return;
        }
        if !stored_already {
            self.store_findings(&findings, mark);
        }
        self.deps.alerts.publish(findings, updates);
    }

    fn store_findings(&mut self, findings: &[Finding], mark: Option<u64>) {
        let mut tenants: Vec<TenantId> = findings.iter().map(|f| f.alert.tenant).collect();
        tenants.sort_unstable();
        tenants.dedup();
        for tenant in tenants {
            let own: Vec<Finding> = findings.iter().filter(|f| f.alert.tenant == tenant).cloned().collect();
            let received = own.iter().map(|f| f.received).max().unwrap_or_default();
            let stored = finding_batch(&own)
                .map_err(|e| StoreError(e.to_string()))
                .and_then(|rows| self.deps.store.append(&Batch { tenant, class: &FINDING, received, rows }, mark));
            match stored {
                Ok(_) => {
                    self.findings.inc(own.len() as u64);
                    self.stats.findings.fetch_add(own.len() as u64, Ordering::Relaxed);
                }
                Err(error) => tracing::error!(%error, count = own.len(), "findings could not be stored"),
            }
        }
    }

    /// Saves the engine with the number of its last batch, once that batch is durable.
    fn save(&mut self) {
        let Some(id) = self.last_id.filter(|id| Some(*id) != self.saved_id) else { return };
        let state = &self.deps.state;
        let saved = self.engines.snapshot().and_then(|bytes| {
            self.deps.store.wait_durable(id).map_err(|e| e.to_string())?;
            state.save_numbered(SNAPSHOT_FILE, id, &bytes).map_err(|e| e.to_string())
        });
        match saved {
            Ok(()) => {
                self.saved_id = Some(id);
                self.deps.store.hold_from(id + 1);
            }
            Err(error) => {
                self.save_failures.inc(1);
                tracing::warn!(error, "the detection state could not be saved; the log is kept for the next restart");
            }
        }
    }
}
