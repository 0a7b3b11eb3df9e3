//! Filters against a class: names become columns, values get the column's type, and mistakes get a suggestion.

use std::ops::Range;

use arrow::buffer::BooleanBuffer;
use arrow::record_batch::RecordBatch;
use guardian_model::{Class, Field, Kind};

use crate::cidr::Cidr;
use crate::error::{ExprError, suggest};
use crate::graph::{Graph, NodeId};
use crate::names;
use crate::parse::{Ast, Expr, Literal, Operator, Test as Asked};
use crate::predicate::{Predicate, Test, integer_max, kind_words};
use crate::text::TextPattern;

/// A filter that fits a class. A null cell passes no test but `is null`, and `not` turns that around: `!=` and
/// `not ... in` keep rows whose cell is null.
#[derive(Debug)]
pub struct Typed {
    pub(crate) class: &'static Class,
    pub(crate) root: Option<Checked>,
    graph: Graph,
    node: Option<NodeId>,
}

/// A tree of predicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Test(Predicate),
}

impl Expr {
    /// Checks the filter against a class. `now` is what that word means, in microseconds.
    pub fn check(&self, class: &'static Class, now: guardian_model::Micros) -> Result<Typed, ExprError> {
        let checker = Checker { class, now: now.0 };
        let root = self.root.as_ref().map(|root| checker.tree(root)).transpose()?;
        let mut graph = Graph::new(class);
        let whole = 0..self.text.len();
        let node = root
            .as_ref()
            .map(|root| insert(&mut graph, root))
            .transpose()
            .map_err(|message| ExprError::new(whole, message))?;
        Ok(Typed { class, root, graph, node })
    }
}

fn insert(graph: &mut Graph, checked: &Checked) -> Result<NodeId, String> {
    match checked {
        Checked::And(parts) => {
            let nodes = parts.iter().map(|p| insert(graph, p)).collect::<Result<Vec<_>, _>>()?;
            Ok(graph.and(nodes))
        }
        Checked::Or(parts) => {
            let nodes = parts.iter().map(|p| insert(graph, p)).collect::<Result<Vec<_>, _>>()?;
            Ok(graph.or(nodes))
        }
        Checked::Not(part) => {
            let node = insert(graph, part)?;
            Ok(graph.not(node))
        }
        Checked::Test(predicate) => graph.test(predicate.clone()),
    }
}

impl Typed {
    /// The class that it was checked against.
    pub const fn class(&self) -> &'static Class {
        self.class
    }

    /// Puts the filter into a graph of the same class, where it shares what others ask. An empty filter is every row.
    pub fn insert_into(&self, graph: &mut Graph) -> Result<NodeId, String> {
        match &self.root {
            None => Ok(graph.constant(true)),
            Some(root) => insert(graph, root),
        }
    }

    /// The rows of a batch of the class that pass.
    pub fn evaluate(&self, batch: &RecordBatch) -> BooleanBuffer {
        let rows = batch.num_rows();
        match self.node {
            None => BooleanBuffer::new_set(rows),
            Some(node) => self.graph.evaluator(batch).evaluate(node).into_buffer(rows),
        }
    }
}

struct Checker {
    class: &'static Class,
    now: i64,
}

impl Checker {
    fn tree(&self, ast: &Ast) -> Result<Checked, ExprError> {
        Ok(match ast {
            Ast::And(parts) => Checked::And(parts.iter().map(|p| self.tree(p)).collect::<Result<_, _>>()?),
            Ast::Or(parts) => Checked::Or(parts.iter().map(|p| self.tree(p)).collect::<Result<_, _>>()?),
            Ast::Not(part) => Checked::Not(Box::new(self.tree(part)?)),
            Ast::Test(test) => self.test(test)?,
        })
    }

    fn test(&self, asked: &Asked) -> Result<Checked, ExprError> {
        let mut columns = Vec::new();
        for column in self.columns(asked)? {
            let tests = Cell { field: &self.class.fields[column], now: self.now }.tests(asked)?;
            for test in tests {
                let predicate = Predicate::new(self.class, column, test)
                    .map_err(|message| ExprError::new(asked.span.clone(), message))?;
                columns.push(Checked::Test(predicate));
            }
        }
        let any = if columns.len() == 1 { columns.swap_remove(0) } else { Checked::Or(columns) };
        Ok(if asked.negated { Checked::Not(Box::new(any)) } else { any })
    }

