//! Running queries: one DataFusion session each, with a memory pool of its own, on the lake's threads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use guardian_model::{ALL_CLASSES, Class, FLOW, Micros, Pseudonyms, Scope};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};

use super::guard::{self, Deadline};
use super::rollup::{self, RollupTable};
use super::snapshot::{Snapshot, TENANT};
use super::stream::{QueryStats, QueryStream};
use super::table::{ClassTable, ScanCounts, schema_of};
use super::{addresses, functions, gate};
use crate::lake::Inner;
use crate::store::Store;
use crate::{Lake, LakeConfig, LakeError};

/// Metadata of Parquet files kept in memory between queries.
const METADATA_CACHE_BYTES: usize = 32 << 20;
/// Disk space that sorting and grouping of one query may use when memory is short.
const SPILL_BYTES_MAX: u64 = 2 << 30;
/// Questions at once of which the caller knows that they read little.
const SMALL_SLOTS: usize = 4;
/// Batches that wait for a slow reader.
const BATCHES_AHEAD: usize = 2;

/// Limits of one query; what is `None` is as configured, and nothing can exceed what is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryLimits {
    /// Longest time.
    pub time: Option<Duration>,
    /// Most memory, in bytes.
    pub memory: Option<usize>,
    /// Most rows; more are left out and [`QueryStats::truncated`] says so.
    pub rows: Option<usize>,
    /// The caller knows that little is read (roll-ups, a few batches, findings): it does not wait behind those who read
    /// much.
    pub small: bool,
}

/// A table that queries may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableInfo {
    /// SQL name.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Its columns in order.
    pub columns: Vec<ColumnInfo>,
}

/// A column that queries may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnInfo {
    /// SQL name.
    pub name: &'static str,
    /// What it holds: the name of a [`guardian_model::Kind`].
    pub kind: &'static str,
    /// Unit, or empty.
    pub unit: &'static str,
    /// Whether a row may lack it.
    pub nullable: bool,
    /// Whether it is personal data.
    pub personal: bool,
    /// One sentence.
    pub doc: &'static str,
}

/// All tables and columns that queries may name.
pub fn describe() -> Vec<TableInfo> {
    let tenant = ColumnInfo {
        name: TENANT,
        kind: "label",
        unit: "",
        nullable: false,
        personal: false,
        doc: "Id of the tenant whose row it is.",
    };
    let table = |class: &&'static Class| TableInfo {
        name: class.name,
        doc: class.doc,
        columns: class
            .fields
            .iter()
            .map(|f| ColumnInfo {
                name: f.name,
                kind: f.kind.name(),
                unit: f.unit,
                nullable: f.nullable,
                personal: f.personal,
                doc: f.doc,
            })
            .chain([tenant.clone()])
            .collect(),
    };
    ALL_CLASSES.iter().map(table).collect()
}

/// What queries of a lake share. It is made by the first query, so that a lake without queries costs nothing.
pub(crate) struct Engine {
    runtime: Option<Runtime>,
    env: Arc<RuntimeEnv>,
    slots: Arc<Semaphore>,
    /// For those who read little.
    small: Arc<Semaphore>,
    threads: usize,
}

impl Engine {
    pub(crate) fn new(config: &LakeConfig, spill: bool) -> Result<Self, LakeError> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let threads = if config.query_threads == 0 { cores } else { config.query_threads };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(2 * threads + 2)
            .thread_name("lake-query")
            .thread_keep_alive(Duration::from_secs(2))
            .enable_time()
            .build()
            .map_err(LakeError::io("starting the query threads"))?;
        let disk = DiskManagerBuilder::default().with_mode(if spill {
            DiskManagerMode::Directories(vec![config.dir.join("tmp")])
        } else {
            DiskManagerMode::Disabled
        });
        let env = RuntimeEnvBuilder::new()
            .with_metadata_cache_limit(METADATA_CACHE_BYTES)
            .with_disk_manager_builder(disk.with_max_temp_directory_size(SPILL_BYTES_MAX))
            .build_arc()
            .map_err(gate::explain)?;
        let slots = Arc::new(Semaphore::new(config.query_slots.max(1)));
        let small = Arc::new(Semaphore::new(SMALL_SLOTS));
        Ok(Self { runtime: Some(runtime), env, slots, small, threads })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for queries is neither needed nor allowed in asynchronous code.
            runtime.shutdown_background();
        }
    }
}

/// One query and everything that bounds it.
struct Job {
    store: Arc<Store>,
    env: Arc<RuntimeEnv>,
    scope: Scope,
    statement: Statement,
    mask: Option<Arc<Pseudonyms>>,
    memory: usize,
    rows: usize,
    threads: usize,
    deadline: Arc<Deadline>,
    stats: Arc<Mutex<QueryStats>>,
}

impl Lake {
    /// Runs one SELECT over the rows of the tenants in scope, as they are now: those in memory and those in files.
    /// Fails at once when the text is not allowed or does not fit the tables; errors while running come through the
    /// stream. Personal columns are pseudonyms, for filters too, if the scope says so.
    pub async fn query(&self, scope: &Scope, sql: &str, limits: QueryLimits) -> Result<QueryStream, LakeError> {
        let (store, config) = (&self.inner.store, &self.inner.store.config);
        store.counters.queries.inc(1);
        let result = self.start_query(scope, sql, limits, config).await;
        if result.is_err() {
            store.counters.query_errors.inc(1);
        }
        result
    }

