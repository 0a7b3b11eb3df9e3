//! From documents to a rule set: references are resolved, fields are checked against the classes, and everything that
//! can never fire is told.

use std::sync::Arc;

use guardian_expr::{Graph, NodeId, Predicate, Test, TextPattern};
use guardian_model::{Class, Kind, RuleRef};
use hashbrown::{HashMap, HashSet};

use crate::document::{ALERT_WINDOW_DEFAULT, Body, Condition, Correlation, Document, Rule, Selection, Status};
use crate::field::{self, Failure};
use crate::issue::{Issue, Place};
use crate::logsource;
use crate::ruleset::{CompiledRule, CorrelationPlan, Plan, RuleSet};

/// Most documents of a rule set.
pub const RULES_MAX: usize = 10_000;
/// Most nodes of the shared predicate graphs.
pub const NODES_MAX: usize = 200_000;
/// Longest chain of correlations over correlations.
const CHAIN_MAX: usize = 8;

/// Placeholders of a summary beside the fields of the class.
const PLACEHOLDERS: &[&str] = &["count", "measure", "timespan", "title", "entity", "group", "site"];

pub(crate) fn compile(documents: Vec<Arc<Document>>) -> (RuleSet, Vec<Issue>) {
    let mut compiler = Compiler { set: RuleSet::empty(), issues: Vec::new(), names: HashMap::new() };
    let documents = compiler.admit(documents);
    let (plain, correlations): (Vec<_>, Vec<_>) = documents.into_iter().partition(|d| matches!(d.body, Body::Rule(_)));
    for document in plain {
        if let Body::Rule(rule) = &document.body {
            match compiler.rule(&document, rule) {
                Ok(plan) => compiler.add(&document, plan.0, plan.1, true),
                Err(issue) => compiler.issues.push(issue.of(&document.id)),
            }
        }
    }
    compiler.correlations(correlations);
    compiler.silence_referred();
    (compiler.set, compiler.issues)
}

struct Compiler {
    set: RuleSet,
    issues: Vec<Issue>,
    /// Ids and names of the rules in the set.
    names: HashMap<String, usize>,
}

fn issue(place: Place, (message, help): Failure) -> Issue {
    Issue::error(place, message).help(help)
}

impl Compiler {
    /// Drops documents that are not to be compiled: duplicates, deprecated ones, and what is too many.
    fn admit(&mut self, documents: Vec<Arc<Document>>) -> Vec<Arc<Document>> {
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut admitted = Vec::new();
        for document in documents {
            if matches!(document.status, Status::Deprecated | Status::Unsupported) {
                let message = "the rule is deprecated or unsupported and is left out";
                self.issues.push(Issue::warning(document.place, message).of(&document.id));
                continue;
            }
            let keys = std::iter::once(&document.id).chain(&document.name);
            if let Some(key) = keys.clone().find(|k| seen.contains_key(*k)) {
                let message = format!("`{key}` is also the id or name of `{}`; this one is left out", seen[key]);
                self.issues
                    .push(Issue::error(document.place, message).help("give it an id of its own").of(&document.id));
                continue;
            }
            if admitted.len() == RULES_MAX {
                let message = format!("a rule set has at most {RULES_MAX} rules; this one and the rest are left out");
                self.issues.push(Issue::error(document.place, message).of(&document.id));
                break;
            }
            for key in keys {
                seen.insert(key.clone(), document.title.clone());
            }
            admitted.push(document);
        }
        admitted
    }

    fn add(&mut self, document: &Arc<Document>, class: &'static Class, plan: Plan, alerts: bool) {
        let entity = self.entity(document, class, &plan);
        self.check_summary(document, class, &plan);
        let position = self.set.rules.len();
        for key in std::iter::once(&document.id).chain(&document.name) {
            self.names.insert(key.clone(), position);
        }
        let rule_ref = Arc::new(RuleRef {
            id: document.id.clone(),
            hash: document.hash.clone(),
            title: document.title.clone(),
            attack: document.attack(),
            severity: document.level,
            next_steps: document.extension.next_steps.clone(),
        });
        let alert_window = document.extension.alert_window.unwrap_or(ALERT_WINDOW_DEFAULT);
        self.set.rules.push(CompiledRule {
            document: Arc::clone(document),
            rule_ref,
            class,
            alerts,
            entity,
            alert_window,
            referred: false,
            plan,
        });
    }

    /// The entity column: as the rule says, else the first address it groups by, else the host or the source address.
    fn entity(&mut self, document: &Document, class: &'static Class, plan: &Plan) -> Option<usize> {
        if let Some((name, place)) = &document.extension.entity {
            let alias = match plan {
                Plan::Correlation(plan) => plan.group.iter().find(|(n, _)| n == name).map(|(_, columns)| columns[0]),
                Plan::Detection { .. } => None,
            };
            match alias.map_or_else(|| field::column(class, name), Ok) {
                Ok(column) => return Some(column),
                Err(failure) => self.issues.push(issue(*place, failure).of(&document.id)),
            }
        }
        let is_ip = |column: &usize| class.fields[*column].kind == Kind::Ip;
        match plan {
            Plan::Correlation(plan) => {
                let columns: Vec<usize> = plan.group.iter().map(|(_, columns)| columns[0]).collect();
                columns.iter().copied().find(|c| is_ip(c)).or(columns.first().copied())
            }
            Plan::Detection { .. } => class.index_of("host").or_else(|| class.index_of("src_ip")),
        }
    }

