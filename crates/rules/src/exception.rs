//! Exceptions: rows that a rule is not to look at, whatever its text says. They are compiled into the graph of the
//! rules, so that what an exception and a rule both ask is computed once, and never touch the rule's hash: windows and
//! open alerts go on when an exception comes or goes.

use arrow::buffer::BooleanBuffer;
use guardian_expr::{Evaluator, Expr, Graph, NodeId};
use guardian_model::{Batch, FLOW, Micros};

use crate::ruleset::{Matches, Plan, RuleSet};

/// An exception to a rule.
#[derive(Debug)]
pub struct Exception {
    /// Whatever its owner knows it by.
    pub id: u128,
    /// Id of the rule; one that is not in the set may be a detector's, whose driver asks
    /// [`Matches::excepted_rows`].
    pub rule_id: String,
    /// The rows: a filter over the columns of the rule's class.
    pub filter: Expr,
    /// When it was made: what `now` means in the filter.
    pub made: Micros,
    /// It holds for what is received before this time.
    pub expires: Option<Micros>,
}

/// An exception in a rule set.
#[derive(Clone, Debug)]
pub(crate) struct CompiledException {
    pub(crate) id: u128,
    pub(crate) rule_id: String,
    /// The rule, if it is in the set.
    pub(crate) rule: Option<usize>,
    graph: usize,
    root: NodeId,
    expires: Option<Micros>,
}

impl RuleSet {
    /// The same rules with these exceptions. An exception whose filter does not compile into the graph is told by its
    /// id and left out.
    pub fn with_exceptions(mut self, exceptions: Vec<Exception>) -> (Self, Vec<(u128, String)>) {
        let mut wrong = Vec::new();
        for exception in exceptions {
            // Detectors look at flows.
            let rule = self.rules.iter().position(|r| r.document.id == exception.rule_id);
            let class = rule.map_or(&FLOW, |rule| self.rules[rule].class);
            let filter = match exception.filter.check(class, exception.made) {
                Ok(filter) => filter,
                Err(error) => {
                    wrong.push((exception.id, error.to_string()));
                    continue;
                }
            };
            let at = self.graphs.iter().position(|g| g.class().name == class.name);
            let graph = at.unwrap_or_else(|| {
                self.graphs.push(Graph::new(class));
                self.graphs.len() - 1
            });
            match filter.insert_into(&mut self.graphs[graph]) {
                Ok(root) => {
                    self.graphs[graph].add_user(root);
                    self.exceptions.push(CompiledException {
                        id: exception.id,
                        rule,
                        rule_id: exception.rule_id,
                        graph,
                        root,
                        expires: exception.expires,
                    });
                }
                Err(message) => wrong.push((exception.id, message)),
            }
        }
        (self, wrong)
    }

    /// Ids of the exceptions, in the order of [`Matches::excepted`].
    pub fn exceptions(&self) -> impl Iterator<Item = (u128, &str)> {
        self.exceptions.iter().map(|e| (e.id, e.rule_id.as_str()))
    }

    /// Takes excepted rows out of what matched. Rules over single rows go first, because correlations build on them.
    pub(crate) fn except(&self, batch: &Batch, evaluators: &mut [Option<Evaluator<'_>>], matches: &mut Matches) {
        if self.exceptions.is_empty() {
            return;
        }
        matches.excepted = vec![0; self.exceptions.len()];
        matches.hidden = vec![None; self.rules.len()];
        let plain =
            |e: &CompiledException| e.rule.is_some_and(|rule| matches!(self.rules[rule].plan, Plan::Detection { .. }));
        let (first, then): (Vec<_>, Vec<_>) = self.exceptions.iter().enumerate().partition(|(_, e)| plain(e));
        let mut gone: Vec<(usize, BooleanBuffer)> = Vec::new();
        for (at, exception) in first {
            let Some(rule) = exception.rule else { continue };
            let Some(matched) = matches.masks[rule].clone() else { continue };
            let Some(rows) = exception.rows(batch, evaluators) else { continue };
            let hit = &matched & &rows;
            let count = hit.count_set_bits();
            if count > 0 {
                matches.excepted[at] = count as u64;
                gone.push((rule, hit));
            }
        }
        for (rule, hit) in gone {
            let left = matches.masks[rule].as_ref().map(|mask| mask & &!&hit);
            matches.masks[rule] = left.filter(|mask| mask.count_set_bits() > 0);
        }
        for (at, exception) in then {
            let Some(rows) = exception.rows(batch, evaluators) else { continue };
            let matched = match exception.rule {
                Some(rule) => self.base_rows(rule, matches),
                None => Some(BooleanBuffer::new_set(matches.rows)),
            };
            let Some(matched) = matched else { continue };
            let hit = &matched & &rows;
            let count = hit.count_set_bits();
            if count == 0 {
                continue;
            }
            matches.excepted[at] = count as u64;
            match exception.rule {
                Some(rule) => matches.hidden[rule] = Some(union(matches.hidden[rule].as_ref(), &hit)),
                None => matches.outside.push((at, hit)),
            }
        }
    }

    /// The rows that matched a plain rule, or that a correlation counts: those of the rules that it builds on, without
    /// what exceptions hide from it.
    pub fn matched_rows(&self, rule: usize, matches: &Matches) -> Option<BooleanBuffer> {
        self.base_rows(rule, matches).and_then(|rows| matches.seen(rule, rows))
    }

    /// The rows that a correlation builds on, through the correlations that it refers to.
    fn base_rows(&self, rule: usize, matches: &Matches) -> Option<BooleanBuffer> {
        match &self.rules[rule].plan {
            Plan::Detection { .. } => matches.masks[rule].clone(),
            Plan::Correlation(plan) => {
                let bases = plan.rules.iter().filter_map(|base| self.base_rows(*base, matches));
                bases.reduce(|all, rows| &all | &rows)
            }
        }
    }
}

impl CompiledException {
    /// Its rows; none when it is over or about another class.
    fn rows(&self, batch: &Batch, evaluators: &mut [Option<Evaluator<'_>>]) -> Option<BooleanBuffer> {
        if self.expires.is_some_and(|end| batch.received >= end) {
            return None;
        }
        let mask = evaluators.get_mut(self.graph)?.as_mut()?.evaluate(self.root);
        (!mask.is_none()).then(|| mask.into_buffer(batch.rows.num_rows()))
    }
}

fn union(known: Option<&BooleanBuffer>, more: &BooleanBuffer) -> BooleanBuffer {
    known.map_or_else(|| more.clone(), |known| known | more)
}

impl Matches {
    /// How many rows each exception kept from its rule, in the order of [`RuleSet::exceptions`]; empty without any.
    pub fn excepted(&self) -> &[u64] {
        &self.excepted
    }

    /// The rows that exceptions to a rule outside the set, a detector's, hide from it.
    pub fn excepted_rows(&self, rules: &RuleSet, rule_id: &str) -> Option<BooleanBuffer> {
        let of_rule = self.outside.iter().filter(|(at, _)| rules.exceptions[*at].rule_id == rule_id);
        of_rule.map(|(_, rows)| rows.clone()).reduce(|all, rows| &all | &rows)
    }

    /// What a correlation may see of the rows of a rule that it refers to.
    pub(crate) fn seen(&self, correlation: usize, rows: BooleanBuffer) -> Option<BooleanBuffer> {
        let Some(Some(hidden)) = self.hidden.get(correlation) else { return Some(rows) };
        let left = &rows & &!hidden;
        (left.count_set_bits() > 0).then_some(left)
    }
}
