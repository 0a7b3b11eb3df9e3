//! Vulnerabilities of a CycloneDX document (CycloneDX 1.4 to 1.6, "vulnerabilities"): an analysis of what is said, about
//! components that are named by their references in the document or in another.

use std::collections::BTreeMap;

use guardian_inventory::xml::{self, Element};
use serde_json::Value;

use super::{Said, State, list, text};
use crate::advisory::clip;
use crate::limits::AFFECTED_MAX;
use crate::purl::Purl;

/// The statements of the document.
pub(crate) fn read(value: &Value) -> Vec<Said> {
    let mut purls: BTreeMap<&str, Purl> = BTreeMap::new();
    let mut open: Vec<&Value> = list(value, "components").collect();
    while let Some(component) = open.pop() {
        if let Some(purl) = Purl::new(text(component, "purl")).filter(|_| purls.len() < AFFECTED_MAX) {
            purls.insert(text(component, "bom-ref"), purl);
        }
        open.extend(list(component, "components"));
    }
    let statements = list(value, "vulnerabilities").filter_map(|vulnerability| {
        let analysis = vulnerability.get("analysis")?;
        let references = list(vulnerability, "references").map(|reference| text(reference, "id"));
        let names = [text(vulnerability, "id")].into_iter().chain(references).filter(|name| !name.is_empty());
        let affects: Vec<&str> = list(vulnerability, "affects").map(|affected| text(affected, "ref")).collect();
        said(names.map(clip).collect(), &affects, &purls, &|key| text(analysis, key).to_owned())
    });
    statements.collect()
}

/// The statements of a document in XML.
pub(super) fn read_xml(bytes: &[u8]) -> Result<Vec<Said>, String> {
    let bom = xml::parse(bytes).map_err(|error| error.to_string())?;
    match bom.name.as_str() {
        "bom" => Ok(of_xml(&bom)),
        _ => Err("its element is not a bom".to_owned()),
    }
}

/// The statements of a document in XML.
pub(crate) fn of_xml(bom: &Element) -> Vec<Said> {
    let mut purls: BTreeMap<&str, Purl> = BTreeMap::new();
    let mut open: Vec<&Element> = bom.child("components").into_iter().flat_map(|list| list.all("component")).collect();
    while let Some(component) = open.pop() {
        if let Some(purl) = Purl::new(component.text_at(&["purl"])).filter(|_| purls.len() < AFFECTED_MAX) {
            purls.insert(component.attribute("bom-ref"), purl);
        }
        open.extend(component.child("components").into_iter().flat_map(|list| list.all("component")));
    }
    let all = bom.child("vulnerabilities").into_iter().flat_map(|list| list.all("vulnerability"));
    let statements = all.filter_map(|vulnerability| {
        let analysis = vulnerability.child("analysis")?;
        let references = vulnerability.child("references").into_iter().flat_map(|list| list.all("reference"));
        let names = [vulnerability.text_at(&["id"])].into_iter().chain(references.map(|one| one.text_at(&["id"])));
        let targets = vulnerability.child("affects").into_iter().flat_map(|list| list.all("target"));
        let affects: Vec<&str> = targets.map(|target| target.text_at(&["ref"])).collect();
        let names = names.filter(|name| !name.is_empty()).map(clip).collect();
        said(names, &affects, &purls, &|key| analysis.text_at(&[key]).to_owned())
    });
    statements.collect()
}

fn said(
    vulnerability: Vec<String>,
    affects: &[&str],
    purls: &BTreeMap<&str, Purl>,
    analysis: &dyn Fn(&str) -> String,
) -> Option<Said> {
    let state = match analysis("state").as_str() {
        "resolved" | "resolved_with_pedigree" => State::Fixed,
        "not_affected" | "false_positive" => State::NotAffected,
        "exploitable" => State::Affected,
        "in_triage" => State::UnderInvestigation,
        _ => return None,
    };
    // In another document a component is `urn:cdx:SERIAL/VERSION#REFERENCE`, and a reference is often its package URL.
    let packages: Vec<Purl> = affects
        .iter()
        .filter_map(|reference| {
            let inner = reference.strip_prefix("urn:cdx:").and_then(|urn| urn.split_once('#'));
            let name = inner.map_or((*reference).to_owned(), |(_, name)| crate::purl::decode(name));
            purls.get(name.as_str()).cloned().or_else(|| Purl::new(&name))
        })
        .collect();
    // A statement about a component that nobody knows is about nothing here.
    if packages.is_empty() {
        return None;
    }
    let (justification, words) = (clip(&analysis("justification")), clip(&analysis("detail")));
    Some(Said { vulnerability, packages, state, justification, words, by: String::new() })
}
