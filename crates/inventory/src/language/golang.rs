//! `go.mod` and `go.sum` (Go Modules Reference). Since Go 1.17 the former names every module that is needed; before it, the
//! others are found only in the latter, which names some that are not needed too.

use std::collections::BTreeMap;

use crate::text::lines;
use crate::version::Scheme;
use crate::{Found, Malformed, Manager, Package};

/// The modules that the file requires, with what takes their place.
pub(super) fn parse_mod(go_mod: &[u8]) -> Result<Found<Package>, Malformed> {
    let mut found = Found::default();
    let mut replaced: Vec<[String; 4]> = Vec::new();
    let mut is_module = false;
    statements(go_mod, |verb, words| match (verb, words) {
        ("module", _) => is_module = true,
        ("require", [path, version, ..]) => found.push(Package::new(Manager::Go, path, version)),
        ("replace", words) => {
            let mut sides = words.split(|word| *word == "=>");
            let (Some([path, old @ ..]), Some([by, new @ ..])) = (sides.next(), sides.next()) else { return };
            let word = |words: &[&str]| words.first().copied().unwrap_or_default().to_owned();
            if replaced.len() < crate::limits::ENTRIES_MAX {
                replaced.push([(*path).to_owned(), word(old), (*by).to_owned(), word(new)]);
            }
        }
        _ => {}
    });
    if !is_module {
        return Err(Malformed { format: "a go.mod file", what: "it names no module" });
    }
    found.entries.retain_mut(|package| {
        let taken = replaced
            .iter()
            .find(|[path, old, ..]| *path == package.name && (old.is_empty() || *old == package.version));
        if let Some([_, _, by, new]) = taken {
            package.source = std::mem::replace(&mut package.name, by.clone());
            package.version.clone_from(new);
        }
        // A folder has no version.
        !package.version.is_empty()
    });
    Ok(found)
}

/// The modules whose content the file has sums of; of each the newest version, which is the one that is taken.
pub(super) fn parse_sum(go_sum: &[u8]) -> Found<Package> {
    let mut newest: BTreeMap<String, String> = BTreeMap::new();
    let mut found = Found::default();
    for (number, line) in lines(go_sum) {
        let mut words = line.split(' ');
        let (Some(path), Some(version), Some(_)) = (words.next(), words.next(), words.next()) else {
            if !line.trim().is_empty() {
                found.issue(number, "it is not a path, a version and a sum");
            }
            continue;
        };
        if version.ends_with("/go.mod") {
            continue;
        }
        let known = newest.entry(path.to_owned()).or_default();
        if known.is_empty() || Scheme::Go.compare(version, known).is_gt() {
            version.clone_into(known);
        }
    }
    for (path, version) in newest {
        found.push(Package::new(Manager::Go, &path, &version));
    }
    found
}

/// Whether the file names every module that is needed.
pub(super) fn is_whole(go_mod: &[u8]) -> bool {
    let mut whole = false;
    statements(go_mod, |verb, words| {
        if let ("go", [version, ..]) = (verb, words) {
            whole = Scheme::Go.compare(version, "1.17").is_ge();
        }
    });
    whole
}

/// Calls for every statement with its verb and words, whether it stands alone or in a block.
fn statements(go_mod: &[u8], mut take: impl FnMut(&str, &[&str])) {
    let mut block = String::new();
    for (_, line) in lines(go_mod) {
        let line = line.split("//").next().unwrap_or_default().trim();
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('"')).take(8).collect();
        match words.as_slice() {
            [] => {}
            [")"] => block.clear(),
            [verb, "("] => (*verb).clone_into(&mut block),
            [verb, rest @ ..] if block.is_empty() => take(verb, rest),
            words => take(&block, words),
        }
    }
}
