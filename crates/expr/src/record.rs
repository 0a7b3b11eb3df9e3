//! A filter over one thing instead of rows: a thing may have several values of a field, and a test of that field passes if
//! one of them does. `not` stands around the whole test: `tag != web` is a thing without that tag.

use arrow::record_batch::RecordBatch;

use crate::check::{Checked, Typed};
use crate::error::ExprError;
use crate::graph::{Graph, NodeId};
use crate::parse::Expr;

/// A filter that asks whole batches, each of which is one thing.
#[derive(Debug)]
pub struct RecordFilter(Node);

#[derive(Debug)]
enum Node {
    All,
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Test(Box<Graph>, NodeId),
}

impl Typed {
    /// The same filter, asked of things. The error says what is wrong with a test.
    pub fn of_records(&self) -> Result<RecordFilter, String> {
        let Some(root) = &self.root else { return Ok(RecordFilter(Node::All)) };
        self.node_of(root).map(RecordFilter)
    }

    fn node_of(&self, checked: &Checked) -> Result<Node, String> {
        let all = |parts: &[Checked]| parts.iter().map(|part| self.node_of(part)).collect::<Result<Vec<_>, _>>();
        Ok(match checked {
            Checked::And(parts) => Node::And(all(parts)?),
            Checked::Or(parts) => Node::Or(all(parts)?),
            Checked::Not(part) => Node::Not(Box::new(self.node_of(part)?)),
            Checked::Test(predicate) => {
                let mut graph = Graph::new(self.class);
                let node = graph.test(predicate.clone())?;
                Node::Test(Box::new(graph), node)
            }
        })
    }
}

impl Expr {
    /// Checks the filter against a class whose batches are one thing each.
    pub fn check_records(
        &self,
        class: &'static guardian_model::Class,
        now: guardian_model::Micros,
    ) -> Result<RecordFilter, ExprError> {
        let typed = self.check(class, now)?;
        typed.of_records().map_err(|message| ExprError::new(0..self.text().len(), message))
    }
}

impl RecordFilter {
    /// Whether the thing passes. Its batch has as many rows as its longest list of values; shorter lists repeat one.
    pub fn passes(&self, thing: &RecordBatch) -> bool {
        self.0.passes(thing)
    }
}

impl Node {
    fn passes(&self, thing: &RecordBatch) -> bool {
        match self {
            Self::All => true,
            Self::And(parts) => parts.iter().all(|part| part.passes(thing)),
            Self::Or(parts) => parts.iter().any(|part| part.passes(thing)),
            Self::Not(part) => !part.passes(thing),
            Self::Test(graph, node) => {
                graph.evaluator(thing).evaluate(*node).into_buffer(thing.num_rows()).count_set_bits() > 0
            }
        }
    }
}
