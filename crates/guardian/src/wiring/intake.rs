//! What agents send, on its way to detection and the lake. The spine stores and detects in one order, which a restart
//! repeats; the lake says what of it is durable.

use async_trait::async_trait;
use guardian_fleet::{Gate, Intake, IntakeError, LaneMark, Stored};
use guardian_lake::Lake;
use guardian_model::{Batch, Origin};
use guardian_pipeline::{OnceBatch, SpineInput, StoreError};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Batches of all agents that may wait for the spine; their sessions stop reading beyond that.
const WAITING_MAX: usize = 256;

/// The spine and the lake behind the fleet's trait.
pub(super) struct LocalIntake {
    lake: Lake,
    queue: mpsc::Sender<OnceBatch>,
}

impl LocalIntake {
    /// Starts the thread that waits for the spine, so that no thread of the runtime has to. It ends with the last clone.
    pub(super) fn start(lake: Lake, spine: SpineInput) -> std::io::Result<Self> {
        let (queue, mut waiting) = mpsc::channel::<OnceBatch>(WAITING_MAX);
        let work = move || {
            while let Some(batch) = waiting.blocking_recv() {
                if !spine.send_once(batch) {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("agents".into()).spawn(work)?;
        Ok(Self { lake, queue })
    }
}

fn failed(error: impl std::fmt::Display) -> IntakeError {
    IntakeError(error.to_string())
}

#[async_trait]
impl Intake for LocalIntake {
    async fn marks(&self, sender: Uuid, epoch: u64) -> Result<Vec<LaneMark>, IntakeError> {
        let (lanes, durable) = self.lake.origin_marks(sender.as_bytes(), epoch).map_err(failed)?;
        durable.ready().await.map_err(failed)?;
        // Of the last sequence perhaps not every class is there: it is asked for again, and what is there stays once.
        Ok(lanes.into_iter().map(|(lane, last)| LaneMark { lane, sequence: last.saturating_sub(1) }).collect())
    }

    async fn offer(&self, batches: Vec<Batch>, origin: Origin, gate: Gate) -> Result<Stored, IntakeError> {
        let mut accepted = Vec::with_capacity(batches.len());
        for batch in batches {
            let (tell, told) = oneshot::channel();
            let (asked, shut) = (gate.clone(), gate.clone());
            let done = move |stored: Result<u64, StoreError>| {
                if stored.is_err() {
                    shut.shut();
                }
                // An error means that the session is over; its agent sends again what it was not told of.
                tell.send(stored).ok();
            };
            let once = OnceBatch { batch, origin, wanted: Box::new(move || !asked.is_shut()), done: Box::new(done) };
            self.queue.send(once).await.map_err(|_| failed("the server goes down"))?;
            accepted.push(told);
        }
        let lake = self.lake.clone();
        Ok(Box::pin(async move {
            let mut newest = None;
            for told in accepted {
                let id = told.await.map_err(|_| failed("the server goes down"))?.map_err(failed)?;
                newest = newest.max(Some(id));
            }
            match newest {
                Some(id) => lake.durable(id).map_err(failed)?.ready().await.map_err(failed),
                None => Ok(()),
            }
        }))
    }
}
