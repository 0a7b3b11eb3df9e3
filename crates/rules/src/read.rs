//! Reading typed values out of a YAML tree, with issues that name the key and what was expected.

use crate::document::Scalar;
use crate::issue::{Issue, Place};
use crate::yaml::{Node, Value};

/// Longest text of a metadata field, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Collects issues while a document is read.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) issues: Vec<Issue>,
}

impl Reader {
    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.issues.push(Issue::error(place, message).help(help));
    }

    pub(crate) fn warning(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.issues.push(Issue::warning(place, message).help(help));
    }

    /// Warns of keys that nothing reads.
    pub(crate) fn unknown_keys(&mut self, map: &Node, inside: &str, known: &[&str]) {
        let Value::Map(entries) = &map.value else { return };
        for (key, _) in entries.iter().filter(|(k, _)| !known.contains(&k.text.as_str())) {
            let of = if inside.is_empty() { String::new() } else { format!(" in `{inside}`") };
            self.warning(
                key.place,
                format!("unknown key `{}`{of} is ignored", key.text),
                crate::suggest(&key.text, known),
            );
        }
    }

    /// Text; numbers and truth values are taken as written.
    pub(crate) fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let text = match &node.value {
            Value::Scalar(Scalar::Null) => return None,
            Value::Scalar(scalar) => scalar_text(scalar),
            _ => {
                self.error(node.place, format!("`{key}` is {}; text is expected", node.what()), "");
                return None;
            }
        };
        if text.len() > TEXT_BYTES_MAX {
            self.error(node.place, format!("`{key}` has more than {} KiB", TEXT_BYTES_MAX >> 10), "");
            return None;
        }
        Some(text)
    }

    pub(crate) fn text_of(&mut self, map: &Node, key: &str) -> Option<String> {
        map.get(key).and_then(|node| self.text(node, key))
    }

    /// A list of texts; one text is a list of one.
    pub(crate) fn texts(&mut self, node: &Node, key: &str) -> Vec<(String, Place)> {
        match &node.value {
            Value::List(items) => {
                items.iter().filter_map(|item| self.text(item, key).map(|text| (text, item.place))).collect()
            }
            _ => self.text(node, key).map(|text| (text, node.place)).into_iter().collect(),
        }
    }

    pub(crate) fn texts_of(&mut self, map: &Node, key: &str) -> Vec<(String, Place)> {
        map.get(key).map(|node| self.texts(node, key)).unwrap_or_default()
    }

    pub(crate) fn bool_of(&mut self, map: &Node, key: &str) -> Option<bool> {
        let node = map.get(key)?;
        if let Value::Scalar(Scalar::Bool(b)) = node.value {
            return Some(b);
        }
        self.error(node.place, format!("`{key}` is {}; true or false is expected", node.what()), "");
        None
    }

    /// A duration such as `5m`, in microseconds, within limits.
    pub(crate) fn duration(&mut self, node: &Node, key: &str, min: i64, max: i64) -> Option<i64> {
        let text = self.text(node, key)?;
        let Some(micros) = guardian_expr::duration(&text) else {
            self.error(
                node.place,
                format!("`{key}: {text}` is not a duration"),
                "write a number and s, m, h or d: `5m`",
            );
            return None;
        };
        if !(min..=max).contains(&micros) {
            let (min, max) = (crate::duration_words(min), crate::duration_words(max));
            self.error(node.place, format!("`{key}: {text}` is out of bounds"), format!("{min} to {max} are possible"));
            return None;
        }
        Some(micros)
    }
}

/// A scalar as it would be written.
pub(crate) fn scalar_text(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(b) => b.to_string(),
        Scalar::Int(i) => i.to_string(),
        Scalar::Float(x) => x.to_string(),
        Scalar::Text(text) => text.clone(),
    }
}
