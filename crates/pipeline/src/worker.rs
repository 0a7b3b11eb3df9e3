//! Decode workers: datagrams in, enriched batches out. An exporter always stays on one worker, so its templates and
//! counters need no lock.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use guardian_flow::{Decoder, FlowBuilder};
use guardian_kit::clock::Clock;
use guardian_model::{Batch, FLOW, TenantId};
use parking_lot::Mutex;

use crate::enrich::Enrich;
use crate::owners::Owners;
use crate::spine::SpineInput;
use crate::state::StateDir;
use crate::status::ExporterStatus;
use crate::udp::Block;

/// How often counters and templates are published.
const PUBLISH: Duration = Duration::from_secs(1);
/// How often templates are saved, when there is something new.
const SAVE: Duration = Duration::from_secs(30);

/// Whose telemetry it is: listeners of one tenant and site share decoders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) tenant: TenantId,
    pub(crate) site: String,
}

/// The decoder and the growing batch of one origin on one worker.
pub(crate) struct Lane {
    pub(crate) origin: Origin,
    pub(crate) decoder: Decoder,
    pub(crate) builder: FlowBuilder,
    /// When the oldest row of the growing batch came, on the monotonic clock.
    oldest: Option<Duration>,
    /// File that holds the decoder's templates over restarts.
    templates_file: String,
    saved_templates: Vec<u8>,
}

impl Lane {
    /// A lane with the templates that it knew before the restart.
    pub(crate) fn new(origin: Origin, mut decoder: Decoder, index: usize, worker: usize, state: &StateDir) -> Self {
        let templates_file = format!("templates-{index}-{worker}");
        let mut builder = FlowBuilder::new();
        builder.set_site(Some(origin.site.as_str()).filter(|s| !s.is_empty()));
        let saved = state.load_numbered(&templates_file).map(|(_, bytes)| bytes).unwrap_or_default();
        if !saved.is_empty() {
            match serde_json::from_slice(&saved) {
                Ok(templates) => {
                    decoder.import_templates(&templates);
                }
                Err(error) => tracing::warn!(%error, "saved templates cannot be used; exporters will resend them"),
            }
        }
        Self { origin, decoder, builder, oldest: None, templates_file, saved_templates: saved }
    }
}

/// One decode worker's parts.
pub(crate) struct DecodeWorker {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) queue: Receiver<Block>,
    pub(crate) recycled: Sender<Block>,
    pub(crate) enrich: Box<dyn Enrich>,
    pub(crate) owners: Arc<Owners>,
    pub(crate) spine: SpineInput,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) state: StateDir,
    pub(crate) batch_rows: usize,
    pub(crate) batch_delay: Duration,
    pub(crate) status: Arc<Mutex<Vec<ExporterStatus>>>,
}

impl DecodeWorker {
    /// Decodes until the receivers are gone and the queue is empty.
    pub(crate) fn run(mut self) {
        let (mut published, mut saved) = (self.clock.monotonic(), self.clock.monotonic());
        loop {
            match self.queue.recv_timeout(self.patience()) {
                Ok(mut block) => {
                    self.block(&block);
                    block.clear();
                    // A full return queue only means that the block is freed instead of reused.
                    self.recycled.try_send(block).ok();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = self.clock.monotonic();
            self.emit_due(now);
            if now.saturating_sub(published) >= PUBLISH {
                published = now;
                self.publish();
            }
            if now.saturating_sub(saved) >= SAVE {
                saved = now;
                self.save_templates();
            }
        }
        for lane in 0..self.lanes.len() {
            self.emit(lane);
        }
        self.publish();
        self.save_templates();
    }

    /// How long to wait for the next block: until the oldest growing batch is due.
    fn patience(&self) -> Duration {
        let now = self.clock.monotonic();
        let due = self.lanes.iter().filter_map(|l| l.oldest).map(|t| (t + self.batch_delay).saturating_sub(now)).min();
        due.unwrap_or(Duration::from_millis(100))
    }

    fn block(&mut self, block: &Block) {
        let now = self.clock.monotonic();
        for (datagram, bytes) in block.iter() {
            let index = usize::from(datagram.lane);
            let lane = &mut self.lanes[index];
            lane.decoder.decode(datagram.peer, datagram.received, bytes, &mut lane.builder);
            if !lane.builder.is_empty() && lane.oldest.is_none() {
                lane.oldest = Some(now);
            }
            if lane.builder.len() >= self.batch_rows {
                self.emit(index);
            }
        }
    }

    fn emit_due(&mut self, now: Duration) {
        for index in 0..self.lanes.len() {
            if self.lanes[index].oldest.is_some_and(|t| now.saturating_sub(t) >= self.batch_delay) {
                self.emit(index);
            }
        }
    }

    fn emit(&mut self, index: usize) {
        let lane = &mut self.lanes[index];
        lane.oldest = None;
        if lane.builder.is_empty() {
            return;
        }
        let received = self.clock.now();
        let rows = self.enrich.enrich(&lane.builder.finish(received));
        let rows = self.owners.fill(lane.origin.tenant, &lane.origin.site, rows);
        let batch = Batch { tenant: lane.origin.tenant, class: &FLOW, received, rows };
        if !self.spine.send(batch) {
            tracing::error!("a batch was lost because storage has stopped");
        }
    }

    fn publish(&self) {
        let all = self
            .lanes
            .iter()
            .flat_map(|lane| lane.decoder.exporters().map(|stats| ExporterStatus::new(&lane.origin, &stats)));
        *self.status.lock() = all.collect();
    }

    fn save_templates(&mut self) {
        for lane in &mut self.lanes {
            let Ok(templates) = serde_json::to_vec(&lane.decoder.export_templates()) else { continue };
            if templates == lane.saved_templates {
                continue;
            }
            match self.state.save_numbered(&lane.templates_file, 0, &templates) {
                Ok(()) => lane.saved_templates = templates,
                Err(error) => tracing::warn!(%error, "templates could not be saved; a restart will wait for them"),
            }
        }
    }
}
