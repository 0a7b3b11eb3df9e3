//! Enrichment as the pipeline sees it: a batch in, the same batch with more columns filled out.

use arrow::record_batch::RecordBatch;

/// Fills the enrichment columns of flow batches, for one thread. Must not block on I/O.
pub trait Enrich: Send {
    /// Returns the rows with the enrichment columns filled; the schema stays the same.
    fn enrich(&mut self, rows: &RecordBatch) -> RecordBatch;
}

/// Makes an enricher for each thread.
pub trait Enrichers: Send + Sync {
    /// A new one, sharing what it knows with the others.
    fn enricher(&self) -> Box<dyn Enrich>;
}
