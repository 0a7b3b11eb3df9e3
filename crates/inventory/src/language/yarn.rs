//! `yarn.lock` of Yarn 1 (a form of its own) and of Yarn 2 and later (YAML of a fixed form).

use crate::text::{clip, lines};
use crate::{Found, Manager, Package};

/// The packages of the lock file.
pub(super) fn parse(yarn_lock: &[u8]) -> Found<Package> {
    let mut found = Found::default();
    // The name that the entry is asked for under; empty where it is of no registry.
    let mut name = String::new();
    let mut version = String::new();
    for (_, line) in lines(yarn_lock) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            name = line.strip_suffix(':').map(asked).unwrap_or_default();
            version.clear();
            continue;
        }
        let field = line.trim_start();
        // Fields of an entry are two spaces in, those of its dependencies four.
        if line.len() - field.len() != 2 || name.is_empty() {
            continue;
        }
        let Some((key, value)) = field.split_once(' ') else { continue };
        let value = value.trim().trim_matches('"');
        match key.trim_end_matches(':') {
            "version" if key.ends_with(':') => value.clone_into(&mut version),
            // Yarn 1 says no more that is needed.
            "version" => found.push(Package::new(Manager::Npm, &name, value)),
            "resolution" => {
                if let Some(real) = resolved(value) {
                    found.push(Package::new(Manager::Npm, real, &version));
                }
                name.clear();
            }
            "resolved" => {
                if let Some(package) = found.entries.last_mut() {
                    package.source = clip(value);
                }
            }
            _ => {}
        }
    }
    found
}

/// The name in `"name@range", "name@range"`; the real one of `alias@npm:name@range`.
fn asked(key: &str) -> String {
    let first = key.split(',').next().unwrap_or_default().trim().trim_matches('"');
    let Some((name, range)) = split(first) else { return String::new() };
    if ["file:", "link:", "workspace:", "portal:"].iter().any(|local| range.starts_with(local)) {
        // Yarn 1 leaves packages of a folder without a registry's version.
        return String::new();
    }
    let real = range.strip_prefix("npm:").and_then(split);
    clip(real.map_or(name, |(real, _)| real))
}

/// The name in `name@npm:version`, or of what was patched.
fn resolved(resolution: &str) -> Option<&str> {
    let (name, from) = split(resolution)?;
    (from.starts_with("npm:") || from.starts_with("patch:")).then_some(name)
}

/// At the first at sign that is not that of a scope.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.char_indices().skip(1).find(|(_, c)| *c == '@')?.0;
    Some((&text[..at], &text[at + 1..]))
}
