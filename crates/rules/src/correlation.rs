//! The `correlation` map of a document (Sigma correlation rules specification, version 2).

use guardian_model::Micros;

use crate::document::{Correlation, CorrelationKind, CountCondition, Scalar};
use crate::issue::Place;
use crate::read::Reader;
use crate::yaml::{Node, Value};

/// Most rules that a correlation refers to.
pub(crate) const RULES_MAX: usize = 16;
/// Most grouping fields.
const GROUP_BY_MAX: usize = 8;
/// Shortest and longest sliding window.
pub(crate) const TIMESPAN_MIN: i64 = Micros::SECOND;
pub(crate) const TIMESPAN_MAX: i64 = 30 * Micros::DAY;

const KEYS: &[&str] = &["type", "rules", "group-by", "timespan", "condition", "aliases", "generate", "field"];

/// Reads the map; `None` when it cannot be used. `document` is the whole document, because `generate` and `aliases`
/// were at its top level in earlier drafts.
pub(crate) fn read(reader: &mut Reader, document: &Node, map: &Node) -> Option<Correlation> {
    if !matches!(map.value, Value::Map(_)) {
        reader.error(map.place, format!("`correlation` is {}; a map is expected", map.what()), "");
        return None;
    }
    reader.unknown_keys(map, "correlation", KEYS);
    let kind = kind(reader, map);
    let rules = rules(reader, map);
    let timespan = if let Some(node) = map.get("timespan") {
        reader.duration(node, "timespan", TIMESPAN_MIN, TIMESPAN_MAX)
    } else {
        reader.error(map.place, "`correlation` has no timespan", "add for example `timespan: 5m`");
        None
    };
    let group_by = reader.texts_of(map, "group-by");
    if group_by.len() > GROUP_BY_MAX {
        reader.error(group_by[GROUP_BY_MAX].1, format!("at most {GROUP_BY_MAX} grouping fields are possible"), "");
        return None;
    }
    let aliases = aliases(reader, map.get("aliases").or_else(|| document.get("aliases")));
    let generate = reader.bool_of(map, "generate").or_else(|| reader.bool_of(document, "generate")).unwrap_or(false);
    let (kind, rules, timespan) = (kind?, rules?, timespan?);
    let (condition, field) = condition(reader, map, kind, rules.len())?;
    if kind.is_temporal() && rules.len() < 2 {
        reader.error(map.place, format!("`{}` needs at least two rules", kind.as_str()), "");
        return None;
    }
    Some(Correlation { kind, rules, group_by, timespan, condition, field, aliases: aliases?, generate })
}

fn kind(reader: &mut Reader, map: &Node) -> Option<CorrelationKind> {
    let names: Vec<&str> = CorrelationKind::ALL.iter().map(|k| k.as_str()).collect();
    let Some(node) = map.get("type") else {
        reader.error(map.place, "`correlation` has no type", format!("one of {}", names.join(", ")));
        return None;
    };
    let text = reader.text(node, "type")?;
    let kind = CorrelationKind::ALL.iter().copied().find(|k| k.as_str() == text);
    if kind.is_none() {
        reader.error(node.place, format!("unknown correlation type `{text}`"), crate::suggest(&text, &names));
    }
    kind
}

fn rules(reader: &mut Reader, map: &Node) -> Option<Vec<(String, Place)>> {
    let rules = reader.texts_of(map, "rules");
    if rules.is_empty() {
        reader.error(map.place, "`correlation` refers to no rules", "list names or ids of rules under `rules`");
        return None;
    }
    if rules.len() > RULES_MAX {
        reader.error(rules[RULES_MAX].1, format!("a correlation refers to at most {RULES_MAX} rules"), "");
        return None;
    }
    Some(rules)
}

type Aliases = Vec<(String, Vec<(String, String)>)>;

