//! What may come next at a place in a filter, for editors.

use std::ops::Range;

use guardian_model::{Class, Kind};

use crate::lexer::{Token, tokens};
use crate::names;
use crate::parse::OPERATOR_WORDS;

/// Most suggestions.
const COMPLETIONS_MAX: usize = 50;

/// One suggestion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Bytes of the text that it replaces.
    pub replace: Range<usize>,
    /// What to put there.
    pub text: String,
    /// One sentence about it, or empty.
    pub doc: String,
}

/// What the next word may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected<'a> {
    Field,
    Operator(&'a str),
    Value(&'a str),
    Connective,
}

/// Suggestions at a byte position of a filter over the class.
pub fn complete(class: &Class, text: &str, cursor: usize) -> Vec<Completion> {
    let cursor = text.floor_char_boundary(cursor.min(text.len()));
    let before = &text[..cursor];
    let start = before
        .rfind(|c: char| c.is_whitespace() || "()=!<>~,".contains(c))
        .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
    let (known, word) = before.split_at(start);
    let Ok(tokens) = tokens(known) else { return Vec::new() };
    let words: Vec<&Token> = tokens.iter().map(|(token, _)| token).collect();
    let found = candidates(class, expected(&words));
    let lower = word.to_lowercase();
    let fitting = found.into_iter().filter(|(text, _)| text.to_lowercase().starts_with(&lower));
    let completion = |(text, doc)| Completion { replace: start..cursor, text, doc };
    fitting.take(COMPLETIONS_MAX).map(completion).collect()
}

fn is(token: Option<&&Token>, keyword: &str) -> bool {
    matches!(token, Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword))
}

/// Walks the tokens as the grammar does, without minding mistakes.
fn expected<'a>(words: &[&'a Token]) -> Expected<'a> {
    let mut state = Expected::Field;
    let mut list = false;
    for token in words {
        state = match (state, token) {
            (Expected::Field, Token::Word(word))
                if ["not", "and", "or"].iter().any(|k| word.eq_ignore_ascii_case(k)) =>
            {
                Expected::Field
            }
            (Expected::Field, Token::Word(word)) => Expected::Operator(word),
            (Expected::Operator(field), Token::Operator(_)) | (Expected::Value(field), Token::Comma) => {
                Expected::Value(field)
            }
            (Expected::Operator(field), token) if is(Some(token), "not") => Expected::Operator(field),
            (Expected::Operator(field), Token::Word(_)) => Expected::Value(field),
            (Expected::Value(field), Token::Open) => {
                list = true;
                Expected::Value(field)
            }
            (Expected::Value(field), Token::Word(_) | Token::Text(_)) if list => Expected::Value(field),
            (Expected::Value(_) | Expected::Connective, Token::Close) => {
                list = false;
                Expected::Connective
            }
            (Expected::Value(_), Token::Word(_) | Token::Text(_)) => Expected::Connective,
            (Expected::Connective, Token::Word(_)) => Expected::Field,
            (state, _) => state,
        };
    }
    state
}

fn candidates(class: &Class, expected: Expected<'_>) -> Vec<(String, String)> {
    let plain = |words: &[&str]| words.iter().map(|w| ((*w).to_owned(), String::new())).collect::<Vec<_>>();
    match expected {
        Expected::Field => {
            let fields = class.fields.iter().map(|f| (f.name.to_owned(), f.doc.to_owned()));
            fields.chain(plain(&["not"])).collect()
        }
        Expected::Connective => plain(&["and", "or"]),
        Expected::Operator(_) => plain(OPERATOR_WORDS),
        Expected::Value(field) => {
            let kind = class.sigma_index_of(field).map(|column| class.fields[column].kind);
            match (field, kind) {
                ("protocol", _) => names::PROTOCOLS
                    .iter()
                    .map(|(n, number)| ((*n).to_owned(), format!("Protocol {number}.")))
                    .collect(),
                (field, _) if names::is_tcp_flags(field) => {
                    names::TCP_FLAGS.iter().map(|(n, _)| ((*n).to_owned(), String::new())).collect()
                }
                (_, Some(Kind::Time)) => plain(&["now-15m", "now-1h", "now-24h", "now-7d"]),
                (_, Some(Kind::Bool)) => plain(&["true", "false"]),
                _ => Vec::new(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use guardian_model::FLOW;

    use super::complete;

    #[test]
    fn suggestions_follow_the_grammar() {
        let cases = [
            ("src_i", "src_ip"),
            ("src_ip ", "="),
            ("src_ip i", "in"),
            ("protocol = t", "tcp"),
            ("tcp_flags has (SYN, A", "ACK"),
            ("dst_port = 22 a", "and"),
            ("dst_port in (22, 23) and not dst_c", "dst_country"),
            ("start > now", "now-15m"),
        ];
        for (text, first) in cases {
            let found = complete(&FLOW, text, text.len());
            assert_eq!(found.first().map(|c| c.text.as_str()), Some(first), "{text}");
        }
        let inside = complete(&FLOW, "dst_po = 22", 6);
        assert_eq!((inside[0].text.as_str(), inside[0].replace.clone()), ("dst_port", 0..6));
        assert!(complete(&FLOW, "dst_port = \"", 12).is_empty());
    }
}
