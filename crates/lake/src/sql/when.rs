//! Conditions on when rows were received and in which batches. Most files and batches meet them whole or not at all, which
//! their bounds tell: only the others are asked row by row.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::common::pruning::PruningStatistics;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicate;

use super::table::{physical, pruning};

/// Columns without nulls whose bounds are known of every file and batch.
const COLUMNS: [&str; 2] = ["received", "batch"];

/// Whether the bounds of a file or a batch can prove this condition.
pub(crate) fn provable(expr: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return false };
    match op {
        Operator::And | Operator::Or => provable(left) && provable(right),
        op if negated(*op).is_some() => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => {
                COLUMNS.contains(&column.name.as_str()) && !value.is_null()
            }
            _ => false,
        },
        _ => false,
    }
}

fn negated(op: Operator) -> Option<Operator> {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq).then(|| op.negate()).flatten()
}

/// The opposite of a provable condition.
fn opposite(expr: &Expr) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let (left, op, right) = match op {
        Operator::And => (opposite(left)?, Operator::Or, opposite(right)?),
        Operator::Or => (opposite(left)?, Operator::And, opposite(right)?),
        op => (left.as_ref().clone(), negated(*op)?, right.as_ref().clone()),
    };
    Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
}

/// The provable ones among the conditions of a scan.
pub(crate) struct When {
    /// Tells rows apart.
    pub(crate) condition: Arc<dyn PhysicalExpr>,
    opposite: Option<PruningPredicate>,
}

impl When {
    /// None where no condition is provable.
    pub(crate) fn of(state: &dyn Session, schema: &SchemaRef, filters: &[Expr]) -> Result<Option<Self>> {
        let Some(all) = conjunction(filters.iter().filter(|f| provable(f)).cloned()) else { return Ok(None) };
        let condition = physical(state, schema, all.clone())?;
        let opposite = opposite(&all).and_then(|opposite| pruning(state, schema, &[opposite]));
        Ok(Some(Self { condition, opposite }))
    }

    /// Those whose rows all meet the conditions, and the others.
    pub(crate) fn split<T>(&self, items: Vec<T>, bounds: &dyn PruningStatistics) -> (Vec<T>, Vec<T>) {
        let Some(others) = self.opposite.as_ref().and_then(|p| p.prune(bounds).ok()) else {
            return (Vec::new(), items);
        };
        let (whole, rest): (Vec<_>, Vec<_>) = items.into_iter().zip(others).partition(|(_, other)| !other);
        let items = |list: Vec<(T, bool)>| list.into_iter().map(|(item, _)| item).collect();
        (items(whole), items(rest))
    }
}
