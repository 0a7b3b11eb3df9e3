//! A graph of predicates and connectives in which every part exists once: what several rules ask is computed once a
//! batch, and what cannot change the answer is not computed at all.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use guardian_model::Class;
use hashbrown::HashMap;

use crate::kernel::Kernel;
use crate::mask::Mask;
use crate::predicate::Predicate;

/// Names a node of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Node {
    All,
    None,
    Test(Arc<Predicate>),
    And(Box<[NodeId]>),
    Or(Box<[NodeId]>),
    AtLeast(usize, Box<[NodeId]>),
    Not(NodeId),
}

/// Below this share of selected rows (one in so many) a predicate that few ask is tested on those rows alone.
const SPARSE: usize = 16;
/// A predicate with more users than this is computed for all rows at once and kept.
const SHARED_MIN: u32 = 3;

/// Hash-consed predicates over one class. Two-valued: a null cell passes no test, and `not` turns that around.
#[derive(Debug)]
pub struct Graph {
    class: &'static Class,
    nodes: Vec<Node>,
    kernels: Vec<Option<Kernel>>,
    cost: Vec<u32>,
    users: Vec<u32>,
    index: HashMap<Node, NodeId>,
}

impl Graph {
    /// An empty graph over a class.
    pub fn new(class: &'static Class) -> Self {
        Self { class, nodes: vec![], kernels: vec![], cost: vec![], users: vec![], index: HashMap::new() }
    }

    /// The class that its columns are of.
    pub const fn class(&self) -> &'static Class {
        self.class
    }

    /// Number of distinct nodes.
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it has no node.
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Number of distinct predicates.
    pub fn predicates(&self) -> usize {
        self.kernels.iter().flatten().count()
    }

    /// The node that selects every row, or none.
    pub fn constant(&mut self, all: bool) -> NodeId {
        self.insert(if all { Node::All } else { Node::None }, None, 0)
    }

    /// Whether the node is known to select nothing, whatever the rows.
    pub fn is_never(&self, node: NodeId) -> bool {
        self.nodes[node.0 as usize] == Node::None
    }

    /// The node of a predicate. The error says what is wrong with it (a regular expression that does not compile).
    pub fn test(&mut self, predicate: Predicate) -> Result<NodeId, String> {
        let cost = predicate.test.cost();
        let node = Node::Test(Arc::new(predicate));
        if let Some(id) = self.index.get(&node) {
            return Ok(*id);
        }
        let Node::Test(predicate) = &node else { return Ok(self.constant(false)) };
        let kernel = Kernel::new(self.class, predicate)?;
        Ok(self.insert(node, Some(kernel), cost))
    }

    /// All of these.
    pub fn and(&mut self, parts: impl IntoIterator<Item = NodeId>) -> NodeId {
        let mut parts = self.flatten(parts, |node| match node {
            Node::And(inner) => Some(inner),
            _ => None,
        });
        if parts.iter().any(|p| self.nodes[p.0 as usize] == Node::None) {
            return self.constant(false);
        }
        parts.retain(|p| self.nodes[p.0 as usize] != Node::All);
        if self.has_opposites(&parts) || self.is_disjoint(&parts) {
            return self.constant(false);
        }
        match parts.as_slice() {
            [] => self.constant(true),
            [only] => *only,
            _ => {
                parts.sort_by_key(|p| (self.cost[p.0 as usize], *p));
                let cost = self.sum_of_costs(&parts);
                self.insert(Node::And(parts.into()), None, cost)
            }
        }
    }

    /// One of these.
    pub fn or(&mut self, parts: impl IntoIterator<Item = NodeId>) -> NodeId {
        let mut parts = self.flatten(parts, |node| match node {
            Node::Or(inner) => Some(inner),
            _ => None,
        });
        if parts.iter().any(|p| self.nodes[p.0 as usize] == Node::All) {
            return self.constant(true);
        }
        parts.retain(|p| self.nodes[p.0 as usize] != Node::None);
        if self.has_opposites(&parts) {
            return self.constant(true);
        }
        match parts.as_slice() {
            [] => self.constant(false),
            [only] => *only,
            _ => {
                parts.sort_by_key(|p| (self.cost[p.0 as usize], *p));
                let cost = self.sum_of_costs(&parts);
                self.insert(Node::Or(parts.into()), None, cost)
            }
        }
    }

    /// At least `n` of these.
    pub fn at_least(&mut self, n: usize, parts: impl IntoIterator<Item = NodeId>) -> NodeId {
        let parts: Vec<_> = parts.into_iter().collect();
        match n {
            0 => self.constant(true),
            1 => self.or(parts),
            n if n == parts.len() => self.and(parts),
            n if n > parts.len() => self.constant(false),
            n => {
                let cost = self.sum_of_costs(&parts);
                self.insert(Node::AtLeast(n, parts.into()), None, cost)
            }
        }
    }

    /// Not this.
    pub fn not(&mut self, part: NodeId) -> NodeId {
        match &self.nodes[part.0 as usize] {
            Node::All => self.constant(false),
            Node::None => self.constant(true),
            Node::Not(inner) => *inner,
            _ => {
                let cost = self.cost[part.0 as usize];
                self.insert(Node::Not(part), None, cost)
            }
        }
    }

    /// Says that something outside the graph asks for the node, so that it counts as shared.
    pub fn add_user(&mut self, node: NodeId) {
        self.users[node.0 as usize] += 1;
    }

    /// Starts evaluating a batch of the class.
    pub fn evaluator<'a>(&'a self, batch: &'a RecordBatch) -> Evaluator<'a> {
        Evaluator { graph: self, columns: batch.columns(), rows: batch.num_rows(), memo: vec![None; self.nodes.len()] }
    }

    fn flatten(
        &self,
        parts: impl IntoIterator<Item = NodeId>,
        inner: impl Fn(&Node) -> Option<&Box<[NodeId]>>,
    ) -> Vec<NodeId> {
        let mut flat = Vec::new();
        for part in parts {
            match inner(&self.nodes[part.0 as usize]) {
                Some(parts) => flat.extend_from_slice(parts),
                None => flat.push(part),
            }
        }
        flat.sort_unstable();
        flat.dedup();
        flat
    }

    /// Whether a part is there together with its negation.
    fn has_opposites(&self, parts: &[NodeId]) -> bool {
        let opposite = |p: &NodeId| matches!(self.nodes[p.0 as usize], Node::Not(inner) if parts.contains(&inner));
        parts.iter().any(opposite)
    }

    /// Whether two parts want numbers of one column that no number satisfies both of.
    fn is_disjoint(&self, parts: &[NodeId]) -> bool {
        let bounds = |p: &NodeId| match &self.nodes[p.0 as usize] {
            Node::Test(predicate) => Some((predicate.column, predicate.test.bounds()?)),
            _ => None,
        };
        let bounds: Vec<_> = parts.iter().filter_map(bounds).collect();
        bounds.iter().enumerate().any(|(i, (column, (from, to)))| {
            bounds[..i].iter().any(|(other, (low, high))| other == column && (low > to || high < from))
        })
    }

    fn sum_of_costs(&self, parts: &[NodeId]) -> u32 {
        parts.iter().fold(0, |sum: u32, p| sum.saturating_add(self.cost[p.0 as usize]))
    }

    fn insert(&mut self, node: Node, kernel: Option<Kernel>, cost: u32) -> NodeId {
        if let Some(id) = self.index.get(&node) {
            return *id;
        }
        let id = NodeId(self.nodes.len() as u32);
        match &node {
            Node::And(parts) | Node::Or(parts) | Node::AtLeast(_, parts) => {
                for part in parts {
                    self.users[part.0 as usize] += 1;
                }
            }
            Node::Not(part) => self.users[part.0 as usize] += 1,
            Node::All | Node::None | Node::Test(_) => {}
        }
        self.nodes.push(node.clone());
        self.kernels.push(kernel);
        self.cost.push(cost);
        self.users.push(0);
        self.index.insert(node, id);
        id
    }
}

