//! YAML as rules need it: a tree with places, plain limits, and one broken document never spoils its neighbours.
//! Must never resolve tags into anything but plain data.

use std::borrow::Cow;

use granit_parser::{Event, Parser, ScalarStyle};
use hashbrown::HashMap;

use crate::document::Scalar;
use crate::issue::{Issue, Place};

/// Longest stream, in bytes.
pub(crate) const STREAM_BYTES_MAX: usize = 16 << 20;
/// Longest document, in bytes.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 256 << 10;
/// Most documents of a stream.
pub(crate) const DOCUMENTS_MAX: usize = 10_000;
/// Most nodes of a document, those that aliases repeat included.
pub(crate) const NODES_MAX: usize = 20_000;
/// Deepest nesting.
pub(crate) const DEPTH_MAX: usize = 24;

/// A node with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Node {
    pub(crate) const fn what(&self) -> &'static str {
        match &self.value {
            Value::Scalar(Scalar::Null) => "nothing",
            Value::Scalar(Scalar::Bool(_)) => "true or false",
            Value::Scalar(Scalar::Int(_) | Scalar::Float(_)) => "a number",
            Value::Scalar(Scalar::Text(_)) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    pub(crate) const fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar(Scalar::Null))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Feeds a canonical form to a hasher: layout, comments, quoting, key order and aliases do not count.
    pub(crate) fn hash_into(&self, hasher: &mut blake3::Hasher) {
        let mut text = |tag: u8, text: &str| {
            hasher.update(&[tag]);
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        match &self.value {
            Value::Scalar(Scalar::Null) => text(b'n', ""),
            Value::Scalar(Scalar::Bool(b)) => text(b'b', if *b { "t" } else { "f" }),
            Value::Scalar(Scalar::Int(i)) => text(b'i', &i.to_string()),
            Value::Scalar(Scalar::Float(x)) => text(b'f', &x.to_string()),
            Value::Scalar(Scalar::Text(t)) => text(b's', t),
            Value::List(items) => {
                text(b'l', &items.len().to_string());
                for item in items {
                    item.hash_into(hasher);
                }
            }
            Value::Map(entries) => {
                text(b'm', &entries.len().to_string());
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by(|a, b| a.0.text.cmp(&b.0.text));
                for (key, node) in sorted {
                    hasher.update(&(key.text.len() as u64).to_le_bytes());
                    hasher.update(key.text.as_bytes());
                    node.hash_into(hasher);
                }
            }
        }
    }
}

/// One document of a stream: its tree, or what is wrong with it.
pub(crate) struct Loaded<'a> {
    pub(crate) source: &'a str,
    pub(crate) root: Result<Node, Issue>,
}

/// Reads a stream. A marker line (`---`) always ends a document in YAML, also within scalars, so the text is cut
/// there first and each piece stands for itself. Pieces without content are skipped.
pub(crate) fn load(stream: &str) -> (Vec<Loaded<'_>>, Vec<Issue>) {
    let (mut documents, mut issues) = (Vec::new(), Vec::new());
    if stream.len() > STREAM_BYTES_MAX {
        let message = format!("the stream is longer than {} MiB", STREAM_BYTES_MAX >> 20);
        issues.push(Issue::error(Place::default(), message).help("split it into several files"));
        return (documents, issues);
    }
    for (source, line) in pieces(stream.trim_start_matches('\u{feff}')) {
        if source
            .lines()
            .all(|l| l.trim().is_empty() || l.trim_start().starts_with('#') || l.trim() == "---" || l.starts_with('%'))
        {
            continue;
        }
        let at = Place { document: documents.len(), line, column: 1 };
        if documents.len() == DOCUMENTS_MAX {
            issues
                .push(Issue::error(at, format!("a stream has at most {DOCUMENTS_MAX} documents; the rest is ignored")));
            break;
        }
        let root = if source.len() > DOCUMENT_BYTES_MAX {
            Err(Issue::error(at, format!("a document has at most {} KiB", DOCUMENT_BYTES_MAX >> 10)))
        } else {
            Loader::new(source, at).document()
        };
        documents.push(Loaded { source, root });
    }
    (documents, issues)
}

