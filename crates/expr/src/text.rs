//! Text patterns: exact, wildcard and regular expression, case-insensitive unless asked otherwise.

use std::borrow::Cow;
use std::fmt::Write as _;

use hashbrown::HashSet;
use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 4096;
/// Largest compiled regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextPattern {
    /// What it is.
    pub kind: TextKind,
    /// Whether upper and lower case differ.
    pub cased: bool,
}

/// The kinds of pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextKind {
    /// Exactly this text.
    Exact(String),
    /// Literals and wildcards, anchored at both ends.
    Glob(Vec<GlobPart>),
    /// A regular expression that may match anywhere.
    Regex {
        /// The expression, in the syntax of the `regex` crate.
        pattern: String,
        /// `^` and `$` match at line ends.
        multi_line: bool,
        /// `.` matches line ends.
        dot_all: bool,
    },
}

/// A part of a wildcard pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GlobPart {
    /// This text.
    Literal(String),
    /// Any one character.
    One,
    /// Any number of characters.
    Many,
}

impl TextPattern {
    /// Reads a wildcard pattern as Sigma writes it: `*` and `?` are wildcards, a backslash before `*`, `?` or another
    /// backslash takes its meaning away, any other backslash is itself. `prefix` and `suffix` put a `*` before and
    /// after it (modifiers `endswith`, `startswith`, `contains`).
    pub fn wildcard(text: &str, prefix: bool, suffix: bool, cased: bool) -> Self {
        let mut parts: Vec<GlobPart> = Vec::new();
        let push_char = |parts: &mut Vec<GlobPart>, c: char| match parts.last_mut() {
            Some(GlobPart::Literal(literal)) => literal.push(c),
            _ => parts.push(GlobPart::Literal(c.into())),
        };
        let push_many = |parts: &mut Vec<GlobPart>| {
            if parts.last() != Some(&GlobPart::Many) {
                parts.push(GlobPart::Many);
            }
        };
        if prefix {
            push_many(&mut parts);
        }
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.peek().is_some_and(|n| "*?\\".contains(*n)) => {
                    push_char(&mut parts, chars.next().unwrap_or('\\'));
                }
                '*' => push_many(&mut parts),
                '?' => parts.push(GlobPart::One),
                c => push_char(&mut parts, c),
            }
        }
        if suffix {
            push_many(&mut parts);
        }
        Self::from_parts(parts, cased)
    }

    /// Exactly this text.
    pub fn exact(text: &str, cased: bool) -> Self {
        Self { kind: TextKind::Exact(fold(text, cased).into_owned()), cased }
    }

    fn from_parts(mut parts: Vec<GlobPart>, cased: bool) -> Self {
        for part in &mut parts {
            if let GlobPart::Literal(literal) = part {
                *literal = fold(literal, cased).into_owned();
            }
        }
        match parts.as_slice() {
            [] => Self::exact("", cased),
            [GlobPart::Literal(only)] => Self::exact(only, cased),
            _ => Self { kind: TextKind::Glob(parts), cased },
        }
    }

    /// The pattern as SQL `LIKE` text with backslash escapes; `None` for regular expressions.
    pub(crate) fn like(&self) -> Option<String> {
        let mut like = String::new();
        let literal = |like: &mut String, text: &str| {
            for c in text.chars() {
                if "%_\\".contains(c) {
                    like.push('\\');
                }
                like.push(c);
            }
        };
        match &self.kind {
            TextKind::Exact(text) => literal(&mut like, text),
            TextKind::Glob(parts) => {
                for part in parts {
                    match part {
                        GlobPart::Literal(text) => literal(&mut like, text),
                        GlobPart::One => like.push('_'),
                        GlobPart::Many => like.push('%'),
                    }
                }
            }
            TextKind::Regex { .. } => return None,
        }
        Some(like)
    }

    /// The regular expression with its flags inline; `None` for other kinds.
    pub(crate) fn regex_source(&self) -> Option<String> {
        let TextKind::Regex { pattern, multi_line, dot_all } = &self.kind else { return None };
        let mut source = String::new();
        let flags: String = [(!self.cased, 'i'), (*multi_line, 'm'), (*dot_all, 's')]
            .into_iter()
            .filter_map(|(on, flag)| on.then_some(flag))
            .collect();
        if !flags.is_empty() {
            // Writing to a String cannot fail.
            write!(source, "(?{flags})").ok();
        }
        source.push_str(pattern);
        Some(source)
    }
}

/// Alternatives, ready to test texts against.
#[derive(Debug)]
pub(crate) struct TextMatcher {
    exact_cased: HashSet<Box<str>>,
    exact: HashSet<Box<str>>,
    globs: Vec<(Box<[GlobPart]>, bool)>,
    regexes: Vec<Regex>,
}

