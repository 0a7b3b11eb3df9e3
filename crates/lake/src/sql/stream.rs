//! The result of a query, batch by batch.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::LakeError;

/// What a query did. Final when its stream has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueryStats {
    /// Rows returned.
    pub rows: u64,
    /// Whether rows beyond the row limit were left out.
    pub truncated: bool,
    /// Parquet files that were read.
    pub files: u64,
    /// Parquet files that could be left out by what is known of them.
    pub files_pruned: u64,
    /// Batches in memory that were read.
    pub hot_batches: u64,
    /// Whether minute roll-ups answered.
    pub rollup: bool,
    /// Time from start to end.
    pub elapsed: Duration,
}

/// Batches of a running query. Dropping it ends the query.
#[derive(Debug)]
pub struct QueryStream {
    pub(super) schema: SchemaRef,
    pub(super) batches: mpsc::Receiver<Result<RecordBatch, LakeError>>,
    pub(super) stats: Arc<Mutex<QueryStats>>,
    pub(super) task: AbortHandle,
}

impl QueryStream {
    /// The columns of the result. Address columns carry their kind in the field metadata where they come straight from
    /// a table; [`guardian_model::cell_json`] shows all of them.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// What the query did so far; final after the last batch.
    pub fn stats(&self) -> QueryStats {
        self.stats.lock().clone()
    }

    /// All batches at once.
    pub async fn collect_all(mut self) -> Result<(SchemaRef, Vec<RecordBatch>, QueryStats), LakeError> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await {
            batches.push(batch?);
        }
        Ok((self.schema(), batches, self.stats()))
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch, LakeError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_recv(cx)
    }
}

impl Drop for QueryStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
