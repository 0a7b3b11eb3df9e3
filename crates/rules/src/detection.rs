//! The `detection` map of a rule: named selections and a condition over them (Sigma rules specification,
//! "Detection").

use crate::condition;
use crate::document::{Condition, Item, Scalar, Selection};
use crate::issue::Place;
use crate::read::Reader;
use crate::yaml::{Key, Node, Value};

/// Most selections of a rule.
const SELECTIONS_MAX: usize = 200;
/// Most values of a line.
const VALUES_MAX: usize = 10_000;

/// Modifiers that the compiler knows.
pub(crate) const MODIFIERS: &[&str] = &[
    "all",
    "base64",
    "base64offset",
    "bits",
    "cased",
    "cidr",
    "contains",
    "endswith",
    "exists",
    "expand",
    "fieldref",
    "gt",
    "gte",
    "i",
    "lt",
    "lte",
    "m",
    "neq",
    "nobits",
    "re",
    "s",
    "startswith",
    "utf16",
    "utf16be",
    "utf16le",
    "wide",
    "windash",
];

/// The selections and the condition; `None` when either cannot be used, with issues that say why.
pub(crate) fn read(reader: &mut Reader, map: &Node) -> Option<(Vec<(String, Selection)>, Condition)> {
    let Value::Map(entries) = &map.value else {
        reader.error(map.place, format!("`detection` is {}; a map of selections is expected", map.what()), "");
        return None;
    };
    let named: Vec<&(Key, Node)> =
        entries.iter().filter(|(k, _)| k.text != "condition" && k.text != "timeframe").collect();
    if let Some(timeframe) = map.get("timeframe") {
        reader.error(
            timeframe.place,
            "`timeframe` is no longer part of Sigma",
            "write a correlation rule with `timespan`",
        );
    }
    if named.len() > SELECTIONS_MAX {
        reader.error(map.place, format!("a rule has at most {SELECTIONS_MAX} selections"), "");
        return None;
    }
    let mut selections = Vec::new();
    let mut complete = true;
    for (key, node) in named {
        match selection(reader, node, &key.text) {
            Some(selection) => selections.push((key.text.clone(), selection)),
            None => complete = false,
        }
    }
    let Some(condition) = map.get("condition") else {
        reader.error(map.place, "`detection` has no condition", "add for example `condition: selection`");
        return None;
    };
    if !complete {
        return None;
    }
    let condition = read_condition(reader, condition, &selections)?;
    let mut used = vec![false; selections.len()];
    mark_used(&condition, &mut used);
    for (i, (name, _)) in selections.iter().enumerate().filter(|(i, _)| !used[*i]) {
        let place = entries.iter().find(|(k, _)| k.text == *name).map_or(map.place, |(k, _)| k.place);
        reader.warning(place, format!("the condition does not use `{}`", selections[i].0), "");
    }
    Some((selections, condition))
}

fn read_condition(reader: &mut Reader, node: &Node, selections: &[(String, Selection)]) -> Option<Condition> {
    let names: Vec<&str> = selections.iter().map(|(n, _)| n.as_str()).collect();
    let mut alternatives = Vec::new();
    for (text, place) in reader.texts(node, "condition") {
        match condition::parse(&text, &names) {
            Ok(condition) => alternatives.push(condition),
            Err((message, help)) => {
                reader.error(place, message, help);
                return None;
            }
        }
    }
    match alternatives.len() {
        0 => {
            reader.error(node.place, "the condition is empty", "name a selection, for example `condition: selection`");
            None
        }
        1 => alternatives.pop(),
        _ => Some(Condition::Or(alternatives)),
    }
}

fn mark_used(condition: &Condition, used: &mut [bool]) {
    match condition {
        Condition::Selection(i) => used[*i] = true,
        Condition::And(parts) | Condition::Or(parts) | Condition::AtLeast(_, parts) => {
            for part in parts {
                mark_used(part, used);
            }
        }
        Condition::Not(part) => mark_used(part, used),
    }
}

fn selection(reader: &mut Reader, node: &Node, name: &str) -> Option<Selection> {
    match &node.value {
        Value::Map(entries) => items(reader, node, entries, name),
        Value::List(list) if list.is_empty() => {
            reader.error(node.place, format!("`{name}` is an empty list and can never match"), "");
            None
        }
        Value::List(list) => {
            let mut any = Vec::new();
            for node in list {
                any.push(match &node.value {
                    Value::Map(entries) => items(reader, node, entries, name)?,
                    Value::Scalar(scalar) => Selection::All(vec![keyword(vec![scalar.clone()], node.place)]),
                    Value::List(_) => {
                        reader.error(node.place, format!("`{name}` has a list within a list"), "");
                        return None;
                    }
                });
            }
            Some(Selection::Any(any))
        }
        Value::Scalar(Scalar::Null) => {
            reader.error(node.place, format!("`{name}` is empty"), "write `field: value` lines under it");
            None
        }
        Value::Scalar(scalar) => Some(Selection::All(vec![keyword(vec![scalar.clone()], node.place)])),
    }
}

fn keyword(values: Vec<Scalar>, place: Place) -> Item {
    Item { field: None, modifiers: Vec::new(), values, place }
}

fn items(reader: &mut Reader, node: &Node, entries: &[(Key, Node)], name: &str) -> Option<Selection> {
    if entries.is_empty() {
        reader.error(node.place, format!("`{name}` is empty"), "write `field: value` lines under it");
        return None;
    }
    let mut items = Vec::new();
    for (key, node) in entries {
        items.push(item(reader, key, node)?);
    }
    Some(Selection::All(items))
}

fn item(reader: &mut Reader, key: &Key, node: &Node) -> Option<Item> {
    let mut parts = key.text.split('|');
    let field = parts.next().filter(|f| !f.is_empty()).map(str::to_owned);
    let mut modifiers: Vec<String> = Vec::new();
    for modifier in parts {
        let modifier = modifier.to_ascii_lowercase();
        if !MODIFIERS.contains(&modifier.as_str()) {
            reader.error(key.place, format!("unknown modifier `{modifier}`"), crate::suggest(&modifier, MODIFIERS));
            return None;
        }
        if modifiers.contains(&modifier) {
            reader.error(key.place, format!("the modifier `{modifier}` is there twice"), "");
            return None;
        }
        modifiers.push(modifier);
    }
    let values: Option<Vec<Scalar>> = match &node.value {
        Value::Scalar(scalar) => Some(vec![scalar.clone()]),
        Value::List(list) => list
            .iter()
            .map(|node| match &node.value {
                Value::Scalar(scalar) => Some(scalar.clone()),
                _ => None,
            })
            .collect(),
        Value::Map(_) => None,
    };
    let Some(values) = values else {
        reader.error(node.place, format!("`{}` needs a value or a list of values", key.text), "");
        return None;
    };
    if values.is_empty() {
        reader.error(node.place, format!("`{}` has an empty list and can never match", key.text), "");
        return None;
    }
    if values.len() > VALUES_MAX {
        let help = "put long lists into an indicator list and test `indicator`";
        reader.error(node.place, format!("`{}` has more than {VALUES_MAX} values", key.text), help);
        return None;
    }
    Some(Item { field, modifiers, values, place: key.place })
}
