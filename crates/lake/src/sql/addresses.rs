//! Lets people write addresses as text: `src_ip = '10.0.0.1'`, `dst_ip IN ('10.0.0.0/8', '192.0.2.7')`,
//! `src_mac <> '00:1a:…'`, `src_ip BETWEEN …`. Comparisons of an address with text become comparisons of addresses.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use guardian_model::Ip;

use super::functions::{IN_CIDR, IP, MAC, parse_cidr, parse_mac};

/// Plans binary comparisons; it runs while SQL is planned, before types are checked.
#[derive(Debug)]
pub(crate) struct AddressPlanner;

impl ExprPlanner for AddressPlanner {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let Some(op) = comparison(&raw.op) else { return Ok(PlannerResult::Original(raw)) };
        let (column, value, op) = match (address_type(&raw.left, schema), address_type(&raw.right, schema)) {
            (Some(kind), None) => ((&raw.left, kind), &raw.right, op),
            (None, Some(kind)) => ((&raw.right, kind), &raw.left, op.swap().unwrap_or(op)),
            _ => return Ok(PlannerResult::Original(raw)),
        };
        let Some(text) = text_of(value) else { return Ok(PlannerResult::Original(raw)) };
        let (column, kind) = column;
        Ok(PlannerResult::Planned(compare(column.clone(), &kind, op, text)?))
    }
}

fn comparison(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        _ => return None,
    })
}

fn address_type(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    expr.get_type(schema).ok().filter(|t| *t == IP || *t == MAC)
}

fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(Some(t)) | ScalarValue::Utf8View(Some(t)) | ScalarValue::LargeUtf8(Some(t)),
            _,
        ) => Some(t),
        _ => None,
    }
}

/// First and last address that a text stands for.
fn range_of(kind: &DataType, text: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    if *kind == MAC {
        return match parse_mac(text) {
            Some(mac) => Ok((mac.to_vec(), mac.to_vec())),
            None => plan_err!("`{text}` is not a MAC address: write it like '00:1a:2b:3c:4d:5e'"),
        };
    }
    match parse_cidr(text) {
        Some((Ip(low), Ip(high))) => Ok((low.to_vec(), high.to_vec())),
        None => plan_err!("`{text}` is not an IP address or network: write it like '10.0.0.1' or '10.0.0.0/8'"),
    }
}

fn literal(bytes: Vec<u8>) -> Expr {
    lit(ScalarValue::FixedSizeBinary(bytes.len() as i32, Some(bytes)))
}

/// `column op text`; a network is equal to each of its addresses.
fn compare(column: Expr, kind: &DataType, op: Operator, text: &str) -> Result<Expr> {
    let (low, high) = range_of(kind, text)?;
    Ok(match op {
        Operator::Eq | Operator::NotEq if low != high => within(column, low, high, op == Operator::NotEq),
        Operator::LtEq | Operator::Gt => binary_expr(column, op, literal(high)),
        _ => binary_expr(column, op, literal(low)),
    })
}

fn within(column: Expr, low: Vec<u8>, high: Vec<u8>, negated: bool) -> Expr {
    Expr::Between(Between::new(Box::new(column), negated, Box::new(literal(low)), Box::new(literal(high))))
}

/// Rewrites lists, ranges and `in_cidr` with a constant network in a whole plan, subqueries included. Ranges of bytes
/// are what Parquet's statistics can prune by.
pub(crate) fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            expr.transform_up(|e| rewrite_expr(e, &schema)).map(|done| done.update_data(|e| name.restore(e)))
        })?;
        if node.transformed { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
    })?;
    Ok(plan.data)
}

fn rewrite_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::InList(InList { expr: column, list, negated }) => match address_type(&column, schema) {
            Some(kind) if list.iter().any(|e| text_of(e).is_some()) => {
                in_list(*column, &kind, list, negated).map(Transformed::yes)
            }
            _ => Ok(Transformed::no(Expr::InList(InList::new(column, list, negated)))),
        },
        Expr::Between(Between { expr: column, negated, low, high }) => match address_type(&column, schema) {
            Some(kind) if text_of(&low).is_some() || text_of(&high).is_some() => {
                let bound = |e: Expr, last: bool| match text_of(&e) {
                    Some(text) => range_of(&kind, text).map(|r| literal(if last { r.1 } else { r.0 })),
                    None => Ok(e),
                };
                let (low, high) = (bound(*low, false)?, bound(*high, true)?);
                Ok(Transformed::yes(Expr::Between(Between::new(column, negated, Box::new(low), Box::new(high)))))
            }
            _ => Ok(Transformed::no(Expr::Between(Between::new(column, negated, low, high)))),
        },
        Expr::ScalarFunction(ScalarFunction { func, mut args }) => {
            let network = args.get(1).and_then(text_of).filter(|_| func.name() == IN_CIDR && args.len() == 2);
            let Some(network) = network else {
                return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })));
            };
            let (low, high) = range_of(&IP, network)?;
            Ok(Transformed::yes(within(args.swap_remove(0), low, high, false)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Single addresses stay a list, networks become ranges beside it.
fn in_list(column: Expr, kind: &DataType, list: Vec<Expr>, negated: bool) -> Result<Expr> {
    let (mut single, mut ranges) = (Vec::new(), Vec::new());
    for item in list {
        match text_of(&item).map(|text| range_of(kind, text)).transpose()? {
            Some((low, high)) if low != high => ranges.push(within(column.clone(), low, high, negated)),
            Some((low, _)) => single.push(literal(low)),
            None => single.push(item),
        }
    }
    let list = (!single.is_empty()).then(|| Expr::InList(InList::new(Box::new(column), single, negated)));
    let join = |a: Expr, b: Expr| if negated { a.and(b) } else { a.or(b) };
    Ok(list.into_iter().chain(ranges).reduce(join).unwrap_or_else(|| lit(negated)))
}
