//! Holds the written tree against the schema: unknown keys with a suggestion, texts turned into the type that is
//! expected, ranges; then the typed value, one problem after the other until all are known.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::Segment;

use super::problem::Problem;
use super::shape::{Schema, Shape};
use super::tree::{Node, Step, Value, parse_inline, push_index, push_key};

/// Problems reported at once; who has more has given us the wrong file.
const PROBLEMS_MAX: usize = 50;

/// Characters of a wrong value that a message shows.
const SHOWN_CHARS_MAX: usize = 60;

pub(super) fn check(root: &mut Node, schema: &Schema, problems: &mut Vec<Problem>) {
    walk(root, &schema.root(), schema, &mut String::new(), problems);
}

fn walk(node: &mut Node, shape: &Shape<'_>, schema: &Schema, path: &mut String, problems: &mut Vec<Problem>) {
    if problems.len() >= PROBLEMS_MAX {
        return;
    }
    if let Value::Raw(text) = &node.value {
        node.value = typed(text, shape, node);
    }
    let length = path.len();
    match &mut node.value {
        Value::Map(entries) => {
            for (key, child) in entries {
                push_key(path, key);
                let known = shape.properties.iter().find(|(name, _)| name == key).map(|(_, s)| *s).or(shape.values);
                if let Some(known) = known {
                    walk(child, &schema.shape(known), schema, path, problems);
                } else if !shape.properties.is_empty() {
                    child.skip = true;
                    problems.push(unknown(key, path, shape, schema, child));
                }
                path.truncate(length);
            }
        }
        Value::List(items) => {
            let item_shape = shape.items.map(|items| schema.shape(items));
            for (i, item) in items.iter_mut().enumerate() {
                push_index(path, i);
                if let Some(item_shape) = &item_shape {
                    walk(item, item_shape, schema, path, problems);
                }
                path.truncate(length);
            }
        }
        Value::Scalar(Json::Null) if shape.is_section() => node.skip = true,
        Value::Scalar(Json::Null) if !shape.nullable() => {
            node.skip = true;
            let message = format!("`{path}` has no value: give {} or remove the key", shape.expected());
            problems.push(Problem { key: path.clone(), message, origin: node.origin.clone() });
        }
        Value::Scalar(Json::Number(number)) => {
            let number = number.as_f64().unwrap_or_default();
            let numeric = shape.types.iter().any(|t| matches!(*t, "integer" | "number"));
            let low = shape.minimum.is_some_and(|min| number < min);
            if numeric && (low || shape.maximum.is_some_and(|max| number > max)) {
                problems.push(wrong(node, path, &format!("expected {}", shape.expected()), shape));
                node.skip = true;
            }
        }
        Value::Scalar(_) | Value::Raw(_) => {}
    }
}

/// Gives a text the type that the schema has for its place. What does not fit stays text and is refused later.
fn typed(text: &str, shape: &Shape<'_>, node: &Node) -> Value {
    let has = |name: &str| shape.types.contains(&name);
    let trimmed = text.trim();
    let inline = || parse_inline(trimmed, node.origin.as_ref()).map(|n| n.value);
    let scalar = |json: Json| Some(Value::Scalar(json));
    let as_text = || Value::Scalar(text.into());
    if trimmed.is_empty() && !has("string") {
        return Value::Scalar(Json::Null);
    }
    let found = if has("array") {
        if trimmed.starts_with('[') {
            inline()
        } else {
            let item = |part: &str| Node::new(Value::Raw(part.trim().to_owned()), node.origin.clone());
            Some(Value::List(trimmed.split(',').map(item).collect()))
        }
    } else if shape.is_section() {
        if trimmed.starts_with('{') { inline() } else { None }
    } else if has("boolean") {
        match &*trimmed.to_lowercase() {
            "true" | "yes" | "on" | "1" => scalar(true.into()),
            "false" | "no" | "off" | "0" => scalar(false.into()),
            _ => None,
        }
    } else if has("integer") {
        trimmed.parse::<i64>().map(Json::from).or_else(|_| trimmed.parse::<u64>().map(Json::from)).ok().and_then(scalar)
    } else if has("number") {
        trimmed.parse::<f64>().ok().and_then(|n| scalar(n.into()))
    } else {
        None
    };
    found.unwrap_or_else(as_text)
}

