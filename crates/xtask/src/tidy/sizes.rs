//! Files and functions stay readable. Lengths are of lines as written; a function is found by its indentation, which
//! rustfmt guarantees, so that no parser is needed.
#![expect(clippy::unnecessary_wraps, reason = "every check has the same signature")]

use anyhow::Result;

use super::{Report, Tree};

/// A file longer than this fails.
const FILE_LINES_MAX: usize = 800;
/// A file longer than this is mentioned.
const FILE_LINES_AIM: usize = 600;
/// A function longer than this fails.
const FUNCTION_LINES_MAX: usize = 70;

/// Checks Rust sources and scripts; tables of data are exempt where a rule file says so by being data.
pub(super) fn check(tree: &Tree, report: &mut Report) -> Result<()> {
    for source in
        tree.sources.iter().filter(|source| source.is("rs") || source.is("sh") || source.is("ts") || source.is("tsx"))
    {
        let name = source.name();
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            report.error(format!("{name}: {lines} lines; split it by what its parts are for (limit {FILE_LINES_MAX})"));
        } else if lines > FILE_LINES_AIM {
            report.warning(format!("{name}: {lines} lines"));
        }
        if source.is("rs") {
            for (line, function, length) in long_functions(&source.text) {
                report.error(format!(
                    "{name}:{line}: `{function}` has {length} lines; name its steps (limit {FUNCTION_LINES_MAX})"
                ));
            }
            let opened = source.text.trim_start();
            // A file `tests.rs` says by its name what it is for.
            if !opened.starts_with("//!") && !name.ends_with("/tests.rs") {
                report.error(format!("{name}: the first lines must say what the module is for (`//! …`)"));
            }
        }
    }
    Ok(())
}

/// Line, name and length of every function that is too long.
fn long_functions(text: &str) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let code = line.trim_start();
        if open.is_none() {
            if let Some(name) = function_name(code) {
                // A declaration, or a body on the same line, is over before it can be long.
                let over = code.ends_with(';') || (code.contains('{') && code.ends_with('}'));
                if !over {
                    open = Some((number, indent, name));
                }
            }
        } else if let Some((start, depth, name)) = &open
            && indent == *depth
            && (code == "}" || (code.ends_with(';') && code.starts_with(')')))
        {
            let length = number - start + 1;
            if length > FUNCTION_LINES_MAX && code == "}" {
                found.push((start + 1, name.clone(), length));
            }
            open = None;
        }
    }
    found
}

/// The name in `pub(crate) const unsafe async fn name(…`.
fn function_name(code: &str) -> Option<String> {
    let mut rest = code;
    loop {
        if let Some(after) = rest.strip_prefix("fn ") {
            return Some(after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
        let (word, after) = rest.split_once(' ')?;
        let known =
            matches!(word, "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub(");
        if !known {
            return None;
        }
        rest = after.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_only_functions_that_are_too_long() {
        let body = "    let x = 1;\n".repeat(70);
        let text = format!(
            "pub(crate) async fn long(\n    a: u8,\n) -> u8 {{\n{body}}}\n\nfn short() {{\n    let y = 2;\n}}\nfn one() {{}}\n"
        );
        let names: Vec<String> = long_functions(&text).into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["long"]);
    }

    #[test]
    fn names_come_through_qualifiers() {
        assert_eq!(function_name("pub(super) const unsafe fn peek(x: u8) {").as_deref(), Some("peek"));
        assert_eq!(function_name("let f = |x| x;"), None);
    }
}
