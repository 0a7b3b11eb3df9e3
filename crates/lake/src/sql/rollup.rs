//! Answers sums and counts of flows by minute from the minute roll-ups, where the answer is the same: when grouping and
//! filters use whole minutes of receipt and the columns that roll-ups keep. Rows in memory, and files without a
//! roll-up, take part as they are, each as a roll-up of one row.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::functions_aggregate::sum::sum;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator, SubqueryAlias,
    TableProviderFilterPushDown, TableScan, TableType, cast, lit, when,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column as PhysicalColumn, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use guardian_model::{FLOW, Micros};

use super::snapshot::{Bounds, ClassRows, TENANT};
use super::table::{ClassTable, Described, check_keys, keep, pruning, scan_parquet, tenant_value};
use crate::store::rollup::{KEYS, ROWS, SUMS, schema};

const RECEIVED: &str = "received";

/// The schema of the roll-up table: that of the files and the tenant.
pub(crate) fn table_schema(flows: &SchemaRef) -> SchemaRef {
    let tenant = flows.fields().iter().filter(|f| f.name() == TENANT).cloned();
    Arc::new(Schema::new(schema().fields().iter().cloned().chain(tenant).collect::<Vec<_>>()))
}

/// Rewrites every aggregate of an optimised plan that roll-ups can answer; tells whether there was one.
pub(crate) fn rewrite(plan: LogicalPlan, table: &Arc<RollupTable>) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Aggregate(aggregate) = &node else { return Ok(Transformed::no(node)) };
        match replace(aggregate, table)? {
            Some(plan) => Ok(Transformed::yes(plan)),
            None => Ok(Transformed::no(node)),
        }
    })
}

/// One aggregate over roll-ups with the same output as the given one over flows.
fn replace(aggregate: &Aggregate, table: &Arc<RollupTable>) -> Result<Option<LogicalPlan>> {
    let Some(input) = input_of(&aggregate.input, table)? else { return Ok(None) };
    if !aggregate.group_expr.iter().all(whole_minutes) {
        return Ok(None);
    }
    // Counting everything needs no roll-up: the number of rows is known.
    if aggregate.group_expr.is_empty() && matches!(input, LogicalPlan::TableScan(_)) {
        return Ok(None);
    }
    let mut sums = Vec::with_capacity(aggregate.aggr_expr.len());
    let mut counts = Vec::with_capacity(aggregate.aggr_expr.len());
    for (i, expr) in aggregate.aggr_expr.iter().enumerate() {
        let Some(measure) = measure_of(expr) else { return Ok(None) };
        counts.push(matches!(measure, Measure::Count));
        let column = match measure {
            Measure::Count => Column::new(qualifier_of(&input), ROWS),
            Measure::Sum(column) => column,
        };
        sums.push(sum(Expr::Column(column)).alias(format!("__rollup_{i}")));
    }
    let plan = LogicalPlanBuilder::from(input).aggregate(aggregate.group_expr.clone(), sums)?.build()?;
    // The output is what it was: names, types, and 0 instead of null for counts.
    let groups = plan.schema().fields().len() - counts.len();
    let mut output = Vec::with_capacity(groups + counts.len());
    for (at, (qualifier, field)) in aggregate.schema.iter().enumerate() {
        let here = Expr::Column(Column::from(plan.schema().qualified_field(at)));
        let expr = match at.checked_sub(groups) {
            Some(i) if counts[i] => {
                let count = cast(here.clone(), DataType::Int64);
                when(here.is_null(), lit(0_i64)).otherwise(count)?
            }
            _ => here,
        };
        output.push(expr.alias_qualified(qualifier.cloned(), field.name()));
    }
    LogicalPlanBuilder::from(plan).project(output)?.build().map(Some)
}

fn qualifier_of(input: &LogicalPlan) -> Option<TableReference> {
    input.schema().iter().next().and_then(|(qualifier, _)| qualifier.cloned())
}