impl TextMatcher {
    /// Compiles the patterns; the error says what is wrong with which.
    pub(crate) fn new(patterns: &[TextPattern]) -> Result<Self, String> {
        let (mut exact, mut exact_cased) = (HashSet::new(), HashSet::new());
        let (mut globs, mut regexes) = (Vec::new(), Vec::new());
        for p in patterns {
            match &p.kind {
                TextKind::Exact(text) if p.cased => {
                    exact_cased.insert(text.as_str().into());
                }
                TextKind::Exact(text) => {
                    exact.insert(text.as_str().into());
                }
                TextKind::Glob(parts) => globs.push((parts.as_slice().into(), p.cased)),
                TextKind::Regex { pattern, multi_line, dot_all } => {
                    if pattern.len() > PATTERN_BYTES_MAX {
                        return Err(format!("a regular expression has at most {PATTERN_BYTES_MAX} bytes"));
                    }
                    let regex = RegexBuilder::new(pattern)
                        .case_insensitive(!p.cased)
                        .multi_line(*multi_line)
                        .dot_matches_new_line(*dot_all)
                        .size_limit(REGEX_BYTES_MAX)
                        .nest_limit(64)
                        .build()
                        .map_err(|e| format!("not a regular expression: {}", last_line(&e.to_string())))?;
                    regexes.push(regex);
                }
            }
        }
        Ok(Self { exact_cased, exact, globs, regexes })
    }

    /// Whether one of the patterns matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if self.exact_cased.contains(text) || self.regexes.iter().any(|r| r.is_match(text)) {
            return true;
        }
        if self.exact.is_empty() && self.globs.is_empty() {
            return false;
        }
        let folded = fold(text, false);
        self.exact.contains(folded.as_ref())
            || self.globs.iter().any(|(parts, cased)| glob(parts, if *cased { text } else { folded.as_ref() }))
    }
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ")
}

/// The text in lower case, unless `cased`.
fn fold(text: &str, cased: bool) -> Cow<'_, str> {
    if cased || !text.chars().any(char::is_uppercase) { text.into() } else { text.to_lowercase().into() }
}

/// Wildcard matching with one backtracking point: after a `Many`, the shortest match of what follows is enough.
fn glob(parts: &[GlobPart], text: &str) -> bool {
    let (mut part, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match parts.get(part) {
            Some(GlobPart::Many) => {
                if part + 1 == parts.len() {
                    return true;
                }
                retry = Some((part + 1, at));
                part += 1;
                continue;
            }
            Some(GlobPart::Literal(literal)) => text[at..].starts_with(literal.as_str()).then_some(literal.len()),
            Some(GlobPart::One) => text[at..].chars().next().map(char::len_utf8),
            None if at == text.len() => return true,
            None => None,
        };
        if let Some(length) = step {
            part += 1;
            at += length;
            continue;
        }
        let Some((resume, start)) = retry else { return false };
        let Some(skipped) = text[start..].chars().next() else { return false };
        let next = start + skipped.len_utf8();
        retry = Some((resume, next));
        (part, at) = (resume, next);
    }
}

#[cfg(test)]
mod tests {
    use super::{TextKind, TextMatcher, TextPattern};

    #[test]
    fn wildcards_match_as_sigma_says() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("NZ", &["nz", "NZ"], &["n", "nzz"]),
            ("a*c", &["ac", "abc", "abcbc"], &["abcb", "bac"]),
            ("a?c", &["abc", "aéc"], &["ac", "abbc"]),
            (r"a\*c", &["a*c"], &["abc"]),
            (r"a\\*", &[r"a\", r"a\x"], &["a*", "ab"]),
            (r"a\b", &[r"a\b"], &["ab"]),
            ("*", &["", "x"], &[]),
            ("", &[""], &["x"]),
            ("*ab*ab*", &["abab", "xabyabz"], &["ab", "aab"]),
            ("ÄRGER", &["ärger", "ÄRGER"], &["arger"]),
        ];
        for (pattern, yes, no) in cases {
            let m = TextMatcher::new(&[TextPattern::wildcard(pattern, false, false, false)]).expect("compiles");
            for text in *yes {
                assert!(m.matches(text), "{pattern} should match {text}");
            }
            for text in *no {
                assert!(!m.matches(text), "{pattern} should not match {text}");
            }
        }
    }

    #[test]
    fn regular_expressions_are_limited() {
        let regex = |pattern: &str| TextPattern {
            kind: TextKind::Regex { pattern: pattern.to_owned(), multi_line: false, dot_all: false },
            cased: true,
        };
        assert!(TextMatcher::new(&[regex("^a+$")]).expect("compiles").matches("aaa"));
        assert!(TextMatcher::new(&[regex("(")]).is_err());
        assert!(TextMatcher::new(&[regex("((a{1000}){1000}){1000}")]).is_err());
    }
}
