//! The condition of a detection: `selection and not 1 of filter_*` (Sigma rules specification, "Condition").

use crate::document::Condition;

/// Longest condition, in bytes.
const CONDITION_BYTES_MAX: usize = 8192;
/// Deepest nesting of parentheses and `not`.
const DEPTH_MAX: usize = 32;

/// Reads a condition over the named selections. The error is a message and a help.
pub(crate) fn parse(text: &str, names: &[&str]) -> Result<Condition, (String, String)> {
    if text.len() > CONDITION_BYTES_MAX {
        return fail(format!("a condition has at most {CONDITION_BYTES_MAX} bytes"), "");
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, names };
    let condition = parser.or(0)?;
    match parser.peek() {
        None => Ok(condition),
        Some(")") => fail("a closing parenthesis without an opening one", ""),
        Some(other) => fail(format!("`and` or `or` is missing before `{other}`"), ""),
    }
}

type Failure = (String, String);

fn fail<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Failure> {
    Err((message.into(), help.into()))
}

fn tokens(text: &str) -> Result<Vec<&str>, Failure> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '(' | ')' => 1,
            '|' => {
                return fail(
                    "aggregations after `|` are no longer part of Sigma",
                    "write a correlation rule (event_count, value_count) that refers to this one",
                );
            }
            _ => rest.find(|c: char| c.is_whitespace() || "()|".contains(c)).unwrap_or(rest.len()),
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    if tokens.is_empty() {
        return fail("the condition is empty", "name a selection, for example `condition: selection`");
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [&'a str],
    at: usize,
    names: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|t| t.eq_ignore_ascii_case(keyword));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Condition, Failure> {
        let mut parts = vec![self.and(depth)?];
        while self.take("or") {
            parts.push(self.and(depth)?);
        }
        Ok(one_or(parts, Condition::Or))
    }

    fn and(&mut self, depth: usize) -> Result<Condition, Failure> {
        let mut parts = vec![self.not(depth)?];
        while self.take("and") {
            parts.push(self.not(depth)?);
        }
        Ok(one_or(parts, Condition::And))
    }

    fn not(&mut self, depth: usize) -> Result<Condition, Failure> {
        if depth > DEPTH_MAX {
            return fail(format!("nested deeper than {DEPTH_MAX} levels"), "");
        }
        if self.take("not") {
            return Ok(Condition::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.take("(") {
            let inner = self.or(depth + 1)?;
            return if self.take(")") { Ok(inner) } else { fail("a closing parenthesis is missing", "") };
        }
        self.operand()
    }

    fn operand(&mut self) -> Result<Condition, Failure> {
        let Some(token) = self.peek() else {
            return fail("the condition ends where a selection is expected", "");
        };
        self.at += 1;
        if self.peek().is_some_and(|t| t.eq_ignore_ascii_case("of")) {
            self.at += 1;
            return self.quantified(token);
        }
        if [")", "and", "or", "of"].iter().any(|k| token.eq_ignore_ascii_case(k)) {
            return fail(format!("a selection is expected instead of `{token}`"), "");
        }
        match self.names.iter().position(|n| *n == token) {
            Some(selection) => Ok(Condition::Selection(selection)),
            None if token.contains('*') => {
                fail(format!("`{token}` needs a quantifier"), format!("write `1 of {token}` or `all of {token}`"))
            }
            None => fail(format!("there is no selection `{token}`"), crate::suggest(token, self.names)),
        }
    }

    fn quantified(&mut self, quantity: &str) -> Result<Condition, Failure> {
        let Some(target) = self.peek() else {
            return fail(format!("`{quantity} of` of what?"), "write `them` or a pattern such as `selection_*`");
        };
        self.at += 1;
        let them = target.eq_ignore_ascii_case("them");
        let chosen: Vec<_> = (0..self.names.len())
            .filter(|i| if them { !self.names[*i].starts_with('_') } else { glob(target, self.names[*i]) })
            .map(Condition::Selection)
            .collect();
        if chosen.is_empty() {
            return fail(format!("no selection matches `{target}`"), crate::suggest(target, self.names));
        }
        if quantity.eq_ignore_ascii_case("all") {
            return Ok(one_or(chosen, Condition::And));
        }
        if quantity.eq_ignore_ascii_case("any") {
            return Ok(one_or(chosen, Condition::Or));
        }
        match quantity.parse::<usize>() {
            Ok(n) if n > chosen.len() => {
                fail(format!("`{quantity} of {target}`: only {} selections match", chosen.len()), "")
            }
            Ok(0) | Err(_) => fail(
                format!("`{quantity}` is not a quantity"),
                "write `1 of`, `2 of` or any other number, `any of`, or `all of`",
            ),
            Ok(1) => Ok(one_or(chosen, Condition::Or)),
            Ok(n) => Ok(Condition::AtLeast(n, chosen)),
        }
    }
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 { parts.swap_remove(0) } else { many(parts) }
}

/// Whether the name matches a pattern with `*`; names have no other wildcards.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((prefix, rest)) => {
            let Some(name) = name.strip_prefix(prefix) else { return false };
            rest.is_empty() || (0..=name.len()).filter(|i| name.is_char_boundary(*i)).any(|i| glob(rest, &name[i..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{glob, parse};

    const NAMES: &[&str] = &["selection", "sel_a", "sel_b", "filter_x", "_hidden"];

    #[test]
    fn grammar() {
        let cases = [
            ("selection", "Selection(0)"),
            ("not selection and sel_a", "And([Not(Selection(0)), Selection(1)])"),
            ("selection or sel_a and sel_b", "Or([Selection(0), And([Selection(1), Selection(2)])])"),
            (
                "(selection OR sel_a) and not 1 of filter_*",
                "And([Or([Selection(0), Selection(1)]), Not(Selection(3))])",
            ),
            ("all of sel_*", "And([Selection(1), Selection(2)])"),
            ("2 of them", "AtLeast(2, [Selection(0), Selection(1), Selection(2), Selection(3)])"),
            ("any of sel_*", "Or([Selection(1), Selection(2)])"),
        ];
        for (text, tree) in cases {
            assert_eq!(format!("{:?}", parse(text, NAMES).expect(text)), tree, "{text}");
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let cases = [
            ("", "the condition is empty"),
            ("selecton", "there is no selection `selecton`"),
            ("selection and", "the condition ends where a selection is expected"),
            ("(selection", "a closing parenthesis is missing"),
            ("selection)", "a closing parenthesis without an opening one"),
            ("selection sel_a", "`and` or `or` is missing before `sel_a`"),
            ("1 of nothing*", "no selection matches `nothing*`"),
            ("sel_*", "`sel_*` needs a quantifier"),
            ("0 of them", "`0` is not a quantity"),
            ("9 of them", "`9 of them`: only 4 selections match"),
            ("selection | count() > 5", "aggregations after `|` are no longer part of Sigma"),
            ("and", "a selection is expected instead of `and`"),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text, NAMES).expect_err(text).0, message, "{text}");
        }
        assert!(parse(&"(".repeat(5000), NAMES).is_err());
        assert!(parse(&"not ".repeat(1000), NAMES).is_err());
    }

    #[test]
    fn patterns() {
        for (pattern, name, hit) in [("a*", "abc", true), ("*c", "abc", true), ("a*c", "abd", false), ("*", "", true)] {
            assert_eq!(glob(pattern, name), hit, "{pattern} {name}");
        }
    }
}
