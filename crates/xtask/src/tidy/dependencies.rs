//! Arrows between crates point one way. The table is the one of docs/architecture.md; the check compares both it and
//! the manifests, so that neither can drift.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand};

use super::{Report, Tree};

/// Crate and what it may depend on, in the order of the architecture document. `*` is every crate above it.
const TABLE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("kit", &["model"]),
    ("sys", &[]),
    ("protocol", &[]),
    ("osquery", &[]),
    ("inventory", &[]),
    ("baseline", &[]),
    ("evidence", &[]),
    ("flow", &["model"]),
    ("expr", &["model"]),
    ("rules", &["model", "expr"]),
    ("intel", &["model", "kit"]),
    ("lake", &["model", "kit", "sys", "expr"]),
    ("catalog", &["model", "kit"]),
    ("identity", &["model", "kit", "catalog"]),
    ("detect", &["model", "expr", "rules"]),
    ("respond", &["model", "kit", "catalog"]),
    ("notify", &["model", "kit", "catalog", "identity"]),
    ("fleet", &["model", "kit", "expr", "catalog", "identity", "protocol", "osquery", "evidence", "baseline"]),
    ("pipeline", &["model", "kit", "sys", "flow", "intel", "rules", "detect"]),
    ("vuln", &["sys", "inventory"]),
    ("findings", &["model", "kit", "catalog", "protocol", "inventory", "vuln"]),
    (
        "api",
        &[
            "model", "kit", "flow", "expr", "rules", "intel", "lake", "catalog", "identity", "detect", "respond",
            "notify", "fleet", "vuln", "findings",
        ],
    ),
    ("agent", &["sys", "inventory", "protocol", "evidence", "baseline"]),
    ("testkit", &[]),
    ("guardian", &["*"]),
    ("xtask", &["testkit"]),
];

/// Crates of others that only one of ours may use, because they are heavy or because they are the point of that crate.
const KEPT_BEHIND: &[(&str, &[&str])] = &[
    ("datafusion", &["lake"]),
    ("parquet", &["lake", "flow"]),
    ("sea-orm", &["catalog"]),
    ("sea-orm-migration", &["catalog"]),
    ("libc", &["sys"]),
    ("landlock", &["sys"]),
    ("seccompiler", &["sys"]),
    ("rusqlite", &["sys", "agent"]),
    ("argon2", &["identity"]),
    ("maxminddb", &["intel"]),
    ("lettre", &["notify"]),
    ("typst", &["respond"]),
    ("typst-kit", &["respond"]),
    ("typst-pdf", &["respond"]),
];

/// Compares the manifests with the table.
pub(super) fn check(tree: &Tree, report: &mut Report) -> Result<()> {
    let metadata = MetadataCommand::new()
        .current_dir(&tree.root)
        .features(CargoOpt::AllFeatures)
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .context("cargo metadata failed")?;
    let names: BTreeSet<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    for package in &metadata.packages {
        let name = package.name.trim_start_matches("guardian-");
        let Some((_, allowed)) = TABLE.iter().find(|(known, _)| *known == name) else {
            report.error(format!(
                "crates/{name}: not in the crate table; add it to docs/architecture.md and to {}",
                file!()
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let used = dependency.name.trim_start_matches("guardian-");
            let development = dependency.kind == DependencyKind::Development;
            if dependency.name.starts_with("guardian-") && names.contains(used) {
                let fine = development || allowed.contains(&"*") || allowed.contains(&used);
                if !fine {
                    report.error(format!(
                        "crates/{name}: may not depend on {used}; see the crate table in docs/architecture.md"
                    ));
                }
            }
            if let Some((_, keepers)) = KEPT_BEHIND.iter().find(|(kept, _)| *kept == dependency.name)
                && !development
                && !keepers.contains(&name)
            {
                report.error(format!("crates/{name}: {} is kept behind {}", dependency.name, keepers.join(", ")));
            }
        }
    }
    document(tree, report);
    Ok(())
}

/// The table in the architecture document names the same crates.
fn document(tree: &Tree, report: &mut Report) {
    let Some(source) = tree.sources.iter().find(|source| source.name() == "docs/architecture.md") else {
        report.error("docs/architecture.md is missing".to_owned());
        return;
    };
    for (name, allowed) in TABLE {
        let Some(row) = source.text.lines().find(|line| line.starts_with(&format!("| `{name}` |"))) else {
            report.error(format!("docs/architecture.md: the crate table has no row for `{name}`"));
            continue;
        };
        let last = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        for used in allowed.iter().filter(|used| **used != "*") {
            if !last.split([',', ' ']).any(|word| word == *used) {
                report.error(format!(
                    "docs/architecture.md: the row of `{name}` does not say that it may depend on {used}"
                ));
            }
        }
    }
}
