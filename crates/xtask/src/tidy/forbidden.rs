//! Words that must not be in the repository: marks of unfinished work, paths of somebody's machine, and names that say
//! nothing.
#![expect(clippy::unnecessary_wraps, reason = "every check has the same signature")]

use anyhow::Result;

use super::{Report, Source, Tree};

/// One forbidden text.
struct Forbidden {
    /// Written in two halves, so that this file does not contain it.
    parts: (&'static str, &'static str),
    /// Whether it is looked for only in code.
    code_only: bool,
    /// What to do instead.
    instead: &'static str,
}

const FORBIDDEN: &[Forbidden] = &[
    Forbidden { parts: ("TO", "DO"), code_only: false, instead: "finish it, or leave it out and open an issue" },
    Forbidden { parts: ("FIX", "ME"), code_only: false, instead: "mend it, or open an issue" },
    Forbidden { parts: ("XX", "X:"), code_only: false, instead: "write a whole sentence that says what is odd" },
    Forbidden { parts: ("to", "do!("), code_only: true, instead: "finish it, or leave it out" },
    Forbidden { parts: ("unimple", "mented!("), code_only: true, instead: "finish it, or leave it out" },
    Forbidden { parts: ("#[all", "ow("), code_only: true, instead: "use #[expect(…, reason = \"…\")]" },
    Forbidden { parts: ("/ro", "ot/"), code_only: false, instead: "no path of one machine belongs in the repository" },
    Forbidden {
        parts: ("/ho", "me/user"),
        code_only: false,
        instead: "no path of one machine belongs in the repository",
    },
    Forbidden { parts: ("/wo", "rk/"), code_only: false, instead: "no path of one machine belongs in the repository" },
    Forbidden { parts: ("/Us", "ers/"), code_only: false, instead: "no path of one machine belongs in the repository" },
];

/// Module names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc", "manager"];

/// Checks every text file.
pub(super) fn check(tree: &Tree, report: &mut Report) -> Result<()> {
    for source in tree.sources.iter().filter(|source| !exempt(source)) {
        let code = source.is("rs");
        for (number, line) in source.text.lines().enumerate() {
            for forbidden in FORBIDDEN.iter().filter(|forbidden| code || !forbidden.code_only) {
                let text = format!("{}{}", forbidden.parts.0, forbidden.parts.1);
                if contains_word(line, &text) {
                    report.error(format!("{}:{}: `{text}`: {}", source.name(), number + 1, forbidden.instead));
                }
            }
        }
    }
    for path in &tree.paths {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if path.extension().is_some_and(|found| found == "rs") && EMPTY_NAMES.contains(&stem.as_str()) {
            report.error(format!("{}: name it after what is inside", path.display()));
        }
    }
    Ok(())
}

/// Files that quote other people's text.
fn exempt(source: &Source) -> bool {
    let name = source.name();
    source.is("snap") || ["LICENSE", "Cargo.lock"].contains(&name.as_str()) || name.ends_with("package-lock.json")
}

/// Whether `text` stands in the line as a word of its own, not inside a longer one.
fn contains_word(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + text.len()..].chars().next();
        let first = text.chars().next().is_some_and(char::is_alphanumeric);
        let last = text.chars().next_back().is_some_and(char::is_alphanumeric);
        let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        // A path may stand only at a word's start: `src/work/` is somebody's folder, not the machine's.
        let path_inside = text.starts_with('/') && before.is_some_and(|c| c.is_alphanumeric() || "}-_.*~".contains(c));
        let word_goes_on = (first && letter(before)) || (last && letter(after));
        !word_goes_on && !path_inside
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        let mark = ["TO", "DO"].concat();
        assert!(contains_word(&format!("// {mark}: later"), &mark));
        assert!(!contains_word(&format!("const {mark}S: u8"), &mark));
        let path = ["/wo", "rk/"].concat();
        assert!(contains_word(&format!("open(\"{path}x\")"), &path));
        assert!(!contains_word(&format!("open(\"frame{path}x\")"), &path));
    }
}