/// The input of an aggregate with the roll-up table in the place of flows; `None` where it is something else.
fn input_of(plan: &LogicalPlan, table: &Arc<RollupTable>) -> Result<Option<LogicalPlan>> {
    Ok(match plan {
        LogicalPlan::Projection(p) if p.expr.iter().all(|e| matches!(e, Expr::Column(_))) => input_of(&p.input, table)?,
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            if !split_conjunction(predicate).into_iter().all(filters_whole_minutes) {
                return Ok(None);
            }
            match input_of(input, table)? {
                Some(input) => Some(LogicalPlanBuilder::from(input).filter(predicate.clone())?.build()?),
                None => None,
            }
        }
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => match input_of(input, table)? {
            Some(input) => Some(LogicalPlanBuilder::from(input).alias(alias.clone())?.build()?),
            None => None,
        },
        LogicalPlan::TableScan(TableScan { table_name, filters, fetch: None, .. })
            if table_name.table() == FLOW.name && filters.iter().all(filters_whole_minutes) =>
        {
            let source = provider_as_source(Arc::clone(table) as Arc<dyn TableProvider>);
            let scan = LogicalPlanBuilder::scan(table_name.clone(), source, None)?;
            // Some conditions are met by the scan of flows alone and stand nowhere else.
            let scan = match conjunction(filters.iter().cloned()) {
                Some(condition) => scan.filter(condition)?,
                None => scan,
            };
            Some(scan.build()?)
        }
        _ => None,
    })
}

enum Measure {
    Count,
    Sum(Column),
}

fn measure_of(expr: &Expr) -> Option<Measure> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr.clone().unalias() else { return None };
    if params.distinct || params.filter.is_some() || !params.order_by.is_empty() || params.null_treatment.is_some() {
        return None;
    }
    match (func.name(), params.args.as_slice()) {
        ("count", [Expr::Literal(value, _)]) if !value.is_null() => Some(Measure::Count),
        ("sum", [Expr::Column(column)]) if SUMS.contains(&column.name.as_str()) => Some(Measure::Sum(column.clone())),
        _ => None,
    }
}

/// Whether the expression is the same for every instant within a minute of receipt, and uses only kept columns.
fn whole_minutes(expr: &Expr) -> bool {
    let mut safe = !expr.is_volatile();
    let done = expr.apply(|e| {
        Ok(match e {
            Expr::Column(c) if c.name == TENANT || KEYS.contains(&c.name.as_str()) => TreeNodeRecursion::Continue,
            Expr::Column(_) | Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
                safe = false;
                TreeNodeRecursion::Stop
            }
            Expr::ScalarFunction(function) if rounds_to_minutes(function) => TreeNodeRecursion::Jump,
            _ => TreeNodeRecursion::Continue,
        })
    });
    done.is_ok() && safe
}

/// `date_trunc('minute', received)` and coarser, `date_bin` by whole minutes, `date_part('minute', …)` and coarser.
fn rounds_to_minutes(function: &ScalarFunction) -> bool {
    let [first, time, rest @ ..] = function.args.as_slice() else { return false };
    // Some functions take nanoseconds; the instant is the same.
    let time = match time {
        Expr::Cast(cast) if matches!(cast.field.data_type(), DataType::Timestamp(_, _)) => cast.expr.as_ref(),
        other => other,
    };
    if !matches!(time, Expr::Column(column) if column.name == RECEIVED) {
        return false;
    }
    match (function.name(), first, rest) {
        ("date_trunc" | "date_part", Expr::Literal(unit, _), []) => {
            let unit = unit.try_as_str().flatten().unwrap_or_default().to_lowercase();
            let units = ["minute", "hour", "day", "week", "month", "quarter", "year", "dow", "doy"];
            units.contains(&unit.as_str())
        }
        ("date_bin", Expr::Literal(width, _), []) => whole_minute_interval(width),
        _ => false,
    }
}

fn whole_minute_interval(width: &ScalarValue) -> bool {
    const MINUTE_NS: i64 = Micros::MINUTE * 1_000;
    match width {
        ScalarValue::IntervalMonthDayNano(Some(i)) => i.months == 0 && i.nanoseconds % MINUTE_NS == 0,
        ScalarValue::IntervalDayTime(Some(i)) => i64::from(i.milliseconds) % (Micros::MINUTE / 1_000) == 0,
        _ => false,
    }
}

