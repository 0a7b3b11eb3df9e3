//! Where what agents send goes. The program wires the pipeline and the lake in here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use guardian_model::{Batch, Origin};
use uuid::Uuid;

/// Why nothing was stored.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct IntakeError(pub String);

/// Up to where everything of a lane is stored and durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneMark {
    /// The lane.
    pub lane: u32,
    /// The last sequence that is safe.
    pub sequence: u64,
}

/// Resolves when everything of a batch is durable.
pub type Stored = Pin<Box<dyn Future<Output = Result<(), IntakeError>> + Send>>;

/// Shut at the first batch of a session that cannot be stored: nothing of that session is stored behind it, because a
/// mark beyond a batch that is missing would lose it.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Stores nothing more.
    pub fn shut(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is shut.
    pub fn is_shut(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Stores what agents send, once.
#[async_trait]
pub trait Intake: Send + Sync {
    /// The marks of an agent's epoch. They are durable when this returns: what is said to be safe is.
    async fn marks(&self, sender: Uuid, epoch: u64) -> Result<Vec<LaneMark>, IntakeError>;

    /// Queues the batches of one sequence, one a class; waits while too much is queued. What was stored before is left
    /// out. Batches of one lane are stored in the order of these calls.
    async fn offer(&self, batches: Vec<Batch>, origin: Origin, gate: Gate) -> Result<Stored, IntakeError>;
}
