//! What other scanners found beside what was found here: joined where both mean the same, added where they do not.

use std::collections::BTreeMap;

use super::{Entry, Report};
use crate::advisory::{Exploitation, Status};
use crate::cvss::Vector;
use crate::import::Imported;
use crate::matching::{Finding, Rule};
use crate::purl::Purl;
use crate::risk::{self, Asset};
use crate::store::Store;

/// Takes what was found into the report.
pub(super) fn take(report: &mut Report, store: &Store, imported: &[Imported], asset: &Asset) {
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, entry) in report.findings.iter().enumerate() {
        names(entry).for_each(|name| by_name.entry(name.to_owned()).or_default().push(at));
    }
    for found in imported {
        let mut same = found.names.iter().filter_map(|name| by_name.get(name)).flatten().copied();
        let known = same.find(|at| report.findings.get(*at).is_some_and(|entry| is_same(entry, found)));
        if let Some(entry) = known.and_then(|at| report.findings.get_mut(at)) {
            join(entry, found);
            continue;
        }
        // What was left out with a reason stays left out, whoever else finds it.
        let mut left_out = report.suppressed.iter_mut().map(|suppressed| &mut suppressed.entry);
        if let Some(entry) =
            left_out.find(|entry| names(entry).any(|name| is_named(found, name)) && is_same(entry, found))
        {
            join(entry, found);
            continue;
        }
        let at = report.findings.len();
        let entry = entry(store, found, asset);
        names(&entry).for_each(|name| by_name.entry(name.to_owned()).or_default().push(at));
        report.findings.push(entry);
    }
}

fn names(entry: &Entry) -> impl Iterator<Item = &str> {
    std::iter::once(&entry.finding.vulnerability).chain(&entry.finding.aliases).map(String::as_str)
}

fn is_named(found: &Imported, name: &str) -> bool {
    found.names.iter().any(|known| known == name)
}

/// Whether both mean the same package, or the same port of the same machine.
fn is_same(entry: &Entry, found: &Imported) -> bool {
    if !found.host.is_empty() {
        return entry.places.iter().any(|known| *known == place(found));
    }
    let same_purl = || {
        let (own, other) = (Purl::new(&entry.purl)?, Purl::new(&found.purl)?);
        Some(own.kind == other.kind && own.full_name() == other.full_name())
    };
    let name = same_purl().unwrap_or_else(|| found.package == entry.package);
    name && (found.version.is_empty() || found.version == entry.installed)
}

fn join(entry: &mut Entry, found: &Imported) {
    if !entry.sources.contains(&found.scanner) {
        entry.sources.push(found.scanner.clone());
    }
}

fn place(found: &Imported) -> String {
    match (found.host.as_str(), found.port.as_str()) {
        ("", _) => found.place.clone(),
        (host, "") => host.to_owned(),
        (host, port) => format!("{host}:{port}"),
    }
}

fn entry(store: &Store, found: &Imported, asset: &Asset) -> Entry {
    let vulnerability = found.names.iter().find(|name| name.starts_with("CVE-")).or(found.names.first()).cloned();
    let vulnerability = vulnerability.unwrap_or_default();
    let known = store.cve(&vulnerability);
    let own: Option<Vector> = found.vector.parse().ok();
    let vector = own.or_else(|| known.and_then(|known| known.vector().parse().ok()));
    let finding = Finding {
        aliases: found.names.iter().filter(|name| **name != vulnerability).cloned().collect(),
        affected: true,
        // What only follows from a version may have a fix that the version does not tell.
        status: if found.by_version { Status::UnderInvestigation } else { Status::Affected },
        rule: Rule::Imported,
        fixed_in: found.fixes.clone(),
        summary: found.summary.clone(),
        rating: match found.rating {
            crate::cvss::Rating::Unknown => vector.map_or(found.rating, |vector| vector.rating(vector.base())),
            word => word,
        },
        score: vector.map(|vector| vector.base().value()),
        vector: vector.map(|vector| vector.to_string()),
        epss: known.and_then(|known| known.epss()),
        known_exploited_day: known.and_then(|known| known.known_since_day()),
        ransomware: known.is_some_and(|known| known.ransomware()),
        exploitation: known.map_or(Exploitation::Unknown, |known| known.exploitation()),
        automatable: known.and_then(|known| known.automatable()),
        total_impact: known.and_then(|known| known.total_impact()),
        published_s: 0,
        references: Vec::new(),
        reasons: Vec::new(),
        vulnerability,
    };
    Entry {
        ecosystem: Purl::new(&found.purl).map(|purl| purl.kind).unwrap_or_default(),
        package: found.package.clone(),
        installed: found.version.clone(),
        source: String::new(),
        places: vec![place(found)],
        purl: found.purl.clone(),
        layer: None,
        remark: String::new(),
        sources: vec![found.scanner.clone()],
        risk: risk::of(&finding, asset),
        finding,
    }
}
