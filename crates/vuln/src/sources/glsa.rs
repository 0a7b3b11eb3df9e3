//! Gentoo's advisories (GLSA): one file of XML each, with ranges of versions that are vulnerable and that are not.

use guardian_inventory::xml::{self, Element};

use super::download::Download;
use super::{Document, Sink, Source, seconds};
use crate::advisory::{Advisory, End, Of, Range, Statement, Status, clip, line};
use crate::ecosystem::Ecosystem;
use crate::limits::{LIST_MAX, VERSIONS_MAX};

/// A revision that none reaches.
const LAST_REVISION: &str = "-r99999";

/// Where its publishers give it.
const DOWNLOADS: &[Download] =
    &[Download::at("glsa.tar.gz", "https://github.com/gentoo/glsa/archive/refs/heads/master.tar.gz")];

/// The source.
pub(super) struct Glsa;

impl Source for Glsa {
    fn name(&self) -> &'static str {
        "glsa"
    }

    fn downloads(&self) -> &'static [Download] {
        DOWNLOADS
    }

    fn recognises(&self, document: &Document<'_>) -> bool {
        document.has("<glsa ")
    }

    fn read(&self, document: &Document<'_>, sink: &mut dyn Sink) -> Result<(), String> {
        let glsa = xml::parse(document.bytes).map_err(|error| error.to_string())?;
        let ecosystem = Ecosystem::new("gentoo", "").ok_or("Gentoo is not known")?;
        let mut advisory = Advisory::new(&format!("GLSA-{}", glsa.attribute("id")));
        advisory.summary = line(glsa.text_at(&["title"]));
        advisory.published_s = seconds(glsa.text_at(&["announced"]));
        let revised = glsa.child("revised").map_or("", |at| at.text.trim());
        advisory.modified_s = seconds(revised.split(':').next().unwrap_or_default());
        advisory.rating = super::osv::rating(glsa.child("impact").map_or("", |impact| impact.attribute("type")));
        for uri in glsa.child("references").into_iter().flat_map(|list| list.all("uri")).take(LIST_MAX) {
            // Older ones have the name in the address alone.
            let named = [uri.text.trim(), uri.attribute("link").rsplit(['/', '=']).next().unwrap_or_default()];
            advisory.aliases.extend(named.into_iter().find(|name| name.starts_with("CVE-")).map(clip));
            advisory.references.push(clip(uri.attribute("link")));
        }
        advisory.aliases.sort();
        advisory.aliases.dedup();
        for package in glsa.child("affected").into_iter().flat_map(|list| list.all("package")) {
            statements(package, &ecosystem, &mut advisory);
        }
        match advisory.statements.is_empty() {
            true => sink.empty(),
            false => sink.advisory(advisory),
        }
        Ok(())
    }
}

fn statements(package: &Element, ecosystem: &Ecosystem, advisory: &mut Advisory) {
    for (element, status) in [("vulnerable", Status::Affected), ("unaffected", Status::NotAffected)] {
        for range in package.all(element).take(VERSIONS_MAX) {
            // Nobody knows which slot a package is of from its version alone.
            let slot = range.attribute("slot");
            let module = if matches!(slot, "" | "*") { String::new() } else { clip(slot) };
            let mut own = Statement::new(ecosystem.clone(), package.attribute("name"), Of::Binary, status);
            own.module = module;
            if !add(range, &mut own) {
                continue;
            }
            // All ranges of a package are one statement: being outside of one of them says nothing.
            let same = |known: &&mut Statement| {
                (&known.package, known.status, &known.module) == (&own.package, own.status, &own.module)
            };
            match advisory.statements.iter_mut().find(same) {
                Some(known) => {
                    known.ranges.append(&mut own.ranges);
                    known.versions.append(&mut own.versions);
                }
                None => advisory.statements.push(own),
            }
        }
    }
}

/// Adds the range; false where it says nothing that is needed.
fn add(range: &Element, statement: &mut Statement) -> bool {
    let version = clip(range.text.trim());
    let kind = range.attribute("range");
    // A range of revisions stays with one version.
    let plain = kind.starts_with('r').then(|| version.split("-r").next().unwrap_or(&version).to_owned());
    let from = plain.clone().unwrap_or_default();
    match (kind.trim_start_matches('r'), plain) {
        ("lt", _) => statement.ranges.push(Range { from, end: End::Fixed(version) }),
        ("le", _) => statement.ranges.push(Range { from, end: End::LastAffected(version) }),
        ("eq", _) => statement.versions.push(version),
        ("ge" | "gt", Some(plain)) => {
            let end = End::LastAffected(format!("{plain}{LAST_REVISION}"));
            statement.ranges.push(Range { from: version, end });
        }
        ("ge" | "gt", None) if statement.status == Status::Affected => {
            statement.ranges.push(Range { from: version, end: End::Open });
        }
        // What is newer than what was vulnerable is in no range; only within a version it must be said.
        _ => return false,
    }
    true
}
