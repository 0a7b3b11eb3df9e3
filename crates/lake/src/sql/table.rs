//! A class as an SQL table: the files and the batches in memory of one snapshot, which holds nothing of tenants out of
//! scope. Masking sits directly above the rows and below every filter, so that predicates see masked values only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, Statistics, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, conjunction as conjunction_of};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use guardian_model::{Class, Pseudonyms, TenantId};
use hashbrown::HashMap;

use super::hot::HotSource;
use super::mask;
use super::sealed::{KeepingFooters, SealedFiles};
use super::snapshot::{Bounds, ClassRows, TENANT};
use super::when::{self, When};
use crate::keys::LakeKeys;
use crate::store::state::{HotBatch, LiveFile};

/// Files and batches that were and were not read, over all scans of a query.
#[derive(Debug, Default)]
pub(crate) struct ScanCounts {
    pub(crate) files: AtomicU64,
    pub(crate) files_pruned: AtomicU64,
    pub(crate) hot_batches: AtomicU64,
}

/// The SQL schema of a class: its columns and the tenant.
pub(crate) fn schema_of(class: &Class) -> SchemaRef {
    let fields = class.schema().fields().iter().cloned().chain([Arc::new(tenant_field())]).collect::<Vec<_>>();
    Arc::new(Schema::new(fields))
}

fn tenant_field() -> Field {
    Field::new(TENANT, tenant_type(), false)
}

fn tenant_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The value of the tenant column of a file.
pub(crate) fn tenant_value(tenant: TenantId) -> ScalarValue {
    ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(ScalarValue::from(tenant.to_string())))
}

/// A class in the snapshot of a query.
#[derive(Debug)]
pub(crate) struct ClassTable {
    pub(crate) class: &'static Class,
    pub(crate) schema: SchemaRef,
    pub(crate) rows: ClassRows,
    pub(crate) mask: Option<Arc<Pseudonyms>>,
    pub(crate) counts: Arc<ScanCounts>,
    pub(crate) keys: LakeKeys,
}

#[async_trait]
impl TableProvider for ClassTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let kind = |filter: &&Expr| match when::provable(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(kind).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let projection = projection.unwrap_or(&all);
        let pruning = pruning(state, &self.schema, filters);
        let files = keep(&self.rows.files, pruning.as_ref(), &Bounds::of_files(self.class, &self.rows.files));
        let hot = keep(&self.rows.hot, pruning.as_ref(), &Bounds::of_hot(self.class, &self.rows.hot));
        self.count(&files, &hot);
        let limit = limit.filter(|_| filters.is_empty());
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        let mut add = |files: &[Arc<LiveFile>], hot: &[Arc<HotBatch>], condition: Option<&Arc<dyn PhysicalExpr>>| {
            if !files.is_empty() {
                inputs.push(self.scan_files(state, files, (projection, limit), condition)?);
            }
            if !hot.is_empty() {
                inputs.push(self.scan_hot(state, hot, projection, condition)?);
            }
            Ok::<_, DataFusionError>(())
        };
        let stored = self.stored(state, filters)?;
        match When::of(state, &self.schema, filters)? {
            None => add(&files, &hot, stored.as_ref())?,
            Some(when) => {
                let bounds = Bounds::of_files(self.class, &files);
                let (whole_files, files) = when.split(files, &bounds);
                let bounds = Bounds::of_hot(self.class, &hot);
                let (whole_hot, hot) = when.split(hot, &bounds);
                add(&whole_files, &whole_hot, stored.as_ref())?;
                let both = conjunction_of(stored.into_iter().chain([when.condition]));
                add(&files, &hot, Some(&both))?;
            }
        }
        let plan: Arc<dyn ExecutionPlan> = match inputs.len() {
            0 => return Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(projection)?)))),
            1 => inputs.remove(0),
            _ => UnionExec::try_new(inputs)?,
        };
        match &self.mask {
            Some(masks) => self.masked(state, plan, masks),
            None => Ok(plan),
        }
    }
}

