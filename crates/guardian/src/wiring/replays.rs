//! Replays that run in this process, behind the API's trait.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use guardian_api::{ReplayStart, ReplayView, Replays};
use guardian_kit::shutdown::Shutdown;
use guardian_model::{Micros, TenantId};
use guardian_pipeline::capture_file::{EXPORT_PORTS, Survey};
use guardian_pipeline::replay::{ReplayProgress, ReplayRequest, ReplaySummary, Replayer, Speed};
use parking_lot::Mutex;

/// Replays that run at once.
const RUNNING_MAX: usize = 16;
/// Ended replays that are remembered.
const ENDED_MAX: usize = 100;

struct Running {
    id: String,
    name: String,
    tenant: TenantId,
    span: Option<(Micros, Micros)>,
    progress: ReplayProgress,
    summary: Mutex<Option<ReplaySummary>>,
}

impl Running {
    fn view(&self) -> ReplayView {
        let summary = self.summary.lock().clone();
        let at = self.progress.at.load(Ordering::Relaxed);
        let fraction = match (self.span, &summary) {
            (_, Some(_)) => 1.0,
            (Some((first, last)), None) if last > first && at != 0 => {
                ((at - first.0) as f64 / (last - first) as f64).clamp(0.0, 1.0)
            }
            _ => 0.0,
        };
        ReplayView {
            id: self.id.clone(),
            name: self.name.clone(),
            fraction,
            packets: self.progress.packets.load(Ordering::Relaxed),
            exports: self.progress.exports.load(Ordering::Relaxed),
            flows: self.progress.flows.load(Ordering::Relaxed),
            summary: summary.and_then(|s| serde_json::to_value(s).ok()),
        }
    }
}

/// The replays of this process.
pub(super) struct LocalReplays {
    replayer: Replayer,
    spool: PathBuf,
    shutdown: Shutdown,
    all: Arc<Mutex<Vec<Arc<Running>>>>,
}

impl LocalReplays {
    /// With a spool directory, which is emptied.
    pub(super) fn new(replayer: Replayer, spool: PathBuf, shutdown: Shutdown) -> std::io::Result<Self> {
        if spool.exists() {
            std::fs::remove_dir_all(&spool)?;
        }
        std::fs::create_dir_all(&spool)?;
        Ok(Self { replayer, spool, shutdown, all: Arc::default() })
    }

    /// Ends all replays early and waits a moment for them.
    pub(super) fn stop(&self) {
        for replay in self.all.lock().iter() {
            replay.progress.cancel.store(true, Ordering::Relaxed);
        }
    }

    fn find(&self, tenants: &[TenantId], id: &str) -> Option<Arc<Running>> {
        self.all.lock().iter().find(|r| r.id == id && tenants.contains(&r.tenant)).cloned()
    }
}

#[async_trait]
impl Replays for LocalReplays {
    fn spool(&self) -> &Path {
        &self.spool
    }

    async fn start(&self, start: ReplayStart) -> Result<ReplayView, String> {
        let speed: Speed = start.speed.parse()?;
        let file = start.file.clone();
        let survey = tokio::task::spawn_blocking(move || {
            let file = std::fs::File::open(file).map_err(|e| e.to_string())?;
            Survey::of(std::io::BufReader::new(file), &EXPORT_PORTS).map_err(|e| e.to_string())
        })
        .await
        .map_err(|e| e.to_string())??;
        let running = Arc::new(Running {
            id: uuid::Uuid::now_v7().to_string(),
            name: start.name.clone(),
            tenant: start.tenant,
            span: survey.span,
            progress: ReplayProgress::default(),
            summary: Mutex::new(None),
        });
        {
            let mut all = self.all.lock();
            if all.iter().filter(|r| r.summary.lock().is_none()).count() >= RUNNING_MAX {
                return Err(format!("{RUNNING_MAX} replays are running; wait for one to end or cancel one"));
            }
            while all.len() >= ENDED_MAX + RUNNING_MAX
                && let Some(ended) = all.iter().position(|r| r.summary.lock().is_some())
            {
                all.remove(ended);
            }
            all.push(Arc::clone(&running));
        }
        let mut request = ReplayRequest::new(&start.name, start.tenant, speed, &survey);
        request.original_time = start.original_time;
        let (replayer, shutdown, work) = (self.replayer.clone(), self.shutdown.clone(), Arc::clone(&running));
        let thread = std::thread::Builder::new().name("replay".into()).spawn(move || {
            let summary = match std::fs::File::open(&start.file) {
                Ok(file) => replayer.run(&request, std::io::BufReader::new(file), &work.progress),
                Err(error) => ReplaySummary { issues: vec![error.to_string()], ..ReplaySummary::default() },
            };
            std::fs::remove_file(&start.file).ok();
            tracing::info!(
                name = request.name,
                flows = summary.flows,
                stopping = shutdown.is_triggered(),
                "replay ended"
            );
            *work.summary.lock() = Some(summary);
        });
        thread.map_err(|e| e.to_string())?;
        Ok(running.view())
    }

    async fn test_alert(&self, tenant: TenantId, name: &str) -> Result<(), String> {
        let (replayer, name) = (self.replayer.clone(), name.to_owned());
        let work = tokio::task::spawn_blocking(move || replayer.test_alert(tenant, &name));
        work.await.map_err(|error| error.to_string())
    }

    fn list(&self, tenants: &[TenantId]) -> Vec<ReplayView> {
        self.all.lock().iter().rev().filter(|r| tenants.contains(&r.tenant)).map(|r| r.view()).collect()
    }

    fn get(&self, tenants: &[TenantId], id: &str) -> Option<ReplayView> {
        self.find(tenants, id).map(|r| r.view())
    }

    fn forget(&self, tenant: TenantId, name: &str) {
        self.replayer.spine.forget_replay(tenant, name);
    }

    fn cancel(&self, tenants: &[TenantId], id: &str) -> bool {
        let found = self.find(tenants, id);
        if let Some(replay) = &found {
            replay.progress.cancel.store(true, Ordering::Relaxed);
        }
        found.is_some()
    }
}
