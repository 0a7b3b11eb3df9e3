//! What SQL is allowed, and error messages that say what to do instead.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Statement as Ast, visit_relations};
use guardian_model::ALL_CLASSES;

use crate::LakeError;

/// Longest SQL text.
const SQL_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of expressions and subqueries.
const DEPTH_MAX: usize = 64;
/// Names that are no columns of a class but may be asked for.
const TENANT: &str = super::snapshot::TENANT;

/// What the guard of endless joins says.
pub(crate) const TOOK_TOO_LONG: &str = "the query took longer than it may and was ended";

const ALLOWED: &str = "only one SELECT (WITH and EXPLAIN included), SHOW TABLES, SHOW COLUMNS or DESCRIBE is allowed";

/// Parses the text and refuses what is not one query.
pub(crate) fn parse(sql: &str) -> Result<Statement, LakeError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(LakeError::Sql(format!("the query is longer than {} KiB", SQL_BYTES_MAX >> 10)));
    }
    let parsed =
        DFParserBuilder::new(sql).with_recursion_limit(DEPTH_MAX).build().and_then(|mut p| p.parse_statements());
    let mut statements = parsed.map_err(explain)?;
    let Some(statement) = statements.pop_front() else {
        return Err(LakeError::Sql(format!("the query is empty; {ALLOWED}")));
    };
    if !statements.is_empty() {
        return Err(LakeError::Sql(format!("{} statements were given; {ALLOWED}", statements.len() + 1)));
    }
    check(&statement)?;
    Ok(statement)
}

fn check(statement: &Statement) -> Result<(), LakeError> {
    match statement {
        Statement::Explain(explain) => check(&explain.statement),
        Statement::Statement(ast) => match ast.as_ref() {
            Ast::Query(_) | Ast::ShowTables { .. } | Ast::ShowColumns { .. } | Ast::ExplainTable { .. } => {
                check_tables(ast)
            }
            other => Err(refused(&other.to_string())),
        },
        other => Err(refused(&other.to_string())),
    }
}

fn refused(text: &str) -> LakeError {
    let word = text.split_whitespace().next().unwrap_or_default().to_uppercase();
    LakeError::Sql(format!("{word} is not allowed: {ALLOWED}"))
}

/// Names of the tables, and of the schema that describes them.
fn check_tables(ast: &Ast) -> Result<(), LakeError> {
    let mut local = Vec::new();
    if let Ast::Query(query) = ast {
        collect_ctes(query, &mut local);
    }
    let found = visit_relations(ast, |relation| {
        let parts: Vec<String> =
            relation.0.iter().map(|p| p.to_string().trim_matches(['"', '\'']).to_owned()).collect();
        let name = parts.last().map(|n| n.to_lowercase()).unwrap_or_default();
        let known = match parts.as_slice() {
            [_] => table_names().any(|t| t == name) || local.contains(&name),
            [schema, _] => schema.eq_ignore_ascii_case("information_schema") || schema.eq_ignore_ascii_case("public"),
            _ => false,
        };
        if known { ControlFlow::Continue(()) } else { ControlFlow::Break(parts.join(".")) }
    });
    match found {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(name) => {
            let hint = nearest(&name, table_names()).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            let tables = table_names().collect::<Vec<_>>().join(", ");
            Err(LakeError::Sql(format!("there is no table `{name}`{hint} (tables: {tables})")))
        }
    }
}

fn collect_ctes(query: &datafusion::sql::sqlparser::ast::Query, names: &mut Vec<String>) {
    use datafusion::sql::sqlparser::ast::{Query, Visit, Visitor};
    struct Names<'a>(&'a mut Vec<String>);
    impl Visitor for Names<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            if let Some(with) = &query.with {
                self.0.extend(with.cte_tables.iter().map(|cte| cte.alias.name.value.to_lowercase()));
            }
            ControlFlow::Continue(())
        }
    }
    // The visitor never breaks off.
    let _done = query.visit(&mut Names(names));
}

fn table_names() -> impl Iterator<Item = &'static str> {
    ALL_CLASSES.iter().map(|c| c.name)
}

/// The second look, at what the text became.
pub(crate) fn verify(plan: &LogicalPlan) -> Result<(), LakeError> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(plan).map_err(|_| LakeError::Sql(ALLOWED.to_owned()))
}

/// Turns the engine's error into one for people.
pub(crate) fn explain(error: DataFusionError) -> LakeError {
    match error.find_root() {
        DataFusionError::SchemaError(schema_error, _) => {
            if let SchemaError::FieldNotFound { field, valid_fields } = schema_error.as_ref() {
                return unknown_column(&field.name, valid_fields.iter().map(|f| f.name.as_str()));
            }
            LakeError::Sql(schema_error.to_string())
        }
        DataFusionError::SQL(parse_error, _) => LakeError::Sql(format!("syntax: {parse_error}")),
        DataFusionError::Plan(message) => LakeError::Sql(plan_message(message)),
        DataFusionError::NotImplemented(message) => LakeError::Sql(format!("not supported: {message}")),
        DataFusionError::ResourcesExhausted(message) => LakeError::Limit(format!(
            "the query needs more memory than it may use ({}): narrow the time range or group by fewer values",
            message.lines().next().unwrap_or_default()
        )),
        DataFusionError::Execution(message) if message == TOOK_TOO_LONG => LakeError::Limit(message.clone()),
        DataFusionError::External(inner) if let Some(LakeError::Key { file, key, why }) = inner.downcast_ref() => {
            LakeError::Key { file: file.clone(), key: key.clone(), why }
        }
        root => LakeError::Query(root.to_string()),
    }
}

fn plan_message(message: &str) -> String {
    if message.contains("FixedSizeBinary(16)") && message.to_uppercase().contains("LIKE") {
        return "addresses are not text: use in_cidr(src_ip, '10.0.0.0/8'), or ip_text(src_ip) LIKE …".to_owned();
    }
    if message.contains("ndefined table function") || message.contains("Table function") {
        return "table functions are not allowed".to_owned();
    }
    message.replace("FixedSizeBinary(16)", "an IP address").replace("FixedSizeBinary(6)", "a MAC address")
}

fn unknown_column<'a>(name: &str, valid: impl Iterator<Item = &'a str>) -> LakeError {
    let valid: Vec<&str> = valid.collect();
    let everywhere = ALL_CLASSES.iter().flat_map(|c| c.fields).map(|f| f.name).chain([TENANT]);
    // A name that Sigma uses is answered with ours.
    let ours = ALL_CLASSES.iter().flat_map(|c| c.fields).find(|f| f.sigma.iter().any(|s| s.eq_ignore_ascii_case(name)));
    let hint =
        ours.map(|f| f.name).or_else(|| nearest(name, valid.iter().copied())).or_else(|| nearest(name, everywhere));
    let hint = hint.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    LakeError::Sql(format!("there is no column `{name}` here{hint}"))
}

fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let scored = candidates.map(|c| (strsim::jaro_winkler(&name, c), c));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, c)| c)
}
