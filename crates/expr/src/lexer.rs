//! A filter's text cut into tokens.

use std::ops::Range;

use crate::error::ExprError;

/// Longest filter, in bytes.
pub const EXPR_BYTES_MAX: usize = 16 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name, number, address, time or keyword.
    Word(String),
    /// Quoted text.
    Text(String),
    /// An operator: `=`, `!=`, `<`, `<=`, `>`, `>=`, `~`, `!~`.
    Operator(&'static str),
    Open,
    Close,
    Comma,
}

pub(crate) type Spanned = (Token, Range<usize>);

const OPERATORS: &[(&str, &str)] = &[
    ("==", "="),
    ("!=", "!="),
    ("<>", "!="),
    ("<=", "<="),
    (">=", ">="),
    ("!~", "!~"),
    ("=", "="),
    ("<", "<"),
    (">", ">"),
    ("~", "~"),
];
/// Symbols that stand for keywords.
const SYMBOLS: &[(&str, &str)] = &[("&&", "and"), ("||", "or"), ("!", "not")];

pub(crate) fn tokens(text: &str) -> Result<Vec<Spanned>, ExprError> {
    if text.len() > EXPR_BYTES_MAX {
        return Err(ExprError::new(EXPR_BYTES_MAX..text.len(), format!("a filter has at most {EXPR_BYTES_MAX} bytes")));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, length) = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '"' | '\'' => quoted(rest, c, at)?,
            _ => {
                if let Some((written, operator)) = OPERATORS.iter().find(|(w, _)| rest.starts_with(w)) {
                    (Token::Operator(operator), written.len())
                } else if let Some((written, keyword)) = SYMBOLS.iter().find(|(w, _)| rest.starts_with(w)) {
                    (Token::Word((*keyword).to_owned()), written.len())
                } else {
                    let ends = |c: char| c.is_whitespace() || "()=!<>~,\"'&|".contains(c);
                    let length = rest.find(ends).unwrap_or(rest.len());
                    if length == 0 {
                        let span = at..at + c.len_utf8();
                        return Err(
                            ExprError::new(span, format!("`{c}` has no meaning here")).help("write `and` or `or`")
                        );
                    }
                    (Token::Word(rest[..length].to_owned()), length)
                }
            }
        };
        tokens.push((token, at..at + length));
        at += length;
    }
    Ok(tokens)
}

fn quoted(rest: &str, quote: char, at: usize) -> Result<(Token, usize), ExprError> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        if c == quote {
            return Ok((Token::Text(text), i + 1));
        }
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some((_, c)) if c == quote || c == '\\' => text.push(c),
            // Any other backslash is itself, so that patterns can escape their wildcards.
            Some((_, c)) => text.extend(['\\', c]),
            None => {}
        }
    }
    Err(ExprError::new(at..at + rest.len(), "the closing quote is missing"))
}
