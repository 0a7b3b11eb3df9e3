//! CSAF 2.0 documents of the profile VEX (OASIS, "Common Security Advisory Framework"): products by number, of which the
//! product tree says the package URL.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Said, State, list, text};
use crate::advisory::clip;
use crate::limits::{AFFECTED_MAX, DEPTH_MAX};
use crate::purl::Purl;

/// The statements of the document.
pub(super) fn read(value: &Value) -> Result<Vec<Said>, String> {
    let tree = value.get("product_tree").ok_or("it has no product tree")?;
    let mut purls: BTreeMap<&str, Purl> = BTreeMap::new();
    branches(tree, 0, &mut purls);
    // One product as a part of another has a number of its own.
    for relation in list(tree, "relationships") {
        let whole = relation.pointer("/full_product_name/product_id").and_then(Value::as_str);
        if let (Some(whole), Some(part)) = (whole, purls.get(text(relation, "product_reference")).cloned()) {
            purls.entry(whole).or_insert(part);
        }
    }
    let by = value.pointer("/document/publisher/name").and_then(Value::as_str).unwrap_or_default();
    let mut all = Vec::new();
    for vulnerability in list(value, "vulnerabilities") {
        let Some(status) = vulnerability.get("product_status") else { continue };
        let ids = list(vulnerability, "ids").map(|id| text(id, "text"));
        let names: Vec<String> =
            [text(vulnerability, "cve")].into_iter().chain(ids).filter(|name| !name.is_empty()).map(clip).collect();
        for (key, state) in STATES {
            let mut by_reason: BTreeMap<(String, String), Vec<Purl>> = BTreeMap::new();
            for product in list(status, key).filter_map(Value::as_str) {
                let Some(purl) = purls.get(product) else { continue };
                let label = of(vulnerability, "flags", "label", product);
                let words = of(vulnerability, "threats", "details", product);
                by_reason.entry((clip(label), clip(words))).or_default().push(purl.clone());
            }
            for ((justification, words), packages) in by_reason {
                let vulnerability = names.clone();
                all.push(Said { vulnerability, packages, state: *state, justification, words, by: clip(by) });
            }
        }
    }
    Ok(all)
}

/// What a product's status says.
const STATES: &[(&str, State)] = &[
    ("known_not_affected", State::NotAffected),
    ("fixed", State::Fixed),
    ("first_fixed", State::Fixed),
    ("known_affected", State::Affected),
    ("under_investigation", State::UnderInvestigation),
];

/// A text of the first entry of a list that is about the product.
fn of<'a>(vulnerability: &'a Value, of: &str, key: &str, product: &str) -> &'a str {
    let mut entries = list(vulnerability, of);
    let entry = entries.find(|entry| list(entry, "product_ids").any(|id| id.as_str() == Some(product)));
    entry.map_or("", |entry| text(entry, key))
}

fn branches<'a>(at: &'a Value, depth: usize, purls: &mut BTreeMap<&'a str, Purl>) {
    let products = list(at, "full_product_names").chain(at.get("product"));
    for product in products {
        let purl = product.pointer("/product_identification_helper/purl").and_then(Value::as_str).and_then(Purl::new);
        if let Some(purl) = purl.filter(|_| purls.len() < AFFECTED_MAX) {
            purls.insert(text(product, "product_id"), purl);
        }
    }
    if depth < DEPTH_MAX {
        list(at, "branches").for_each(|branch| branches(branch, depth + 1, purls));
    }
}