/// One batch's worth of evaluation: what was computed is kept until it is dropped.
#[derive(Debug)]
pub struct Evaluator<'a> {
    graph: &'a Graph,
    columns: &'a [ArrayRef],
    rows: usize,
    memo: Vec<Option<Mask>>,
}

impl Evaluator<'_> {
    /// The rows that the node selects.
    pub fn evaluate(&mut self, node: NodeId) -> Mask {
        if let Some(mask) = &self.memo[node.0 as usize] {
            return mask.clone();
        }
        let mask = self.compute(node, &Mask::All);
        self.memo[node.0 as usize] = Some(mask.clone());
        mask
    }

    /// The rows of `within` that the node selects; nothing is kept unless everything was asked.
    fn evaluate_within(&mut self, node: NodeId, within: &Mask) -> Mask {
        let id = node.0 as usize;
        if let Some(mask) = &self.memo[id] {
            return mask.and(within);
        }
        let sparse = within.count(self.rows) * SPARSE < self.rows;
        if !sparse || self.graph.users[id] >= SHARED_MIN {
            return self.evaluate(node).and(within);
        }
        self.compute(node, within)
    }

    fn compute(&mut self, node: NodeId, within: &Mask) -> Mask {
        if within.is_none() {
            return Mask::None;
        }
        let graph = self.graph;
        match &graph.nodes[node.0 as usize] {
            Node::All => within.clone(),
            Node::None => Mask::None,
            Node::Test(_) => match &graph.kernels[node.0 as usize] {
                Some(kernel) => kernel.evaluate(self.columns, self.rows, within),
                None => Mask::None,
            },
            Node::And(parts) => {
                let mut mask = within.clone();
                // What is known already costs nothing and narrows the rest.
                for part in parts {
                    if let Some(known) = &self.memo[part.0 as usize] {
                        mask = mask.and(known);
                    }
                }
                for part in parts {
                    if mask.is_none() {
                        return mask;
                    }
                    if self.memo[part.0 as usize].is_none() {
                        mask = self.evaluate_within(*part, &mask);
                    }
                }
                mask
            }
            Node::Or(parts) => {
                let mut mask = Mask::None;
                for part in parts {
                    if matches!(mask, Mask::All) {
                        break;
                    }
                    mask = mask.or(&self.evaluate_within(*part, within));
                }
                mask
            }
            Node::AtLeast(n, parts) => {
                let mut counts = vec![0_u16; self.rows];
                for part in parts {
                    let part = self.evaluate_within(*part, within).into_buffer(self.rows);
                    part.set_indices().for_each(|row| counts[row] += 1);
                }
                within.retain(self.rows, |row| usize::from(counts[row]) >= *n)
            }
            Node::Not(part) => {
                let part = self.evaluate_within(*part, within);
                part.not(self.rows).and(within)
            }
        }
    }
}