impl ClassTable {
    pub(crate) fn count(&self, files: &[Arc<LiveFile>], hot: &[Arc<HotBatch>]) {
        self.counts.files.fetch_add(files.len() as u64, Ordering::Relaxed);
        self.counts.files_pruned.fetch_add((self.rows.files.len() - files.len()) as u64, Ordering::Relaxed);
        self.counts.hot_batches.fetch_add(hot.len() as u64, Ordering::Relaxed);
    }

    pub(crate) fn scan_files(
        &self,
        state: &dyn Session,
        files: &[Arc<LiveFile>],
        wanted: (&[usize], Option<usize>),
        condition: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        files.iter().try_for_each(|file| check_keys(file, &self.keys))?;
        let described = files.iter().map(|file| {
            let tenant = tenant_value(file.meta.tenant);
            Described {
                path: file.path(),
                sealed: file.meta.key.is_some().then(|| file.meta.path.clone()),
                bytes: file.meta.bytes,
                rows: file.meta.rows,
                partition: vec![tenant],
                // The file stays on disk until the query that reads it is done.
                keep: Some(Arc::clone(file)),
            }
        });
        let table =
            TableSchema::builder(self.class.schema()).with_table_partition_cols(vec![Arc::new(tenant_field())]).build();
        scan_parquet(state, table, described.collect(), wanted, condition, &self.keys)
    }

    pub(crate) fn scan_hot(
        &self,
        state: &dyn Session,
        hot: &[Arc<HotBatch>],
        projection: &[usize],
        condition: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let ways = state.config().target_partitions();
        Ok(DataSourceExec::from_data_source(HotSource::new(&self.schema, hot, projection, condition, ways)?))
    }

    /// What the filters say about rows below the mask.
    fn stored(&self, state: &dyn Session, filters: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(masks) = &self.mask else { return Ok(None) };
        let Some(all) = conjunction(filters.iter().filter_map(|f| mask::stored(self.class, masks, f))) else {
            return Ok(None);
        };
        physical(state, &self.schema, all).map(Some)
    }

    /// Replaces personal columns by their pseudonyms.
    fn masked(
        &self,
        state: &dyn Session,
        plan: Arc<dyn ExecutionPlan>,
        masks: &Arc<Pseudonyms>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = plan.schema();
        let config = state.config_options();
        let mut expressions: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::new();
        for (at, field) in schema.fields().iter().enumerate() {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
            let declared = self.class.fields.iter().find(|f| f.name == field.name());
            let expression: Arc<dyn PhysicalExpr> = match declared.filter(|f| f.personal) {
                None => column,
                Some(f) => match mask::of(f, masks) {
                    Some(function) => {
                        let config = Arc::new(config.clone());
                        Arc::new(ScalarFunctionExpr::try_new(function, vec![column], &schema, config)?)
                    }
                    None => Arc::new(Literal::new(ScalarValue::try_new_null(field.data_type())?)),
                },
            };
            expressions.push((expression, field.name().clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(expressions, plan)?))
    }
}

/// A Parquet file to scan.
pub(crate) struct Described {
    pub(crate) path: std::path::PathBuf,
    /// The path below the lake's directory, where the file is encrypted.
    pub(crate) sealed: Option<String>,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) partition: Vec<ScalarValue>,
    pub(crate) keep: Option<Arc<LiveFile>>,
}

/// Fails where a key is missing that a file needs, and says so better than reading it would.
pub(crate) fn check_keys(file: &LiveFile, keys: &LakeKeys) -> Result<()> {
    file.meta.check_keys(keys).map_err(|e| DataFusionError::External(Box::new(e)))
}