    /// The columns that a name means: its own, or both ends of `ip`, `port`, `country` and the like.
    fn columns(&self, asked: &Asked) -> Result<Vec<usize>, ExprError> {
        let (name, span) = &asked.field;
        if let Some(column) = self.class.sigma_index_of(name) {
            return Ok(vec![column]);
        }
        let ends = [self.class.index_of(&format!("src_{name}")), self.class.index_of(&format!("dst_{name}"))];
        if let [Some(src), Some(dst)] = ends {
            return Ok(vec![src, dst]);
        }
        let known = self.class.fields.iter().flat_map(|f| std::iter::once(&f.name).chain(f.sigma)).copied();
        Err(ExprError::new(span.clone(), format!("{} have no field `{name}`", self.class.name))
            .help(suggest(name, known)))
    }
}

/// One column and what its values may be.
struct Cell {
    field: &'static Field,
    now: i64,
}

impl Cell {
    fn tests(&self, asked: &Asked) -> Result<Vec<Test>, ExprError> {
        if asked.operator == Operator::Null {
            return Ok(vec![Test::Null]);
        }
        match self.field.kind {
            Kind::Bool => self.booleans(asked),
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => self.numbers(asked),
            Kind::Time => asked.values.iter().map(|v| self.time(asked, v)).collect(),
            Kind::Ip => {
                self.only_equal(asked, "`=`, `!=` and `in` with addresses or prefixes: `src_ip in 10.0.0.0/8`")?;
                let parse =
                    |v: &Literal| v.text.parse::<Cidr>().map_err(|message| ExprError::new(v.span.clone(), message));
                Ok(vec![Test::ip_in(asked.values.iter().map(parse).collect::<Result<Vec<_>, _>>()?)])
            }
            Kind::Mac => {
                self.only_equal(asked, "`=`, `!=` and `in`")?;
                let mut macs = asked.values.iter().map(|v| self.mac(v)).collect::<Result<Vec<_>, _>>()?;
                macs.sort();
                Ok(vec![Test::Mac(macs.into())])
            }
            Kind::Label | Kind::Text => self.texts(asked),
            Kind::Bytes => Err(self.unfit(&asked.span, "only `is null` and `is not null`")),
        }
    }

    fn unfit(&self, span: &Range<usize>, possible: &str) -> ExprError {
        let message =
            format!("`{}` is {}, to which this operator does not apply", self.field.name, kind_words(self.field.kind));
        ExprError::new(span.clone(), message).help(format!("possible: {possible}"))
    }

    fn not_a(&self, value: &Literal) -> ExprError {
        let message = format!("`{}` is {}, and `{}` is not", self.field.name, kind_words(self.field.kind), value.text);
        ExprError::new(value.span.clone(), message)
    }

    fn only_equal(&self, asked: &Asked, possible: &str) -> Result<(), ExprError> {
        if asked.operator == Operator::Equal { Ok(()) } else { Err(self.unfit(&asked.span, possible)) }
    }

    fn booleans(&self, asked: &Asked) -> Result<Vec<Test>, ExprError> {
        self.only_equal(asked, "`=` and `!=`")?;
        let parse = |v: &Literal| match v.text.to_ascii_lowercase().as_str() {
            "true" => Ok(Test::Bool(true)),
            "false" => Ok(Test::Bool(false)),
            _ => Err(self.not_a(v)),
        };
        asked.values.iter().map(parse).collect()
    }

    fn numbers(&self, asked: &Asked) -> Result<Vec<Test>, ExprError> {
        let max = integer_max(self.field.kind).unwrap_or(u64::MAX);
        let bound = || self.number(&asked.values[0], max);
        let impossible = |bound: u64| {
            let message =
                format!("no number is {} {bound} here", if bound == 0 { "less than" } else { "greater than" });
            Err(ExprError::new(asked.span.clone(), message))
        };
        Ok(vec![match asked.operator {
            Operator::Equal => return self.number_list(asked, max),
            Operator::Less => match bound()? {
                0 => return impossible(0),
                n => Test::Range(0, n - 1),
            },
            Operator::LessOrEqual => Test::Range(0, bound()?),
            Operator::Greater => match bound()? {
                n if n == max => return impossible(n),
                n => Test::Range(n + 1, max),
            },
            Operator::GreaterOrEqual => Test::Range(bound()?, max),
            Operator::Has => {
                let bits = asked.values.iter().map(|v| self.number(v, max)).collect::<Result<Vec<_>, _>>()?;
                Test::Bits(bits.into_iter().fold(0, |all, bits| all | bits))
            }
            Operator::Like | Operator::Null => return Err(self.unfit(&asked.span, "= != < <= > >= in has")),
        }])
    }

