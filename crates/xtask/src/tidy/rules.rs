//! A shipped detection rule is a folder of promises: `rule.yml`, a fixture that must fire, one that must not, its line in
//! the ordered list that embeds it, its row in the manual. This check only compares names; that the fixtures do what
//! they say is a test of the detection crate.

#![expect(clippy::unnecessary_wraps, reason = "every check has the same signature")]

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Report, Tree};

/// The list that embeds the rules, in order.
const LIST: &str = "crates/detect/src/shipped.rs";
/// Where the behavioural detectors are.
const DETECTORS: &str = "crates/detect/src/detectors";
/// The chapter that tells readers what is found.
const MANUAL: &str = "docs/detections.md";

/// Compares `rules/AREA/NAME/` with its fixtures, the list and the manual.
pub(super) fn check(tree: &Tree, report: &mut Report) -> Result<()> {
    let mut folders = BTreeSet::new();
    for path in &tree.paths {
        let name = path.to_string_lossy();
        let parts: Vec<&str> = name.split('/').collect();
        if let ["rules", area, rule, _, ..] = parts[..] {
            folders.insert(format!("{area}/{rule}"));
        }
    }
    let text =
        |wanted: &str| tree.sources.iter().find(|source| source.name() == wanted).map_or("", |source| &source.text);
    let (list, manual) = (text(LIST), text(MANUAL));
    for folder in &folders {
        if !tree.has(format!("rules/{folder}/rule.yml").as_ref()) {
            report.error(format!("rules/{folder}: no rule.yml"));
        }
        for kind in ["positive", "negative"] {
            let prefix = format!("rules/{folder}/fixtures/{kind}");
            if !tree.paths.iter().any(|path| path.to_string_lossy().starts_with(&prefix)) {
                report.error(format!("rules/{folder}: no {kind} fixture"));
            }
        }
        if !list.contains(&format!("\"{folder}\"")) {
            report.error(format!("{LIST}: the list does not embed {folder}"));
        }
        let name = folder.rsplit('/').next().unwrap_or_default();
        if !manual.contains(&format!("| `{name}` |")) {
            report.error(format!("{MANUAL}: no row for `{name}`"));
        }
    }
    for source in tree.sources.iter().filter(|source| source.path.starts_with(DETECTORS)) {
        let id = source.text.split("id: \"guardian.").nth(1).and_then(|rest| rest.split('"').next());
        if let Some(id) = id
            && !manual.contains(&format!("(`guardian.{id}`)"))
        {
            report.error(format!("{MANUAL}: nothing about the detector `guardian.{id}`"));
        }
    }
    Ok(())
}
