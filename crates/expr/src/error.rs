//! What is wrong with a filter, and where.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// An error with its place in the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}{}{help}", if help.is_empty() { "" } else { ": " })]
pub struct ExprError {
    /// Bytes of the text that are meant.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it, or empty.
    pub help: String,
}

impl ExprError {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: String::new() }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// The line of the text with carets under what is meant, then the message and the help.
    pub fn render(&self, text: &str) -> String {
        let start = text.floor_char_boundary(self.span.start.min(text.len()));
        let end = text.ceil_char_boundary(self.span.end.clamp(start, text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let before = text[line_start..start].chars().count();
        let carets = text[start..end.min(line_end).max(start)].chars().count().max(1);
        let mut rendered =
            format!("{}\n{}{} {}", &text[line_start..line_end], " ".repeat(before), "^".repeat(carets), self.message);
        if !self.help.is_empty() {
            rendered.push_str("\nhelp: ");
            rendered.push_str(&self.help);
        }
        rendered
    }
}

/// Longest word that is compared with known ones, in bytes, and most known words that are looked at: comparing costs
/// the product of the lengths.
const SUGGEST_BYTES_MAX: usize = 64;
const SUGGEST_KNOWN_MAX: usize = 256;

/// What was probably meant, as a help text; empty where nothing is near.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    if word.len() > SUGGEST_BYTES_MAX {
        return String::new();
    }
    let lower = word.to_lowercase();
    let far = 1 + word.chars().count() / 4;
    let best = known
        .into_iter()
        .take(SUGGEST_KNOWN_MAX)
        .filter(|k| k.len().abs_diff(word.len()) <= 4 * far)
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), k))
        .min_by_key(|(distance, k)| (*distance, *k));
    match best {
        Some((distance, k)) if distance <= far => format!("did you mean `{k}`?"),
        _ => String::new(),
    }
}
