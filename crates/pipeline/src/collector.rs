//! The collector: opens the listeners and captures, and runs reception and decoding.

use std::collections::hash_map::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam_channel::bounded;
use guardian_flow::{Decoder, Limits, MeterConfig};
use guardian_kit::clock::Clock;
use guardian_kit::component::{self, Component};
use guardian_kit::metrics::Metrics;
use guardian_kit::shutdown::Shutdown;
use guardian_sys::capture::{Capture, CaptureError, CaptureOptions};
use guardian_sys::udp::{BindError, UdpOptions, UdpReceiver};
use hashbrown::HashMap;
use ipnet::IpNet;
use parking_lot::Mutex;

use crate::config::CollectConfig;
use crate::enrich::Enrichers;
use crate::live::LiveCapture;
use crate::owners::Owners;
use crate::spine::SpineInput;
use crate::state::StateDir;
use crate::status::ExporterStatus;
use crate::udp::{BLOCK_BYTES, Reception, Refusals, WorkerQueue};
use crate::worker::{DecodeWorker, Lane, Origin};

/// Distinct pairs of tenant and site over all listeners.
const ORIGINS_MAX: usize = 1_024;
const DECODE_THREADS_MAX: usize = 64;

/// Why collection cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A port cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An interface cannot be captured.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The configuration makes no sense.
    #[error("{0}")]
    Config(String),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// What collection needs of the rest of the program.
pub struct CollectorDeps {
    /// Its configuration.
    pub config: CollectConfig,
    /// Interfaces to meter packets on.
    pub captures: Vec<String>,
    /// Enrichment.
    pub enrich: Arc<dyn Enrichers>,
    /// Which processes made the flows.
    pub owners: Arc<Owners>,
    /// Storage and detection.
    pub spine: SpineInput,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where counters are registered.
    pub metrics: Metrics,
    /// Ends reception when triggered.
    pub shutdown: Shutdown,
    /// Where templates are kept.
    pub state: StateDir,
}

/// Running collection.
pub struct Collector {
    listening: Vec<SocketAddr>,
    threads: Vec<Component>,
    status: Vec<Arc<Mutex<Vec<ExporterStatus>>>>,
    refusals: Arc<Refusals>,
}

impl CollectConfig {
    /// Parameters of metering.
    pub fn meter(&self) -> MeterConfig {
        MeterConfig {
            active_timeout: self.active_timeout.as_micros(),
            idle_timeout: self.idle_timeout.as_micros(),
            flows_max: self.metered_flows_max,
            ..MeterConfig::default()
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            exporters_max: self.exporters_max.max(1),
            templates_per_session_max: self.templates_per_exporter_max.max(1),
            ..Limits::default()
        }
    }

    fn allowed(&self) -> Result<Arc<[IpNet]>, CollectError> {
        let parse = |text: &String| {
            text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)).map_err(|_| {
                CollectError::Config(format!("collect.allowed_exporters: `{text}` is neither an address nor a network"))
            })
        };
        self.allowed_exporters.iter().map(parse).collect()
    }
}

impl Collector {
    /// Opens everything first, so that an error leaves nothing half running, then starts the threads.
    pub fn start(deps: CollectorDeps) -> Result<Self, CollectError> {
        let config = &deps.config;
        let allowed = config.allowed()?;
        let mut origins: Vec<Origin> = Vec::new();
        let mut sockets = Vec::new();
        let options = UdpOptions { buffer_bytes: config.receive_buffer.as_usize(), ..UdpOptions::default() };
        for listener in &config.listeners {
            let origin = Origin { tenant: listener.tenant, site: listener.site.clone() };
            let lane = origins.iter().position(|o| *o == origin).unwrap_or_else(|| {
                origins.push(origin);
                origins.len() - 1
            });
            if lane >= ORIGINS_MAX {
                return Err(CollectError::Config(format!("more than {ORIGINS_MAX} tenants and sites have listeners")));
            }
            let group = UdpReceiver::bind_group(listener.address, listener.sockets.clamp(1, 64), &options)?;
            sockets.extend(group.into_iter().map(|socket| (lane as u16, socket)));
        }
        let captures = deps
            .captures
            .iter()
            .map(|name| Capture::open(name, &CaptureOptions::default()))
            .collect::<Result<Vec<_>, _>>()?;
        let listening = sockets.iter().map(|(_, s)| s.local_addr()).collect();
        let mut collector = Self { listening, threads: Vec::new(), status: Vec::new(), refusals: Arc::default() };
        let queues = collector.start_workers(&deps, &origins)?;
        collector.start_receivers(&deps, sockets, &queues, &allowed)?;
        collector.start_captures(&deps, captures)?;
        Ok(collector)
    }

