//! RustSec's own form: a front of TOML in a file of Markdown (advisory-db, "EXAMPLE_ADVISORY.md"), or the TOML alone. It says
//! which versions are not vulnerable; all others are.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use guardian_inventory::version::Scheme;

use super::download::Download;
use super::{Document, Sink, Source, day};
use crate::advisory::{Advisory, End, Of, Range, Statement, Status, clip, line};
use crate::ecosystem::Ecosystem;
use crate::limits::{LIST_MAX, VERSIONS_MAX};

/// Where its publishers give it.
const DOWNLOADS: &[Download] =
    &[Download::at("advisory-db.tar.gz", "https://github.com/rustsec/advisory-db/archive/refs/heads/main.tar.gz")];

/// The source.
pub(super) struct RustSec;

impl Source for RustSec {
    fn name(&self) -> &'static str {
        "rustsec"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        let toml = document.name.ends_with(".toml") || document.has("```toml");
        toml && document.has("[advisory]") && document.has("RUSTSEC-")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let text = std::str::from_utf8(document.bytes).map_err(|_| "it is not in UTF-8")?;
        let (front, rest) = match text.split_once("```toml") {
            Some((_, front)) => front.split_once("```").ok_or("its front has no end")?,
            None => (text, ""),
        };
        let values = values(front);
        let all = |key: &str| values.get(key).into_iter().flatten();
        let one = |key: &str| all(key).next().map(String::as_str).unwrap_or_default();
        let (id, package) = (one("advisory.id"), one("advisory.package"));
        if id.is_empty() || package.is_empty() {
            return Err("it has no name or no package".to_owned());
        }
        // That nobody looks after a crate is no vulnerability.
        if matches!(one("advisory.informational"), "unmaintained" | "notice") {
            sink.empty();
            return Ok(());
        }
        let mut advisory = Advisory::new(id);
        let heading = rest.lines().find_map(|line| line.strip_prefix("# "));
        advisory.summary = line(heading.unwrap_or(one("advisory.title")));
        advisory.aliases = all("advisory.aliases").map(|name| clip(name)).take(LIST_MAX).collect();
        advisory.vectors = all("advisory.cvss").map(|vector| clip(vector)).take(1).collect();
        advisory.published_s = i64::from(day(one("advisory.date"))) * 86_400;
        advisory.withdrawn = !one("advisory.withdrawn").is_empty();
        advisory.references = all("advisory.url").map(|url| clip(url)).take(LIST_MAX).collect();
        let ecosystem = Ecosystem::new("cargo", "").ok_or("crates are not known")?;
        let mut statement = Statement::new(ecosystem, package, Of::Source, Status::Affected);
        let good = all("versions.patched").chain(all("versions.unaffected"));
        statement.ranges = vulnerable(good.filter_map(|wanted| interval(wanted)).collect());
        advisory.statements.push(statement);
        sink.advisory(advisory);
        Ok(())
    }
}

/// Texts by table and key. Of TOML only what advisories use: texts, and lists of them over several lines.
fn values(toml: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut table, mut name, mut open) = (String::new(), String::new(), false);
    for line in toml.lines().map(str::trim) {
        if !open && line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut table);
            continue;
        }
        let value = match line.split_once('=').filter(|_| !open) {
            Some((key, value)) if !line.starts_with('#') => {
                name = format!("{table}.{}", key.trim());
                value.trim()
            }
            _ if open => line,
            _ => continue,
        };
        open = (open || value.starts_with('[')) && !value.ends_with(']');
        let texts = found.entry(name.clone()).or_default();
        let quoted = value.split('"').skip(1).step_by(2);
        texts.extend(quoted.take(VERSIONS_MAX.saturating_sub(texts.len())).map(ToOwned::to_owned));
    }
    found
}

/// Versions from the first on, and before the second; none is for ever.
type Interval = (String, Option<String>);

/// Cargo's requirement (its book, "Specifying Dependencies") as an interval.
fn interval(wanted: &str) -> Option<Interval> {
    let (mut from, mut before) = (String::from("0.0.0-0"), None);
    for part in wanted.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let at = part.find(|c: char| c.is_ascii_digit())?;
        let (operator, version) = (part[..at].trim(), part[at..].trim());
        let full = full(version);
        match operator {
            ">=" => from = full,
            ">" => from = next(version, 2)?,
            "<" => before = Some(full),
            "<=" => before = Some(next(version, 2)?),
            "=" => (from, before) = (full, Some(next(version, 2)?)),
            "~" => (from, before) = (full, Some(next(version, version.split('.').count().min(2) - 1)?)),
            // Up to the next version that may break something.
            "" | "^" => {
                let numbers = numbers(version);
                let place = numbers.iter().position(|number| *number > 0).unwrap_or(2);
                (from, before) = (full, Some(next(version, place)?));
            }
            _ => return None,
        }
    }
    Some((from, before))
}

fn numbers(version: &str) -> [u64; 3] {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = core.split('.').map(|part| part.parse().unwrap_or(0));
    [parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0)]
}

fn full(version: &str) -> String {
    let [major, minor, patch] = numbers(version);
    let behind = version.find(['-', '+']).map_or("", |at| &version[at..]);
    clip(&format!("{major}.{minor}.{patch}{behind}"))
}

/// The first version of all behind this one, counted at that place.
fn next(version: &str, place: usize) -> Option<String> {
    let mut numbers = numbers(version);
    let number = numbers.get_mut(place)?;
    *number = number.checked_add(1)?;
    numbers[place + 1..].fill(0);
    let [major, minor, patch] = numbers;
    Some(format!("{major}.{minor}.{patch}-0"))
}

/// What is in none of the intervals.
fn vulnerable(mut good: Vec<Interval>) -> Vec<Range> {
    let order = |a: &str, b: &str| Scheme::Semver.compare(a, b);
    good.sort_by(|a, b| order(&a.0, &b.0));
    let mut ranges = Vec::new();
    let mut from = Some(String::new());
    for (start, before) in good {
        let Some(open) = &from else { break };
        let begins = if open.is_empty() { start != "0.0.0-0" } else { order(&start, open) == Ordering::Greater };
        if begins {
            ranges.push(Range { from: open.clone(), end: End::Fixed(start) });
        }
        from = match before {
            Some(before) if open.is_empty() || order(&before, open).is_gt() => Some(before),
            Some(_) => from,
            None => None,
        };
    }
    ranges.extend(from.map(|from| Range { from, end: End::Open }));
    ranges
}
