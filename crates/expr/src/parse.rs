//! The grammar of filters.
//!
//! ```text
//! filter  = and { "or" and }          and  = not { "and" not }
//! not     = "not" not | "(" filter ")" | test
//! test    = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
//!         | field ["not"] "in" ( value | "(" value { "," value } ")" )
//!         | field ( ["not"] "like" | "~" | "!~" ) value
//!         | field "is" ["not"] "null"
//!         | field "has" ( value | "(" value { "," value } ")" )
//! ```

use std::ops::Range;

use crate::error::{ExprError, suggest};
use crate::lexer::{Spanned, Token, tokens};
use crate::names;

/// Deepest nesting of parentheses and `not`.
pub const DEPTH_MAX: usize = 64;
/// Most values of a list.
pub const VALUES_MAX: usize = 4096;

/// A filter as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    pub(crate) text: String,
    /// `None` is the empty filter, which keeps everything.
    pub(crate) root: Option<Ast>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ast {
    And(Vec<Ast>),
    Or(Vec<Ast>),
    Not(Box<Ast>),
    Test(Test),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) field: (String, Range<usize>),
    pub(crate) operator: Operator,
    pub(crate) negated: bool,
    pub(crate) values: Vec<Literal>,
    pub(crate) span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    Null,
    Has,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) text: String,
    pub(crate) quoted: bool,
    pub(crate) span: Range<usize>,
}

pub(crate) const KEYWORDS: &[&str] = &["and", "or", "not", "in", "like", "is", "null", "has"];
pub(crate) const OPERATOR_WORDS: &[&str] =
    &["=", "!=", "<", "<=", ">", ">=", "~", "in", "not in", "like", "has", "is null", "is not null"];

impl Expr {
    /// Reads a filter. The empty text keeps everything.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0, end: text.len() };
        let root = if tokens.is_empty() { None } else { Some(parser.or(0)?) };
        if let Some((token, span)) = tokens.get(parser.at) {
            let error = match token {
                Token::Close => ExprError::new(span.clone(), "a closing parenthesis without an opening one"),
                _ => ExprError::new(span.clone(), "`and` or `or` is missing before this"),
            };
            return Err(error);
        }
        Ok(Self { text: text.to_owned(), root })
    }

    /// The text as given.
    pub fn text(&self) -> &str {
        &self.text
    }
}