    /// The first and the last batch that may hold rows of `class` received in `[from, to)`, as the column `batch` numbers
    /// them; none when nothing does. Batches are numbered in the order in which they were received.
    pub fn batches(&self, scope: &Scope, class: &Class, from: Micros, to: Micros) -> Option<(u64, u64)> {
        let snapshot = Snapshot::take(&self.inner.store, scope);
        let rows = snapshot.classes.get(&class.uid)?;
        let within = |times: Option<(i64, i64)>| times.is_none_or(|(low, high)| low < to.0 && high >= from.0);
        let files = rows.files.iter().filter(|f| within(f.meta.time("received"))).map(|f| f.meta.ids);
        let received = |times: &[(&'static str, i64, i64)]| {
            times.iter().find(|(name, ..)| *name == "received").map(|&(_, low, high)| (low, high))
        };
        let hot = rows.hot.iter().filter(|b| within(received(&b.times))).map(|b| (b.id, b.id));
        files.chain(hot).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// As [`Self::query`], for callers without asynchronous code: returns when all rows are there.
    pub fn query_blocking(
        &self,
        scope: &Scope,
        sql: &str,
        limits: QueryLimits,
    ) -> Result<(SchemaRef, Vec<RecordBatch>, QueryStats), LakeError> {
        let waiter =
            tokio::runtime::Builder::new_current_thread().build().map_err(LakeError::io("starting a query"))?;
        waiter.block_on(async { self.query(scope, sql, limits).await?.collect_all().await })
    }

    async fn start_query(
        &self,
        scope: &Scope,
        sql: &str,
        limits: QueryLimits,
        config: &LakeConfig,
    ) -> Result<QueryStream, LakeError> {
        let statement = gate::parse(sql)?;
        let engine = self.inner.engine()?;
        let time = limits.time.map_or(config.query_time.get(), |t| t.min(config.query_time.get()));
        let stats = Arc::new(Mutex::new(QueryStats::default()));
        let job = Job {
            store: Arc::clone(&self.inner.store),
            env: Arc::clone(&engine.env),
            scope: scope.clone(),
            statement,
            mask: scope.masks().cloned(),
            memory: limits.memory.map_or(config.query_memory.as_usize(), |m| m.min(config.query_memory.as_usize())),
            rows: limits.rows.map_or(config.query_rows, |r| r.min(config.query_rows)),
            threads: engine.threads,
            deadline: Deadline::new(Instant::now() + time),
            stats: Arc::clone(&stats),
        };
        let slots = Arc::clone(if limits.small { &engine.small } else { &engine.slots });
        let (to, batches) = mpsc::channel(BATCHES_AHEAD);
        let (ready, planned) = tokio::sync::oneshot::channel();
        let runtime = engine.runtime.as_ref().ok_or(LakeError::Closed)?;
        let task = runtime.spawn(async move {
            let counters = Arc::clone(&job.store.counters);
            let _cancel = job.deadline.cancel_on_drop();
            let limited = async {
                let _slot = slots.acquire_owned().await.map_err(|_| LakeError::Closed)?;
                job.run(&to, ready).await
            };
            let result = match tokio::time::timeout(time, limited).await {
                Ok(result) => result,
                Err(_) => Err(LakeError::Limit(format!("{} ({time:?})", gate::TOOK_TOO_LONG))),
            };
            if let Err(error) = result {
                counters.query_errors.inc(1);
                // A reader that is gone needs no error.
                to.send(Err(error)).await.ok();
            }
        });
        let mut stream = QueryStream { schema: Arc::new(Schema::empty()), batches, stats, task: task.abort_handle() };
        match planned.await {
            Ok(schema) => {
                stream.schema = schema;
                Ok(stream)
            }
            // The plan failed: the error is the first thing in the stream.
            Err(_) => match stream.batches.recv().await {
                Some(Err(error)) => Err(error),
                _ => Err(LakeError::Query("the query ended without a result".to_owned())),
            },
        }
    }
}

impl Inner {
    fn engine(&self) -> Result<Arc<Engine>, LakeError> {
        let mut engine = self.engine.lock();
        if let Some(engine) = engine.as_ref() {
            return Ok(Arc::clone(engine));
        }
        let fresh =
            Arc::new(Engine::new(&self.store.config, self.store.writing.is_some() && !self.store.config.encryption)?);
        *engine = Some(Arc::clone(&fresh));
        Ok(fresh)
    }
}

type Ready = tokio::sync::oneshot::Sender<SchemaRef>;

impl Job {
    async fn run(&self, to: &mpsc::Sender<Result<RecordBatch, LakeError>>, ready: Ready) -> Result<(), LakeError> {
        let started = Instant::now();
        let mut ready = Some(ready);
        let result = self.run_once(to, &mut ready).await;
        let result = match result {
            // Nothing was returned yet: when a damaged file was the reason, it is set aside and the rest answers.
            Err(error) if may_be_damage(&error) && self.quarantine().await => {
                if self.stats.lock().rows == 0 {
                    self.run_once(to, &mut ready).await
                } else {
                    Err(LakeError::Query("a damaged file was found and set aside; run the query again".to_owned()))
                }
            }
            other => other,
        };
        self.stats.lock().elapsed = started.elapsed();
        result
    }

    async fn run_once(
        &self,
        to: &mpsc::Sender<Result<RecordBatch, LakeError>>,
        ready: &mut Option<Ready>,
    ) -> Result<(), LakeError> {
        let counts = Arc::new(ScanCounts::default());
        let mut stream = self.plan(&counts).await?;
        {
            let mut stats = self.stats.lock();
            stats.files = counts.files.load(Ordering::Relaxed);
            stats.files_pruned = counts.files_pruned.load(Ordering::Relaxed);
            stats.hot_batches = counts.hot_batches.load(Ordering::Relaxed);
        }
        if let Some(ready) = ready.take()
            && ready.send(stream.schema()).is_err()
        {
            return Ok(());
        }
        let mut left = self.rows;
        while let Some(batch) = stream.next().await {
            let mut batch = batch.map_err(gate::explain)?;
            if batch.num_rows() > left {
                batch = batch.slice(0, left);
                self.stats.lock().truncated = true;
            }
            left -= batch.num_rows();
            self.stats.lock().rows += batch.num_rows() as u64;
            if batch.num_rows() > 0 && to.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
            if self.stats.lock().truncated {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn plan(&self, counts: &Arc<ScanCounts>) -> Result<SendableRecordBatchStream, LakeError> {
        let snapshot = Snapshot::take(&self.store, &self.scope);
        let (context, rollup) = self.context(&snapshot, counts).map_err(gate::explain)?;
        let state = context.state();
        let plan = state.statement_to_plan(self.statement.clone()).await.map_err(gate::explain)?;
        gate::verify(&plan)?;
        let plan = addresses::rewrite(plan).map_err(gate::explain)?;
        let mut plan = state.optimize(&plan).map_err(gate::explain)?;
        let rewritten = rollup::rewrite(plan, &rollup).map_err(gate::explain)?;
        self.stats.lock().rollup = rewritten.transformed;
        plan = rewritten.data;
        if rewritten.transformed {
            self.store.counters.rollup_queries.inc(1);
            plan = state.optimize(&plan).map_err(gate::explain)?;
        }
        let plan = guard::watch(plan, &self.deadline).map_err(gate::explain)?;
        let planned = state.query_planner().create_physical_plan(&plan, &state).await;
        let physical = planned.map_err(gate::explain)?;
        execute_stream(physical, context.task_ctx()).map_err(gate::explain)
    }

    fn context(
        &self,
        snapshot: &Snapshot,
        counts: &Arc<ScanCounts>,
    ) -> Result<(SessionContext, Arc<RollupTable>), DataFusionError> {
        let mut config = SessionConfig::new()
            .with_target_partitions(self.threads)
            .with_information_schema(true)
            .with_default_catalog_and_schema("lake", "public");
        let options = config.options_mut();
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.reorder_filters = true;
        options.execution.enable_recursive_ctes = false;
        let env = RuntimeEnvBuilder::from_runtime_env(&self.env)
            .with_memory_pool(Arc::new(FairSpillPool::new(self.memory)))
            .build_arc()?;
        let mut builder = SessionStateBuilder::new().with_config(config).with_runtime_env(env).with_default_features();
        // Table functions make rows out of nothing, and files into tables.
        *builder.table_functions() = None;
        *builder.table_factories() = None;
        builder.expr_planners().get_or_insert_default().insert(0, Arc::new(addresses::AddressPlanner));
        builder.scalar_functions().get_or_insert_default().extend(functions::all());
        let context = SessionContext::new_with_state(builder.build());
        let table = |class: &'static Class| {
            let rows = snapshot.classes.get(&class.uid).cloned().unwrap_or_default();
            Arc::new(ClassTable {
                class,
                schema: schema_of(class),
                rows,
                mask: self.mask.clone(),
                counts: Arc::clone(counts),
                keys: self.store.keys.clone(),
            })
        };
        for class in ALL_CLASSES {
            context.register_table(class.name, table(class))?;
        }
        let flows = table(&FLOW);
        let rollup = RollupTable { schema: rollup::table_schema(&flows.schema), flows };
        Ok((context, Arc::new(rollup)))
    }

    /// Checks the files of this query; true when one was set aside.
    async fn quarantine(&self) -> bool {
        let (store, scope) = (Arc::clone(&self.store), self.scope.clone());
        let check = move || {
            let files = Snapshot::take(&store, &scope).files();
            store.quarantine_damaged(&files, true)
        };
        matches!(tokio::task::spawn_blocking(check).await, Ok(Ok(count)) if count > 0)
    }
}

/// Whether reading a damaged file may be the reason.
fn may_be_damage(error: &LakeError) -> bool {
    matches!(error, LakeError::Query(_))
}