/// Scans Parquet files, spread over the threads of the query; of files that do not meet a condition whole, the rows that
/// do.
pub(crate) fn scan_parquet(
    state: &dyn Session,
    table: TableSchema,
    files: Vec<Described>,
    (projection, limit): (&[usize], Option<usize>),
    condition: Option<&Arc<dyn PhysicalExpr>>,
    keys: &LakeKeys,
) -> Result<Arc<dyn ExecutionPlan>> {
    let url = ObjectStoreUrl::local_filesystem();
    let runtime = state.runtime_env();
    let cache = runtime.cache_manager.get_file_metadata_cache();
    let reader = CachedParquetFileReaderFactory::new(runtime.object_store(&url)?, Arc::clone(&cache));
    let full = Arc::clone(table.table_schema());
    let mut source = ParquetSource::new(table)
        .with_table_parquet_options(state.table_options().parquet.clone())
        .with_pushdown_filters(true)
        .with_bloom_filter_on_read(true)
        .with_enable_page_index(true);
    let mut statistics = Statistics::new_unknown(&full);
    statistics.num_rows = Precision::Exact(files.iter().map(|f| f.rows as usize).sum());
    if let Some(condition) = condition {
        source = source.with_predicate(Arc::clone(condition));
        statistics = statistics.to_inexact();
    }
    let ways = state.config().target_partitions().clamp(1, files.len().max(1));
    let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new(); ways];
    let mut sizes = vec![0; ways];
    let mut sealed = HashMap::new();
    for mut file in files {
        let least = (0..ways).min_by_key(|&i| sizes[i]).unwrap_or(0);
        sizes[least] += file.bytes;
        let path = file.sealed.take();
        let file = partitioned(file, &full, condition.is_some())?;
        sealed.extend(path.map(|path| (file.object_meta.location.clone(), path)));
        groups[least].push(file);
    }
    let source = if sealed.is_empty() {
        source.with_parquet_file_reader_factory(Arc::new(reader))
    } else {
        let files = Arc::new(SealedFiles { keys: keys.clone(), paths: sealed });
        let reader = KeepingFooters { files: Arc::clone(&files), inner: reader, cache };
        source.with_encryption_factory(files).with_parquet_file_reader_factory(Arc::new(reader))
    };
    let config = FileScanConfigBuilder::new(url, Arc::new(source))
        .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
        .with_statistics(statistics)
        .with_limit(limit)
        .with_projection_indices(Some(projection.to_vec()))?
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

fn partitioned(file: Described, full: &SchemaRef, in_part: bool) -> Result<PartitionedFile> {
    let Ok(absolute) = std::path::absolute(&file.path) else {
        return internal_err!("{} has no absolute form", file.path.display());
    };
    let location = datafusion::object_store::path::Path::from_absolute_path(absolute)?;
    let mut described = PartitionedFile::new(String::new(), file.bytes).with_partition_values(file.partition);
    described.object_meta.location = location;
    let mut statistics = Statistics::new_unknown(full);
    statistics.num_rows = Precision::Exact(file.rows as usize);
    if in_part {
        statistics = statistics.to_inexact();
    }
    described = described.with_statistics(Arc::new(statistics));
    Ok(match file.keep {
        Some(keep) => described.with_extension(keep),
        None => described,
    })
}

/// The part of the filters that files and batches can be left out by. Pruning is an aid: where it cannot be built,
/// everything is read and the filters above decide.
pub(crate) fn pruning(state: &dyn Session, schema: &SchemaRef, filters: &[Expr]) -> Option<PruningPredicate> {
    let filter = conjunction(filters.iter().cloned())?;
    let filter = physical(state, schema, filter).ok()?;
    PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(filter).ok()
}

/// A condition over the columns of a schema, whatever the table is called.
pub(crate) fn physical(state: &dyn Session, schema: &SchemaRef, expr: Expr) -> Result<Arc<dyn PhysicalExpr>> {
    let strip = |e| {
        Ok(match e {
            Expr::Column(c) => Transformed::yes(Expr::Column(datafusion::common::Column::from_name(c.name))),
            other => Transformed::no(other),
        })
    };
    state.create_physical_expr(expr.transform_up(strip)?.data, &DFSchema::try_from(Arc::clone(schema))?)
}

pub(crate) fn keep<T: Clone>(
    items: &[T],
    pruning: Option<&PruningPredicate>,
    bounds: &dyn PruningStatistics,
) -> Vec<T> {
    let verdicts = pruning.and_then(|p| p.prune(bounds).ok());
    match verdicts {
        Some(verdicts) => items.iter().zip(verdicts).filter(|(_, keep)| *keep).map(|(item, _)| item.clone()).collect(),
        None => items.to_vec(),
    }
}
