//! Lock files in TOML of a fixed form: `poetry.lock`, `uv.lock`, `pdm.lock` and `pylock.toml` (PyPA, "pylock.toml
//! Specification"). Each package is one table; only its own lines are needed, and where it comes from.

use crate::text::{lines, quoted};
use crate::{Found, Malformed, Manager, Package};

/// A package that is being read.
#[derive(Default)]
struct Open {
    line: usize,
    name: String,
    version: String,
    /// It does not come from a registry.
    elsewhere: bool,
}

/// The packages of the lock file.
pub(super) fn parse(lock: &[u8]) -> Result<Found<Package>, Malformed> {
    let mut found = Found::default();
    let mut open: Option<Open> = None;
    let mut table = String::new();
    let mut any = false;
    for (number, line) in lines(lock) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end().trim_matches(['[', ']']).to_owned();
            any = true;
            if matches!(line.trim_end(), "[[package]]" | "[[packages]]") {
                close(open.replace(Open { line: number, ..Open::default() }), &mut found);
            } else if !table.starts_with("package.") && !table.starts_with("packages.") {
                close(open.take(), &mut found);
            } else if let Some(open) = &mut open {
                let of = table.split('.').nth(1).unwrap_or_default();
                open.elsewhere |= matches!(of, "vcs" | "directory" | "archive");
            }
            continue;
        }
        let (Some(open), Some((key, value))) = (&mut open, line.split_once(" = ")) else { continue };
        let text = || quoted(value).first().copied().unwrap_or_default().to_owned();
        match (table.as_str(), key) {
            ("package" | "packages", "name") => open.name = text(),
            ("package" | "packages", "version") => open.version = text(),
            // `source = { registry = "…" }` of uv.
            ("package", "source") => open.elsewhere = !value.contains("registry"),
            ("package" | "packages", "vcs" | "directory" | "archive" | "path" | "git" | "url") => open.elsewhere = true,
            ("package.source", "type") => open.elsewhere |= text() != "legacy",
            _ => {}
        }
    }
    close(open, &mut found);
    match any {
        true => Ok(found),
        false => Err(Malformed { format: "a lock file in TOML", what: "it has no table" }),
    }
}

fn close(open: Option<Open>, found: &mut Found<Package>) {
    match open {
        Some(open) if open.elsewhere => {}
        Some(open) if open.name.is_empty() => found.issue(open.line, "a package without a name"),
        // A package of the project itself may have no version.
        Some(open) if open.version.is_empty() => {}
        Some(open) => found.push(Package::new(Manager::Python, &open.name, &open.version)),
        None => {}
    }
}
