//! Every counter of something lost, late or refused is explained in the manual: what it means and how to mend it.

#![expect(clippy::unnecessary_wraps, reason = "every check has the same signature")]

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Report, Tree};

/// The chapter that explains them.
const MANUAL: &str = "docs/loss.md";
/// Where the counters of an exporter get their names.
const EXPORTER: &str = "crates/pipeline/src/status.rs";
/// Where decoding names its reasons.
const REASONS: &str = "crates/flow/src/report.rs";
/// A metric with one of these in its name tells of trouble.
const TROUBLE: &[&str] = &[
    "drops",
    "lost",
    "refused",
    "evicted",
    "damaged",
    "waits",
    "not_allowed",
    "truncated",
    "overflows",
    "overruns",
    "torn",
    "quarantined",
    "failures",
];

/// Compares the names in the code with the chapter.
pub(super) fn check(tree: &Tree, report: &mut Report) -> Result<()> {
    let Some(manual) = tree.sources.iter().find(|source| source.name() == MANUAL) else {
        report.error(format!("{MANUAL} is missing"));
        return Ok(());
    };
    let mut names = BTreeSet::new();
    for source in tree.sources.iter().filter(|source| source.is("rs") && source.path.starts_with("crates")) {
        let name = source.name();
        if name.contains("/tests") || name.starts_with("crates/xtask") {
            continue;
        }
        // Tests at the end of a file register metrics of their own.
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        names.extend(quoted(code).filter(|text| is_trouble(text)).map(str::to_owned));
        if name == EXPORTER {
            names.extend(code.split("set(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
        if name == REASONS {
            let reasons = code.lines().filter_map(|line| line.trim().strip_suffix("\";")?.split_once(" = \""));
            names.extend(reasons.map(|(_, reason)| reason.to_owned()));
        }
    }
    for name in names.iter().filter(|name| !manual.text.contains(&format!("`{name}"))) {
        report.error(format!("{MANUAL}: nothing about `{name}`: say what it means and how to mend it"));
    }
    Ok(())
}

/// The contents of string literals without escapes.
fn quoted(code: &str) -> impl Iterator<Item = &str> {
    code.lines().flat_map(|line| line.split('"').skip(1).step_by(2))
}

/// Whether this is the name of a metric that tells of trouble.
fn is_trouble(text: &str) -> bool {
    text.starts_with("guardian_") && text.ends_with("_total") && TROUBLE.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metrics_of_trouble_count() {
        let code = r#"counter("guardian_a_drops_total", "Dropped."); counter("guardian_a_rows_total", "Rows.");"#;
        assert_eq!(quoted(code).filter(|text| is_trouble(text)).collect::<Vec<_>>(), ["guardian_a_drops_total"]);
    }
}