fn aliases(reader: &mut Reader, node: Option<&Node>) -> Option<Aliases> {
    let Some(node) = node else { return Some(Vec::new()) };
    let mut aliases = Vec::new();
    let Value::Map(entries) = &node.value else {
        reader.error(node.place, format!("`aliases` is {}; a map is expected", node.what()), "");
        return None;
    };
    for (alias, fields) in entries {
        let Value::Map(fields) = &fields.value else {
            reader.error(fields.place, format!("the alias `{}` needs `rule: field` lines", alias.text), "");
            return None;
        };
        let mut pairs = Vec::new();
        for (rule, field) in fields {
            pairs.push((rule.text.clone(), reader.text(field, &rule.text)?));
        }
        aliases.push((alias.text.clone(), pairs));
    }
    Some(aliases)
}

type Bounds = (CountCondition, Option<(String, Place)>);

fn condition(reader: &mut Reader, map: &Node, kind: CorrelationKind, rules: usize) -> Option<Bounds> {
    let mut bounds = CountCondition::default();
    let outer_field = map.get("field");
    let Some(node) = map.get("condition") else {
        if kind.is_temporal() {
            bounds.gte = Some(rules as f64);
            return Some((bounds, None));
        }
        let example =
            if kind.needs_field() { "condition: {field: dst_port, gte: 100}" } else { "condition: {gte: 100}" };
        reader.error(map.place, "`correlation` has no condition", format!("add for example `{example}`"));
        return None;
    };
    let Value::Map(entries) = &node.value else {
        let help = "conditions are maps: `condition: {gte: 100}`; expressions over rules are not supported";
        reader.error(node.place, format!("`condition` is {}; a map is expected", node.what()), help);
        return None;
    };
    reader.unknown_keys(node, "condition", &["field", "gt", "gte", "lt", "lte", "eq", "neq"]);
    let mut any = false;
    for (key, value) in entries {
        let slot = match key.text.as_str() {
            "gt" => &mut bounds.gt,
            "gte" => &mut bounds.gte,
            "lt" => &mut bounds.lt,
            "lte" => &mut bounds.lte,
            "eq" => &mut bounds.eq,
            "neq" => &mut bounds.neq,
            _ => continue,
        };
        *slot = Some(number(reader, value, &key.text)?);
        any = true;
    }
    if !any {
        reader.error(node.place, "the condition has no bound", "add gt, gte, lt, lte, eq or neq with a number");
        return None;
    }
    let field = node.get("field").or(outer_field).and_then(|f| reader.text(f, "field").map(|text| (text, f.place)));
    match (kind.needs_field(), &field) {
        (true, None) => {
            let help = "name the field whose values are measured, for example `field: dst_port`";
            reader.error(node.place, format!("`{}` needs a field in its condition", kind.as_str()), help);
            return None;
        }
        (false, Some((_, place))) => {
            reader.warning(
                *place,
                format!("`{}` measures no field; `field` is ignored", kind.as_str()),
                "use value_count",
            );
        }
        _ => {}
    }
    if !bounds.is_monotone() {
        let help = "an upper bound holds from the first event on; gt and gte tell when something grows too large";
        reader.warning(node.place, "this condition also holds for small measures", help);
    }
    Some((bounds, field.filter(|_| kind.needs_field())))
}

fn number(reader: &mut Reader, node: &Node, key: &str) -> Option<f64> {
    let number = match &node.value {
        Value::Scalar(Scalar::Int(i)) => Some(*i as f64),
        Value::Scalar(Scalar::Float(x)) if x.is_finite() => Some(*x),
        Value::Scalar(Scalar::Text(text)) => guardian_expr::size(text).map(|n| n as f64),
        _ => None,
    };
    match number {
        Some(n) if (0.0..=1e18).contains(&n) => Some(n),
        _ => {
            reader.error(
                node.place,
                format!("`{key}` needs a number of at least 0"),
                "units of size are possible: `10MB`",
            );
            None
        }
    }
}
