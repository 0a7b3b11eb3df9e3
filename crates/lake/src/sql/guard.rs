//! Ends what would not end by itself: a join without an equality evaluates its condition for every pair of rows
//! without ever giving the thread back, so the condition itself looks at the clock.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Join, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

/// When a query must end.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: Instant,
    cancelled: AtomicBool,
}

impl Deadline {
    pub(crate) fn new(at: Instant) -> Arc<Self> {
        Arc::new(Self { at, cancelled: AtomicBool::new(false) })
    }

    fn passed(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || Instant::now() >= self.at
    }

    /// Cancels the query when the value returned is dropped.
    pub(crate) fn cancel_on_drop(self: &Arc<Self>) -> impl Sized + Send + use<> {
        struct Cancel(Arc<Deadline>);
        impl Drop for Cancel {
            fn drop(&mut self) {
                self.0.cancelled.store(true, Ordering::Relaxed);
            }
        }
        Cancel(Arc::clone(self))
    }
}

/// Puts the guard around the conditions of joins without an equality. The plan must be optimised already.
pub(crate) fn watch(plan: LogicalPlan, deadline: &Arc<Deadline>) -> Result<LogicalPlan> {
    let guard = Arc::new(ScalarUDF::from(Guard {
        deadline: Arc::clone(deadline),
        signature: Signature::any(1, Volatility::Volatile),
    }));
    let watched = plan.transform_up_with_subqueries(|node| {
        Ok(match node {
            LogicalPlan::Join(Join {
                on,
                filter: Some(filter),
                left,
                right,
                join_type,
                join_constraint,
                schema,
                null_equality,
                null_aware,
            }) if on.is_empty() => {
                let filter = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&guard), vec![filter]));
                Transformed::yes(LogicalPlan::Join(Join {
                    on,
                    filter: Some(filter),
                    left,
                    right,
                    join_type,
                    join_constraint,
                    schema,
                    null_equality,
                    null_aware,
                }))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(watched.data)
}

#[derive(Debug)]
struct Guard {
    deadline: Arc<Deadline>,
    signature: Signature,
}

impl PartialEq for Guard {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.deadline, &other.deadline)
    }
}

impl Eq for Guard {}

impl Hash for Guard {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.deadline).hash(state);
    }
}

impl ScalarUDFImpl for Guard {
    fn name(&self) -> &'static str {
        "within_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [field] => Ok(Arc::clone(field)),
            _ => exec_err!("within_time takes one condition"),
        }
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.deadline.passed() {
            return exec_err!("{}", super::gate::TOOK_TOO_LONG);
        }
        Ok(args.args.swap_remove(0))
    }
}
