//! OpenVEX (OpenVEX specification 0.2, and 0.0 before it).

use serde_json::Value;

use super::{Said, State, list, text};
use crate::advisory::clip;
use crate::purl::Purl;

/// The statements of the document.
pub(super) fn read(value: &Value) -> Result<Vec<Said>, String> {
    let mut all = Vec::new();
    for statement in list(value, "statements") {
        let mut said = Said {
            state: match text(statement, "status") {
                "not_affected" => State::NotAffected,
                "affected" => State::Affected,
                "fixed" => State::Fixed,
                "under_investigation" => State::UnderInvestigation,
                other => return Err(format!("`{}` is no status", clip(other))),
            },
            justification: clip(text(statement, "justification")),
            by: clip(text(value, "author")),
            ..Said::default()
        };
        let words = ["impact_statement", "status_notes", "action_statement"].map(|key| text(statement, key));
        said.words = clip(words.into_iter().find(|words| !words.is_empty()).unwrap_or_default());
        match statement.get("vulnerability") {
            Some(Value::String(name)) => said.vulnerability.push(clip(name)),
            Some(object) => {
                let aliases = list(object, "aliases").filter_map(Value::as_str);
                let names = [text(object, "name"), text(object, "@id").rsplit('/').next().unwrap_or_default()];
                said.vulnerability.extend(names.into_iter().chain(aliases).filter(|name| !name.is_empty()).map(clip));
            }
            None => return Err("a statement without a vulnerability".to_owned()),
        }
        let mut named = false;
        for product in list(statement, "products") {
            named = true;
            // Parts of a product are what the statement is about.
            let parts: Vec<Purl> = list(product, "subcomponents").filter_map(purl).collect();
            match parts.is_empty() {
                true => said.packages.extend(purl(product)),
                false => said.packages.extend(parts),
            }
        }
        // One that names a whole image is about all that is in it.
        said.packages.retain(|purl| !matches!(purl.kind.as_str(), "oci" | "docker"));
        let whole = list(statement, "products").filter_map(purl).any(|p| matches!(p.kind.as_str(), "oci" | "docker"));
        if !named || whole || !said.packages.is_empty() {
            all.push(said);
        }
    }
    Ok(all)
}

/// A product: its name, an object with one, or one with a package URL among its identifiers.
fn purl(product: &Value) -> Option<Purl> {
    let names = [product.as_str(), product.get("@id").and_then(Value::as_str)];
    let more = product.pointer("/identifiers/purl").and_then(Value::as_str);
    names.into_iter().chain([more]).flatten().find_map(Purl::new)
}
