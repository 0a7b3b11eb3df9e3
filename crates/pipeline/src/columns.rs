//! Whole-column work on flow batches that the pipeline itself needs.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::sum;
use arrow::datatypes::{TimestampMicrosecondType, UInt64Type};
use arrow::record_batch::RecordBatch;
use guardian_model::{Batch, FLOW, FlowField, Micros};

/// Octets of all flows, both directions, scaled by sampling; other events carry none.
pub(crate) fn sum_bytes(batch: &Batch) -> u64 {
    let rows = &batch.rows;
    if batch.class.uid != FLOW.uid || rows.num_columns() != FLOW.fields.len() {
        return 0;
    }
    let of = |field: FlowField| rows.column(field.index()).as_primitive_opt::<UInt64Type>().and_then(sum).unwrap_or(0);
    of(FlowField::Bytes).wrapping_add(of(FlowField::RevBytes))
}

/// Moves the event times (start and end) of all rows by `shift` microseconds, saturating, and sets when they were
/// received.
pub(crate) fn retime(rows: &RecordBatch, shift: i64, received: Micros) -> RecordBatch {
    let mut columns = rows.columns().to_vec();
    let all_received = TimestampMicrosecondArray::from_value(received.0, rows.num_rows()).with_timezone("+00:00");
    columns[FlowField::Received.index()] = Arc::new(all_received);
    for field in [FlowField::Start, FlowField::End] {
        let Some(times) = columns[field.index()].as_primitive_opt::<TimestampMicrosecondType>() else { continue };
        let moved: TimestampMicrosecondArray = times.unary(|t| t.saturating_add(shift));
        columns[field.index()] = Arc::new(moved.with_timezone("+00:00")) as ArrayRef;
    }
    debug_assert!(columns.iter().all(|c| c.len() == rows.num_rows()));
    RecordBatch::try_new(rows.schema(), columns).unwrap_or_else(|_| rows.clone())
}
