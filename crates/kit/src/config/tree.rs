//! The configuration as written: a tree in which every node knows where it was set. Types come later, from the schema.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;
use serde_saphyr::Spanned;

use super::problem::{Origin, Problem};

/// Levels of nesting that a configuration may have.
const DEPTH_MAX: usize = 32;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Option<Origin>,
    /// Left out of the result, because it was reported or holds nothing.
    pub(super) skip: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A scalar with its type, as YAML has it.
    Scalar(Json),
    /// Text from the environment or a flag, whose type the schema decides.
    Raw(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// One step from a node to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Node {
    pub(super) fn empty() -> Self {
        Self::new(Value::Map(Vec::new()), None)
    }

    pub(super) fn new(value: Value, origin: Option<Origin>) -> Self {
        Self { value, origin, skip: false }
    }

    /// Sets a key, replacing what was there. A list or scalar on the way is replaced by a map.
    pub(super) fn set<'a>(&mut self, mut path: impl Iterator<Item = &'a str>, text: &str, origin: Origin) {
        let Some(key) = path.next() else {
            *self = Self::new(Value::Raw(text.to_owned()), Some(origin));
            return;
        };
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut self.value else { return };
        let at = entries.iter().position(|(k, _)| k == key).unwrap_or_else(|| {
            let mut child = Self::empty();
            child.origin = Some(origin.clone());
            entries.push((key.to_owned(), child));
            entries.len() - 1
        });
        entries[at].1.set(path, text, origin);
    }

    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Scalar(json) => json.clone(),
            Value::Raw(text) => Json::String(text.clone()),
            Value::List(items) => items.iter().filter(|n| !n.skip).map(Self::to_json).collect(),
            Value::Map(entries) => {
                Json::Object(entries.iter().filter(|e| !e.1.skip).map(|(k, n)| (k.clone(), n.to_json())).collect())
            }
        }
    }

    /// Positions of the children on a path through what [`Node::to_json`] kept, as deep as there are any, and that path
    /// as it was written.
    pub(super) fn locate(&self, steps: &[Step]) -> (Vec<usize>, String) {
        let (mut node, mut positions, mut written) = (self, Vec::new(), String::new());
        for step in steps {
            let position = match (&node.value, step) {
                (Value::Map(entries), Step::Key(key)) => entries.iter().position(|(k, n)| k == key && !n.skip),
                (Value::List(items), Step::Index(index)) => (0..items.len()).filter(|i| !items[*i].skip).nth(*index),
                _ => None,
            };
            let Some(position) = position else { break };
            node = match &node.value {
                Value::Map(entries) => {
                    push_key(&mut written, &entries[position].0);
                    &entries[position].1
                }
                Value::List(items) => {
                    push_index(&mut written, position);
                    &items[position]
                }
                Value::Scalar(_) | Value::Raw(_) => break,
            };
            positions.push(position);
        }
        (positions, written)
    }

    /// The node at these positions.
    pub(super) fn at_mut(&mut self, positions: &[usize]) -> Option<&mut Self> {
        positions.iter().try_fold(self, |node, position| match &mut node.value {
            Value::Map(entries) => entries.get_mut(*position).map(|(_, child)| child),
            Value::List(items) => items.get_mut(*position),
            Value::Scalar(_) | Value::Raw(_) => None,
        })
    }

    /// Where each leaf was set, by dotted key.
    pub(super) fn origins(&self) -> BTreeMap<String, Origin> {
        let mut out = BTreeMap::new();
        self.collect_origins(&mut String::new(), &mut out);
        out
    }

    fn collect_origins(&self, path: &mut String, out: &mut BTreeMap<String, Origin>) {
        match &self.value {
            _ if self.skip => {}
            Value::Map(entries) => {
                for (key, node) in entries {
                    let length = path.len();
                    push_key(path, key);
                    node.collect_origins(path, out);
                    path.truncate(length);
                }
            }
            _ => {
                if let Some(origin) = &self.origin {
                    out.insert(path.clone(), origin.clone());
                }
            }
        }
    }
}