    fn check_summary(&mut self, document: &Document, class: &'static Class, plan: &Plan) {
        let Some((template, place)) = &document.extension.summary else { return };
        for name in template.placeholders().filter(|n| !PLACEHOLDERS.contains(n)) {
            let alias = matches!(plan, Plan::Correlation(plan) if plan.group.iter().any(|(n, _)| n == name));
            if !alias && class.sigma_index_of(name).is_none() {
                let known: Vec<&str> =
                    class.fields.iter().map(|f| f.name).chain(PLACEHOLDERS.iter().copied()).collect();
                let message = format!("`summary`: nothing fills the placeholder `{{{name}}}`");
                self.issues.push(Issue::warning(*place, message).help(crate::suggest(name, &known)).of(&document.id));
            }
        }
    }

    fn rule(&mut self, document: &Document, rule: &Rule) -> Result<(&'static Class, Plan), Issue> {
        let logsource::Source { class, only } = logsource::find(&rule.logsource).map_err(|help| {
            let words = logsource::words(&rule.logsource);
            Issue::error(rule.logsource.place, format!("{words} is not collected, so the rule can never fire"))
                .help(help)
        })?;
        let position = self.set.graphs.iter().position(|g| g.class().name == class.name);
        let graph = position.unwrap_or_else(|| {
            self.set.graphs.push(Graph::new(class));
            self.set.graphs.len() - 1
        });
        let nodes = &mut self.set.graphs[graph];
        if nodes.len() > NODES_MAX {
            return Err(Issue::error(document.place, format!("a rule set has at most {NODES_MAX} predicates")));
        }
        let selections = rule
            .selections
            .iter()
            .map(|(_, s)| selection(nodes, s))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|(place, failure)| issue(place, failure))?;
        let root = condition(nodes, &rule.condition, &selections);
        if nodes.is_never(root) {
            return Err(Issue::error(document.place, "the condition contradicts itself: the rule can never fire"));
        }
        if nodes.constant(true) == root {
            self.issues.push(Issue::warning(document.place, "the rule matches every event").of(&document.id));
        }
        let root = match only {
            None => root,
            Some((column, values)) => {
                let column = field::column(class, column).map_err(|failure| issue(document.place, failure))?;
                let patterns = values.iter().map(|value| TextPattern::wildcard(value, false, false, false));
                let predicate = Predicate { column, test: Test::text(patterns) };
                let source = nodes.test(predicate).map_err(|m| issue(document.place, (m, String::new())))?;
                nodes.and(vec![source, root])
            }
        };
        nodes.add_user(root);
        Ok((class, Plan::Detection { graph, root }))
    }

    /// Compiles correlations as soon as all they refer to is there; what is left over refers to nothing or in circles.
    fn correlations(&mut self, mut waiting: Vec<Arc<Document>>) {
        let declared: HashSet<String> =
            waiting.iter().flat_map(|d| std::iter::once(&d.id).chain(&d.name)).cloned().collect();
        for _ in 0..CHAIN_MAX {
            let before = waiting.len();
            for document in std::mem::take(&mut waiting) {
                let Some(correlation) = document.correlation() else { continue };
                if correlation.rules.iter().any(|(name, _)| !self.names.contains_key(name)) {
                    waiting.push(document);
                    continue;
                }
                match self.correlation(&document, correlation) {
                    Ok((class, plan)) => self.add(&document, class, plan, true),
                    Err(issue) => self.issues.push(issue.of(&document.id)),
                }
            }
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        for document in waiting {
            let Some(correlation) = document.correlation() else { continue };
            let missing = correlation.rules.iter().find(|(name, _)| !self.names.contains_key(name));
            let Some((name, place)) = missing else { continue };
            let known: Vec<&str> = self.names.keys().map(String::as_str).collect();
            let issue = if declared.contains(name) {
                Issue::error(
                    *place,
                    format!("`{name}` is a correlation that does not work, or they refer to each other"),
                )
            } else {
                Issue::error(*place, format!("there is no usable rule `{name}`, so the correlation can never fire"))
                    .help(crate::suggest(name, &known))
            };
            self.issues.push(issue.of(&document.id));
        }
    }

    fn correlation(&mut self, document: &Document, c: &Correlation) -> Result<(&'static Class, Plan), Issue> {
        let rules: Vec<usize> = c.rules.iter().filter_map(|(name, _)| self.names.get(name).copied()).collect();
        for (i, rule) in rules.iter().enumerate() {
            if rules[..i].contains(rule) {
                return Err(Issue::error(c.rules[i].1, format!("`{}` is there twice", c.rules[i].0)));
            }
        }
        let group = c
            .group_by
            .iter()
            .map(|(name, place)| Ok((name.clone(), self.columns(c, &rules, name, *place)?)))
            .collect::<Result<Vec<_>, Issue>>()?;
        let field = match &c.field {
            None => None,
            Some((name, place)) => {
                let columns = self.columns(c, &rules, name, *place)?;
                self.check_measured(c, &rules, name, &columns, *place)?;
                Some((name.clone(), columns))
            }
        };
        let mut hasher = blake3::Hasher::new_derive_key("guardian correlation state v1");
        hasher.update(document.hash.as_bytes());
        for rule in &rules {
            let rule = &self.set.rules[*rule];
            hasher.update(rule.document.hash.as_bytes());
            hasher.update(&rule.state_key().unwrap_or_default());
        }
        let mut state_key = [0; 16];
        state_key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        let class = self.set.rules[rules[0]].class;
        let plan = CorrelationPlan {
            kind: c.kind,
            timespan: c.timespan,
            condition: c.condition,
            rules,
            group,
            field,
            state_key,
        };
        Ok((class, Plan::Correlation(Box::new(plan))))
    }

    /// The column that a name means in the class of each rule; aliases first.
    fn columns(&self, c: &Correlation, rules: &[usize], name: &str, place: Place) -> Result<Vec<usize>, Issue> {
        let alias = c.aliases.iter().find(|(alias, _)| alias == name).map(|(_, pairs)| pairs);
        let mut columns = Vec::new();
        let mut kind = None;
        for rule in rules {
            let compiled = &self.set.rules[*rule];
            let is_this = |n: &str| n == compiled.document.id || Some(n) == compiled.document.name.as_deref();
            let field = match alias {
                None => name,
                Some(pairs) => {
                    pairs.iter().find(|(rule, _)| is_this(rule)).map(|(_, field)| field.as_str()).ok_or_else(|| {
                        let rule = compiled.document.name.as_ref().unwrap_or(&compiled.document.id);
                        let message = format!("the alias `{name}` says nothing about the rule `{rule}`");
                        Issue::error(place, message).help(format!("add `{rule}: <field>` to it"))
                    })?
                }
            };
            let column = field::column(compiled.class, field).map_err(|f| issue(place, f))?;
            let this = compiled.class.fields[column].kind;
            if *kind.get_or_insert(this) != this {
                let message =
                    format!("`{name}` is {} in one rule and {} in another", kind.map_or("", Kind::name), this.name());
                return Err(Issue::error(place, message));
            }
            columns.push(column);
        }
        Ok(columns)
    }

    fn check_measured(
        &self,
        c: &Correlation,
        rules: &[usize],
        name: &str,
        columns: &[usize],
        place: Place,
    ) -> Result<(), Issue> {
        use crate::document::CorrelationKind::{ValueAvg, ValueSum};
        let kind = self.set.rules[rules[0]].class.fields[columns[0]].kind;
        if matches!(c.kind, ValueSum | ValueAvg) && guardian_expr::integer_max(kind).is_none() {
            let message = format!("`{name}` holds {}, which cannot be added up", guardian_expr::kind_words(kind));
            return Err(Issue::error(place, message));
        }
        Ok(())
    }

    /// Rules that a correlation refers to raise no alerts of their own, unless it says `generate`.
    fn silence_referred(&mut self) {
        let mut referred: HashMap<usize, bool> = HashMap::new();
        for rule in &self.set.rules {
            if let (Some(plan), Some(c)) = (rule.correlation(), rule.document.correlation()) {
                for base in &plan.rules {
                    *referred.entry(*base).or_default() |= c.generate;
                }
            }
        }
        for (base, generate) in referred {
            self.set.rules[base].referred = true;
            self.set.rules[base].alerts = generate;
        }
    }
}