    /// Numbers and ranges such as `1..1023`.
    fn number_list(&self, asked: &Asked, max: u64) -> Result<Vec<Test>, ExprError> {
        let (mut tests, mut single) = (Vec::new(), Vec::new());
        for value in &asked.values {
            match value.text.split_once("..") {
                Some((from, to)) if !value.quoted => {
                    let part = |text: &str| Literal { text: text.to_owned(), ..value.clone() };
                    let (from, to) = (self.number(&part(from), max)?, self.number(&part(to), max)?);
                    if from > to {
                        return Err(ExprError::new(value.span.clone(), "this range is empty")
                            .help(format!("did you mean `{to}..{from}`?")));
                    }
                    tests.push(Test::Range(from, to));
                }
                _ => single.push(self.number(value, max)?),
            }
        }
        if !single.is_empty() {
            tests.push(Test::one_of(single));
        }
        Ok(tests)
    }

    fn number(&self, value: &Literal, max: u64) -> Result<u64, ExprError> {
        let text = value.text.as_str();
        let named = if self.field.name == "protocol" {
            names::protocol(text).map(u64::from)
        } else if names::is_tcp_flags(self.field.name) {
            names::tcp_flags(text).filter(|_| !text.is_empty()).map(u64::from)
        } else {
            None
        };
        let hex = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let number = named.or(hex).or_else(|| names::size(text).filter(|_| !text.is_empty()));
        match number {
            Some(n) if n <= max => Ok(n),
            _ if self.field.name == "protocol" => {
                let help = suggest(text, names::PROTOCOLS.iter().map(|(n, _)| *n));
                Err(ExprError::new(value.span.clone(), format!("`{text}` is no protocol number or name")).help(help))
            }
            _ if names::is_tcp_flags(self.field.name) => {
                let help = suggest(text, names::TCP_FLAGS.iter().map(|(n, _)| *n));
                Err(ExprError::new(value.span.clone(), format!("`{text}` is no TCP flag")).help(help))
            }
            _ => Err(self.not_a(value)),
        }
    }

    fn time(&self, asked: &Asked, value: &Literal) -> Result<Test, ExprError> {
        let text = value.text.as_str();
        let relative = text.get(..3).filter(|now| now.eq_ignore_ascii_case("now")).map(|_| &text[3..]);
        let micros = match relative {
            Some("") => Some(self.now),
            Some(distance) => match distance.split_at_checked(1) {
                Some(("-", d)) => names::duration(d).map(|d| self.now.saturating_sub(d)),
                Some(("+", d)) => names::duration(d).map(|d| self.now.saturating_add(d)),
                _ => None,
            },
            None => names::time(text),
        };
        let Some(t) = micros else {
            let help = "write `now-15m`, `2026-01-31` or `2026-01-31T12:00:00Z`";
            return Err(ExprError::new(value.span.clone(), format!("`{text}` is no time")).help(help));
        };
        Ok(match asked.operator {
            // A date stands for the whole day.
            Operator::Equal if text.len() == 10 && relative.is_none() => {
                Test::Time(t, t.saturating_add(guardian_model::Micros::DAY - 1))
            }
            Operator::Equal => Test::Time(t, t),
            Operator::Less => Test::Time(i64::MIN, t.saturating_sub(1)),
            Operator::LessOrEqual => Test::Time(i64::MIN, t),
            Operator::Greater => Test::Time(t.saturating_add(1), i64::MAX),
            Operator::GreaterOrEqual => Test::Time(t, i64::MAX),
            _ => return Err(self.unfit(&asked.span, "= != < <= > >=")),
        })
    }

    fn mac(&self, value: &Literal) -> Result<Box<[u8]>, ExprError> {
        let part = |p: &str| (p.len() == 2).then(|| u8::from_str_radix(p, 16).ok()).flatten();
        let bytes: Option<Box<[u8]>> = value.text.split([':', '-']).map(part).collect();
        bytes.filter(|b| b.len() <= 6).ok_or_else(|| self.not_a(value))
    }

    fn texts(&self, asked: &Asked) -> Result<Vec<Test>, ExprError> {
        let pattern = |v: &Literal| match asked.operator {
            Operator::Equal => Ok(TextPattern::exact(&v.text, false)),
            Operator::Like => Ok(TextPattern::wildcard(&v.text, false, false, false)),
            _ => Err(self.unfit(&asked.span, "= != in like")),
        };
        Ok(vec![Test::text(asked.values.iter().map(pattern).collect::<Result<Vec<_>, _>>()?)])
    }
}