pub(super) fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

pub(super) fn push_index(path: &mut String, index: usize) {
    path.push('[');
    path.push_str(&index.to_string());
    path.push(']');
}

/// Reads YAML. Empty text is an empty map.
pub(super) fn parse_yaml(name: &str, text: &str) -> Result<Node, Problem> {
    let problem = |message: String, line: u64| Problem {
        key: String::new(),
        message,
        origin: Some(Origin::File { name: name.to_owned(), line }),
    };
    if text.lines().all(|line| line.trim_start().starts_with('#') || matches!(line.trim(), "" | "---")) {
        return Ok(Node::empty());
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_nodes: 50_000, max_documents: 1, max_aliases: 100 },
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Parsed>>(text, options) {
        Ok(parsed) if matches!(parsed.value, Parsed::Scalar(Json::Null)) => Ok(Node::empty()),
        Ok(parsed) if matches!(parsed.value, Parsed::Map(_)) => Ok(place(parsed, &Arc::from(name))),
        Ok(_) => Err(problem("the configuration must be keys with values".to_owned(), 0)),
        Err(error) => {
            let line = error.location().map_or(0, |l| l.line());
            Err(problem(format!("not valid YAML: {}", error.without_snippet()), line))
        }
    }
}

/// Text from the environment or a flag that is written as YAML (`[a, b]`, `{k: v}`).
pub(super) fn parse_inline(text: &str, origin: Option<&Origin>) -> Option<Node> {
    let mut node = parse_yaml("", &format!("v: {text}")).ok()?;
    let Value::Map(entries) = &mut node.value else { return None };
    let mut node = entries.pop()?.1;
    relocate(&mut node, origin);
    Some(node)
}

fn relocate(node: &mut Node, origin: Option<&Origin>) {
    node.origin = origin.cloned();
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|n| relocate(n, origin)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, n)| relocate(n, origin)),
        Value::Scalar(_) | Value::Raw(_) => {}
    }
}

fn place(parsed: Spanned<Parsed>, name: &Arc<str>) -> Node {
    let origin = Some(Origin::File { name: name.to_string(), line: parsed.referenced.line() });
    let value = match parsed.value {
        Parsed::Scalar(json) => Value::Scalar(json),
        Parsed::List(items) => Value::List(items.into_iter().map(|n| place(n, name)).collect()),
        Parsed::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let mut node = place(value, name);
                    // The line of the key is where a reader looks, also when the value begins below it.
                    node.origin = Some(Origin::File { name: name.to_string(), line: key.referenced.line() });
                    (key.value, node)
                })
                .collect(),
        ),
    };
    Node::new(value, origin)
}

/// YAML with locations, before names are attached.
#[derive(Debug)]
enum Parsed {
    Scalar(Json),
    List(Vec<Spanned<Parsed>>),
    Map(Vec<(Spanned<String>, Spanned<Parsed>)>),
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Parsed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, v: bool) -> Result<Parsed, E> {
                Ok(Parsed::Scalar(v.into()))
            }

            fn visit_i64<E>(self, v: i64) -> Result<Parsed, E> {
                Ok(Parsed::Scalar(v.into()))
            }

            fn visit_u64<E>(self, v: u64) -> Result<Parsed, E> {
                Ok(Parsed::Scalar(v.into()))
            }

            fn visit_f64<E>(self, v: f64) -> Result<Parsed, E> {
                Ok(Parsed::Scalar(v.into()))
            }

            fn visit_str<E>(self, v: &str) -> Result<Parsed, E> {
                Ok(Parsed::Scalar(v.into()))
            }

            fn visit_unit<E>(self) -> Result<Parsed, E> {
                Ok(Parsed::Scalar(Json::Null))
            }

            fn visit_none<E>(self) -> Result<Parsed, E> {
                Ok(Parsed::Scalar(Json::Null))
            }

            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Parsed, D::Error> {
                Parsed::deserialize(d)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Parsed, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Parsed::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Parsed::Map(entries))
            }
        }

        d.deserialize_any(AnyValue)
    }
}