fn unknown(key: &str, path: &str, shape: &Shape<'_>, schema: &Schema, node: &Node) -> Problem {
    let names = shape.properties.iter().map(|(name, _)| *name);
    let nearest = names.map(|name| (strsim::damerau_levenshtein(key, name), name)).min();
    let prefix = || shape.properties.iter().map(|(n, _)| *n).find(|n| n.starts_with(key) || key.starts_with(n));
    let limit = (key.len() / 3).max(2);
    let hint = if let Some(name) = nearest.filter(|(d, _)| *d <= limit).map(|(_, n)| n).or_else(prefix) {
        format!("did you mean `{name}`?")
    } else if let Some(elsewhere) = find(key, &schema.root(), schema, &mut String::new(), 0) {
        format!("did you mean `{elsewhere}`?")
    } else {
        let known: Vec<&str> = shape.properties.iter().map(|(name, _)| *name).collect();
        format!("known here are {}", known.join(", "))
    };
    Problem { key: path.to_owned(), message: format!("unknown key `{path}`: {hint}"), origin: node.origin.clone() }
}

/// The full key of a property of this name anywhere in the schema.
fn find(key: &str, shape: &Shape<'_>, schema: &Schema, path: &mut String, depth: usize) -> Option<String> {
    if depth > 6 {
        return None;
    }
    for (name, child) in &shape.properties {
        let length = path.len();
        push_key(path, name);
        if *name == key {
            return Some(path.clone());
        }
        if let Some(found) = find(key, &schema.shape(child), schema, path, depth + 1) {
            return Some(found);
        }
        path.truncate(length);
    }
    None
}

/// Makes the typed value. Each problem takes its node out of the tree, until nothing is wrong or nothing is left.
pub(super) fn deserialize<T: DeserializeOwned>(
    root: &mut Node,
    schema: &Schema,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    while problems.len() < PROBLEMS_MAX {
        let error = match serde_path_to_error::deserialize::<_, T>(root.to_json()) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let steps: Vec<Step> = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                Segment::Seq { index } => Some(Step::Index(*index)),
                Segment::Map { key } => Some(Step::Key(key.clone())),
                Segment::Enum { variant } => Some(Step::Key(variant.clone())),
                Segment::Unknown => None,
            })
            .collect();
        let (positions, path) = root.locate(&steps);
        let node = root.at_mut(&positions)?;
        let shape = shape_at(&path, schema);
        let error = error.into_inner();
        // A key that was refused is missing afterwards, which is no second problem.
        if !lacks_refused_key(node, &error.to_string()) {
            problems.push(wrong(node, &path, &message(&error, &shape), &shape));
        }
        if path.is_empty() {
            return None;
        }
        node.skip = true;
    }
    None
}

fn lacks_refused_key(node: &Node, error: &str) -> bool {
    let missing = error.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match (&node.value, missing) {
        (Value::Map(entries), Some(missing)) => entries.iter().any(|(key, child)| key == missing && child.skip),
        _ => false,
    }
}

fn shape_at<'a>(path: &str, schema: &'a Schema) -> Shape<'a> {
    let mut shape = schema.root();
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        let next = if part.ends_with(']') {
            shape.items
        } else {
            shape.properties.iter().find(|(name, _)| *name == part).map(|(_, s)| *s).or(shape.values)
        };
        let Some(next) = next else { return Shape::default() };
        shape = schema.shape(next);
    }
    shape
}

/// Serde's own words are for programmers; where the schema knows better, it speaks.
fn message(error: &serde_json::Error, shape: &Shape<'_>) -> String {
    let text = error.to_string();
    let generic = ["invalid type", "invalid value", "unknown variant", "invalid length", "data did not match"];
    if generic.iter().any(|start| text.starts_with(start)) && !(shape.types.is_empty() && shape.choices.is_empty()) {
        format!("expected {}", shape.expected())
    } else {
        text
    }
}

fn wrong(node: &Node, path: &str, message: &str, shape: &Shape<'_>) -> Problem {
    let mut text = if path.is_empty() { message.to_owned() } else { format!("`{path}`: {message}") };
    if let (Value::Scalar(json), false) = (&node.value, shape.is_secret()) {
        let shown = json.to_string();
        let cut: String = shown.chars().take(SHOWN_CHARS_MAX).collect();
        let dots = if cut.len() < shown.len() { "…" } else { "" };
        let mut hint = String::new();
        let choices = shape.choices.iter().map(|(c, _)| *c);
        let given = json.as_str().unwrap_or_default();
        let near = choices.map(|c| (strsim::damerau_levenshtein(c, given), c)).min().filter(|(d, _)| *d <= 2);
        if let Some((_, near)) = near.filter(|_| !given.is_empty()) {
            hint = format!("; did you mean {near}?");
        } else if json.is_number() && shape.types.contains(&"string") {
            "; put it in quotes".clone_into(&mut hint);
        }
        text = format!("{text}, not {cut}{dots}{hint}");
    }
    Problem { key: path.to_owned(), message: text, origin: node.origin.clone() }
}
