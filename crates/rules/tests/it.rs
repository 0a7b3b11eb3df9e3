//! Sigma from YAML to firings, as a user of the crate sees it.
#![expect(clippy::unwrap_used, clippy::float_cmp, clippy::format_collect, clippy::format_push_string, reason = "tests")]

#[path = "it/exceptions.rs"]
mod exceptions;
#[path = "it/flows.rs"]
mod flows;
#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/issues.rs"]
mod issues;
#[path = "it/matching.rs"]
mod matching;
#[path = "it/split.rs"]
mod split;
#[path = "it/timeline.rs"]
mod timeline;

use std::sync::Arc;

use guardian_rules::{Document, IssueLevel, RuleSet, parse};

/// Documents of a stream that must be without errors.
fn documents(yaml: &str) -> Vec<Arc<Document>> {
    let parsed = parse(yaml);
    assert!(parsed.issues.iter().all(|i| i.level == IssueLevel::Warning), "{:#?}\n{yaml}", parsed.issues);
    parsed.documents
}

/// A rule set of a stream that must be without errors or warnings.
fn rules(yaml: &str) -> RuleSet {
    let (rules, issues) = RuleSet::compile(documents(yaml));
    assert!(issues.is_empty(), "{issues:#?}\n{yaml}");
    rules
}
