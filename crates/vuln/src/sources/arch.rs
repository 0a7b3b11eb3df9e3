//! Arch's security tracker: `all.json`, a list of groups of packages that have the same vulnerabilities.

use serde::Deserialize;

use super::download::Download;
use super::{Document, Sink, Source};
use crate::advisory::{Advisory, End, Of, Range, Statement, Status, clip};
use crate::ecosystem::Ecosystem;

#[derive(Debug, Deserialize)]
struct Group {
    name: String,
    packages: Vec<String>,
    status: String,
    #[serde(default)]
    severity: String,

    fixed: Option<String>,
    #[serde(default)]
    issues: Vec<String>,
    #[serde(default, rename = "type")]
    kind: String,
}

/// Where its publishers give it.
const DOWNLOADS: &[Download] =
    &[Download::at("all.json", "https://security.archlinux.org/all.json").at_most(256 << 20)];

/// The source.
pub(super) struct Arch;

impl Source for Arch {
    fn name(&self) -> &'static str {
        "arch"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.is_json() && document.has("\"AVG-") && document.has("\"packages\"")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let groups: Vec<serde_json::Value> = serde_json::from_slice(document.bytes).map_err(|e| e.to_string())?;
        for group in groups {
            match Group::deserialize(group) {
                Ok(group) => read_group(group, sink),
                Err(error) => sink.malformed("a group", &error.to_string()),
            }
        }
        Ok(())
    }
}

/// One advisory a vulnerability, so that each can be joined with what others say of it.
fn read_group(group: Group, sink: &mut dyn Sink) {
    let Some(ecosystem) = Ecosystem::new("arch", "") else { return };
    for issue in &group.issues {
        let mut advisory = Advisory::new(issue);
        advisory.summary = clip(&group.kind);
        advisory.rating = super::osv::rating(&group.severity);
        advisory.references = vec![format!("https://security.archlinux.org/{}", group.name)];
        for package in &group.packages {
            let mut statement = Statement::new(ecosystem.clone(), package, Of::Binary, Status::Affected);
            statement.reason = clip(&group.name);
            if group.status == "Not affected" {
                statement.status = Status::NotAffected;
            } else {
                let end = match &group.fixed {
                    Some(fixed) => End::Fixed(clip(fixed)),
                    None => End::Open,
                };
                // The tracker says in which version it was seen, not in which it came; older ones have it as a rule.
                statement.ranges.push(Range { from: String::new(), end });
            }
            advisory.statements.push(statement);
        }
        sink.advisory(advisory);
    }
}
