//! Texts of unknown coding and length.

use std::borrow::Cow;

use crate::limits::{LIST_MAX, TEXT_BYTES_MAX};

/// The lines with their numbers from 1, without their ends. What is not UTF-8 is replaced.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    let mut rest = Some(bytes);
    let split = std::iter::from_fn(move || {
        let bytes = rest.filter(|r| !r.is_empty())?;
        let end = bytes.iter().position(|b| *b == b'\n');
        rest = end.map(|end| &bytes[end + 1..]);
        let line = &bytes[..end.unwrap_or(bytes.len())];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    });
    split.enumerate().map(|(i, line)| (i + 1, String::from_utf8_lossy(line)))
}

/// The lines as bytes with their numbers from 1, without their ends.
pub(crate) fn byte_lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = (!bytes.is_empty()).then(|| bytes.split(|b| *b == b'\n')).into_iter().flatten();
    lines.enumerate().map(|(i, line)| (i + 1, line.strip_suffix(b"\r").unwrap_or(line)))
}

/// Bytes, cut off where they are too many.
pub(crate) fn clip_bytes(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(TEXT_BYTES_MAX)].to_vec()
}

/// The text, cut off at a character where it is too long.
pub(crate) fn clip(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The parts, each cut off, as many as a list may have.
pub(crate) fn list<'a>(parts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    parts.into_iter().map(str::trim).filter(|p| !p.is_empty()).take(LIST_MAX).map(clip).collect()
}

/// Bytes as text, cut off.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    // What is cut off is cut before it is decoded, so that a long value costs nothing.
    clip(&String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]))
}

/// Stanzas of `Key: value` lines (RFC 822 and Debian's deb822): fields of each, with continued lines joined by a line
/// break. A blank line ends a stanza. Lines without a colon are given as complaints.
pub(crate) struct Stanzas<'a, I: Iterator<Item = (usize, Cow<'a, str>)>> {
    lines: I,
}

/// The fields of a stanza, with the number of its first line.
pub(crate) struct Stanza {
    pub(crate) line: usize,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) odd: Vec<usize>,
}

impl Stanza {
    /// The first value of a field, whose name is compared without case.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, v)| v.as_str())
    }

    /// Every value of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// The stanzas of `bytes`.
pub(crate) fn stanzas(bytes: &[u8]) -> Stanzas<'_, impl Iterator<Item = (usize, Cow<'_, str>)>> {
    Stanzas { lines: lines(bytes) }
}

/// Fields of one stanza; more are left out.
const FIELDS_MAX: usize = 1_024;

impl<'a, I: Iterator<Item = (usize, Cow<'a, str>)>> Iterator for Stanzas<'a, I> {
    type Item = Stanza;

    fn next(&mut self) -> Option<Stanza> {
        let mut stanza = Stanza { line: 0, fields: Vec::new(), odd: Vec::new() };
        for (number, line) in self.lines.by_ref() {
            if line.trim().is_empty() {
                if stanza.line != 0 {
                    break;
                }
                continue;
            }
            if stanza.line == 0 {
                stanza.line = number;
            }
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = stanza.fields.last_mut()
                    && value.len() < TEXT_BYTES_MAX
                {
                    value.push('\n');
                    value.push_str(&clip(line.trim()));
                }
            } else if let Some((name, value)) = line.split_once(':') {
                if stanza.fields.len() < FIELDS_MAX {
                    stanza.fields.push((clip(name.trim()), clip(value.trim())));
                }
            } else if stanza.odd.len() < LIST_MAX {
                stanza.odd.push(number);
            }
        }
        (stanza.line != 0).then_some(stanza)
    }
}

/// The texts between double or single quotes in a line, as far as there are pairs.
pub(crate) fn quoted(line: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), line);
    while let Some(start) = rest.find(['"', '\'']) {
        let quote = rest.as_bytes()[start] as char;
        let inside = &rest[start + 1..];
        let Some(end) = inside.find(quote) else { break };
        found.push(&inside[..end]);
        rest = &inside[end + 1..];
        if found.len() == LIST_MAX {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_stanzas() {
        let all: Vec<_> = lines(b"a\r\n\nb\xff").map(|(n, l)| (n, l.into_owned())).collect();
        assert_eq!(all, [(1, "a".into()), (2, String::new()), (3, "b\u{fffd}".into())]);
        let found: Vec<_> = stanzas(b"\n\nA: 1\nB: x\n y\n  z\nodd\n\n\na: 2\n").collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[0].get("b"), &found[0].odd[..]), (3, "x\ny\nz", &[7][..]));
        assert_eq!(found[1].get("A"), "2");
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        let long = "é".repeat(TEXT_BYTES_MAX);
        assert_eq!(clip(&long).len(), TEXT_BYTES_MAX);
        assert!(clip(&format!("x{long}")).len() < TEXT_BYTES_MAX);
        assert_eq!(quoted(r#"a "b" 'c"d' "e"#), ["b", "c\"d"]);
    }
}
