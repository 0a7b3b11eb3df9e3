//! Batches in memory as the source of a plan. Conditions are asked batch by batch while the query runs, of the columns that
//! they name; the others are taken for the rows that are left.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, BooleanArray, DictionaryArray, Int32Array, StringArray, UInt64Array};
use arrow::compute::{BatchCoalescer, prep_null_mask_filter};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::datasource::source::DataSource;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, conjunction};
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::projection::{ProjectionExpr, all_alias_free_columns, new_projections_for_columns};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use crate::store::row_numbers;
use crate::store::state::HotBatch;

/// Batches of one class, spread over the threads of a query.
#[derive(Clone, Debug)]
pub(crate) struct HotSource {
    /// All columns of the class as SQL sees it.
    table: SchemaRef,
    /// Those that are wanted, by their place in the table.
    projection: Vec<usize>,
    schema: SchemaRef,
    partitions: Vec<Vec<Arc<HotBatch>>>,
    /// Conditions over the table; rows meet all of them.
    conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// Most rows of each partition.
    fetch: Option<usize>,
}

impl HotSource {
    /// Batches spread over `ways` threads; of those that do not meet a condition whole, the rows that do.
    pub(crate) fn new(
        table: &SchemaRef,
        hot: &[Arc<HotBatch>],
        projection: &[usize],
        condition: Option<&Arc<dyn PhysicalExpr>>,
        ways: usize,
    ) -> Result<Self> {
        let ways = ways.clamp(1, hot.len().max(1));
        let mut partitions = vec![Vec::new(); ways];
        for (batch, part) in hot.iter().zip((0..ways).cycle()) {
            if let Some(part) = partitions.get_mut(part) {
                part.push(Arc::clone(batch));
            }
        }
        Ok(Self {
            table: Arc::clone(table),
            projection: projection.to_vec(),
            schema: Arc::new(table.project(projection)?),
            partitions,
            conditions: condition.into_iter().map(Arc::clone).collect(),
            fetch: None,
        })
    }

    fn rows(&self, partition: Option<usize>) -> usize {
        let all = self.partitions.iter().enumerate().filter(|(i, _)| partition.is_none_or(|p| p == *i));
        all.flat_map(|(_, batches)| batches).map(|batch| batch.rows.num_rows()).sum()
    }
}