/// The pieces between marker lines, each with its marker, and the line (from 1) at which it starts.
fn pieces(stream: &str) -> Vec<(&str, usize)> {
    let (mut pieces, mut start, mut start_line, mut at) = (Vec::new(), 0, 1, 0);
    for (number, line) in stream.split_inclusive('\n').enumerate() {
        let marker =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marker && at > start {
            pieces.push((&stream[start..at], start_line));
            (start, start_line) = (at, number + 1);
        }
        at += line.len();
    }
    pieces.push((&stream[start..], start_line));
    pieces
}

struct Loader<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    at: Place,
    nodes: usize,
    anchors: HashMap<usize, Node>,
}

impl<'a> Loader<'a> {
    fn new(source: &'a str, at: Place) -> Self {
        let options = granit_parser::options! { emit_comments: false };
        Self { events: Parser::new_from_str_with_options(source, options), at, nodes: 0, anchors: HashMap::new() }
    }

    fn place(&self, mark: granit_parser::Marker) -> Place {
        Place { document: self.at.document, line: self.at.line + mark.line().saturating_sub(1), column: mark.col() + 1 }
    }

    fn next(&mut self) -> Result<(Event<'a>, Place), Issue> {
        loop {
            match self.events.next_event() {
                None => return Ok((Event::StreamEnd, self.at)),
                Some(Err(error)) => {
                    let place = self.place(*error.marker());
                    let help = if error.info().contains("tab") { "indent with spaces, never tabs" } else { "" };
                    return Err(Issue::error(place, format!("not YAML: {}", error.info())).help(help));
                }
                Some(Ok((Event::StreamStart | Event::DocumentStart(..), _))) => {}
                Some(Ok((event, span))) => return Ok((event, self.place(span.start))),
            }
        }
    }

    fn document(mut self) -> Result<Node, Issue> {
        let (event, place) = self.next()?;
        let root = self.node(event, place, 0)?;
        // What follows an explicit end marker (`...`) would be another document without its own marker line.
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(root),
                (_, place) => {
                    return Err(Issue::error(place, "text after the end of the document")
                        .help("start the next document with `---`"));
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node, Issue> {
        self.count(1, place)?;
        if depth > DEPTH_MAX {
            return Err(Issue::error(place, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                (Value::Scalar(if plain { resolve(&text) } else { Scalar::Text(text.into_owned()) }), anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, place) => items.push(self.node(event, place, depth + 1)?),
                    }
                }
                (Value::List(items), anchor)
            }
            Event::MappingStart(_, anchor, _) => (Value::Map(self.map(depth)?), anchor),
            Event::Alias(id) => return self.alias(id, place),
            _ => return Err(Issue::error(place, "a value is missing here")),
        };
        let node = Node { value, place };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Issue> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, place) = self.next()?;
            let text: Cow<'_, str> = match event {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(text, ..) => text,
                _ => return Err(Issue::error(place, "a key must be plain text")),
            };
            if entries.iter().any(|(k, _)| k.text == text) {
                return Err(Issue::error(place, format!("the key `{text}` is there twice"))
                    .help("YAML allows each key once; use a list of values or of maps"));
            }
            let key = Key { text: text.into_owned(), place };
            let (event, place) = self.next()?;
            entries.push((key, self.node(event, place, depth + 1)?));
        }
    }

    /// A copy of what the anchor named. A node is known only when it is complete, so that none can hold itself.
    fn alias(&mut self, id: usize, place: Place) -> Result<Node, Issue> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(Issue::error(place, "this alias refers to a node that holds it"));
        };
        self.count(size(&node), place)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Issue> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(Issue::error(place, format!("a document has at most {NODES_MAX} values, aliases included")));
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar(_) => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, n)| size(n)).sum(),
    }
}

/// A plain scalar by the core schema (YAML 1.2.2 section 10.3.2).
fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    let radix = |prefix: &str, radix| text.strip_prefix(prefix).and_then(|t| i128::from_str_radix(t, radix).ok());
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        if let Ok(number) = text.parse() {
            return Scalar::Int(number);
        }
    } else if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)).filter(|n| *n >= 0) {
        return Scalar::Int(number);
    } else if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b))
        && let Ok(number) = text.parse::<f64>()
    {
        return Scalar::Float(number);
    }
    Scalar::Text(text.to_owned())
}