/// Whether a condition holds for all or none of the rows of a roll-up.
fn filters_whole_minutes(expr: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return whole_minutes(expr) };
    let (column, op, value) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, *op, value),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, op.swap().unwrap_or(*op), value),
        _ => return whole_minutes(expr),
    };
    if column.name != RECEIVED {
        return whole_minutes(expr);
    }
    let ScalarValue::TimestampMicrosecond(Some(time), _) = value else { return false };
    match op {
        Operator::GtEq | Operator::Lt => time % Micros::MINUTE == 0,
        Operator::Gt | Operator::LtEq => (time + 1) % Micros::MINUTE == 0,
        _ => false,
    }
}

/// Roll-ups of the files of a snapshot, and the rows that have none.
#[derive(Debug)]
pub(crate) struct RollupTable {
    pub(crate) schema: SchemaRef,
    pub(crate) flows: Arc<ClassTable>,
}

#[async_trait]
impl TableProvider for RollupTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let projection = projection.unwrap_or(&all);
        let pruning = pruning(state, &self.flows.schema, filters);
        let ClassRows { files, hot } = &self.flows.rows;
        let live = keep(files, pruning.as_ref(), &Bounds::of_files(self.flows.class, files));
        let hot = keep(hot, pruning.as_ref(), &Bounds::of_hot(self.flows.class, hot));
        self.flows.count(&live, &hot);
        let (mut rolled, mut raw) = (Vec::new(), Vec::new());
        for file in live {
            check_keys(&file, &self.flows.keys)?;
            match (&file.meta.rollup, file.rollup_path()) {
                (Some(rollup), Some(path)) => rolled.push(Described {
                    path,
                    sealed: rollup.key.is_some().then(|| rollup.path.clone()),
                    bytes: rollup.bytes,
                    rows: rollup.rows,
                    partition: vec![tenant_value(file.meta.tenant)],
                    keep: Some(Arc::clone(&file)),
                }),
                _ => raw.push(file),
            }
        }
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !rolled.is_empty() {
            let tenant = self.schema.fields().iter().filter(|f| f.name() == TENANT).cloned().collect::<Vec<_>>();
            let table = TableSchema::builder(schema()).with_table_partition_cols(tenant).build();
            inputs.push(scan_parquet(state, table, rolled, (projection, None), None, &self.flows.keys)?);
        }
        let needed = self.raw_projection(projection)?;
        if !raw.is_empty() {
            inputs.push(self.as_rollup(self.flows.scan_files(state, &raw, (&needed, None), None)?, projection)?);
        }
        if !hot.is_empty() {
            inputs.push(self.as_rollup(self.flows.scan_hot(state, &hot, &needed, None)?, projection)?);
        }
        match inputs.len() {
            0 => Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(projection)?)))),
            1 => Ok(inputs.remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }
}

impl RollupTable {
    /// The columns of flows that stand for the wanted ones of the roll-up.
    fn raw_projection(&self, projection: &[usize]) -> Result<Vec<usize>> {
        let names = projection.iter().map(|&at| self.schema.field(at).name()).filter(|name| *name != ROWS);
        Ok(names.map(|name| self.flows.schema.index_of(name)).collect::<std::result::Result<_, _>>()?)
    }

    /// Rows as roll-ups of one row each.
    fn as_rollup(&self, rows: Arc<dyn ExecutionPlan>, projection: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let input = rows.schema();
        let mut expressions: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::with_capacity(projection.len());
        for &at in projection {
            let name = self.schema.field(at).name();
            let expression: Arc<dyn PhysicalExpr> = if name == ROWS {
                Arc::new(Literal::new(ScalarValue::UInt64(Some(1))))
            } else {
                Arc::new(PhysicalColumn::new(name, input.index_of(name)?))
            };
            expressions.push((expression, name.clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(expressions, rows)?))
    }
}