struct Parser<'a> {
    tokens: &'a [Spanned],
    at: usize,
    end: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.end..self.end, |(_, span)| span.clone())
    }

    fn is_word(&self, offset: usize, keyword: &str) -> bool {
        matches!(self.tokens.get(self.at + offset), Some((Token::Word(w), _)) if w.eq_ignore_ascii_case(keyword))
    }

    fn take_word(&mut self, keyword: &str) -> bool {
        let found = self.is_word(0, keyword);
        self.at += usize::from(found);
        found
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Ast, ExprError> {
        let mut parts = vec![self.and(depth)?];
        while self.take_word("or") {
            parts.push(self.and(depth)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Ast::Or(parts) })
    }

    fn and(&mut self, depth: usize) -> Result<Ast, ExprError> {
        let mut parts = vec![self.not(depth)?];
        while self.take_word("and") {
            parts.push(self.not(depth)?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Ast::And(parts) })
    }

    fn not(&mut self, depth: usize) -> Result<Ast, ExprError> {
        if depth > DEPTH_MAX {
            return Err(ExprError::new(self.span(), format!("nested deeper than {DEPTH_MAX} levels")));
        }
        if self.take_word("not") {
            return Ok(Ast::Not(Box::new(self.not(depth + 1)?)));
        }
        let open = self.span();
        if self.take(&Token::Open) {
            let inner = self.or(depth + 1)?;
            if !self.take(&Token::Close) {
                return Err(ExprError::new(open, "this parenthesis is never closed"));
            }
            return Ok(inner);
        }
        self.test().map(Ast::Test)
    }

    fn test(&mut self) -> Result<Test, ExprError> {
        let span = self.span();
        let field = match self.peek() {
            Some(Token::Word(word)) if !KEYWORDS.iter().any(|k| word.eq_ignore_ascii_case(k)) => word.clone(),
            Some(_) => return Err(ExprError::new(span, "a field is expected here")),
            None => return Err(ExprError::new(span, "the filter ends where a field is expected")),
        };
        self.at += 1;
        let (operator, negated, many) = self.operator(&field)?;
        let values = match operator {
            Operator::Null => Vec::new(),
            _ if many => self.list()?,
            _ => vec![self.value()?],
        };
        let end = self.at.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(span.end, |(_, s)| s.end);
        Ok(Test { field: (field, span.clone()), operator, negated, values, span: span.start..end })
    }

    /// The operator, whether it is negated, and whether a list may follow.
    fn operator(&mut self, field: &str) -> Result<(Operator, bool, bool), ExprError> {
        let span = self.span();
        if let Some(Token::Operator(symbol)) = self.peek() {
            let found = match *symbol {
                "=" => (Operator::Equal, false, false),
                "!=" => (Operator::Equal, true, false),
                "<" => (Operator::Less, false, false),
                "<=" => (Operator::LessOrEqual, false, false),
                ">" => (Operator::Greater, false, false),
                ">=" => (Operator::GreaterOrEqual, false, false),
                "!~" => (Operator::Like, true, false),
                _ => (Operator::Like, false, false),
            };
            self.at += 1;
            return Ok(found);
        }
        if self.take_word("is") {
            let negated = self.take_word("not");
            if self.take_word("null") {
                return Ok((Operator::Null, negated, false));
            }
            return Err(ExprError::new(self.span(), "`null` is expected after `is`"));
        }
        let negated = self.take_word("not");
        if self.take_word("in") {
            return Ok((Operator::Equal, negated, true));
        }
        if self.take_word("like") {
            return Ok((Operator::Like, negated, true));
        }
        if self.take_word("has") {
            return Ok((Operator::Has, negated, true));
        }
        let help = match self.peek() {
            Some(Token::Word(word)) => suggest(word, OPERATOR_WORDS.iter().copied()),
            _ => String::new(),
        };
        let help = if help.is_empty() { format!("operators are {}", OPERATOR_WORDS.join(" ")) } else { help };
        Err(ExprError::new(span, format!("an operator is expected after `{field}`")).help(help))
    }

    fn list(&mut self) -> Result<Vec<Literal>, ExprError> {
        let open = self.span();
        if !self.take(&Token::Open) {
            return Ok(vec![self.value()?]);
        }
        let mut values = vec![self.value()?];
        while self.take(&Token::Comma) {
            values.push(self.value()?);
            if values.len() > VALUES_MAX {
                return Err(ExprError::new(open, format!("a list has at most {VALUES_MAX} values")));
            }
        }
        if !self.take(&Token::Close) {
            return Err(ExprError::new(self.span(), "a comma or a closing parenthesis is expected here"));
        }
        Ok(values)
    }

    fn value(&mut self) -> Result<Literal, ExprError> {
        let mut span = self.span();
        let (mut text, quoted) = match self.peek() {
            Some(Token::Text(text)) => (text.clone(), true),
            Some(Token::Word(word)) if !KEYWORDS[..3].iter().any(|k| word.eq_ignore_ascii_case(k)) => {
                (word.clone(), false)
            }
            Some(_) => return Err(ExprError::new(span, "a value is expected here")),
            None => return Err(ExprError::new(span, "the filter ends where a value is expected")),
        };
        self.at += 1;
        if !quoted {
            while let Some((Token::Word(word), next)) = self.tokens.get(self.at)
                && continues(&text, word)
            {
                text.push_str(word);
                span.end = next.end;
                self.at += 1;
            }
        }
        Ok(Literal { text, quoted, span })
    }
}

/// Whether the next word belongs to the value: `10 MB`, `now - 1h`.
fn continues(text: &str, word: &str) -> bool {
    let now = text.len() >= 3 && text.is_char_boundary(3) && text[..3].eq_ignore_ascii_case("now");
    let number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'_');
    if now {
        return (text.len() == 3 && word.starts_with(['-', '+'])) || text.ends_with(['-', '+']);
    }
    let unit = format!("1{word}");
    number
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && (names::size(&unit).is_some() || names::duration(&unit).is_some())
}