    fn start_workers(&mut self, deps: &CollectorDeps, origins: &[Origin]) -> Result<Vec<WorkerQueue>, CollectError> {
        let config = &deps.config;
        let workers = config.decode_threads.clamp(1, DECODE_THREADS_MAX);
        let depth = (config.queue_memory.as_usize() / BLOCK_BYTES / workers).max(4);
        let mut queues = Vec::new();
        for worker in 0..workers {
            let (full, queue) = bounded(depth);
            let (recycled, empty) = bounded(depth);
            let status = Arc::new(Mutex::new(Vec::new()));
            self.status.push(Arc::clone(&status));
            queues.push(WorkerQueue { full, empty });
            let lane = |(index, origin): (usize, &Origin)| {
                Lane::new(origin.clone(), Decoder::new(config.limits()), index, worker, &deps.state)
            };
            let worker_parts = DecodeWorker {
                lanes: origins.iter().enumerate().map(lane).collect(),
                queue,
                recycled,
                enrich: deps.enrich.enricher(),
                owners: Arc::clone(&deps.owners),
                spine: deps.spine.clone(),
                clock: Arc::clone(&deps.clock),
                state: deps.state.clone(),
                batch_rows: config.batch_rows.clamp(1, guardian_flow::ROWS_MAX / 2),
                batch_delay: config.batch_delay.get(),
                status,
            };
            let name = format!("decode-{worker}");
            self.threads.push(component::spawn(&name, &deps.metrics, &deps.shutdown, move || worker_parts.run())?);
        }
        Ok(queues)
    }

    fn start_receivers(
        &mut self,
        deps: &CollectorDeps,
        sockets: Vec<(u16, UdpReceiver)>,
        queues: &[WorkerQueue],
        allowed: &Arc<[IpNet]>,
    ) -> Result<(), CollectError> {
        let hasher = RandomState::new();
        for (index, (lane, socket)) in sockets.into_iter().enumerate() {
            let reception = Reception {
                address: socket.local_addr(),
                socket,
                lane,
                workers: queues.to_vec(),
                allowed: Arc::clone(allowed),
                refusals: Arc::clone(&self.refusals),
                clock: Arc::clone(&deps.clock),
                shutdown: deps.shutdown.clone(),
                hasher: hasher.clone(),
            };
            let metrics = deps.metrics.clone();
            let name = format!("receive-{index}");
            self.threads.push(component::spawn(&name, &deps.metrics, &deps.shutdown, move || reception.run(&metrics))?);
        }
        Ok(())
    }

    fn start_captures(&mut self, deps: &CollectorDeps, captures: Vec<Capture>) -> Result<(), CollectError> {
        for capture in captures {
            let name = format!("capture-{}", capture.interface());
            let live = LiveCapture {
                capture,
                tenant: guardian_model::TenantId::DEFAULT,
                meter: deps.config.meter(),
                batch_rows: deps.config.batch_rows,
                enrich: deps.enrich.enricher(),
                owners: Arc::clone(&deps.owners),
                spine: deps.spine.clone(),
                clock: Arc::clone(&deps.clock),
                shutdown: deps.shutdown.clone(),
            };
            let metrics = deps.metrics.clone();
            self.threads.push(component::spawn(&name, &deps.metrics, &deps.shutdown, move || live.run(&metrics))?);
        }
        Ok(())
    }

    /// The addresses that are listened on.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// A handle that reads the exporters' counters.
    pub fn exporters(&self) -> Exporters {
        Exporters { status: self.status.clone(), refusals: Arc::clone(&self.refusals) }
    }

    /// Waits for the threads, after shutdown was triggered; what was received is decoded and handed on first.
    pub fn join(self) {
        for thread in self.threads {
            if let Err(error) = thread.join() {
                tracing::error!(error, "a collection thread failed");
            }
        }
    }
}

/// Reads the exporters' counters, at most a second old.
#[derive(Clone)]
pub struct Exporters {
    status: Vec<Arc<Mutex<Vec<ExporterStatus>>>>,
    refusals: Arc<Refusals>,
}

impl Exporters {
    /// Every exporter and domain.
    pub fn snapshot(&self) -> Vec<ExporterStatus> {
        let refused: HashMap<_, _> = self.refusals.snapshot().into_iter().collect();
        let mut all: Vec<_> = self.status.iter().flat_map(|s| s.lock().clone()).collect();
        for status in &mut all {
            status.refused(refused.get(&status.exporter).copied().unwrap_or_default());
        }
        all
    }
}
