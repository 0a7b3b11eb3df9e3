//! From a YAML stream to documents and issues. What is malformed is told and left out; the rest loads.

use std::sync::Arc;

use guardian_model::{Micros, Severity};

use crate::document::{Body, Document, Extension, LogSource, Rule, Status};
use crate::issue::{Issue, IssueLevel};
use crate::read::Reader;
use crate::template::Template;
use crate::yaml::{Loaded, Node, Value};
use crate::{correlation, detection, yaml};

const KEYS: &[&str] = &[
    "title",
    "id",
    "name",
    "related",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "detection",
    "correlation",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "aliases",
    "generate",
    "guardian",
];
const EXTENSION_KEYS: &[&str] = &["next_steps", "entity", "summary", "alert_window"];
/// Shortest and longest time an alert stays open.
const ALERT_WINDOW_MIN: i64 = Micros::MINUTE;
const ALERT_WINDOW_MAX: i64 = 7 * Micros::DAY;

/// What a stream held.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The documents that are usable, in order.
    pub documents: Vec<Arc<Document>>,
    /// What was wrong, with lines of the stream.
    pub issues: Vec<Issue>,
}

/// Reads a stream of Sigma rules and correlation rules.
pub fn parse(stream: &str) -> Parsed {
    let (loaded, mut issues) = yaml::load(stream);
    let mut documents = Vec::new();
    for Loaded { source, root } in loaded {
        let root = match root {
            Ok(root) => root,
            Err(issue) => {
                issues.push(issue);
                continue;
            }
        };
        let mut reader = Reader::default();
        let document = read_document(&mut reader, &root, source);
        let failed = reader.issues.iter().any(|i| i.level == IssueLevel::Error);
        let name = ["id", "name", "title"].iter().find_map(|k| match &root.get(k)?.value {
            Value::Scalar(scalar) => Some(crate::read::scalar_text(scalar)),
            _ => None,
        });
        issues.extend(reader.issues.into_iter().map(|mut issue| {
            issue.rule.clone_from(&name);
            issue
        }));
        documents.extend(document.filter(|_| !failed).map(Arc::new));
    }
    Parsed { documents, issues }
}

fn read_document(reader: &mut Reader, root: &Node, source: &str) -> Option<Document> {
    if !matches!(root.value, Value::Map(_)) {
        reader.error(root.place, format!("a rule is a map, this is {}", root.what()), "start with `title: ...`");
        return None;
    }
    reader.unknown_keys(root, "", KEYS);
    let mut hasher = blake3::Hasher::new_derive_key("guardian rule content v1");
    root.hash_into(&mut hasher);
    let hash = hasher.finalize();
    let title = reader.text_of(root, "title").unwrap_or_default();
    if title.is_empty() {
        reader.error(root.place, "the rule has no title", "add `title: ...`");
    }
    let id = reader.text_of(root, "id").unwrap_or_else(|| derived_id(&hash));
    let body = match (root.get("detection"), root.get("correlation")) {
        (_, Some(map)) => correlation::read(reader, root, map).map(Body::Correlation),
        (Some(map), None) => read_rule(reader, root, map).map(Body::Rule),
        (None, None) => {
            let help = "add `detection` with a condition, or `correlation`";
            reader.error(root.place, "the rule has neither a detection nor a correlation", help);
            None
        }
    };
    Some(Document {
        id,
        name: reader.text_of(root, "name"),
        title,
        description: reader.text_of(root, "description").unwrap_or_default(),
        status: status(reader, root),
        level: level(reader, root),
        tags: reader.texts_of(root, "tags").into_iter().map(|(tag, _)| tag.to_lowercase()).collect(),
        author: reader.text_of(root, "author").unwrap_or_default(),
        references: reader.texts_of(root, "references").into_iter().map(|(text, _)| text).collect(),
        falsepositives: reader.texts_of(root, "falsepositives").into_iter().map(|(text, _)| text).collect(),
        hash: hash.to_hex().to_string(),
        extension: extension(reader, root),
        place: root.place,
        source: source.to_owned(),
        body: body?,
    })
}

/// An id for documents without one, in the form of a UUID so that it can be used where ids are.
fn derived_id(hash: &blake3::Hash) -> String {
    let hex = hash.to_hex();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}

fn read_rule(reader: &mut Reader, root: &Node, map: &Node) -> Option<Rule> {
    let detection = detection::read(reader, map);
    let logsource = match root.get("logsource") {
        Some(node) if matches!(node.value, Value::Map(_)) => {
            reader.unknown_keys(node, "logsource", &["category", "product", "service", "definition"]);
            LogSource {
                category: reader.text_of(node, "category"),
                product: reader.text_of(node, "product"),
                service: reader.text_of(node, "service"),
                place: node.place,
            }
        }
        _ => {
            reader.error(
                root.place,
                "the rule has no logsource",
                "add for example `logsource: {category: network_connection}`",
            );
            return None;
        }
    };
    let (selections, condition) = detection?;
    let fields = reader.texts_of(root, "fields").into_iter().map(|(text, _)| text).collect();
    Some(Rule { logsource, selections, condition, fields })
}

fn status(reader: &mut Reader, root: &Node) -> Status {
    let Some(node) = root.get("status") else { return Status::default() };
    let text = reader.text(node, "status").unwrap_or_default();
    match text.as_str() {
        "stable" => Status::Stable,
        "test" => Status::Test,
        "experimental" => Status::Experimental,
        "deprecated" => Status::Deprecated,
        "unsupported" => Status::Unsupported,
        _ => {
            let known = ["stable", "test", "experimental", "deprecated", "unsupported"];
            reader.warning(node.place, format!("unknown status `{text}`"), crate::suggest(&text, &known));
            Status::default()
        }
    }
}

fn level(reader: &mut Reader, root: &Node) -> Severity {
    let Some(node) = root.get("level") else { return Severity::Informational };
    let text = reader.text(node, "level").unwrap_or_default();
    text.parse().unwrap_or_else(|_| {
        let known = Severity::ALL.map(Severity::as_str);
        reader.warning(node.place, format!("unknown level `{text}`; taken as medium"), crate::suggest(&text, &known));
        Severity::Medium
    })
}

fn extension(reader: &mut Reader, root: &Node) -> Extension {
    let Some(map) = root.get("guardian").filter(|node| !node.is_null()) else { return Extension::default() };
    if !matches!(map.value, Value::Map(_)) {
        reader.error(map.place, format!("`guardian` is {}; a map is expected", map.what()), "");
        return Extension::default();
    }
    reader.unknown_keys(map, "guardian", EXTENSION_KEYS);
    let summary = map.get("summary").and_then(|node| {
        let text = reader.text(node, "summary")?;
        match Template::parse(text.trim()) {
            Ok(template) => Some((template, node.place)),
            Err(message) => {
                reader.error(
                    node.place,
                    format!("`summary`: {message}"),
                    "placeholders are `{src_ip}`, `{count}`, `{timespan}`",
                );
                None
            }
        }
    });
    Extension {
        next_steps: reader.texts_of(map, "next_steps").into_iter().map(|(text, _)| text).collect(),
        entity: map.get("entity").and_then(|node| reader.text(node, "entity").map(|text| (text, node.place))),
        summary,
        alert_window: map
            .get("alert_window")
            .and_then(|node| reader.duration(node, "alert_window", ALERT_WINDOW_MIN, ALERT_WINDOW_MAX)),
    }
}