fn selection(graph: &mut Graph, s: &Selection) -> Result<NodeId, (Place, Failure)> {
    match s {
        Selection::All(items) => {
            let nodes = items
                .iter()
                .map(|item| field::compile(graph, item).map_err(|failure| (item.place, failure)))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(graph.and(nodes))
        }
        Selection::Any(any) => {
            let nodes = any.iter().map(|s| selection(graph, s)).collect::<Result<Vec<_>, _>>()?;
            Ok(graph.or(nodes))
        }
    }
}

fn condition(graph: &mut Graph, c: &Condition, selections: &[NodeId]) -> NodeId {
    match c {
        Condition::Selection(i) => selections[*i],
        Condition::And(parts) => {
            let nodes: Vec<_> = parts.iter().map(|p| condition(graph, p, selections)).collect();
            graph.and(nodes)
        }
        Condition::Or(parts) => {
            let nodes: Vec<_> = parts.iter().map(|p| condition(graph, p, selections)).collect();
            graph.or(nodes)
        }
        Condition::AtLeast(n, parts) => {
            let nodes: Vec<_> = parts.iter().map(|p| condition(graph, p, selections)).collect();
            graph.at_least(*n, nodes)
        }
        Condition::Not(part) => {
            let node = condition(graph, part, selections);
            graph.not(node)
        }
    }
}
