//! `requirements.txt` (pip documentation, "Requirements File Format"): what names one version. What is asked for in a range
//! is whatever is there on the day; how many those are is said.

use crate::text::lines;
use crate::{Found, Manager, Package};

/// The packages that the file pins.
pub(super) fn parse(requirements: &[u8]) -> Found<Package> {
    let mut found = Found::default();
    let mut open = 0;
    let mut first = 0;
    for (number, line) in lines(requirements) {
        // A comment begins behind a space; options begin with a hyphen; what is behind a semicolon is a condition.
        let line = line.split(" #").next().unwrap_or_default();
        let line = line.split(';').next().unwrap_or_default().trim().trim_end_matches('\\').trim_end();
        if line.is_empty() || line.starts_with(['#', '-', '.', '/']) || line.contains("://") {
            continue;
        }
        let wanted = line.split(" --").next().unwrap_or_default();
        let name_end = wanted.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(wanted.len());
        let (name, rest) = wanted.split_at(name_end);
        let rest = rest.trim_start();
        // Extras stand between brackets.
        let rest = match rest.strip_prefix('[') {
            Some(extras) => extras.split_once(']').map_or("", |(_, rest)| rest).trim_start(),
            None => rest,
        };
        let version = rest.strip_prefix("===").or_else(|| rest.strip_prefix("==")).map(str::trim);
        match version.filter(|version| !version.is_empty() && !version.contains(['*', ',', ' '])) {
            Some(version) if !name.is_empty() => found.push(Package::new(Manager::Python, name, version)),
            _ => {
                open += 1;
                first = if first == 0 { number } else { first };
            }
        }
    }
    if open > 0 {
        found.issue(first, format!("{open} requirements name no single version: nothing can be said of them"));
    }
    found
}