impl DataSource for HotSource {
    fn open(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(batches) = self.partitions.get(partition) else {
            return internal_err!("there is no partition {partition} of {} in memory", self.partitions.len());
        };
        let reading = Reading {
            batches: batches.clone().into_iter(),
            schema: Arc::clone(&self.schema),
            projection: self.projection.clone(),
            condition: Condition::of(&self.table, &self.conditions)?,
            left: self.fetch.unwrap_or(usize::MAX),
            kept: BatchCoalescer::new(Arc::clone(&self.schema), context.session_config().batch_size()),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(reading))))
    }

    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batches: usize = self.partitions.iter().map(Vec::len).sum();
        write!(f, "memory, batches={batches}, rows={}", self.rows(None))?;
        for condition in &self.conditions {
            write!(f, ", {condition}")?;
        }
        self.fetch.map_or(Ok(()), |fetch| write!(f, ", fetch={fetch}"))
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.partitions.len())
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new(Arc::clone(&self.schema))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let rows = self.rows(partition);
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = match (self.conditions.is_empty(), self.fetch) {
            (true, None) => Precision::Exact(rows),
            (_, fetch) => Precision::Inexact(fetch.map_or(rows, |fetch| rows.min(fetch))),
        };
        Ok(Arc::new(statistics))
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn DataSource>> {
        Some(Arc::new(Self { fetch, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn try_swapping_with_projection(&self, wanted: &ProjectionExprs) -> Result<Option<Arc<dyn DataSource>>> {
        let wanted: Vec<ProjectionExpr> = wanted.iter().cloned().collect();
        if !all_alias_free_columns(&wanted) {
            return Ok(None);
        }
        let projection = new_projections_for_columns(&wanted, &self.projection);
        let schema = Arc::new(self.table.project(&projection)?);
        Ok(Some(Arc::new(Self { projection, schema, ..self.clone() })))
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        if self.fetch.is_some() {
            // Which rows come first was decided without these conditions.
            return Ok(FilterPushdownPropagation::with_parent_pushdown_result(vec![PushedDown::No; filters.len()]));
        }
        let mut with = self.clone();
        for filter in &filters {
            with.conditions.push(reassign_expr_columns(Arc::clone(filter), &self.table)?);
        }
        let all = FilterPushdownPropagation::with_parent_pushdown_result(vec![PushedDown::Yes; filters.len()]);
        Ok(all.with_updated_node(Arc::new(with)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for condition in &self.conditions {
            if f(condition)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

/// A condition, and the columns that it asks.
struct Condition {
    columns: Vec<usize>,
    schema: SchemaRef,
    holds: Arc<dyn PhysicalExpr>,
}

impl Condition {
    fn of(table: &SchemaRef, conditions: &[Arc<dyn PhysicalExpr>]) -> Result<Option<Self>> {
        if conditions.is_empty() {
            return Ok(None);
        }
        let all = conjunction(conditions.iter().map(Arc::clone));
        let mut columns: Vec<usize> = collect_columns(&all).into_iter().map(|column| column.index()).collect();
        columns.sort_unstable();
        columns.dedup();
        let schema = Arc::new(table.project(&columns)?);
        let holds = reassign_expr_columns(all, &schema)?;
        Ok(Some(Self { columns, schema, holds }))
    }

    /// Which rows of a batch meet it.
    fn meets(&self, batch: &HotBatch) -> Result<BooleanArray> {
        let rows = columns(batch, &self.columns, &self.schema)?;
        let met = self.holds.evaluate(&rows)?.into_array(rows.num_rows())?;
        let met = as_boolean_array(&met)?;
        Ok(if met.null_count() == 0 { met.clone() } else { prep_null_mask_filter(met) })
    }
}

/// One partition while it is read.
struct Reading {
    batches: std::vec::IntoIter<Arc<HotBatch>>,
    schema: SchemaRef,
    projection: Vec<usize>,
    condition: Option<Condition>,
    /// Rows that are still wanted.
    left: usize,
    /// Rows that met the condition and are too few for a batch of their own.
    kept: BatchCoalescer,
}

impl Reading {
    fn following(&mut self) -> Result<Option<RecordBatch>> {
        while self.left > 0 {
            if let Some(full) = self.kept.next_completed_batch() {
                return Ok(Some(full));
            }
            let Some(batch) = self.batches.next() else {
                self.kept.finish_buffered_batch()?;
                return Ok(self.kept.next_completed_batch());
            };
            let Some(condition) = &self.condition else {
                return columns(&batch, &self.projection, &self.schema).map(Some);
            };
            let meets = condition.meets(&batch)?;
            match meets.true_count() {
                0 => {}
                // The columns of a batch are shared, so that whole batches cost nothing.
                all if all == batch.rows.num_rows() => {
                    self.kept.push_batch(columns(&batch, &self.projection, &self.schema)?)?;
                }
                _ => {
                    let rows = columns(&batch, &self.projection, &self.schema)?;
                    self.kept.push_batch_with_filter(rows, &meets)?;
                }
            }
        }
        Ok(None)
    }
}

impl Iterator for Reading {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.following().transpose()?;
        Some(batch.map(|batch| {
            let rows = batch.num_rows().min(self.left);
            self.left -= rows;
            batch.slice(0, rows)
        }))
    }
}

/// Columns of a batch, the filled-in ones included.
fn columns(batch: &HotBatch, wanted: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = wanted.iter().map(|&at| column(batch, at)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn column(batch: &HotBatch, at: usize) -> ArrayRef {
    let rows = batch.rows.num_rows();
    match at {
        0 => Arc::new(UInt64Array::from_value(batch.id, rows)),
        1 => row_numbers(batch),
        at if at < batch.rows.num_columns() => Arc::clone(batch.rows.column(at)),
        _ => {
            let value = StringArray::from_iter_values([batch.tenant.to_string()]);
            let keys = Int32Array::from_value(0, rows);
            Arc::new(DictionaryArray::new(keys, Arc::new(value)))
        }
    }
}
